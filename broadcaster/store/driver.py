"""Statements at driver level: the hottest ones, where building an expression a window would cost as much as the window."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, CursorResult


@lru_cache(maxsize=256)
def _for_dialect(statement: str, dialect: str) -> str:
    return statement if dialect == "sqlite" else statement.replace("%", "%%").replace("?", "%s")


def run(conn: Connection, statement: str, *values: Any) -> CursorResult[*tuple[Any, ...]]:
    """One statement with `?` in place of values, on either database. No literal question mark may stand in it."""
    return conn.exec_driver_sql(_for_dialect(statement, conn.dialect.name), values)


def run_many(conn: Connection, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """The statement once per row, in bulk. Nothing happens for no rows."""
    if rows:
        conn.exec_driver_sql(_for_dialect(statement, conn.dialect.name), list(rows))


def locking(conn: Connection, statement: str, lock: str) -> str:
    """The statement with a row lock where the database has them; SQLite's writers hold the whole file already."""
    return statement if conn.dialect.name == "sqlite" else f"{statement} {lock}"
