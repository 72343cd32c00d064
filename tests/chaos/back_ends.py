"""Where the product's data and records lie while it is tormented: one SQLite file, or a real PostgreSQL and a real Kafka."""

import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS), str(TESTS / "broker")]  # as a program of its own it is started without pytest's path

sqlite: ModuleType
try:  # a reader older than the writer's floor must not touch the file while it is being written
    from pysqlite3 import dbapi2 as sqlite
except ImportError:
    import sqlite3 as sqlite

NAMES = ("embedded", "scale")
DATABASE = "chaos"


class Embedded:
    """The home folder holds everything: nothing but processes and rows can be harmed."""

    name = "embedded"

    def __init__(self, place: Path) -> None:
        self._file = place / "home" / "broadcaster.db"

    def environment(self) -> dict[str, str]:
        return {}

    def rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Reads with `?` in place of values."""
        connection = sqlite.connect(f"file:{self._file}?mode=ro", uri=True, timeout=30)
        try:
            return [tuple(row) for row in connection.execute(statement, values)]
        finally:
            connection.close()

    def change(self, statement: str, *values: object) -> int:
        """Writes behind the product's back. Returns how many rows."""
        connection = sqlite.connect(self._file, timeout=60)
        try:
            count = int(connection.execute(statement, values).rowcount)
            connection.commit()
            return count
        finally:
            connection.close()

    def stop(self) -> None:
        """Nothing of it runs."""


class Scale:
    """A real Kafka broker and a real PostgreSQL server, each of which may be killed and started again."""

    name = "scale"

    def __init__(self, place: Path) -> None:
        from postgresql_server import Server
        from real_kafka import Broker

        self.database = Server()
        self.database.execute(f"CREATE DATABASE {DATABASE}")
        self.broker = Broker().start()
        self._older = place / "older-log"

    def environment(self) -> dict[str, str]:
        return {
            "BROADCASTER_DATABASE_URL": self.database.url(DATABASE),
            "BROADCASTER_BUS_URL": self.broker.url,
            "BROADCASTER_KAFKA_PARTITIONS": "4",
            "BROADCASTER_KAFKA_SESSION_MS": "2000",
        }

    def rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Reads with `?` in place of values."""
        return self._execute(statement, values, lambda cursor: [tuple(row) for row in cursor.fetchall()])

    def change(self, statement: str, *values: object) -> int:
        """Writes behind the product's back. Returns how many rows."""
        return self._execute(statement, values, lambda cursor: int(cursor.rowcount))

    def _execute(self, statement: str, values: tuple[object, ...], told: Callable[[Any], Any]) -> Any:
        import psycopg

        with psycopg.connect(self.database.url(DATABASE), autocommit=True, connect_timeout=5) as connection:
            return told(connection.execute(statement.replace("?", "%s"), values))  # type: ignore[arg-type]

    def kill_broker(self, seconds: float) -> None:
        """SIGKILL, and the same log again so much later."""
        self.broker.kill()
        time.sleep(seconds)
        self.broker.start()

    def kill_database(self, seconds: float) -> None:
        """Every process of the server at once, and a recovery so much later."""
        self.database.kill()
        time.sleep(seconds)
        self.database.start()

    def keep_log(self) -> None:
        """A copy of the broker's log as it is now, to be put in the place of a longer one."""
        self.broker.kill()
        shutil.copytree(self.broker.folder / "data", self._older)
        self.broker.start()

    def cut_log(self) -> None:
        """The broker dies and comes back without whatever it acknowledged since `keep_log`, offsets of readers included."""
        self.broker.kill()
        shutil.rmtree(self.broker.folder / "data")
        shutil.copytree(self._older, self.broker.folder / "data")
        self.broker.start()

    def stop(self) -> None:
        self.broker.stop()
        self.database.stop()


BackEnd = Embedded | Scale


def open_back_end(name: str, place: Path) -> BackEnd:
    """Starts what a back-end needs."""
    return Scale(place) if name == "scale" else Embedded(place)


def missing(name: str) -> str:
    """What a back-end would need and this machine lacks; empty where it can start."""
    if name == "embedded":
        return ""
    from postgresql_server import NoServer, find_programs
    from real_kafka import missing as no_broker

    try:
        find_programs()
    except NoServer as error:
        return str(error)
    return no_broker()
