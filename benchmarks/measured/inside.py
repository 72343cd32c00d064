"""Where the time of one process goes, and how fast claims and outcomes are with nothing around them. Embedded, spool."""

import tempfile
import time
from pathlib import Path
from threading import Event
from typing import Any

from broadcaster.bus import open_bus
from broadcaster.cli.demo import _draft
from broadcaster.cli.demo_home import furnish
from broadcaster.compose import campaigns
from broadcaster.deliver.fanout import fan_out
from broadcaster.deliver.messages import Messages
from broadcaster.deliver.runner import topics_of
from broadcaster.deliver.sending import Sender, Sent, Window
from broadcaster.deliver.worker import Worker
from broadcaster.installation import Installation, initialise
from broadcaster.people import find_user
from broadcaster.store import delivering, windows
from broadcaster.store.clock import now_ms
from broadcaster.store.counters import counting
from broadcaster.store.delivering import ChunkRow
from broadcaster.store.recording import Held, record_accepted
from channels.base import ACCEPTED, Answer, Message

ONE_BY_ONE = 1_000


class TimedMessages(Messages):
    """Notes how long it opens addresses and fills wordings."""

    taken = 0.0

    def made(self, *given: Any, **more: Any) -> list[Message | Answer]:
        begun = time.perf_counter()
        made = super().made(*given, **more)
        self.taken += time.perf_counter() - begun
        return made


class TimedSender(Sender):
    """Notes how long the channel takes."""

    sending = 0.0

    def __init__(self, inst: Installation) -> None:
        super().__init__(inst)
        self._messages: TimedMessages = TimedMessages(inst)

    @property
    def filling(self) -> float:
        """Seconds that the messages took."""
        return self._messages.taken

    def send(self, chunk: ChunkRow, window: Window, stop: Event) -> Sent:
        begun, before = time.perf_counter(), self.filling
        sent = super().send(chunk, window, stop)
        self.sending += time.perf_counter() - begun - (self.filling - before)
        return sent


class SilentSender(Sender):
    """Claims and outcomes alone: no address is opened, no text made, nothing sent."""

    def send(self, chunk: ChunkRow, window: Window, stop: Event) -> Sent:  # noqa: ARG002
        return Sent(window, [ACCEPTED] * len(window.rows), "none")


def prepared(folder: Path, phones: int, **settings: Any) -> tuple[Installation, int, float]:
    """A home with so many phones and an approved campaign to them; seconds that its submit took."""
    inst = initialise(home=folder, sms_provider="spool", social_provider="spool", **settings)
    furnish(inst, (phones, 0, 0), 1)
    author, approver = find_user(inst, "author"), find_user(inst, "approver")
    made = campaigns.create(inst, author, _draft())
    begun = time.perf_counter()
    submitted = campaigns.submit(inst, author, made.id)
    took = time.perf_counter() - begun
    campaigns.approve(inst, approver, made.id, submitted.sealed_digest)
    return inst, int(submitted.planned or 0), took


def carry_out(inst: Installation, make: type[Sender]) -> tuple[float, list[Sender]]:
    """Seconds until one process, one thread, has counted everything; the senders that did it."""
    bus = open_bus(inst)
    workers = [Worker(inst, bus, topics_of(group), group) for group in ("sms", "social")]
    senders = [make(inst) for _ in workers]
    for worker, sender in zip(workers, senders, strict=True):
        worker._sender = sender
    begun = time.perf_counter()
    while True:
        moved = fan_out(inst, bus)
        for worker in workers:
            while worker.step():
                moved += 1
        if not moved:
            return time.perf_counter() - begun, senders


def one_by_one(inst: Installation, most: int) -> float:
    """Deliveries a second where each has a claim and an outcome of its own, each durable: what a window of 1 costs."""
    with inst.store.read() as conn:
        chunk = delivering.chunk_row(conn, 1)
    assert chunk is not None
    begun = time.perf_counter()
    for n in range(1, most + 1):
        with inst.store.write() as conn, counting(conn, chunk.campaign_id) as turn:
            now = now_ms(conn)
            lease, rows = windows.claim(turn, windows.Wanted(chunk, (n, n), "bench", now + 30_000, ("never",)), now)
        with inst.store.write() as conn, counting(conn, chunk.campaign_id) as turn:
            windows.end_lease(conn, lease)
            record_accepted(turn, Held(lease, "none"), rows, now_ms(conn))
    return most / (time.perf_counter() - begun)


def stages(phones: int) -> dict[str, float]:
    """Deliveries a second of one process, and the shares of its time."""
    with tempfile.TemporaryDirectory() as folder:
        inst, planned, submit = prepared(Path(folder), phones)
        took, senders = carry_out(inst, TimedSender)
        filling = sum(s.filling for s in senders if isinstance(s, TimedSender))
        sending = sum(s.sending for s in senders if isinstance(s, TimedSender))
        inst.close()
    return {
        "rate": planned / took,
        "submit": submit,
        "planned": planned,
        "filling": filling / took,
        "sending": sending / took,
    }


def claims_alone(phones: int) -> float:
    """Deliveries a second of claims and outcomes by windows of 100."""
    with tempfile.TemporaryDirectory() as folder:
        inst, planned, _ = prepared(Path(folder), phones)
        took, _ = carry_out(inst, SilentSender)
        inst.close()
    return planned / took


def each_alone(phones: int) -> float:
    """Deliveries a second one by one."""
    with tempfile.TemporaryDirectory() as folder:
        inst, planned, _ = prepared(Path(folder), phones)
        rate = one_by_one(inst, planned)
        inst.close()
    return rate


def measured(phones: int) -> dict[str, float]:
    """All of it once."""
    return {**stages(phones), "claims": claims_alone(phones), "each": each_alone(ONE_BY_ONE)}
