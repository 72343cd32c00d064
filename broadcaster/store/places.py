"""Places and units as they lie in the database."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from broadcaster.store.driver import run, run_many


class PlaceRow(NamedTuple):
    """An administrative division. Level: 1 province, 2 prefecture, 3 county, 4 township, 5 village."""

    code: str
    name: str
    level: int
    parent: str | None
    population: int | None = None
    population_source: str | None = None


COLUMNS = "code, name, level, parent, population, population_source"


def put_places(conn: Connection, rows: Sequence[PlaceRow]) -> None:
    """Adds places, or renames those that are there. A population that was imported is kept."""
    run_many(
        conn,
        "INSERT INTO place (code, name, level, parent) VALUES (?, ?, ?, ?) ON CONFLICT (code) DO UPDATE "
        "SET name = excluded.name, level = excluded.level, parent = excluded.parent",
        [row[:4] for row in rows],
    )


def put_populations(conn: Connection, rows: Iterable[tuple[str, int]], source: str) -> None:
    """Estimated people per place code, and where the figures come from."""
    run_many(
        conn,
        "UPDATE place SET population = ?, population_source = ? WHERE code = ?",
        [(people, source, code) for code, people in rows],
    )


def place(conn: Connection, code: str) -> PlaceRow | None:
    """One place; None where there is none."""
    row = run(conn, f"SELECT {COLUMNS} FROM place WHERE code = ?", code).first()
    return PlaceRow._make(row) if row else None


def children(conn: Connection, code: str | None) -> list[PlaceRow]:
    """The places directly under one, in order of code; of None: the provinces."""
    if code is None:
        rows = run(conn, f"SELECT {COLUMNS} FROM place WHERE level = 1 ORDER BY code")
    else:
        rows = run(conn, f"SELECT {COLUMNS} FROM place WHERE parent = ? ORDER BY code", code)
    return [PlaceRow._make(row) for row in rows]


def every_place(conn: Connection) -> list[PlaceRow]:
    """The whole tree in order of code: a parent stands before its children."""
    return [PlaceRow._make(row) for row in run(conn, f"SELECT {COLUMNS} FROM place ORDER BY code")]


def of_level(conn: Connection, level: int) -> list[PlaceRow]:
    """Every place of a level, in order of code."""
    rows = run(conn, f"SELECT {COLUMNS} FROM place WHERE level = ? ORDER BY code", level)
    return [PlaceRow._make(row) for row in rows]


def search_codes(conn: Connection, digits: str, limit: int) -> list[PlaceRow]:
    """Places whose code begins with the digits; the highest first."""
    rows = run(
        conn,
        f"SELECT {COLUMNS} FROM place WHERE code BETWEEN ? AND ? ORDER BY level, code LIMIT ?",
        *(digits.ljust(12, "0"), digits.ljust(12, "9"), limit),
    )
    return [PlaceRow._make(row) for row in rows]


_ABOVE = (
    " AND EXISTS (SELECT 1 FROM place a WHERE a.code IN (substr(p.code, 1, 2) || '0000000000', "
    "substr(p.code, 1, 4) || '00000000', substr(p.code, 1, 6) || '000000', substr(p.code, 1, 9) || '000') "
    "AND a.code <> p.code AND a.name LIKE ? ESCAPE '!')"
)


def search_names(conn: Connection, word: str, above: Sequence[str], limit: int) -> list[PlaceRow]:
    """Places with the word in their name and every other word in a name above them; the highest first."""
    rows = run(
        conn,
        f"SELECT {COLUMNS} FROM place p WHERE p.name LIKE ? ESCAPE '!'"
        f"{_ABOVE * len(above)} ORDER BY p.level, p.code LIMIT ?",
        *(_within(word), *map(_within, above), limit),
    )
    return [PlaceRow._make(row) for row in rows]


def _within(word: str) -> str:
    return "%" + word.replace("!", "!!").replace("%", "!%").replace("_", "!_") + "%"


def unknown_places(conn: Connection, codes: Iterable[str]) -> list[str]:
    """Those of the 12-digit codes that no place has."""
    return [code for code in codes if run(conn, "SELECT 1 FROM place WHERE code = ?", code).first() is None]


def counts_by_level(conn: Connection) -> dict[int, int]:
    """How many places there are of each level."""
    return {int(level): int(n) for level, n in run(conn, "SELECT level, count(*) FROM place GROUP BY level")}


def put_unit(conn: Connection, code: str, name: str, parent: str | None, prefixes: Sequence[str]) -> int:
    """Adds a unit or renames it; its places are exactly these afterwards. Returns its id."""
    parent_id = None if parent is None else run(conn, "SELECT id FROM unit WHERE code = ?", parent).scalar_one()
    unit = int(
        run(
            conn,
            "INSERT INTO unit (code, name, parent_id) VALUES (?, ?, ?) ON CONFLICT (code) DO UPDATE "
            "SET name = excluded.name, parent_id = excluded.parent_id RETURNING id",
            *(code, name, parent_id),
        ).scalar_one()
    )
    run(conn, "DELETE FROM unit_place WHERE unit_id = ?", unit)
    run_many(conn, "INSERT INTO unit_place (place, unit_id) VALUES (?, ?)", [(prefix, unit) for prefix in prefixes])
    return unit


def unit_places(conn: Connection) -> list[tuple[str, int]]:
    """Every (code or its meaningful prefix, unit id)."""
    return [(str(prefix), int(unit)) for prefix, unit in run(conn, "SELECT place, unit_id FROM unit_place")]


def unit_codes(conn: Connection) -> dict[int, str]:
    """Code of each unit by id."""
    return {int(unit): str(code) for unit, code in run(conn, "SELECT id, code FROM unit")}
