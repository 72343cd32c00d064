"""How many parts an SMS takes: GSM 03.38 seven-bit packing, or UCS-2 as soon as one character is outside it."""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from channels.base import Problem, Size

MOST_PARTS = 10  # gateways cut longer messages without a word (Kannel's max-messages, tried)

# 3GPP TS 23.038 §6.2.1 and its extension table. Form feed and escape are left out: no control character but LF may be sent.
GSM7_BASIC = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
GSM7_EXTENSION = "^{}\\[~]|€"

_IS_GSM7 = re.compile(f"[{re.escape(GSM7_BASIC + GSM7_EXTENSION)}]*").fullmatch
_TWO_SEPTETS = re.compile(f"[{re.escape(GSM7_EXTENSION)}]")
_TWO_UNITS = re.compile("[\U00010000-\U0010ffff]")
_SIGNATURE = re.compile("【[^】]*】")


@dataclass(frozen=True, slots=True)
class Alphabet:
    """One of the two ways to carry text. A part of a long message is shorter: its header takes room."""

    name: str
    single: int  # units of a message that stands alone
    part: int  # units of each part of a longer one
    double: re.Pattern[str]  # characters of two units, which may not lie over a border


GSM7 = Alphabet("gsm7", 160, 153, _TWO_SEPTETS)
UCS2 = Alphabet("ucs2", 70, 67, _TWO_UNITS)


def measure(text: str) -> Size:
    """Encoding, units, parts and units left in the last part, of the text as given. Never raises: says problems instead.

    Codes: `empty`, `surrogate`, `forbidden-character`, `signature-only`, `signature-twice`, `too-long`. The figures are
    exact beside any problem too, so that an editor can show both. Source: 3GPP TS 23.038, 23.040.
    """
    alphabet = GSM7 if _IS_GSM7(text) else UCS2
    units = len(text) + len(alphabet.double.findall(text))
    if units <= alphabet.single:
        parts, left = 1, alphabet.single - units
    else:
        parts, left = _pack(text, alphabet, units)
    return Size(alphabet.name, units, parts, left, problems=tuple(_problems(text, parts)))


def _pack(text: str, alphabet: Alphabet, units: int) -> tuple[int, int]:
    """Parts and units left in the last one. Only characters of two units cost a look; the others are counted in runs."""
    filled, before, room = 0, 0, alphabet.part
    for found in alphabet.double.finditer(text):
        filled += found.start() - before
        before = found.end()
        if filled % room == room - 1:
            filled += 1  # the last unit of this part stays empty: the pair moves on whole
        filled += 2
    filled += len(text) - before
    parts = -(-filled // room)
    return parts, parts * room - filled


class SlotMeter:
    """Parts of one wording for many recipients: fixed pieces measured once, slot values at each call.

    `SlotMeter(["【消防】", "请检查", ""]).parts(["张三", "商场"])` equals `measure` of the joined text. About 1 µs a call with one
    slot. The full packing is done only where a character of two units could lie on a border.
    """

    __slots__ = ("_double", "_gsm7", "_pieces", "_slots", "_ucs2_units", "_units")

    def __init__(self, pieces: Sequence[str]) -> None:
        """`pieces` are the fixed texts round the slots: one more than there are slots."""
        if not pieces:
            raise ValueError("a wording has one piece at least")
        fixed = "".join(pieces)
        self._pieces = tuple(pieces)
        self._slots = len(pieces) - 1
        self._gsm7 = _IS_GSM7(fixed) is not None
        self._double = bool((_TWO_SEPTETS if self._gsm7 else _TWO_UNITS).search(fixed))
        self._units = len(fixed) + len(_TWO_SEPTETS.findall(fixed))
        self._ucs2_units = len(fixed) + len(_TWO_UNITS.findall(fixed))

    def parts(self, values: Sequence[str]) -> int:
        """Parts of the text with these slot values. Raises ValueError where their number is not that of the slots."""
        if len(values) != self._slots:
            raise ValueError(f"{len(values)} values for {self._slots} slots")
        value = "".join(values)
        if self._gsm7 and _IS_GSM7(value):
            twos = 0 if value.isalnum() else len(_TWO_SEPTETS.findall(value))
            units, single, room = self._units + len(value) + twos, 160, 153
        else:
            twos = 0 if value.isascii() or max(value) <= "\uffff" else len(_TWO_UNITS.findall(value))
            units, single, room = self._ucs2_units + len(value) + twos, 70, 67
        if units <= single:
            return 1
        parts = -(-units // room)
        # A part can lose one unit at its border, and only if the text has a pair to lose it to. If the last part has room
        # for all of that, no packing can need another part.
        if (twos or self._double or (self._gsm7 and room == 67)) and units + parts - 1 > parts * room:
            return measure(self._joined(values)).parts
        return parts

    def _joined(self, values: Sequence[str]) -> str:
        return self._pieces[0] + "".join(v + p for v, p in zip(values, self._pieces[1:], strict=True))


def _problems(text: str, parts: int) -> Iterator[Problem]:
    if not text.strip():
        yield Problem("empty", "the text is empty")
    bad = sorted({c for i, c in enumerate(text) if _forbidden(text, i)}) if not text.isascii() or _has_control(text) else []
    if any(unicodedata.category(c) == "Cs" for c in bad):
        yield Problem("surrogate", "half of a character: the text was cut inside a pair", _names(bad, "Cs"))
    if any(unicodedata.category(c) != "Cs" for c in bad):
        yield Problem("forbidden-character", "characters that cannot be seen or that turn the text round", _names(bad, ""))
    yield from _signature_problems(text)
    if parts > MOST_PARTS:
        yield Problem("too-long", f"{parts} parts; {MOST_PARTS} at most, or gateways cut the rest", str(parts))


def _has_control(text: str) -> bool:
    return not text.replace("\n", "").isprintable()


def _forbidden(text: str, at: int) -> bool:
    """Control characters but LF, marks of direction, zero-width characters, lone surrogates. Source: security.md §5."""
    character = text[at]
    if character == "\n" or unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Zl", "Zp"):
        return False
    return not (character == "\u200d" and _joins_pictures(text, at))


def _joins_pictures(text: str, at: int) -> bool:
    """A joiner between two pictures makes one of them (family, flag): it hides nothing. Between letters it does."""
    before, after = text[at - 1 : at], text[at + 1 : at + 2]
    picture = before in ("\ufe0f",) or unicodedata.category(before or "a") in ("So", "Sk")
    return picture and unicodedata.category(after or "a") == "So"


def _names(characters: Sequence[str], category: str) -> str:
    wanted = [c for c in characters if (unicodedata.category(c) == "Cs") == (category == "Cs")]
    return ", ".join(f"U+{ord(c):04X} {unicodedata.name(c, '')}".strip() for c in wanted)


def _signature_problems(text: str) -> Iterator[Problem]:
    found = _SIGNATURE.match(text)
    if not found:
        return
    rest = text[found.end() :].strip()
    if not rest:
        yield Problem("signature-only", "nothing but the signature", found.group())
    elif rest.startswith(found.group()) or rest.endswith(found.group()):
        yield Problem("signature-twice", "the signature stands twice: a provider that adds it makes it double", found.group())
