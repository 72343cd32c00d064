"""The audit table: appended to, read in order, never changed."""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Connection, insert, select, text

from broadcaster.store.schema import audit

PAGE = 5000


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One entry as it lies in the table; `detail` is the JSON text that the hash was taken over."""

    seq: int
    at: int
    actor: str
    action: str
    object: str
    detail: str
    previous: str
    hash: str


def lock(conn: Connection) -> None:
    """One writer of the chain at a time: two that read the same head would fork it. SQLite's write lock does it already."""
    if conn.dialect.name == "postgresql":
        conn.execute(text("LOCK TABLE audit IN EXCLUSIVE MODE"))


def head(conn: Connection) -> tuple[int, str] | None:
    """(seq, hash) of the last entry; None for an empty chain."""
    row = conn.execute(select(audit.c.seq, audit.c.hash).order_by(audit.c.seq.desc()).limit(1)).first()
    return (int(row[0]), str(row[1])) if row else None


def append(conn: Connection, row: AuditRow) -> None:
    """Writes one entry."""
    values = {name: getattr(row, name) for name in AuditRow.__dataclass_fields__}
    conn.execute(insert(audit).values(**values))


def after(conn: Connection, seq: int, limit: int = PAGE) -> list[AuditRow]:
    """Entries past `seq`, in order."""
    wanted = select(audit).where(audit.c.seq > seq).order_by(audit.c.seq).limit(limit)
    return [AuditRow(*row) for row in conn.execute(wanted)]


def stream(conn: Connection) -> Iterator[AuditRow]:
    """Every entry in order, page by page: memory stays flat however long the chain is."""
    last = -(2**62)
    while rows := after(conn, last):
        yield from rows
        last = rows[-1].seq


def newest(conn: Connection, limit: int, before: int | None = None) -> list[AuditRow]:
    """The last entries, newest first; those under `before` where it is given."""
    wanted = select(audit).order_by(audit.c.seq.desc()).limit(limit)
    if before is not None:
        wanted = wanted.where(audit.c.seq < before)
    return [AuditRow(*row) for row in conn.execute(wanted)]
