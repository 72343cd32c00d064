"""What the real Kannel answers, reports and hands over, and what the adapter makes of it."""

import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest
from real_kannel import Kannel, missing, wait_until

from channels.base import Callback, Channel, Health, Message, PhoneReply
from channels.providers import Answerable, Reporting, Telling

Make = Callable[..., Message]
Connect = Callable[..., Channel]
AsCallback = Callable[[str], Callback]


def provider(sms: Channel) -> Any:
    return sms.provider  # type: ignore[attr-defined]


def health(sms: Channel) -> Health:
    found: Health = provider(sms).health()
    return found


def said(sms: Channel, message: Message) -> tuple[str, str]:
    (answer,) = sms.send([message])
    return answer.word.value, answer.reason


def door(boxes: Kannel, message: Message) -> str:
    """The address that the product would give a message, on this machine."""
    return f"{boxes.catcher.url}/callbacks/sms/kannel/{message.delivery}/6f1c%20a"


def with_door(boxes: Kannel, message: Message) -> Message:
    return Message(**{**{name: getattr(message, name) for name in message.__slots__}, "callback": door(boxes, message)})


def came(boxes: Kannel, message: Message, count: int) -> list[str]:
    """Receipts of a message as our door sees them: path and query."""
    path = door(boxes, message).removeprefix(boxes.catcher.url)
    wait_until(lambda: len(boxes.catcher.of(path)) >= count, f"{count} receipts")
    return boxes.catcher.of(path)


def ask(boxes: Kannel, **fields: object) -> tuple[int, str]:
    """A request without the adapter, for what the adapter never asks."""
    query = urlencode({"username": "alert", "password": "change-me", "from": "12379", **fields})
    try:
        with urllib.request.urlopen(f"{boxes.url}?{query}") as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_the_adapter_keeps_the_protocols(kannel: Kannel, channel: Connect) -> None:
    made = provider(channel(kannel))
    assert all(isinstance(made, protocol) for protocol in (Reporting, Answerable, Telling))
    assert channel(kannel).has_receipts
    assert (made.receipt_status, made.inbound_signed) == (200, False)


def test_a_wrong_password_stops_the_channel(kannel: Kannel, channel: Connect, message: Make) -> None:
    assert said(channel(kannel, password="wrong"), message()) == ("config_error", "authorization")


def test_a_missing_sender_stops_the_channel(kannel: Kannel, channel: Connect, message: Make) -> None:
    assert said(channel(kannel, sender=""), message()) == ("config_error", "sender-missing")


@pytest.mark.parametrize(
    ("to", "reason"), [("abc", "number-denied"), ("", "number-missing"), ("+8613400000001", "not-routable")]
)
def test_a_number_that_kannel_refuses_has_failed(
    kannel: Kannel, channel: Connect, message: Make, to: str, reason: str
) -> None:
    assert said(channel(kannel), message(to=f"tel:{to}")) == ("failed", reason)


def test_a_denied_number_also_gets_a_receipt_that_says_why(
    kannel: Kannel, channel: Connect, message: Make, as_callback: AsCallback
) -> None:
    denied = with_door(kannel, message(to="tel:+8613400000002"))
    assert said(channel(kannel), denied) == ("failed", "not-routable")
    (receipt,) = provider(channel(kannel)).read_receipts(as_callback(came(kannel, denied, 1)[0]))
    assert (receipt.word, receipt.said, receipt.reason) == ("failed", "16", "no-smsc")


def test_a_page_that_is_not_smsbox_stops_the_channel(kannel: Kannel, channel: Connect, message: Make) -> None:
    sms = channel(kannel)
    provider(sms)._head = provider(sms)._head.replace("/cgi-bin/sendsms", "/cgi-bin/send")
    assert said(sms, message()) == ("config_error", "http-404")


def test_a_smsbox_that_is_away_is_a_retry(own_kannel: Kannel, channel: Connect, message: Make) -> None:
    sms = channel(own_kannel)
    assert said(sms, message()) == ("accepted", "")
    own_kannel.kill_smsbox()
    assert said(sms, message()) == ("retry", "not-connected")
    own_kannel.start_smsbox()
    assert said(sms, message()) == ("accepted", "")


def test_what_kannel_queues_survives_the_death_of_bearerbox(
    own_kannel: Kannel, channel: Connect, message: Make
) -> None:
    own_kannel.stop_centre()
    own_kannel.wait_offline()
    assert said(channel(own_kannel), message("火警")) == ("accepted", "queued")
    wait_until(lambda: list((own_kannel.folder / "store").rglob("*")) != [], "the spool")
    own_kannel.kill_bearerbox()
    own_kannel.start_bearerbox()
    own_kannel.start_centre()
    assert [seen.text for seen in own_kannel.wait_for(1)] == ["火警"]


# By the last two digits of the number: what the SMS centre does, and what its receipts say beside "8", if that comes.
ENDS = {
    "00": ("1", "delivered", "", True),
    "22": ("2", "failed", "undeliv-021", True),
    "33": ("2", "expired", "expired-021", True),
    "44": ("2", "failed", "rejectd-021", True),
    "55": ("4", "accepted", "", True),
    "11": ("16", "failed", "0x0000000b-invalid-destination-address", False),
    "58": ("16", "failed", "retries-exceeded", False),
}


@pytest.mark.parametrize("ends", ENDS)
def test_every_receipt_of_an_smpp_centre_has_its_word(
    smpp_kannel: Kannel, channel: Connect, message: Make, as_callback: AsCallback, ends: str
) -> None:
    kind, word, reason, taken = ENDS[ends]
    sms, sent = channel(smpp_kannel), with_door(smpp_kannel, message(ends=ends))
    before = int(time.time()) * 1000
    assert said(sms, sent) == ("accepted", "")
    asked = came(smpp_kannel, sent, 2 if taken else 1)
    found = {r.said: r for path in asked for r in provider(sms).read_receipts(as_callback(path))}
    assert set(found) == ({kind, "8"} if taken else {kind})
    assert (found[kind].word, found[kind].reason) == (word, reason)
    assert all(before <= (r.at or 0) <= time.time() * 1000 for r in found.values())
    if taken:
        assert (found["8"].word, found["8"].reason) == ("accepted", "")
        assert found["8"].ref == found[kind].ref != ""


def test_a_network_that_never_reports_leaves_one_receipt(
    smpp_kannel: Kannel, channel: Connect, message: Make, as_callback: AsCallback
) -> None:
    sms, sent = channel(smpp_kannel), with_door(smpp_kannel, message(ends="99"))
    other = with_door(smpp_kannel, message(ends="00"))
    assert [said(sms, m) for m in (sent, other)] == [("accepted", "")] * 2
    came(smpp_kannel, other, 2)  # the centre has dealt with the one before by then
    assert [provider(sms).read_receipts(as_callback(p))[0].said for p in came(smpp_kannel, sent, 1)] == ["8"]


def test_the_fake_centre_delivers_in_any_order_and_a_part_has_no_receipt_of_its_own(
    kannel: Kannel, channel: Connect, message: Make, as_callback: AsCallback
) -> None:
    sms = channel(kannel)
    window = [with_door(kannel, message("长" * 156)) for _ in range(30)]
    assert {a.word for a in sms.send(window)} == {"accepted"}
    for sent in window:
        receipts = [r for path in came(kannel, sent, 2) for r in provider(sms).read_receipts(as_callback(path))]
        assert sorted((r.said, r.word) for r in receipts) == [("1", "delivered"), ("8", "accepted")]
        assert all(door(kannel, sent).removeprefix(kannel.catcher.url) in path for path in came(kannel, sent, 2))
    time.sleep(0.3)
    assert [len(came(kannel, sent, 2)) for sent in window] == [2] * 30


def test_a_message_that_waited_too_long_is_expired(
    own_kannel: Kannel, channel: Connect, message: Make, as_callback: AsCallback
) -> None:
    own_kannel.stop_centre()
    own_kannel.wait_offline()
    sent = with_door(own_kannel, message())
    asked = {"to": "+8613800138001", "text": "x", "validity": 0, "dlr-mask": 31}
    told = ask(own_kannel, **asked, **{"dlr-url": f"{door(own_kannel, sent)}?type=%d&ref=%F&answer=%A&at=%T"})
    assert told == (202, "3: Queued for later delivery")
    time.sleep(1.1)  # Kannel's clock has seconds
    own_kannel.start_centre()
    (receipt,) = provider(channel(own_kannel)).read_receipts(as_callback(came(own_kannel, sent, 1)[0]))
    assert (receipt.word, receipt.said, receipt.reason) == ("expired", "16", "expired")
    assert own_kannel.seen() == []


def test_receipts_come_again_after_our_door_was_shut(own_kannel: Kannel, channel: Connect, message: Make) -> None:
    own_kannel.catcher.status = 500
    sent = with_door(own_kannel, message())
    assert said(channel(own_kannel), sent) == ("accepted", "")
    came(own_kannel, sent, 2)
    own_kannel.catcher.asked.clear()
    own_kannel.catcher.status = 200
    assert len(came(own_kannel, sent, 2)) == 2


def test_a_message_without_a_door_asks_for_no_receipt(kannel: Kannel, channel: Connect, message: Make) -> None:
    before = len(kannel.catcher.asked)
    assert said(channel(kannel), message()) == ("accepted", "")
    kannel.wait_for(1)
    time.sleep(0.3)
    assert len(kannel.catcher.asked) == before


def reply_of(boxes: Kannel, sms: Channel, as_callback: AsCallback, sender: str, text: str) -> PhoneReply | None:
    before = len(boxes.catcher.of("/mo"))
    boxes.reply_from_phone(sender, text)
    wait_until(lambda: len(boxes.catcher.of("/mo")) > before, "the reply")
    found: list[PhoneReply] = provider(sms).read_replies(as_callback(boxes.catcher.of("/mo")[-1]))
    assert len(found) <= 1
    return found[0] if found else None


SENDERS = {
    "13900000001": "tel:+8613900000001",
    "+8613900000001": "tel:+8613900000001",
    "8613900000001": "tel:+8613900000001",
    "008613900000001": "tel:+8613900000001",
    "+821012345678": "tel:+821012345678",
    "10086": "10086",
}
WRITTEN = ["TD", "退订", "불이야", "🔥 &=%41+", "two  blanks & 100%", "{[€]}", "着火了" * 20]


def test_the_sender_of_a_reply_is_an_address(smpp_kannel: Kannel, channel: Connect, as_callback: AsCallback) -> None:
    sms = channel(smpp_kannel)
    found = {sender: reply_of(smpp_kannel, sms, as_callback, sender, "1") for sender in SENDERS}
    assert {sender: reply.sender for sender, reply in found.items() if reply} == SENDERS


def test_a_reply_arrives_as_it_was_typed(smpp_kannel: Kannel, channel: Connect, as_callback: AsCallback) -> None:
    sms = channel(smpp_kannel)
    found = [reply_of(smpp_kannel, sms, as_callback, "13900000001", text) for text in WRITTEN]
    assert [reply.text for reply in found if reply] == WRITTEN
    assert {len(reply.ref) for reply in found if reply} == {36}
    assert all(abs((reply.at or 0) - time.time() * 1000) < 60_000 for reply in found if reply)


@pytest.mark.parametrize("text", ["TD", "two  blanks & 100%", "退订"])
def test_a_reply_over_the_fake_centre_is_the_same(
    kannel: Kannel, channel: Connect, as_callback: AsCallback, text: str
) -> None:
    found = reply_of(kannel, channel(kannel), as_callback, "13900000001", text)
    assert found is not None
    assert (found.sender, found.text) == ("tel:+8613900000001", text)


def test_two_equal_replies_are_two_and_one_that_is_handed_over_again_is_one(
    own_kannel: Kannel, channel: Connect, as_callback: AsCallback
) -> None:
    sms = channel(own_kannel)
    first = reply_of(own_kannel, sms, as_callback, "13900000001", "1")
    own_kannel.catcher.status, own_kannel.catcher.body = 500, b"no"
    second = reply_of(own_kannel, sms, as_callback, "13900000001", "1")
    own_kannel.catcher.status = 200
    wait_until(lambda: len(own_kannel.catcher.of("/mo")) > 2, "the same reply once more")
    (again,) = provider(sms).read_replies(as_callback(own_kannel.catcher.of("/mo")[-1]))
    assert first is not None
    assert second is not None
    assert first.ref != second.ref == again.ref
    assert again.text == "1"
    time.sleep(0.3)
    assert own_kannel.seen() == []  # what our door answers is not sent to the phone


def test_bearerbox_tells_how_it_stands(own_kannel: Kannel, channel: Connect, message: Make) -> None:
    sms = channel(own_kannel)
    assert health(sms) == Health(ok=True, detail="bearerbox running, smsbox 1, FAKE online", queued=0)
    own_kannel.stop_centre()
    own_kannel.wait_offline()
    sms.send([message(f"{n}") for n in range(7)])
    wait_until(lambda: (health(sms).queued or 0) > 0, "the queue")
    told = health(sms)
    assert (told.ok, told.queued) == (False, 7)
    assert "FAKE" in told.detail
    assert "online" not in told.detail
    own_kannel.kill_bearerbox()
    assert health(sms) == Health(ok=False, detail="bearerbox: not-connected")


def test_a_wrong_password_for_the_status_is_told_without_it(kannel: Kannel, channel: Connect) -> None:
    told = health(channel(kannel, status_url=kannel.status_url.replace("change-status", "s3cret")))
    assert not told.ok
    assert told.detail.startswith("bearerbox: ")
    assert "s3cret" not in repr(told)


def test_nothing_is_asked_where_no_address_is_set(kannel: Kannel, channel: Connect) -> None:
    told = health(channel(kannel, status_url=""))
    assert (told.ok, told.queued) == (True, None)
    assert "not asked" in told.detail


def test_the_boxes_leave_none_behind_even_while_smsbox_starts_itself_anew(channel: Connect, message: Make) -> None:
    if lacks := missing():
        pytest.skip(lacks)
    boxes = Kannel().start()
    try:
        assert len(boxes.running()) == 3
        boxes.kill_bearerbox()
        assert said(channel(boxes), message())[0] in ("uncertain", "retry")
        assert len(boxes.running()) == 1
    finally:
        boxes.stop()
    assert boxes.running() == []
    assert not boxes.folder.exists()
