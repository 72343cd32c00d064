"""What other systems were told of each campaign, and what they were not."""

from dataclasses import dataclass

from sqlalchemy import Connection

from broadcaster.store.driver import run


@dataclass(frozen=True, slots=True)
class Story:
    """A campaign of which there is something to tell. `told_*` are None where nothing was told yet."""

    id: int
    public_id: str
    mode: str
    category: str
    revision: int
    state: str
    planned: int
    started_at: int
    ended_at: int | None
    told_state: str | None
    told_digest: str | None


# A campaign that was cancelled is told of when its last delivery is labelled: only then are its counts final.
_UNTOLD = (
    "SELECT c.id, c.public_id, c.mode, c.category, c.revision, c.state, c.planned, c.started_at, "
    "coalesce(c.finished_at, c.cancelled_at), t.state, t.digest "
    "FROM campaign c LEFT JOIN campaign_told t ON t.campaign_id = c.id WHERE c.started_at IS NOT NULL AND ("
    "(c.state = 'running' AND (t.state IS NULL OR t.state <> 'running' OR t.at <= ?)) OR "
    "(c.state IN ('finished', 'cancelled', 'expired') AND (t.state IS NULL OR t.state <> c.state) "
    "AND NOT EXISTS (SELECT 1 FROM chunk k WHERE k.campaign_id = c.id AND k.finished_at IS NULL) "
    "AND NOT EXISTS (SELECT 1 FROM lease l WHERE l.campaign_id = c.id))) ORDER BY c.id LIMIT ?"
)


def untold(conn: Connection, counted_before: int, limit: int = 200) -> list[Story]:
    """Campaigns that started, ended, or run and were last counted before a moment (ms)."""
    return [Story(*row) for row in run(conn, _UNTOLD, counted_before, limit)]


def counts(conn: Connection, campaign_id: int) -> dict[tuple[str, str], int]:
    """(channel, outcome or proof) -> n, from the counters."""
    rows = run(
        conn,
        "SELECT c.channel, k.word, sum(k.n) FROM counter k JOIN cut c ON c.id = k.cut_id WHERE k.campaign_id = ? "
        "GROUP BY c.channel, k.word",
        campaign_id,
    )
    return {(str(channel), str(word)): int(n) for channel, word, n in rows}


def mark(conn: Connection, campaign_id: int, state: str, digest: str, now: int) -> None:
    """This was told."""
    run(
        conn,
        "INSERT INTO campaign_told (campaign_id, state, digest, at) VALUES (?, ?, ?, ?) ON CONFLICT (campaign_id) "
        "DO UPDATE SET state = excluded.state, digest = excluded.digest, at = excluded.at",
        *(campaign_id, state, digest, now),
    )
