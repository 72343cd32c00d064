"""What the sweep finds: leases that ran out, chunks of ended campaigns, records that were lost, items past their time."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from broadcaster.model import CampaignState, Category, Outcome
from broadcaster.store.counters import counting
from broadcaster.store.delivering import ChunkRow, reopen_chunk
from broadcaster.store.driver import run
from broadcaster.store.recording import append_attempts

SWEEP = "sweep"  # whose counters the sweep's moves stand in


@dataclass(frozen=True, slots=True)
class LeaseRow:
    """A window in doubt."""

    id: int
    campaign_id: int
    chunk_id: int
    first: int
    last: int
    resend: bool  # an emergency that still goes on: a second siren is better than silence


def leases_in_doubt(conn: Connection, now: int, limit: int = 200) -> list[LeaseRow]:
    """Windows whose lease ran out, oldest first."""
    rows = run(
        conn,
        "SELECT l.id, l.campaign_id, l.chunk_id, l.first, l.last, c.category, c.state, c.expires_at FROM lease l "
        "JOIN campaign c ON c.id = l.campaign_id WHERE l.until_at < ? ORDER BY l.until_at LIMIT ?",
        now,
        limit,
    )
    found = []
    for lease, campaign, chunk, first, last, category, state, expires in rows:
        goes_on = state in (CampaignState.APPROVED, CampaignState.RUNNING) and expires > now
        found.append(LeaseRow(lease, campaign, chunk, first, last, category == Category.EMERGENCY and goes_on))
    return found


def judge(conn: Connection, lease: LeaseRow, now: int, max_attempts: int) -> int:
    """A window in doubt: emergency waits again under the same token, the others become unknown. Returns how many deliveries.

    An emergency delivery that has used its attempts up, or whose campaign has ended meanwhile, becomes unknown too.
    """
    if run(conn, "DELETE FROM lease WHERE id = ? AND until_at < ?", lease.id, now).rowcount == 0:
        return 0
    rows = run(
        conn,
        "UPDATE delivery SET outcome = CASE WHEN attempt < ? THEN 'waiting' ELSE 'unknown' END, reason = 'in-doubt', "
        "doubt = 1, due_at = ?, changed_at = ? WHERE campaign_id = ? AND n BETWEEN ? AND ? AND outcome = 'sending' "
        "AND lease_id = ? RETURNING n, cut_id, attempt, outcome",
        *(max_attempts if lease.resend else 0, now, now, lease.campaign_id, lease.first, lease.last, lease.id),
    ).all()
    append_attempts(
        conn,
        [
            (lease.campaign_id, n, attempt, now, "in-doubt", None, "lease-ran-out", None)
            for n, _, attempt, _ in sorted(rows)
        ],
    )
    reopen_chunk(conn, lease.chunk_id, now)
    with counting(conn, lease.campaign_id, SWEEP) as turn:
        for _, cut, _, after in rows:
            turn.tally.move(cut, Outcome.SENDING, after)
    return len(rows)


def chunks_to_label(conn: Connection, now: int, limit: int = 50) -> list[tuple[ChunkRow, str]]:
    """Open chunks of campaigns that were cancelled or whose time ran out, with the campaign's state."""
    rows = run(
        conn,
        "SELECT k.id, k.campaign_id, k.channel, k.lane, k.first, k.last, 0, k.expires_at, c.state FROM campaign c "
        "JOIN chunk k ON k.campaign_id = c.id AND k.finished_at IS NULL "
        "WHERE c.state = 'cancelled' OR (c.state IN ('approved', 'running') AND c.expires_at <= ?) "
        "ORDER BY k.id LIMIT ?",
        now,
        limit,
    )
    return [(ChunkRow(*row[:8]), str(row[8])) for row in rows]


def unattended_chunk(conn: Connection, channels: Sequence[str], before: int) -> ChunkRow | None:
    """The emergency chunk of these channels that has been due longest, since before a moment, with nobody at work on it."""
    places = ", ".join("?" for _ in channels)
    row = run(
        conn,
        "SELECT k.id, k.campaign_id, k.channel, k.lane, k.first, k.last, 0, k.expires_at FROM chunk k "
        "JOIN campaign c ON c.id = k.campaign_id "
        f"WHERE k.lane = 'emergency' AND k.channel IN ({places}) AND k.finished_at IS NULL AND k.due_at IS NOT NULL "
        "AND k.due_at <= ? AND c.state IN ('approved', 'running') "
        "AND NOT EXISTS (SELECT 1 FROM lease l WHERE l.campaign_id = k.campaign_id AND l.chunk_id = k.id) "
        "ORDER BY k.due_at, k.id LIMIT 1",
        *channels,
        before,
    ).first()
    return ChunkRow(*row) if row else None


def finish_chunk(conn: Connection, chunk_id: int, now: int) -> None:
    """Nothing waits in it any more."""
    run(conn, "UPDATE chunk SET finished_at = ? WHERE id = ? AND finished_at IS NULL", now, chunk_id)


def forget_lost(conn: Connection, lane: str, before: int) -> int:
    """Chunks announced before a moment, unfinished, with no window under way: their record may be lost; announce again."""
    found = run(
        conn,
        "UPDATE chunk SET published_at = NULL WHERE lane = ? AND finished_at IS NULL AND due_at IS NOT NULL "
        "AND published_at < ? AND NOT EXISTS "
        "(SELECT 1 FROM lease WHERE lease.campaign_id = chunk.campaign_id AND lease.chunk_id = chunk.id)",
        lane,
        before,
    )
    return found.rowcount


@dataclass(frozen=True, slots=True)
class DueChunk:
    """A chunk to be announced, with what its record says."""

    id: int
    campaign_id: int
    channel: str
    lane: str
    first: int
    last: int
    expires_at: int
    digest: str
    mode: str
    revision: int


_DUE = (
    "SELECT k.id, k.campaign_id, k.channel, k.lane, k.first, k.last, k.expires_at, k.digest, c.mode, c.revision "
    "FROM chunk k JOIN campaign c ON c.id = k.campaign_id "
    "WHERE k.lane = ? AND k.finished_at IS NULL AND k.due_at IS NOT NULL AND k.due_at <= ? "
    "AND k.published_at IS NULL AND c.state IN ('approved', 'running') AND NOT (k.channel = ? AND c.mode = 'live') "
    "ORDER BY k.due_at, k.id LIMIT ?"
)


def due_chunks(conn: Connection, lane: str, now: int, limit: int, pulled: str = "") -> list[DueChunk]:
    """Released chunks of a lane that are not announced yet, earliest first; none of a channel whose gateway pulls (`pulled`)."""
    return [DueChunk(*row) for row in run(conn, _DUE, lane, now, pulled, limit)]


def mark_published(conn: Connection, chunk_ids: Sequence[int], now: int) -> None:
    """Their records are on the bus."""
    places = ", ".join("?" for _ in chunk_ids)
    # Not one that a quick worker has reopened for later meanwhile: it would be hidden until the sweep calls it lost.
    run(
        conn,
        f"UPDATE chunk SET published_at = ? WHERE id IN ({places}) AND published_at IS NULL AND due_at <= ?",
        *(now, *chunk_ids, now),
    )


def anything_to_do(conn: Connection, now: int) -> bool:
    """Whether a campaign is open or a feed item past its time: a look at two small indexes."""
    open_campaign = run(conn, "SELECT 1 FROM campaign WHERE state IN ('approved', 'running') LIMIT 1").first()
    old_item = run(conn, "SELECT 1 FROM feed_item WHERE expires_at <= ? LIMIT 1", now).first()
    return open_campaign is not None or old_item is not None
