"""What a person who works a speaker or board has to do: the items of its feed, with what was said of them already."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from broadcaster.model import PROOF_BITS, Proof
from broadcaster.store.driver import run


class PlayRow(NamedTuple):
    """One item of a feed. Times in ms; `spoken`, `clip`, `pieces` and `size` are JSON of its wording."""

    campaign_id: int
    public_id: str
    template_set: str
    mode: str
    category: str
    level: str | None
    not_before_at: int
    expires_at: int
    spoken: str | None
    clip: str | None
    pieces: str
    size: str
    proof: int
    outcome: str
    reason: str | None
    changed_at: int | None


def to_play(conn: Connection, recipient_id: int, now: int) -> list[PlayRow]:
    """What the feed of a recipient holds and is not past, the most urgent first."""
    rows = run(
        conn,
        "SELECT c.id, c.public_id, c.template_set, c.mode, c.category, c.level, i.not_before_at, i.expires_at, "
        "w.spoken, w.clip, w.pieces, w.size, d.proof, d.outcome, d.reason, d.changed_at "
        "FROM feed_item i "
        "JOIN campaign c ON c.id = i.campaign_id JOIN wording w ON w.id = i.wording_id "
        "JOIN delivery d ON d.campaign_id = i.campaign_id AND d.n = i.n "
        "JOIN device v ON v.recipient_id = i.recipient_id AND v.mode = c.mode "
        "WHERE i.recipient_id = ? AND i.expires_at > ? ORDER BY i.priority DESC, i.not_before_at DESC, c.id DESC",
        recipient_id,
        now,
    )
    return [PlayRow._make(row) for row in rows]


class DeviceLine(NamedTuple):
    """A device in an operator's list. `items`: what its feed holds; `open`: of those, what nobody has reported on."""

    recipient_id: int
    channel: str
    name: str | None
    place: str
    place_name: str | None
    items: int
    open: int


class Wanted(NamedTuple):
    """Which devices: under any of the prefixes, in a county (its 6 digits, "" = any), each word found in what names them."""

    prefixes: tuple[str, ...]
    county: str = ""
    words: tuple[str, ...] = ()


_SAID = PROOF_BITS[Proof.PLAYED] | PROOF_BITS[Proof.SHOWN]
_FROM = "FROM device v JOIN recipient r ON r.id = v.recipient_id LEFT JOIN place p ON p.code = r.place WHERE r.active"
_HERE = (
    "FROM feed_item i JOIN delivery d ON d.campaign_id = i.campaign_id AND d.n = i.n "
    "WHERE i.recipient_id = r.id AND i.expires_at > ?"
)
# What a person has just said lies in the inbox until it is folded, and counts at once.
_TOLD = "CAST(i.recipient_id AS TEXT) || '/' || CAST(i.campaign_id AS TEXT)"
_OPEN = (
    f"d.proof & {_SAID} = 0 AND d.outcome <> 'failed' AND NOT EXISTS (SELECT 1 FROM receipt_inbox x "
    "WHERE x.provider IN ('speaker', 'board') "
    f"AND x.dedupe_key IN ({_TOLD} || '/finished/', {_TOLD} || '/showing/', {_TOLD} || '/failed/'))"
)
_NAMED = (
    "(lower(r.name) LIKE ? ESCAPE '!' OR r.place LIKE ? ESCAPE '!' OR CAST(r.id AS TEXT) = ? "
    "OR EXISTS (SELECT 1 FROM place a WHERE a.code IN (r.place, substr(r.place, 1, 2) || '0000000000', "
    "substr(r.place, 1, 4) || '00000000', substr(r.place, 1, 6) || '000000', substr(r.place, 1, 9) || '000') "
    "AND lower(a.name) LIKE ? ESCAPE '!'))"
)


def _where(wanted: Wanted) -> tuple[str, list[str]]:
    prefixes = [each for each in wanted.prefixes if wanted.county.startswith(each)]
    # A county within one of the prefixes stands in its place; one above several narrows nothing that they do not.
    spans = [wanted.county] if prefixes else [each for each in wanted.prefixes if each.startswith(wanted.county)]
    under = " OR ".join("r.place BETWEEN ? AND ?" for _ in spans) or "1 = 0"
    values = [end for each in spans for end in (each.ljust(12, "0"), each.ljust(12, "9"))]
    for word in wanted.words:
        plain = word.lower().replace("!", "!!").replace("%", "!%").replace("_", "!_")
        values += [f"%{plain}%", f"{plain}%", word, f"%{plain}%"]
    return f" AND ({under})" + f" AND {_NAMED}" * len(wanted.words), values


def device_lines(conn: Connection, wanted: Wanted, now: int, limit: int, offset: int) -> list[DeviceLine]:
    """Devices in order of place, those with something open first."""
    where, values = _where(wanted)
    rows = run(
        conn,
        "SELECT * FROM (SELECT r.id, r.channel, r.name, r.place, p.name AS place_name, "
        f"(SELECT count(*) {_HERE}) AS items, (SELECT count(*) {_HERE} AND {_OPEN}) AS open {_FROM}{where}) t "
        "ORDER BY CASE WHEN open > 0 THEN 0 ELSE 1 END, place, id LIMIT ? OFFSET ?",
        *(now, now, *values, limit, offset),
    )
    return [DeviceLine._make(row) for row in rows]


def devices_in_all(conn: Connection, wanted: Wanted) -> int:
    """How many devices there are of those wanted."""
    where, values = _where(wanted)
    return int(run(conn, f"SELECT count(*) {_FROM}{where}", *values).scalar_one())


def counties(conn: Connection, prefixes: Sequence[str]) -> list[tuple[str, str]]:
    """(code, name) of the counties in which there are devices."""
    where, values = _where(Wanted(tuple(prefixes)))
    rows = run(
        conn,
        "SELECT t.code, coalesce(c.name, t.code) FROM (SELECT DISTINCT substr(r.place, 1, 6) || '000000' AS code "
        f"{_FROM}{where}) t LEFT JOIN place c ON c.code = t.code ORDER BY t.code",
        *values,
    )
    return [(str(code), str(name)) for code, name in rows]


def told(conn: Connection, keys: Sequence[str]) -> dict[str, tuple[int, str]]:
    """What was said under these keys of the inbox, folded or not: key -> (when it came, ms; JSON)."""
    if not keys:
        return {}
    marks = ", ".join("?" for _ in keys)
    rows = run(
        conn,
        "SELECT dedupe_key, received_at, raw FROM receipt_inbox WHERE provider IN ('speaker', 'board') "
        f"AND dedupe_key IN ({marks})",
        *keys,
    )
    return {str(key): (int(at), str(raw)) for key, at, raw in rows}


class AirRow(NamedTuple):
    """How many devices of a channel hold a campaign. Times in ms: from when it is played, and until when at the latest."""

    campaign_id: int
    channel: str
    devices: int
    begins_at: int
    ends_at: int


def on_air(conn: Connection, now: int) -> list[AirRow]:
    """What feeds hold and is not past, the newest campaign first."""
    rows = run(
        conn,
        "SELECT i.campaign_id, r.channel, count(*), min(i.not_before_at), max(i.expires_at) FROM feed_item i "
        "JOIN recipient r ON r.id = i.recipient_id WHERE i.expires_at > ? "
        "GROUP BY i.campaign_id, r.channel ORDER BY i.campaign_id DESC, r.channel",
        now,
    )
    return [AirRow._make(row) for row in rows]
