"""Recipients, their premises and groups, in bulk. Addresses arrive sealed."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from broadcaster.store.driver import run, run_many


class PremisesRow(NamedTuple):
    """Premises are one by name and place. `category` None: as it was, or `other` where they are new."""

    name: str
    place: str
    category: str | None


class RecipientRow(NamedTuple):
    """A recipient to be added, or changed where its channel has the address. None keeps what was known."""

    channel: str
    address_sealed: bytes
    address_key: bytes
    name: str | None
    place: str
    place_given: bool  # False: a stand-in, used only where the recipient is new
    premises: str | None
    languages: str | None
    format: str | None
    people: int | None
    people_source: str | None
    consent_at: int | None


Member = tuple[str, str, bytes]  # group, channel, address key: a recipient in a group, by what a file knows of both


def put_premises(conn: Connection, rows: Sequence[PremisesRow]) -> None:
    """Adds premises, or gives those that are there the category that is named."""
    run_many(
        conn,
        "INSERT INTO premises (name, place, category) VALUES (?, ?, coalesce(?, 'other')) "
        "ON CONFLICT (name, place) DO UPDATE SET category = coalesce(?, premises.category)",
        [(*row, row.category) for row in rows],
    )


# Premises are looked up by the row itself: reading their ids first would be a statement a row instead of a step of one.
_PUT = (
    "INSERT INTO recipient (channel, address_sealed, address_key, name, place, premises_id, languages, format, people, "
    "people_source, consent_at, created_at) VALUES (?, ?, ?, ?, ?, (SELECT id FROM premises WHERE name = ? AND place = ?), "
    "coalesce(?, 'zh-CN'), coalesce(?, ''), ?, ?, ?, ?) ON CONFLICT (channel, address_key) DO UPDATE SET "
    "name = coalesce(excluded.name, recipient.name), place = CASE WHEN ? THEN excluded.place ELSE recipient.place END, "
    "premises_id = coalesce(excluded.premises_id, recipient.premises_id), languages = coalesce(?, recipient.languages), "
    "format = coalesce(?, recipient.format), people = coalesce(excluded.people, recipient.people), "
    "people_source = coalesce(excluded.people_source, recipient.people_source), "
    "consent_at = coalesce(excluded.consent_at, recipient.consent_at), active = true"
)


RecipientValues = tuple[object, ...]


def values_of(row: RecipientRow, now: int) -> RecipientValues:
    """A row as put_recipients takes it: a plain tuple, which the collector of garbage need not look at again and again."""
    channel, sealed, key, name, place, given, premises, languages, format_, people, source, consent = row
    return (
        *(channel, sealed, key, name, place, premises, place, languages, format_, people, source, consent, now),
        *(given, languages, format_),
    )


def put_recipients(conn: Connection, rows: Sequence[RecipientValues]) -> None:
    """Adds recipients; those that are there are changed and active again. Their premises must be there before."""
    run_many(conn, _PUT, rows)


def put_groups(conn: Connection, names: Sequence[str]) -> None:
    """Adds groups that are not there."""
    run_many(
        conn,
        "INSERT INTO recipient_group (name) VALUES (?) ON CONFLICT (name) DO NOTHING",
        [(name,) for name in names],
    )


def put_members(conn: Connection, rows: Sequence[Member]) -> None:
    """Puts recipients into groups; both must be there before. Nobody is taken out."""
    run_many(
        conn,
        "INSERT INTO group_member (group_id, recipient_id) SELECT g.id, r.id FROM recipient_group g, recipient r "
        "WHERE g.name = ? AND r.channel = ? AND r.address_key = ? ON CONFLICT (group_id, recipient_id) DO NOTHING",
        rows,
    )


def how_many(conn: Connection) -> int:
    """Rows of recipients, active or not."""
    return int(run(conn, "SELECT count(*) FROM recipient").scalar_one())


def groups(conn: Connection) -> list[tuple[str, int]]:
    """Every group and its members, by name."""
    rows = run(
        conn,
        "SELECT g.name, count(m.recipient_id) FROM recipient_group g LEFT JOIN group_member m ON m.group_id = g.id "
        "GROUP BY g.name ORDER BY g.name",
    )
    return [(str(name), int(n)) for name, n in rows]


def unknown_groups(conn: Connection, names: Sequence[str]) -> list[str]:
    """Those of the names that no group has."""
    return [name for name in names if run(conn, "SELECT 1 FROM recipient_group WHERE name = ?", name).first() is None]
