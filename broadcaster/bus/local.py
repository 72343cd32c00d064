"""The bus in the same database: for one machine, nothing to install."""

import json
from collections.abc import Sequence

from sqlalchemy import Connection

from broadcaster.bus import Record, Standing
from broadcaster.store import records
from broadcaster.store.clock import now_ms
from broadcaster.store.engine import Store

# Longer than a chunk takes with the fastest provider; a slower one only makes a second worker look at finished ranges.
HOLD_MS = 60_000
# What other systems may read of a campaign is kept so long: nobody removes it by taking it.
NEWS_MS = 7 * 24 * 3600 * 1000


class LocalBus:
    """Records as rows; a worker holds those it works on for a time."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def publish(self, given: Sequence[Record]) -> None:
        """Keeps records in one transaction."""

        def put(conn: Connection) -> None:
            now = now_ms(conn)
            rows = [(r.topic, r.key, r.value, records.headers_text(r.headers), now) for r in given]
            news = [row for row in rows if row[0].endswith(".reach")]
            records.put(conn, [row for row in rows if row not in news])
            records.append(conn, news)
            for topic in sorted({row[0] for row in news}):
                records.forget_before(conn, topic, now - NEWS_MS)

        self._store.transact(put)

    def take(self, topics: Sequence[str], who: str, most: int) -> list[Record]:
        """The oldest free records, held for HOLD_MS."""
        with self._store.read() as conn:
            if not records.any_free(conn, topics, now_ms(conn)):
                return []

        def take(conn: Connection) -> list[Record]:
            now = now_ms(conn)
            return [_record(row) for row in records.take(conn, topics, who, (now, now + HOLD_MS), most)]

        return self._store.transact(take)

    def done(self, given: Sequence[Record]) -> None:
        """Removes them."""
        self._store.transact(lambda conn: records.remove(conn, sorted(int(r.position) for r in given)))

    def tail(self, topic: str, after: str) -> list[Record]:
        """Rows behind a position."""
        with self._store.read() as conn:
            return [_record(row) for row in records.after(conn, topic, int(after or 0))]

    def standing(self) -> list[Standing]:
        """What waits by topic; how many there ever were is not kept."""
        with self._store.read() as conn:
            return [Standing(topic, None, n) for topic, n in records.waiting(conn)]

    def close(self) -> None:
        """The store is closed by its owner."""


def _record(row: Sequence[object]) -> Record:
    position, topic, key, value, headers = row
    kept = bytes(value) if isinstance(value, bytes | memoryview) else None
    return Record(str(topic), str(key), kept, json.loads(str(headers)), str(position))
