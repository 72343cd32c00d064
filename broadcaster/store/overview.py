"""How SMS stand as a whole, from counters and small indexes: no statement here reads a campaign's deliveries."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from broadcaster.model import NO_RECEIPT
from broadcaster.store.driver import run
from broadcaster.store.in_doubt import DOUBTFUL, LEFT

CAMPAIGNS_MOST = 1000  # that are followed for receipts: as many as the watch for silence looks at


class QueueRow(NamedTuple):
    """SMS of a lane that may leave now, and those on their way."""

    lane: str
    waiting: int
    sending: int


def queue(conn: Connection, now: int) -> list[QueueRow]:
    """Live SMS of open campaigns by lane, from the counters; campaigns whose time is still to come are left out."""
    rows = run(
        conn,
        "SELECT c.category, sum(CASE WHEN k.word = 'waiting' THEN k.n ELSE 0 END), "
        "sum(CASE WHEN k.word = 'sending' THEN k.n ELSE 0 END) FROM campaign c "
        "JOIN cut ON cut.campaign_id = c.id AND cut.channel = 'sms' "
        "JOIN counter k ON k.campaign_id = c.id AND k.cut_id = cut.id AND k.word IN ('waiting', 'sending') "
        "WHERE c.state IN ('approved', 'running') AND c.mode = 'live' AND (c.started_at IS NOT NULL OR EXISTS "
        "(SELECT 1 FROM chunk WHERE chunk.campaign_id = c.id AND chunk.finished_at IS NULL AND chunk.channel = 'sms' "
        "AND chunk.due_at <= ?)) GROUP BY c.category",
        now,
    )
    return [QueueRow(str(lane), int(waiting), int(sending)) for lane, waiting, sending in rows]


def oldest_due(conn: Connection, now: int) -> dict[str, int]:
    """Lane -> since when its oldest unfinished chunk of live SMS is due, ms."""
    rows = run(
        conn,
        "SELECT k.lane, min(k.due_at) FROM chunk k JOIN campaign c ON c.id = k.campaign_id "
        "WHERE k.finished_at IS NULL AND k.due_at IS NOT NULL AND k.due_at <= ? AND k.channel = 'sms' AND c.mode = 'live' "
        "AND c.state IN ('approved', 'running') GROUP BY k.lane",
        now,
    )
    return {str(lane): int(due) for lane, due in rows}


class FailureRow(NamedTuple):
    """What a provider answered (`source` answer), or said later (receipt), how often, and when last (ms)."""

    source: str
    provider: str
    word: str
    reason: str
    n: int
    newest_at: int


def failures(conn: Connection, providers: Sequence[str], since: int, most: int) -> tuple[list[FailureRow], bool]:
    """Failures since a moment by reason, the most frequent first; whether all of them were read: `most` of either source are."""
    if not providers:
        return [], True
    marks = ", ".join("?" for _ in providers)
    answers = run(
        conn,
        "SELECT 'answer', provider, answer, reason, count(*), max(at) FROM "
        "(SELECT provider, answer, coalesce(reason, '') AS reason, at FROM attempt WHERE at > ? ORDER BY at DESC LIMIT ?) a "
        f"WHERE provider IN ({marks}) GROUP BY provider, answer, reason",
        *(since, most, *providers),
    ).all()
    # The words stand as in the index: only failures are read, however many receipts tell of messages that arrived.
    receipts = run(
        conn,
        "SELECT 'receipt', provider, word, reason, count(*), max(received_at) FROM "
        "(SELECT provider, word, coalesce(reason, '') AS reason, received_at FROM receipt_inbox "
        "WHERE received_at > ? AND word IN ('failed', 'expired') ORDER BY received_at DESC LIMIT ?) r "
        f"WHERE provider IN ({marks}) GROUP BY provider, word, reason",
        *(since, most, *providers),
    ).all()
    rows = [FailureRow(*row) for row in (*answers, *receipts)]
    whole = not any(_more(conn, table, column, since, most) for table, column in (_ATTEMPTS, _RECEIPTS))
    return sorted(rows, key=lambda row: (-row.n, row.provider, row.source, row.word, row.reason)), whole


_ATTEMPTS = ("attempt", "at > ? ORDER BY at DESC")
_RECEIPTS = ("receipt_inbox", "received_at > ? AND word IN ('failed', 'expired') ORDER BY received_at DESC")


def _more(conn: Connection, table: str, where: str, since: int, most: int) -> bool:
    return run(conn, f"SELECT 1 FROM {table} WHERE {where} LIMIT 1 OFFSET ?", since, most).first() is not None


def unheard(conn: Connection) -> tuple[int, int, int]:
    """(accepted, of them marked that no receipt came, campaigns) of live SMS whose campaigns are not closed for receipts."""
    row = run(
        conn,
        "SELECT coalesce(sum(CASE WHEN k.word = 'accepted' THEN k.n ELSE 0 END), 0), "
        "coalesce(sum(CASE WHEN k.word = ? THEN k.n ELSE 0 END), 0), count(DISTINCT c.id) FROM "
        "(SELECT id FROM campaign WHERE started_at IS NOT NULL AND receipts_closed_at IS NULL AND mode = 'live' "
        "ORDER BY started_at DESC LIMIT ?) c JOIN cut ON cut.campaign_id = c.id AND cut.channel = 'sms' "
        "JOIN counter k ON k.campaign_id = c.id AND k.cut_id = cut.id AND k.word IN ('accepted', ?)",
        *(NO_RECEIPT, CAMPAIGNS_MOST, NO_RECEIPT),
    ).one()
    return int(row[0]), int(row[1]), int(row[2])


def in_doubt(conn: Connection) -> tuple[int, int]:
    """(deliveries in doubt that nobody has decided, their campaigns)."""
    row = run(
        conn,
        f"SELECT count(*), count(DISTINCT d.campaign_id) FROM {DOUBTFUL} "
        "WHERE d.outcome = 'unknown' AND coalesce(d.reason, '') <> ?",
        LEFT,
    ).one()
    return int(row[0]), int(row[1])


class OptOuts(NamedTuple):
    """Numbers of a class that must not be sent to, and when the newest came (ms)."""

    class_: str
    n: int
    newest_at: int


def opt_outs(conn: Connection) -> list[OptOuts]:
    """By class, read from an index of just these two columns."""
    rows = run(conn, "SELECT class, count(*), max(since_at) FROM suppression GROUP BY class ORDER BY class")
    return [OptOuts(str(class_), int(n), int(newest)) for class_, n, newest in rows]


class Reminder(NamedTuple):
    """A campaign whose SMS go out later."""

    campaign_id: int
    name: str
    category: str
    due_at: int
    n: int


def reminders(conn: Connection, now: int, limit: int) -> list[Reminder]:
    """Approved live campaigns whose SMS are all still to come, the next first."""
    rows = run(
        conn,
        "SELECT c.id, c.name, c.category, min(k.due_at), sum(k.last - k.first + 1) FROM campaign c "
        "JOIN chunk k ON k.campaign_id = c.id AND k.finished_at IS NULL AND k.channel = 'sms' "
        "WHERE c.state IN ('approved', 'running') AND c.started_at IS NULL AND c.mode = 'live' "
        "GROUP BY c.id, c.name, c.category HAVING min(k.due_at) > ? ORDER BY min(k.due_at), c.id LIMIT ?",
        *(now, limit),
    )
    return [Reminder(int(row[0]), row[1], row[2], int(row[3]), int(row[4])) for row in rows]
