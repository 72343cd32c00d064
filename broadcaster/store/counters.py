"""Counters: changed in the same transaction as the rows they count, once, at its end, in order of their key."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from zlib import crc32

from sqlalchemy import Connection

from broadcaster.store.driver import Ask, at_end, columns, run, run_many

_ADD = (
    "INSERT INTO counter (campaign_id, cut_id, word, shard, n) VALUES (?, ?, ?, ?, ?) "
    "ON CONFLICT (campaign_id, cut_id, word, shard) DO UPDATE SET n = counter.n + excluded.n"
)

# The same for all of a transaction at once; the rows come, and are locked, in the order given.
_ADD_ALL = (
    "INSERT INTO counter (campaign_id, cut_id, word, shard, n) SELECT CAST(? AS int), a.cut, a.word, CAST(? AS int), a.n "
    "FROM unnest(CAST(? AS bigint[]), CAST(? AS text[]), CAST(? AS bigint[])) AS a(cut, word, n) "
    "ON CONFLICT (campaign_id, cut_id, word, shard) DO UPDATE SET n = counter.n + excluded.n"
)

SHARDS = 16  # rows of one counter on PostgreSQL, so that workers of one campaign do not wait for each other's commit


class Tally:
    """What one transaction changes, gathered before it is written: {(cut, word): difference}."""

    def __init__(self) -> None:
        self._by: dict[tuple[int, str], int] = {}

    def move(self, cut: int, before: str, after: str, n: int = 1) -> None:
        """n deliveries of a cut left one word for another."""
        self.add(cut, before, -n)
        self.add(cut, after, n)

    def add(self, cut: int, word: str, n: int = 1) -> None:
        """n more (or fewer) of a word."""
        self._by[cut, word] = self._by.get((cut, word), 0) + n

    def write(self, conn: Connection, campaign_id: int, who: str = "") -> None:
        """Adds the differences to the stored counters, in the shard of `who`. SQLite, with one writer, has one shard."""
        rows = [(cut, word, n) for (cut, word), n in sorted(self._by.items()) if n]
        self._by.clear()
        if conn.dialect.name == "sqlite":
            run_many(conn, _ADD, [(campaign_id, cut, word, 0, n) for cut, word, n in rows])
        elif rows:
            at_end(conn, Ask(_ADD_ALL, (campaign_id, crc32(who.encode()) % SHARDS, *columns(rows, 3))))


@dataclass(frozen=True, slots=True)
class Turn:
    """What one transaction does to one campaign; the counters that it moves are gathered beside it."""

    conn: Connection
    campaign_id: int
    tally: Tally = field(default_factory=Tally)


@contextmanager
def counting(conn: Connection, campaign_id: int, who: str = "") -> Iterator[Turn]:
    """A turn of `who`; its counters are written when the block ends.

    Once and last: two transactions that touch the same counters then do it in one order, hold them only until their commit, and
    what a window leaves and enters again (`sending`) is not written at all.
    """
    turn = Turn(conn, campaign_id)
    yield turn
    turn.tally.write(conn, campaign_id, who)


def totals(conn: Connection, campaign_id: int) -> Mapping[str, int]:
    """Counters of a campaign summed over its cuts: word -> n."""
    found = run(conn, "SELECT word, sum(n) FROM counter WHERE campaign_id = ? GROUP BY word", campaign_id)
    return {word: int(n) for word, n in found}
