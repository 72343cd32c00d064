"""Reads one XLSX, XLS or ODS in a process of its own, which may die of the file: `spreadsheet_child.py FILE IMPORT_PATH`.

It takes limits on memory and processor time before it looks at the file, imports nothing of ours, and never evaluates a
formula: the reader takes the value that the spreadsheet program stored. Standard output: one line of JSON (notes, hidden
rows, rows), then the rows as CSV. On refusal: exit 3 and {"code", "message"} on standard error.
Hidden sheets are left out and hidden rows of an XLSX named; hidden rows of XLS and ODS cannot be told from others.
"""

import csv
import json
import os
import re
import resource
import sys
import zipfile
import zlib
from collections.abc import Iterator
from datetime import date, datetime, time
from pathlib import Path
from typing import Any, BinaryIO

MEMORY = 2 * 1024**3  # bytes of address space; a sheet of 1,000,000 rows and 8 columns takes 0.85 GB
SECONDS = 60
MEMBERS = 100
RATIO = 100
UNPACKED = 768 * 1024**2
SMALL = 1024**2  # a member of less cannot be a bomb, however well it packs
ROWS = 1_000_000
COLUMNS = 64
CELL = 1024
MERGES = 10_000
PORTION = 1024**2


class RefusedFileError(Exception):
    """The file is not read; code and message for the person."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def limit() -> None:
    """From here on the process can harm nobody but itself."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def check_archive(file: BinaryIO) -> None:
    """Names, number and sizes of a zip's members: as declared, and then as they really unpack."""
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
    if len(members) > MEMBERS:
        raise RefusedFileError("file-members", f"{len(members)} parts inside; a spreadsheet has at most {MEMBERS}")
    for member in members:
        _check_member(member)
    if sum(member.file_size for member in members) > UNPACKED:
        raise RefusedFileError("file-bomb", f"would unpack to more than {UNPACKED // 1024**2} MB")
    left = UNPACKED
    for member in members:
        left -= _unpacked(file, member, left)


def _check_member(member: zipfile.ZipInfo) -> None:
    name = member.filename
    parts = name.replace("\\", "/").split("/")
    if ".." in parts or name.startswith(("/", "\\")) or ":" in name:
        raise RefusedFileError("file-names", "a part inside has a name that leads outside the file")
    if name.lower().endswith((".zip", ".xlsx", ".xlsm", ".xlsb", ".ods", ".xls", ".gz", ".7z", ".rar")):
        raise RefusedFileError("file-nested", "there is another archive inside")
    if member.flag_bits & 1 or member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise RefusedFileError("file-packing", "a part is encrypted or packed in a way that spreadsheets do not use")
    if member.file_size > SMALL and member.file_size > RATIO * max(member.compress_size, 1):
        raise RefusedFileError("file-bomb", f"a part unpacks to more than {RATIO} times its size")


def _unpacked(file: BinaryIO, member: zipfile.ZipInfo, most: int) -> int:
    """Bytes that a member really unpacks to. The header may lie, and zipfile would stop where the header says."""
    file.seek(member.header_offset + 26)
    lengths = file.read(4)
    file.seek(int.from_bytes(lengths[:2], "little") + int.from_bytes(lengths[2:], "little"), os.SEEK_CUR)
    left, size, heart = member.compress_size, 0, zlib.decompressobj(-15)
    while left > 0 and (data := file.read(min(left, PORTION))):
        left -= len(data)
        while data:
            got = data if member.compress_type == zipfile.ZIP_STORED else heart.decompress(data, PORTION)
            data = b"" if member.compress_type == zipfile.ZIP_STORED else heart.unconsumed_tail
            size += len(got)
            if size > most or size > member.file_size:
                raise RefusedFileError("file-bomb", "a part unpacks to more than its header says")
    return size


_HIDDEN = re.compile(rb"<(?:\w+:)?row\b[^>]*?\bhidden=\"(?:1|true)\"[^>]*>")
_NUMBER = re.compile(rb"\br=\"(\d+)\"")
_ATTRIBUTE = r"\b{}=\"([^\"]*)\""


def hidden_rows(path: Path, sheet: str) -> list[int]:
    """Row numbers that the sheet of an XLSX hides, by hand or by a filter. Nothing for other kinds of file."""
    found: list[int] = []
    with zipfile.ZipFile(path) as archive:
        part = _part_of(archive, sheet)
        if part is None:
            return found
        with archive.open(part) as stream:
            rest = b""
            while data := stream.read(PORTION):
                rest += data
                for tag in _HIDDEN.finditer(rest):
                    found += [int(number) for number in _NUMBER.findall(tag.group())[:1]]
                tail = rest[rest.rfind(b"<") :]
                rest = b"" if b">" in tail else tail
    return found


def _part_of(archive: zipfile.ZipFile, sheet: str) -> str | None:
    if "xl/workbook.xml" not in archive.namelist():
        return None
    book = archive.read("xl/workbook.xml").decode("utf-8", "replace")
    links = archive.read("xl/_rels/workbook.xml.rels").decode("utf-8", "replace")
    wanted = {_attribute(tag, "r:id") for tag in re.findall(r"<(?:\w+:)?sheet\b[^>]*>", book) if _named(tag, sheet)}
    for tag in re.findall(r"<Relationship\b[^>]*>", links):
        if _attribute(tag, "Id") in wanted:
            target = _attribute(tag, "Target")
            return target.lstrip("/") if target.startswith("/") else f"xl/{target}"
    return None


def _attribute(tag: str, name: str) -> str:
    found = re.search(_ATTRIBUTE.format(re.escape(name)), tag)
    return found.group(1) if found else ""


def _named(tag: str, sheet: str) -> bool:
    written = _attribute(tag, "name")
    for mark, sign in (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&apos;", "'"), ("&amp;", "&")):
        written = written.replace(mark, sign)
    return written == sheet


def as_text(value: Any) -> str:
    """A cell as a person sees it, but whole: 1.3844112119E10 is stored exactly and keeps its digits."""
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
    if isinstance(value, datetime):
        return value.isoformat(" ", "seconds")
    return value.isoformat() if isinstance(value, date | time) else str(value)


Merge = tuple[tuple[int, int], tuple[int, int]]


def unfolded(rows: Iterator[list[Any]], merges: list[Merge], shift: int) -> Iterator[list[str]]:
    """Rows as text, each cell of a merged area with the value of its first. `shift` empty columns come first."""
    waiting = sorted(merges, reverse=True)
    open_: list[tuple[int, range, str]] = []
    for number, cells in enumerate(rows):
        row = [""] * shift + [as_text(cell) for cell in cells]
        while waiting and waiting[-1][0][0] <= number:
            (_, left), (last, right) = waiting.pop()
            columns = range(left, min(right + 1, len(row)))
            open_.append((last, columns, row[left] if left < len(row) else ""))
        open_ = [area for area in open_ if area[0] >= number]
        for _, columns, value in open_:
            for column in columns:
                row[column] = row[column] or value
        yield row


def within_limits(rows: Iterator[list[str]]) -> Iterator[list[str]]:
    """The rows, as long as they stay within what a list of recipients can need."""
    for number, row in enumerate(rows, 1):
        if number > ROWS:
            raise RefusedFileError("file-rows", f"more than {ROWS:,} rows; cut the file into several")
        if len(row) > COLUMNS and any(row[COLUMNS:]):
            raise RefusedFileError("file-columns", f"row {number} has more than {COLUMNS} columns")
        if row and max(map(len, row)) > CELL:
            raise RefusedFileError("file-cell", f"row {number} has a cell of more than {CELL} characters")
        yield row


def read(path: Path, out: Any) -> None:
    """The first visible sheet that holds something, written to `out`."""
    with path.open("rb") as file:
        packed = file.read(4) == b"PK\x03\x04"
        if packed:
            check_archive(file)
    import python_calamine as calamine

    book = calamine.CalamineWorkbook.from_path(str(path))
    notes: list[str] = []
    sheet = None
    for about in book.sheets_metadata:
        if about.typ != calamine.SheetTypeEnum.WorkSheet:
            continue
        if about.visible != calamine.SheetVisibleEnum.Visible:
            notes.append(f"sheet {about.name} is hidden and was not read")
        elif sheet is not None:
            notes.append(f"sheet {about.name} was not read: only the first is")
        elif (found := book.get_sheet_by_name(about.name)).height:
            sheet = found
    if sheet is None:
        raise RefusedFileError("file-empty", "there is no visible sheet with anything in it")
    _write(sheet, notes, hidden_rows(path, sheet.name) if packed else [], out)


def _write(sheet: Any, notes: list[str], hidden: list[int], out: Any) -> None:
    merges = list(sheet.merged_cell_ranges or [])
    if len(merges) > MERGES:
        raise RefusedFileError("file-merges", f"{len(merges)} merged areas; at most {MERGES:,}")
    out.write(json.dumps({"notes": notes, "hidden": hidden, "rows": sheet.end[0] + 1}) + "\n")
    shift = sheet.start[1] if sheet.start else 0
    csv.writer(out).writerows(within_limits(unfolded(sheet.iter_rows(), merges, shift)))


def main() -> int:
    """0 where the rows were written, 3 where the file is refused."""
    limit()
    sys.path[:] = sys.argv[2].split(os.pathsep)
    sys.stdout.reconfigure(encoding="utf-8", newline="")  # type: ignore[union-attr]
    try:
        read(Path(sys.argv[1]), sys.stdout)
        sys.stdout.flush()
    except RefusedFileError as error:
        told = {"code": error.code, "message": str(error)}
    except MemoryError:
        told = {"code": "file-too-hard", "message": "reading it takes more memory than a list of recipients needs"}
    except Exception as error:
        locked = type(error).__name__ == "PasswordError"
        told = (
            {"code": "file-password", "message": "it is protected by a password; save it without one"}
            if locked
            else {"code": "file-kind", "message": f"it cannot be read as a spreadsheet: {error}"}
        )
    else:
        return 0
    print(json.dumps(told), file=sys.stderr)
    return 3


if __name__ == "__main__":
    sys.exit(main())
