"""Statements at driver level: the hottest ones, where building an expression a window would cost as much as the window."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, CursorResult
from sqlalchemy.exc import OperationalError

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
