"""Audience and wordings become deliveries: counted, numbered from 1, priced, sealed, before anybody approves.

Two steps, so that the database is locked for other work only while rows are written: `gather` and `fill` read and reckon,
`store` writes all of it inside the caller's one transaction. Half a plan can therefore never be sent.
"""

import base64
import os
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count, islice, repeat
from json.encoder import encode_basestring
from typing import Protocol

from sqlalchemy import Connection

from broadcaster.compose.seal import Line, deliveries_digest, digest
from broadcaster.compose.wording import Key, Writer, Written
from broadcaster.model import BadInput, Refused
from broadcaster.settings import Settings
from broadcaster.store import plan as stored
from broadcaster.store import wordings as stored_wordings
from broadcaster.store.audiences import Selected
from broadcaster.store.plan import Cut
from channels.sms.segments import SlotMeter

ORDER = {"sms": 0, "loudspeaker": 1, "billboard": 2, "social": 3}
TOKEN = 16  # characters, 96 random bits: not guessable by a provider who sees the others

Progress = Callable[[int, int], None]  # deliveries written, deliveries planned
Person = tuple[int, int | None, str | None, str | None, bytes]  # recipient, premises, name, premises name, address key


@dataclass(frozen=True, slots=True)
class Ready:
    """Deliveries of one group by columns: a tuple each would be a third of the plan's memory."""

    recipients: Sequence[int] = ()
    premises: Sequence[int | None] = ()
    slots: Sequence[str | None] = ()  # JSON
    parts: Sequence[int] = ()
    keys: Sequence[bytes] = ()


class Units(Protocol):
    """Which unit a place belongs to; the longest prefix wins."""

    def unit_id(self, place: str) -> int | None:
        """None where no unit has it."""


@dataclass(slots=True)
class Group:
    """Recipients who get the same wording and are counted together."""

    cut: Cut
    key: Key
    people: list[Person] = field(default_factory=list)
    ready: Ready = field(default_factory=Ready)


@dataclass(frozen=True, slots=True)
class Plan:
    """All that a submit writes. Groups are in order of n; `wordings` in order of their keys."""

    groups: Sequence[Group]
    wordings: Mapping[Key, Written]
    planned: int
    parts: int  # SMS parts, as billed
    cost: int  # thousandths of the currency unit
    deliveries: str  # digest


def gather(rows: Iterable[Selected], writer: Writer, units: Units, within: tuple[str, ...] = ()) -> list[Group]:
    """Selected recipients by wording and cut, in their final order. One pass; what repeats is looked up once.

    `within` are the place prefixes that the author may send to; empty for everywhere. Raises BadInput "audience-empty",
    Refused "place-not-yours".
    """
    sorted_out = _Sorting(writer, units, within)
    for recipient, channel, place, premises, category, premises_name, name, languages, format_, key in rows:
        sorted_out.group(channel, place, category, languages, format_).append(
            (recipient, premises, name, premises_name, key)
        )
    groups = [group for group in sorted_out.groups.values() if group.people]
    if not groups:
        raise BadInput("audience-empty", "nobody is in this audience on these channels: nothing would be sent")
    for group in groups:
        group.people.sort(key=_recipient)  # the index on recipients grows at its end
    return sorted(groups, key=lambda g: (ORDER[g.key.channel], g.key, g.cut[1], g.cut[2] or 0, *g.cut[3:]))


def _recipient(person: Person) -> int:
    return person[0]


class _Sorting:
    """Finds a recipient's group by two dictionary look-ups; a place or a combination is worked out at its first sight."""

    def __init__(self, writer: Writer, units: Units, within: tuple[str, ...]) -> None:
        self.groups: dict[tuple[object, ...], Group] = {}
        self._people: dict[tuple[object, ...], list[Person]] = {}
        self._areas: dict[str, tuple[str, int | None]] = {}
        self._writer, self._units, self._within = writer, units, within

    def group(self, channel: str, place: str, category: str | None, languages: str, format: str) -> list[Person]:
        area = self._areas.get(place) or self._area(place)
        found = self._people.get((channel, area, category, languages, format))
        return self._new(channel, area, category, languages, format) if found is None else found

    def _area(self, place: str) -> tuple[str, int | None]:
        if self._within and not place.startswith(self._within):
            raise Refused("place-not-yours", f"the audience reaches into {place}, which is not a place of your unit")
        self._areas[place] = found = (place[:6].ljust(12, "0"), self._units.unit_id(place))
        return found

    def _new(
        self, channel: str, area: tuple[str, int | None], category: str | None, languages: str, format: str
    ) -> list[Person]:
        county, unit = area
        key = self._writer.key(channel, format, languages, county, category or "")
        group = Group((channel, county, unit, category or "", languages), key)
        self.groups[channel, area, category, languages, format] = group
        self._people[channel, area, category, languages, format] = group.people
        return group.people


def keys(groups: Iterable[Group]) -> list[Key]:
    """The wordings that the groups need, in the order of their deliveries."""
    return list(dict.fromkeys(group.key for group in groups))


def fill(settings: Settings, groups: Sequence[Group], wordings: Mapping[Key, Written]) -> Plan:
    """Slot values frozen, parts and cost of each recipient exact, everything hashed.

    Raises BadInput "slot-missing" (never a message with a hole) and "sms-too-long", each with how many recipients.
    """
    missing: dict[str, int] = {}
    parts = too_long = 0
    for group in groups:
        group.ready = _ready(wordings[group.key], group.people, missing)
        group.people = []
        if group.key.channel == "sms":
            parts += sum(group.ready.parts)
            too_long += sum(n > settings.sms_max_parts for n in group.ready.parts)
    if missing:
        raise _slots_missing(missing)
    if too_long:
        most = settings.sms_max_parts
        raise BadInput("sms-too-long", f"for {too_long} recipients the SMS takes more than {most} parts: shorten it")
    planned = sum(len(group.ready.recipients) for group in groups)
    sealed = deliveries_digest(_lines(groups, wordings))
    return Plan(groups, wordings, planned, parts, parts * settings.sms_price, sealed)


def _ready(written: Written, people: Sequence[Person], missing: dict[str, int]) -> Ready:
    """People of one wording by columns, with their slot values as JSON and their parts."""
    wording = written.wording
    recipients, premises, names, premises_names, keys_ = zip(*people, strict=True)
    size = len(people)
    if wording.channel != "sms":
        return Ready(recipients, premises, [None] * size, [written.size.parts] * size, keys_)
    meter = SlotMeter(wording.pieces)
    if not wording.slots:
        return Ready(recipients, premises, [None] * size, [meter.parts(())] * size, keys_)
    known = {"name": names, "premises": premises_names}
    values = [known[slot] for slot in wording.slots]
    for slot, column in zip(wording.slots, values, strict=True):
        if not all(column):
            missing[slot] = sum(not value for value in column) + missing.get(slot, 0)
    if missing:
        return Ready(recipients, premises, [None] * size, [1] * size, keys_)
    filled = [f"[{row}]" for row in map(",".join, zip(*(map(encode_basestring, c) for c in values), strict=True))]
    return Ready(recipients, premises, filled, list(map(meter.parts, zip(*values, strict=True))), keys_)


def _slots_missing(missing: Mapping[str, int]) -> BadInput:
    problems = [{"slot": slot, "recipients": n} for slot, n in sorted(missing.items()) if n]
    said = ", ".join(f"{p['recipients']} have no {p['slot']}" for p in problems)
    message = f"the SMS names each recipient, but {said}: add it to the recipients, or leave them out"
    return BadInput("slot-missing", message, problems)


def _lines(groups: Iterable[Group], wordings: Mapping[Key, Written]) -> Iterator[Line]:
    n = 0
    for group in groups:
        channel, words, ready = repeat(group.key.channel), repeat(wordings[group.key].wording.digest), group.ready
        yield from zip(count(n + 1), channel, ready.keys, words, ready.slots, ready.parts, strict=False)
        n += len(ready.recipients)


def store(
    conn: Connection, plan: Plan, campaign: tuple[int, str, int], chunk_size: int, progress: Progress | None = None
) -> None:
    """Writes wordings, cuts, deliveries, counters and chunks. campaign = (id, lane, expires ms)."""
    campaign_id = campaign[0]
    wording_ids = {
        key: stored_wordings.add(conn, campaign_id, one.wording, one.size.as_json())
        for key, one in plan.wordings.items()
    }
    cuts = list(dict.fromkeys(group.cut for group in plan.groups))
    cut_ids = dict(zip(cuts, stored.add_cuts(conn, campaign_id, cuts), strict=True))
    done = 0
    for written in stored.add_deliveries(conn, campaign_id, _rows(plan, wording_ids, cut_ids)):
        done += written
        if progress:
            progress(done, plan.planned)
    stored.add_waiting(conn, campaign_id, _counted(plan.groups, cut_ids).items())
    stored.add_chunks(conn, campaign, list(chunks(campaign_id, plan, chunk_size)))


def _rows(plan: Plan, wording_ids: Mapping[Key, int], cut_ids: Mapping[Cut, int]) -> Iterator[stored.Row]:
    tokens = _tokens(plan.planned)
    n = 0
    for group in plan.groups:
        ready, size = group.ready, len(group.ready.recipients)
        shared = (repeat(group.key.channel), repeat(wording_ids[group.key]), repeat(cut_ids[group.cut]))
        channel, wording, cut = shared
        numbers, drawn = range(n + 1, n + size + 1), islice(tokens, size)
        yield from zip(
            numbers,
            ready.recipients,
            channel,
            ready.premises,
            wording,
            cut,
            ready.slots,
            ready.parts,
            drawn,
            strict=False,
        )
        n += size


def _tokens(n: int) -> Iterator[str]:
    """One read of the system's randomness for all: a call per delivery would cost more than its row."""
    drawn = base64.urlsafe_b64encode(os.urandom(n * TOKEN * 3 // 4)).decode()
    return (drawn[at : at + TOKEN] for at in range(0, n * TOKEN, TOKEN))


def _counted(groups: Iterable[Group], cut_ids: Mapping[Cut, int]) -> dict[int, int]:
    counted: dict[int, int] = {}
    for group in groups:
        cut = cut_ids[group.cut]
        counted[cut] = counted.get(cut, 0) + len(group.ready.recipients)
    return counted


def chunks(campaign_id: int, plan: Plan, chunk_size: int) -> Iterator[tuple[str, int, int, str]]:
    """(channel, first, last, digest): contiguous ranges of one channel that tile 1…planned exactly."""
    spans: dict[str, list[tuple[int, str]]] = {}  # channel -> (first n, digest of the wording) of each group
    n = 0
    for group in plan.groups:
        spans.setdefault(group.key.channel, []).append((n + 1, plan.wordings[group.key].wording.digest))
        n += len(group.ready.recipients)
    ends = [found[0][0] for found in list(spans.values())[1:]] + [n + 1]
    for (channel, found), end in zip(spans.items(), ends, strict=True):
        starts = [start for start, _ in found]
        for first in range(starts[0], end, chunk_size):
            last = min(first + chunk_size, end) - 1
            inside = found[bisect_right(starts, first) - 1 : bisect_right(starts, last)]
            words = list(dict.fromkeys(digest_ for _, digest_ in inside))
            yield channel, first, last, digest([campaign_id, first, last, words])
