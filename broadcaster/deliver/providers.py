"""How the providers stand: asked once a minute, and what of it a person must be told."""

from collections.abc import Iterator
from threading import Event
from typing import NamedTuple

import structlog
from sqlalchemy import Connection

from broadcaster.deliver.outlets import PULL_GATEWAY, outlet, providers_of
from broadcaster.installation import Installation
from broadcaster.model import Mode, Unavailable
from broadcaster.store import providers as stored
from broadcaster.store.clock import now_ms
from broadcaster.store.providers import RECEIPTS, WHOLE, ProviderRow
from channels.base import Channel, ChannelError, Health
from channels.providers import Telling
from channels.sms import Sms

log = structlog.get_logger(__name__)

LOOK_EVERY_S = 60.0
WEEK_MS = 7 * 86_400_000


class Trouble(NamedTuple):
    """Something about a provider that a person must see to. `code`: stopped, busy, ill, balance-low, silent. Time in ms."""

    code: str
    provider: str
    lane: str
    since_at: int
    detail: str


def troubles(inst: Installation) -> list[Trouble]:
    """What is wrong with the providers that carry SMS now, the gravest first."""
    with inst.store.read() as conn:
        rows, now = stored.standing(conn), now_ms(conn)
    used = providers_of(inst.settings, Mode.LIVE, "sms")
    found = [each for row in rows if row.provider in used for each in _found(inst, row, now)]
    grave = ("stopped", "ill", "balance-low", "silent", "busy")
    return sorted(found, key=lambda each: (grave.index(each.code), each.provider, each.lane))


def _found(inst: Installation, row: ProviderRow, now: int) -> Iterator[Trouble]:
    def told(code: str, detail: str = "") -> Trouble:
        return Trouble(code, row.provider, row.lane, row.since_at, detail)

    if row.lane == RECEIPTS:
        if row.state == "waiting" and now - row.since_at > inst.settings.sms_silence_minutes * 60_000:
            yield told("silent")
        return
    if row.state != "ok":
        code = "ill" if row.lane == WHOLE else row.state
        yield told(code, " ".join(word for word in (row.reason, row.detail) if word))
    least = inst.settings.sms_balance_least
    if row.balance and least and float(row.balance.split()[0]) < least:
        yield told("balance-low", row.balance)


def run(inst: Installation, stop: Event) -> None:
    """Asks until told to stop; one process of all asks each provider."""
    channels = dict(_told_by(inst))
    try:
        while not stop.is_set():
            try:
                for name, channel in channels.items():
                    look(inst, name, channel)
            except Unavailable as error:
                log.warning("providers_wait", code=error.code, message=error.message)
            stop.wait(LOOK_EVERY_S)
    finally:
        for channel in channels.values():
            channel.close()


def look(inst: Installation, name: str, channel: Channel) -> None:
    """One look at a provider, where no other process has had one within the last minute. Raises Unavailable."""
    before = int(LOOK_EVERY_S * 900)
    if not inst.store.transact(lambda conn: stored.take_look(conn, name, now_ms(conn) - before, now_ms(conn))):
        return
    provider = channel.provider if isinstance(channel, Sms) else None
    health = provider.health() if isinstance(provider, Telling) else Health(True)
    balance = None if health.balance is None else f"{health.balance:.2f} {health.currency}".strip()
    said = (health.detail, health.queued, balance)
    inst.store.transact(lambda conn: stored.told(conn, name, "ok" if health.ok else "ill", said, now_ms(conn)))
    if channel.has_receipts:
        inst.store.transact(lambda conn: _silence(conn, name, now_ms(conn)))


def _silence(conn: Connection, name: str, now: int) -> None:
    """Whether receipts have been awaited since the provider last took a message, and since when."""
    lanes = [row.seen_at for row in stored.standing(conn) if row.provider == name and row.lane not in {WHOLE, RECEIPTS}]
    newest = stored.last_receipt(conn, name, now - WEEK_MS)
    waits = max(lanes, default=0) > newest and now - newest > LOOK_EVERY_S * 1000
    stored.mark(conn, (name, RECEIPTS), ("waiting" if waits else "ok", "", ""), now)


def _told_by(inst: Installation) -> Iterator[tuple[str, Channel]]:
    for name in providers_of(inst.settings, Mode.LIVE, "sms"):
        if name in ("spool", PULL_GATEWAY):
            continue
        try:
            yield name, outlet(inst, Mode.LIVE, "sms", name)
        except ChannelError as error:  # the workers tell it too, at their first message
            _ill(inst, name, str(error))


def _ill(inst: Installation, name: str, message: str) -> None:
    inst.store.transact(lambda conn: stored.mark(conn, (name, WHOLE), ("ill", "settings", message), now_ms(conn)))
