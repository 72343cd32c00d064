"""Deliveries that may or may not have arrived, and what a person decides of them."""

from typing import NamedTuple

from sqlalchemy import Connection

from broadcaster.model import Outcome
from broadcaster.store.counters import counting
from broadcaster.store.delivering import Claimed, lock_campaign, reopen_chunk
from broadcaster.store.driver import run
from broadcaster.store.receipts import expect_more

LEFT = "left-in-doubt"  # reason of those that a person leaves as they are

# Nothing comes into doubt without an attempt that says so, and attempts that did not simply succeed are few: the deliveries of
# a campaign of 200,000 are not read through for the three of them that are in doubt. Counters name the campaigns.
DOUBTFUL = (
    "(SELECT DISTINCT campaign_id, n FROM attempt WHERE answer IN ('uncertain', 'in-doubt') AND campaign_id IN "
    "(SELECT campaign_id FROM counter WHERE word = 'unknown' GROUP BY campaign_id HAVING sum(n) > 0)) a "
    "JOIN delivery d ON d.campaign_id = a.campaign_id AND d.n = a.n"
)


class DoubtRow(NamedTuple):
    """Deliveries of one campaign and channel in doubt for one reason. `newest_at` in ms."""

    campaign_id: int
    name: str
    category: str
    channel: str
    provider: str
    reason: str
    n: int
    newest_at: int
    expires_at: int


def listed(conn: Connection, limit: int) -> list[DoubtRow]:
    """What nobody has decided yet, the newest campaign first."""
    rows = run(
        conn,
        "SELECT d.campaign_id, c.name, c.category, d.channel, coalesce(d.provider, ''), coalesce(d.reason, ''), count(*), "
        f"coalesce(max(d.changed_at), 0), c.expires_at FROM {DOUBTFUL} JOIN campaign c ON c.id = d.campaign_id "
        "WHERE d.outcome = 'unknown' AND coalesce(d.reason, '') <> ? "
        "GROUP BY d.campaign_id, c.name, c.category, d.channel, coalesce(d.provider, ''), coalesce(d.reason, ''), c.expires_at "
        "ORDER BY d.campaign_id DESC, count(*) DESC LIMIT ?",
        *(LEFT, limit),
    )
    return [DoubtRow._make(row) for row in rows]


def undecided(conn: Connection, campaign_id: int) -> int:
    """How many of a campaign wait for a decision."""
    wanted = "SELECT count(*) FROM delivery WHERE campaign_id = ? AND outcome = 'unknown' AND coalesce(reason, '') <> ?"
    return int(run(conn, wanted, campaign_id, LEFT).scalar_one())


def leave(conn: Connection, campaign_id: int) -> int:
    """They stay unknown, and are asked about no more. Returns how many."""
    return run(
        conn,
        "UPDATE delivery SET reason = ? WHERE campaign_id = ? AND outcome = 'unknown' AND coalesce(reason, '') <> ?",
        *(LEFT, campaign_id, LEFT),
    ).rowcount


def send_again(conn: Connection, campaign_id: int, now: int) -> int:
    """They wait again, still marked as ones that may have arrived; the campaign runs again. Returns how many."""
    lock_campaign(conn, campaign_id)
    with counting(conn, campaign_id, "doubt") as turn:
        rows = run(
            conn,
            "UPDATE delivery SET outcome = 'waiting', reason = 'sent-again', doubt = 1, due_at = ?, changed_at = ? "
            "WHERE campaign_id = ? AND outcome = 'unknown' AND coalesce(reason, '') <> ? RETURNING n, cut_id",
            *(now, now, campaign_id, LEFT),
        ).all()
        for _, cut in rows:
            turn.tally.move(cut, Outcome.UNKNOWN, Outcome.WAITING)
        for chunk in _chunks(conn, campaign_id, sorted(n for n, _ in rows)):
            reopen_chunk(conn, chunk, now)
        run(
            conn,
            "UPDATE campaign SET state = 'running', finished_at = NULL WHERE id = ? AND state = 'finished'",
            campaign_id,
        )
        expect_more(conn, campaign_id)
    return len(rows)


def _chunks(conn: Connection, campaign_id: int, numbers: list[int]) -> list[int]:
    """Chunks that hold any of the numbers, which are in order."""
    found, at = [], 0
    for chunk, first, last in run(
        conn, "SELECT id, first, last FROM chunk WHERE campaign_id = ? ORDER BY first", campaign_id
    ).all():
        while at < len(numbers) and numbers[at] < first:
            at += 1
        if at < len(numbers) and numbers[at] <= last:
            found.append(int(chunk))
    return found


class Sought(NamedTuple):
    """A delivery whose reply was lost: what a message is made of, and since when the provider may know it (ms)."""

    campaign_id: int
    provider: str
    since_at: int
    row: Claimed


def sought(conn: Connection, since: int, limit: int) -> list[Sought]:
    """Live SMS in doubt since a moment, the oldest first."""
    rows = run(
        conn,
        "SELECT d.campaign_id, coalesce(a.provider, d.provider, ''), a.at, d.n, d.wording_id, d.slots, d.token, d.cut_id, d.parts, "
        "d.attempt, d.recipient_id, r.address_sealed, d.doubt FROM attempt a "
        "JOIN delivery d ON d.campaign_id = a.campaign_id AND d.n = a.n AND d.attempt = a.attempt "
        "JOIN campaign c ON c.id = d.campaign_id JOIN recipient r ON r.id = d.recipient_id "
        "WHERE a.at > ? AND a.answer IN ('uncertain', 'in-doubt') AND d.outcome = 'unknown' AND d.channel = 'sms' "
        "AND c.mode = 'live' ORDER BY a.at, d.campaign_id, d.n LIMIT ?",
        *(since, limit),
    )
    return [Sought(row[0], row[1], row[2], Claimed(*row[3:])) for row in rows]
