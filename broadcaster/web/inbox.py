"""Receipts on their way into the database: whatever comes while one commit is under way goes into the next one."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from broadcaster.installation import Installation
from broadcaster.model import Unavailable
from broadcaster.store import receipts
from broadcaster.store.receipts import Receipt

MOST = 20_000  # rows that may wait for the database; a provider that is told 503 comes again


class Inbox:
    """One writer for all requests of a process. Lives on the event loop: nothing of it is touched from another thread."""

    def __init__(self, inst: Installation) -> None:
        self._inst = inst
        self._rows: list[Receipt] = []
        self._forged: Counter[str] = Counter()
        self._next: asyncio.Future[None] | None = None
        self._writing: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, "inbox")

    async def keep(self, rows: Sequence[Receipt]) -> None:
        """Returns when the rows are committed. Raises Unavailable where they are not, and may come again."""
        if not rows:
            return
        if len(self._rows) >= MOST:
            raise Unavailable("receipts-full", "too many receipts wait for the database")
        self._rows.extend(rows)
        # Shielded: a request that is given up must not take the others' answer with it.
        await asyncio.shield(self._joined())

    def forged(self, provider: str) -> None:
        """Counts a request that only pretended to be the provider's. Nobody waits for it."""
        self._forged[provider] += 1
        self._joined().add_done_callback(_seen)

    def close(self) -> None:
        """Ends the writer."""
        self._thread.shutdown(wait=True)

    def _joined(self) -> asyncio.Future[None]:
        """The next commit."""
        if self._next is None:
            self._next = asyncio.get_running_loop().create_future()
        if self._writing is None:
            self._writing = asyncio.create_task(self._write())
        return self._next

    async def _write(self) -> None:
        loop = asyncio.get_running_loop()
        while (committed := self._next) is not None:
            rows, forged, self._next = self._rows, self._forged, None
            self._rows, self._forged = [], Counter()
            try:
                await loop.run_in_executor(self._thread, self._store, rows, forged)
            except Exception as error:
                committed.set_exception(error)
                _seen(committed)  # those who wait are told; where nobody does, it is no news
            else:
                committed.set_result(None)
        self._writing = None

    def _store(self, rows: list[Receipt], forged: Counter[str]) -> None:
        self._inst.store.transact(lambda conn: receipts.arrive(conn, rows, forged))


def _seen(future: asyncio.Future[None]) -> None:
    if not future.cancelled():
        future.exception()
