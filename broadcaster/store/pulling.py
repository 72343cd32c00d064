"""What a gateway that pulls may claim, and what it has under a lease."""

from collections.abc import Sequence

from sqlalchemy import Connection

from broadcaster.store.delivering import ChunkRow, Claimed
from broadcaster.store.driver import locking, run


def claimable(conn: Connection, channel: str, now: int, lanes: Sequence[str], limit: int) -> list[tuple[ChunkRow, str]]:
    """Live chunks of a channel that are due, in order of the lanes, with their campaign's state."""
    places = ", ".join("?" for _ in lanes)
    rows = run(
        conn,
        "SELECT k.id, k.campaign_id, k.channel, k.lane, k.first, k.last, 0, k.expires_at, c.state FROM chunk k "
        f"JOIN campaign c ON c.id = k.campaign_id WHERE k.lane IN ({places}) AND k.channel = ? AND k.finished_at IS NULL "
        "AND k.due_at IS NOT NULL AND k.due_at <= ? AND c.mode = 'live' AND c.state IN ('approved', 'running') "
        "ORDER BY CASE k.lane WHEN 'emergency' THEN 0 WHEN 'notice' THEN 1 ELSE 2 END, k.due_at, k.id LIMIT ?",
        *(*lanes, channel, now, limit),
    )
    return [(ChunkRow(*row[:8]), str(row[8])) for row in rows]


def held(conn: Connection, lease: int) -> tuple[int, int] | None:
    """(campaign, chunk) of a lease that stands, which it does until this transaction ends; None: it has ended."""
    row = run(conn, locking(conn, "SELECT campaign_id, chunk_id FROM lease WHERE id = ?", "FOR UPDATE"), lease).first()
    return (int(row[0]), int(row[1])) if row else None


_ROW = (
    "SELECT outcome, n, wording_id, slots, token, cut_id, parts, attempt, recipient_id, NULL, doubt FROM delivery "
    "WHERE campaign_id = ? AND n = ? AND lease_id = ?"
)


def rows_of(conn: Connection, campaign_id: int, lease: int, numbers: Sequence[int]) -> list[tuple[str, Claimed]]:
    """(outcome, delivery) of those that this lease was the last to hold, in order of n. No address."""
    found = [run(conn, locking(conn, _ROW, "FOR UPDATE"), campaign_id, n, lease).first() for n in sorted(set(numbers))]
    return [(row[0], Claimed(*row[1:])) for row in found if row]


def open_under(conn: Connection, campaign_id: int, lease: int, span: tuple[int, int]) -> int:
    """How many of a span are still being sent under a lease."""
    wanted = "SELECT count(*) FROM delivery WHERE campaign_id = ? AND n BETWEEN ? AND ? AND outcome = 'sending' AND lease_id = ?"
    return int(run(conn, wanted, campaign_id, *span, lease).scalar_one())


def span_of(conn: Connection, lease: int) -> tuple[int, int]:
    """First and last n of a lease that stands."""
    row = run(conn, "SELECT first, last FROM lease WHERE id = ?", lease).one()
    return int(row[0]), int(row[1])
