"""Text into the lines and pages of a board, by the rules of Chinese and Korean typesetting."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from channels.billboard.characters import ENCODINGS, FitError, columns, showable

MODES = ("pages", "scroll")
MOST_PAGES = 12  # of one text; the last page of more comes after most people have passed
MOST_SCROLLED = 240  # characters of a running line: about 50 s
SHORTEST_PAGE_S = 3.0
CHARACTERS_PER_S = 5.0  # people read 4 to 6 from a board (billboard.md §2)
MOST_PIXELS = 16_384  # of one side

NO_BEGIN = frozenset("。，、．：；！？）》」』】〉〕〗］｝”’·～％℃°‰,.!?:;)]}%")
NO_END = frozenset("（《「『【〈〔〖［｛“‘￥＄￡#$([{")
_TOGETHER = frozenset("—―…─")  # two of them are one sign
_BLANKS = " \u3000"
_HANGUL = re.compile("[\u3130-\u318f\uac00-\ud7a3]")
_LETTERS = "0-9A-Za-z\u00c0-\u024f\u0370-\u04ff\u1e00-\u1eff\u3130-\u318f\uac00-\ud7a3"
_RUN = re.compile("[0-9A-Za-z\u00c0-\u024f\u1e00-\u1eff]+(?:[-.:,/][0-9]+)*")
# A number with its marks, a telephone number, a Latin or Korean word, an address on the web.
_WORD = re.compile(f"[{_LETTERS}]+(?:[-.,:/'~_@&+=?#%·：]+[{_LETTERS}]+)*")

# What a break between two characters costs; a line ends at the last of the cheapest that it reaches.
# A telephone number is kept whole even where its full stop must then begin a line: a cut number is dialled wrongly.
_FREE, _IN_KOREAN, _AT_JOINT, _IN_LONG_RUN, _FORBIDDEN, _IN_SHORT_RUN = range(6)


@dataclass(frozen=True, slots=True)
class Layout:
    """Pages of lines, and how long one showing of them takes."""

    pages: tuple[tuple[str, ...], ...]
    seconds: float

    @property
    def characters(self) -> int:
        """All but blanks."""
        return sum(map(characters, self.pages))

    def as_json(self) -> dict[str, Any]:
        """As `billboard fit` answers."""
        return {"pages": [list(page) for page in self.pages], "seconds": self.seconds}


def fit(  # noqa: PLR0913, PLR0917 - a board is six figures
    text: str, width: int, height: int, glyph: int = 16, encoding: str = "gb18030", mode: str = "pages"
) -> Layout:
    """`text` on a board of `width` x `height` px with characters of `glyph` px.

    Raises FitError, which names the characters in the way: see its codes. No line begins with a closing mark or ends with an
    opening one; no number and no Latin word that fits on a line is broken; Korean is broken at blanks where a word fits. Where a
    number fills the line and its mark has no room, or marks fill one, the number stays whole and a mark begins the next line.
    """
    room, rows = _measures(width, height, glyph)
    encoding = encoding.lower()
    if encoding not in ENCODINGS or mode not in MODES:
        raise FitError("format", f"encoding is one of {', '.join(ENCODINGS)}; mode one of {', '.join(MODES)}")
    paragraphs = [line.strip(_BLANKS) for line in showable(text, encoding).split("\n")]
    paragraphs = [line for line in paragraphs if line]
    if not paragraphs:
        raise FitError("empty", "the text is empty")
    if mode == "scroll":
        return _running(" ".join(paragraphs), room)
    lines = [line for paragraph in paragraphs for line in _broken(paragraph, room)]
    pages = tuple(tuple(lines[at : at + rows]) for at in range(0, len(lines), rows))
    if len(pages) > MOST_PAGES:
        raise FitError("too-long", f"{len(pages)} pages on this board, {MOST_PAGES} at most: shorten the text")
    return Layout(pages, round(sum(map(page_seconds, pages)), 1))


def page_seconds(page: Sequence[str]) -> float:
    """How long a page stands: 3 s, or longer where there is more to read."""
    return max(SHORTEST_PAGE_S, characters(page) / CHARACTERS_PER_S)


def characters(page: Sequence[str]) -> int:
    """All but blanks."""
    return sum(not c.isspace() for line in page for c in line)


def _measures(width: int, height: int, glyph: int) -> tuple[int, int]:
    """Columns and rows."""
    if not 8 <= glyph <= 256 or glyph % 2 or not 0 < max(width, height) <= MOST_PIXELS:
        raise FitError("format", f"a board has 1 to {MOST_PIXELS} px a side and an even glyph of 8 to 256 px")
    room, rows = width // (glyph // 2), height // glyph
    if room < 2 or rows < 1:
        raise FitError("too-small", f"a board of {width}x{height} px shows no character of {glyph} px")
    return room, rows


def _running(line: str, room: int) -> Layout:
    count = characters([line])
    if count > MOST_SCROLLED:
        raise FitError("too-long", f"{count} characters, {MOST_SCROLLED} at most in a running line: shorten the text")
    # The line comes in at one side and goes out at the other.
    return Layout(((line,),), round(max(SHORTEST_PAGE_S, (count + room / 2) / CHARACTERS_PER_S), 1))


def _broken(text: str, room: int) -> list[str]:
    costs = _costs(text, room)
    lines, at = [], 0
    while at < len(text):
        reach = _reach(text, at, room)
        end = reach
        if reach < len(text):
            cheapest = min(costs[at + 1 : reach + 1])
            end = max(k for k in range(at + 1, reach + 1) if costs[k] == cheapest)
        lines.append(text[at:end].rstrip(_BLANKS))
        at = end
        while at < len(text) and text[at] in _BLANKS:
            at += 1
    return lines


def _reach(text: str, at: int, room: int) -> int:
    """Where a line that begins at `at` must end at the latest; blanks behind it take no room."""
    used = 0
    while at < len(text) and used + columns(text[at]) <= room:
        used += columns(text[at])
        at += 1
    while at < len(text) and text[at] in _BLANKS:
        at += 1
    return at


def _costs(text: str, room: int) -> list[int]:
    """What a break before each character costs."""
    costs = [_FREE] * (len(text) + 1)
    for word in _WORD.finditer(text):
        for k in range(word.start() + 1, word.end()):
            costs[k] = _cost_in_word(text[k - 1], text[k])
    seen = [at for at, c in enumerate(text) if c not in _BLANKS]
    for left, right in pairwise(seen):
        pair = text[left] == text[right] and text[left] in _TOGETHER
        if pair or text[left] in NO_END or text[right] in NO_BEGIN:
            costs[left + 1 : right + 1] = [_FORBIDDEN] * (right - left)
    for run in _RUN.finditer(text):
        if run.end() - run.start() <= room:
            costs[run.start() + 1 : run.end()] = [_IN_SHORT_RUN] * (run.end() - run.start() - 1)
    return costs


def _cost_in_word(left: str, right: str) -> int:
    if _HANGUL.match(left) or _HANGUL.match(right):
        return _IN_KOREAN
    if not left.isalnum() and right.isalnum():
        return _AT_JOINT
    return _IN_LONG_RUN
