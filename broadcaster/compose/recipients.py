"""Recipients: files of phones with their premises and people, and devices and accounts that a program names.

A file is checked and imported by the same code, so that a check cannot promise what an import refuses.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sized
from itertools import islice
from pathlib import Path

from sqlalchemy import Connection

from broadcaster import audit
from broadcaster.compose.new_recipients import NewRecipient, Prepared, prepare, write
from broadcaster.compose.place_names import names_of, shipped_names
from broadcaster.compose.recipient_rows import Report, RowError, RowReader
from broadcaster.compose.spreadsheets import open_table
from broadcaster.installation import Installation
from broadcaster.store import recipients as stored

__all__ = ["NewRecipient", "Progress", "Report", "RowError", "add_recipients", "check", "groups", "import_file"]

Progress = Callable[[int, int], None]

# Rows that are sealed, and in add_recipients also committed, at a time: a quarter of a second of somebody else's write lock.
BATCH = 20_000
CHINA = "Asia/Shanghai"


def check(path: Path, inst: Installation | None = None, progress: Progress | None = None) -> Report:
    """What an import of the file would do. Nothing is stored. Places are looked up in the installation, else in the shipped tree.

    `progress(done, total)` in rows. Raises BadInput file-* for a file that cannot be read, places-missing.
    """
    names = shipped_names() if inst is None else names_of(inst)
    zone = CHINA if inst is None else inst.settings.timezone
    with open_table(path) as table:
        reader = RowReader(table, names, zone)
        for _ in _batches(reader.recipients()):
            if progress:
                progress(min(reader.report.rows, table.expected), table.expected)
    return reader.report


def import_file(
    inst: Installation, actor: str, path: Path, skip_rejected: bool = False, progress: Progress | None = None
) -> Report:
    """Stores a file's recipients, all in one transaction: one rejected row and nothing is stored, unless `skip_rejected`.

    A phone that is known already is changed, never doubled, and counts as accepted: name, premises, languages and consent by
    what the file says, what it leaves empty stays. It is active again; opt-outs are kept apart and stay. Groups only grow.
    `progress(done, total)`: a row is half done when it is read and done when it is stored. Raises BadInput file-*,
    places-missing. `actor` is a login; the audit entry holds counts, no numbers.
    """
    tick = _Halves(progress)
    batches: list[Prepared] = []
    names = names_of(inst)
    with open_table(path) as table:
        reader = RowReader(table, names, inst.settings.timezone)
        for batch in _batches(reader.recipients()):
            batches.append(prepare(inst, batch))
            tick.read(reader.report.rows, table.expected)
    report = reader.report
    if report.accepted and (skip_rejected or not report.rejected):
        with inst.store.write() as conn:
            added = _write_all(conn, [*batches, _left_over(inst, reader)], report, tick)
            # A file's name may itself be a number that belongs in no log.
            subject = "recipients/" + re.sub(r"\d{7,}", "*", path.name)
            audit.record(conn, actor, "recipients.import", subject, {**report.counts(), "added": added})
        report.stored = True
    return report


def _left_over(inst: Installation, reader: RowReader) -> Prepared:
    members = [(group, "sms", inst.keys.address_key(address)) for group, address in reader.more_groups]
    return Prepared(reader.more_premises, [], dict.fromkeys(member[0] for member in members), members)


def _write_all(conn: Connection, batches: list[Prepared], report: Report, tick: "_Halves") -> int:
    """Returns how many recipients were not there before."""
    before = stored.how_many(conn)
    for batch in batches:
        write(conn, batch)
        tick.stored(len(batch.recipients), report.accepted)
    return stored.how_many(conn) - before


class _Halves:
    """Progress of a job that goes over its rows twice."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        self._total = self._stored = 0

    def read(self, rows: int, expected: int) -> None:
        self._total = max(rows, expected)
        if self._progress:
            self._progress(rows // 2, self._total)

    def stored(self, rows: int, of: int) -> None:
        self._stored += rows
        if self._progress:
            self._progress(round(self._total * (1 + self._stored / of) / 2), self._total)


def _batches(rows: Iterable[NewRecipient]) -> Iterator[list[NewRecipient]]:
    waiting = iter(rows)
    while batch := list(islice(waiting, BATCH)):
        yield batch


def add_recipients(inst: Installation, rows: Iterable[NewRecipient], progress: Progress | None = None) -> int:
    """Adds recipients with their premises and groups, or changes those whose channel has the address. Returns how many rows.

    In batches of 20,000, a transaction each: what breaks off can simply be done again. `progress(done, total)` after each
    batch; total = done where the rows do not know their number.
    """
    done = 0
    total = len(rows) if isinstance(rows, Sized) else 0
    for batch in _batches(rows):
        ready = prepare(inst, batch)
        with inst.store.write() as conn:
            write(conn, ready)
        done += len(batch)
        if progress:
            progress(done, max(done, total))
    return done


def groups(inst: Installation) -> list[tuple[str, int]]:
    """Every group with the number of its members, by name."""
    with inst.store.read() as conn:
        return stored.groups(conn)
