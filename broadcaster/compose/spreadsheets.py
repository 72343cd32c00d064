"""Files of rows, whoever wrote them: CSV, TSV and text tables here, XLSX, XLS and ODS through a child process.

What a file is, is told from its bytes, never from its name. Text is UTF-8 (with or without BOM), UTF-16 with BOM, or GB18030,
the default of Chinese Excel. Limits: 100 MB, 1,000,000 rows, 64 columns, 1,024 characters a cell; of spreadsheets also
what spreadsheet_child.py says. Raises BadInput with codes file-*.
"""

import codecs
import csv
import io
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from broadcaster.compose import spreadsheet_child as child
from broadcaster.model import BadInput

BYTES = 100 * 1024**2
ZIP = b"PK\x03\x04"
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
DELIMITERS = ",\t;，|"


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text from the first line of the sheet on: the n-th is row n of what a person sees.

    `expected` rows at most, for a progress bar. `hidden` row numbers that the person does not see.
    """

    rows: Iterator[list[str]]
    expected: int
    hidden: frozenset[int] = frozenset()
    notes: Sequence[str] = ()


@contextmanager
def open_table(path: Path) -> Iterator[Table]:
    """The rows of a file, read as they are asked for. Raises BadInput file-missing, file-size, file-kind, file-encoding and
    the child's codes, some of them only while rows are read."""
    start = _start_of(path)
    try:
        if start.startswith((ZIP, OLE)):
            with _spreadsheet(path) as table:
                yield table
        else:
            with _text(path, start) as table:
                yield table
    except child.RefusedFileError as error:
        raise BadInput(error.code, f"{path.name}: {error}") from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise BadInput("file-kind", f"{path.name} cannot be read as a table: {error}") from error


def _start_of(path: Path) -> bytes:
    try:
        size = path.stat().st_size
        if size > BYTES:
            raise BadInput("file-size", f"{path.name} has {size:,} bytes; at most {BYTES:,}")
        with path.open("rb") as file:
            start = file.read(4096)
    except OSError as error:
        raise BadInput("file-missing", f"{path}: {error.strerror}") from error
    if not start.strip():
        raise BadInput("file-empty", f"{path.name} is empty")
    return start


@contextmanager
def _text(path: Path, start: bytes) -> Iterator[Table]:
    if start.lstrip(b"\xef\xbb\xbf \r\n\t").startswith((b"<", b"{", b"%PDF")):
        raise BadInput("file-kind", f"{path.name} is a web page or a document; save it as XLSX or CSV")
    encoding, lines = _encoding(path, start)
    with path.open(encoding=encoding, newline="") as file:
        delimiter = _delimiter(file.read(8192))
        file.seek(0)
        yield Table(child.within_limits(csv.reader(file, delimiter=delimiter)), lines)


def _encoding(path: Path, start: bytes) -> tuple[str, int]:
    """The encoding that fits the whole file, and how many lines it has. UTF-8 first: GB18030 text is hardly ever valid UTF-8."""
    wide = start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    for encoding in ("utf-16",) if wide else ("utf-8-sig", "gb18030"):
        lines = _lines_in(path, encoding)
        if lines is not None:
            return encoding, lines
    raise BadInput("file-encoding", f"{path.name} is neither UTF-8 nor GB18030 text; save it as CSV UTF-8 or XLSX")


def _lines_in(path: Path, encoding: str) -> int | None:
    decoder = codecs.getincrementaldecoder(encoding)()
    lines = 1
    try:
        with path.open("rb") as file:
            while data := file.read(child.PORTION):
                text = decoder.decode(data)
                lines += text.count("\n")
                if "\0" in text:
                    raise BadInput("file-kind", f"{path.name} is not text, nor a spreadsheet that can be read")
            decoder.decode(b"", True)
    except UnicodeDecodeError:
        return None
    return lines


def _delimiter(text: str) -> str:
    """The sign that stands equally often in the most lines: a title above the table may have one of its own."""

    def agreeing(sign: str) -> int:
        counts = Counter(n for line in text.splitlines() if (n := line.count(sign)))
        return max(counts.values(), default=0)

    return max(DELIMITERS, key=agreeing)


@contextmanager
def _spreadsheet(path: Path) -> Iterator[Table]:
    # The child is given our import path and nothing of our environment: -I ignores variables and the working folder.
    command = [sys.executable, "-I", child.__file__, str(path.absolute()), os.pathsep.join(sys.path)]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        out = io.TextIOWrapper(process.stdout, encoding="utf-8", newline="")
        try:
            head = out.readline()
            if not head:
                raise _refusal(process, path)
            about = json.loads(head)
            rows = _until_death(out, process, path)
            yield Table(rows, int(about["rows"]), frozenset(about["hidden"]), tuple(about["notes"]))
        finally:
            process.kill()


def _until_death(out: io.TextIOWrapper, process: "subprocess.Popen[bytes]", path: Path) -> Iterator[list[str]]:
    """The child's rows; an end that is not its own is an error, never a shorter list."""
    yield from child.within_limits(csv.reader(out))
    if process.wait() != 0:
        raise _refusal(process, path)


def _refusal(process: "subprocess.Popen[bytes]", path: Path) -> BadInput:
    assert process.stderr is not None
    told = process.stderr.read().decode("utf-8", "replace").strip().splitlines()
    try:
        said = json.loads(told[-1])
        return BadInput(str(said["code"]), f"{path.name}: {said['message']}")
    except (IndexError, ValueError, KeyError, TypeError):
        process.wait()
        message = f"{path.name}: reading it takes more memory or time than a list of recipients needs"
        return BadInput("file-too-hard", message)
