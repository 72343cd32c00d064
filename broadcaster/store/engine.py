"""Opening the database: SQLite at or above the safe version, or PostgreSQL by its address."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import DatabaseError, OperationalError

from broadcaster.model import Unavailable

# WAL-reset corruption bug in 3.7.0-3.51.2: two connections that write or checkpoint at once can lose a commit.
SQLITE_FLOOR = (3, 51, 3)
BUSY_MS = 60_000


def sqlite_module() -> ModuleType:
    """The driver with SQLite at or above the floor: Python's own, else pysqlite3. Falls back to Python's own."""
    if sqlite3.sqlite_version_info >= SQLITE_FLOOR:
        return sqlite3
    try:
        from pysqlite3 import dbapi2
    except ImportError:
        return sqlite3
    module: ModuleType = dbapi2
    return module


def sqlite_is_safe() -> bool:
    """Whether several processes may write to one SQLite file on this machine."""
    return tuple(sqlite_module().sqlite_version_info) >= SQLITE_FLOOR


def _on_connect(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # transactions begin where we say, with the lock that we say
    cursor = connection.cursor()
    # FULL: a commit that is the intent to send must survive a power cut; NORMAL may lose the last ones.
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        f"busy_timeout={BUSY_MS}",
        "temp_store=MEMORY",
        "cache_size=-65536",
        "journal_size_limit=67108864",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _on_begin(connection: Connection) -> None:
    kind = connection.get_execution_options().get("begin", "DEFERRED")
    connection.exec_driver_sql(f"BEGIN {kind}")


class Store:
    """One database. `read()` and `write()` give a connection inside a transaction that ends with the block."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.dialect = engine.dialect.name
        # Threads of one process would otherwise wait for each other in SQLite's own sleeping back-off, up to 100 ms a turn.
        self._turn = threading.Lock()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A consistent view; nothing is written."""
        with _told(), self.engine.begin() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that holds the write lock from its start (SQLite), so that what it reads stays true."""
        if self.dialect != "sqlite":
            with _told(), self.engine.begin() as connection:
                yield connection
            return
        immediate = self.engine.execution_options(begin="IMMEDIATE")
        with self._turn, _told(), immediate.begin() as connection:
            yield connection

    def close(self) -> None:
        """Give the connections back."""
        self.engine.dispose()


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except DatabaseError as error:
        # Its own class: not a database, damaged. A broken constraint or statement is a fault of the program and passes.
        if type(error) not in (DatabaseError, OperationalError):
            raise
        raise Unavailable("database", f"the database cannot be used now: {error.orig}") from error


def open_store(url: str) -> Store:
    """A store for `sqlite:///path` or `postgresql+psycopg://...`. Raises Unavailable where the address cannot be used."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return Store(create_engine(parsed, pool_pre_ping=True))
    if parsed.database:
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(parsed, module=sqlite_module(), pool_size=20, max_overflow=20)
    event.listen(engine, "connect", _on_connect)
    event.listen(engine, "begin", _on_begin)
    return Store(engine)
