"""Speakers and boards: enrolment, what they say of themselves, who is silent."""

from collections.abc import Iterable

from sqlalchemy import Connection

from broadcaster import audit
from broadcaster.installation import Installation
from broadcaster.keys import fingerprint, new_token
from broadcaster.model import BadInput, Mode, NotFound
from broadcaster.store import devices as stored
from broadcaster.store.clock import now_ms
from broadcaster.store.devices import DeviceRow

__all__ = ["DeviceRow"]

CHANNELS = ("loudspeaker", "billboard")
DETAIL_MOST = 500  # characters of a device's own words that are kept
MINUTE_MS = 60_000


def enrol(inst: Installation, actor: str, recipient_ids: Iterable[int], mode: str = Mode.LIVE) -> dict[int, str]:
    """Gives each recipient a feed token: {recipient id: token}, shown this once. It replaces an older one at once.

    All or nothing. Raises BadInput where an id is no active loudspeaker or billboard, or the mode is unknown.
    """
    if mode not in set(Mode):
        raise BadInput("mode", f"a device plays {' or '.join(Mode)}, not {mode!r}")
    wanted = sorted(set(recipient_ids))
    if not wanted:
        return {}
    tokens = {recipient_id: new_token() for recipient_id in wanted}
    with inst.store.write() as conn:
        _refuse_others(conn, wanted)
        stored.enrol(conn, [(who, fingerprint(token)) for who, token in tokens.items()], mode, now_ms(conn))
        ids = wanted if len(wanted) <= 20 else [wanted[0], wanted[-1]]
        detail = {"devices": len(wanted), "mode": str(mode), "recipients" if len(wanted) <= 20 else "from_to": ids}
        audit.record(conn, actor, "device.enrol", "device", detail)
    return tokens


def revoke(inst: Installation, actor: str, recipient_id: int) -> None:
    """Ends a device's token; its sequence stays, so that a later token goes on from there. Raises NotFound."""
    with inst.store.write() as conn:
        found = stored.by_recipient(conn, recipient_id)
        if found is None:
            raise NotFound("device", f"the recipient {recipient_id} is no enrolled device")
        stored.enrol(conn, [(recipient_id, fingerprint(new_token()))], found.mode, now_ms(conn))  # a token nobody knows
        audit.record(conn, actor, "device.revoke", f"recipient/{recipient_id}", {})


def recipient_of(conn: Connection, token: str) -> DeviceRow | None:
    """The device of a token; None for an unknown one."""
    return stored.by_token(conn, fingerprint(token))


def find(inst: Installation, recipient_id: int) -> DeviceRow:
    """The device that a recipient is. Raises NotFound."""
    with inst.store.read() as conn:
        found = stored.by_recipient(conn, recipient_id)
    if found is None:
        raise NotFound("device", f"there is no device {recipient_id}")
    return found


def heartbeat(inst: Installation, token: str, detail: str | None = None) -> None:
    """A device says that it is alive, and of itself what it likes. Raises NotFound for an unknown token."""
    with inst.store.write() as conn:
        found = recipient_of(conn, token)
        if found is None:
            raise NotFound("token-unknown", "no such feed")
        stored.heartbeat(conn, found.recipient_id, now_ms(conn), detail[:DETAIL_MOST] if detail else None)


def silent(inst: Installation, minutes: int, limit: int = 1000) -> list[DeviceRow]:
    """Devices not heard of for so many minutes; those never heard of first."""
    with inst.store.read() as conn:
        return stored.silent(conn, now_ms(conn) - minutes * MINUTE_MS, limit)


def devices_under(inst: Installation, places: Iterable[str], limit: int = 1000) -> list[DeviceRow]:
    """Devices in the places that these prefixes name; none for no prefix."""
    with inst.store.read() as conn:
        return stored.under(conn, list(places), limit)


def _refuse_others(conn: Connection, wanted: list[int]) -> None:
    channels = stored.channels_of(conn, wanted)
    bad = [who for who in wanted if channels.get(who) not in CHANNELS]
    if bad:
        some = ", ".join(map(str, bad[:5]))
        raise BadInput("device-channel", f"no active loudspeaker or billboard: recipient {some}; {len(bad)} in all")
