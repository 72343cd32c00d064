"""What Twilio says when it is asked: what became of a message whose reply was lost, and the balance.

The server is ours; its lists and balances have the shapes of Twilio's OpenAPI file, and every question is held to that file.
"""

import json
import socket
import time
from base64 import b64decode
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from twilio_api import Api

import channels.wire
from channels.base import ChannelSettings, Health, Message, Receipt, ReceiptWord
from channels.sms.twilio import MOST_PAGES, Twilio

Messages = Callable[..., list[Message]]
ACCOUNT = "AC" + "0a" * 16
TOKEN = "f00d" * 8
SM = "SM{:032x}".format
CREATED = "Mon, 23 Nov 2026 02:13:20 +0000"
SINCE = 1_795_400_000_000  # the same moment, ms
LIST = f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json"


@pytest.fixture(scope="session")
def api(test_data: Path) -> Api:
    return Api(test_data)


@pytest.fixture
def asking(provider) -> Iterator[Twilio]:
    options = {"account": ACCOUNT, "token": TOKEN, "sender": "+14155552345"}
    made = Twilio(ChannelSettings(provider="twilio", url=provider.url, options=options))
    yield made
    made.close()


@pytest.fixture
def message(messages: Messages) -> Message:
    return messages()[0]


def listed(message: Message, **changes: object) -> dict[str, object]:
    usual: dict[str, object] = {
        "account_sid": ACCOUNT,
        "body": message.text,
        "date_created": CREATED,
        "date_sent": CREATED,
        "date_updated": "Mon, 23 Nov 2026 02:13:29 +0000",
        "direction": "outbound-api",
        "error_code": None,
        "error_message": None,
        "sid": SM(1),
        "status": "sent",
        "to": "+8613812345678",
    }
    return {**usual, **changes}


def page(*found: object, **more: object) -> str:
    return json.dumps({"messages": found, "next_page_uri": None, "page": 0, "page_size": 20, **more})


def test_a_lost_message_is_found_by_its_number_time_and_words(
    api: Api, asking: Twilio, provider, message: Message
) -> None:
    api.answer("api.v2010.account.message", listed(message))
    provider.says(200, page(listed(message, sid=SM(9), body="other words"), listed(message)))
    at = SINCE + 9_000
    assert asking.look_up(message, SINCE) == Receipt(ReceiptWord.ACCEPTED, said="sent", ref=SM(1), at=at)
    (asked,) = provider.asked
    api.check(asked.method, asked.target, asked.headers, asked.body)
    query = parse_qs(urlsplit(asked.target).query)
    assert query == {"To": ["+8613812345678"], "DateSent>": ["2026-11-23T02:13:15Z"], "PageSize": ["20"]}
    assert b64decode(asked.headers["authorization"].removeprefix("Basic ")).decode() == f"{ACCOUNT}:{TOKEN}"


@pytest.mark.parametrize(
    ("changes", "word", "reason"),
    [
        ({"status": "queued", "date_sent": None}, "accepted", ""),
        ({"status": "delivered"}, "delivered", ""),
        ({"status": "undelivered", "error_code": 30003}, "failed", "30003"),
        ({"status": "failed", "error_code": 30036}, "expired", "30036"),
        ({"status": "canceled"}, "failed", "canceled"),
        ({"status": "new"}, "unknown", ""),
        ({"direction": "outbound-reply"}, "accepted", ""),
        ({"date_created": "Mon, 23 Nov 2026 02:13:15 +0000"}, "accepted", ""),
        ({"date_updated": "soon"}, "accepted", ""),
    ],
)
def test_what_is_found_has_its_status(
    asking: Twilio, provider, message: Message, changes: dict[str, object], word: str, reason: str
) -> None:
    provider.says(200, page(listed(message, **changes)))
    receipt = asking.look_up(message, SINCE)
    assert receipt is not None
    assert (receipt.word, receipt.reason, receipt.ref) == (word, reason, SM(1))


@pytest.mark.parametrize(
    "changes",
    [
        {"body": "other words"},
        {"body": None},
        {"to": "+8613812345679"},
        {"direction": "inbound"},
        {"direction": None},
        {"date_created": "Mon, 23 Nov 2026 02:13:14 +0000"},
        {"date_created": None},
        {"date_created": "yesterday"},
        {"sid": "SM1"},
        {"sid": None},
    ],
    ids=str,
)
def test_a_message_that_is_another_is_not_taken_for_ours(
    asking: Twilio, provider, message: Message, changes: dict[str, object]
) -> None:
    provider.says(200, page(listed(message, **changes)))
    assert asking.look_up(message, SINCE) is None
    assert len(provider.asked) == 1


def test_of_two_with_the_same_words_nothing_is_said(asking: Twilio, provider, message: Message) -> None:
    provider.says(200, page(listed(message), listed(message, sid=SM(2))))
    assert asking.look_up(message, SINCE) is None
    provider.says(200, page(listed(message), listed(message)))  # one that is listed twice is one
    assert asking.look_up(message, SINCE) is not None


def test_nothing_found_proves_nothing(asking: Twilio, provider, message: Message) -> None:
    provider.says(200, page())
    assert asking.look_up(message, SINCE) is None


def turning(provider, pages: int, *last: object) -> Callable[..., bytes]:
    """A list of so many pages; the last one holds what is searched."""

    def plays(asked) -> bytes:
        number = int(parse_qs(urlsplit(asked.target).query).get("Page", ["0"])[0])
        if number == pages - 1:
            return provider.reply(200, page(*last))
        more = f"{LIST}?To=%2B8613812345678&PageSize=20&Page={number + 1}&PageToken=PASM{number}"
        return provider.reply(200, page(next_page_uri=more))

    return plays


def test_a_list_is_read_to_its_end(api: Api, asking: Twilio, provider, message: Message) -> None:
    provider.plays = turning(provider, MOST_PAGES, listed(message))
    assert asking.look_up(message, SINCE) is not None
    assert len(provider.asked) == MOST_PAGES
    for asked in provider.asked:
        api.check(asked.method, asked.target, asked.headers, asked.body)


def test_a_list_that_is_too_long_is_left(asking: Twilio, provider, message: Message) -> None:
    provider.plays = turning(provider, MOST_PAGES + 1, listed(message))
    assert asking.look_up(message, SINCE) is None
    assert len(provider.asked) == MOST_PAGES


def test_a_page_on_another_host_does_not_get_the_token(asking: Twilio, provider, message: Message) -> None:
    elsewhere = provider.url.replace("127.0.0.1", "localhost")
    meta = {"key": "messages", "next_page_url": f"{elsewhere}{LIST}"}
    provider.says(200, json.dumps({"messages": [listed(message)], "meta": meta}))
    assert asking.look_up(message, SINCE) is None
    assert len(provider.asked) == 1


GARBAGE = [
    (200, ""),
    (200, "<html>"),
    (200, "{}"),
    (200, "[]"),
    (200, '{"messages":null}'),
    (200, '{"messages":[null]}'),
    (200, '{"messages":[{}]}'),
    (200, '{"messages":{"a":1}}'),
    (200, "[" * 100_000),
    (200, b"\xff\xfe"),
    (401, '{"code":20003,"message":"Authenticate","status":401}'),
    (404, '{"code":20404}'),
    (429, ""),
    (500, "<html>"),
    (307, ""),
]


@pytest.mark.parametrize("said", GARBAGE, ids=lambda said: f"{said[0]} {str(said[1])[:30]}")
def test_a_look_up_that_fails_says_nothing(asking: Twilio, provider, message: Message, said: tuple[int, str]) -> None:
    provider.says(*said)
    assert asking.look_up(message, SINCE) is None
    assert len(provider.asked) == 1


def test_a_look_up_without_an_answer_says_nothing(
    asking: Twilio, provider, message: Message, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider.plays = lambda asked: None
    assert asking.look_up(message, SINCE) is None
    monkeypatch.setattr(channels.wire, "ANSWER_S", 0.3)
    provider.wait = 5.0
    started = time.monotonic()
    assert asking.look_up(message, SINCE) is None
    assert asking.health() == Health(False, "timeout")
    assert time.monotonic() - started < 3


def test_the_balance_is_told(api: Api, asking: Twilio, provider) -> None:
    told = {"account_sid": ACCOUNT, "balance": "12.0345", "currency": "USD"}
    api.answer("api.v2010.account.balance", told)
    provider.says(200, json.dumps(told))
    assert asking.health() == Health(True, balance=12.0345, currency="USD")
    (asked,) = provider.asked
    api.check(asked.method, asked.target, asked.headers, asked.body)
    assert asked.target == f"/2010-04-01/Accounts/{ACCOUNT}/Balance.json"


@pytest.mark.parametrize(
    ("said", "health"),
    [
        ((200, {"balance": "-0.5", "currency": "USD"}), Health(True, balance=-0.5, currency="USD")),
        ((200, {"balance": "0"}), Health(True, balance=0.0)),
        ((200, {"balance": None}), Health(True)),  # a subaccount has none
        ((200, {"balance": "nan"}), Health(False, "reply-unreadable")),
        ((200, {"balance": "much"}), Health(False, "reply-unreadable")),
        ((200, {"balance": "1", "account_sid": "AC" + "ff" * 16}), Health(False, "reply-unreadable")),
        ((401, {"code": 20003, "message": "Authenticate", "status": 401}), Health(False, "http-401")),
        ((403, {"code": 20003}), Health(False, "http-403")),
        ((404, {"code": 20404, "message": f"/Accounts/{ACCOUNT}"}), Health(False, "http-404")),
        ((429, {}), Health(False, "http-429")),
        ((500, {}), Health(False, "http-500")),
    ],
    ids=str,
)
def test_health_has_one_meaning(asking: Twilio, provider, said: tuple[int, dict[str, object]], health: Health) -> None:
    status, body = said
    provider.says(status, json.dumps({"account_sid": ACCOUNT, **body}))
    assert asking.health() == health


@pytest.mark.parametrize(
    "said", ["", "<html>", "[]", "null", "{}", "[" * 100_000], ids=lambda said: said[:9] or "empty"
)
def test_an_answer_that_is_none_is_not_health(asking: Twilio, provider, said: str) -> None:
    provider.says(200, said)
    assert asking.health() == Health(False, "reply-unreadable")


def test_a_provider_that_is_not_there_is_not_well(message: Message) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        options = {"account": ACCOUNT, "token": TOKEN, "sender": "+14155552345"}
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        made = Twilio(ChannelSettings(provider="twilio", url=url, options=options))
        assert made.health() == Health(False, "not-connected")
        assert made.look_up(message, SINCE) is None
    made.close()


def test_questions_tell_no_secret(asking: Twilio, provider, message: Message, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    provider.says(404, json.dumps({"code": 20404, "message": f"{ACCOUNT} {TOKEN}", "status": 404}))
    said = repr(asking.health()) + repr(asking.look_up(message, SINCE)) + caplog.text
    assert [secret for secret in (ACCOUNT, TOKEN, "13812345678") if secret in said] == []
    assert len(provider.asked) == 2
