"""Accepted SMS of which no receipt came by the deadline: found by campaign, and within it by range."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from broadcaster.model import NO_RECEIPT
from broadcaster.store.counters import counting
from broadcaster.store.driver import run

SILENCE = "silence"  # whose counters these moves stand in


@dataclass(frozen=True, slots=True)
class Awaiting:
    """A campaign that is not closed for receipts, and where its SMS lie."""

    campaign_id: int
    ended_at: int | None
    first: int | None  # None: it has no SMS
    last: int | None


@dataclass(frozen=True, slots=True)
class Heard:
    """What a range of deliveries still waits for."""

    since: int | None  # when the oldest was accepted that has neither receipt nor mark
    unsettled: bool  # some are on their way, or may be sent again


def awaiting(conn: Connection, started_before: int, limit: int = 1000) -> list[Awaiting]:
    """Campaigns that began before a moment and are not closed, by a small index of just these."""
    rows = run(
        conn,
        "SELECT c.id, coalesce(c.finished_at, c.cancelled_at), min(k.first), max(k.last) FROM campaign c "
        "LEFT JOIN chunk k ON k.campaign_id = c.id AND k.channel = 'sms' "
        "WHERE c.started_at IS NOT NULL AND c.receipts_closed_at IS NULL AND c.started_at <= ? "
        "GROUP BY c.id, c.finished_at, c.cancelled_at ORDER BY c.id LIMIT ?",
        *(started_before, limit),
    )
    return [Awaiting(*row) for row in rows]


def heard(conn: Connection, campaign_id: int, span: tuple[int, int], providers: Sequence[str]) -> Heard:
    """How a range stands; `providers`: those that report."""
    row = run(
        conn,
        f"SELECT min(CASE WHEN outcome = 'accepted' AND silent = 0 AND provider IN ({_places(providers)}) THEN changed_at END), "
        "max(CASE WHEN outcome IN ('waiting', 'sending', 'unknown') THEN 1 ELSE 0 END) "
        "FROM delivery WHERE campaign_id = ? AND n BETWEEN ? AND ?",
        *(*providers, campaign_id, *span),
    ).one()
    return Heard(None if row[0] is None else int(row[0]), bool(row[1]))


def mark(
    conn: Connection, campaign_id: int, span: tuple[int, int], providers: Sequence[str], before: int
) -> int:  # fmt: skip
    """Marks those of a range that were accepted before a moment and never heard of again. Returns how many."""
    with counting(conn, campaign_id, SILENCE) as turn:
        rows = run(
            conn,
            "UPDATE delivery SET silent = 1 WHERE campaign_id = ? AND n BETWEEN ? AND ? AND outcome = 'accepted' "
            f"AND silent = 0 AND changed_at <= ? AND provider IN ({_places(providers)}) RETURNING cut_id",
            *(campaign_id, *span, before, *providers),
        ).all()
        for (cut,) in rows:
            turn.tally.add(cut, NO_RECEIPT)
    return len(rows)


def close(conn: Connection, campaign_id: int, now: int) -> None:
    """Nothing of it is waited for any more."""
    run(
        conn,
        "UPDATE campaign SET receipts_closed_at = ? WHERE id = ? AND receipts_closed_at IS NULL "
        "AND state NOT IN ('approved', 'running')",
        *(now, campaign_id),
    )


def _places(values: Sequence[str]) -> str:
    return ", ".join("?" for _ in values)
