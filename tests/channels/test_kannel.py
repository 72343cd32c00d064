"""The Kannel adapter without Kannel: replies, receipts and texts of phones that the real one gives seldom or never."""

import logging
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.base import Callback, Channel, ChannelError, ChannelSettings, Message
from channels.sms import Sms
from channels.sms.kannel import Kannel

Messages = Callable[..., list[Message]]
ACCOUNT = {"user": "alert", "password": "p&ss w0rd", "sender": "12379"}


def gateway(url: str, **options: str) -> Channel:
    return Sms(ChannelSettings(provider="kannel", url=url, options={**ACCOUNT, **options}))


@pytest.fixture
def sms(provider) -> Iterator[Channel]:
    provider.says(202, "0: Accepted for delivery")
    made = gateway(f"{provider.url}/cgi-bin/sendsms")
    yield made
    made.close()


@pytest.fixture
def kannel() -> Kannel:
    return Kannel(ChannelSettings(provider="kannel", url="http://127.0.0.1:1/", options=ACCOUNT))


@pytest.fixture
def messages(messages: Messages) -> Messages:
    """Of this file: not yet expired."""
    return lambda count=1, **changes: messages(count, **{"expires_at": int(time.time() * 1000) + 3_600_500, **changes})


def asked(provider: Any) -> dict[str, str]:
    (request,) = provider.asked
    return {name: values[0] for name, values in parse_qs(urlsplit(request.target).query).items()}


def test_a_request_holds_the_message(sms: Channel, provider, messages: Messages) -> None:
    (message,) = messages(1, callback="https://alert.example/callbacks/sms/kannel/7-1-Ab/0f%2F?x=%d")
    assert [answer.word for answer in sms.send([message])] == ["accepted"]
    assert asked(provider) == {
        "username": "alert",
        "password": "p&ss w0rd",
        "from": "12379",
        "to": "+8613812345678",
        "text": message.text,
        "coding": "2",
        "charset": "UTF-8",
        "priority": "2",
        "validity": "60",
        "dlr-mask": "31",
        "dlr-url": "https://alert.example/callbacks/sms/kannel/7-1-Ab/0f%%2F?x=%%d&type=%d&ref=%F&answer=%A&at=%T",
    }
    assert provider.asked[0].target.startswith("/cgi-bin/sendsms?username=")


def test_an_address_with_a_query_of_its_own_keeps_it(provider, messages: Messages) -> None:
    provider.says(202, "0: Accepted for delivery")
    sms = gateway(f"{provider.url}/send?site=a")
    sms.send(messages())
    sms.close()
    assert asked(provider)["site"] == "a"


TABLE = [
    ((202, "0: Accepted for delivery"), "accepted", ""),
    ((202, "3: Queued for later delivery"), "accepted", "queued"),
    ((202, "Sent."), "uncertain", "reply-unreadable"),
    ((202, ""), "uncertain", "reply-unreadable"),
    ((200, "0: Accepted for delivery"), "uncertain", "reply-unreadable"),
    ((200, "<html>welcome to the hotel</html>"), "uncertain", "reply-unreadable"),
    ((302, ""), "config_error", "http-302"),
    ((400, "Sender missing and no global set, rejected"), "config_error", "sender-missing"),
    ((400, "Missing receiver number, rejected"), "failed", "number-missing"),
    ((400, "Empty receiver number not allowed, rejected"), "failed", "number-missing"),
    ((400, "Number(s) has/have been denied by white- and/or black-lists."), "failed", "number-denied"),
    ((400, "UDH field misformed, rejected"), "failed", "http-400"),
    ((403, "Authorization failed for sendsms"), "config_error", "authorization"),
    ((403, "Not routable. Do not try again."), "failed", "not-routable"),
    ((403, "something else"), "config_error", "http-403"),
    ((404, "Unknown request."), "config_error", "http-404"),
    ((500, "oops"), "uncertain", "http-500"),
    ((502, "<html>"), "uncertain", "http-502"),
    ((503, "Temporal failure, try again later."), "retry", "http-503"),
]


@pytest.mark.parametrize("row", TABLE, ids=lambda row: str(row)[:60])
def test_every_reply_has_one_meaning(sms: Channel, provider, messages: Messages, row: Any) -> None:
    (status, body), word, reason = row
    provider.says(status, body)
    (answer,) = sms.send(messages())
    assert (answer.word, answer.reason, answer.ref) == (word, reason, None)
    assert answer.detail == ("" if word == "accepted" and not reason else answer.detail)
    assert len(provider.asked) == 1


def test_a_reason_and_the_words_behind_it_are_kept(sms: Channel, provider, messages: Messages) -> None:
    provider.says(202, "3: Queued for later delivery")
    assert sms.send(messages())[0].detail == "3: Queued for later delivery"


def test_a_lost_reply_leaves_it_uncertain_and_a_get_is_not_sent_twice(
    sms: Channel, provider, messages: Messages
) -> None:
    assert [answer.word for answer in sms.send(messages())] == ["accepted"]
    # The connection is a kept one now. HTTP clients send a GET again by themselves where such a one breaks.
    provider.plays = lambda asked: None
    assert [(a.word, a.reason) for a in sms.send(messages())] == [("uncertain", "connection-lost")]
    assert len(provider.asked) == 2
    assert provider.connections == 1


def test_nothing_of_an_address_is_in_an_answer_or_a_log(
    sms: Channel, provider, messages: Messages, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    secret = messages(1, text="secret words", callback="https://alert.example/callbacks/x/hmac0")
    found = list(sms.send(secret))
    for says in ((403, "Authorization failed for sendsms"), (503, ""), (500, "")):
        provider.says(*says)
        found += sms.send(secret)
    provider.plays = lambda asked: None
    found += sms.send(secret)
    dead = gateway("http://127.0.0.1:1/cgi-bin/sendsms", status_url="http://127.0.0.1:1/status.xml?password=st4tus")
    found += dead.send(secret)
    health = dead.provider.health()  # type: ignore[attr-defined]
    dead.close()
    assert [answer.word for answer in found] == ["accepted", "config_error", "retry", "uncertain", "uncertain", "retry"]
    told = repr(found) + repr(health) + caplog.text + "".join(repr(record.__dict__) for record in caplog.records)
    hidden = ("p&ss", "p%26ss", "secret", "13812345678", "hmac0", "st4tus", "username")
    assert [word for word in hidden if word in told] == []
    assert not health.ok


@pytest.mark.parametrize(
    ("url", "options", "named"),
    [
        ("", {}, "address"),
        ("ftp://x/", {}, "address"),
        ("http://x/", {"user": ""}, "KANNEL_USER"),
        ("http://x/", {"password": ""}, "KANNEL_PASSWORD"),
        ("http://x/", {"charset": "gbk"}, "KANNEL_CHARSET"),
        ("http://x/", {"connections": "0"}, "connections"),
        ("http://x/", {"status_url": "bearerbox"}, "address"),
    ],
)
def test_settings_that_do_not_fit_are_refused_before_anything_is_sent(url: str, options: Any, named: str) -> None:
    with pytest.raises(ChannelError, match=named):
        gateway(url, **options)


def callback(**query: str) -> Callback:
    return Callback("GET", f"https://alert.example/x?{urlencode(query)}", query, {}, {})


RECEIPTS = [
    ({"type": "8", "answer": "ACK/"}, "accepted", ""),
    ({"type": "4", "answer": "id:1 stat:ACCEPTD err:000"}, "accepted", ""),
    ({"type": "1", "answer": ""}, "delivered", ""),
    ({"type": "2", "answer": ""}, "failed", ""),
    ({"type": "2", "answer": "id:1 stat:UNDELIV err:000 text:"}, "failed", "undeliv"),
    ({"type": "2", "answer": "id:1 stat:EXPIRED err:001 text:"}, "expired", "expired-001"),
    ({"type": "16", "answer": "NACK/validity expired"}, "expired", "expired"),
    ({"type": "16", "answer": "NACK/no SMSC"}, "failed", "no-smsc"),
    ({"type": "16", "answer": "NACK/0x00000045/Submit failed"}, "failed", "0x00000045-submit-failed"),
    ({"type": "32", "answer": ""}, "unknown", ""),
    ({"type": "%d"}, "unknown", ""),
]


@pytest.mark.parametrize(("query", "word", "reason"), RECEIPTS)
def test_every_receipt_has_one_meaning(kannel: Kannel, query: Any, word: str, reason: str) -> None:
    (receipt,) = kannel.read_receipts(callback(**query, ref="F1", at="1795529855"))
    assert (receipt.word, receipt.reason) == (word, reason)
    assert (receipt.said, receipt.ref, receipt.at) == (query["type"], "F1", 1_795_529_855_000)
    assert receipt == kannel.read_receipts(callback(**query, ref="F1", at="1795529855"))[0]


def test_a_receipt_without_its_type_cannot_be_read(kannel: Kannel) -> None:
    with pytest.raises(ValueError, match="type"):
        kannel.read_receipts(callback(answer="ACK/"))


def test_a_receipts_own_words_are_one_line_and_cut(kannel: Kannel) -> None:
    (receipt,) = kannel.read_receipts(callback(type="16", answer="NACK/a\r\nb" + "x" * 500, at="soon"))
    assert receipt.detail.startswith("NACK/a  bxxx")
    assert len(receipt.detail) == 200
    assert len(receipt.reason) <= 60
    assert receipt.at is None


def reply_url(query: str) -> Callback:
    return Callback("GET", f"https://alert.example/callbacks/sms/kannel/inbound?key=k&{query}", {}, {}, {})


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("text=TD&charset=UTF-8&coding=0", "TD"),
        ("text=%E9%80%80%E8%AE%A2&charset=UTF-8&coding=2", "退订"),
        ("text=%90%00%8B%A2&charset=UTF-16BE&coding=2", "退订"),
        ("text=%90%00%8B%A2&coding=2", "退订"),
        ("text=%CD%CB%B6%A9&charset=GBK&coding=0", "退订"),
        ("text=caf%E9&charset=windows-1252&coding=0", "café"),
        ("text=&charset=UTF-8&coding=0", ""),
        ("text=a+b%2Bc&charset=UTF-8&coding=0", "a b+c"),
        ("text=%FF%FE&charset=UTF-8&coding=0", "\ufffd\ufffd"),
    ],
)
def test_a_reply_is_read_in_its_own_charset(kannel: Kannel, query: str, text: str) -> None:
    (found,) = kannel.read_replies(reply_url(f"from=13900000001&id=u1&at=1795529855&{query}"))
    assert (found.sender, found.text, found.ref, found.at) == ("tel:+8613900000001", text, "u1", 1_795_529_855_000)


def test_data_that_is_no_text_is_no_reply(kannel: Kannel) -> None:
    assert kannel.read_replies(reply_url("from=13900000001&text=%01%02&coding=1&charset=binary")) == []


@pytest.mark.parametrize(
    "query", ["text=TD", "from=&text=TD", "from=1&text=T&charset=klingon", "from=1&text=T&charset=zip"]
)
def test_a_reply_that_cannot_be_read_is_refused(kannel: Kannel, query: str) -> None:
    with pytest.raises(ValueError, match="a reply"):
        kannel.read_replies(reply_url(query))


def test_a_reply_without_a_name_gets_one_that_stays(kannel: Kannel) -> None:
    replies = [kannel.read_replies(reply_url(f"from=1390000000{n}&text=1&at=7")) for n in (1, 1, 2)]
    first, again, other = (reply.ref for found in replies for reply in found)
    assert first == again != other
    assert len(first) == 32


@given(text=st.text(), number=st.text(), charset=st.sampled_from(["UTF-8", "UTF-16BE"]))
def test_a_reply_that_holds_anything_is_read_or_refused(text: str, number: str, charset: str) -> None:
    made = Kannel(ChannelSettings(provider="kannel", url="http://127.0.0.1:1/", options=ACCOUNT))
    encoded = text.encode(charset, "surrogatepass")
    query = urlencode({"from": number.encode("utf-8", "surrogatepass"), "text": encoded, "charset": charset})
    if number:
        (found,) = made.read_replies(reply_url(query))
        assert found.text == encoded.decode(charset, "replace")
    else:
        with pytest.raises(ValueError, match="sender"):
            made.read_replies(reply_url(query))
