"""What each speaker and board should play or show: items per device, and the number that tells when a feed changed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from broadcaster.store.driver import run, run_many


@dataclass(frozen=True, slots=True)
class NewItem:
    """One delivery that a device's feed shall hold."""

    recipient_id: int
    n: int
    wording_id: int


@dataclass(frozen=True, slots=True)
class FeedDevice:
    """A device as its feed names it."""

    recipient_id: int
    channel: str
    address_sealed: bytes
    format: str
    mode: str
    sequence: int
    changed_at: int


@dataclass(frozen=True, slots=True)
class FeedItem:
    """One item of a feed, with the wording it carries."""

    campaign_id: int
    n: int
    revision: int
    level: str | None
    category: str
    priority: int
    not_before_at: int
    expires_at: int
    pieces: str
    clip: str | None
    size: str


def next_version(conn: Connection) -> int:
    """Counts one change to feeds; the new version."""
    found = run(
        conn,
        "INSERT INTO feed_version (id, n) VALUES (1, 1) ON CONFLICT (id) DO UPDATE SET n = feed_version.n + 1 RETURNING n",
    )
    return int(found.scalar_one())


def version(conn: Connection) -> int:
    """Rises with every change to any feed."""
    return int(run(conn, "SELECT n FROM feed_version WHERE id = 1").scalar() or 0)


def told(conn: Connection) -> int:
    """The version up to which the bus was told every change; it stands beside the version, in row 2."""
    return int(run(conn, "SELECT n FROM feed_version WHERE id = 2").scalar() or 0)


def sequences(conn: Connection) -> list[tuple[int, int, bool]]:
    """Every device whose feed ever changed: recipient, sequence, and whether the bus was told of it."""
    rows = run(
        conn,
        "SELECT d.recipient_id, d.sequence, d.changed FROM device d JOIN recipient r ON r.id = d.recipient_id "
        "WHERE r.active AND d.changed > 0",
    ).all()
    until = told(conn)
    return [(int(who), int(sequence), int(changed) <= until) for who, sequence, changed in rows]


def mark_told(conn: Connection, before: int, now_told: int) -> bool:
    """Moves it on. False: another process has moved it meanwhile."""
    if run(conn, "UPDATE feed_version SET n = ? WHERE id = 2 AND n = ?", now_told, before).rowcount == 1:
        return True
    added = "INSERT INTO feed_version (id, n) VALUES (2, ?) ON CONFLICT (id) DO NOTHING"
    return before == 0 and run(conn, added, now_told).rowcount == 1


def forget_told(conn: Connection) -> None:
    """The bus lost what it was told: everything will be told again."""
    run(conn, "DELETE FROM feed_version WHERE id = 2")


def _touch(conn: Connection, recipient_ids: Sequence[int], mode: str | None, now: int) -> set[int]:
    """Raises the sequence of devices; returns those that exist (in that mode, where one is named).

    The version's row comes first and is held until the commit: changes of feeds go one after another, and are seen so.
    """
    changed = next_version(conn)
    found: set[int] = set()
    recipient_ids = sorted(recipient_ids)
    for start in range(0, len(recipient_ids), 500):
        some = recipient_ids[start : start + 500]
        places = ", ".join("?" for _ in some)
        rows = run(
            conn,
            "UPDATE device SET sequence = sequence + 1, changed = ?, changed_at = ? "
            f"WHERE recipient_id IN ({places}) AND (mode = ? OR CAST(? AS TEXT) IS NULL) RETURNING recipient_id",
            *(changed, now, *some, mode or "", mode),
        )
        found.update(int(row[0]) for row in rows)
    return found


def put(conn: Connection, campaign: tuple[int, str, int, int, int], items: Sequence[NewItem], now: int) -> set[int]:
    """Puts items into the feeds of their devices. campaign = (id, mode, priority, not_before ms, expires ms).

    Returns the recipients whose feed holds the item now; the others have no device enrolled in that mode.
    """
    campaign_id, mode, priority, not_before, expires = campaign
    there = _touch(conn, [item.recipient_id for item in items], mode, now)
    run_many(
        conn,
        "INSERT INTO feed_item (recipient_id, campaign_id, n, wording_id, priority, not_before_at, expires_at) "
        "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (recipient_id, campaign_id) DO NOTHING",
        [
            (i.recipient_id, campaign_id, i.n, i.wording_id, priority, not_before, expires)
            for i in items
            if i.recipient_id in there
        ],
    )
    return there


def withdraw(conn: Connection, campaign_id: int, now: int) -> int:
    """Takes a campaign out of every feed, at once. Returns how many feeds held it."""
    rows = run(conn, "DELETE FROM feed_item WHERE campaign_id = ? RETURNING recipient_id", campaign_id).all()
    if rows:
        _touch(conn, [int(row[0]) for row in rows], None, now)
    return len(rows)


def drop_expired(conn: Connection, now: int, limit: int = 5000) -> int:
    """Removes items past their time, so that a feed's content never changes without its sequence."""
    rows = run(
        conn,
        "DELETE FROM feed_item WHERE (recipient_id, campaign_id) IN "
        "(SELECT recipient_id, campaign_id FROM feed_item WHERE expires_at <= ? LIMIT ?) RETURNING recipient_id",
        now,
        limit,
    ).all()
    if rows:
        _touch(conn, sorted({int(row[0]) for row in rows}), None, now)
    return len(rows)


_DEVICE = (
    "SELECT d.recipient_id, r.channel, r.address_sealed, r.format, d.mode, d.sequence, d.changed_at "
    "FROM device d JOIN recipient r ON r.id = d.recipient_id WHERE r.active AND "
)


def device_by_token(conn: Connection, token_hash: bytes) -> FeedDevice | None:
    """The device of a token; None for an unknown one."""
    row = run(conn, _DEVICE + "d.token_hash = ?", token_hash).first()
    return FeedDevice(*row) if row else None


def device_of(conn: Connection, recipient_id: int) -> FeedDevice | None:
    """The device that a recipient is; None where none is enrolled."""
    row = run(conn, _DEVICE + "d.recipient_id = ?", recipient_id).first()
    return FeedDevice(*row) if row else None


_ITEMS = (
    "SELECT i.recipient_id, c.id, i.n, c.revision, c.level, c.category, i.priority, i.not_before_at, i.expires_at, "
    "w.pieces, w.clip, w.size FROM feed_item i JOIN campaign c ON c.id = i.campaign_id "
    "JOIN wording w ON w.id = i.wording_id JOIN device d ON d.recipient_id = i.recipient_id AND d.mode = c.mode "
    "WHERE i.recipient_id {} AND i.expires_at > ? "
    "ORDER BY i.recipient_id, i.priority DESC, i.not_before_at DESC, c.id DESC"
)


def items_of(conn: Connection, recipient_id: int, now: int) -> list[FeedItem]:
    """What a device's feed holds, the most urgent first; future items too, since the device decides offline."""
    return [FeedItem(*row[1:]) for row in run(conn, _ITEMS.format("= ?"), recipient_id, now)]


def devices_of(conn: Connection, recipient_ids: Sequence[int]) -> list[tuple[FeedDevice, bytes]]:
    """Devices among these recipients (500 at most), each with the hash of its token."""
    places = ", ".join("?" for _ in recipient_ids)
    wanted = _DEVICE.replace(" FROM", ", d.token_hash FROM", 1) + f"d.recipient_id IN ({places}) ORDER BY 1"
    return [(FeedDevice(*row[:-1]), bytes(row[-1])) for row in run(conn, wanted, *recipient_ids)]


def items_of_many(conn: Connection, recipient_ids: Sequence[int], now: int) -> dict[int, list[FeedItem]]:
    """The same as `items_of` for several devices at once (500 at most)."""
    places = ", ".join("?" for _ in recipient_ids)
    found: dict[int, list[FeedItem]] = {}
    for row in run(conn, _ITEMS.format(f"IN ({places})"), *recipient_ids, now):
        found.setdefault(int(row[0]), []).append(FeedItem(*row[1:]))
    return found


def changed_since(conn: Connection, seen: int) -> list[int]:
    """Recipients whose feed, or token, changed after a version."""
    return [int(row[0]) for row in run(conn, "SELECT recipient_id FROM device WHERE changed > ?", seen)]


def item_of_campaign(conn: Connection, recipient_id: int, campaign_id: int) -> int | None:
    """n of the delivery of a campaign to a device's recipient; also after the item left the feed."""
    found: Any = run(
        conn,
        "SELECT n FROM delivery WHERE campaign_id = ? AND recipient_id = ? AND channel IN ('loudspeaker', 'billboard') "
        "AND outcome IN ('accepted', 'delivered', 'failed')",
        campaign_id,
        recipient_id,
    ).scalar()
    return None if found is None else int(found)


def seen(conn: Connection, rows: Sequence[tuple[int, int]]) -> None:
    """Heartbeats in bulk: (recipient, ms)."""
    run_many(conn, "UPDATE device SET seen_at = ? WHERE recipient_id = ?", [(at, who) for who, at in sorted(rows)])
