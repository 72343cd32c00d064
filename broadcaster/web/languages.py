"""The words of the pages: one catalogue per language, and which language a browser gets."""

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from zoneinfo import ZoneInfo

FOLDER = Path(__file__).parent / "words"
LANGUAGES = ("zh-CN", "ko", "en")
NAMES = {"zh-CN": "中文", "ko": "한국어", "en": "English"}
COOKIE = "lang"
_MONTHS = "January February March April May June July August September October November December".split()  # noqa: SIM905


@lru_cache(maxsize=len(LANGUAGES))
def catalogue(language: str) -> Mapping[str, str]:
    """Every word of a language by its dotted key."""
    return dict(_flat(tomllib.loads((FOLDER / f"{language}.toml").read_text(encoding="utf-8"))))


def _flat(table: Mapping[str, object], before: str = "") -> Iterator[tuple[str, str]]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{key}.")
        else:
            yield before + key, str(value)


class Words:
    """The words of one language: `words("home.title")`. A missing key raises KeyError: a test finds it before a person does."""

    def __init__(self, language: str, zone: str) -> None:
        self.language = language
        self._zone = ZoneInfo(zone)
        self._words = catalogue(language)

    def __call__(self, key: str, **values: object) -> str:
        return self._words[key].format(**values)

    def has(self, key: str) -> bool:
        """Whether there are words for a key that comes from data, an error's code say."""
        return key in self._words

    def number(self, value: float | None) -> str:
        """Exact, in groups of three; a dash where it is not known."""
        return "–" if value is None else f"{value:,}"

    def money(self, thousandths: int | None) -> str:
        """A sum kept in thousandths of the currency unit."""
        return "–" if thousandths is None else f"{thousandths / 1000:,.2f}"

    def time(self, written: str | None) -> str:
        """An RFC 3339 time as people of this language write it, in the zone of the installation."""
        if not written:
            return "–"
        at = datetime.fromisoformat(written).astimezone(self._zone)
        clock = f"{at:%H:%M}"
        if self.language == "zh-CN":
            return f"{at.year}年{at.month}月{at.day}日 {clock}"
        if self.language == "ko":
            return f"{at.year}년 {at.month}월 {at.day}일 {clock}"
        return f"{at.day} {_MONTHS[at.month - 1]} {at.year}, {clock}"

    def seconds(self, value: float | None) -> str:
        """A length of time in minutes and seconds."""
        if value is None:
            return "–"
        whole = round(value)
        return self("unit.seconds", n=whole) if whole < 60 else self("unit.minutes", m=whole // 60, s=whole % 60)


def by_language(text: str, languages: str) -> list[tuple[str, str]]:
    """The paragraphs of a text with the language of each, so that a browser takes the right glyphs; neighbours together.

    `languages` as a wording has them, "zh-CN+ko". A paragraph without Chinese or Korean letters goes with the one before.
    """
    named = languages.split("+")
    if len(named) == 1:
        return [(named[0], text)]
    found: list[tuple[str, str]] = []
    for block in text.split("\n\n"):
        seen = _letters(block, named) or (found[-1][0] if found else named[0])
        if found and found[-1][0] == seen:
            found[-1] = (seen, f"{found[-1][1]}\n\n{block}")
        else:
            found.append((seen, block))
    return found


def _letters(block: str, named: Sequence[str]) -> str | None:
    if "ko" in named and re.search("[\uac00-\ud7a3]", block):
        return "ko"
    if "zh-CN" in named and re.search("[\u4e00-\u9fff]", block):
        return "zh-CN"
    return "en" if "en" in named and re.search("[A-Za-z]", block) else None


def chosen(asked: str | None, kept: str | None, accepted: str, usual: str) -> str:
    """The language of a page: asked for in the address, kept in the cookie, else the best of Accept-Language, else the setting."""
    for wish in (asked, kept):
        if wish in LANGUAGES:
            return wish
    return _best(accepted) or usual


def _best(accepted: str) -> str | None:
    wishes = [_wish(part, position) for position, part in enumerate(accepted.split(",")[:20])]
    for weight, _, tag in sorted(wishes, key=lambda wish: (-wish[0], wish[1])):
        for language in LANGUAGES:
            if weight > 0 and tag.partition("-")[0] == language.partition("-")[0]:
                return language
    return None


def _wish(part: str, position: int) -> tuple[float, int, str]:
    tag, _, weight = part.strip().partition(";")
    try:
        return (float(weight.strip().removeprefix("q=")) if weight else 1.0), position, tag.strip().lower()
    except ValueError:
        return 0.0, position, tag
