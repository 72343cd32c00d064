"""The claim: the only door to a send.

Order of locks on PostgreSQL, in every transaction: lease, own rows in `sending`, campaign, waiting rows in order of n, chunk,
counters. A campaign's row is taken in the mode that is needed at the end, because two who share it cannot both raise it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

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


def campaign_now(conn: Connection, campaign_id: int) -> CampaignNow | None:
    """The campaign as it stands in this transaction; None where there is none."""
    statement = "SELECT id, state, mode, category, epoch, revision, expires_at FROM campaign WHERE id = ?"
    row = run(conn, locking(conn, statement, "FOR SHARE"), campaign_id).first()
    return CampaignNow(*row) if row else None


def chunk_row(conn: Connection, chunk_id: int) -> ChunkRow | None:
    """A chunk; None where there is none (its plan was voided)."""
    row = run(
        conn,
        "SELECT id, campaign_id, channel, lane, first, last, finished_at IS NOT NULL, expires_at FROM chunk WHERE id = ?",
        chunk_id,
    ).first()
    return ChunkRow(*row) if row else None


def starts(conn: Connection, campaign_id: int) -> bool:
    """Whether a campaign is approved and nobody has begun to carry it out."""
    return run(conn, "SELECT state FROM campaign WHERE id = ?", campaign_id).scalar() == CampaignState.APPROVED


def mark_running(conn: Connection, campaign_id: int, now: int) -> None:
    """The first look at a chunk, or publication, of an approved campaign starts it. Never under the claim's shared lock."""
    run(
        conn,
        "UPDATE campaign SET state = 'running', started_at = ? WHERE id = ? AND state = 'approved'",
        now,
        campaign_id,
    )


# A delivery that may have arrived is never labelled as if it had not: its recipient is owed a correction too.
_LABEL = "CASE WHEN doubt = 1 THEN 'unknown' ELSE CAST(? AS TEXT) END"
_WHY = "CASE WHEN doubt = 1 THEN 'in-doubt' ELSE CAST(? AS TEXT) END"


def label(turn: Turn, span: tuple[int, int], outcome: Outcome, reason: str) -> int:
    """Gives waiting deliveries that must not go their outcome (`unknown` to those in doubt). Returns how many."""
    rows = run(
        turn.conn,
        f"UPDATE delivery SET outcome = {_LABEL}, reason = {_WHY} "
        "WHERE campaign_id = ? AND n BETWEEN ? AND ? AND outcome = 'waiting' RETURNING cut_id, outcome",
        outcome,
        reason,
        turn.campaign_id,
        *span,
    ).all()
    for cut, after in rows:
        turn.tally.move(cut, Outcome.WAITING, after)
    return len(rows)


def suppress(turn: Turn, span: tuple[int, int], classes: Sequence[str]) -> int:
    """Labels waiting deliveries of suppressed or inactive recipients. Returns how many."""
    places = ", ".join("?" for _ in classes)
    rows = run(
        turn.conn,
        f"UPDATE delivery SET outcome = {_LABEL}, reason = {_WHY} "
        "WHERE campaign_id = ? AND n BETWEEN ? AND ? AND outcome = 'waiting' "
        "AND EXISTS (SELECT 1 FROM recipient r WHERE r.id = delivery.recipient_id AND (NOT r.active "
        f"OR EXISTS (SELECT 1 FROM suppression s WHERE s.address_key = r.address_key AND s.class IN ({places})))) "
        "RETURNING cut_id, outcome",
        *(Outcome.SUPPRESSED, "opted-out", turn.campaign_id, *span, *classes),
    ).all()
    for cut, after in rows:
        turn.tally.move(cut, Outcome.WAITING, after)
    return len(rows)


def new_lease(conn: Connection, chunk: ChunkRow, span: tuple[int, int], owner: str, until: int) -> int:
    """A window under way. Its id guards every later write of its outcome."""
    found = run(
        conn,
        "INSERT INTO lease (campaign_id, chunk_id, first, last, owner, until_at) VALUES (?, ?, ?, ?, ?, ?) RETURNING id",
        chunk.campaign_id,
        chunk.id,
        *span,
        owner,
        until,
    )
    return int(found.scalar_one())


_CLAIM_SET = "UPDATE delivery SET outcome = 'sending', attempt = attempt + 1, lease_id = ? "
_CLAIM_RETURN = (
    " RETURNING n, wording_id, slots, token, cut_id, parts, attempt, recipient_id, "
    "(SELECT address_sealed FROM recipient r WHERE r.id = delivery.recipient_id), doubt"
)
_CLAIM = {
    "sqlite": _CLAIM_SET
    + "WHERE campaign_id = ? AND n BETWEEN ? AND ? AND outcome = 'waiting' AND due_at <= ?"
    + _CLAIM_RETURN,
    "postgresql": _CLAIM_SET
    + "WHERE campaign_id = ? AND n IN (SELECT n FROM delivery WHERE campaign_id = ? AND n BETWEEN ? AND ? "
    "AND outcome = 'waiting' AND due_at <= ? ORDER BY n FOR UPDATE SKIP LOCKED) AND n BETWEEN ? AND ?" + _CLAIM_RETURN,
}


def claim(turn: Turn, lease: int, span: tuple[int, int], now: int) -> list[Claimed]:
    """Waiting and due deliveries of a range become `sending` under the lease. In order of n."""
    dialect, campaign_id = turn.conn.dialect.name, turn.campaign_id
    if dialect == "sqlite":
        values: tuple[Any, ...] = (lease, campaign_id, *span, now)
    else:
        values = (lease, campaign_id, campaign_id, *span, now, *span)
    rows = run(turn.conn, _CLAIM[dialect], *values).all()
    claimed = sorted((Claimed(*row) for row in rows), key=lambda c: c.n)
    for one in claimed:
        turn.tally.move(one.cut_id, Outcome.WAITING, Outcome.SENDING)
    return claimed


def end_lease(conn: Connection, lease: int) -> bool:
    """Removes a window's lease. False: the sweep had taken it, its deliveries are already judged."""
    return run(conn, "DELETE FROM lease WHERE id = ?", lease).rowcount == 1


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


def next_waiting(conn: Connection, campaign_id: int, span: tuple[int, int], now: int) -> int | None:
    """The first n of a range that waits and is due: a chunk announced again is mostly done already."""
    found = run(
        conn,
        "SELECT n FROM delivery WHERE campaign_id = ? AND n BETWEEN ? AND ? AND outcome = 'waiting' AND due_at <= ? "
        "ORDER BY n LIMIT 1",
        campaign_id,
        *span,
        now,
    ).scalar()
    return None if found is None else int(found)


@dataclass(frozen=True, slots=True)
class FrozenWording:
    """A wording as the worker needs it; `pieces` and the delivery's slot values alternate."""

    id: int
    channel: str
    languages: str
    pieces: str
    digest: str


def wordings_of(conn: Connection, campaign_id: int) -> list[FrozenWording]:
    """The frozen wordings of a campaign."""
    rows = run(conn, "SELECT id, channel, languages, pieces, digest FROM wording WHERE campaign_id = ?", campaign_id)
    return [FrozenWording(*row) for row in rows]


def still(conn: Connection, campaign_id: int, epoch: int, now: int) -> bool:
    """Whether the campaign is what it was at the claim: not cancelled, paused or corrected since, nor past its time."""
    row = run(conn, "SELECT epoch, expires_at FROM campaign WHERE id = ?", campaign_id).first()
    return row is not None and row[0] == epoch and row[1] > now


def mode_of(conn: Connection, campaign_id: int) -> str:
    """The mode of a campaign; empty where there is none."""
    return str(run(conn, "SELECT mode FROM campaign WHERE id = ?", campaign_id).scalar() or "")
