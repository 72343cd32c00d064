"""What a person who works speakers and boards sees and says: by the device's own token, or signed in for their places."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from broadcaster import devices
from broadcaster.deliver import receipts
from broadcaster.deliver.folding import fold
from broadcaster.devices import DeviceRow
from broadcaster.installation import Installation
from broadcaster.model import PROOF_BITS, NotFound, Proof
from broadcaster.people import User, check, places_of
from broadcaster.store import feeds
from broadcaster.store import operating as stored
from broadcaster.store import receipts as inbox
from broadcaster.store.clock import rfc3339, wall_ms

PAGE = 50
MOST_WORDS = 6


@dataclass(frozen=True, slots=True)
class DeviceList:
    """One page of an operator's devices. `counties`: (code, name) to choose from; `county` the chosen code or ""."""

    lines: list[stored.DeviceLine]
    total: int
    page: int
    pages: int
    counties: list[tuple[str, str]]
    county: str


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
    said_at: str | None
    reason: str


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


def devices_of_operator(inst: Installation, user: User, words: str = "", county: str = "", page: int = 1) -> DeviceList:
    """The devices of an operator's places, PAGE at a time; those with something to play first.

    `words`: each stands in the device's name or in that of a place it lies in, or begins its place's code, or is its number.
    """
    check(user, "operator.play")
    prefixes = places_of(inst, user)
    with inst.store.read() as conn:
        counties = stored.counties(conn, prefixes)
        chosen = county if county in {code for code, _ in counties} else ""
        wanted = stored.Wanted(prefixes, chosen[:6], tuple(words.split()[:MOST_WORDS]))
        total = stored.devices_in_all(conn, wanted)
        pages = max(1, -(-total // PAGE))
        at = min(max(page, 1), pages)
        lines = stored.device_lines(conn, wanted, wall_ms(), PAGE, (at - 1) * PAGE)
    return DeviceList(lines, total, at, pages, counties, chosen)


def to_play(inst: Installation, device: DeviceRow) -> list[PlayItem]:
    """What a device has to play or show, now or later, the most urgent first, with what was said of it already."""
    now = wall_ms()
    with inst.store.read() as conn:
        rows = stored.to_play(conn, device.recipient_id, now)
        keys = [_key(device, row.campaign_id, event) for row in rows for event in (_done(device), "failed")]
        told = stored.told(conn, keys)
    return [_item(inst, device, row, told) for row in rows]


def _done(device: DeviceRow) -> str:
    return "finished" if device.channel == "loudspeaker" else "showing"


def _key(device: DeviceRow, campaign: int, event: str) -> str:
    return receipts.key_of(device.recipient_id, campaign, event)


def _item(inst: Installation, device: DeviceRow, row: stored.PlayRow, told: Mapping[str, tuple[int, str]]) -> PlayItem:
    """A receipt counts from when it is kept, not from when it is folded: a person sees their own word at once."""
    zone = inst.settings.timezone
    done, failed = (told.get(_key(device, row.campaign_id, event)) for event in (_done(device), "failed"))
    bit = PROOF_BITS[Proof.PLAYED if device.channel == "loudspeaker" else Proof.SHOWN]
    is_done, is_failed = done is not None or bool(row.proof & bit), failed is not None or row.outcome == "failed"
    said_by_person = done if is_done else failed
    return PlayItem(
        *(row.campaign_id, row.public_id, row.template_set, row.mode, row.level),
        begun=row.not_before_at <= wall_ms(),
        not_before=rfc3339(row.not_before_at, zone),
        expires=rfc3339(row.expires_at, zone),
        spoken=tuple((language, words) for language, words in json.loads(row.spoken or "[]")),
        clip=json.loads(row.clip or "{}"),
        pages=tuple(tuple(page) for page in json.loads(row.size).get("pages") or ()),
        done=is_done,
        failed=is_failed,
        said_at=rfc3339(said_by_person[0] if said_by_person else row.changed_at, zone),
        reason=_reason(row, failed) if is_failed else "",
    )


def _reason(row: stored.PlayRow, failed: tuple[int, str] | None) -> str:
    if row.outcome == "failed" and row.reason:
        return row.reason
    return str(json.loads(failed[1]).get("detail") or "") if failed else ""


def said(inst: Installation, device: DeviceRow, campaign: int, reason: str = "", by: str = "") -> None:
    """The person says that it was played or shown, or, with a reason, why not. Folded at once. Raises BadInput.

    `by` is the login of one who signed in, and goes into the audit.
    """
    event = {"campaign": campaign, "event": "failed" if reason else _done(device), "detail": reason or by}
    with inst.store.read() as conn:
        found = feeds.device_of(conn, device.recipient_id)
        before = inbox.newest(conn)
    if found is None:
        raise NotFound("device", "this device is no longer enrolled")
    receipts.take(inst, found, event, by)
    fold(inst, after=before)  # what a provider has told of 200,000 others is the sweep's work
