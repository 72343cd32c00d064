"""One writer at a time in a SQLite file, also among processes.

SQLite itself lets who must wait sleep 1, 2, 5 ... 100 ms between tries, while the lock is free again after five. Waiting for
a lock beside the file instead costs half a millisecond at most. Who does not take it (a shell) still meets SQLite's own lock.
"""

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from broadcaster.model import Unavailable

AGAIN_S = 0.0005


class Turns:
    """Gives turns at writing to the threads of this process and to other processes."""

    def __init__(self, file: Path | None, patience_s: float) -> None:
        """`file`: what processes lock; None: the database is this process's own. `patience_s`: after this a turn is given up."""
        self._file, self._patience_s = file, patience_s
        self._threads = threading.Lock()
        self._opened: tuple[int, int] | None = None  # process id, descriptor: a fork would share the lock of its parent

    @contextmanager
    def mine(self) -> Iterator[None]:
        """A turn. Raises Unavailable where others have held it for too long."""
        if not self._threads.acquire(timeout=self._patience_s):
            raise _busy()
        try:
            if self._file is None:
                yield
                return
            descriptor = self._descriptor(self._file)
            self._lock(descriptor)
            try:
                yield
            finally:
                fcntl.flock(descriptor, fcntl.LOCK_UN)
        finally:
            self._threads.release()

    def close(self) -> None:
        """Closes the file."""
        if self._opened and self._opened[0] == os.getpid():
            os.close(self._opened[1])
        self._opened = None

    def _descriptor(self, file: Path) -> int:
        if self._opened is None or self._opened[0] != os.getpid():
            self._opened = (os.getpid(), os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        return self._opened[1]

    def _lock(self, descriptor: int) -> None:
        until = time.monotonic() + self._patience_s
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > until:
                    raise _busy() from None
                time.sleep(AGAIN_S)
            else:
                return


def _busy() -> Unavailable:
    return Unavailable("database", "the database cannot be used now: another process has been writing for too long")
