"""Texts through the real Kannel, as its SMS centre gets them: every letter, every length at its limit and one past it."""

import time
from collections.abc import Callable
from datetime import datetime
from itertools import combinations

import pytest
from arrived import Seen
from real_kannel import Kannel, wait_until

from channels.base import Channel, Message
from channels.sms import segments

Make = Callable[..., Message]
Connect = Callable[..., Channel]

CHINESE, KOREAN = "林区火险红色预警，请勿用火！", "산불 위험 경보: 불씨를 조심하세요."
GSM = segments.GSM7_BASIC.replace("\r", "") + segments.GSM7_EXTENSION
TEXTS = {
    "Chinese": (CHINESE, 1),
    "Korean": (KOREAN, 1),
    "both": (f"{CHINESE} {KOREAN}", 1),
    "emoji": ("🔥森林火险👨‍👩‍👧", 1),
    "70 of UCS-2": ("林" * 70, 1),
    "71 of UCS-2": ("林" * 71, 2),
    "670 of UCS-2": ("火" * 670, 10),
    "160 of GSM": ("a" * 160, 1),
    "161 of GSM": ("a" * 161, 2),
    "1530 of GSM": ("b" * 1530, 10),
    "160 septets of extension": ("€" * 80, 1),
    "162 septets of extension": ("€" * 81, 2),
    "an extension letter on the border": ("a" * 152 + "€" + "b" * 50, 2),
    "all letters of GSM": (GSM, 1),
    "a line end": ("one\ntwo", 1),
    "signs of an address": ("a=1&b=%41+%s?#/;\\", 1),
    "blanks": (" two  blanks ", 1),
    "small c with a cedilla": ("façade", 1),
    "a Chinese letter among Latin ones": ("fire 火 fire", 1),
}


def send(sms: Channel, boxes: Kannel, message: Message) -> Seen:
    (answer,) = sms.send([message])
    assert (answer.word, answer.reason) == ("accepted", "")
    return arrived(boxes, message)


def arrived(boxes: Kannel, message: Message) -> Seen:
    number = message.to.removeprefix("tel:+")
    wait_until(lambda: any(seen.to == number for seen in boxes.seen()), "the message")
    (found,) = [seen for seen in boxes.seen() if seen.to == number]
    return found


@pytest.mark.parametrize("name", TEXTS)
def test_a_text_arrives_as_it_was_written(smpp_kannel: Kannel, channel: Connect, message: Make, name: str) -> None:
    text, parts = TEXTS[name]
    seen = send(channel(smpp_kannel), smpp_kannel, message(text))
    assert seen.text == text
    size = segments.measure(text)
    assert (seen.parts, seen.coding) == (parts, 0 if size.encoding == "gsm7" else 2)
    assert seen.parts == size.parts
    assert seen.sender == "12379"


def test_texts_for_a_build_without_iconv_arrive_the_same(smpp_kannel: Kannel, channel: Connect, message: Make) -> None:
    window = {message(text): text for text, _ in TEXTS.values()}
    assert {a.word for a in channel(smpp_kannel, charset="utf16be_raw").send(list(window))} == {"accepted"}
    for sent, text in window.items():
        seen = arrived(smpp_kannel, sent)
        assert (seen.text, seen.coding) == (text, 0 if segments.measure(text).encoding == "gsm7" else 2)


@pytest.mark.parametrize("name", ["Chinese", "Korean", "emoji", "71 of UCS-2", "161 of GSM", "blanks"])
def test_the_fake_centre_gets_the_same(kannel: Kannel, channel: Connect, message: Make, name: str) -> None:
    text, parts = TEXTS[name]
    seen = send(channel(kannel), kannel, message(text))
    assert (seen.text, seen.parts) == (text, parts)


def test_a_pair_on_the_border_of_two_parts_arrives_whole(smpp_kannel: Kannel, channel: Connect, message: Make) -> None:
    text = "林" * 66 + "🔥" + "火" * 10
    seen = send(channel(smpp_kannel), smpp_kannel, message(text))
    assert (seen.text, seen.parts) == (text, 2)
    assert seen.lengths[0] == 134  # Kannel cuts the pair: half of it is in the first part


@pytest.mark.parametrize(
    ("text", "reason"),
    [("", "empty"), (" \n", "empty"), ("火" * 671, "too-long"), ("b" * 1531, "too-long"), ("half \ud83d", "surrogate")],
)
def test_what_kannel_would_spoil_is_not_sent(
    kannel: Kannel, channel: Connect, message: Make, text: str, reason: str
) -> None:
    before = log_of(kannel)
    (answer,) = channel(kannel).send([message(text)])
    assert (answer.word, answer.reason) == ("failed", reason)
    time.sleep(0.2)
    assert log_of(kannel) == before


def log_of(boxes: Kannel) -> str:
    """smsbox's list of requests."""
    path = boxes.folder / "smsbox-access.log"
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""


def test_an_expired_message_is_not_sent_and_waits_for_its_label(
    kannel: Kannel, channel: Connect, message: Make
) -> None:
    before = log_of(kannel)
    (answer,) = channel(kannel).send([message(expires_at=int(time.time() * 1000) - 1)])
    assert (answer.word, answer.reason) == ("retry", "expired")
    time.sleep(0.2)
    assert log_of(kannel) == before


@pytest.mark.parametrize(
    ("left_s", "minutes"), [(600.5, 10), (119, 1), (61, 1), (59, 1), (1, 1), (3 * 365 * 86_400, 63 * 7 * 24 * 60)]
)
def test_a_message_is_valid_as_long_as_its_campaign(
    smpp_kannel: Kannel, channel: Connect, message: Make, left_s: float, minutes: int
) -> None:
    now = time.time()
    seen = send(channel(smpp_kannel), smpp_kannel, message(expires_at=int((now + left_s) * 1000)))
    until = datetime.fromisoformat(seen.validity).timestamp()
    assert until - now == pytest.approx(minutes * 60, abs=5)


@pytest.mark.parametrize(("category", "priority"), [("emergency", 3), ("notice", 2), ("promotion", 0)])
def test_a_lane_has_its_priority_at_the_centre(
    smpp_kannel: Kannel, channel: Connect, message: Make, category: str, priority: int
) -> None:
    assert send(channel(smpp_kannel), smpp_kannel, message(category=category)).priority == priority


def test_a_window_goes_out_once_to_each(kannel: Kannel, channel: Connect, message: Make) -> None:
    window = [message(f"number {n}") for n in range(200)]
    answers = channel(kannel, connections="50").send(window)
    assert {answer.word for answer in answers} == {"accepted"}
    wanted = {m.to.removeprefix("tel:+"): m.text for m in window}
    wait_until(lambda: {s.to for s in kannel.seen()} >= set(wanted), "the window")
    found = [(s.to, s.text) for s in kannel.seen() if s.to in wanted]
    assert sorted(found) == sorted(wanted.items())


def test_the_texts_of_this_file_differ() -> None:
    assert all(a != b for a, b in combinations([text for text, _ in TEXTS.values()], 2))
