"""The inbox of what providers and devices say later, and its folding into outcome and proof."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from broadcaster.store.clock import now_ms
from broadcaster.store.counters import Tally
from broadcaster.store.driver import locking, run, run_many

NO_CAMPAIGN = 0  # whose counters tell of providers: "kannel/moved", "kannel/forged"


@dataclass(frozen=True, slots=True)
class Receipt:
    """One word of a provider or device about one delivery, already in our words.

    A provider's `dedupe_key` begins with the delivery's outside name, or, where its campaign and n are not known yet, with "@" and
    the keyed hash of the number, and goes on behind a slash.
    """

    provider: str
    dedupe_key: str
    campaign_id: int | None
    n: int | None
    word: str  # an outcome or a proof
    at: int | None  # the sender's own clock, ms
    raw: str
    reason: str = ""
    ref: str = ""  # provider's id of the message


def store(conn: Connection, receipts: Sequence[Receipt], now: int) -> None:
    """Keeps receipts; one that is known already changes nothing."""
    run_many(
        conn,
        "INSERT INTO receipt_inbox (provider, dedupe_key, campaign_id, n, word, at, received_at, raw, reason, ref) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (provider, dedupe_key) DO NOTHING",
        [
            (r.provider, r.dedupe_key, r.campaign_id, r.n, r.word, r.at, now, r.raw, r.reason, r.ref)
            # In one order, so that two processes that are told the same things do not wait for each other.
            for r in sorted(receipts, key=lambda r: (r.provider, r.dedupe_key))
        ],
    )


def arrive(conn: Connection, receipts: Sequence[Receipt], forged: Mapping[str, int]) -> None:
    """Keeps what came to the doors since the last commit; `forged`: requests by provider that only pretended to be its own."""
    store(conn, receipts, now_ms(conn))
    tally = Tally()
    for provider, n in forged.items():
        tally.add(0, f"{provider}/forged", n)
    tally.write(conn, NO_CAMPAIGN, "doors")


def any_open(conn: Connection) -> bool:
    """Whether something waits to be folded."""
    return run(conn, "SELECT 1 FROM receipt_inbox WHERE folded_at IS NULL LIMIT 1").first() is not None


@dataclass(frozen=True, slots=True)
class OpenReceipt:
    """A receipt that has not moved anything yet."""

    id: int
    campaign_id: int
    n: int
    word: str
    raw: str


def open_receipts(conn: Connection, limit: int) -> list[OpenReceipt]:
    """The oldest that are not folded yet and that nobody else is folding."""
    oldest = (
        "SELECT id, campaign_id, n, word, raw FROM receipt_inbox WHERE folded_at IS NULL AND campaign_id IS NOT NULL "
        "AND word <> 'unknown' ORDER BY id LIMIT ?"
    )
    rows = run(conn, locking(conn, oldest, "FOR UPDATE SKIP LOCKED"), limit)
    return [OpenReceipt(*row) for row in rows]


def mark_folded(conn: Connection, ids: Sequence[int], now: int) -> None:
    """They have moved what they could."""
    run_many(conn, "UPDATE receipt_inbox SET folded_at = ? WHERE id = ?", [(now, one) for one in ids])


def standing(conn: Connection, campaign_id: int, n: int) -> tuple[str, int, int] | None:
    """(outcome, proof bits, cut) of a delivery, which stays so until this transaction ends."""
    wanted = "SELECT outcome, proof, cut_id FROM delivery WHERE campaign_id = ? AND n = ?"
    row = run(conn, locking(conn, wanted, "FOR UPDATE"), campaign_id, n).first()
    return (row[0], int(row[1]), int(row[2])) if row else None


def set_proof(conn: Connection, campaign_id: int, n: int, proof: int, now: int) -> None:
    """Proof bits only ever join."""
    run(
        conn,
        "UPDATE delivery SET proof = ?, changed_at = ? WHERE campaign_id = ? AND n = ?",
        *(proof, now, campaign_id, n),
    )


def set_outcome(conn: Connection, campaign_id: int, n: int, change: tuple[str, str, str | None], now: int) -> bool:
    """Moves a delivery (before, after, reason). False where it no longer stands at `before`."""
    before, after, reason = change
    found = run(
        conn,
        "UPDATE delivery SET outcome = ?, reason = ?, changed_at = ? WHERE campaign_id = ? AND n = ? AND outcome = ?",
        *(after, reason, now, campaign_id, n, before),
    )
    return found.rowcount == 1
