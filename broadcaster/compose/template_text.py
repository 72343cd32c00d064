"""Which characters a text for the public may hold, and how a text is tidied. Source: security.md §5 of the fact sheets."""

import difflib
import re
import unicodedata
from collections.abc import Iterable

_REFUSED = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
_INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\uffa0\ufe00-\ufe0f\U000e0100-\U000e01ef]"
)
_BLANKS = re.compile("[\u00a0\u2000-\u200a\u202f\u205f]")


def forbidden(text: str, allowed: str = "") -> str | None:
    """The first character that no medium may carry: control, bidi, zero-width, private use, not a character at all."""
    for character in text:
        if character in allowed:
            continue
        code = ord(character)
        if unicodedata.category(character) in _REFUSED or _INVISIBLE.match(character):
            return character
        if code & 0xFFFE == 0xFFFE or 0xFDD0 <= code <= 0xFDEF:
            return character
    return None


def shown(character: str) -> str:
    """A character that cannot be seen, as a person can look it up: `U+202E RIGHT-TO-LEFT OVERRIDE`."""
    return f"U+{ord(character):04X} {unicodedata.name(character, '')}".strip()


def tidy(text: str) -> str:
    """NFC, one kind of blank, no trailing blanks, never two empty lines, none at the ends."""
    lines = [line.rstrip() for line in _BLANKS.sub(" ", unicodedata.normalize("NFC", text)).split("\n")]
    return re.sub("\n{3,}", "\n\n", "\n".join(lines)).strip("\n")


def hint(name: str, known: Iterable[str]) -> str:
    """`; did you mean "contact"?`, or nothing."""
    near = difflib.get_close_matches(name, sorted(known), 1)
    return f'; did you mean "{near[0]}"?' if near else ""
