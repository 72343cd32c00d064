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
_REFUSED = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
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
    units, parts, left = _packed(text, alphabet)
    return Size(alphabet.name, units, parts, left, problems=tuple(_problems(text, parts)))


def _packed(text: str, alphabet: Alphabet) -> tuple[int, int, int]:
    """Units, parts, units left. Only characters of two units cost a look; the others are counted in runs."""
    doubles = [found.start() for found in alphabet.double.finditer(text)]
    units = len(text) + len(doubles)
    if units <= alphabet.single:
        return units, 1, alphabet.single - units
    room, lost = alphabet.part, 0
    for earlier, at in enumerate(doubles):
        if (at + earlier + lost) % room == room - 1:
            lost += 1  # the last unit of this part stays empty: the pair moves on whole
    parts = -(-(units + lost) // room)
    return units, parts, parts * room - units - lost


class SlotMeter:
    """Parts of one wording for many recipients: fixed pieces measured once, slot values at each call.

    `SlotMeter(["【消防】", "请检查", ""]).parts(["张三", "商场"])` equals `measure` of the joined text. The full packing is done
    only where a character of two units could lie on a border.
    """

    __slots__ = ("_gsm7", "_pieces", "_slots", "_twos", "_ucs2_units", "_units")

    def __init__(self, pieces: Sequence[str]) -> None:
        """`pieces` are the fixed texts round the slots: one more than there are slots."""
        if not pieces:
            raise ValueError("a wording has one piece at least")
        fixed = "".join(pieces)
        self._pieces = tuple(pieces)
        self._slots = len(pieces) - 1
        self._gsm7 = _IS_GSM7(fixed) is not None
        self._twos = len((GSM7 if self._gsm7 else UCS2).double.findall(fixed))
        self._units = len(fixed) + self._twos
        self._ucs2_units = len(fixed) if self._gsm7 else self._units

    def parts(self, values: Sequence[str]) -> int:
        """Parts of the text with these slot values. Raises ValueError where their number is not that of the slots."""
        if len(values) != self._slots:
            raise ValueError(f"{len(values)} values for {self._slots} slots")
        value = "".join(values)
        if self._gsm7 and _IS_GSM7(value):
            alphabet = GSM7
            twos = 0 if value.isalnum() else len(_TWO_SEPTETS.findall(value))
            units, twos = self._units + len(value) + twos, self._twos + twos
        else:
            alphabet = UCS2
            units = len(value.encode("utf-16-le", "surrogatepass")) >> 1
            twos = units - len(value) + (0 if self._gsm7 else self._twos)
            units += self._ucs2_units
        if units <= alphabet.single:
            return 1
        room = alphabet.part
        parts = -(-units // room)
        # A border costs one unit at most, and only if there is a pair to move over it. Where the last part has room for
        # all that could be lost, no packing needs another part.
        if twos and units + min(twos, parts - 1) > parts * room:
            return _packed(self._joined(values), alphabet)[1]
        return parts

    def _joined(self, values: Sequence[str]) -> str:
        return self._pieces[0] + "".join(v + p for v, p in zip(values, self._pieces[1:], strict=True))


def _problems(text: str, parts: int) -> Iterator[Problem]:
    if not text.strip():
        yield Problem("empty", "the text is empty")
    halves, bad = _forbidden(text)
    if halves:
        yield Problem("surrogate", "half of a character: the text was cut inside a pair", _names(halves))
    if bad:
        yield Problem("forbidden-character", "characters that cannot be seen or that turn the text round", _names(bad))
    yield from _signature_problems(text)
    if parts > MOST_PARTS:
        yield Problem("too-long", f"{parts} parts; {MOST_PARTS} at most, or gateways cut the rest", str(parts))


def _forbidden(text: str) -> tuple[set[str], set[str]]:
    """Lone surrogates; control characters but LF, marks of direction, zero-width characters. Source: security.md §5."""
    if text.replace("\n", "").isprintable():
        return set(), set()
    found = [(i, c) for i, c in enumerate(text) if c != "\n" and unicodedata.category(c) in _REFUSED]
    halves = {c for _, c in found if "\ud800" <= c <= "\udfff"}
    return halves, {c for i, c in found if c not in halves and not _joins_pictures(text, i)}


def _joins_pictures(text: str, at: int) -> bool:
    """A joiner between two pictures makes one of them (a family, a flag): it hides nothing. Between letters it would."""
    before, after = text[at - 1 : at], text[at + 1 : at + 2]
    if text[at] != "\u200d" or not before or not after or unicodedata.category(after) != "So":
        return False
    return before == "\ufe0f" or unicodedata.category(before) in ("So", "Sk")


def _names(characters: set[str]) -> str:
    return ", ".join(f"U+{ord(c):04X} {unicodedata.name(c, '')}".strip() for c in sorted(characters))


def _signature_problems(text: str) -> Iterator[Problem]:
    found = _SIGNATURE.match(text)
    if not found:
        return
    rest = text[found.end() :].strip()
    if not rest:
        yield Problem("signature-only", "nothing but the signature", found.group())
    elif rest.startswith(found.group()) or rest.endswith(found.group()):
        yield Problem(
            "signature-twice", "the signature stands twice: a provider that adds it makes it double", found.group()
        )
