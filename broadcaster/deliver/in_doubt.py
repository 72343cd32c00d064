"""Messages that may or may not have arrived: the provider is asked for a quarter of an hour, then a person decides."""

from collections.abc import Mapping
from threading import Event
from typing import Any

import structlog
from sqlalchemy import Connection

from broadcaster import audit
from broadcaster.deliver import callbacks
from broadcaster.deliver.messages import Messages
from broadcaster.deliver.outlets import PULL_GATEWAY, outlet, providers_of
from broadcaster.installation import Installation
from broadcaster.model import CampaignState, Mode, NotFound, Refused, Unavailable
from broadcaster.people import check
from broadcaster.policy import User
from broadcaster.store import delivering, providers, receipts, windows
from broadcaster.store import in_doubt as stored
from broadcaster.store.clock import now_ms, rfc3339
from broadcaster.store.in_doubt import Sought
from channels.base import ChannelError, Message
from channels.providers import Searchable
from channels.sms import Sms

log = structlog.get_logger(__name__)

SOUGHT_FOR_MS = 15 * 60_000
EVERY_S = 30.0
BATCH = 50  # look-ups of one pass: each is a request of its own
SHOWN_MOST = 200


def listed(inst: Installation, user: User) -> list[dict[str, Any]]:
    """{"campaign", "name", "category", "channel", "provider", "reason", "n", "newest", "expires"} of what nobody has decided yet.

    Raises Refused.
    """
    check(user, "doubt.see")
    with inst.store.report() as conn:
        rows = stored.listed(conn, SHOWN_MOST)
    zone = inst.settings.timezone
    return [
        {
            "campaign": row.campaign_id,
            "name": row.name,
            "category": row.category,
            "channel": row.channel,
            "provider": row.provider,
            "reason": row.reason,
            "n": row.n,
            "newest": rfc3339(row.newest_at, zone),
            "expires": rfc3339(row.expires_at, zone),
        }
        for row in rows
    ]


def undecided(inst: Installation, user: User, campaign_id: int) -> int:
    """How many of a campaign may arrive twice where they are sent again. Raises Refused."""
    check(user, "doubt.see")
    with inst.store.report() as conn:
        return stored.undecided(conn, campaign_id)


def send_again(inst: Installation, user: User, campaign_id: int) -> int:
    """Sends a campaign's deliveries in doubt once more: some people will hear it twice. Returns how many.

    Raises NotFound; Refused for a campaign that was cancelled or is past its time.
    """
    check(user, "doubt.decide")
    return _decided(inst, user, campaign_id, "doubt.send-again")


def leave(inst: Installation, user: User, campaign_id: int) -> int:
    """Leaves them unknown; nobody is asked again. Returns how many. Raises NotFound, Refused."""
    check(user, "doubt.decide")
    return _decided(inst, user, campaign_id, "doubt.leave")


def _decided(inst: Installation, user: User, campaign_id: int, action: str) -> int:
    return inst.store.transact(lambda conn: _decide(conn, user, campaign_id, action))


def _decide(conn: Connection, user: User, campaign_id: int, action: str) -> int:
    again = action == "doubt.send-again"
    delivering.lock_campaign(conn, campaign_id)
    campaign, now = windows.campaign_now(conn, campaign_id), now_ms(conn)
    if campaign is None:
        raise NotFound("campaign", f"there is no campaign {campaign_id}; type: broadcaster campaign list")
    going = campaign.sendable or campaign.state == CampaignState.FINISHED
    if again and (not going or campaign.expires_at <= now):
        raise Refused("campaign-over", f"campaign {campaign_id} was cancelled or its time is over: nothing goes out")
    n = stored.send_again(conn, campaign_id, now) if again else stored.leave(conn, campaign_id)
    if n:
        audit.record(conn, user.login, action, f"campaign/{campaign_id}", {"deliveries": n})
    return n


def run(inst: Installation, stop: Event) -> None:
    """Asks providers that can be asked, until told to stop."""
    searchable = _searchable(inst)
    try:
        while not stop.wait(EVERY_S):
            try:
                mine: bool = bool(searchable) and inst.store.transact(_my_turn)
                if mine:
                    look_up(inst, searchable)
            except Unavailable as error:
                log.warning("look_up_waits", code=error.code, message=error.message)
    finally:
        for channel in searchable.values():
            channel.close()


def _my_turn(conn: Connection) -> bool:
    """One of all processes asks; the pause is a little shorter than theirs, so that none waits twice as long."""
    every = int(EVERY_S * 900_000)
    return providers.take_turn(conn, "every", "look-up", every, now_ms(conn) * 1000)


def look_up(inst: Installation, searchable: Mapping[str, Sms]) -> int:
    """One pass: what a provider tells of a message goes into the inbox as a receipt. Returns how many. Raises Unavailable."""
    with inst.store.read() as conn:
        found = stored.sought(conn, now_ms(conn) - SOUGHT_FOR_MS, BATCH)
    maker, told = Messages(inst), 0
    for each in found:
        # A window whose worker died names no provider: the first that can be asked is.
        name = each.provider if each.provider in searchable else next(iter(searchable))
        if each.provider and each.provider != name:
            continue
        told += _asked(inst, maker, searchable[name], each)
    return told


def _asked(inst: Installation, maker: Messages, channel: Sms, sought: Sought) -> bool:
    campaign = inst.store.transact(lambda conn: windows.campaign_now(conn, sought.campaign_id))  # it takes a lock
    if campaign is None or not isinstance(channel.provider, Searchable):
        return False
    (message,) = maker.made(campaign, [sought.row], lambda _delivery: "")
    if not isinstance(message, Message):
        return False
    since = sought.since_at - int(inst.settings.lease_seconds * 1000) - 60_000  # it was sent before it was in doubt
    receipt = channel.provider.look_up(message, since)
    if receipt is None:
        return False
    rows = callbacks.on_path(channel.settings.provider, message.delivery, [receipt])
    inst.store.transact(lambda conn: receipts.store(conn, rows, now_ms(conn)))
    return True


def _searchable(inst: Installation) -> dict[str, Sms]:
    found: dict[str, Sms] = {}
    for name in providers_of(inst.settings, Mode.LIVE, "sms"):
        if name in ("spool", PULL_GATEWAY):
            continue
        try:
            channel = outlet(inst, Mode.LIVE, "sms", name)
        except ChannelError:  # the workers tell it
            continue
        if isinstance(channel, Sms) and isinstance(channel.provider, Searchable):
            found[name] = channel
    return found
