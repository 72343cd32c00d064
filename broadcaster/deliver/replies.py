"""What phones answer: a wish not to hear from us is kept at once, a confirmation is proof, the rest waits for a person."""

import json
from typing import Any

import structlog
from sqlalchemy import Connection

from broadcaster import audit
from broadcaster.deliver.reply_words import Kind, is_urgent, kind_of
from broadcaster.installation import Installation
from broadcaster.logs import mask
from broadcaster.model import Category, NotFound, Proof, Role
from broadcaster.people import check, places_of
from broadcaster.policy import User
from broadcaster.store import receipts, replies
from broadcaster.store.clock import rfc3339, wall_ms
from broadcaster.store.receipts import Receipt
from broadcaster.store.replies import Asked, NewReply, ReplyRow
from broadcaster.suppression import suppress_known
from channels.base import PhoneReply

log = structlog.get_logger(__name__)

ANSWERS_WITHIN_MS = 7 * 86_400_000  # a reply is about a message that is no older
LONGEST_TEXT = 2000  # characters
SHOWN_MOST = 500
# An opt-out silences what it answers, and promotions in any case. It never silences an emergency.
SILENCES = {Category.NOTICE: ("promotion", "notice")}


def take(inst: Installation, provider: str, reply: PhoneReply) -> Kind:
    """Keeps one reply and does what it asks for, in one transaction. The same one twice is one. Raises Unavailable."""
    return inst.store.transact(lambda conn: _take(conn, inst, provider, reply))


def _take(conn: Connection, inst: Installation, provider: str, reply: PhoneReply) -> Kind:
    now, key, text = wall_ms(), inst.keys.address_key(reply.sender), _kept(reply.text)
    kind = kind_of(text)
    recipient = replies.phone(conn, key)
    asked = replies.last_asked(conn, recipient, now - ANSWERS_WITHIN_MS) if recipient else None
    if kind is Kind.CONFIRMATION and asked is None:  # of what, nobody can say
        kind = Kind.OTHER
    row = NewReply(
        provider=provider,
        dedupe_key=reply.ref,
        received_at=now,
        at=reply.at,
        address_sealed=inst.keys.seal_address(reply.sender),
        address_key=key,
        recipient_id=recipient,
        campaign_id=asked.campaign_id if asked else None,
        n=asked.n if asked else None,
        text=text,
        kind=kind.value,
        urgent=int(kind is Kind.OTHER and is_urgent(text)),
    )
    if replies.add(conn, row) is None:
        return kind
    if kind is Kind.OPT_OUT:
        source = f"reply over {provider}: {mask(text)}"
        for class_ in SILENCES.get(Category(asked.category), ("promotion",)) if asked else ("promotion",):
            suppress_known(conn, "gateway", key, class_, source)
    elif kind is Kind.CONFIRMATION and asked:
        _confirm(conn, provider, reply, asked)
    elif row.urgent:
        log.warning("urgent_reply", provider=provider, campaign_id=row.campaign_id)
    return kind


def _confirm(conn: Connection, provider: str, reply: PhoneReply, asked: Asked) -> None:
    name = f"{asked.campaign_id}-{asked.n}-{asked.token}"
    raw = json.dumps({"said": "reply"})
    proof = Receipt(provider, f"{name}/reply/{reply.ref}", asked.campaign_id, asked.n, Proof.CONFIRMED, reply.at, raw)
    receipts.store(conn, [proof], wall_ms())


def _kept(text: str) -> str:
    """Without what cannot be shown: a text from a stranger goes to a page and a terminal."""
    return "".join(c if c.isprintable() or c == "\n" else " " for c in text[:LONGEST_TEXT]).strip()


def listed(inst: Installation, user: User, kind: str | None = None, limit: int = SHOWN_MOST) -> list[dict[str, Any]]:
    """Replies of the user's places: those that nobody has seen to, the urgent first; or the newest of a kind.

    {"id", "provider", "received", "from" (masked), "name", "premises", "campaign", "text", "kind", "urgent", "seen_by"}.
    Raises Refused.
    """
    check(user, "replies.see")
    with inst.store.read() as conn:
        rows = replies.listed(conn, *_sight(inst, user), kind, limit)
    return [_shown(inst, row) for row in rows]


def masked(inst: Installation, user: User, reply_id: int) -> dict[str, Any]:
    """One reply as in the list, its number masked. Raises NotFound, Refused."""
    check(user, "replies.see")
    return _shown(inst, _row(inst, user, reply_id))


def one(inst: Installation, user: User, reply_id: int) -> dict[str, Any]:
    """One reply with the whole number, so that somebody can call back; the look is audited. Raises NotFound, Refused."""
    check(user, "replies.answer")
    row = _row(inst, user, reply_id)
    with inst.store.write() as conn:
        audit.record(conn, user.login, "reply.number", f"reply/{reply_id}", {})
    number = inst.keys.open_address(row.address_sealed).partition(":")[2]
    return {**_shown(inst, row), "from": number or inst.keys.open_address(row.address_sealed)}


def seen(inst: Installation, user: User, reply_id: int) -> bool:
    """Somebody has seen to it. False where somebody had already. Raises NotFound, Refused."""
    check(user, "replies.answer")
    _row(inst, user, reply_id)
    with inst.store.write() as conn:
        changed = replies.seen(conn, reply_id, user.login, wall_ms())
        if changed:
            audit.record(conn, user.login, "reply.seen", f"reply/{reply_id}", {})
    return changed


def _row(inst: Installation, user: User, reply_id: int) -> ReplyRow:
    with inst.store.read() as conn:
        row = replies.one(conn, *_sight(inst, user), reply_id)
    if row is None:
        raise NotFound("reply", f"there is no reply {reply_id}; type: broadcaster gateway replies")
    return row


def _sight(inst: Installation, user: User) -> tuple[tuple[str, ...], bool]:
    places = places_of(inst, user)
    everything = user.unit_id is None or Role.ADMINISTRATOR in user.roles or any(len(place) == 2 for place in places)
    return places, everything


def _shown(inst: Installation, row: ReplyRow) -> dict[str, Any]:
    address = inst.keys.open_address(row.address_sealed)
    zone = inst.settings.timezone
    return {
        "id": row.id,
        "provider": row.provider,
        "received": rfc3339(row.received_at, zone),
        "from": mask(address.partition(":")[2] or address),
        "name": row.name,
        "premises": row.premises,
        "campaign": row.campaign_id,
        "text": row.text,
        "kind": row.kind,
        "urgent": bool(row.urgent),
        "seen_by": row.seen_by,
    }
