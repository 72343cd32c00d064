"""Recipients, their premises and groups, in bulk. Addresses arrive sealed."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from broadcaster.store.driver import columns, copy_rows, run, run_many


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


LOCK = 0x72656370  # of bulk writing, among this database's advisory locks
Member = tuple[str, str, bytes]  # group, channel, address key: a recipient in a group, by what a file knows of both


def put_premises(conn: Connection, rows: Sequence[PremisesRow]) -> None:
    """Adds premises, or gives those that are there the category that is named."""
    if conn.dialect.name == "postgresql":
        _put_premises_at_once(conn, rows)
        return
    run_many(
        conn,
        "INSERT INTO premises (name, place, category) VALUES (?, ?, coalesce(?, 'other')) "
        "ON CONFLICT (name, place) DO UPDATE SET category = coalesce(?, premises.category)",
        [(*row, row.category) for row in rows],
    )


# A new version of a row that says the same would be written for each batch that names its premises again.
_OTHER_CATEGORY = "UPDATE SET category = excluded.category WHERE premises.category <> excluded.category"


def _put_premises_at_once(conn: Connection, rows: Sequence[PremisesRow]) -> None:
    # One statement may touch a row once only, so what rows of the same premises say is put together first; the last word wins.
    said: dict[tuple[str, str], str | None] = {}
    for name, place, category in rows:
        said[name, place] = category or said.get((name, place))
    insert = (
        "INSERT INTO premises (name, place, category) SELECT name, place, coalesce(category, 'other') "
        "FROM unnest(CAST(? AS text[]), CAST(? AS text[]), CAST(? AS text[])) AS said(name, place, category) "
        "WHERE category IS {} NULL ON CONFLICT (name, place) DO {}"
    )
    given = columns([(*key, said[key]) for key in sorted(said)], 3)
    run(conn, insert.format("NOT", _OTHER_CATEGORY), *given)
    run(conn, insert.format("", "NOTHING"), *given)


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
    if conn.dialect.name == "postgresql":
        for wave in _waves(rows):
            _put_at_once(conn, wave)
    else:
        run_many(conn, _PUT, rows)


def _waves(rows: Sequence[RecipientValues]) -> list[list[RecipientValues]]:
    """Rows of which none has the address of another, then those that change one of them, and so on."""
    waves: list[list[RecipientValues]] = []
    seen: dict[tuple[object, object], int] = {}
    for row in rows:
        address = (row[0], row[2])
        wave = seen[address] = seen.get(address, -1) + 1
        if wave == len(waves):
            waves.append([])
        waves[wave].append(row)
    return waves


_GIVEN = (  # a row as it was given: the statement below must know what was left empty
    "CREATE TEMPORARY TABLE IF NOT EXISTS given_recipient (channel text, address_sealed bytea, address_key bytea, name text, "
    "place text, premises text, languages text, format text, people int, people_source text, consent_at bigint, "
    "created_at bigint, place_given boolean, line int, PRIMARY KEY (channel, address_key)) ON COMMIT DROP"
)
_GIVEN_COLUMNS = (
    "channel, address_sealed, address_key, name, place, premises, languages, format, people, people_source, consent_at, "
    "created_at, place_given, line"
)
_OF_GIVEN = (
    "(SELECT {} FROM given_recipient g WHERE g.channel = excluded.channel AND g.address_key = excluded.address_key)"
)
# In the order of the file: ids rise with it, as on SQLite, and so does the order of a plan.
_PUT_GIVEN = (
    "INSERT INTO recipient (channel, address_sealed, address_key, name, place, premises_id, languages, format, people, "
    "people_source, consent_at, created_at) SELECT g.channel, g.address_sealed, g.address_key, g.name, g.place, p.id, "
    "coalesce(g.languages, 'zh-CN'), coalesce(g.format, ''), g.people, g.people_source, g.consent_at, g.created_at "
    "FROM given_recipient g LEFT JOIN premises p ON p.name = g.premises AND p.place = g.place "
    "ORDER BY g.line ON CONFLICT (channel, address_key) DO UPDATE SET "
    "name = coalesce(excluded.name, recipient.name), "
    f"place = CASE WHEN {_OF_GIVEN.format('place_given')} THEN excluded.place ELSE recipient.place END, "
    "premises_id = coalesce(excluded.premises_id, recipient.premises_id), "
    f"languages = coalesce({_OF_GIVEN.format('languages')}, recipient.languages), "
    f"format = coalesce({_OF_GIVEN.format('format')}, recipient.format), "
    "people = coalesce(excluded.people, recipient.people), "
    "people_source = coalesce(excluded.people_source, recipient.people_source), "
    "consent_at = coalesce(excluded.consent_at, recipient.consent_at), active = true"
)


def _put_at_once(conn: Connection, rows: Sequence[RecipientValues]) -> None:
    # Two imports of the same people in another order would wait for each other in a circle: one after the other.
    run(conn, "SELECT pg_advisory_xact_lock(?)", LOCK)
    run(conn, _GIVEN)
    run(conn, "TRUNCATE given_recipient")
    copy_rows(conn, "given_recipient", _GIVEN_COLUMNS, ((*row[:6], *row[7:14], line) for line, row in enumerate(rows)))
    run(conn, _PUT_GIVEN)


def put_groups(conn: Connection, names: Sequence[str]) -> None:
    """Adds groups that are not there."""
    run_many(
        conn,
        "INSERT INTO recipient_group (name) VALUES (?) ON CONFLICT (name) DO NOTHING",
        [(name,) for name in names],
    )


def put_members(conn: Connection, rows: Sequence[Member]) -> None:
    """Puts recipients into groups; both must be there before. Nobody is taken out."""
    if conn.dialect.name == "postgresql":
        run(
            conn,
            "INSERT INTO group_member (group_id, recipient_id) SELECT g.id, r.id "
            "FROM unnest(CAST(? AS text[]), CAST(? AS text[]), CAST(? AS bytea[])) AS m(name, channel, address_key) "
            "JOIN recipient_group g ON g.name = m.name JOIN recipient r ON r.channel = m.channel "
            "AND r.address_key = m.address_key ORDER BY 1, 2 ON CONFLICT (group_id, recipient_id) DO NOTHING",
            *columns(rows, 3),
        )
        return
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
