"""The local bus's tables: records, who works on them, and those that could not be read."""

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from broadcaster.store.driver import locking, run, run_many

LOCK = 0x62726361  # of publishing, among this database's advisory locks
COLUMNS = "id, topic, key, value, headers"


def put(conn: Connection, rows: Sequence[tuple[str, str, bytes | None, str, int]]) -> None:
    """Keeps records (topic, key, value, headers, ms). One that still waits untaken under the same key is not doubled."""
    if conn.dialect.name == "postgresql":
        # Positions must become visible in their order: who reads the tail would else pass by one that commits late.
        run(conn, "SELECT pg_advisory_xact_lock(?)", LOCK)
    run_many(
        conn,
        "INSERT INTO bus_record (topic, key, value, headers, at) SELECT ?, ?, ?, ?, ? WHERE NOT EXISTS "
        "(SELECT 1 FROM bus_record WHERE topic = ? AND key = ? AND taken_by IS NULL)",
        [(*row, row[0], row[1]) for row in rows],
    )


def append(conn: Connection, rows: Sequence[tuple[str, str, bytes | None, str, int]]) -> None:
    """Keeps records that each count, also under one key."""
    run_many(conn, "INSERT INTO bus_record (topic, key, value, headers, at) VALUES (?, ?, ?, ?, ?)", rows)


def forget_before(conn: Connection, topic: str, before: int) -> None:
    """Removes what was kept on a topic before a moment (ms)."""
    run(conn, "DELETE FROM bus_record WHERE topic = ? AND at < ?", topic, before)


def waiting(conn: Connection) -> list[tuple[str, int]]:
    """Topics of deliveries with records that nobody has done yet, and how many."""
    rows = run(
        conn, "SELECT topic, count(*) FROM bus_record WHERE topic NOT LIKE '%.reach' GROUP BY topic ORDER BY topic"
    )
    return [(str(topic), int(n)) for topic, n in rows]


def take(conn: Connection, topics: Sequence[str], who: str, times: tuple[int, int], most: int) -> list[Any]:
    """Takes free records: the oldest of the first topic, then of the next, in the order given.

    times = (now, until): a record not done by then is free again.
    """
    found: list[Any] = []
    for topic in topics:
        if len(found) < most:
            found += _take(conn, topic, who, times, most - len(found))
    return found


def _take(conn: Connection, topic: str, who: str, times: tuple[int, int], most: int) -> list[Any]:
    oldest = "SELECT id FROM bus_record WHERE topic = ? AND taken_until < ? ORDER BY id LIMIT ?"
    rows = run(
        conn,
        "UPDATE bus_record SET taken_by = ?, taken_until = ? "
        f"WHERE id IN ({locking(conn, oldest, 'FOR UPDATE SKIP LOCKED')}) RETURNING {COLUMNS}",
        *(who, times[1], topic, times[0], most),
    ).all()
    return sorted(rows, key=lambda row: int(row[0]))


def any_free(conn: Connection, topics: Sequence[str], now: int) -> bool:
    """Whether there is something to take: a look that needs no write lock."""
    places = ", ".join("?" for _ in topics)
    found = run(
        conn,
        f"SELECT 1 FROM bus_record WHERE topic IN ({places}) AND taken_until < ? LIMIT 1",
        *topics,
        now,
    )
    return found.first() is not None


def remove(conn: Connection, ids: Sequence[int]) -> None:
    """Done for good."""
    run_many(conn, "DELETE FROM bus_record WHERE id = ?", [(one,) for one in ids])


def after(conn: Connection, topic: str, position: int) -> list[Any]:
    """Everything on a topic behind a position, in order."""
    return list(run(conn, f"SELECT {COLUMNS} FROM bus_record WHERE topic = ? AND id > ? ORDER BY id", topic, position))


def bury(conn: Connection, source: str, error: str, raw: bytes | None, now: int) -> None:
    """Keeps a record that could not be read, with the reason; one that is met again is kept once."""
    run(
        conn,
        "INSERT INTO dead_letter (source, error, raw, at) SELECT ?, ?, CAST(? AS {}), ? "
        "WHERE NOT EXISTS (SELECT 1 FROM dead_letter WHERE source = ?)".format(
            "BLOB" if conn.dialect.name == "sqlite" else "BYTEA"
        ),
        *(source, error, raw, now, source),
    )


def buried(conn: Connection) -> dict[str, int]:
    """How many records could not be read, by reason."""
    return {str(error): int(n) for error, n in run(conn, "SELECT error, count(*) FROM dead_letter GROUP BY error")}


def headers_text(headers: Any) -> str:
    """Headers as they lie in the table."""
    return json.dumps(dict(headers), sort_keys=True)
