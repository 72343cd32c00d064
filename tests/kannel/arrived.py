"""What arrived at the SMS centre, as it says itself: read, decoded, parts joined. No code of the product is used for it."""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

_LINE = re.compile(
    rb"Got message \d+: <(\S*) (\S+) (?:udh (?P<udh>\S+) )?(?P<kind>text|ucs-2|data) ?(?P<body>.*?)>\n(?=20\d\d-|\Z)",
    re.S,
)


@dataclass(frozen=True)
class Part:
    """One SMS. `body` is UTF-16BE, GSM 03.38 or, where fakesmsc has turned it into letters, UTF-8; `text` where that is known."""

    sender: str
    to: str
    body: bytes
    udh: bytes = b""
    text: str | None = None
    coding: int = 0
    priority: int | None = None
    validity: str = ""


@dataclass(frozen=True)
class Seen:
    """A message, its parts joined."""

    sender: str
    to: str  # digits alone: SMPP carries the + in a field of its own
    text: str
    parts: int
    coding: int
    lengths: tuple[int, ...]  # octets of each part
    priority: int | None  # SMPP only
    validity: str  # SMPP only


def from_fakesmsc(said: bytes) -> Iterator[Part]:
    """Parts as fakesmsc prints them. Of a part with a header it does not say whether it is of letters or UCS-2."""
    for found in _LINE.finditer(said):
        body = found["body"]
        udh = unquote_to_bytes(found["udh"] or b"")
        if found["kind"] != b"text":
            body = unquote_to_bytes(body.replace(b"+", b" "))
        text = body.decode() if found["kind"] == b"text" else None
        yield Part(found[1].decode(), found[2].decode(), body, udh, text, 2 if found["kind"] == b"ucs-2" else 0)


def from_smsc(said: bytes) -> Iterator[Part]:
    """Parts as smsc.js prints them."""
    for line in said.splitlines():
        if line.startswith(b"{"):
            told = json.loads(line)
            body, udh = bytes.fromhex(told["body"]), bytes.fromhex(told["udh"])
            ucs2 = told["coding"] == 8
            yield Part(
                told["from"], told["to"], body, udh, None if ucs2 else told["gsm"], 2 if ucs2 else 0, told["priority"], told["validity"]
            )  # fmt: skip


def joined(parts: Iterable[Part]) -> list[Seen]:
    """Whole messages, in the order in which their first part came. A part that came twice is an error."""
    whole: dict[object, list[Part]] = defaultdict(list)
    for at, part in enumerate(parts):
        whole[(part.to, part.udh[3]) if part.udh else at].append(part)
    return [_message(found) for found in whole.values() if len(found) >= (found[0].udh[4] if found[0].udh else 1)]


def _message(parts: list[Part]) -> Seen:
    parts = sorted(parts, key=lambda part: part.udh[-1:])
    first = parts[0]
    assert [p.udh[5] for p in parts if p.udh] == list(range(1, len(parts) + 1))[: first.udh[4] if first.udh else 0]
    if any(part.text is None for part in parts):
        body = b"".join(part.body for part in parts)
        text, coding = _letters(body) if first.udh and not first.coding else (body.decode("utf-16-be"), 2)
    else:
        text, coding = "".join(part.text or "" for part in parts), first.coding
    lengths = tuple(len(part.body) for part in parts)
    return Seen(
        first.sender, first.to.removeprefix("+"), text, len(parts), coding, lengths, first.priority, first.validity
    )


def _letters(body: bytes) -> tuple[str, int]:
    """A body of which nobody says what it is: plain letters, else UCS-2."""
    if body.isascii() and b"\0" not in body:
        return body.decode(), 0
    return body.decode("utf-16-be"), 2
