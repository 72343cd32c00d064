"""Speakers and boards that fetch their feed: who they are, when they were seen."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, func, or_, select

from broadcaster.store.driver import run, run_many
from broadcaster.store.feeds import next_version
from broadcaster.store.schema import device, place, recipient

CHUNK = 500  # placeholders of one statement
MOST_ID = 2**63 - 1  # what the column holds


@dataclass(frozen=True, slots=True)
class DeviceRow:
    """A device with the recipient that it is. Times in ms."""

    recipient_id: int
    channel: str
    name: str | None
    place: str
    place_name: str | None
    languages: str
    format: str
    mode: str
    sequence: int
    seen_at: int | None
    detail: str | None


def _rows() -> Select[Any]:
    r, d = recipient.c, device.c
    return (
        select(
            *(r.id, r.channel, r.name, r.place, place.c.name, r.languages, r.format),
            *(d.mode, d.sequence, d.seen_at, d.detail),
        )
        .join(device, d.recipient_id == r.id)
        .outerjoin(place, place.c.code == r.place)
        .where(r.active)
    )


def channels_of(conn: Connection, recipient_ids: Sequence[int]) -> dict[int, str]:
    """Channel of each active recipient among these ids; ids that there are none of are missing."""
    found: dict[int, str] = {}
    for start in range(0, len(recipient_ids), CHUNK):
        some = recipient_ids[start : start + CHUNK]
        rows = conn.execute(
            select(recipient.c.id, recipient.c.channel).where(recipient.c.id.in_(some), recipient.c.active)
        )
        found.update((int(row[0]), str(row[1])) for row in rows)
    return found


def enrol(conn: Connection, tokens: Sequence[tuple[int, bytes]], mode: str, now: int) -> None:
    """Gives devices (recipient, token hash) a new token. The sequence stays and rises: a device takes no lower one."""
    changed = next_version(conn)
    run_many(
        conn,
        "INSERT INTO device (recipient_id, token_hash, mode, sequence, changed, changed_at) VALUES (?, ?, ?, 1, ?, ?) "
        "ON CONFLICT (recipient_id) DO UPDATE SET token_hash = excluded.token_hash, mode = excluded.mode, "
        "sequence = device.sequence + 1, changed = excluded.changed, changed_at = excluded.changed_at",
        [(who, token, mode, changed, now) for who, token in tokens],
    )
    # A drill's item must not lie in wait for the device to become a live one, nor a live one for a drill.
    run_many(
        conn,
        "DELETE FROM feed_item WHERE recipient_id = ? AND campaign_id IN (SELECT id FROM campaign WHERE mode <> ?)",
        [(who, mode) for who, _ in tokens],
    )


def by_token(conn: Connection, token_hash: bytes) -> DeviceRow | None:
    """The device of a token; None for an unknown one."""
    row = conn.execute(_rows().where(device.c.token_hash == token_hash)).first()
    return DeviceRow(*row) if row else None


def by_recipient(conn: Connection, recipient_id: int) -> DeviceRow | None:
    """The device that a recipient is; None where none is enrolled."""
    if not 1 <= recipient_id <= MOST_ID:
        return None
    row = conn.execute(_rows().where(device.c.recipient_id == recipient_id)).first()
    return DeviceRow(*row) if row else None


def heartbeat(conn: Connection, recipient_id: int, now: int, detail: str | None) -> None:
    """It is alive; what it says of itself replaces what it said before, nothing said leaves that."""
    run(
        conn,
        "UPDATE device SET seen_at = ?, detail = coalesce(?, detail) WHERE recipient_id = ?",
        *(now, detail, recipient_id),
    )


def silent(conn: Connection, before: int, limit: int) -> list[DeviceRow]:
    """Devices not seen since `before`, those never seen first, then the longest silent."""
    quiet = or_(device.c.seen_at.is_(None), device.c.seen_at < before)
    wanted = _rows().where(quiet).order_by(func.coalesce(device.c.seen_at, 0), recipient.c.place).limit(limit)
    return [DeviceRow(*row) for row in conn.execute(wanted)]


def under(conn: Connection, prefixes: Sequence[str], limit: int) -> list[DeviceRow]:
    """Devices whose place lies under one of the prefixes."""
    if not prefixes:
        return []
    here = or_(*(recipient.c.place.startswith(prefix, autoescape=True) for prefix in prefixes))
    wanted = _rows().where(here).order_by(recipient.c.place, recipient.c.id).limit(limit)
    return [DeviceRow(*row) for row in conn.execute(wanted)]
