"""Audience and wordings become deliveries: counted, numbered from 1, priced, sealed, before anybody approves.

`gather` and `fill` read and reckon, so that the database is locked for other work only while rows are written; `plan_writing`
writes them.
"""

import base64
import json
import os
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice, repeat
from json.encoder import encode_basestring
from operator import itemgetter
from typing import Any, Protocol, cast

from sqlalchemy import Connection

from broadcaster.compose.seal import Line, deliveries_digest, digest
from broadcaster.compose.template_approved import unfit
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

WordingIds = Mapping[Key, int]
Cuts = Mapping[Cut, int]
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
    areas, people = _Areas(units, within), _People(writer)
    for recipient, channel, place, premises, category, premises_name, name, languages, format_, key in rows:
        people[channel, areas[place], category, languages, format_].append(
            (recipient, premises, name, premises_name, key)
        )
    if not people.groups:
        raise BadInput("audience-empty", "nobody is in this audience on these channels: nothing would be sent")
    for group in people.groups:
        group.people.sort(key=itemgetter(0))  # the index on recipients grows at its end
    return sorted(people.groups, key=lambda g: (ORDER[g.key.channel], g.key, g.cut[1], g.cut[2] or 0, *g.cut[3:]))


Area = tuple[str, int | None]  # county, unit


class _Areas(dict[str, Area]):
    """County and unit of a place, worked out when it is first met: there are a hundred recipients to a place, or more."""

    def __init__(self, units: Units, within: tuple[str, ...]) -> None:
        self._units, self._within = units, within

    def __missing__(self, place: str) -> Area:
        if self._within and not place.startswith(self._within):
            raise Refused("place-not-yours", f"the audience reaches into {place}, which is not a place of your unit")
        self[place] = found = (place[:6].ljust(12, "0"), self._units.unit_id(place))
        return found


class _People(dict[tuple[str, Area, str, str, str], list[Person]]):
    """People by (channel, area, premises category, languages, format); a group is made when its first one is met."""

    def __init__(self, writer: Writer) -> None:
        self.groups: list[Group] = []
        self._writer = writer

    def __missing__(self, combination: tuple[str, Area, str, str, str]) -> list[Person]:
        channel, (county, unit), category, languages, format_ = combination
        key = self._writer.key(channel, format_, languages, county, category)
        group = Group((channel, county, unit, category, languages), key)
        self.groups.append(group)
        self[combination] = group.people
        return group.people


def keys(groups: Iterable[Group]) -> list[Key]:
    """The wordings that the groups need, in the order of their deliveries."""
    return list(dict.fromkeys(group.key for group in groups))


def fill(settings: Settings, groups: Sequence[Group], wordings: Mapping[Key, Written]) -> Plan:
    """Slot values frozen, parts and cost of each recipient exact, everything hashed.

    Raises BadInput "slot-missing" (never a message with a hole), "sms-too-long" and "approved-value" (a cloud provider would not
    take it), each with how many recipients.
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
    if refused := sum(_refused(wordings[group.key], group.ready) for group in groups):
        raise BadInput(
            "approved-value", f"for {refused} recipients a variable is too long for the provider's template, or a link"
        )
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


def _refused(written: Written, ready: Ready) -> int:
    """How many recipients have a slot value that a cloud provider would not take. Costs nothing where no wording has such a one."""
    limits: list[tuple[int, int]] = []  # number of the slot, characters
    for approved in written.wording.approved:
        variables, longest = cast(list[list[Any]], approved["variables"]), cast(int, approved["longest"])
        limits += [(value, longest) for _, value in variables if isinstance(value, int)]
    if not limits:
        return 0
    found = (json.loads(slots or "[]") for slots in ready.slots)
    return sum(any(unfit(values[at], longest) for at, longest in limits) for values in found)


def _slots_missing(missing: Mapping[str, int]) -> BadInput:
    problems = [{"slot": slot, "recipients": n} for slot, n in sorted(missing.items()) if n]
    said = ", ".join(f"{p['recipients']} have no {p['slot']}" for p in problems)
    message = f"the SMS names each recipient, but {said}: add it to the recipients, or leave them out"
    return BadInput("slot-missing", message, problems)


def _numbered(groups: Iterable[Group]) -> Iterator[tuple[range, Group]]:
    n = 1
    for group in groups:
        end = n + len(group.ready.recipients)
        yield range(n, end), group
        n = end


def _lines(groups: Iterable[Group], wordings: Mapping[Key, Written]) -> Iterator[Line]:
    return chain.from_iterable(
        zip(
            numbers,
            repeat(group.key.channel),
            group.ready.keys,
            repeat(wordings[group.key].wording.digest),
            group.ready.slots,
            group.ready.parts,
            strict=False,
        )
        for numbers, group in _numbered(groups)
    )


def add_head(conn: Connection, campaign_id: int, plan: Plan) -> tuple[WordingIds, Cuts]:
    """Writes the wordings and cuts that the deliveries refer to; their ids."""
    wording_ids = {
        key: stored_wordings.add(conn, campaign_id, one.wording, one.size.as_json())
        for key, one in plan.wordings.items()
    }
    cuts = list(dict.fromkeys(group.cut for group in plan.groups))
    return wording_ids, dict(zip(cuts, stored.add_cuts(conn, campaign_id, cuts), strict=True))


def add_end(conn: Connection, plan: Plan, cut_ids: Cuts, campaign: tuple[int, str, int], chunk_size: int) -> None:
    """Writes counters and chunks, by which the deliveries can be seen. campaign = (id, lane, expires ms)."""
    stored.add_waiting(conn, campaign[0], _counted(plan.groups, cut_ids).items())
    stored.add_chunks(conn, campaign, list(chunks(campaign[0], plan, chunk_size)))
    stored.tell_planner(conn)


def rows_of(plan: Plan, wording_ids: WordingIds, cut_ids: Cuts) -> Iterator[stored.Row]:
    """The deliveries in order of n, each with a fresh token."""
    tokens = _tokens(plan.planned)
    return chain.from_iterable(
        zip(
            numbers,
            group.ready.recipients,
            repeat(group.key.channel),
            group.ready.premises,
            repeat(wording_ids[group.key]),
            repeat(cut_ids[group.cut]),
            group.ready.slots,
            group.ready.parts,
            islice(tokens, len(numbers)),
            strict=False,
        )
        for numbers, group in _numbered(plan.groups)
    )


def _tokens(n: int) -> Iterator[str]:
    """One read of the system's randomness for all: a call per delivery would cost more than its row."""
    drawn = base64.urlsafe_b64encode(os.urandom(n * TOKEN * 3 // 4)).decode()
    return (drawn[at : at + TOKEN] for at in range(0, n * TOKEN, TOKEN))


def _counted(groups: Iterable[Group], cut_ids: Cuts) -> dict[int, int]:
    counted: dict[int, int] = {}
    for group in groups:
        cut = cut_ids[group.cut]
        counted[cut] = counted.get(cut, 0) + len(group.ready.recipients)
    return counted


def chunks(campaign_id: int, plan: Plan, chunk_size: int) -> Iterator[tuple[str, int, int, str]]:
    """(channel, first, last, digest): contiguous ranges of one channel that tile 1…planned exactly."""
    spans: dict[str, list[tuple[int, str]]] = {}  # channel -> (first n, digest of the wording) of each group
    for numbers, group in _numbered(plan.groups):
        spans.setdefault(group.key.channel, []).append((numbers.start, plan.wordings[group.key].wording.digest))
    ends = [found[0][0] for found in list(spans.values())[1:]] + [plan.planned + 1]
    for (channel, found), end in zip(spans.items(), ends, strict=True):
        starts = [start for start, _ in found]
        for first in range(starts[0], end, chunk_size):
            last = min(first + chunk_size, end) - 1
            inside = found[bisect_right(starts, first) - 1 : bisect_right(starts, last)]
            words = list(dict.fromkeys(digest_ for _, digest_ in inside))
            yield channel, first, last, digest([campaign_id, first, last, words])
