"""What a person who works speakers and boards sees and says: by the device's own token, or signed in for their places."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from broadcaster import devices
from broadcaster.deliver import receipts
from broadcaster.devices import DeviceRow
from broadcaster.installation import Installation
from broadcaster.model import PROOF_BITS, NotFound, Proof
from broadcaster.people import User, check, places_of
from broadcaster.store import feeds
from broadcaster.store import operating as stored
from broadcaster.store.clock import rfc3339, wall_ms

LISTED = 500


@dataclass(frozen=True, slots=True)
class PlayItem:
    """One thing to play or show. Times RFC 3339; `clip` is as the wording holds it, empty for a board."""

    campaign: int
    public_id: str
    template_set: str
    mode: str
    level: str | None
    begun: bool
    not_before: str | None
    expires: str | None
    spoken: tuple[tuple[str, str], ...]
    clip: Mapping[str, Any]
    pages: tuple[tuple[str, ...], ...]
    done: bool
    failed: bool


def device_of_token(inst: Installation, token: str) -> DeviceRow:
    """The device whose token this is. Raises NotFound, with no hint why."""
    with inst.store.read() as conn:
        found = devices.recipient_of(conn, token)
    if found is None:
        raise NotFound("token-unknown", "no such feed")
    return found


def device_of_operator(inst: Installation, user: User, recipient_id: int) -> DeviceRow:
    """A device that an operator works. Raises Refused; NotFound also for a device elsewhere."""
    check(user, "operator.play")
    found = devices.find(inst, recipient_id)
    if not found.place.startswith(places_of(inst, user)):
        raise NotFound("device", f"there is no device {recipient_id} in your places")
    return found


def devices_of_operator(inst: Installation, user: User) -> list[tuple[DeviceRow, int]]:
    """The devices of an operator's places, each with how many things there are to play; those with something first."""
    check(user, "operator.play")
    found = devices.devices_under(inst, places_of(inst, user), LISTED)
    with inst.store.read() as conn:
        items = stored.items_of(conn, [row.recipient_id for row in found], wall_ms())
    return sorted(((row, items.get(row.recipient_id, 0)) for row in found), key=lambda pair: pair[1] == 0)


def to_play(inst: Installation, device: DeviceRow) -> list[PlayItem]:
    """What a device has to play or show, now or later, the most urgent first."""
    now, zone = wall_ms(), inst.settings.timezone
    with inst.store.read() as conn:
        rows = stored.to_play(conn, device.recipient_id, now)
    bit = PROOF_BITS[Proof.PLAYED if device.channel == "loudspeaker" else Proof.SHOWN]
    return [
        PlayItem(
            *(row.campaign_id, row.public_id, row.template_set, row.mode, row.level),
            begun=row.not_before_at <= now,
            not_before=rfc3339(row.not_before_at, zone),
            expires=rfc3339(row.expires_at, zone),
            spoken=tuple((language, words) for language, words in json.loads(row.spoken or "[]")),
            clip=json.loads(row.clip or "{}"),
            pages=tuple(tuple(page) for page in json.loads(row.size).get("pages") or ()),
            done=bool(row.proof & bit),
            failed=row.outcome == "failed",
        )
        for row in rows
    ]


def said(inst: Installation, device: DeviceRow, campaign: int, reason: str = "", by: str = "") -> None:
    """The person says that it was played or shown, or, with a reason, why not. Folded at once. Raises BadInput."""
    done = "finished" if device.channel == "loudspeaker" else "showing"
    event = {"campaign": campaign, "event": "failed" if reason else done, "detail": reason or by}
    with inst.store.read() as conn:
        found = feeds.device_of(conn, device.recipient_id)
    if found is None:
        raise NotFound("device", "this device is no longer enrolled")
    receipts.take(inst, found, event)
    receipts.fold(inst)
