"""Announced chunks that nobody has finished, counted by what decides their topic."""

from dataclasses import dataclass

from sqlalchemy import Connection

from broadcaster.model import Category
from broadcaster.store.driver import run

_NOBODY = "NOT EXISTS (SELECT 1 FROM lease l WHERE l.campaign_id = k.campaign_id AND l.chunk_id = k.id)"


@dataclass(frozen=True, slots=True)
class Announced:
    """Chunks of one mode, channel and lane whose records should lie on the bus."""

    mode: str
    channel: str
    lane: Category
    n: int
    oldest: int | None  # when the first of those was announced that nobody works on (ms)


def announced(conn: Connection, until: int) -> list[Announced]:
    """What was announced up to a moment and is not finished."""
    rows = run(
        conn,
        f"SELECT c.mode, k.channel, k.lane, count(*), min(CASE WHEN {_NOBODY} THEN k.published_at END) FROM chunk k "
        "JOIN campaign c ON c.id = k.campaign_id WHERE k.finished_at IS NULL AND k.due_at IS NOT NULL "
        "AND k.published_at <= ? GROUP BY c.mode, k.channel, k.lane",
        until,
    )
    return [Announced(mode, channel, Category(lane), n, oldest) for mode, channel, lane, n, oldest in rows]


def forget(conn: Connection, found: Announced, before: int) -> int:
    """Those announced before a moment, with nobody at work on them, are to be announced again. Returns how many."""
    statement = (
        "UPDATE chunk SET published_at = NULL WHERE id IN (SELECT k.id FROM chunk k JOIN campaign c ON c.id = k.campaign_id "
        "WHERE c.mode = ? AND k.channel = ? AND k.lane = ? AND k.finished_at IS NULL AND k.due_at IS NOT NULL "
        f"AND k.published_at < ? AND {_NOBODY})"
    )
    return run(conn, statement, found.mode, found.channel, found.lane, before).rowcount
