"""SMS arithmetic: the packing of 3GPP TS 23.038 against a packer that puts characters into parts one by one."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from channels.sms import Sms
from channels.sms.segments import GSM7_BASIC, GSM7_EXTENSION, MOST_PARTS, SlotMeter, measure


def packed_slowly(text: str) -> tuple[str, int, list[list[str]], int]:
    """Encoding, units, the characters of each part, units left. Written from the standard, not from the code."""
    gsm = all(c in GSM7_BASIC or c in GSM7_EXTENSION for c in text)
    single, room = (160, 153) if gsm else (70, 67)

    def width(c: str) -> int:
        return (2 if c in GSM7_EXTENSION else 1) if gsm else (2 if ord(c) > 0xFFFF else 1)

    total = sum(map(width, text))
    if total <= single:
        return ("gsm7" if gsm else "ucs2"), total, [list(text)], single - total
    parts: list[list[str]] = [[]]
    used = 0
    for c in text:
        if used + width(c) > room:
            parts.append([])
            used = 0
        parts[-1].append(c)
        used += width(c)
    return ("gsm7" if gsm else "ucs2"), total, parts, room - used


SINGLES = "aA0 é@\nΔ"
texts = st.one_of(
    st.text(st.sampled_from(SINGLES + GSM7_EXTENSION), max_size=400),
    st.text(st.sampled_from("火请a€\n" + "🔥👨𠮷"), max_size=200),
    st.text(st.characters(), max_size=200),
    # Long runs of one kind bring pairs to the borders of parts.
    st.tuples(st.sampled_from("a火"), st.integers(0, 700), st.text(st.sampled_from("🔥€a"), max_size=40)).map(
        lambda made: made[0] * made[1] + made[2]
    ),
)


@given(texts)
@example("a" * 152 + "€" + "a" * 10)
@example("火" * 66 + "🔥" + "火" * 5)
@example("🔥" * 35)
@example("🔥" * 36)
def test_the_packing_equals_the_one_done_character_by_character(text: str) -> None:
    encoding, units, parts, left = packed_slowly(text)
    size = measure(text)
    assert (size.encoding, size.units, size.parts, size.left) == (encoding, units, len(parts), left)


@given(st.lists(texts, min_size=1, max_size=4), st.data())
def test_the_fast_meter_equals_the_measure_of_the_joined_text(pieces: list[str], data: st.DataObject) -> None:
    values = [data.draw(texts) for _ in pieces[1:]]
    joined = pieces[0] + "".join(v + p for v, p in zip(values, pieces[1:], strict=True))
    assert SlotMeter(pieces).parts(values) == measure(joined).parts


@pytest.mark.parametrize(("single", "pair", "room"), [("火", "🔥", 67), ("a", "€", 153)])
@pytest.mark.parametrize("pairs", [1, 2, 3, 33, 40])
def test_the_fast_meter_is_exact_at_every_border(single: str, pair: str, room: int, pairs: int) -> None:
    for parts in (2, 3):
        for before in range(room - 3, room + 3):
            for after in range(max(0, room * parts - before - 2 * pairs - 4), room * parts - before - 2 * pairs + 4):
                fixed = [single * before, single * after]
                slow = measure(fixed[0] + pair * pairs + fixed[1])
                assert SlotMeter(fixed).parts([pair * pairs]) == slow.parts
                pair_fixed = [single * before + pair * pairs, ""]
                assert SlotMeter(pair_fixed).parts([single * after]) == slow.parts


@pytest.mark.parametrize(
    ("text", "encoding", "units", "parts", "left"),
    [
        ("a" * 160, "gsm7", 160, 1, 0),
        ("a" * 161, "gsm7", 161, 2, 145),
        ("€" * 80, "gsm7", 160, 1, 0),
        ("a" * 152 + "€" + "a" * 8, "gsm7", 162, 2, 143),  # the sign moves on whole: part 1 holds 152
        ("火" * 70, "ucs2", 70, 1, 0),
        ("火" * 71, "ucs2", 71, 2, 63),
        ("火" * 160, "ucs2", 160, 3, 41),  # Aliyun counts 67 + 67 + 26
        ("a" * 70 + "【", "ucs2", 71, 2, 63),
        ("火" * 66 + "🔥" + "火" * 66, "ucs2", 134, 3, 66),
        ("ç", "ucs2", 1, 1, 69),  # the small one is not in the table, the capital is
        ("Ç", "gsm7", 1, 1, 159),
        ("`", "ucs2", 1, 1, 69),
        ("👨‍👩‍👧", "ucs2", 8, 1, 62),
        ("⚠️", "ucs2", 2, 1, 68),
    ],
)
def test_known_sizes(text: str, encoding: str, units: int, parts: int, left: int) -> None:
    size = Sms.measure(text)
    assert (size.encoding, size.units, size.parts, size.left) == (encoding, units, parts, left)
    assert not size.problems


@pytest.mark.parametrize(
    ("text", "code", "detail"),
    [
        ("", "empty", ""),
        (" \n\u3000", "empty", ""),
        ("火警\ud83d", "surrogate", "U+D83D"),
        ("a\u200bb", "forbidden-character", "U+200B ZERO WIDTH SPACE"),
        ("a\u200db", "forbidden-character", "U+200D ZERO WIDTH JOINER"),
        ("pay \u202egpj", "forbidden-character", "U+202E RIGHT-TO-LEFT OVERRIDE"),
        ("a\u2067b", "forbidden-character", "U+2067 RIGHT-TO-LEFT ISOLATE"),
        ("a\tb", "forbidden-character", "U+0009"),
        ("a\rb", "forbidden-character", "U+000D"),
        ("a\x1bb\x0c", "forbidden-character", "U+000C, U+001B"),
        ("a\u2028b", "forbidden-character", "U+2028 LINE SEPARATOR"),
        ("【吉林消防】 ", "signature-only", "【吉林消防】"),
        ("【吉林消防】【吉林消防】请检查", "signature-twice", "【吉林消防】"),
        ("【吉林消防】请检查【吉林消防】", "signature-twice", "【吉林消防】"),
        ("火" * (67 * MOST_PARTS + 1), "too-long", str(MOST_PARTS + 1)),
    ],
)
def test_what_is_refused_is_named(text: str, code: str, detail: str) -> None:
    (problem,) = measure(text).problems
    assert (problem.code, problem.detail) == (code, detail)
    assert problem.message


def test_the_longest_message_is_let_through() -> None:
    assert measure("火" * (67 * MOST_PARTS)).problems == ()


def test_two_faults_are_both_named() -> None:
    assert [p.code for p in measure("【a】\ud800\u200b").problems] == ["surrogate", "forbidden-character"]


def test_a_meter_wants_as_many_values_as_it_has_slots() -> None:
    with pytest.raises(ValueError, match="1 values for 2 slots"):
        SlotMeter(["a", "b", "c"]).parts(["x"])
    with pytest.raises(ValueError, match="one piece"):
        SlotMeter([])


def test_a_wording_without_slots_is_measured_too() -> None:
    assert SlotMeter(["火" * 71]).parts([]) == 2
