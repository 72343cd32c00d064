"""Who did what, when: append-only, each entry's hash over the entry and its predecessor's hash.

What the chain shows by itself: an entry altered, deleted, inserted or moved. That its end was cut off only an outside copy of the
head shows: give it to `verify` as `head`.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection

from broadcaster.installation import Installation
from broadcaster.model import BadInput
from broadcaster.store import audit as stored
from broadcaster.store.audit import AuditRow
from broadcaster.store.clock import now_ms, rfc3339

FIRST = "0" * 64  # what the first entry names as its predecessor
SYSTEM = "system"  # the actor where no person acted


def canonical(value: object) -> str:
    """JSON with sorted names and no blanks: one text for one value."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def digest(row: AuditRow) -> str:
    """SHA-256, hex, over the canonical JSON of an entry's fields; `detail` as the text that is stored."""
    fields = {
        "seq": row.seq,
        "at": row.at,
        "actor": row.actor,
        "action": row.action,
        "subject": row.object,
        "detail": row.detail,
        "previous": row.previous,
    }
    return hashlib.sha256(canonical(fields).encode()).hexdigest()


def record(conn: Connection, actor: str, action: str, subject: str, detail: Mapping[str, object]) -> None:
    """Appends one entry inside the caller's transaction, so that an act and its record stand or fall together.

    `actor` is a login or "system"; `subject` is a kind and a key, "campaign/7". No phone number belongs in any of them.
    """
    stored.lock(conn)
    seq, previous = stored.head(conn) or (0, FIRST)
    row = AuditRow(seq + 1, now_ms(conn), actor, action, subject, canonical(detail), previous, "")
    stored.append(conn, replace(row, hash=digest(row)))


def verify(inst: Installation, head: str | None = None) -> dict[str, Any]:
    """{"entries", "ok", "first_bad", "head"}: first_bad is the seq of the first entry that does not fit, or None.

    `head` is the hash of an entry known from before, as an earlier call gave it; where the chain does not hold it any more, its
    end was cut off, and first_bad is the seq after the last entry. Reads page by page. Raises BadInput for a head that is no hash.
    """
    if head is not None and (len(head) != 64 or not set(head) <= set("0123456789abcdef")):
        raise BadInput("audit-head", "an audit head is 64 hexadecimal digits, as `audit verify` prints them")
    entries, previous, first_bad, seen = 0, FIRST, None, head is None
    with inst.store.read() as conn:
        for row in stored.stream(conn):
            entries += 1
            fits = row.seq == entries and row.previous == previous and row.hash == digest(row)
            if not fits and first_bad is None:
                first_bad = row.seq
            seen = seen or row.hash == head
            previous = row.hash
    if first_bad is None and not seen:
        first_bad = entries + 1
    return {"entries": entries, "ok": first_bad is None, "first_bad": first_bad, "head": previous}


def entries(inst: Installation, limit: int = 100, before: int | None = None) -> list[dict[str, Any]]:
    """The last entries for people to read, newest first: seq, at (RFC 3339), actor, action, subject, detail (a mapping)."""
    with inst.store.read() as conn:
        rows = stored.newest(conn, limit, before)
    return [
        {
            "seq": row.seq,
            "at": rfc3339(row.at, inst.settings.timezone),
            "actor": row.actor,
            "action": row.action,
            "subject": row.object,
            "detail": json.loads(row.detail),
        }
        for row in rows
    ]
