"""What a worker must know of campaigns and chunks, and what it does to them besides its windows (see windows).

Order of locks on PostgreSQL, in every transaction: lease, own rows in `sending`, campaign, waiting rows in order of n, chunk,
counters. A campaign's row is taken in the mode that is needed at the end, because two who share it cannot both raise it.
"""

from dataclasses import dataclass

from sqlalchemy import Connection

from broadcaster.model import CampaignState, Outcome
from broadcaster.store.counters import Turn
from broadcaster.store.driver import locking, run


@dataclass(frozen=True, slots=True)
class CampaignNow:
    """What a claim must know of its campaign, read under a lock that a cancel waits for."""

    id: int
    state: str
    mode: str
    category: str
    epoch: int
    revision: int
    expires_at: int

    @property
    def sendable(self) -> bool:
        """Approved or running: the states in which a claim may be made."""
        return self.state in (CampaignState.APPROVED, CampaignState.RUNNING)


@dataclass(frozen=True, slots=True)
class ChunkRow:
    """A contiguous range of n of one channel."""

    id: int
    campaign_id: int
    channel: str
    lane: str
    first: int
    last: int
    finished: bool
    expires_at: int


@dataclass(frozen=True, slots=True)
class Claimed:
    """One delivery under a lease, as far as the database knows it."""

    n: int
    wording_id: int
    slots: str | None
    token: str
    cut_id: int
    parts: int
    attempt: int
    recipient_id: int
    address_sealed: bytes
    doubt: int = 0


def chunk_row(conn: Connection, chunk_id: int) -> ChunkRow | None:
    """A chunk; None where there is none (its plan was voided)."""
    row = run(
        conn,
        "SELECT id, campaign_id, channel, lane, first, last, finished_at IS NOT NULL, expires_at FROM chunk WHERE id = ?",
        chunk_id,
    ).first()
    return ChunkRow(*row) if row else None


def ready(conn: Connection, campaign_id: int) -> tuple[str, str]:
    """State and mode of a campaign, empty where there is none."""
    row = run(conn, "SELECT state, mode FROM campaign WHERE id = ?", campaign_id).first()
    return (row[0], row[1]) if row else ("", "")


def mark_running(conn: Connection, campaign_id: int, now: int) -> None:
    """The first look at a chunk, or publication, of an approved campaign starts it. Never under the claim's shared lock."""
    run(
        conn,
        "UPDATE campaign SET state = 'running', started_at = ? WHERE id = ? AND state = 'approved'",
        now,
        campaign_id,
    )


# A delivery that may have arrived is never labelled as if it had not: its recipient is owed a correction too.
LABEL = "CASE WHEN doubt = 1 THEN 'unknown' ELSE CAST(? AS TEXT) END"
WHY = "CASE WHEN doubt = 1 THEN 'in-doubt' ELSE CAST(? AS TEXT) END"


def label(turn: Turn, span: tuple[int, int], outcome: Outcome, reason: str) -> int:
    """Gives waiting deliveries that must not go their outcome (`unknown` to those in doubt). Returns how many."""
    rows = run(
        turn.conn,
        f"UPDATE delivery SET outcome = {LABEL}, reason = {WHY} "
        "WHERE campaign_id = ? AND n BETWEEN ? AND ? AND outcome = 'waiting' RETURNING cut_id, outcome",
        outcome,
        reason,
        turn.campaign_id,
        *span,
    ).all()
    for cut, after in rows:
        turn.tally.move(cut, Outcome.WAITING, after)
    return len(rows)


def release(turn: Turn, owner: str, but: int) -> int:
    """Undoes claims of an owner whose commit was never confirmed, except the window `but`. Nothing of them was sent.

    Returns how many deliveries wait again.
    """
    taken = 0
    gone = run(
        turn.conn,
        "DELETE FROM lease WHERE campaign_id = ? AND owner = ? AND id <> ? RETURNING id, first, last",
        *(turn.campaign_id, owner, but),
    ).all()
    for lease, first, last in gone:
        rows = run(
            turn.conn,
            "UPDATE delivery SET outcome = 'waiting', attempt = attempt - 1 WHERE campaign_id = ? AND n BETWEEN ? AND ? "
            "AND outcome = 'sending' AND lease_id = ? RETURNING cut_id",
            *(turn.campaign_id, first, last, lease),
        ).all()
        for (cut,) in rows:
            turn.tally.move(cut, Outcome.SENDING, Outcome.WAITING)
        taken += len(rows)
    return taken


def close_chunk(conn: Connection, chunk: ChunkRow, now: int) -> bool:
    """After a pass over a chunk: finished where nothing waits in it, else due again at its earliest delivery."""
    due = run(
        conn,
        "SELECT min(due_at) FROM delivery WHERE campaign_id = ? AND n BETWEEN ? AND ? AND outcome = 'waiting'",
        chunk.campaign_id,
        chunk.first,
        chunk.last,
    ).scalar()
    if due is None:
        run(conn, "UPDATE chunk SET finished_at = ? WHERE id = ? AND finished_at IS NULL", now, chunk.id)
        return True
    reopen_chunk(conn, chunk.id, max(int(due), now))
    return False


def reopen_chunk(conn: Connection, chunk_id: int, due: int) -> None:
    """Something in the chunk waits again: it will be announced once more when it is due."""
    run(
        conn,
        "UPDATE chunk SET finished_at = NULL, published_at = NULL, due_at = ? WHERE id = ?",
        due,
        chunk_id,
    )


_QUIET = (
    "state IN ('approved', 'running') "
    "AND NOT EXISTS (SELECT 1 FROM chunk WHERE chunk.campaign_id = campaign.id AND finished_at IS NULL) "
    "AND NOT EXISTS (SELECT 1 FROM lease WHERE lease.campaign_id = campaign.id)"
)


def quiet_campaigns(conn: Connection) -> list[int]:
    """Open campaigns with nothing waiting and nothing under way: they can end."""
    return [int(row[0]) for row in run(conn, f"SELECT id FROM campaign WHERE {_QUIET} ORDER BY id")]


def end_campaign(conn: Connection, campaign_id: int, now: int) -> bool:
    """A quiet campaign becomes finished, one past its time expired. False: it is not quiet.

    It is locked by a statement of its own: what PostgreSQL's UPDATE waits for would be judged by what it saw before it waited.
    """
    lock_campaign(conn, campaign_id)
    return (
        run(
            conn,
            "UPDATE campaign SET state = CASE WHEN expires_at <= ? THEN 'expired' ELSE 'finished' END, finished_at = ? "
            f"WHERE id = ? AND {_QUIET}",
            *(now, now, campaign_id),
        ).rowcount
        == 1
    )


def lock_campaign(conn: Connection, campaign_id: int) -> None:
    """Makes claims and other changes of a campaign wait until this transaction ends (SQLite's writers are alone already)."""
    run(conn, locking(conn, "SELECT id FROM campaign WHERE id = ?", "FOR UPDATE"), campaign_id)


@dataclass(frozen=True, slots=True)
class FrozenWording:
    """A wording as the worker needs it; `pieces` and the delivery's slot values alternate."""

    id: int
    channel: str
    languages: str
    pieces: str
    digest: str
    approved: str | None = None


def wordings_of(conn: Connection, campaign_id: int) -> list[FrozenWording]:
    """The frozen wordings of a campaign."""
    rows = run(
        conn, "SELECT id, channel, languages, pieces, digest, approved FROM wording WHERE campaign_id = ?", campaign_id
    )
    return [FrozenWording(*row) for row in rows]


def still(conn: Connection, campaign_id: int, epoch: int, now: int) -> bool:
    """Whether the campaign is what it was at the claim: not cancelled, paused or corrected since, nor past its time."""
    row = run(conn, "SELECT epoch, expires_at FROM campaign WHERE id = ?", campaign_id).first()
    return row is not None and row[0] == epoch and row[1] > now
