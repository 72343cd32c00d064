"""One text in as many posts as it needs, cut where a reader pauses."""

import re

MARK_OCTETS = len("（999/999）".encode())
# Where a text may be cut, best first: after a line, after a sentence, after a clause, at a blank.
_CUTS = tuple(re.compile(pattern) for pattern in ("\n", "[。！？!?…；;]+[”’」』）)]*|\\.(?= )", "[，、,：:]", "\\s"))
# Characters that belong to the one before: a cut in front of them would tear what a reader sees as one.
_JOINED = re.compile("[\u0300-\u036f\u200d\ufe00-\ufe0f\U0001f3fb-\U0001f3ff]")


def split(text: str, octets: int) -> list[str]:
    """Posts of `octets` bytes of UTF-8 at most, marked （1/2）; one post without a mark where the text fits.

    No character is cut; everything is kept but the blanks at a cut. Raises ValueError: not even a mark fits.
    """
    text = text.strip()
    if len(text.encode()) <= octets:
        return [text]
    room = octets - MARK_OCTETS
    if room < 16:
        raise ValueError(f"{octets} bytes are too few for a part of a post")
    pieces: list[str] = []
    while text:
        end = _cut(text, room)
        pieces.append(text[:end].rstrip())
        text = text[end:].lstrip()
    return [f"{piece}（{at}/{len(pieces)}）" for at, piece in enumerate(pieces, 1)]


def _cut(text: str, room: int) -> int:
    """How many characters of `text` make the next piece: up to the last good place that lies past its first half."""
    data = text.encode()
    end = min(room, len(data))
    while end < len(data) and data[end] & 0xC0 == 0x80:  # inside a character
        end -= 1
    most = len(data[:end].decode())
    if most == len(text):
        return most
    for pattern in _CUTS:
        ends = [found.end() for found in pattern.finditer(text, 0, most)]
        if ends and ends[-1] > most // 2:
            return ends[-1]
    while most > 1 and (_JOINED.match(text, most) or text[most - 1] == "\u200d"):
        most -= 1
    return most
