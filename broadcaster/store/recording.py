"""What came of a window: the writers of an outcome, guarded by the window's lease against answers that come late."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from broadcaster.model import PROOF_BITS, Outcome, Proof
from broadcaster.store.counters import Turn
from broadcaster.store.delivering import Claimed
from broadcaster.store.driver import Ask, columns, locking, run, run_many, together


@dataclass(frozen=True, slots=True)
class Held:
    """The lease under which outcomes are recorded, and who carried the messages."""

    lease: int
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
    doubt: bool = False  # it may have arrived all the same
    uncounted: bool = False  # it never reached the provider: not an attempt


def record_accepted(turn: Turn, held: Held, rows: Sequence[Claimed], now: int) -> None:
    """The usual end of a window, in one statement: all accepted, no reference to keep. The lease must still stand."""
    count_accepted(turn, together(turn.conn, [ask_accepted(turn, held, rows, now)])[0])


_REFERRED = {
    # By place in the list: a join with json_each is planned the wrong way round. SQLite keeps the list parsed.
    "sqlite": "UPDATE delivery SET outcome = 'accepted', provider = ?, reason = NULL, changed_at = ?, provider_ref = ? ->> (n - ?) "
    "WHERE campaign_id = ? AND n BETWEEN ? AND ? AND outcome = 'sending' AND lease_id = ? RETURNING cut_id",
    "postgresql": "UPDATE delivery SET outcome = 'accepted', provider = ?, reason = NULL, changed_at = ?, provider_ref = r.ref "
    "FROM unnest(CAST(? AS int[]), CAST(? AS text[])) AS r(n, ref) WHERE campaign_id = ? AND delivery.n BETWEEN ? AND ? "
    "AND delivery.n = r.n AND outcome = 'sending' AND lease_id = ? RETURNING cut_id",
}


def ask_accepted(turn: Turn, held: Held, rows: Sequence[Claimed], now: int, refs: Sequence[str | None] = ()) -> Ask:
    """The statement of `record_accepted`; where the lease does not stand it finds nothing. `refs`: of the provider, row by row."""
    if any(refs):
        dialect, first, last = turn.conn.dialect.name, rows[0].n, rows[-1].n
        given: tuple[Any, ...] = ([row.n for row in rows], list(refs))
        if dialect == "sqlite":
            by_n = dict(zip(given[0], refs, strict=True))
            given = (json.dumps([by_n.get(n) for n in range(first, last + 1)]), first)
        return Ask(_REFERRED[dialect], (held.provider, now, *given, turn.campaign_id, first, last, held.lease))
    return Ask(
        "UPDATE delivery SET outcome = 'accepted', provider = ?, reason = NULL, changed_at = ? "
        "WHERE campaign_id = ? AND n BETWEEN ? AND ? AND outcome = 'sending' AND lease_id = ? RETURNING cut_id",
        (held.provider, now, turn.campaign_id, rows[0].n, rows[-1].n, held.lease),
    )


def count_accepted(turn: Turn, written: Sequence[Sequence[Any]]) -> None:
    """Counts what was written, not what was meant: the counters follow the rows."""
    for (cut,) in written:
        turn.tally.move(cut, Outcome.SENDING, Outcome.ACCEPTED)


# What a delivery may still become from an answer that came after the sweep had judged its window. One that waits again is
# still this window's as long as it carries its lease: nobody has claimed it since.
_LATE = (Outcome.ACCEPTED, Outcome.FAILED)
_STANDING = (
    "SELECT n, outcome, cut_id, attempt FROM delivery "
    "WHERE campaign_id = ? AND n BETWEEN ? AND ? AND lease_id = ? ORDER BY n"
)


def record_results(turn: Turn, held: Held, results: Sequence[Result], now: int) -> int:
    """A window's outcomes, in order of n. A row that the sweep has judged already takes an answer that came late.

    Returns how many rows took their result; the rest had been judged otherwise (claimed again, cancelled).
    """
    if not results:
        return 0
    span = (results[0].n, results[-1].n)
    found = run(turn.conn, locking(turn.conn, _STANDING, "FOR UPDATE"), turn.campaign_id, *span, held.lease)
    standing = {n: (Outcome(outcome), cut, attempt) for n, outcome, cut, attempt in found}
    taken = [result for result in results if result.n in standing and _may(standing[result.n][0], result.outcome)]
    _write(turn, held, taken, now)
    attempts: list[tuple[Any, ...]] = []
    for result in taken:
        before, cut, attempt = standing[result.n]
        turn.tally.move(cut, before, result.outcome)
        if result.answer != "accepted" and not (result.uncounted and len(attempts) > 0):
            said = (result.answer, held.provider, result.reason, result.detail)
            attempts.append((turn.campaign_id, result.n, attempt, now, *said))
    append_attempts(turn.conn, attempts)
    return len(taken)


def _may(before: Outcome, after: Outcome) -> bool:
    return before is Outcome.SENDING or (before in (Outcome.UNKNOWN, Outcome.WAITING) and after in _LATE)


def _write(turn: Turn, held: Held, taken: Sequence[Result], now: int) -> None:
    if not taken:
        return
    if turn.conn.dialect.name == "sqlite":
        run_many(
            turn.conn,
            "UPDATE delivery SET outcome = ?, provider_ref = ?, reason = ?, due_at = ?, doubt = doubt | ?, "
            "attempt = attempt - ?, provider = ?, changed_at = ? WHERE campaign_id = ? AND n = ?",
            [(*_columns(r), held.provider, now, turn.campaign_id, r.n) for r in taken],
        )
        return
    given = columns([(r.n, *_columns(r)) for r in taken], 7)
    run(
        turn.conn,
        "UPDATE delivery SET outcome = r.outcome, provider_ref = r.ref, reason = r.reason, due_at = r.due, "
        "doubt = delivery.doubt | r.doubt, attempt = delivery.attempt - r.back, provider = ?, changed_at = ? "
        "FROM unnest(CAST(? AS int[]), CAST(? AS text[]), CAST(? AS text[]), CAST(? AS text[]), "
        "CAST(? AS bigint[]), CAST(? AS int[]), CAST(? AS int[])) AS r(n, outcome, ref, reason, due, doubt, back) "
        "WHERE campaign_id = ? AND delivery.n = r.n AND delivery.n BETWEEN ? AND ?",
        *(held.provider, now, *given, turn.campaign_id, taken[0].n, taken[-1].n),
    )


def _columns(r: Result) -> tuple[str, str | None, str | None, int, int, int]:
    return (r.outcome.value, r.provider_ref, r.reason, r.due_at, int(r.doubt), int(r.uncounted))


def append_attempts(conn: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
    """Attempts that did not simply succeed: (campaign, n, attempt, at, answer, provider, reason, detail)."""
    run_many(
        conn,
        "INSERT INTO attempt (campaign_id, n, attempt, at, answer, provider, reason, detail) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        rows,
    )


def add_published(turn: Turn, lease: int, rows: Sequence[Claimed]) -> None:
    """The proof that a feed holds them, gained by all that were accepted under a lease, in one statement."""
    if not rows:
        return
    bit = PROOF_BITS[Proof.PUBLISHED]
    written = run(
        turn.conn,
        "UPDATE delivery SET proof = proof | ? WHERE campaign_id = ? AND n BETWEEN ? AND ? AND lease_id = ? "
        "AND outcome = 'accepted' AND proof & ? = 0 RETURNING cut_id",
        *(bit, turn.campaign_id, rows[0].n, rows[-1].n, lease, bit),
    )
    for (cut,) in written.all():
        turn.tally.add(cut, Proof.PUBLISHED)
