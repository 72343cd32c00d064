"""Lines and pages of a board: what fits, what may not begin or end a line, and what is refused by name."""

import re
import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from channels.base import ChannelSettings, Message
from channels.billboard import Billboard, BoardFormat, FitError, Layout, fit

CLOSING = set("。，！？、）》」』：；%")
OPENING = set("（《「『")
MARKS = "，。！：（）《》、；？——"
RUN = re.compile(r"[0-9A-Za-z]+(?:[-.:][0-9]+)*")


def lines(layout: Layout) -> list[str]:
    return [line for page in layout.pages for line in page]


def width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(c) in "WFA" else 1 for c in text)


def bare(text: str) -> str:
    return re.sub(r"\s", "", text)


# What people write on boards: single marks, numbers and words that leave room for a mark on the narrowest board below.
pieces = st.sampled_from(
    ["林区火险", "严禁", "用火", "，", "。", "！", "：", "（", "）", "《", "》", "119", "12379", "14:00", "8-10", "50%", "35℃",
     "Fire", "call", " ", "산불", "조심 ", "2026", "、", "；", "？", "——", "\n"]
)  # fmt: skip
sizes = st.tuples(st.integers(8, 40), st.integers(1, 6)).map(lambda made: (made[0] * 8, made[1] * 16))


def sentence(parts: list[str]) -> str:
    """Marks one at a time: a row of them may be longer than a line."""
    text = "起"
    for part in parts:
        if not (part in MARKS and text.rstrip()[-1] in MARKS + "%"):
            text += part
    return text.rstrip("（《") + "完"


@given(st.lists(pieces, min_size=1, max_size=40).map(sentence), sizes)
def test_every_line_fits_and_nothing_but_blanks_is_lost(text: str, size: tuple[int, int]) -> None:
    try:
        layout = fit(text, *size)
    except FitError as error:
        assert error.code == "too-long"
        return
    assert all(0 < width(line) <= size[0] // 8 for line in lines(layout))
    assert all(0 < len(page) <= size[1] // 16 for page in layout.pages)
    assert all(len(page) == size[1] // 16 for page in layout.pages[:-1])
    assert all(line == line.strip() for line in lines(layout))
    assert bare("".join(lines(layout))) == bare(text)


@given(st.lists(pieces, min_size=1, max_size=40).map(sentence), sizes)
def test_no_line_begins_with_a_closing_mark_or_ends_with_an_opening_one(text: str, size: tuple[int, int]) -> None:
    text = re.sub(r"\s+", " ", text)
    assume(
        max(map(len, RUN.findall(text)), default=0) + 6 <= size[0] // 8
    )  # a number fits with marks and blanks round it
    try:
        found = lines(fit(text, *size))
    except FitError:
        return
    assert [line for line in found if line[0] in CLOSING] == []
    assert [line for line in found if line[-1] in OPENING] == []
    assert sum("——" in line for line in found) >= (text.count("——") > 0)


@given(st.lists(pieces, min_size=1, max_size=40).map(sentence), sizes)
def test_no_number_and_no_word_that_fits_is_broken(text: str, size: tuple[int, int]) -> None:
    try:
        found = lines(fit(text, *size))
    except FitError:
        return
    wanted = [word for word in RUN.findall(text) if len(word) <= size[0] // 8]
    assert [word for word in wanted if not any(word in line for line in found)] == []


@pytest.mark.parametrize(
    ("text", "size", "expected"),
    [
        ("今天风大火险很高。请勿用火", (128, 32), [["今天风大火险很", "高。请勿用火"]]),
        ("春季防火紧要期到（重要）", (144, 32), [["春季防火紧要期到", "（重要）"]]),
        ("火警电话是一一九五119", (144, 32), [["火警电话是一一九五", "119"]]),
        ("今日最高气温达到35℃", (144, 32), [["今日最高气温达到", "35℃"]]),
        ("森林覆盖率达百分50%", (144, 32), [["森林覆盖率达百分", "50%"]]),
        ("산불위험이 높습니다", (128, 32), [["산불위험이", "높습니다"]]),
        ("请拨打火警电话0431-88888888", (128, 32), [["请拨打火警电话", "0431-88888888"]]),
        ("Danger: fire", (64, 32), [["Danger:", "fire"]]),
        ("防火\n\n人人有责", (128, 32), [["防火", "人人有责"]]),
        ("一二三四五六七八九", (128, 16), [["一二三四五六七八"], ["九"]]),
        ("请注意——危险", (64, 32), [["请注意", "——危险"]]),
        ("电话88888888。", (64, 48), [["电话", "88888888", "。"]]),  # a number stays whole even so
        ("http://example.org/abcdefgh", (128, 32), [["http://example.", "org/abcdefgh"]]),
    ],
)  # fmt: skip
def test_known_layouts(text: str, size: tuple[int, int], expected: list[list[str]]) -> None:
    assert [list(page) for page in fit(text, *size).pages] == expected


def test_a_word_longer_than_a_line_is_broken_at_its_joints_first() -> None:
    assert lines(fit("0431-88888888", 80, 32)) == ["0431-", "88888888"]
    assert lines(fit("12345678901234567", 128, 32)) == ["1234567890123456", "7"]


def test_a_korean_word_longer_than_a_line_is_broken_between_syllables() -> None:
    assert lines(fit("산불위험경보119", 64, 64)) == ["산불위험", "경보119"]


def test_a_row_of_marks_longer_than_a_line_is_still_shown() -> None:
    assert lines(fit("火！！！！！", 64, 32)) == ["火！！！", "！！"]


def test_a_larger_glyph_leaves_fewer_columns() -> None:
    assert lines(fit("一二三四五六七八", 128, 64, glyph=32)) == ["一二三四", "五六七八"]
    assert lines(fit("abcdefghij", 120, 24, glyph=24)) == ["abcdefghij"]


@pytest.mark.parametrize(
    ("text", "encoding", "shown"),
    [
        ("１１９\u00a0Ｆｉｒｅ", "gb18030", "119 Fire"),
        ("“防火”‘期’", "gb18030", "“防火”‘期’"),
        ("“防火”", "euc-kr", "“防火”"),
        ("5–10 • 3㎡", "gb18030", "5–10 • 3㎡"),
        ("5–10 • 3㎡", "gb2312", "5-10 ・ 3m2"),
        ("注意——危险·火", "gb2312", "注意――危险・火"),
        ("注意——危险·火", "gbk", "注意——危险·火"),
        ("a\tb\r\n", "gb2312", "a b"),
        ("é", "gb2312", "é"),
        ("e\u0301", "gb2312", "é"),
        ("5㎏", "gb2312", "5kg"),
    ],
)
def test_characters_are_put_into_those_that_the_board_has(text: str, encoding: str, shown: str) -> None:
    (line,) = lines(fit(text, 512, 16, encoding=encoding))
    assert line == shown
    assert line.encode(encoding)


@pytest.mark.parametrize(
    ("text", "encoding", "code", "characters"),
    [
        ("火🔥情⚠", "gb18030", "picture", "🔥⚠"),
        ("⚠️", "utf-8", "picture", "⚠\ufe0f"),
        ("火\u200b\u202e", "utf-8", "unprintable", "\u200b\u202e"),
        ("火\x07", "gb18030", "unprintable", "\x07"),
        ("𠮷", "gb18030", "unprintable", "𠮷"),
        ("火\ud83d", "utf-8", "surrogate", "\ud83d"),
        ("שלום", "utf-8", "unprintable", "שלום"),
        ("산불 조심", "gb2312", "not-in-encoding", "산불조심"),
        ("10²", "gb2312", "not-in-encoding", "²"),  # never 102
        ("火险", "euc-kr", "not-in-encoding", "险"),
        ("鎔", "gb2312", "not-in-encoding", "鎔"),
        ("\n \u3000", "gb18030", "empty", ""),
        ("火" * (8 * 2 * 12 + 1), "gb18030", "too-long", ""),
        ("火", "koi8-r", "format", ""),
    ],
)
def test_what_cannot_be_shown_is_named(text: str, encoding: str, code: str, characters: str) -> None:
    with pytest.raises(FitError) as caught:
        fit(text, 128, 32, encoding=encoding)
    assert (caught.value.code, caught.value.characters) == (code, characters)
    assert all(f"U+{ord(c):04X}" in str(caught.value) for c in characters)


@given(st.text(max_size=40), st.sampled_from(["gb18030", "gbk", "gb2312", "utf-8", "euc-kr", "cp949"]))
def test_what_is_shown_can_be_written_in_the_boards_character_set(text: str, encoding: str) -> None:
    try:
        layout = fit(text, 320, 320, encoding=encoding)
    except FitError as error:
        assert error.code != "format"
        return
    assert all(line.encode(encoding).decode(encoding) == line for line in lines(layout))


@pytest.mark.parametrize(("size", "glyph"), [((8, 16), 16), ((128, 8), 16), ((16, 16), 32)])
def test_a_board_too_small_for_one_character_is_refused(size: tuple[int, int], glyph: int) -> None:
    with pytest.raises(FitError) as caught:
        fit("a", *size, glyph=glyph)
    assert caught.value.code == "too-small"


@pytest.mark.parametrize("board", ["128", "128x", "axb", "128x32/15", "128x32/16/latin9", "128x32/16/gbk/waves", "128x32/16/gbk/pages/x", "-8x32", "0x0", "99999x99999", "128x32/0"])  # fmt: skip
def test_a_format_that_is_none_is_refused(board: str) -> None:
    (problem,) = Billboard.measure("火", board).problems
    assert problem.code == "format"


def test_what_a_format_leaves_out_is_usual() -> None:
    assert BoardFormat.parse("") == BoardFormat(128, 32, 16, "gb18030", "pages")
    assert BoardFormat.parse("192x96/24") == BoardFormat(192, 96, 24, "gb18030", "pages")
    assert BoardFormat.parse("192X96/24/UTF-8/scroll") == BoardFormat(192, 96, 24, "utf-8", "scroll")


def test_a_page_stands_three_seconds_at_least_and_longer_for_more_text() -> None:
    assert fit("火", 128, 32).seconds == 3.0
    assert fit("火" * 16, 128, 32).seconds == 3.2
    assert fit("火" * 17, 128, 32).seconds == 6.2  # 3.2 and 3 for the page of one
    assert fit("火" * 40, 320, 48).seconds == 8.0  # 5 characters a second


def test_a_running_line_is_one_line_and_never_cut() -> None:
    layout = fit("森林防火\n人人有责 " + "火" * 60, 128, 32, mode="scroll")
    assert layout.pages == (("森林防火 人人有责 " + "火" * 60,),)
    assert layout.seconds == (68 + 8) / 5
    with pytest.raises(FitError, match="240 at most"):
        fit("火" * 241, 128, 32, mode="scroll")


def test_the_answer_of_the_door_has_its_keys() -> None:
    assert fit("防火", 128, 32).as_json() == {"pages": [["防火"]], "seconds": 3.0}


def test_measure_tells_pages_and_names_problems() -> None:
    size = Billboard.measure("森林防火", "128x32/16/gbk/pages")
    assert (size.encoding, size.pages, size.seconds, size.characters) == ("gbk", (("森林防火",),), 3.0, 4)
    (problem,) = Billboard.measure("🔥", "").problems
    assert (problem.code, problem.detail) == ("picture", "🔥")


def test_nothing_is_pushed_to_a_board(messages: Callable[..., list[Message]]) -> None:
    answers = Billboard(ChannelSettings()).send(messages(2))
    assert [a.word for a in answers] == ["config_error"] * 2
    assert Billboard.pull
