"""The generic gateway: every kind of reply from a server on this machine, and no reply at all."""

import asyncio
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

import channels.http1
import channels.wire
from channels.base import Answer, Callback, Channel, ChannelError, ChannelSettings, Message, Receipt, ReceiptWord
from channels.sms import Sms

Messages = Callable[..., list[Message]]


def gateway(url: str, **options: str) -> Channel:
    return Sms(ChannelSettings(provider="http", url=url, options=options))


@pytest.fixture
def sms(provider) -> Iterator[Channel]:
    made = gateway(f"{provider.url}/send?token=s3cret")
    yield made
    made.close()


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """The times of a request, shortened: what is proven is that they end it, not how long they are."""
    monkeypatch.setattr(channels.wire, "ANSWER_S", 0.3)
    monkeypatch.setattr(channels.wire, "LOOK_EVERY_S", 0.1)
    monkeypatch.setattr(channels.wire, "CONNECT_S", 0.3)


def words(answers: list[Answer]) -> list[str]:
    return [answer.word.value for answer in answers]


def test_a_request_holds_the_message(sms: Channel, provider, messages: Messages) -> None:
    (message,) = messages(1, text='一"二"\n三\\', parts=2)
    assert words(sms.send([message])) == ["accepted"]
    (asked,) = provider.asked
    assert asked.json == {
        "delivery": message.delivery,
        "to": message.to,
        "text": message.text,
        "parts": 2,
        "expires": "2026-11-24T06:00:00.123+00:00",
    }
    assert int(datetime.fromisoformat(asked.json["expires"]).timestamp() * 1000) == message.expires_at
    assert asked.target == "/send?token=s3cret"
    assert asked.headers["content-type"] == "application/json"


def test_a_request_holds_the_address_for_receipts_where_there_is_one(
    sms: Channel, provider, messages: Messages
) -> None:
    (message,) = messages(1)
    sms.send([replace(message, callback='https://a.example/callbacks/"1"')])
    assert provider.asked[0].json["callback"] == 'https://a.example/callbacks/"1"'


@pytest.mark.parametrize(
    ("told", "receipt"),
    [
        ({"word": "delivered"}, Receipt(ReceiptWord.DELIVERED, "delivered")),
        (
            {"word": "failed", "id": 7, "reason": "absent", "at": "2026-11-24T10:00:00+08:00"},
            Receipt(ReceiptWord.FAILED, "failed", "7", "absent", at=1_795_485_600_000),
        ),
        ({"word": "expired", "at": "1795485600000"}, Receipt(ReceiptWord.EXPIRED, "expired", at=1_795_485_600_000)),
        ({"word": "accepted", "at": "yesterday"}, Receipt(ReceiptWord.ACCEPTED, "accepted")),
        ({"word": "on its way"}, Receipt(ReceiptWord.UNKNOWN, "on its way")),
    ],
)
def test_a_receipt_is_read_from_a_body_and_from_a_query(told: dict[str, object], receipt: Receipt) -> None:
    reporting = gateway("http://127.0.0.1:9/").provider
    by_get = Callback("GET", "http://x/", {name: str(value) for name, value in told.items()}, {}, {})
    by_post = Callback("POST", "http://x/", {}, {}, {}, json.dumps(told).encode())
    assert reporting.read_receipts(by_get) == reporting.read_receipts(by_post) == [receipt]


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"word": true}', b'{"word": ["delivered"]}'])
def test_a_receipt_without_a_word_cannot_be_read(body: bytes) -> None:
    with pytest.raises(ValueError, match="a receipt"):
        gateway("http://127.0.0.1:9/").provider.read_receipts(Callback("POST", "http://x/", {}, {}, {}, body))


TABLE = [
    ((200, '{"id":"a-1"}'), "accepted", "", "a-1"),
    ((201, '{"id":17,"more":[1]}'), "accepted", "", "17"),
    ((202, "{}"), "accepted", "", None),
    ((200, '{"id":null}'), "accepted", "", None),
    ((200, ""), "uncertain", "reply-unreadable", None),
    ((200, "<html>welcome to the hotel</html>"), "uncertain", "reply-unreadable", None),
    ((200, '"ok"'), "uncertain", "reply-unreadable", None),
    ((200, "[" * 100_000), "uncertain", "reply-unreadable", None),
    ((200, b"\xff\xfe\x00"), "uncertain", "reply-unreadable", None),
    ((200, '{"error":"no credit"}'), "uncertain", "reply-says-error", None),
    ((301, ""), "config_error", "http-301", None),
    ((401, "{}"), "config_error", "http-401", None),
    ((403, "{}"), "config_error", "http-403", None),
    ((404, "{}"), "config_error", "http-404", None),
    ((405, "{}"), "config_error", "http-405", None),
    ((408, "{}"), "retry", "http-408", None),
    ((429, "{}"), "retry", "http-429", None),
    ((503, "{}"), "retry", "http-503", None),
    ((400, '{"code":"bad-number","message":"x"}'), "failed", "bad-number", None),
    ((422, '{"error":{"code":"landline"}}'), "failed", "landline", None),
    ((410, '{"reason":"gone away"}'), "failed", "gone away", None),
    ((400, "no"), "failed", "http-400", None),
    ((500, "{}"), "uncertain", "http-500", None),
    ((502, "<html>"), "uncertain", "http-502", None),
    ((504, "{}"), "uncertain", "http-504", None),
    (b"HTTP/1.1 2x0 what\r\n\r\n", "uncertain", "connection-lost", None),
    (b"SSH-2.0-OpenSSH\r\n\r\n", "uncertain", "connection-lost", None),
]


@pytest.mark.parametrize("row", TABLE, ids=lambda row: str(row)[:60])
def test_every_reply_has_one_meaning(
    sms: Channel, provider, messages: Messages, row: tuple[bytes | tuple[int, str], str, str, str | None]
) -> None:
    said, word, reason, ref = row
    if isinstance(said, tuple):
        provider.says(*said)
    else:
        provider.plays = lambda asked: said
    (answer,) = sms.send(messages())
    assert (answer.word, answer.reason, answer.ref) == (word, reason, ref)
    assert len(provider.asked) == 1  # no retry and no redirect behind our back


def test_a_redirect_is_not_followed(sms: Channel, provider, messages: Messages) -> None:
    provider.says(307, "", Location="/elsewhere")
    assert [(a.word, a.reason) for a in sms.send(messages())] == [("config_error", "http-307")]
    assert [asked.target for asked in provider.asked] == ["/send?token=s3cret"]


def test_the_raw_answer_is_kept_on_one_line_and_cut(sms: Channel, provider, messages: Messages) -> None:
    provider.says(400, "bad\r\n\x1b[31m" + "x" * 1000)
    (answer,) = sms.send(messages())
    assert answer.detail.startswith("bad   [31mxxx")
    assert len(answer.detail) == 200
    provider.says(400, json.dumps({"reason": "y" * 1000}))
    assert sms.send(messages())[0].reason == "y" * 200


@pytest.mark.parametrize("said", ["+8613812345678", "8613812345678", "13812345678"])
def test_a_number_that_the_provider_repeats_is_not_kept(sms: Channel, provider, messages: Messages, said: str) -> None:
    provider.says(400, json.dumps({"reason": f"number {said} is off"}))
    (answer,) = sms.send(messages())
    assert answer.reason == "number *** is off"
    assert "13812345678" not in repr(answer)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        ("2.5", 2.5),
        ("0", 0.0),
        ("soon", None),
        ("-1", None),
        (timedelta(minutes=1), 60.0),
        (timedelta(-1), 0.0),
    ],
)
def test_retry_after_is_honoured(
    sms: Channel, provider, messages: Messages, header: str | timedelta, seconds: float | None
) -> None:
    if isinstance(header, timedelta):
        header = format_datetime(datetime.now(UTC) + header, usegmt=True)
    provider.says(429, Retry_After=header)
    (answer,) = sms.send(messages())
    assert answer.word == "retry"
    assert answer.after_s == (None if seconds is None else pytest.approx(seconds, abs=3 if "GMT" in header else 0))


def test_a_provider_that_takes_it_and_drops_the_reply_leaves_it_uncertain(
    sms: Channel, provider, messages: Messages
) -> None:
    provider.plays = lambda asked: None
    (answer,) = sms.send(messages())
    assert (answer.word, answer.reason) == ("uncertain", "connection-lost")
    assert len(provider.asked) == 1


def test_a_connection_reset_after_the_request_leaves_it_uncertain(sms: Channel, provider, messages: Messages) -> None:
    provider.plays, provider.reset = (lambda asked: None), True
    assert [(a.word, a.reason) for a in sms.send(messages())] == [("uncertain", "connection-lost")]


def test_a_reply_cut_in_its_middle_leaves_it_uncertain(sms: Channel, provider, messages: Messages) -> None:
    provider.plays, provider.cut = (lambda asked: provider.reply(200, '{"id":"abc"}')[:-5]), True
    assert [(a.word, a.reason) for a in sms.send(messages())] == [("uncertain", "connection-lost")]


def test_a_reply_that_does_not_come_leaves_it_uncertain(
    hurried: None, sms: Channel, provider, messages: Messages
) -> None:
    provider.wait = 5.0
    started = time.monotonic()
    assert [(a.word, a.reason) for a in sms.send(messages(3))] == [("uncertain", "timeout")] * 3
    assert time.monotonic() - started < 2


def test_a_reply_that_drips_is_ended_too(hurried: None, sms: Channel, provider, messages: Messages) -> None:
    provider.drip = 0.05
    started = time.monotonic()
    assert [(a.word, a.reason) for a in sms.send(messages())] == [("uncertain", "timeout")]
    assert time.monotonic() - started < 2


def test_one_slow_reply_does_not_spoil_the_others(hurried: None, provider, messages: Messages) -> None:
    sms = gateway(provider.url, connections="2")
    provider.wait = 0.15  # five rounds on two connections: longer together than one request may take
    assert words(sms.send(messages(10))) == ["accepted"] * 10
    sms.close()


def test_a_reply_without_an_end_is_not_read_to_it(sms: Channel, provider, messages: Messages) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n"
    provider.plays = lambda asked: head + b"x" * 200_000
    started = time.monotonic()
    assert [(a.word, a.reason) for a in sms.send(messages())] == [("uncertain", "reply-unreadable")]
    assert time.monotonic() - started < 2


def test_a_chunked_reply_is_read(sms: Channel, provider, messages: Messages) -> None:
    body = b'5\r\n{"id"\r\n6\r\n:"c1"}\r\n0\r\n\r\n'
    provider.plays = lambda asked: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body
    assert [(a.word, a.ref) for a in sms.send(messages())] == [("accepted", "c1")]


def test_a_refused_connection_is_a_retry(messages: Messages) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        sms = gateway(f"http://127.0.0.1:{free.getsockname()[1]}/")
        assert [(a.word, a.reason) for a in sms.send(messages(2))] == [("retry", "not-connected")] * 2
    sms.close()


def test_an_unknown_host_is_a_retry(messages: Messages) -> None:
    sms = gateway("http://gateway.invalid/send")
    assert [(a.word, a.reason) for a in sms.send(messages())] == [("retry", "not-connected")]
    sms.close()


def test_a_name_server_that_hangs_is_a_retry(
    hurried: None, messages: Messages, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hangs(*_: object) -> list[object]:
        await asyncio.sleep(10)
        return []

    monkeypatch.setattr(channels.http1, "look_up", hangs)
    monkeypatch.setattr(channels.wire, "ANSWER_S", 5.0)
    sms = gateway("http://gateway.example/send")
    started = time.monotonic()
    assert [(a.word, a.reason) for a in sms.send(messages())] == [("retry", "not-connected")]
    assert time.monotonic() - started < 2
    sms.close()


def test_a_host_that_takes_no_connections_is_a_retry(
    hurried: None, messages: Messages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channels.wire, "ANSWER_S", 5.0)
    with socket.socket() as busy, socket.socket() as first, socket.socket() as second:
        busy.bind(("127.0.0.1", 0))
        busy.listen(0)
        for waiting in (first, second):  # the queue of the listener is full
            waiting.setblocking(False)
            waiting.connect_ex(busy.getsockname())
        sms = gateway(f"http://127.0.0.1:{busy.getsockname()[1]}/")
        assert [(a.word, a.reason) for a in sms.send(messages())] == [("retry", "connect-timeout")]
        sms.close()


def test_a_certificate_that_nobody_vouches_for_stops_the_channel(tmp_path: Path, messages: Messages) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    draft = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    draft = draft.serial_number(1).not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    pem = draft.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (tmp_path / "both.pem").write_bytes(pem + key.private_bytes(*form))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "both.pem")
    with socket.create_server(("127.0.0.1", 0)) as server:

        def shake() -> None:
            raw, _ = server.accept()
            with raw, pytest.raises(OSError):
                context.wrap_socket(raw, server_side=True).recv(1)

        thread = threading.Thread(target=shake)
        thread.start()
        sms = gateway(f"https://127.0.0.1:{server.getsockname()[1]}/")
        assert [(a.word, a.reason) for a in sms.send(messages())] == [("config_error", "tls")]
        sms.close()
        thread.join(5)


def test_answers_are_in_the_order_of_the_messages(sms: Channel, provider, messages: Messages) -> None:
    def by_number(asked) -> bytes:
        n = int(asked.json["delivery"].split("-")[1])
        return provider.reply(503) if n % 3 == 0 else provider.reply(200, json.dumps({"id": f"r{n}"}))

    provider.plays = by_number
    answers = sms.send(messages(250))
    assert [a.ref for a in answers] == [None if n % 3 == 0 else f"r{n}" for n in range(1, 251)]
    assert len(provider.asked) == 250


def test_a_window_is_in_flight_at_once_and_its_connections_are_kept(sms: Channel, provider, messages: Messages) -> None:
    provider.wait = 0.2
    started = time.monotonic()
    sms.send(messages(60))
    assert time.monotonic() - started < 60 * 0.2 / 4
    assert provider.most_open == 60
    sms.send(messages(60))
    assert provider.connections == 60


def test_the_number_of_connections_is_a_limit(provider, messages: Messages) -> None:
    sms = gateway(provider.url, connections="5")
    provider.wait = 0.02
    assert words(sms.send(messages(40))) == ["accepted"] * 40
    assert provider.most_open == provider.connections == 5
    sms.close()


def test_a_closed_channel_opens_again(sms: Channel, provider, messages: Messages) -> None:
    before = threading.active_count()
    sms.send(messages())
    assert threading.active_count() == before + 1
    sms.close()
    assert threading.active_count() == before
    assert words(sms.send(messages())) == ["accepted"]


def test_closing_leaves_nobody_waiting(sms: Channel, provider, messages: Messages) -> None:
    provider.wait = 5.0
    found: list[Answer] = []
    sender = threading.Thread(target=lambda: found.extend(sms.send(messages(3))))
    sender.start()
    while not provider.open_now:
        time.sleep(0.01)
    sms.close()
    sender.join(5)
    assert words(found) == ["uncertain"] * 3


def test_nothing_to_send_starts_nothing(provider) -> None:
    before = threading.active_count()
    assert gateway(provider.url).send([]) == []
    assert threading.active_count() == before


@pytest.mark.parametrize("url", ["", "gateway.example/send", "ftp://x/y", "http://", "http://[::1/send"])
def test_an_address_that_is_none_is_refused_before_anything_is_sent(url: str) -> None:
    with pytest.raises(ChannelError, match="address"):
        gateway(url)


@pytest.mark.parametrize("connections", ["0", "many", "-3", "2001", "", "٣"])
def test_a_number_of_connections_that_is_none_is_refused(connections: str) -> None:
    with pytest.raises(ChannelError, match="connections"):
        gateway("http://127.0.0.1/", connections=connections)


def test_the_token_in_the_address_is_in_no_answer(sms: Channel, provider, messages: Messages) -> None:
    provider.plays = lambda asked: None
    assert "s3cret" not in repr(sms.send(messages()))
    dead = gateway("http://127.0.0.1:1/?token=s3cret")
    assert "s3cret" not in repr(dead.send(messages()))
    dead.close()
