"""Statements at driver level: the hottest ones, where building an expression a window would cost as much as the window."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, CursorResult
from sqlalchemy.exc import DBAPIError, OperationalError

PORTION = 5_000  # rows fetched at once where there may be millions


@lru_cache(maxsize=256)
def _for_dialect(statement: str, dialect: str) -> str:
    return statement if dialect == "sqlite" else statement.replace("%", "%%").replace("?", "%s")


def run(conn: Connection, statement: str, *values: Any) -> CursorResult[*tuple[Any, ...]]:
    """One statement with `?` in place of values, on either database. No literal question mark may stand in it."""
    return conn.exec_driver_sql(_for_dialect(statement, conn.dialect.name), values)


def stream(conn: Connection, statement: str, *values: Any) -> CursorResult[*tuple[Any, ...]]:
    """The same for what may be millions of rows: PostgreSQL hands them over in portions, as SQLite does by itself."""
    options = {"stream_results": True, "yield_per": PORTION}
    return conn.exec_driver_sql(_for_dialect(statement, conn.dialect.name), values, execution_options=options)


def run_many(conn: Connection, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """The statement once per row, in bulk. Nothing happens for no rows."""
    if rows:
        conn.exec_driver_sql(_for_dialect(statement, conn.dialect.name), list(rows))


@dataclass(frozen=True, slots=True)
class Ask:
    """One statement with `?` in place of values, to be sent together with others."""

    statement: str
    values: tuple[Any, ...]


def together(conn: Connection, asked: Sequence[Ask]) -> list[list[Any]]:
    """The rows of statements of which none needs the answer of another; none for what returns no rows.

    They run one after another, each seeing what the one before it left, as if they had been sent alone. PostgreSQL gets them in
    one message: a window is a dozen statements, and waiting for each answer costs more than the work.
    """
    if conn.dialect.name == "sqlite":
        results = [run(conn, ask.statement, *ask.values) for ask in asked]
        return [list(result.all()) if result.returns_rows else [] for result in results]
    return _pipelined(conn, asked)


AT_END = "broadcaster.at_end"


def at_end(conn: Connection, ask: Ask) -> None:
    """A statement whose answer nobody needs, last in its transaction: PostgreSQL gets it in one message with the COMMIT."""
    if conn.dialect.name == "sqlite":
        run(conn, ask.statement, *ask.values)
    else:
        conn.info.setdefault(AT_END, []).append(ask)


def finish(conn: Connection) -> None:
    """Sends what was kept for the end, and the COMMIT behind it. SQLAlchemy's own then finds nothing open and sends nothing."""
    if kept := conn.info.pop(AT_END, None):
        _pipelined(conn, kept, commit=True)


def _pipelined(conn: Connection, asked: Sequence[Ask], commit: bool = False) -> list[list[Any]]:
    driver: Any = conn.connection.driver_connection
    try:
        with driver.pipeline():
            cursors = [driver.execute(_for_dialect(ask.statement, "postgresql"), ask.values) for ask in asked]
            if commit:
                driver.commit()
        return [cursor.fetchall() if cursor.description else [] for cursor in cursors]
    except conn.dialect.dbapi.Error as error:  # type: ignore[union-attr]
        raise _as_ours(conn, driver, error) from error


def _as_ours(conn: Connection, driver: Any, error: Any) -> BaseException:
    """It went past SQLAlchemy, whose errors the store tells apart, and which must not give out a connection that is broken."""
    gone = conn.dialect.is_disconnect(error, driver, None)
    if gone:
        conn.invalidate(error)
    base: Any = conn.dialect.dbapi.Error  # type: ignore[union-attr]
    made: BaseException = DBAPIError.instance(
        "statements sent together", None, error, base, connection_invalidated=gone, dialect=conn.dialect
    )
    return made


def locking(conn: Connection, statement: str, lock: str) -> str:
    """The statement with a row lock where the database has them; SQLite's writers hold the whole file already."""
    return statement if conn.dialect.name == "sqlite" else f"{statement} {lock}"


def columns(rows: Sequence[Sequence[Any]], width: int) -> list[list[Any]]:
    """Rows as one list a column: what unnest() of PostgreSQL takes."""
    return [[row[at] for row in rows] for at in range(width)]


def copy_rows(conn: Connection, table: str, columns: str, rows: Iterable[Sequence[Any]]) -> None:
    """Rows into a table of PostgreSQL by COPY, in the transaction that is open: four times as fast as executemany."""
    driver: Any = conn.connection.driver_connection
    try:
        with driver.cursor() as cursor, cursor.copy(f"COPY {table} ({columns}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
    except conn.dialect.dbapi.OperationalError as error:  # type: ignore[union-attr]
        # It went past SQLAlchemy, whose errors the store tells apart.
        raise OperationalError(f"COPY {table}", None, error) from error
