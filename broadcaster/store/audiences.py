"""Who an audience selects, in one statement each; and the selections that are kept under a name.

What matches is decided here and told to people in compose/audiences.py.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sqlalchemy import Connection, CursorResult, text

from broadcaster.model import BadInput, Selection
from broadcaster.store.driver import run

Span = tuple[str, str]

# Each span is two values of a statement, of which SQLite takes 32,766. A province has fewer villages than this.
MOST_SPANS = 14_000
FETCH = 5_000


class Selected(NamedTuple):
    """One recipient of an audience. `premises_category` is '' where there are no premises."""

    recipient_id: int
    channel: str
    place: str
    premises_id: int | None
    premises_category: str
    premises_name: str | None
    name: str | None
    languages: str
    format: str
    address_key: bytes


class Counted(NamedTuple):
    """Recipients of one channel whose estimate of people has one source; '' where there is no estimate."""

    channel: str
    people_source: str
    recipients: int
    people: int


class Saved(NamedTuple):
    """A selection kept under a name. `selection` is JSON; `created_by` a login."""

    id: int
    name: str
    selection: str
    created_by: str
    created_at: int


def span_of(place: str) -> Span:
    """First and last 12-digit code under a code or its meaningful prefix: a range that an index can walk."""
    for length in (2, 4, 6, 9):
        if len(place) <= length or not place[length:].strip("0"):
            return place[:length].ljust(12, "0"), place[:length].ljust(12, "9")
    return place, place


def spans(selection: Selection) -> list[Span]:
    """What the selection's places leave once its excluded places are cut out: disjoint ranges, in order.

    Groups without places are bounded by their members, so they range over everything.
    Raises BadInput audience-too-many-places.
    """
    wanted = _merged(selection.places) if selection.places else [(0, 10**12 - 1)]
    for low, high in _merged(selection.exclude_places):
        parts = [part for first, last in wanted for part in ((first, min(last, low - 1)), (max(first, high + 1), last))]
        wanted = [(first, last) for first, last in parts if first <= last]
    if len(wanted) > MOST_SPANS:
        raise BadInput("audience-too-many-places", f"{len(wanted)} separate places; choose the places above them")
    return [(f"{first:012}", f"{last:012}") for first, last in wanted]


def _merged(places: Sequence[str]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for first, last in sorted((int(low), int(high)) for low, high in map(span_of, places)):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], last))
        else:
            merged.append((first, last))
    return merged


@dataclass
class _Query:
    """A statement over an audience as it grows: its conditions and the values they name.

    `area` is a table of the spans of the selected places, where places bound the audience.
    """

    area: str = ""
    conditions: list[str] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)

    def name(self, value: object) -> str:
        """A placeholder for a value."""
        key = f"v{len(self.values)}"
        self.values[key] = value
        return f":{key}"

    def names(self, values: Sequence[object]) -> str:
        """Placeholders for a list. An empty one matches nothing."""
        return ", ".join(map(self.name, values)) or "NULL"

    def run(self, conn: Connection, columns: str, rest: str) -> CursorResult[Any]:
        """SELECT columns over the recipients of the audience. Read in portions: an audience may be millions."""
        # CROSS JOIN fixes the order for SQLite: for each span, the recipients that an index finds in it.
        source = "area CROSS JOIN recipient r" if self.area else "recipient r"
        inside = ["r.place BETWEEN area.low AND area.high", *self.conditions] if self.area else self.conditions
        statement = (
            f"{self.area}SELECT {columns} FROM {source} LEFT JOIN premises p ON p.id = r.premises_id "
            f"WHERE {' AND '.join(inside)} {rest}"
        )
        options = {"stream_results": True, "yield_per": FETCH}
        return conn.execute(text(statement), self.values, execution_options=options)


_MEMBERS = (
    "(SELECT m.recipient_id FROM recipient_group g JOIN group_member m ON m.group_id = g.id WHERE g.name IN ({}))"
)


def _query(selection: Selection, channels: Sequence[str] | None) -> _Query:
    if selection.empty:
        raise BadInput(
            "audience-empty", "name at least one place or group: an empty audience is nobody, never everyone"
        )
    query = _Query(conditions=["r.active"])
    _bound(query, selection)
    if channels is not None:
        # As an expression: SQLite would else walk a whole channel by its index, once for each span.
        query.conditions.append(f"r.channel || '' IN ({query.names(channels)})")
    if selection.premises_categories:
        wanted = query.names(selection.premises_categories)
        query.conditions.append(f"(r.channel <> 'sms' OR p.category IN ({wanted}))")
    if selection.languages:
        spoken = " OR ".join(
            f"'+' || r.languages || '+' LIKE {query.name(f'%+{tag}+%')}" for tag in selection.languages
        )
        query.conditions.append(f"({spoken})")
    return query


def _bound(query: _Query, selection: Selection) -> None:
    """Places and groups: what the database looks recipients up by."""
    if selection.places or selection.exclude_places:
        found = spans(selection)
        rows = ", ".join(f"({query.name(low)}, {query.name(high)})" for low, high in found)
        query.area = f"WITH area(low, high) AS (VALUES {rows or '(NULL, NULL)'}) "
    if selection.groups:
        # As an expression beside places: SQLite would else try every member of the group once for each span.
        member = "r.id + 0" if query.area else "r.id"
        query.conditions.append(f"{member} IN {_MEMBERS.format(query.names(selection.groups))}")
    if selection.exclude_groups:
        query.conditions.append(f"r.id NOT IN {_MEMBERS.format(query.names(selection.exclude_groups))}")


def selected(conn: Connection, selection: Selection, channels: Sequence[str] | None = None) -> Iterator[Selected]:
    """The active recipients of an audience, ordered by channel, then place, then id; read in portions.

    `channels` None = every channel; an empty list = nobody. Raises BadInput audience-empty, audience-too-many-places.
    """
    columns = (
        "r.id, r.channel, r.place, r.premises_id, coalesce(p.category, ''), p.name, r.name, r.languages, r.format, "
        "r.address_key"
    )
    rows = _query(selection, channels).run(conn, columns, "ORDER BY r.channel, r.place, r.id")
    return map(Selected._make, rows)


def tally(conn: Connection, selection: Selection, channels: Sequence[str] | None = None) -> list[Counted]:
    """The audience counted by channel and by the source of its estimates of people."""
    columns = "r.channel, coalesce(r.people_source, ''), count(*), coalesce(sum(r.people), 0)"
    rest = "GROUP BY r.channel, coalesce(r.people_source, '') ORDER BY r.channel"
    return [Counted._make(row) for row in _query(selection, channels).run(conn, columns, rest)]


def uncovered(conn: Connection, selection: Selection, channels: Sequence[str] | None = None) -> int:
    """Village units under the selected places where no recipient of the audience stands. 0 where no places are selected."""
    if not selection.places:
        return 0
    query = _query(selection, channels)
    # level as an expression: SQLite would else build an index of all villages and walk it once for each span.
    statement = (
        f"{query.area}SELECT count(*) FROM area CROSS JOIN place v WHERE v.code BETWEEN area.low AND area.high "
        "AND v.level + 0 = 5 AND NOT EXISTS (SELECT 1 FROM recipient r LEFT JOIN premises p ON p.id = r.premises_id "
        f"WHERE r.place = v.code AND {' AND '.join(query.conditions)})"
    )
    return int(conn.execute(text(statement), query.values).scalar_one())


def save(conn: Connection, name: str, selection: str, user_id: int, now: int) -> int:
    """Keeps a selection under a name, in place of an older one. Campaigns froze theirs. Returns its id."""
    found = run(
        conn,
        "INSERT INTO audience (name, selection, created_by, created_at) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (name) DO UPDATE SET selection = excluded.selection RETURNING id",
        *(name, selection, user_id, now),
    )
    return int(found.scalar_one())


_SAVED = (
    "SELECT a.id, a.name, a.selection, u.login, a.created_at FROM audience a JOIN app_user u ON u.id = a.created_by"
)


def saved(conn: Connection) -> list[Saved]:
    """Every kept selection, by name."""
    return [Saved._make(row) for row in run(conn, f"{_SAVED} ORDER BY a.name")]


def find_saved(conn: Connection, name: str) -> Saved | None:
    """The selection kept under a name; None where there is none."""
    row = run(conn, f"{_SAVED} WHERE a.name = ?", name).first()
    return Saved._make(row) if row else None
