"""Released chunks to the bus. The chunk row is outbox, poll index and sweep in one."""

from collections.abc import Sequence
from threading import Event

import structlog
from sqlalchemy import Connection

from broadcaster.bus import Bus
from broadcaster.deliver.outlets import pulled_channel
from broadcaster.deliver.records import chunk_record
from broadcaster.installation import Installation
from broadcaster.model import Category, Unavailable
from broadcaster.store import delivering, sweeping
from broadcaster.store.clock import now_ms
from broadcaster.store.sweeping import DueChunk

log = structlog.get_logger(__name__)

BATCH = 200  # chunks per lane and turn: an emergency waits for at most one such batch of another lane


def fan_out(inst: Installation, bus: Bus) -> int:
    """Announces what is due, lane by lane, the most urgent first. Returns how many chunks.

    The record is kept before its row says so: a crash in between announces twice, which changes nothing.
    """
    return sum(_lane(inst, bus, lane) for lane in Category)


def _lane(inst: Installation, bus: Bus, lane: Category) -> int:
    with inst.store.read() as conn:
        due = sweeping.due_chunks(conn, lane, now_ms(conn), BATCH, pulled_channel(inst.settings))
    if not due:
        return 0
    bus.publish([chunk_record(inst.keys, chunk) for chunk in due])
    inst.store.transact(lambda conn: _announced(conn, due))
    return len(due)


def _announced(conn: Connection, due: Sequence[DueChunk]) -> None:
    """Campaigns before chunks: the order in which workers lock them."""
    now = now_ms(conn)
    for campaign_id in sorted({chunk.campaign_id for chunk in due}):
        delivering.mark_running(conn, campaign_id, now)
    sweeping.mark_published(conn, sorted(chunk.id for chunk in due), now)


def run(inst: Installation, bus: Bus, stop: Event) -> None:
    """Announces until told to stop. A bus or database that is away is waited for; nothing is lost meanwhile."""
    while not stop.is_set():
        try:
            found = fan_out(inst, bus)
        except Unavailable as error:
            log.warning("fan_out_waits", code=error.code, message=error.message)
            found = 0
        if not found:
            stop.wait(inst.settings.poll_seconds)
