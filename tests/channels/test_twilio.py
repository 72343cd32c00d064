"""Sending through Twilio: what goes out, by Twilio's own OpenAPI file, and what each reply means.

The server is ours and gives replies of Twilio's shape; that file has no error replies to hold them to.
"""

import json
from base64 import b64decode
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import parse_qsl

import pytest
from twilio_api import Api

import channels.sms.twilio as adapter
from channels.base import AnswerWord, Channel, ChannelError, ChannelSettings, Message
from channels.sms import Sms
from channels.sms.twilio_words import ERRORS, STATUSES

Messages = Callable[..., list[Message]]
ACCOUNT = "AC" + "0a" * 16
TOKEN = "f00d" * 8
SENDER = "+14155552345"
SERVICE = "MG" + "1b" * 16
NOW = 1_795_400_000  # s
SM = "SM{:032x}".format
CALLBACK = "https://alerts.example.org/callbacks/sms/twilio/7-1-AbCdEfGhIjKl/0123abcd"


def twilio(url: str, **options: str) -> Sms:
    usual = {"account": ACCOUNT, "token": TOKEN, "sender": SENDER}
    return Sms(ChannelSettings(provider="twilio", url=url, options={**usual, **options}))


def taken(number: int = 1, **changes: object) -> dict[str, object]:
    """A message as Twilio tells it."""
    usual: dict[str, object] = {
        "account_sid": ACCOUNT,
        "api_version": "2010-04-01",
        "body": "【吉林消防】林区火险红色预警，请勿用火。",
        "date_created": "Mon, 23 Nov 2026 02:13:20 +0000",
        "date_sent": None,
        "date_updated": "Mon, 23 Nov 2026 02:13:21 +0000",
        "direction": "outbound-api",
        "error_code": None,
        "error_message": None,
        "from": SENDER,
        "num_media": "0",
        "num_segments": "1",
        "price": None,
        "price_unit": None,
        "messaging_service_sid": None,
        "sid": SM(number),
        "status": "queued",
        "to": "+8613812345678",
        "uri": f"/2010-04-01/Accounts/{ACCOUNT}/Messages/{SM(number)}.json",
    }
    return {**usual, **changes}


def error(code: object, status: int = 400) -> str:
    info = f"https://www.twilio.com/docs/errors/{code}"
    return json.dumps({"code": code, "message": "no", "more_info": info, "status": status})


@pytest.fixture(autouse=True)
def now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapter, "time", SimpleNamespace(time=lambda: float(NOW)))


@pytest.fixture
def sms(provider) -> Iterator[Channel]:
    provider.says(201, json.dumps(taken()))
    made = twilio(provider.url)
    yield made
    made.close()


@pytest.fixture(scope="session")
def api(test_data: Path) -> Api:
    return Api(test_data)


def form(asked) -> dict[str, str]:
    return dict(parse_qsl(asked.body.decode("ascii"), keep_blank_values=True, strict_parsing=True))


@pytest.mark.parametrize(
    ("options", "changes", "fields"),
    [
        ({}, {}, {"From": SENDER}),
        ({"sender": "", "service": SERVICE}, {}, {"MessagingServiceSid": SERVICE}),
        ({"service": SERVICE}, {}, {"MessagingServiceSid": SERVICE, "From": SENDER}),
        ({}, {"callback": CALLBACK}, {"From": SENDER, "StatusCallback": CALLBACK}),
        ({}, {"text": "a&b=c+d %\n𠮷🔥\u202f“"}, {"From": SENDER}),
    ],
)
def test_a_request_is_one_that_twilio_describes(
    api: Api, provider, messages: Messages, options: dict[str, str], changes: dict[str, str], fields: dict[str, str]
) -> None:
    provider.says(201, json.dumps(taken()))
    sms = twilio(provider.url, **options)
    (message,) = messages(1, expires_at=(NOW + 3600) * 1000, **changes)
    assert [(a.word, a.ref, a.detail) for a in sms.send([message])] == [("accepted", SM(1), "")]
    (asked,) = provider.asked
    api.check(asked.method, asked.target, asked.headers, asked.body)
    # Nothing that would change the words, and no field that was not asked for.
    assert form(asked) == {"To": "+8613812345678", "Body": message.text, "ValidityPeriod": "3600", **fields}
    assert b64decode(asked.headers["authorization"].removeprefix("Basic ")).decode() == f"{ACCOUNT}:{TOKEN}"
    sms.close()


def test_the_judge_finds_what_twilio_does_not_describe(api: Api) -> None:
    target = f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json"
    headers = {"content-type": "application/x-www-form-urlencoded", "authorization": "Basic eA=="}
    good = "To=%2B8613812345678&Body=x&ValidityPeriod=6&MessagingServiceSid=" + SERVICE
    api.check("POST", target, headers, good.encode())
    bad_forms = [
        good.replace("To=%2B86", "To=86"),
        good.replace("To=", "Two="),
        good + "&Colour=red",
        good.replace("=6", "=soon"),
        good[:-1],
        good + "&Body=y",
    ]
    wrong = [("POST", target, body) for body in bad_forms]
    wrong += [("PUT", target, good), ("POST", target.replace("AC0a", "AC0x"), good), ("GET", target, good)]
    wrong += [("GET", target + "?Since=2026", ""), ("GET", target + "?DateSent%3E=yesterday", "")]
    for method, at, body in wrong:
        with pytest.raises(AssertionError):
            api.check(method, at, headers, body.encode())


def test_the_stand_in_speaks_as_the_file_describes(api: Api) -> None:
    api.answer("api.v2010.account.message", taken())
    assert set(api.file["components"]["schemas"]["message_enum_status"]["enum"]) == set(STATUSES)


@pytest.mark.parametrize(
    ("left_ms", "period"),
    [
        (5_000, None),
        (5_999, None),
        (6_000, "6"),
        (7_999, "7"),
        (36_000_000, "36000"),
        (36_001_000, "36000"),
        (-1, None),
    ],
)
def test_a_message_lives_at_twilio_as_long_as_its_campaign(
    sms: Channel, provider, messages: Messages, left_ms: int, period: str | None
) -> None:
    (answer,) = sms.send(messages(1, expires_at=NOW * 1000 + left_ms))
    assert [form(asked)["ValidityPeriod"] for asked in provider.asked] == ([period] if period else [])
    assert (answer.word, answer.reason) == (("accepted", "") if period else ("retry", "expires"))


@pytest.mark.parametrize(
    ("text", "word", "reason"),
    [
        ("火" * 1600, "accepted", ""),
        ("火" * 1601, "failed", "21617"),
        ("", "failed", "21602"),
        (" \n", "failed", "21602"),
        ("x", "accepted", ""),
        ("half a pair \ud83d", "failed", "text-unencodable"),
    ],
    ids=lambda value: str(value)[:9].encode("ascii", "replace").decode(),
)
def test_a_text_has_a_length(sms: Channel, provider, messages: Messages, text: str, word: str, reason: str) -> None:
    (answer,) = sms.send(messages(1, text=text))
    assert (answer.word, answer.reason) == (word, reason)
    assert len(provider.asked) == (word == "accepted")


@pytest.mark.parametrize(
    "to", ["tel:13812345678", "tel:+0123456789", "tel:+86", "wecom:key", "tel:+86138&To=+1", "tel:+٣٣٣٣٣٣٣"]
)
def test_what_is_no_number_is_not_sent(sms: Channel, provider, messages: Messages, to: str) -> None:
    assert [(a.word, a.reason) for a in sms.send(messages(1, to=to))] == [("failed", "21211")]
    assert provider.asked == []


C, F, R, U, S = "config_error", "failed", "retry", "uncertain", "suppressed"
CODES = {
    **{20003: C, 20404: C, 20429: R, 21211: F, 21614: F, 21604: F, 21212: C, 21606: C, 21703: C, 21704: C, 21705: C},
    **{21408: C, 21602: F, 21617: F, 21610: S, 21611: R, 30001: R, 30002: C, 30003: R, 30004: F, 30007: F},
    **{30005: F, 30006: F, 30008: U, 30410: U, 63018: R},
}


def test_every_code_of_the_table_is_tried() -> None:
    assert set(CODES) == set(ERRORS)


@pytest.mark.parametrize(("code", "word"), CODES.items())
def test_every_code_has_one_meaning(sms: Channel, provider, messages: Messages, code: int, word: str) -> None:
    provider.says(400, error(code))
    (answer,) = sms.send(messages())
    assert (answer.word, answer.reason, answer.ref) == (word, str(code), None)
    assert len(provider.asked) == 1
    # The same, told of a message that was taken and ended at once.
    provider.says(201, json.dumps(taken(status="failed", error_code=code)))
    (answer,) = sms.send(messages())
    assert (answer.word, answer.reason, answer.ref) == (word, str(code), SM(1))


@pytest.mark.parametrize(
    ("code", "after"), [(21611, 120.0), (30001, 120.0), (30003, 300.0), (63018, 60.0), (20429, None)]
)
def test_a_code_that_passes_says_when(
    sms: Channel, provider, messages: Messages, code: int, after: float | None
) -> None:
    provider.says(429, error(code, 429))
    assert sms.send(messages())[0].after_s == after
    provider.says(429, error(code, 429), Retry_After="7")
    assert sms.send(messages())[0].after_s == 7.0


def whole(**changes: object) -> str:
    return json.dumps(taken(**changes))


TABLE = [
    ((200, whole()), "accepted", ""),
    ((201, whole(status="accepted", **{"from": None})), "accepted", ""),
    ((201, whole(status="scheduled")), "accepted", ""),
    ((201, whole(status="delivered")), "accepted", ""),
    ((201, whole(status="a_new_word")), "accepted", ""),
    ((201, whole(sid="MM" + "Af" * 16)), "accepted", ""),
    ((201, whole(status="failed")), "failed", "failed"),
    ((201, whole(status="canceled")), "failed", "canceled"),
    ((201, whole(status="undelivered", error_code=12345)), "failed", "12345"),
    ((201, whole(to="+8613812345679")), "uncertain", "reply-of-another"),
    ((201, whole(to=None)), "uncertain", "reply-of-another"),
    ((201, whole(account_sid="AC" + "ff" * 16)), "uncertain", "reply-of-another"),
    ((201, whole(status="received")), "uncertain", "reply-of-another"),
    ((201, whole(sid="SM123")), "uncertain", "reply-unreadable"),
    ((201, whole(sid="SM" + "g" * 32)), "uncertain", "reply-unreadable"),
    ((201, whole(sid=SM(1) + "\n")), "uncertain", "reply-unreadable"),
    ((201, whole(sid=None)), "uncertain", "reply-unreadable"),
    ((201, "{}"), "uncertain", "reply-unreadable"),
    ((200, ""), "uncertain", "reply-unreadable"),
    ((200, "<html>welcome to the hotel</html>"), "uncertain", "reply-unreadable"),
    ((200, "[" * 100_000), "uncertain", "reply-unreadable"),
    ((200, b"\xff\xfe\x00"), "uncertain", "reply-unreadable"),
    ((307, ""), "config_error", "http-307"),
    ((401, error(20003, 401)), "config_error", "20003"),
    ((404, error(20404, 404)), "config_error", "20404"),
    ((401, "<html>"), "config_error", "http-401"),
    ((403, error(20005, 403)), "config_error", "20005"),
    ((404, ""), "config_error", "http-404"),
    ((408, ""), "retry", "http-408"),
    ((429, ""), "retry", "http-429"),
    ((429, error(20429, 429)), "retry", "20429"),
    ((400, error(21699)), "failed", "21699"),
    ((400, error("21699")), "failed", "21699"),
    ((422, error(21610, 422)), "suppressed", "21610"),
    ((400, error(True)), "uncertain", "http-400"),
    ((400, error(-5)), "uncertain", "http-400"),
    ((400, "<html>the proxy does not like you</html>"), "uncertain", "http-400"),
    ((500, error(20500, 500)), "uncertain", "http-500"),
    ((503, error(20503, 503)), "uncertain", "http-503"),
    ((503, error(21211, 503)), "uncertain", "http-503"),
    ((504, "<html>"), "uncertain", "http-504"),
    (b"HTTP/1.1 2x0 what\r\n\r\n", "uncertain", "connection-lost"),
    (None, "uncertain", "connection-lost"),
]


@pytest.mark.parametrize(("said", "word", "reason"), TABLE, ids=lambda value: str(value)[:70])
def test_every_reply_has_one_meaning(
    sms: Channel, provider, messages: Messages, said: tuple[int, str] | bytes | None, word: str, reason: str
) -> None:
    if isinstance(said, tuple):
        provider.says(*said)
    else:
        provider.plays = lambda asked: said
    (answer,) = sms.send(messages())
    assert (answer.word, answer.reason) == (word, reason)
    assert len(provider.asked) == 1  # no second try and no redirect behind our back


def test_an_answer_that_comes_twice_belongs_to_one_message(sms: Channel, messages: Messages) -> None:
    first, second = sms.send(messages(1)) + sms.send(messages(1))
    assert (first.word, first.ref) == ("accepted", SM(1))
    assert (second.word, second.reason, second.ref) == ("uncertain", "reply-of-another", None)


def test_the_memory_of_answers_has_an_end(
    sms: Channel, provider, messages: Messages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter, "REMEMBERED", 2)
    said = []
    for number in (1, 2, 2, 3, 1):
        provider.says(201, whole(sid=SM(number)))
        said += [answer.word.value for answer in sms.send(messages(1))]
    assert said == ["accepted", "accepted", "uncertain", "accepted", "accepted"]


def test_a_reply_after_a_rewritten_country_code_is_still_ours(sms: Channel, provider, messages: Messages) -> None:
    provider.says(201, whole(to="+5215512345678"))  # Mexico: a 1 between country code and number
    assert [a.word for a in sms.send(messages(1, to="tel:+525512345678"))] == ["accepted"]


def test_answers_are_in_the_order_of_the_messages(sms: Channel, provider, messages: Messages) -> None:
    def by_callback(asked) -> bytes:
        number = int(form(asked)["StatusCallback"].rsplit("/", 1)[1])
        return provider.reply(400, error(21211)) if number % 3 == 0 else provider.reply(201, whole(sid=SM(number)))

    provider.plays = by_callback
    sent = [messages(1, callback=f"https://alerts.example.org/{number}")[0] for number in range(120)]
    assert [a.ref for a in sms.send(sent)] == [None if number % 3 == 0 else SM(number) for number in range(120)]


@pytest.mark.parametrize("said", ["{0}", "{1}", "Authorization: Basic {2}", "x" * 190 + "{0} {1} {2} +8613812345678"])
def test_no_secret_and_no_number_is_in_an_answer(
    sms: Channel, provider, messages: Messages, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    told: list[str] = []

    def repeats(asked) -> bytes:
        basic = asked.headers["authorization"].removeprefix("Basic ")
        body = json.dumps({"code": 20404, "message": said.format(ACCOUNT, TOKEN, basic), "uri": asked.target})
        told.extend([ACCOUNT, TOKEN, basic, "13812345678"])
        return provider.reply(404, body)

    provider.plays = repeats
    answers = repr(sms.send(messages()))
    provider.plays = lambda asked: None
    everything = answers + repr(sms.send(messages())) + caplog.text + repr(sms.provider)
    assert told
    assert [secret for secret in told if secret[:12] in everything] == []


BAD = [
    ({"account": ""}, "ACCOUNT"),
    ({"account": "AC123"}, "ACCOUNT"),
    ({"account": "SK" + "0a" * 16}, "ACCOUNT"),
    ({"token": ""}, "ACCOUNT"),
    ({"sender": ""}, "SENDER"),
    ({"sender": "+0"}, "SENDER"),
    ({"sender": "a name that is too long"}, "SENDER"),
    ({"service": "MG12"}, "SERVICE"),
    ({"connections": "0"}, "connections"),
]


@pytest.mark.parametrize(("options", "names"), BAD)
def test_settings_that_cannot_be_right_are_refused_by_name(options: dict[str, str], names: str) -> None:
    with pytest.raises(ChannelError, match=names) as caught:
        twilio("https://api.twilio.com", **options)
    assert TOKEN not in str(caught.value)
    assert ACCOUNT not in str(caught.value)


@pytest.mark.parametrize("sender", ["+1415555", "+" + "1" * 15, "911", "12345678", "JilinFire", "A" * 11, "Fire 119"])
def test_a_sender_is_a_number_a_short_code_or_a_name(sender: str) -> None:
    twilio("https://api.twilio.com", sender=sender).close()


@pytest.mark.parametrize("sender", ["+141555", "+" + "1" * 16, "91", "123456789", "A" * 12])
def test_a_sender_one_past_its_limits_is_refused(sender: str) -> None:
    with pytest.raises(ChannelError, match="SENDER"):
        twilio("https://api.twilio.com", sender=sender)


@pytest.mark.parametrize("url", ["http://api.twilio.com", "http://10.0.0.1", "api.twilio.com", ""])
def test_the_token_goes_over_tls_only(url: str) -> None:
    with pytest.raises(ChannelError, match="address"):
        twilio(url)


def test_the_environment_of_the_sdk_changes_no_address(
    provider, messages: Messages, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TWILIO_REGION", "TWILIO_EDGE"):
        monkeypatch.setenv(name, "elsewhere")
    sms = twilio(provider.url)
    sms.provider.health()
    assert [asked.target for asked in provider.asked] == [f"/2010-04-01/Accounts/{ACCOUNT}/Balance.json"]
    sms.close()


def test_every_word_of_an_answer_can_come() -> None:
    assert {meaning.word for meaning in ERRORS.values()} == set(AnswerWord) - {AnswerWord.ACCEPTED}
