"""Every changed feed to the bus, so that feed servers hold them all in memory and a poll asks no database."""

from itertools import islice
from threading import Event

import structlog

from broadcaster.bus import Bus, Record
from broadcaster.deliver.feeds import build
from broadcaster.deliver.records import feed_record, gone_record
from broadcaster.installation import Installation
from broadcaster.model import Mode, Unavailable
from broadcaster.store import feeds
from broadcaster.store.clock import now_ms

log = structlog.get_logger(__name__)

PAGE = 500  # devices read and published at once
LOOK_SECONDS = 0.2  # a cancel is to be everywhere within a second


def tell_feeds(inst: Installation, bus: Bus) -> int:
    """Publishes what changed since the last time. Returns how many devices. Raises Unavailable.

    What is told is noted after it is on the bus: a crash in between tells it twice. Where another process was quicker, its records
    may lie before older ones of ours, so that ours are told anew until nobody was.
    """
    with inst.store.read() as conn:
        version, told = feeds.version(conn), feeds.told(conn)
        changed = feeds.changed_since(conn, told) if version > told else []
    if version <= told:
        return 0
    while True:
        _publish(inst, bus, changed)
        with inst.store.write() as conn:
            if feeds.mark_told(conn, told, version):
                return len(changed)
            told, version = feeds.told(conn), max(version, feeds.told(conn))


def _publish(inst: Installation, bus: Bus, changed: list[int]) -> None:
    ids = iter(changed)
    while page := list(islice(ids, PAGE)):
        bus.publish(_records(inst, page))


def _records(inst: Installation, recipient_ids: list[int]) -> list[Record]:
    with inst.store.read() as conn:
        devices = feeds.devices_of(conn, recipient_ids)
        items = feeds.items_of_many(conn, recipient_ids, now_ms(conn))
    found = []
    for device, token in devices:
        feed = build(inst, device, items.get(device.recipient_id, []))
        head = {
            "token": token.hex(),
            "channel": feed.channel,
            "format": feed.format,
            "sequence": str(feed.sequence),
        }
        found.append(feed_record(inst.keys, feed.mode, feed.recipient_id, feed.manifest, head))
    gone = set(recipient_ids) - {device.recipient_id for device, _ in devices}
    return found + [gone_record(inst.keys, mode, who) for who in sorted(gone) for mode in Mode]


def run(inst: Installation, bus: Bus, stop: Event) -> None:
    """Tells until told to stop. With the bus away feed servers read the database; changes are told when it is back."""
    while not stop.is_set():
        try:
            tell_feeds(inst, bus)
        except Unavailable as error:
            log.warning("feed_news_wait", code=error.code, message=error.message)
            stop.wait(inst.settings.poll_seconds)
        stop.wait(LOOK_SECONDS)
