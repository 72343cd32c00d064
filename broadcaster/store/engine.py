"""Opening the database: SQLite at or above the safe version, or PostgreSQL by its address."""

import select
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DatabaseError,
    DBAPIError,
    InterfaceError,
    InvalidatePoolError,
    OperationalError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout

from broadcaster.model import BadInput, Unavailable
from broadcaster.store.driver import AT_END, finish
from broadcaster.store.turns import Turns

T = TypeVar("T")

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


RESTED_S = 1.0  # a connection unused for so long is asked whether it lives, at the price of a round trip
_RETURNED = "broadcaster.returned"


def _on_checkin(_connection: object, record: Any) -> None:
    record.info[_RETURNED] = time.monotonic()


def _on_checkout(engine: Engine, connection: Any, record: Any, _proxy: object) -> None:
    """A connection from before a restart of the server is replaced, not handed out.

    The end of a server that ended, even by a kill, waits in the socket: to look for it costs no round trip. Only one that vanished
    without a word does not show there.
    """
    returned = record.info.get(_RETURNED)
    if returned is None:
        return
    try:
        if time.monotonic() - returned > RESTED_S or _something_came(connection):
            engine.dialect.do_ping(connection)
    except engine.dialect.dbapi.Error as error:  # type: ignore[union-attr]
        raise InvalidatePoolError from error  # the others are as old


def _something_came(connection: Any) -> bool:
    ask = select.poll()
    ask.register(connection.fileno(), select.POLLIN)
    return bool(ask.poll(0))


# What a server that is stopped, starting or overloaded answers; a deadlock is one of them, and `transact` retries it first.
_AWAY = (DatabaseError, OperationalError, InterfaceError, PoolTimeout)
_AGAIN = {"40P01", "40001"}  # deadlock detected, serialization failure: the same work done once more succeeds
# Whoever won the deadlock is woken by our end: begun at once, we could take the row before it has looked, and meet it again.
AGAIN_S = 0.05

REPORT_MS = 30_000  # a report that takes longer is given up, so that it cannot keep the pool from those who send
_SERVER = {
    "connect_timeout": 3,
    # A server that vanished without a word (its machine, the network) is noticed within about 20 s.
    "keepalives_idle": 10,
    "keepalives_interval": 3,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
    "application_name": "broadcaster",
    # A process that was stopped in the middle of a transaction must not hold a campaign's lock against a cancel for ever.
    "options": "-c idle_in_transaction_session_timeout=120000",
}


class Store:
    """One database. `read()` and `write()` give a connection inside a transaction that ends with the block."""

    def __init__(self, engine: Engine, turns: Turns | None = None) -> None:
        """`turns`: of writing, where the database has one writer."""
        self.engine = engine
        self.dialect = engine.dialect.name
        self._turns = turns
        self._reading = self._writing = engine
        if self.dialect == "sqlite":
            self._writing = engine.execution_options(begin="IMMEDIATE")
        else:
            view: Any = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
            self._reading = engine.execution_options(**view)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A consistent view of one moment; nothing is written."""
        with _told(), self._reading.begin() as connection:
            yield connection

    @contextmanager
    def report(self) -> Iterator[Connection]:
        """The same for what may read much: PostgreSQL gives it up after REPORT_MS. Raises Unavailable then."""
        with self.read() as connection:
            if self.dialect != "sqlite":
                connection.exec_driver_sql(f"SET LOCAL statement_timeout = {REPORT_MS}")
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that holds the write lock from its start (SQLite), so that what it reads stays true."""
        with _told(), self._begin() as connection:
            yield connection

    def transact(self, work: Callable[[Connection], T]) -> T:
        """`work` in one transaction; the whole of it once more where the database ended it for a deadlock.

        `work` must not keep anything of its first run. Raises Unavailable for the second deadlock too.
        """
        with _told():
            try:
                with self._begin() as connection:
                    return work(connection)
            except OperationalError as error:
                if getattr(error.orig, "sqlstate", None) not in _AGAIN:
                    raise
            time.sleep(AGAIN_S)
            with self._begin() as connection:
                return work(connection)

    @contextmanager
    def _begin(self) -> Iterator[Connection]:
        turn = self._turns.mine() if self._turns else nullcontext()
        with turn, self._writing.begin() as connection:
            if self.dialect == "sqlite":
                yield connection
                return
            connection.info.pop(AT_END, None)  # of a transaction that failed
            yield connection
            finish(connection)

    def close(self) -> None:
        """Give the connections back."""
        self.engine.dispose()
        if self._turns:
            self._turns.close()


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except (DBAPIError, PoolTimeout) as error:
        # DatabaseError itself: not a database, damaged. A broken constraint or statement is a fault of the program and passes.
        if type(error) not in _AWAY and not getattr(error, "connection_invalidated", False):
            raise
        cause = getattr(error, "orig", None) or error
        raise Unavailable("database", f"the database cannot be used now: {str(cause).strip()}") from error


def open_store(url: str) -> Store:
    """A store for `sqlite:///path` or `postgresql://...`. Raises BadInput for another address, Unavailable without the driver."""
    try:
        parsed = make_url(url)
    except ArgumentError as error:  # its message repeats the address, and with it a password
        raise BadInput("database-url", "BROADCASTER_DATABASE_URL is not an address of a database") from error
    match parsed.get_backend_name():
        case "sqlite":
            return _sqlite(parsed)
        case "postgresql" | "postgres":
            return _postgresql(parsed)
    raise BadInput(
        "database-url",
        f"{parsed.get_backend_name()} is no database that can be used: sqlite:///... or postgresql://...",
    )


def _sqlite(url: URL) -> Store:
    if url.database:
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(url, module=sqlite_module(), pool_size=20, max_overflow=20)
    event.listen(engine, "connect", _on_connect)
    event.listen(engine, "begin", _on_begin)
    file = Path(f"{url.database}-turn") if url.database and url.database != ":memory:" else None
    return Store(engine, Turns(file, BUSY_MS / 1000))


def _postgresql(url: URL) -> Store:
    settings = {**_SERVER, **url.query}  # what the address says itself wins
    try:
        engine = create_engine(
            url.set(drivername="postgresql+psycopg", query={}),
            connect_args=settings,
            pool_size=10,
            max_overflow=30,
            pool_timeout=10,
        )
    except ModuleNotFoundError as error:
        raise Unavailable(
            "database-driver", "PostgreSQL needs its driver: pip install 'public-alert-broadcaster[postgres]'"
        ) from error
    event.listen(engine, "checkin", _on_checkin)
    event.listen(engine, "checkout", partial(_on_checkout, engine))
    return Store(engine)
