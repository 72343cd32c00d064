"""What phones answered, as it lies in the database."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from broadcaster.store.driver import run


class NewReply(NamedTuple):
    """A reply to be kept. Times in ms."""

    provider: str
    dedupe_key: str
    received_at: int
    at: int | None
    address_sealed: bytes
    address_key: bytes
    recipient_id: int | None
    campaign_id: int | None
    n: int | None
    text: str
    kind: str
    urgent: int


class Asked(NamedTuple):
    """The delivery that a reply most likely answers."""

    campaign_id: int
    n: int
    token: str
    category: str


def add(conn: Connection, reply: NewReply) -> int | None:
    """Keeps a reply. Returns its id; None where it is known already."""
    marks = ", ".join("?" for _ in reply)
    found = run(
        conn,
        f"INSERT INTO reply ({', '.join(NewReply._fields)}) VALUES ({marks}) "
        "ON CONFLICT (provider, dedupe_key) DO NOTHING RETURNING id",
        *reply,
    ).scalar()
    return None if found is None else int(found)


def phone(conn: Connection, address_key: bytes) -> int | None:
    """The recipient with this number; None where it is none of ours."""
    found = run(conn, "SELECT id FROM recipient WHERE channel = 'sms' AND address_key = ?", address_key).scalar()
    return None if found is None else int(found)


def last_asked(conn: Connection, recipient_id: int, since: int) -> Asked | None:
    """The last live SMS that a recipient was sent, or may have been, since a moment."""
    row = run(
        conn,
        "SELECT d.campaign_id, d.n, d.token, c.category FROM campaign c "
        "JOIN delivery d ON d.campaign_id = c.id AND d.recipient_id = ? AND d.channel = 'sms' "
        "WHERE c.mode = 'live' AND c.approved_at > ? AND d.outcome IN ('sending', 'accepted', 'delivered', 'unknown') "
        "ORDER BY coalesce(d.changed_at, 0) DESC, c.id DESC LIMIT 1",
        *(recipient_id, since),
    ).first()
    return Asked._make(row) if row else None


class ReplyRow(NamedTuple):
    """A reply as a person is shown it."""

    id: int
    provider: str
    received_at: int
    address_sealed: bytes
    recipient_id: int | None
    name: str | None
    premises: str | None
    place: str | None
    campaign_id: int | None
    text: str
    kind: str
    urgent: int
    seen_at: int | None
    seen_by: str | None


_ROWS = (
    "SELECT r.id, r.provider, r.received_at, r.address_sealed, r.recipient_id, p.name, m.name AS premises, p.place, "
    "r.campaign_id, r.text, r.kind, r.urgent, r.seen_at, r.seen_by FROM reply r "
    "LEFT JOIN recipient p ON p.id = r.recipient_id LEFT JOIN premises m ON m.id = p.premises_id WHERE "
)


def _visible(prefixes: Sequence[str], everything: bool) -> tuple[str, list[str]]:
    """Replies of phones under these places; those of strangers only for who sees everything."""
    if everything:
        return "1 = 1", []
    under = " OR ".join("p.place BETWEEN ? AND ?" for _ in prefixes) or "1 = 0"
    return f"({under})", [end for each in prefixes for end in (each.ljust(12, "0"), each.ljust(12, "9"))]


def listed(conn: Connection, prefixes: Sequence[str], everything: bool, kind: str | None, limit: int) -> list[ReplyRow]:
    """With `kind` None what nobody has seen to yet, the urgent first; else the newest of a kind."""
    where, values = _visible(prefixes, everything)
    if kind is None:
        rows = run(
            conn,
            f"{_ROWS}{where} AND r.seen_at IS NULL AND r.kind = 'other' ORDER BY r.urgent DESC, r.id DESC LIMIT ?",
            *(*values, limit),
        )
    else:
        rows = run(conn, f"{_ROWS}{where} AND r.kind = ? ORDER BY r.id DESC LIMIT ?", *(*values, kind, limit))
    return [ReplyRow._make(row) for row in rows]


def one(conn: Connection, prefixes: Sequence[str], everything: bool, reply_id: int) -> ReplyRow | None:
    """A reply, where this person may see it."""
    where, values = _visible(prefixes, everything)
    row = run(conn, f"{_ROWS}{where} AND r.id = ?", *(*values, reply_id)).first()
    return ReplyRow._make(row) if row else None


def seen(conn: Connection, reply_id: int, by: str, now: int) -> bool:
    """Somebody has seen to it. False where somebody had already."""
    return (
        run(
            conn, "UPDATE reply SET seen_at = ?, seen_by = ? WHERE id = ? AND seen_at IS NULL", now, by, reply_id
        ).rowcount
        == 1
    )


def waiting(conn: Connection) -> tuple[int, int]:
    """(replies that nobody has seen to, those of them that are urgent)."""
    row = run(
        conn, "SELECT count(*), coalesce(sum(urgent), 0) FROM reply WHERE seen_at IS NULL AND kind = 'other'"
    ).one()
    return int(row[0]), int(row[1])
