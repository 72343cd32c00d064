"""Places and units: loading the tree, looking in it, and whose place it is.

The shipped file is Jilin (china-division 2.7.0; its head names source, date and licence); scripts/make-places makes one for
any province. Nobody's population is in that source: it stays unknown until figures are imported under a source's name.
"""

import gzip
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from sqlalchemy import Connection

from broadcaster.installation import Installation
from broadcaster.model import BadInput, NotFound
from broadcaster.store import places as stored
from broadcaster.store.places import PlaceRow as Place

DATA = Path(__file__).parent / "data"
SHIPPED_PLACES = DATA / "places-22.tsv.gz"
SHIPPED_UNITS = DATA / "units.toml"
WIDTHS = (2, 4, 6, 9, 12)  # digits that mean something, by level 1 to 5


def prefix_of(code: str) -> str:
    """The digits of a code that mean something: 220100000000 -> 2201. What lies under it begins with them."""
    return next(code[:width] for width in WIDTHS if not code[width:].strip("0"))


def level_of(code: str) -> int:
    """1 province, 2 prefecture, 3 county, 4 township, 5 village."""
    return WIDTHS.index(len(prefix_of(code))) + 1


def county_of(code: str) -> str:
    """The county a place lies in; a place above the counties is given back as it is."""
    return code[:6] + "000000"


def _lines(file: Path) -> Iterator[tuple[int, str]]:
    opener: Callable[..., IO[str]] = gzip.open if file.suffix == ".gz" else open
    with opener(file, "rt", encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if not line.startswith("#") and line.strip():
                yield number, line.rstrip("\r\n")


def read_places(file: Path | None = None) -> list[Place]:
    """The places of a file that scripts/make-places made. The one above is the nearest that the file has.

    Raises BadInput places-file with the line that is wrong.
    """
    source = file or SHIPPED_PLACES
    found: dict[str, str] = {}
    try:
        for number, line in _lines(source):
            code, tab, name = line.partition("\t")
            if not (tab and name and len(code) == 12 and code.isascii() and code.isdigit()):
                raise BadInput("places-file", f"{source.name} line {number}: not a 12-digit code, a tab and a name")
            found[code] = name
    except (OSError, UnicodeDecodeError, EOFError) as error:
        raise BadInput("places-file", f"{source}: {error}") from error
    return [Place(code, found[code], level_of(code), _above(code, found)) for code in sorted(found)]


def _above(code: str, known: Mapping[str, str]) -> str | None:
    for width in reversed(WIDTHS[: level_of(code) - 1]):
        above = code[:width].ljust(12, "0")
        if above in known:
            return above
    return None


def load_places(inst: Installation, file: Path | None = None) -> int:
    """Brings the tree to a file's state (Jilin where none is named) and returns how many places it has. Idempotent.

    A place that the file no longer has is kept: recipients and old counts stand there. Raises BadInput places-file.
    """
    rows = read_places(file)
    with inst.store.write() as conn:
        stored.put_places(conn, rows)
    return len(rows)


def set_populations(inst: Installation, rows: Iterable[tuple[str, int]], source: str) -> None:
    """Estimated people per place code. `source` is shown beside every figure that rests on them."""
    if not source.strip():
        raise BadInput("population-source", "say where the figures come from")
    with inst.store.write() as conn:
        stored.put_populations(conn, rows, source)


def place(inst: Installation, code: str) -> Place:
    """One place. Raises NotFound place-unknown."""
    with inst.store.read() as conn:
        found = stored.place(conn, code)
    if found is None:
        raise NotFound("place-unknown", f"there is no place {code}")
    return found


def children(inst: Installation, code: str | None = None) -> list[Place]:
    """The places directly under one, in order of code; without one: the provinces."""
    with inst.store.read() as conn:
        return stored.children(conn, code)


def search(inst: Installation, words: str, limit: int = 20) -> list[Place]:
    """Places by the beginning of their code, or by name: the last word in theirs, the others in names above. Highest first."""
    parts = words.split()
    if not parts:
        return []
    with inst.store.read() as conn:
        if len(parts) == 1 and parts[0].isascii() and parts[0].isdigit():
            return stored.search_codes(conn, parts[0], limit)
        return stored.search_names(conn, parts[-1], parts[:-1], limit)


class UnitResolver:
    """Whose place it is, from memory: the unit with the longest code that the place lies under."""

    def __init__(self, pairs: Iterable[tuple[str, int]]) -> None:
        self._units = dict(pairs)
        self._widths = sorted({len(prefix) for prefix in self._units}, reverse=True)

    def unit_id(self, place: str) -> int | None:
        """Id of the unit of a 12-digit code; None where no unit has it."""
        return next((self._units[place[:w]] for w in self._widths if place[:w] in self._units), None)


def unit_of_places(conn: Connection) -> UnitResolver:
    """The resolver over the units as they are now."""
    return UnitResolver(stored.unit_places(conn))


@dataclass(frozen=True, slots=True)
class _Unit:
    code: str
    name: str
    parent: str | None
    places: tuple[str, ...]


def _read_units(file: Path) -> tuple[list[_Unit], str]:
    try:
        told: dict[str, Any] = tomllib.loads(file.read_text(encoding="utf-8"))
        units = [_Unit(u["code"], u["name"], u.get("parent"), tuple(u["places"])) for u in told["unit"]]
        return units, str(told.get("county_team", ""))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput("units-file", f"{file}: {error!r}") from error


def load_units(inst: Installation, file: Path | None = None) -> int:
    """Brings the units to a TOML file's state and returns how many there are. Idempotent; call it after load_places.

    Where the file gives `county_team`, every county under a listed unit gets a team of that name below the unit whose place
    it is. Raises BadInput units-file.
    """
    units, team = _read_units(file or SHIPPED_UNITS)
    with inst.store.write() as conn:
        teams = _teams(conn, units, team) if team else []
        for unit in (*units, *teams):
            stored.put_unit(conn, unit.code, unit.name, unit.parent, unit.places)
    return len(units) + len(teams)


def _teams(conn: Connection, units: list[_Unit], name: str) -> list[_Unit]:
    owner = UnitResolver((prefix, n) for n, unit in enumerate(units) for prefix in unit.places)
    teams = []
    for county in stored.of_level(conn, 3):
        above = owner.unit_id(county.code)
        if above is not None:
            code = prefix_of(county.code)
            teams.append(_Unit(code, name.format(county=county.name), units[above].code, (code,)))
    return teams
