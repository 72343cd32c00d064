"""What a link test asks of the database: how many somebody has made, and what was told of one."""

from typing import NamedTuple

from sqlalchemy import Connection

from broadcaster.store.driver import run
from broadcaster.store.receipts import NO_CAMPAIGN

ACTION = "gateway.test"  # in the audit; an index knows its entries by exactly this word


def made_by(conn: Connection, login: str, since: int) -> int:
    """How many test messages a person has sent since a moment, by the audit."""
    wanted = "SELECT count(*) FROM audit WHERE actor = ? AND action = 'gateway.test' AND at > ?"
    return int(run(conn, wanted, login, since).scalar_one())


class Heard(NamedTuple):
    """A receipt of a test message. Times in ms; `at` is the provider's clock."""

    word: str
    reason: str
    raw: str
    at: int | None
    received_at: int


def heard(conn: Connection, name: str, number: tuple[str, str], since: int) -> list[Heard]:
    """Receipts of a test since a moment, the oldest first: named by its address, or by (keyed hash of the number, reference).

    Reads what came since then by the index of that: a test is minutes old at most.
    """
    key, ref = number
    rows = run(
        conn,
        "SELECT dedupe_key, coalesce(ref, ''), word, coalesce(reason, ''), raw, at, received_at FROM receipt_inbox "
        "WHERE received_at >= ? AND (campaign_id = ? OR (campaign_id IS NULL AND ref = ?)) ORDER BY received_at, id",
        *(since, NO_CAMPAIGN, ref),
    )
    names = (f"{name}/", f"@{key}/") if ref else (f"{name}/",)
    return [Heard(*row[2:]) for row in rows if str(row[0]).startswith(names)]
