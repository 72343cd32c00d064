"""What devices say of their feeds: kept first, then folded in batches (folding.py)."""

import json
from collections.abc import Mapping
from typing import Any, TypeGuard

from broadcaster import audit
from broadcaster.installation import Installation
from broadcaster.keys import fingerprint
from broadcaster.model import BadInput, NotFound, Outcome, Proof
from broadcaster.store import feeds, receipts
from broadcaster.store.clock import from_rfc3339, wall_ms
from broadcaster.store.feeds import FeedDevice
from broadcaster.store.receipts import Receipt

DETAIL_MOST = 500  # characters of a device's own words that are kept

# What a device says -> our word. `started` is kept as it is: a play that began and broke off was not played.
EVENTS: Mapping[str, Proof | Outcome | None] = {
    "fetched": Proof.FETCHED,
    "started": None,
    "finished": Proof.PLAYED,
    "showing": Proof.SHOWN,
    "confirmed": Proof.CONFIRMED,
    "failed": Outcome.FAILED,
    "heartbeat": None,
}


def device_event(inst: Installation, token: str, event: Mapping[str, Any]) -> None:
    """Takes one event of a device (doors.md). Idempotent. Raises NotFound for an unknown token, BadInput for a bad event."""
    with inst.store.read() as conn:
        device = feeds.device_by_token(conn, fingerprint(token))
    if device is None:
        raise NotFound("token-unknown", "no such feed")
    take(inst, device, event)


def take(inst: Installation, device: FeedDevice, event: Mapping[str, Any], by: str = "") -> None:
    """Takes one event of a device that is known, from itself or from the person who works it. Raises BadInput.

    `by` is the login of a person who signed in: their word is audited in the transaction that keeps it.
    """
    word, campaign = _word(event), event.get("campaign")
    with inst.store.read() as conn:
        n = feeds.item_of_campaign(conn, device.recipient_id, campaign) if _is_id(campaign) else None
    if word is not None and n is None:
        raise BadInput("event-campaign", "the event names no campaign that this device was given")
    now = wall_ms()
    with inst.store.write() as conn:
        feeds.seen(conn, [(device.recipient_id, now)])
        if word is not None and n is not None and _is_id(campaign):
            kind = "speaker" if device.channel == "loudspeaker" else "board"
            key = key_of(device.recipient_id, campaign, event["event"], event.get("at"))
            told = str(event.get("detail") or "")[:DETAIL_MOST]
            raw = json.dumps({"event": event["event"], "detail": told})
            reason = told or "device-failed" if word == Outcome.FAILED else ""
            receipts.store(conn, [Receipt(kind, key, campaign, n, word, _at(event), raw, reason)], now)
            if by:
                action = "play.failed" if event["event"] == "failed" else "play.done"
                detail = {"event": event["event"], "device": device.recipient_id}
                audit.record(conn, by, action, f"campaign/{campaign}", detail)


def key_of(recipient_id: int, campaign: int, event: str, at: object = None) -> str:
    """What makes an event one and the same. A person tells no time, so that saying it twice is saying it once."""
    return f"{recipient_id}/{campaign}/{event}/{at or ''}"


def _is_id(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**31


def _word(event: Mapping[str, Any]) -> str | None:
    name = str(event.get("event"))
    if name not in EVENTS:
        raise BadInput("event-unknown", f"event must be one of {', '.join(EVENTS)}")
    return EVENTS[name]


def _at(event: Mapping[str, Any]) -> int | None:
    """The device's own clock, kept beside ours; a wrong one must not cost the event."""
    try:
        return from_rfc3339(str(event["at"])) if event.get("at") else None
    except ValueError:
        return None
