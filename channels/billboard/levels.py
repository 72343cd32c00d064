"""Warning levels on a board: the word always, the colour where the board has it.

A dual-colour board shows red, green and yellow only, so a colour may never be the only carrier of a level (billboard.md §1.2).
"""

from collections.abc import Mapping
from dataclasses import dataclass

Rgb = tuple[int, int, int]

RED: Rgb = (255, 48, 32)
GREEN: Rgb = (64, 255, 64)
YELLOW: Rgb = (255, 216, 0)
BLUE: Rgb = (64, 128, 255)
ORANGE: Rgb = (255, 140, 0)

LEVEL_WORDS: Mapping[str, Mapping[str, str]] = {
    "blue": {"zh-CN": "蓝色", "ko": "청색", "en": "Blue"},
    "yellow": {"zh-CN": "黄色", "ko": "황색", "en": "Yellow"},
    "orange": {"zh-CN": "橙色", "ko": "주황색", "en": "Orange"},
    "red": {"zh-CN": "红色", "ko": "적색", "en": "Red"},
}
_SHORT = {"blue": "蓝", "yellow": "黄", "orange": "橙", "red": "红"}

# Colour of a level by what the diodes can do. A board of one colour is nearly always red.
COLOURS: Mapping[str, Mapping[str, Rgb]] = {
    "full": {"blue": BLUE, "yellow": YELLOW, "orange": ORANGE, "red": RED},
    "seven": {"blue": BLUE, "yellow": YELLOW, "orange": YELLOW, "red": RED},
    "dual": {"blue": GREEN, "yellow": YELLOW, "orange": YELLOW, "red": RED},
    "single": {"blue": RED, "yellow": RED, "orange": RED, "red": RED},
}
PLAIN: Mapping[str, Rgb] = {"full": ORANGE, "seven": YELLOW, "dual": YELLOW, "single": RED}


@dataclass(frozen=True, slots=True)
class Shown:
    """How a level looks on a board. `exact` False = the colour stands for another one, and only the word tells."""

    rgb: Rgb
    exact: bool


def shown(level: str | None, colours: str = "full") -> Shown:
    """The colour of a level (None: no warning) on a board of these colours. Raises KeyError for an unknown one of either."""
    if level is None:
        return Shown(PLAIN[colours], exact=True)
    rgb = COLOURS[colours][level]
    return Shown(rgb, exact=rgb == COLOURS["full"][level])


def with_level(text: str, level: str | None, language: str = "zh-CN") -> str:
    """`text` with its level's word: as it is where the word is in it, with [蓝色] in front otherwise.

    Raises KeyError for an unknown level or language.
    """
    if level is None:
        return text
    word = LEVEL_WORDS[level][language]
    if word.casefold() in text.casefold() or (language == "zh-CN" and f"{_SHORT[level]}预警" in text):
        return text
    return f"[{word}]{text}" if language == "zh-CN" else f"[{word}] {text}"
