"""The inbox of what providers and devices say later, and its folding into outcome and proof."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import Connection

from broadcaster.store.clock import now_ms
from broadcaster.store.counters import Tally
from broadcaster.store.driver import columns, locking, run, run_many

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


_INTO = "INSERT INTO receipt_inbox (received_at, provider, dedupe_key, campaign_id, n, word, at, raw, reason, ref) SELECT ?, "
_ONCE = " ON CONFLICT (provider, dedupe_key) DO NOTHING"
_STORE = {
    "sqlite": _INTO
    + ", ".join(f"json_extract(value, '$[{at}]')" for at in range(9))
    + " FROM json_each(?) WHERE true"
    + _ONCE,
    "postgresql": _INTO
    + "r.* FROM unnest(CAST(? AS text[]), CAST(? AS text[]), CAST(? AS int[]), CAST(? AS int[]), CAST(? AS text[]), "
    "CAST(? AS bigint[]), CAST(? AS text[]), CAST(? AS text[]), CAST(? AS text[])) AS r" + _ONCE,
}


def store(conn: Connection, receipts: Sequence[Receipt], now: int) -> None:
    """Keeps receipts; one that is known already changes nothing.

    In one statement: the writer of a busy server has to win the interpreter back after each, up to 5 ms a time.
    """
    if not receipts:
        return
    # In one order, so that two processes that are told the same things do not wait for each other.
    rows = [
        (r.provider, r.dedupe_key, r.campaign_id, r.n, r.word, r.at, r.raw, r.reason, r.ref)
        for r in sorted(receipts, key=lambda r: (r.provider, r.dedupe_key))
    ]
    sqlite = conn.dialect.name == "sqlite"
    run(conn, _STORE[conn.dialect.name], now, *([json.dumps(rows)] if sqlite else columns(rows, 9)))


def arrive(conn: Connection, receipts: Sequence[Receipt], forged: Mapping[str, int]) -> None:
    """Keeps what came to the doors since the last commit; `forged`: requests by provider that only pretended to be its own."""
    store(conn, receipts, now_ms(conn))
    tally = Tally()
    for provider, n in forged.items():
        tally.add(0, f"{provider}/forged", n)
    tally.write(conn, NO_CAMPAIGN, "doors")


def any_open(conn: Connection, after: int = 0) -> bool:
    """Whether something behind `after` waits to be folded."""
    found = run(conn, "SELECT 1 FROM receipt_inbox WHERE folded_at IS NULL AND id > ? LIMIT 1", after)
    return found.first() is not None


def newest(conn: Connection) -> int:
    """The id of the last receipt that is here."""
    return int(run(conn, "SELECT coalesce(max(id), 0) FROM receipt_inbox").scalar_one())


@dataclass(frozen=True, slots=True)
class OpenReceipt:
    """A receipt that has not moved anything yet; `campaign_id` and `n` None: it names its message by number and reference."""

    id: int
    provider: str
    dedupe_key: str
    campaign_id: int | None
    n: int | None
    word: str
    reason: str
    ref: str
    received_at: int
    fate: str | None

    @property
    def token(self) -> str:
        """Of the delivery that a provider's receipt names; empty where it names none, and for devices."""
        name = self.dedupe_key.partition("/")[0]
        return name.split("-", 2)[2] if name.startswith(f"{self.campaign_id}-{self.n}-") else ""

    @property
    def number_key(self) -> str:
        """Keyed hash of the number, where it is named by that."""
        name = self.dedupe_key.partition("/")[0]
        return name[1:] if name.startswith("@") else ""


_RECEIPT = (
    "SELECT id, provider, dedupe_key, campaign_id, n, word, coalesce(reason, ''), coalesce(ref, ''), received_at, fate "
    "FROM receipt_inbox "
)


def open_receipts(conn: Connection, after: int, limit: int) -> list[OpenReceipt]:
    """The oldest behind `after` that are not folded yet and that nobody else is folding."""
    oldest = _RECEIPT + "WHERE folded_at IS NULL AND id > ? ORDER BY id LIMIT ?"
    rows = run(conn, locking(conn, oldest, "FOR UPDATE SKIP LOCKED"), after, limit)
    return [OpenReceipt(*row) for row in rows]


def kept_ends(conn: Connection, campaign_id: int, numbers: Sequence[int]) -> list[OpenReceipt]:
    """Final receipts of deliveries that moved nothing when they came. Read by a small index of just these."""
    if not numbers:
        return []
    rows = run(
        conn,
        _RECEIPT + f"WHERE fate = 'kept' AND word IN ('failed', 'expired') AND campaign_id = ? AND n {_among(conn)}",
        *(campaign_id, _list(conn, numbers)),
    )
    return [OpenReceipt(*row) for row in rows]


def _among(conn: Connection) -> str:
    """A list of numbers in a statement, as one value: a statement per length would be parsed anew each time."""
    return "IN (SELECT value FROM json_each(?))" if conn.dialect.name == "sqlite" else "= ANY(CAST(? AS bigint[]))"


def _list(conn: Connection, numbers: Sequence[int]) -> object:
    return json.dumps(list(numbers)) if conn.dialect.name == "sqlite" else list(numbers)


def assign(conn: Connection, receipt: int, campaign_id: int, n: int) -> None:
    """The delivery that it is about has been found."""
    run(conn, "UPDATE receipt_inbox SET campaign_id = ?, n = ? WHERE id = ?", campaign_id, n, receipt)


def settle(conn: Connection, fates: Sequence[tuple[int, str]], now: int) -> None:
    """They have moved what they could."""
    if conn.dialect.name == "sqlite":
        rows = [(now, fate, one) for one, fate in fates]
        run_many(conn, "UPDATE receipt_inbox SET folded_at = ?, fate = ? WHERE id = ?", rows)
    elif fates:
        run(
            conn,
            "UPDATE receipt_inbox SET folded_at = ?, fate = f.fate FROM unnest(CAST(? AS bigint[]), CAST(? AS text[])) "
            "AS f(id, fate) WHERE receipt_inbox.id = f.id",
            *(now, *columns(fates, 2)),
        )


class Standing(Protocol):
    """What is written of a delivery."""

    @property
    def n(self) -> int: ...
    @property
    def outcome(self) -> str: ...
    @property
    def proof(self) -> int: ...
    @property
    def reason(self) -> str | None: ...
    @property
    def ref(self) -> str | None: ...
    @property
    def silent(self) -> int: ...
    @property
    def changed_at(self) -> int | None: ...


def standings(
    conn: Connection, campaign_id: int, numbers: Sequence[int]
) -> tuple[list[tuple[Any, ...]], dict[int, str]]:
    """Deliveries that stay as they are until this transaction ends, in order of n, and the token of each.

    Rows of n, cut, outcome, proof, attempt, reason, ref, silent, changed_at.
    """
    wanted = (
        "SELECT n, cut_id, outcome, proof, attempt, reason, provider_ref, silent, changed_at, token FROM delivery "
        f"WHERE campaign_id = ? AND n BETWEEN ? AND ? AND n {_among(conn)} ORDER BY n"
    )
    span = (min(numbers), max(numbers))
    rows = run(conn, locking(conn, wanted, "FOR UPDATE"), campaign_id, *span, _list(conn, numbers)).all()
    return [tuple(row[:9]) for row in rows], {int(row[0]): str(row[9]) for row in rows}


def write_standings(conn: Connection, campaign_id: int, rows: Sequence[Standing]) -> None:
    """Deliveries that are locked, as receipts have left them."""
    given = [(r.n, str(r.outcome), r.proof, r.reason, r.ref, r.silent, r.changed_at) for r in rows]
    if conn.dialect.name == "sqlite":
        run_many(
            conn,
            "UPDATE delivery SET outcome = ?, proof = ?, reason = ?, provider_ref = ?, silent = ?, changed_at = ? "
            "WHERE campaign_id = ? AND n = ?",
            [(*values, campaign_id, n) for n, *values in given],
        )
    elif given:
        run(
            conn,
            "UPDATE delivery SET outcome = r.outcome, proof = r.proof, reason = r.reason, provider_ref = r.ref, "
            "silent = r.silent, changed_at = r.at FROM unnest(CAST(? AS int[]), CAST(? AS text[]), CAST(? AS int[]), "
            "CAST(? AS text[]), CAST(? AS text[]), CAST(? AS int[]), CAST(? AS bigint[])) "
            "AS r(n, outcome, proof, reason, ref, silent, at) "
            "WHERE campaign_id = ? AND delivery.n = r.n AND delivery.n BETWEEN ? AND ?",
            *(*columns(given, 7), campaign_id, given[0][0], given[-1][0]),
        )


def expect_more(conn: Connection, campaign_id: int) -> None:
    """A delivery of a campaign that was closed for receipts was found to have been accepted: its deadline is still to come."""
    run(
        conn,
        "UPDATE campaign SET receipts_closed_at = NULL WHERE id = ? AND receipts_closed_at IS NOT NULL",
        campaign_id,
    )


def try_again(conn: Connection, since: int) -> None:
    """Receipts about nothing that we knew are folded once more; those from before a moment are dropped."""
    run(conn, "DELETE FROM receipt_inbox WHERE fate = 'unmatched' AND received_at <= ?", since)
    run(conn, "UPDATE receipt_inbox SET folded_at = NULL WHERE fate = 'unmatched' AND received_at > ?", since)


def came(conn: Connection) -> dict[tuple[str, str], int]:
    """(provider, fate or "forged") -> how many ever, from the counters that belong to no campaign."""
    rows = run(conn, "SELECT word, sum(n) FROM counter WHERE campaign_id = ? GROUP BY word", NO_CAMPAIGN)
    found = {}
    for word, n in rows:
        provider, _, fate = str(word).rpartition("/")
        found[provider, fate] = int(n)
    return found


def waiting(conn: Connection) -> tuple[int, int | None]:
    """(receipts that are not folded yet, when the oldest of them came), by the index of just these."""
    n = run(conn, "SELECT count(*) FROM receipt_inbox WHERE folded_at IS NULL").scalar_one()
    oldest = run(conn, "SELECT received_at FROM receipt_inbox WHERE folded_at IS NULL ORDER BY id LIMIT 1").scalar()
    return int(n), None if oldest is None else int(oldest)
