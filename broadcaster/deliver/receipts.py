"""What devices say of their feeds: kept first, then folded in batches. Proof only ever joins; a receipt twice changes nothing."""

import json
from collections.abc import Mapping
from typing import Any, TypeGuard

import structlog
from sqlalchemy import Connection

from broadcaster import audit
from broadcaster.installation import Installation
from broadcaster.keys import fingerprint
from broadcaster.model import OUTCOME_MOVES, PROOF_BITS, BadInput, NotFound, Outcome, Proof
from broadcaster.store import feeds, receipts
from broadcaster.store.clock import from_rfc3339, wall_ms
from broadcaster.store.counters import Tally
from broadcaster.store.feeds import FeedDevice
from broadcaster.store.receipts import OpenReceipt, Receipt

log = structlog.get_logger(__name__)

BATCH = 1000
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
            raw = json.dumps({"event": event["event"], "detail": str(event.get("detail") or "")[:DETAIL_MOST]})
            receipts.store(conn, [Receipt(kind, key, campaign, n, word, _at(event), raw)], now)
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


def fold(inst: Installation) -> int:
    """Folds one batch of what came in. Returns how many receipts."""
    with inst.store.read() as conn:
        if not receipts.any_open(conn):
            return 0
    return inst.store.transact(_fold)


def _fold(conn: Connection) -> int:
    rows = receipts.open_receipts(conn, BATCH)
    tallies: dict[int, Tally] = {}
    now = wall_ms()
    # In order of the deliveries, as everybody who locks several of them; what one delivery is told stays in its own order.
    ordered = sorted(rows, key=lambda r: (r.campaign_id, r.n, r.id))
    done = [row.id for row in ordered if _fold_one(conn, row, tallies.setdefault(row.campaign_id, Tally()), now)]
    receipts.mark_folded(conn, done, now)
    for campaign_id, tally in sorted(tallies.items()):
        tally.write(conn, campaign_id, "receipts")
    return len(done)


def _fold_one(conn: Connection, receipt: OpenReceipt, tally: Tally, now: int) -> bool:
    """False where it must wait: the worker that is sending this delivery has not recorded its own answer yet."""
    who = (receipt.campaign_id, receipt.n)
    standing = receipts.standing(conn, *who)
    if standing is None:
        log.warning("receipt_without_delivery", campaign_id=receipt.campaign_id)
        return True
    outcome, proof, cut = standing
    if receipt.word in PROOF_BITS:
        bit = PROOF_BITS[Proof(receipt.word)]
        if not proof & bit:
            receipts.set_proof(conn, *who, proof | bit, now)
            tally.add(cut, receipt.word)
        return True
    if outcome == Outcome.SENDING:
        return False
    after = Outcome(receipt.word)
    if after in OUTCOME_MOVES[Outcome(outcome)]:
        reason = json.loads(receipt.raw).get("detail") or "device-failed"
        if receipts.set_outcome(conn, *who, (outcome, after, reason), now):
            tally.move(cut, outcome, after)
    return True
