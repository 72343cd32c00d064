"""The claim: the only door to a send. What a turn of a worker asks of the database, in as few messages as its decisions allow.

A turn is three messages to PostgreSQL: the last window's end with a look at what is next, the claim, and the counters with the
COMMIT. The order of locks is that of `delivering`.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from broadcaster.model import Outcome
from broadcaster.store.clock import NOW
from broadcaster.store.counters import Turn
from broadcaster.store.delivering import LABEL, WHY, CampaignNow, ChunkRow, Claimed
from broadcaster.store.driver import Ask, locking, run, together
from broadcaster.store.recording import Held, ask_accepted, count_accepted


@dataclass(frozen=True, slots=True)
class Look:
    """What a turn finds. `start`: the first n that waits and is due; a chunk announced again is mostly done already."""

    stands: bool  # the last window's lease was still there: nobody has judged it
    campaign: CampaignNow | None  # none: there is none any more
    start: int | None
    now: int  # the database's clock, read when the campaign was locked
    lease: int | None  # an id for the next window; SQLite gives it when the row is written
    asked: (
        float  # monotonic, before `now` was read: a process that stood still in between must not think itself younger
    )


Ended = tuple[
    Held, Sequence[Claimed], Sequence[str | None]
]  # a window of which all was accepted, and the provider's references


def look(turn: Turn, rest: tuple[int, int], now: int, ended: Ended | None) -> Look:
    """Ends the last window where all of it was accepted, reads the campaign under the lock that a cancel waits for, and looks on.

    `now` may be a moment old. A lease that does not stand has changed nothing, but then the outcomes must be recorded first:
    the caller has to undo this transaction.
    """
    conn, campaign_id = turn.conn, turn.campaign_id
    end = [_ask_end(ended[0].lease), ask_accepted(turn, ended[0], ended[1], now, ended[2])] if ended else []
    asked = [
        *end,
        _ask_campaign(conn, campaign_id),
        _ask_next(campaign_id, rest, now),
        Ask(_CLOCK[conn.dialect.name], ()),
    ]
    before = time.monotonic()
    *told, campaigns, starts, clock = together(conn, asked)
    if ended:
        count_accepted(turn, told[1])
    return Look(
        stands=bool(told and told[0]),
        campaign=CampaignNow(*campaigns[0]) if campaigns else None,
        start=int(starts[0][0]) if starts else None,
        now=int(clock[0][0]),
        lease=clock[0][1],
        asked=before,
    )


_CLOCK = {
    "sqlite": f"SELECT {NOW['sqlite']}, NULL",
    "postgresql": f"SELECT {NOW['postgresql']}, nextval(pg_get_serial_sequence('lease', 'id'))",
}


def _ask_campaign(conn: Connection, campaign_id: int) -> Ask:
    statement = "SELECT id, state, mode, category, epoch, revision, expires_at FROM campaign WHERE id = ?"
    return Ask(locking(conn, statement, "FOR SHARE"), (campaign_id,))


def campaign_now(conn: Connection, campaign_id: int) -> CampaignNow | None:
    """The campaign, under the lock that a cancel waits for, until this transaction ends; None where there is none."""
    (rows,) = together(conn, [_ask_campaign(conn, campaign_id)])
    return CampaignNow(*rows[0]) if rows else None


def _ask_next(campaign_id: int, span: tuple[int, int], now: int) -> Ask:
    return Ask(
        "SELECT n FROM delivery WHERE campaign_id = ? AND n BETWEEN ? AND ? AND outcome = 'waiting' AND due_at <= ? "
        "ORDER BY n LIMIT 1",
        (campaign_id, *span, now),
    )


def _ask_end(lease: int) -> Ask:
    return Ask("DELETE FROM lease WHERE id = ? RETURNING id", (lease,))


def end_lease(conn: Connection, lease: int) -> bool:
    """Removes a window's lease. False: the sweep had taken it, its deliveries are already judged."""
    return bool(together(conn, [_ask_end(lease)])[0])


@dataclass(frozen=True, slots=True)
class Wanted:
    """A window to be claimed: by whom, until when, and which opt-outs count."""

    chunk: ChunkRow
    span: tuple[int, int]
    owner: str
    until: int
    classes: Sequence[str]


def claim(turn: Turn, wanted: Wanted, now: int, lease: int | None = None) -> tuple[int, list[Claimed]]:
    """Labels suppressed deliveries of a range; the others that wait and are due become `sending`. Lease and rows, in order of n.

    `lease`: an id from `look`. Without one (SQLite) it is given here. Where nothing was claimed there is no lease.
    """
    suppressing = _ask_suppress(turn.campaign_id, wanted)
    if lease is None:
        suppressed = together(turn.conn, [suppressing])[0]
        lease = int(run(turn.conn, f"{_LEASE} RETURNING id", None, *_lease_values(wanted)).scalar_one())
        rows = together(turn.conn, [_ask_claim(turn, lease, wanted.span, now)])[0]
    else:
        leasing = Ask(_LEASE, (lease, *_lease_values(wanted)))
        suppressed, _, rows = together(turn.conn, [suppressing, leasing, _ask_claim(turn, lease, wanted.span, now)])
    for cut, after in suppressed:
        turn.tally.move(cut, Outcome.WAITING, after)
    claimed = sorted((Claimed(*row) for row in rows), key=lambda c: c.n)
    for one in claimed:
        turn.tally.move(one.cut_id, Outcome.WAITING, Outcome.SENDING)
    if not claimed:
        end_lease(turn.conn, lease)
    return lease, claimed


# Without an id, of the database's own choice (SQLite).
_LEASE = "INSERT INTO lease (id, campaign_id, chunk_id, first, last, owner, until_at) VALUES (?, ?, ?, ?, ?, ?, ?)"


def _lease_values(wanted: Wanted) -> tuple[Any, ...]:
    return (wanted.chunk.campaign_id, wanted.chunk.id, *wanted.span, wanted.owner, wanted.until)


def _ask_suppress(campaign_id: int, wanted: Wanted) -> Ask:
    places = ", ".join("?" for _ in wanted.classes)
    return Ask(
        f"UPDATE delivery SET outcome = {LABEL}, reason = {WHY} "
        "WHERE campaign_id = ? AND n BETWEEN ? AND ? AND outcome = 'waiting' "
        "AND EXISTS (SELECT 1 FROM recipient r WHERE r.id = delivery.recipient_id AND (NOT r.active "
        f"OR EXISTS (SELECT 1 FROM suppression s WHERE s.address_key = r.address_key AND s.class IN ({places})))) "
        "RETURNING cut_id, outcome",
        (Outcome.SUPPRESSED, "opted-out", campaign_id, *wanted.span, *wanted.classes),
    )


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


def _ask_claim(turn: Turn, lease: int, span: tuple[int, int], now: int) -> Ask:
    dialect, campaign_id = turn.conn.dialect.name, turn.campaign_id
    if dialect == "sqlite":
        return Ask(_CLAIM[dialect], (lease, campaign_id, *span, now))
    return Ask(_CLAIM[dialect], (lease, campaign_id, campaign_id, *span, now, *span))
