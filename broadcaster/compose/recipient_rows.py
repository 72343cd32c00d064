"""The rows of a file as recipients: headers found, cells understood, doubles folded, problems named by row and column."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, NamedTuple

from broadcaster.compose import cells
from broadcaster.compose.cells import CellProblem
from broadcaster.compose.columns import columns
from broadcaster.compose.new_recipients import NewRecipient
from broadcaster.compose.place_names import PlaceNames
from broadcaster.compose.spreadsheets import Table

HEADER_WITHIN = 10  # a title and a remark may stand above the headers
ERRORS = 10_000  # named one by one; a file with more has one mistake many times
DOUBLES = 1_000


@dataclass(frozen=True, slots=True)
class RowError:
    """What is wrong in a row. `row` as a person sees it in the spreadsheet; `column` the header as found, '' of the row."""

    row: int
    column: str
    code: str
    message: str


@dataclass(slots=True)
class Report:
    """What a file holds. rows = accepted + duplicates + rejected; blank rows are none.

    accepted: rows that are or become recipients. duplicates: rows whose phone an earlier row has; `doubles` names the first of
    them as (row, earlier row). `errors` holds at most 10,000; `rejected` counts every rejected row. stored: it was imported.
    """

    rows: int = 0
    accepted: int = 0
    duplicates: int = 0
    rejected: int = 0
    columns: dict[str, str] = field(default_factory=dict)
    errors: list[RowError] = field(default_factory=list)
    doubles: list[tuple[int, int]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    stored: bool = False

    def counts(self) -> dict[str, int]:
        """The four numbers."""
        return {
            "rows": self.rows,
            "accepted": self.accepted,
            "duplicates": self.duplicates,
            "rejected": self.rejected,
        }

    def as_json(self) -> dict[str, object]:
        """The answer of `recipients check` and `recipients import`."""
        return {
            **self.counts(),
            "columns": self.columns,
            "errors": [{"row": e.row, "column": e.column, "code": e.code, "message": e.message} for e in self.errors],
            "duplicate_rows": [{"row": row, "same_as": first} for row, first in self.doubles],
            "notes": self.notes,
            "stored": self.stored,
        }


class _Understood(dict[str, object]):
    """What texts of a column mean. One that stood there before is not understood a second time."""

    def __init__(self, read: Callable[[str], object]) -> None:
        super().__init__()
        self._read = read

    def __missing__(self, text: str) -> object:
        value = self[text] = self._read(text)
        return value


class _Column(NamedTuple):
    """One of our columns in the file. `read` raises CellProblem."""

    field: str
    position: int
    header: str
    read: Callable[[str], object]


def _name(text: str) -> str | None:
    return " ".join(text.split()) or None


class RowReader:
    """Reads a table once. `report` is whole when `recipients` has ended.

    Of rows with the same phone the first counts. A later one still puts the person into its groups, and its premises are kept
    (`more_premises`, `more_groups`), but a recipient stands for one premises only: a note says how many were left over.
    """

    def __init__(self, table: Table, names: PlaceNames, zone: str) -> None:
        self.report = Report(notes=list(table.notes))
        self.more_premises: dict[tuple[str, str], str | None] = {}
        self.more_groups: list[tuple[str, str]] = []
        self._rows = enumerate(table.rows, 1)
        self._hidden = table.hidden
        self._names = names
        self._zone = zone
        self._columns: list[_Column] = []
        self._seen: dict[str, int] = {}
        self._bare_categories = 0

    def recipients(self) -> Iterator[NewRecipient]:
        """The accepted rows, in order. What is rejected, folded or noted goes to the report."""
        if self._find_headers():
            for number, row in self._rows:
                if any(row) and (made := self._recipient(number, row)):
                    yield made
        self._note_what_was_left()

    def _find_headers(self) -> bool:
        blank = True
        for number, row in islice(self._rows, HEADER_WITHIN):
            found = columns(row)
            if "phone" in found:
                self._take_headers(row, found)
                return self._place_known(number)
            blank = blank and not any(row)
            self.report.rows += any(row)
        self.report.rows = max(0, self.report.rows + sum(any(row) for _, row in self._rows) - 1)
        if not blank:
            message = f"no column of phones in the first {HEADER_WITHIN} rows; name one 手机, phone or 휴대폰"
            self._refuse_all(1, message)
        return False

    def _take_headers(self, row: Sequence[str], found: dict[str, int]) -> None:
        readers: dict[str, Callable[[str], object]] = {
            "phone": cells.phone,
            "name": _name,
            "premises": _name,
            "category": cells.category,
            "place": self._names.code,
            "language": cells.languages,
            "groups": cells.groups,
            "consent_at": lambda text: cells.moment(text, self._zone),
        }
        headers = [" ".join(header.split()) for header in row]
        for field_, at in found.items():
            read = readers[field_]
            often_the_same = field_ not in {"phone", "name"}
            read = _Understood(read).__getitem__ if often_the_same else read
            self._columns.append(_Column(field_, at, headers[at], read))
        self.report.columns = {column.header: column.field for column in self._columns}
        unused = [header for at, header in enumerate(headers) if header and at not in found.values()]
        if unused:
            self.report.notes.append(f"columns not used: {', '.join(unused)}")
        self.report.rows = 0

    def _place_known(self, number: int) -> bool:
        if "place" in self.report.columns.values():
            return True
        root = self._names.root
        if root is None:
            self.report.rows = sum(any(row) for _, row in self._rows)
            self._refuse_all(number, "no column of places; name one 地区代码, area_code or 지역코드")
            return False
        self.report.notes.append(
            f"no column of places: new recipients stand at {self._names.path(root)}, and are selected only with the whole of it"
        )
        return True

    def _refuse_all(self, number: int, message: str) -> None:
        self.report.rejected = self.report.rows
        self.report.errors.append(RowError(number, "", "column-missing", message))

    def _recipient(self, number: int, row: Sequence[str]) -> NewRecipient | None:
        report = self.report
        report.rows += 1
        values: dict[str, Any] = {}
        problems: list[RowError] = []
        if number in self._hidden:
            message = "the row is hidden in the spreadsheet; show it or delete it"
            problems.append(RowError(number, "", "row-hidden", message))
        width = len(row)
        for name, position, header, read in self._columns:
            try:
                values[name] = read(row[position] if position < width else "")
            except CellProblem as problem:
                problems.append(RowError(number, header, problem.code, problem.message))
        if problems:
            self._reject(row, problems)
            return None
        first = self._seen.setdefault(values["phone"], number)
        if first != number:
            self._fold(number, first, values)
            return None
        report.accepted += 1
        return self._made(values)

    def _reject(self, row: Sequence[str], problems: list[RowError]) -> None:
        if not any(cell.strip() for cell in row):
            self.report.rows -= 1  # a row of blanks is a blank row
            return
        self.report.rejected += 1
        self.report.errors += problems[: ERRORS - len(self.report.errors)]

    def _made(self, values: dict[str, Any]) -> NewRecipient:
        get = values.get
        if get("category") and not get("premises"):
            self._bare_categories += 1
        return NewRecipient(
            "sms",
            f"tel:{values['phone']}",
            get("place") or self._names.root or "",
            name=get("name"),
            languages=get("language"),
            premises=get("premises"),
            premises_category=get("category"),
            groups=get("groups", ()),
            consent_at=get("consent_at"),
            place_given="place" in values,
        )

    def _fold(self, number: int, first: int, values: dict[str, Any]) -> None:
        self.report.duplicates += 1
        if len(self.report.doubles) < DOUBLES:
            self.report.doubles.append((number, first))
        made = self._made(values)
        self.more_groups += [(group, made.address) for group in made.groups]
        if made.premises:
            key = (made.premises, made.place)
            self.more_premises[key] = self.more_premises.get(key) or made.premises_category

    def _note_what_was_left(self) -> None:
        notes = self.report.notes
        if self.more_premises:
            notes.append(
                f"{len(self.more_premises)} premises are named with a phone that stands for other premises already, or again: "
                "they are kept, but messages to that phone count for its first premises"
            )
        if self._bare_categories:
            notes.append(f"{self._bare_categories} rows have a category but no premises: it is not kept")
        if len(self.report.errors) >= ERRORS:
            notes.append(f"only the first {ERRORS:,} errors are listed")
