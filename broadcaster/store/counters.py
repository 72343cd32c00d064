"""Counters: changed in the same transaction as the rows they count, touched in order of their key."""

from collections.abc import Mapping

from sqlalchemy import Connection

from broadcaster.store.driver import run, run_many

_ADD = (
    "INSERT INTO counter (campaign_id, cut_id, word, shard, n) VALUES (?, ?, ?, ?, ?) "
    "ON CONFLICT (campaign_id, cut_id, word, shard) DO UPDATE SET n = counter.n + excluded.n"
)


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

    def write(self, conn: Connection, campaign_id: int, shard: int = 0) -> None:
        """Adds the differences to the stored counters."""
        rows = [(campaign_id, cut, word, shard, n) for (cut, word), n in sorted(self._by.items()) if n]
        run_many(conn, _ADD, rows)
        self._by.clear()


def totals(conn: Connection, campaign_id: int) -> Mapping[str, int]:
    """Counters of a campaign summed over its cuts: word -> n."""
    found = run(conn, "SELECT word, sum(n) FROM counter WHERE campaign_id = ? GROUP BY word", campaign_id)
    return {word: int(n) for word, n in found}
