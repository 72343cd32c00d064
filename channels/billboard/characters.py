"""Which characters a board can show: put into its character set, its columns, or refused by name. Nothing is dropped unsaid."""

import unicodedata
from collections.abc import Mapping

ENCODINGS = ("gb18030", "gbk", "gb2312", "utf-8", "euc-kr", "cp949")

# Always: a board has one kind of blank, and figures and Latin letters take half the room in their narrow form.
_ALWAYS: Mapping[int, str] = {
    **{ord(blank): " " for blank in "\t\u00a0\u2002\u2003\u2009\u200a\u202f\u205f"},
    **{code: chr(code - 0xFEE0) for code in range(0xFF10, 0xFF5B) if chr(code - 0xFEE0).isalnum()},
    ord("\r"): "",
}
# Where the character set lacks them; the first that it has. GB 2312 and KS X 1001 have one dash and one dot, which Python
# names by other code points than GBK does.
_INSTEAD: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys("\u2018\u2019\u201a\u201b", ("'",)),
    **dict.fromkeys("\u201c\u201d\u201e\u201f", ('"',)),
    **dict.fromkeys("\u2010\u2011\u2012\u2013\u2212", ("-",)),
    **dict.fromkeys("\u2014\u2015", ("\u2014", "\u2015", "-")),
    **dict.fromkeys("\u00b7\u2022\u2027\u22c5\u30fb", ("\u00b7", "\u30fb")),
    **dict.fromkeys("\u301c\uff5e\u223c", ("\uff5e", "\u223c", "~")),
    "\u00ab": ("《",), "\u00bb": ("》",), "\u2026": ("...",), "\u3000": (" ",), "\u00a5": ("￥",),
}  # fmt: skip
_SYMBOLS: Mapping[str, tuple[str, ...]] = {"euc-kr": ("gbk", "euc-kr"), "cp949": ("gbk", "cp949")}
_FORMS = ("<wide>", "<narrow>", "<square>", "<compat>", "<noBreak>")  # not <super>, <fraction>: 10² is not 102


class FitError(ValueError):
    """A text that cannot be shown on a board. `characters` are those in the way.

    Codes: `empty`, `format`, `too-small`, `too-long`, `surrogate`, `picture`, `unprintable`, `not-in-encoding`.
    """

    def __init__(self, code: str, message: str, characters: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.characters = characters


def showable(text: str, encoding: str) -> str:
    """`text` in characters that a board of this character set has. Raises FitError, naming all that it has not."""
    text = unicodedata.normalize("NFC", text).translate(_ALWAYS)
    faults = {c: code for c in dict.fromkeys(text) if (code := _fault(c, encoding))}
    if faults:
        code = next(iter(faults.values()))
        raise FitError(code, f"a board cannot show {', '.join(map(_named, faults))}", "".join(faults))
    if encodable(text, encoding):
        return text
    changes = {c: _instead(c, encoding) for c in dict.fromkeys(text)}
    missing = [c for c, shown in changes.items() if shown is None]
    if missing:
        raise FitError("not-in-encoding", f"{encoding} lacks {', '.join(map(_named, missing))}", "".join(missing))
    return "".join(changes[c] or "" for c in text)


def encodable(text: str, encoding: str) -> bool:
    """Whether all of `text` is in the character set."""
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def columns(character: str) -> int:
    """2 for a full-width character, 1 for a narrow one. One that only Chinese fonts draw wide counts as wide: nothing overflows."""
    return 2 if unicodedata.east_asian_width(character) in "WFA" else 1


def _fault(character: str, encoding: str) -> str | None:
    """Why no board shows it, whatever its character set. GB 18030 and UTF-8 can write far more than any glyph memory holds."""
    if character == "\n" or character.isascii():
        return None if character == "\n" or character.isprintable() else "unprintable"
    category = unicodedata.category(character)
    if category == "Cs":
        return "surrogate"
    if category == "So" and not any(encodable(character, known) for known in _SYMBOLS.get(encoding, ("gbk",))):
        return "picture"
    if category[0] in "CM" or category in ("Zl", "Zp") or ord(character) > 0xFFFF:
        return "unprintable"
    return "unprintable" if unicodedata.bidirectional(character) in ("R", "AL") else None


def _instead(character: str, encoding: str) -> str | None:
    if encodable(character, encoding):
        return character
    for shown in (*_INSTEAD.get(character, ()), _plain(character)):
        if shown and encodable(shown, encoding):
            return shown
    return None


def _plain(character: str) -> str | None:
    """㎡ as m2, ㈱ as (株): the same sign in a plainer form."""
    if unicodedata.decomposition(character).startswith(_FORMS):
        return unicodedata.normalize("NFKC", character)
    return None


def _named(character: str) -> str:
    seen = character if character.isprintable() else ""
    return f"{seen} U+{ord(character):04X} {unicodedata.name(character, '')}".strip()
