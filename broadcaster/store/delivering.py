"""The claim and what follows it: the only door to a send, and the only writers of an outcome."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from broadcaster.model import PROOF_BITS, CampaignState, Outcome, Proof
from broadcaster.store.counters import Tally
from broadcaster.store.driver import locking, run, run_many


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


@dataclass(frozen=True, slots=True)
class Held:
    """The lease under which outcomes are recorded, and who carried the messages."""

    lease: int
    campaign_id: int
    provider: str


@dataclass(frozen=True, slots=True)
class Result:
    """What becomes of one claimed delivery. `outcome` waiting = try again at `due_at`."""

    n: int
    outcome: Outcome
    answer: str = "accepted"
    provider_ref: str | None = None
    reason: str | None = None
    detail: str | None = None
    due_at: int = 0


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


def mark_running(conn: Connection, campaign_id: int, now: int) -> None:
    """The first claim or publication of an approved campaign starts it."""
    run(
        conn,
        "UPDATE campaign SET state = 'running', started_at = ? WHERE id = ? AND state = 'approved'",
        now,
        campaign_id,
    )


def label(conn: Connection, campaign_id: int, span: tuple[int, int], outcome: Outcome, reason: str) -> int:
    """Gives waiting deliveries that must not go their outcome, with counters. Returns how many."""
    rows = run(
        conn,
        "UPDATE delivery SET outcome = ?, reason = ? "
        "WHERE campaign_id = ? AND n BETWEEN ? AND ? AND outcome = 'waiting' RETURNING cut_id",
        outcome,
        reason,
        campaign_id,
        *span,
    ).all()
    tally = Tally()
    for (cut,) in rows:
        tally.move(cut, Outcome.WAITING, outcome)
    tally.write(conn, campaign_id)
    return len(rows)


def suppress(conn: Connection, campaign_id: int, span: tuple[int, int], classes: Sequence[str]) -> int:
    """Labels waiting deliveries of suppressed or inactive recipients. Returns how many."""
    places = ", ".join("?" for _ in classes)
    rows = run(
        conn,
        "UPDATE delivery SET outcome = 'suppressed', reason = 'opted-out' "
        "WHERE campaign_id = ? AND n BETWEEN ? AND ? AND outcome = 'waiting' "
        "AND EXISTS (SELECT 1 FROM recipient r WHERE r.id = delivery.recipient_id AND (NOT r.active "
        f"OR EXISTS (SELECT 1 FROM suppression s WHERE s.address_key = r.address_key AND s.class IN ({places})))) "
        "RETURNING cut_id",
        campaign_id,
        *span,
        *classes,
    ).all()
    tally = Tally()
    for (cut,) in rows:
        tally.move(cut, Outcome.WAITING, Outcome.SUPPRESSED)
    tally.write(conn, campaign_id)
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
    "(SELECT address_sealed FROM recipient r WHERE r.id = delivery.recipient_id)"
)
_CLAIM = {
    "sqlite": _CLAIM_SET
    + "WHERE campaign_id = ? AND n BETWEEN ? AND ? AND outcome = 'waiting' AND due_at <= ?"
    + _CLAIM_RETURN,
    "postgresql": _CLAIM_SET
    + "WHERE campaign_id = ? AND n IN (SELECT n FROM delivery WHERE campaign_id = ? AND n BETWEEN ? AND ? "
    "AND outcome = 'waiting' AND due_at <= ? ORDER BY n FOR UPDATE SKIP LOCKED) AND n BETWEEN ? AND ?" + _CLAIM_RETURN,
}


def claim(conn: Connection, lease: int, campaign_id: int, span: tuple[int, int], now: int) -> list[Claimed]:
    """Waiting and due deliveries of a range become `sending` under the lease. In order of n."""
    dialect = conn.dialect.name
    if dialect == "sqlite":
        values: tuple[Any, ...] = (lease, campaign_id, *span, now)
    else:
        values = (lease, campaign_id, campaign_id, *span, now, *span)
    rows = run(conn, _CLAIM[dialect], *values).all()
    claimed = sorted((Claimed(*row) for row in rows), key=lambda c: c.n)
    tally = Tally()
    for one in claimed:
        tally.move(one.cut_id, Outcome.WAITING, Outcome.SENDING)
    tally.write(conn, campaign_id)
    return claimed


def end_lease(conn: Connection, lease: int) -> bool:
    """Removes a window's lease. False: the sweep had taken it, its deliveries are already judged."""
    return run(conn, "DELETE FROM lease WHERE id = ?", lease).rowcount == 1


def record_accepted(conn: Connection, held: Held, rows: Sequence[Claimed], now: int) -> None:
    """The usual end of a window, in one statement: all accepted, no reference to keep. The lease must still stand."""
    run(
        conn,
        "UPDATE delivery SET outcome = 'accepted', provider = ?, reason = NULL, changed_at = ? "
        "WHERE campaign_id = ? AND n BETWEEN ? AND ? AND outcome = 'sending' AND lease_id = ?",
        *(held.provider, now, held.campaign_id, rows[0].n, rows[-1].n, held.lease),
    )
    tally = Tally()
    for one in rows:
        tally.move(one.cut_id, Outcome.SENDING, Outcome.ACCEPTED)
    tally.write(conn, held.campaign_id)


_LATE = (Outcome.ACCEPTED, Outcome.FAILED)  # what an `unknown` may still become from an answer that came late


def record_results(conn: Connection, held: Held, results: Iterable[Result], now: int) -> int:
    """A window's outcomes one by one. A row that the sweep already called `unknown` takes an answer that came late.

    Returns how many rows took their result; the rest had been judged otherwise (an emergency window gone back to waiting).
    """
    tally = Tally()
    attempts: list[tuple[Any, ...]] = []
    taken = 0
    for result in results:
        row = run(
            conn,
            "SELECT outcome, cut_id, attempt FROM delivery WHERE campaign_id = ? AND n = ? AND lease_id = ?",
            *(held.campaign_id, result.n, held.lease),
        ).first()
        if row is None or not (row[0] == Outcome.SENDING or (row[0] == Outcome.UNKNOWN and result.outcome in _LATE)):
            continue
        run(
            conn,
            "UPDATE delivery SET outcome = ?, provider = ?, provider_ref = ?, reason = ?, due_at = ?, changed_at = ? "
            "WHERE campaign_id = ? AND n = ?",
            *(result.outcome, held.provider, result.provider_ref, result.reason, result.due_at, now),
            *(held.campaign_id, result.n),
        )
        tally.move(row[1], row[0], result.outcome)
        taken += 1
        if result.answer != "accepted":
            said = (result.answer, held.provider, result.reason, result.detail)
            attempts.append((held.campaign_id, result.n, row[2], now, *said))
    tally.write(conn, held.campaign_id)
    append_attempts(conn, attempts)
    return taken


def append_attempts(conn: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
    """Attempts that did not simply succeed: (campaign, n, attempt, at, answer, provider, reason, detail)."""
    run_many(
        conn,
        "INSERT INTO attempt (campaign_id, n, attempt, at, answer, provider, reason, detail) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        rows,
    )


def close_chunk(conn: Connection, chunk: ChunkRow, now: int) -> None:
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
        finish_campaign(conn, chunk.campaign_id, now)
    else:
        reopen_chunk(conn, chunk.id, max(int(due), now))


def reopen_chunk(conn: Connection, chunk_id: int, due: int) -> None:
    """Something in the chunk waits again: it will be announced once more when it is due."""
    run(
        conn,
        "UPDATE chunk SET finished_at = NULL, published_at = NULL, due_at = ? WHERE id = ?",
        due,
        chunk_id,
    )


def finish_campaign(conn: Connection, campaign_id: int, now: int) -> bool:
    """Running -> finished where nothing waits and nothing is sending. One past its time is the sweep's: it becomes expired."""
    return (
        run(
            conn,
            "UPDATE campaign SET state = 'finished', finished_at = ? WHERE id = ? AND state = 'running' "
            "AND expires_at > ? AND NOT EXISTS (SELECT 1 FROM chunk WHERE campaign_id = ? AND finished_at IS NULL) "
            "AND NOT EXISTS (SELECT 1 FROM lease WHERE campaign_id = ?)",
            *(now, campaign_id, now, campaign_id, campaign_id),
        ).rowcount
        == 1
    )


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


def still(conn: Connection, campaign_id: int, epoch: int) -> bool:
    """Whether the campaign is what it was at the claim: not cancelled, paused or corrected since."""
    return run(conn, "SELECT epoch FROM campaign WHERE id = ?", campaign_id).scalar() == epoch


def add_published(conn: Connection, campaign_id: int, rows: Sequence[Claimed]) -> None:
    """The proof that a feed holds them, gained by all of these at once."""
    run_many(
        conn,
        "UPDATE delivery SET proof = ? WHERE campaign_id = ? AND n = ?",
        [(PROOF_BITS[Proof.PUBLISHED], campaign_id, one.n) for one in rows],
    )
    tally = Tally()
    for one in rows:
        tally.add(one.cut_id, Proof.PUBLISHED)
    tally.write(conn, campaign_id)
