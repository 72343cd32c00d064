"""What a verb prints: one JSON object for scripts, tables for people. Progress and talk go to stderr."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

Progress = Callable[[int, int], None]


def as_json(value: object) -> str:
    """One line of JSON; a lone surrogate, which no encoding carries, stays escaped."""
    written = json.dumps(value, ensure_ascii=False, default=str)
    try:
        written.encode()
    except UnicodeEncodeError:
        return json.dumps(value, default=str)
    return written


def emit(value: object) -> None:
    """The answer of a verb with --json, or one of its lines with --jsonl."""
    sys.stdout.write(as_json(value) + "\n")
    sys.stdout.flush()


def say(line: str) -> None:
    """To the person at the terminal, never into the answer."""
    print(line, file=sys.stderr, flush=True)


def plain(value: object) -> str:
    """A value as a person reads it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.2f}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {plain(each)}" for key, each in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(plain(each) for each in value)
    return "" if value is None else str(value)


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], title: str | None = None) -> None:
    """A table on a terminal, tab-separated lines elsewhere; figures to the right."""
    listed = [[each if isinstance(each, str) else plain(each) for each in row] for row in rows]
    if not sys.stdout.isatty():
        for row in ([*columns], *listed):
            print("\t".join(row))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    made = Table(title=title)
    for i, column in enumerate(columns):
        cells = [row[i].replace(",", "").replace(".", "") for row in listed]
        figures = any(cells) and all(cell.isdigit() for cell in cells if cell)
        made.add_column(column, justify="right" if figures else "left", overflow="fold")
    for row in listed:
        made.add_row(*(Text(cell) for cell in row))  # Text: square brackets in a name are not markup
    Console().print(made)


def pairs(values: Mapping[str, object], title: str | None = None) -> None:
    """One mapping, a line per key; a mapping of mappings becomes a table by itself."""
    table(("what", "value"), [(key, plain(value)) for key, value in values.items()], title)


def answer(value: Mapping[str, Any], as_object: bool, human: Callable[[], None] | None = None) -> None:
    """The object with --json, else `human` or the pairs."""
    if as_object:
        emit(value)
    elif human:
        human()
    else:
        pairs(value)


@contextmanager
def progress(label: str) -> Iterator[Progress]:
    """A bar on stderr where that is a terminal: call it with (done, total), total 0 where it is not known."""
    if not sys.stderr.isatty():
        yield _unseen
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Bar(*columns, console=Console(stderr=True), transient=False) as bar:
        task = bar.add_task(label, total=None)

        def tell(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total or None)

        yield tell


def _unseen(_done: int, _total: int) -> None:
    pass
