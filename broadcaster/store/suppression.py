"""Opt-outs and never-contact, by class. Addresses come as keyed hashes."""

from collections.abc import Sequence

from sqlalchemy import Connection, RowMapping, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from broadcaster.store.schema import recipient, suppression

# The channels are named because the index of numbers begins with them: without it each row would cost a look at all recipients.
_CHANNELS = ("sms", "social", "loudspeaker", "billboard")
_SEALED = (
    select(recipient.c.address_sealed)
    .where(recipient.c.channel.in_(_CHANNELS), recipient.c.address_key == suppression.c.address_key)
    .limit(1)
    .scalar_subquery()
    .label("address_sealed")
)


def add(conn: Connection, address_key: bytes, class_: str, source: str, now: int) -> bool:
    """Keeps one; the first date and source stay. False where it was there already."""
    insert = sqlite.insert if conn.dialect.name == "sqlite" else postgresql.insert
    values = {"address_key": address_key, "class": class_, "since_at": now, "source": source}
    wanted = insert(suppression).values(values).on_conflict_do_nothing().returning(suppression.c.since_at)
    return conn.execute(wanted).first() is not None


def drop(conn: Connection, address_key: bytes, class_: str) -> bool:
    """Takes one away. False where there was none."""
    one = (suppression.c.address_key == address_key) & (suppression.c["class"] == class_)
    return conn.execute(delete(suppression).where(one)).rowcount == 1


def classes_of(conn: Connection, address_key: bytes) -> list[str]:
    """Classes in which an address is silenced."""
    wanted = select(suppression.c["class"]).where(suppression.c.address_key == address_key)
    return [str(word) for word in conn.execute(wanted).scalars()]


def newest(conn: Connection, classes: Sequence[str], limit: int) -> Sequence[RowMapping]:
    """The newest of these classes; columns as in `page`. Each class is read by its index, so many rows of it at most."""
    found: list[RowMapping] = []
    table = suppression.c
    for class_ in classes:
        wanted = select(suppression, _SEALED).where(table["class"] == class_)
        found += conn.execute(wanted.order_by(table.since_at.desc()).limit(limit)).mappings().all()
    return sorted(found, key=lambda row: -int(row["since_at"]))[:limit]


def page(conn: Connection, after: tuple[bytes, str], limit: int) -> Sequence[RowMapping]:
    """Suppressions past (address key, class), with the recipient's sealed address where the address is one of a recipient."""
    table = suppression.c
    past = (table.address_key > after[0]) | ((table.address_key == after[0]) & (table["class"] > after[1]))
    wanted = select(suppression, _SEALED).where(past)
    return conn.execute(wanted.order_by(table.address_key, table["class"]).limit(limit)).mappings().all()
