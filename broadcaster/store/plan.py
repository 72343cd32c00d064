"""The plan's rows: deliveries, cuts, chunks and counters of one campaign, written in bulk and read back for the seal."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import NamedTuple

from sqlalchemy import Connection

from broadcaster.model import Outcome, Selection
from broadcaster.store import audiences
from broadcaster.store.audiences import Selected
from broadcaster.store.driver import copy_rows, run, run_many, stream

# channel, county, unit, premises category, languages
Cut = tuple[str, str, int | None, str, str]
# n, recipient, channel, premises, wording, cut, slots JSON, parts, token
Row = tuple[int, int, str, int | None, int, int, str | None, int, str]

_COLUMNS = "n, recipient_id, channel, premises_id, wording_id, cut_id, slots, parts, token"
BLOCK = 50  # rows of one INSERT
PORTION = 20_000  # rows of one transaction: SQLite's writers wait 0.1 s for it
_FIRST = "SELECT n FROM delivery WHERE campaign_id = ? ORDER BY n LIMIT 1"

# The columns of Selected.
_SELECTED = (
    "r.id, r.channel, r.place, r.premises_id, coalesce(p.category, ''), p.name, r.name, r.languages, r.format, "
    "r.address_key"
)
# What a correction must reach: those who got the first message, or may have got it.
_MAY_HAVE_IT = (Outcome.ACCEPTED, Outcome.DELIVERED, Outcome.UNKNOWN, Outcome.SENDING)


class Portion(NamedTuple):
    """Some of an audience who share a channel and a language list: how many, and the first and last id of them."""

    channel: str
    languages: str
    recipients: int
    first: int
    last: int


def void(conn: Connection, campaign_id: int) -> None:
    """Takes from a plan that was never released all by which it can be seen; its deliveries are left to `remove_portion`."""
    for table in ("chunk", "counter", "cut", "wording"):
        run(conn, f"DELETE FROM {table} WHERE campaign_id = ?", campaign_id)


def remove_portion(conn: Connection, campaign_id: int) -> bool:
    """Removes the first deliveries of a plan that was voided. False where none is left."""
    first = run(conn, _FIRST, campaign_id).scalar()
    if first is None:
        return False
    last = int(first) + PORTION - 1
    run(conn, "DELETE FROM delivery WHERE campaign_id = ? AND n BETWEEN ? AND ?", campaign_id, first, last)
    return run(conn, _FIRST, campaign_id).scalar() is not None


def add_cuts(conn: Connection, campaign_id: int, cuts: Sequence[Cut]) -> list[int]:
    """Keeps the combinations that counts are cut by; their ids, in the same order."""
    statement = (
        "INSERT INTO cut (campaign_id, channel, place, unit_id, premises_category, languages) "
        "VALUES (?, ?, ?, ?, ?, ?) RETURNING id"
    )
    return [int(run(conn, statement, campaign_id, *cut).scalar_one()) for cut in cuts]


def add_deliveries(conn: Connection, campaign_id: int, portion: Sequence[Row]) -> None:
    """Writes deliveries of a campaign, all `waiting`; PORTION of them at most, for the memory of it.

    PostgreSQL takes them by COPY. SQLite: fifty rows a statement, 0.43 s for 212,860 where one by one took 0.72 s.
    """
    if conn.dialect.name == "postgresql":
        values = ((campaign_id, "waiting", *row) for row in portion)
        copy_rows(conn, "delivery", f"campaign_id, outcome, {_COLUMNS}", values)
        return
    whole = len(portion) // BLOCK * BLOCK
    blocks = [tuple(chain.from_iterable(portion[at : at + BLOCK])) for at in range(0, whole, BLOCK)]
    run_many(conn, _insert(campaign_id, BLOCK), blocks)
    run_many(conn, _insert(campaign_id, 1), portion[whole:])


def tell_planner(conn: Connection) -> None:
    """PostgreSQL's planner knows nothing of rows that came just now, and would walk the whole table for every window."""
    if conn.dialect.name == "postgresql":
        run(conn, "ANALYZE delivery")


def _insert(campaign_id: int, rows: int) -> str:
    values = f"({int(campaign_id)}, 'waiting', ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    return f"INSERT INTO delivery (campaign_id, outcome, {_COLUMNS}) VALUES {', '.join([values] * rows)}"


def add_waiting(conn: Connection, campaign_id: int, counted: Iterable[tuple[int, int]]) -> None:
    """Counters of the word `waiting`: (cut, how many)."""
    run_many(
        conn,
        "INSERT INTO counter (campaign_id, cut_id, word, shard, n) VALUES (?, ?, 'waiting', 0, ?)",
        [(campaign_id, cut, n) for cut, n in sorted(counted)],
    )


def add_chunks(conn: Connection, campaign: tuple[int, str, int], spans: Sequence[tuple[str, int, int, str]]) -> None:
    """Ranges that are announced together, not due yet. campaign = (id, lane, expires ms), span = (channel, first, last, digest)."""
    campaign_id, lane, expires = campaign
    run_many(
        conn,
        "INSERT INTO chunk (campaign_id, lane, expires_at, channel, first, last, digest) VALUES (?, ?, ?, ?, ?, ?, ?)",
        [(campaign_id, lane, expires, *span) for span in spans],
    )


def release_chunks(conn: Connection, campaign_id: int, due_at: int) -> None:
    """The campaign is approved: its chunks become due."""
    run(conn, "UPDATE chunk SET due_at = ? WHERE campaign_id = ?", due_at, campaign_id)


def sealed_lines(conn: Connection, campaign_id: int) -> Iterator[tuple[int, str, bytes, int, str | None, int]]:
    """(n, channel, address key, wording id, slots, parts) of every delivery, in order of n: what the seal is taken over."""
    found = stream(
        conn,
        "SELECT d.n, d.channel, r.address_key, d.wording_id, d.slots, d.parts "
        "FROM delivery d JOIN recipient r ON r.id = d.recipient_id WHERE d.campaign_id = ? ORDER BY d.n",
        campaign_id,
    )
    for n, channel, key, wording, slots, parts in found:
        yield n, channel, bytes(key), wording, slots, parts


def may_have_it(conn: Connection, campaign_id: int, channels: Sequence[str]) -> Iterator[Selected]:
    """The recipients that a correction must reach, as `audiences.selected` gives them; also those retired since."""
    words, kinds = (", ".join("?" for _ in some) for some in (_MAY_HAVE_IT, channels))
    found = stream(
        conn,
        f"SELECT {_SELECTED} FROM delivery d JOIN recipient r ON r.id = d.recipient_id "
        "LEFT JOIN premises p ON p.id = r.premises_id "
        f"WHERE d.campaign_id = ? AND d.outcome IN ({words}) AND d.channel IN ({kinds}) ORDER BY d.n",
        *(campaign_id, *_MAY_HAVE_IT, *channels),
    )
    return map(Selected._make, found)


def spread(conn: Connection, selection: Selection, channels: Sequence[str]) -> list[Portion]:
    """The audience in portions for a preview.

    Each portion takes every twentieth id: those it names come from both ends of the audience, in the walk that counts it.
    """
    columns = "r.channel, r.languages, count(*), min(r.id), max(r.id)"
    found = audiences._query(selection, channels).run(conn, columns, "GROUP BY r.channel, r.languages, r.id % 20")
    return [Portion._make(row) for row in found]


def people(conn: Connection, recipients: Sequence[int]) -> list[Selected]:
    """These recipients, in the order of their ids."""
    marks = ", ".join("?" for _ in recipients) or "NULL"
    found = run(
        conn,
        f"SELECT {_SELECTED} FROM recipient r LEFT JOIN premises p ON p.id = r.premises_id WHERE r.id IN ({marks}) ORDER BY r.id",
        *recipients,
    )
    return [Selected._make(row) for row in found]
