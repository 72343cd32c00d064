"""移动云MAS against a platform of the tests' own: what is sent, what each of its words means, what it pushes."""

import base64
import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mas_platform import Platform

from channels.base import Answer, Callback, Channel, ChannelError, ChannelSettings, Message, Receipt
from channels.sms import Sms
from channels.sms.mas import REFUSALS, STATUSES, Mas, read
from channels.sms.segments import measure

Messages = Callable[..., list[Message]]
FAR = 4_000_000_000_000


@pytest.fixture
def platform() -> Iterator[Platform]:
    made = Platform().start()
    yield made
    made.stop()


def mas(platform: Platform, **options: str) -> Channel:
    given = {**platform.options, **options}
    return Sms(ChannelSettings(provider="mas", url=platform.url, options=given))


@pytest.fixture
def sms(platform: Platform) -> Iterator[Channel]:
    made = mas(platform)
    yield made
    made.close()


@pytest.fixture
def messages(messages: Messages) -> Messages:
    return lambda count=1, **changes: messages(count, **{"expires_at": FAR, **changes})


def reader() -> Mas:
    return Mas(ChannelSettings(provider="mas", url="http://127.0.0.1:9/sms/norsubmit", options=Platform().options))


def pushed(body: Any) -> Callback:
    raw = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
    return Callback("POST", "https://a.example/callbacks/sms/mas/receipts?key=k", {}, {}, {}, raw)


def words(answers: list[Answer]) -> list[tuple[str, str]]:
    return [(answer.word.value, answer.reason) for answer in answers]


# ---- what is sent ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["请勿用火。", '一"二"\n三\\', "불조심 🔥 fire & 100%", "a"])
def test_a_message_passes_a_platform_that_checks_it_by_the_book(
    sms: Channel, platform: Platform, messages: Messages, text: str
) -> None:
    (answer,) = sms.send(messages(1, text=f"【吉林消防】{text}"))
    assert platform.shown == [("13812345678", f"【吉林消防】{text}", answer.ref)]
    assert (answer.word, answer.reason) == ("accepted", "")


def test_every_number_is_a_request_with_a_reference_of_its_own(
    sms: Channel, platform: Platform, messages: Messages
) -> None:
    to = [f"tel:+86138000000{n:02d}" for n in range(30)]
    made = [replace(message, to=number) for message, number in zip(messages(30), to, strict=True)]
    answers = sms.send(made)
    assert len(platform.bodies) == 30
    kept = {number: group for number, _, group in platform.shown}
    assert [kept[number[7:]] for number in to] == [answer.ref for answer in answers]
    assert len({answer.ref for answer in answers}) == 30


@pytest.mark.parametrize(
    ("adds", "text", "content"),
    [
        ("yes", "【吉林消防】请勿用火。", "请勿用火。"),
        ("yes", "【吉林消防】 请勿用火。", "请勿用火。"),
        # What follows the signature is the text's own, whatever brackets it likes.
        ("yes", "【吉林消防】【提醒】请勿用火。", "【提醒】请勿用火。"),
        ("yes", "请勿用火【重要】。", "请勿用火【重要】。"),
        ("no", "【吉林消防】请勿用火。", "【吉林消防】请勿用火。"),
    ],
)
def test_exactly_one_place_adds_the_signature(
    platform: Platform, messages: Messages, adds: str, text: str, content: str
) -> None:
    sms = mas(platform, adds_signature=adds)
    assert words(sms.send(messages(1, text=text))) == [("accepted", "")]
    assert json.loads(base64.b64decode(platform.bodies[0]))["content"] == content
    if adds == "yes" and text.startswith("【"):
        assert platform.shown[0][1] == text.replace("】 ", "】")
    sms.close()


@pytest.mark.parametrize("adds", ["yes", "no"])
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("【吉林消防】【吉林消防】请勿用火。", "signature-twice"),
        ("【吉林消防】请勿用火。【吉林消防】", "signature-twice"),
        ("【吉林消防】", "signature-only"),
        (" \n", "empty"),
        ("半个\ud83d", "surrogate"),
    ],
)
def test_what_a_phone_should_never_show_is_not_sent(
    platform: Platform, messages: Messages, adds: str, text: str, reason: str
) -> None:
    sms = mas(platform, adds_signature=adds)
    assert words(sms.send(messages(1, text=text))) == [("failed", reason)]
    assert platform.bodies == []
    sms.close()


def test_the_length_at_the_limit_and_one_past_it(sms: Channel, platform: Platform, messages: Messages) -> None:
    longest = "【吉林消防】".ljust(670, "火")
    assert (measure(longest).parts, measure(longest + "火").parts) == (10, 11)
    assert words(sms.send(messages(1, text=longest))) == [("accepted", "")]
    assert platform.shown[0][1] == longest
    assert words(sms.send(messages(1, text=longest + "火"))) == [("failed", "too-long")]
    assert len(platform.bodies) == 1


@pytest.mark.parametrize("to", ["tel:+821012345678", "tel:+862212345678", "tel:13812345678", "tel:+861381234567", "x"])
def test_only_mobile_numbers_of_the_mainland_are_asked_for(
    sms: Channel, platform: Platform, messages: Messages, to: str
) -> None:
    assert words(sms.send(messages(1, to=to))) == [("failed", "number-not-mainland")]
    assert platform.bodies == []


def test_what_has_expired_is_not_sent_because_the_platform_knows_no_validity(
    sms: Channel, platform: Platform, messages: Messages
) -> None:
    assert words(sms.send(messages(1, expires_at=1))) == [("retry", "expired")]
    assert platform.bodies == []


@pytest.mark.parametrize(
    "options",
    [{"company": ""}, {"account": ""}, {"secret": ""}, {"signature": ""}, {"serial": "12a"}, {"serial": "1" * 21}],
)
def test_settings_that_cannot_be_right_are_told_by_name_alone(options: dict[str, str]) -> None:
    with pytest.raises(ChannelError) as error:
        Mas(ChannelSettings(provider="mas", url="http://a/", options={**Platform().options, **options}))
    assert f"BROADCASTER_MAS_{next(iter(options)).upper()}" in str(error.value)
    assert Platform().secret not in str(error.value)


def test_an_extension_of_twenty_digits_is_the_longest(platform: Platform, messages: Messages) -> None:
    sms = mas(platform, serial="1" * 20)
    assert words(sms.send(messages(1))) == [("accepted", "")]
    sms.close()


# ---- what it answers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "reason"),
    [({"secret": "x"}, "illegal-mac"), ({"account": "x"}, "account"), ({"signature": "x"}, "illegal-signature-code")],
)
def test_a_wrong_account_stops_the_channel(
    platform: Platform, messages: Messages, option: dict[str, str], reason: str
) -> None:
    sms = mas(platform, **option)
    assert words(sms.send(messages(1))) == [("config_error", reason)]
    sms.close()


def said(code: object, success: object = False, **more: object) -> str:
    return json.dumps({"msgGroup": "", "rspcod": code, "success": success, **more})


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        (said("success", True, msgGroup="0927152506001000833076"), ("accepted", "")),
        (said("success", "true", msgGroup="g"), ("accepted", "")),
        (json.dumps({"mgsGroup": "g", "rspcod": "success", "success": True}), ("accepted", "")),
        (said("success", True), ("accepted", "no-reference")),
        (said("IllegalMac"), ("config_error", "illegal-mac")),
        (said("IllegalSignId"), ("config_error", "illegal-signature-code")),
        (said("NoSignId"), ("config_error", "no-signature-code")),
        (said("InvalidUsrOrPwd"), ("config_error", "account")),
        (said("InvalidMessage"), ("config_error", "request-unreadable")),
        (said("NOT_WHITE_IP"), ("config_error", "address-not-allowed")),
        (said("InvalidMobile"), ("failed", "number")),
        (said("IllegalMobile"), ("failed", "number")),
        (said("TooManyMobiles"), ("retry", "too-many-numbers")),
        (said("SystemBusy"), ("retry", "busy")),
        (said("FlowControl"), ("retry", "busy")),
        (said("SomethingNew"), ("uncertain", "unknown-word")),
        (said("0000"), ("uncertain", "unknown-word")),
        (said("success", False), ("uncertain", "reply-contradicts-itself")),
        (said("IllegalMac", True), ("uncertain", "reply-contradicts-itself")),
        (said("success", 1), ("accepted", "no-reference")),
        (said(""), ("uncertain", "reply-unreadable")),
        (said(None, True), ("uncertain", "reply-unreadable")),
        ("<html>login</html>", ("uncertain", "reply-unreadable")),
        ("[]", ("uncertain", "reply-unreadable")),
        ("", ("uncertain", "reply-unreadable")),
    ],
)
def test_each_of_its_words_has_its_answer(
    sms: Channel, platform: Platform, messages: Messages, body: str, answer: tuple[str, str]
) -> None:
    platform.played = (200, body)
    (found,) = sms.send(messages(1))
    assert words([found]) == [answer]
    assert (found.ref is None) == (answer != ("accepted", ""))
    if answer[0] == "uncertain":
        assert found.detail == body[:200]


def test_no_word_of_the_table_is_left_out_above() -> None:
    tried = {"illegalmac", "illegalsignid", "nosignid", "invalidusrorpwd", "invalidmessage", "not_white_ip"}
    assert set(REFUSALS) == tried | {"invalidmobile", "illegalmobile", "toomanymobiles"}


@pytest.mark.parametrize(
    ("status", "word"),
    [(500, "uncertain"), (503, "retry"), (429, "retry"), (404, "config_error"), (302, "config_error")],
)
def test_a_status_other_than_200_means_what_it_means_everywhere(
    sms: Channel, platform: Platform, messages: Messages, status: int, word: str
) -> None:
    platform.played = (status, said("success", True, msgGroup="g"))
    assert sms.send(messages(1))[0].word == word


@pytest.mark.parametrize("status", [200, 400, 500])
def test_no_secret_and_no_number_comes_back_however_the_platform_repeats_them(
    platform: Platform, messages: Messages, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    caplog.set_level(logging.DEBUG)
    sms = mas(platform)
    sms.send(messages(1))
    body = platform.bodies[0].decode()
    mac = json.loads(base64.b64decode(body))["mac"]
    platform.played = (status, f"{platform.secret} {mac} 13812345678 {body}")
    answers = sms.send(messages(1))
    for secret in (platform.secret, mac, "13812345678", body, body[:40]):
        assert secret not in repr(answers) + caplog.text + repr(sms.provider.__dict__.keys())
    sms.close()


@given(st.binary(max_size=300))
def test_any_reply_is_an_answer(body: bytes) -> None:
    message = Message("7-1-t", "tel:+8613812345678", "x", 1, FAR, "live", "notice")
    assert read(channels_reply(body), message).word in ("uncertain", "accepted", "config_error", "failed", "retry")


def channels_reply(body: bytes) -> Any:
    from channels.replies import Reply

    return Reply(200, body)


# ---- what it pushes --------------------------------------------------------------------------------------------------


REPORT = {
    "reportStatus": "DELIVRD",
    "mobile": "13812345678",
    "submitDate": "20261124103000",
    "receiveDate": "20261124103005",
    "errorCode": "DELIVRD",
    "msgGroup": "0927152506001000833076",
}


@pytest.mark.parametrize("how", ["one", "list", "base64", "dashes", "numbers"])
def test_a_status_report_names_its_message_by_number_and_reference(how: str) -> None:
    body: Any = {"one": REPORT, "list": [REPORT], "dashes": {**REPORT, "receiveDate": "2026-11-24 10:30:05"}}.get(how)
    body = {**REPORT, "mobile": ["13812345678"]} if how == "numbers" else body
    body = base64.b64encode(json.dumps([REPORT]).encode()) if how == "base64" else body
    (found,) = reader().read_receipts(pushed(body))
    assert (found.to, found.ref) == ("tel:+8613812345678", "0927152506001000833076")
    assert (found.word, found.said, found.reason, found.at) == ("delivered", "DELIVRD", "", 1_795_487_405_000)


@pytest.mark.parametrize(
    ("status", "error", "word", "reason"),
    [
        ("DELIVRD", "", "delivered", ""),
        ("delivrd", "0", "delivered", ""),
        ("UNDELIV", "DB:0140", "failed", "db:0140"),
        ("UNDELIV", "", "failed", "undeliv"),
        ("REJECTD", "MK:0001", "failed", "mk:0001"),
        ("REJECT", "", "failed", "reject"),
        ("DELETED", "", "failed", "deleted"),
        ("EXPIRED", "EXPIRED", "expired", "expired"),
        ("ACCEPTD", "", "accepted", "acceptd"),
        ("ENROUTE", "", "accepted", "enroute"),
        ("MBBLACK", "", "failed", "mbblack"),
        ("BLACK", "", "failed", "black"),
        ("CB:0010", "", "failed", "cb:0010"),
        ("", "DB:0140", "failed", "db:0140"),
        ("FAIL", "IC:0151", "failed", "ic:0151"),
        ("SOMETHING", "", "unknown", "something"),
        ("UNKNOWN", "", "unknown", "unknown"),
    ],
)
def test_each_status_has_its_word(status: str, error: str, word: str, reason: str) -> None:
    (found,) = reader().read_receipts(pushed({**REPORT, "reportStatus": status, "errorCode": error}))
    assert (found.word, found.reason, found.said) == (word, reason, status or error)


def test_no_status_of_the_table_is_left_out_above() -> None:
    assert set(STATUSES) == {"DELIVRD", "UNDELIV", "REJECTD", "REJECT", "DELETED", "EXPIRED", "ACCEPTD", "ENROUTE"}


def test_one_that_names_no_message_does_not_cost_the_others() -> None:
    bad: list[dict[str, object]] = [{**REPORT, "msgGroup": ""}, {**REPORT, "mobile": "10086"}, {}]
    found = reader().read_receipts(pushed([*bad, REPORT]))
    assert [receipt.said for receipt in found] == ["unreadable"] * 3 + ["DELIVRD"]
    assert len({(receipt.said, receipt.ref) for receipt in found}) == 4


@pytest.mark.parametrize("body", [b"", b"\xff", b"<html/>", b"7", b"[7]", b"[[]]", b"x=1", base64.b64encode(b"7")])
def test_a_push_that_is_none_is_refused(body: bytes) -> None:
    for asked in (reader().read_receipts, reader().read_replies):
        with pytest.raises(ValueError):
            asked(pushed(body))


def test_several_replies_of_one_push_are_read_in_their_order() -> None:
    sent = {"mobile": "13812345678", "smsContent": "退订", "sendTime": "2026-11-24 10:30:00", "addSerial": "01"}
    more = [sent, {**sent, "smsContent": "三楼起火"}, {**sent, "mobile": "10086"}, {**sent, "smsContent": ""}, sent]
    first, fire, other, again = reader().read_replies(pushed(more))
    assert (first.sender, first.text, first.at) == ("tel:+8613812345678", "退订", 1_795_487_400_000)
    assert (fire.text, other.sender) == ("三楼起火", "10086")
    assert first.ref == again.ref
    assert len({first.ref, fire.ref, other.ref}) == 3
    assert reader().read_replies(pushed(sent)) == [first]


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=20),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*REPORT, "smsContent"]), inner),
        max_leaves=12,
    )
)
def test_whatever_is_pushed_is_read_or_refused(body: Any) -> None:
    for asked in (reader().read_receipts, reader().read_replies):
        try:
            found: list[Any] = asked(pushed(json.dumps(body).encode()))
        except ValueError:
            continue
        assert all(isinstance(one, Receipt) or one.sender for one in found)
