"""What Twilio tells us by itself: statuses and replies, signed by the SDK's own RequestValidator, and what only pretends."""

from collections.abc import Iterator
from urllib.parse import urlencode

import pytest
from twilio.request_validator import RequestValidator

from channels.base import Callback, ChannelSettings, Forged, Receipt, ReceiptWord
from channels.providers import Answerable, Reporting, Searchable, Telling
from channels.sms import Sms
from channels.sms.twilio import Twilio
from channels.sms.twilio_words import ERRORS, STATUSES

ACCOUNT = "AC" + "0a" * 16
TOKEN = "f00d" * 8
KEY = "a shared key of Twilio's"
SM = "SM" + "ab" * 16
PATH = "/callbacks/sms/twilio/7-1-AbCdEfGhIjKl/0123abcd"
URL = "https://alerts.example.org" + PATH


def twilio(**options: str) -> Twilio:
    usual = {"account": ACCOUNT, "token": TOKEN, "sender": "+14155552345"}
    made = Twilio(ChannelSettings(provider="twilio", url="https://api.twilio.com", options={**usual, **options}))
    assert isinstance(made, Twilio)
    return made


@pytest.fixture
def received() -> Iterator[Twilio]:
    made = twilio()
    yield made
    made.close()


def status(word: str = "delivered", **more: str) -> dict[str, str]:
    """The fields of a status callback, as the guide of status callbacks lists them."""
    return {
        "SmsSid": SM,
        "SmsStatus": word,
        "MessageStatus": word,
        "To": "+8613812345678",
        "MessageSid": SM,
        "AccountSid": ACCOUNT,
        "From": "+14155552345",
        "ApiVersion": "2010-04-01",
        **more,
    }


def inbound(**more: str) -> dict[str, str]:
    """The fields of an incoming message; some are empty, and are signed all the same."""
    return {
        "ToCountry": "US",
        "ToState": "",
        "SmsMessageSid": SM,
        "NumMedia": "0",
        "FromCity": "",
        "SmsSid": SM,
        "SmsStatus": "received",
        "Body": "退订",
        "MessageSid": SM,
        "AccountSid": ACCOUNT,
        "From": "+8613812345678",
        "To": "+14155552345",
        "ApiVersion": "2010-04-01",
        **more,
    }


def signed(
    fields: dict[str, str],
    url: str = URL,
    secret: str = TOKEN,
    settings: str = "",
    seen_at: str = "",
    body: bool = True,
) -> Callback:
    """A callback that Twilio made for `url`; `seen_at` = the address that we take ourselves to have."""
    algorithm = settings.partition("algorithm=")[2] or None
    headers = {"x-twilio-signature": RequestValidator(secret).compute_signature(url, fields, algorithm)}
    if settings:
        headers["x-twilio-webhooks-signature-settings"] = settings
    raw = urlencode(fields).encode() if body else b""
    return Callback("POST", seen_at or url, {}, fields, headers, raw)


def test_twilio_can_all_that_a_receivedmay_be_asked() -> None:
    made = twilio()
    assert isinstance(made, Reporting)
    assert isinstance(made, Answerable)
    assert isinstance(made, Searchable)
    assert isinstance(made, Telling)
    assert (made.receipt_status, made.inbound_signed) == (204, True)
    made.close()


def test_messages_of_twilio_carry_an_address_for_receipts() -> None:
    options = {"account": ACCOUNT, "token": TOKEN, "sender": "+14155552345"}
    assert Sms(ChannelSettings(provider="twilio", url="https://api.twilio.com", options=options)).has_receipts


WORDS = {
    "accepted": "accepted",
    "scheduled": "accepted",
    "queued": "accepted",
    "sending": "accepted",
    "sent": "accepted",
    "partially_delivered": "accepted",
    "delivered": "delivered",
    "read": "delivered",
    "undelivered": "failed",
    "failed": "failed",
    "canceled": "failed",
    "receiving": "unknown",
    "received": "unknown",
}


def test_every_status_of_the_table_is_tried() -> None:
    assert set(WORDS) == set(STATUSES)


@pytest.mark.parametrize(("said", "word"), [*WORDS.items(), ("a-new_word", "unknown")])
def test_every_status_has_one_meaning(received: Twilio, said: str, word: str) -> None:
    (receipt,) = received.read_receipts(signed(status(said)))
    reason = said if word == "failed" else ""
    assert receipt == Receipt(ReceiptWord(word), said=said, ref=SM, reason=reason)


@pytest.mark.parametrize(
    ("said", "code", "word", "reason"),
    [
        *[("undelivered", str(code), "failed", str(code)) for code in ERRORS],
        ("failed", "12345", "failed", "12345"),
        ("failed", "", "failed", "failed"),
        ("undelivered", "0", "failed", "undelivered"),
        ("undelivered", "30036", "expired", "30036"),
        ("failed", "30036", "expired", "30036"),
        ("delivered", "30008", "delivered", ""),
    ],
)
def test_a_failure_says_why(received: Twilio, said: str, code: str, word: str, reason: str) -> None:
    (receipt,) = received.read_receipts(signed(status(said, ErrorCode=code)))
    assert (receipt.word, receipt.reason, receipt.said) == (word, reason, said)
    assert receipt.detail == (ERRORS[int(code)].says if word == "failed" and int(code or 0) in ERRORS else "")


@pytest.mark.parametrize("body", [True, False])
def test_the_fields_may_come_read_or_raw(received: Twilio, body: bool) -> None:
    assert received.read_receipts(signed(status(), body=body))[0].word == "delivered"
    assert len(received.read_replies(signed(inbound(), body=body))) == 1


def test_the_same_callback_a_hundred_times_is_the_same_receipt(received: Twilio) -> None:
    callback = signed(status())
    assert len({received.read_receipts(callback)[0] for _ in range(100)}) == 1


def forged(callback: Callback, made: Twilio) -> bool:
    with pytest.raises(Forged) as receipts:
        made.read_receipts(callback)
    with pytest.raises(Forged):
        made.read_replies(callback)
    assert TOKEN not in str(receipts.value)
    assert ACCOUNT not in str(receipts.value)
    return True


@pytest.mark.parametrize(
    ("signed_for", "seen_at"),
    [
        ("http://alerts.example.org" + PATH, URL),
        (URL, "http://alerts.example.org" + PATH),
        ("https://alerts.example.org:8443" + PATH, URL),
        ("https://10.0.0.7" + PATH, URL),
        (URL + "?a=1", URL),
        (URL, URL + "?a=1"),
        (URL + "/", URL),
        (URL.replace("7-1", "7-2"), URL),
    ],
)
def test_another_address_does_not_fit(received: Twilio, signed_for: str, seen_at: str) -> None:
    assert forged(signed(status(), url=signed_for, seen_at=seen_at), received)


@pytest.mark.parametrize(
    ("signed_for", "seen_at"),
    [
        ("https://alerts.example.org:443" + PATH, URL),
        (URL, "https://alerts.example.org:443" + PATH),
        ("https://alerts.example.org:8443" + PATH, "https://alerts.example.org:8443" + PATH),
        (URL + "?a=1&b=%20", URL + "?a=1&b=%20"),
    ],
)
def test_the_usual_port_may_be_named_or_not(received: Twilio, signed_for: str, seen_at: str) -> None:
    assert received.read_receipts(signed(status(), url=signed_for, seen_at=seen_at))[0].word == "delivered"


def changed(callback: Callback, **changes: object) -> Callback:
    values = {name: getattr(callback, name) for name in ("method", "url", "query", "form", "headers", "body")}
    return Callback(**{**values, **changes})


def test_a_changed_field_does_not_fit(received: Twilio) -> None:
    good = signed({**status("undelivered"), "Body": "x"})
    for name in good.form:
        other = {**good.form, name: good.form[name] + "1"}
        assert forged(changed(good, form=other, body=urlencode(other).encode()), received)
        less = {key: value for key, value in good.form.items() if key != name}
        assert forged(changed(good, form=less, body=urlencode(less).encode()), received)


@pytest.mark.parametrize("signature", [None, "", "x", "AAAAAAAAAAAAAAAAAAAAAAAAAAA=", "火" * 28])
def test_a_signature_that_is_none_does_not_fit(received: Twilio, signature: str | None) -> None:
    headers = {} if signature is None else {"x-twilio-signature": signature}
    assert forged(changed(signed(status()), headers=headers), received)


def test_a_signature_of_another_secret_or_account_does_not_fit(received: Twilio) -> None:
    assert forged(signed(status(), secret="another"), received)
    assert forged(signed({**status(), "AccountSid": "AC" + "ff" * 16}), received)
    assert forged(signed({**inbound(), "AccountSid": ""}), received)


def test_a_get_is_not_taken(received: Twilio) -> None:
    url = f"{URL}?{urlencode(status())}"
    headers = {"x-twilio-signature": RequestValidator(TOKEN).compute_signature(url, {})}
    assert forged(Callback("GET", url, status(), {}, headers), received)
    assert forged(changed(signed(status()), method="GET"), received)


@pytest.mark.parametrize("more", ["&MessageStatus=delivered", "&MessageSid=" + SM, "&ErrorCode=1&ErrorCode=1"])
def test_a_field_that_comes_twice_is_not_taken(received: Twilio, more: str) -> None:
    good = signed(status("failed"))
    assert forged(changed(good, body=good.body + more.encode()), received)


def test_a_body_that_is_no_form_is_not_taken(received: Twilio) -> None:
    good = signed(status())
    assert forged(changed(good, body=b"\xff\xfe"), received)
    assert forged(changed(good, body=b"a=1&" * 300), received)
    assert forged(changed(good, body=b'{"MessageStatus":"delivered"}'), received)


def splices(fields: dict[str, str]) -> Iterator[dict[str, str]]:
    """Every way to move the border of one field: the signed bytes stay the same, so the signature fits."""
    names = sorted(fields)
    for name in names:
        whole = name + fields[name]
        for cut in range(1, len(whole)):
            moved = {key: value for key, value in fields.items() if key != name} | {whole[:cut]: whole[cut:]}
            same = len(moved) == len(fields) and "".join(key + moved[key] for key in sorted(moved))
            if moved != fields and same == "".join(key + fields[key] for key in names):
                yield moved


def test_moved_borders_of_fields_change_no_meaning(received: Twilio) -> None:
    fields = status("undelivered", ErrorCode="30003")
    tried = list(splices(fields))
    good = received.read_receipts(signed(fields))
    assert len(tried) > 50
    read: list[list[Receipt]] = []
    for moved in tried:
        try:
            read.append(received.read_receipts(signed(moved)))
        except Forged:
            pass
    # What is let through names the same message with the same status: its border was moved where nothing is read.
    assert {(one.word, one.ref, one.said) for (one,) in read} == {(one.word, one.ref, one.said) for one in good}
    assert len(read) < len(tried)


def test_the_settings_say_how_a_callback_must_be_signed(received: Twilio) -> None:
    sha256 = "key=webhooks_sharedkey_1,algorithm=HMAC_SHA256"
    shared = twilio(signing_key=KEY)
    assert shared.read_receipts(signed(status(), secret=KEY, settings=sha256))[0].word == "delivered"
    assert len(shared.read_replies(signed(inbound(), secret=KEY, settings=sha256))) == 1
    # The request may not choose the weaker way, nor the other secret.
    assert forged(signed(status(), secret=KEY), shared)
    assert forged(signed(status(), secret=TOKEN), shared)
    assert forged(signed(status(), secret=TOKEN, settings=sha256), shared)
    assert forged(signed(status(), secret=KEY, settings="key=k,algorithm=HMAC_SHA1"), shared)
    assert forged(signed(status(), settings=sha256), received)
    good = signed(status())
    unknown = {**good.headers, "x-twilio-webhooks-signature-settings": "key=k,algorithm=HMAC_MD5"}
    assert forged(changed(good, headers=unknown), received)
    assert received.read_receipts(signed(status(), settings="key=k,algorithm=HMAC_SHA1"))[0].word == "delivered"
    shared.close()


@pytest.mark.parametrize(
    "fields",
    [
        {"MessageSid": "SM123"},
        {"MessageSid": SM + "\n"},
        {"MessageStatus": ""},
        {"MessageStatus": "DELIVERED"},
        {"MessageStatus": "x" * 31},
        {"ErrorCode": "thirty"},
        {"ErrorCode": "1" * 10},
    ],
)
def test_signed_fields_of_another_shape_are_not_read(received: Twilio, fields: dict[str, str]) -> None:
    with pytest.raises(Forged):
        received.read_receipts(signed({**status("failed"), **fields}))


@pytest.mark.parametrize(
    ("sender", "address"),
    [
        ("+8613812345678", "tel:+8613812345678"),
        ("10690000", "10690000"),
        ("whatsapp:+8613812345678", "whatsapp:+8613812345678"),
    ],
)
def test_a_reply_is_read(received: Twilio, sender: str, address: str) -> None:
    (reply,) = received.read_replies(signed(inbound(From=sender)))
    assert (reply.sender, reply.text, reply.ref, reply.at) == (address, "退订", SM, None)


@pytest.mark.parametrize("text", ["", " ", "着火了\n在村东头", "🔥" * 100, "a&b=c+d%"])
def test_the_words_of_a_reply_are_kept_as_they_are(received: Twilio, text: str) -> None:
    (reply,) = received.read_replies(signed(inbound(Body=text)))
    assert reply.text == text


def test_a_callback_without_words_is_no_reply(received: Twilio) -> None:
    assert received.read_replies(signed(status("delivered"))) == []


@pytest.mark.parametrize("fields", [{"MessageSid": ""}, {"MessageSid": "x" * 34}, {"From": ""}])
def test_a_reply_of_another_shape_is_not_read(received: Twilio, fields: dict[str, str]) -> None:
    with pytest.raises(Forged):
        received.read_replies(signed(inbound(**fields)))
