"""How fast a campaign goes from its approval to its last count, beside what the same machine does with less around it.

Prints ratios of things measured side by side in one run; absolute figures drift with the machine. Run: ./scripts/bench pipeline
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any

from broadcaster.bus import open_bus
from broadcaster.cli.demo import _draft
from broadcaster.cli.demo_home import furnish
from broadcaster.compose import campaigns
from broadcaster.deliver.fanout import fan_out
from broadcaster.deliver.runner import topics_of
from broadcaster.deliver.sending import Sender, Sent, Window
from broadcaster.deliver.worker import Worker
from broadcaster.installation import Installation, initialise
from broadcaster.people import find_user
from broadcaster.store import delivering
from broadcaster.store.clock import now_ms
from broadcaster.store.counters import counting
from broadcaster.store.recording import Held, record_accepted
from channels.base import ACCEPTED, Answer, Message


class TimedSender(Sender):
    """Notes how long it opens addresses and fills wordings, and how long the channel takes."""

    filling = sending = 0.0

    def _messages(self, window: Window, callback: Callable[[str], str]) -> list[Message | Answer]:
        begun = time.perf_counter()
        made = super()._messages(window, callback)
        self.filling += time.perf_counter() - begun
        return made

    def send(self, chunk: delivering.ChunkRow, window: Window, stop: Event) -> Sent:
        begun, before = time.perf_counter(), self.filling
        sent = super().send(chunk, window, stop)
        self.sending += time.perf_counter() - begun - (self.filling - before)
        return sent


class SilentSender(Sender):
    """Claims and outcomes alone: no address is opened, no text made, nothing sent."""

    def send(self, chunk: delivering.ChunkRow, window: Window, stop: Event) -> Sent:  # noqa: ARG002
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
            lease = delivering.new_lease(conn, chunk, (n, n), "bench", now + 30_000)
            rows = delivering.claim(turn, lease, (n, n), now)
        with inst.store.write() as conn, counting(conn, chunk.campaign_id) as turn:
            delivering.end_lease(conn, lease)
            record_accepted(turn, Held(lease, "none"), rows, now_ms(conn))
    return most / (time.perf_counter() - begun)


def whole_program(
    phones: int, workers: int, extra: tuple[str, ...] = ("--speakers", "0", "--boards", "0")
) -> dict[str, Any]:
    """The demo as a person runs it: processes, bus, spool. Its own answer."""
    with tempfile.TemporaryDirectory() as folder:
        words = ["demo", "--once", "--recipients", str(phones), "--workers", str(workers), *extra, "--json"]
        command = [sys.executable, "-P", "-m", "broadcaster.cli", "--home", folder, *words]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=900)
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer


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


def report(options: argparse.Namespace) -> None:
    """Runs everything in turn, round after round, and prints medians with their spread."""
    rounds: list[dict[str, float]] = []
    for number in range(options.rounds):
        print(f"round {number + 1} of {options.rounds} ...", file=sys.stderr)
        program = whole_program(options.recipients, options.workers)
        inside = stages(min(options.recipients, 100_000))
        rounds.append(
            {
                "program": program["per_second"],
                "program_submit": program["seconds"]["submit"],
                "one_process": inside["rate"],
                "filling": inside["filling"],
                "sending": inside["sending"],
                "claims": claims_alone(min(options.recipients, 100_000)),
                "each": each_alone(3_000),
            }
        )
    show(options, {name: [r[name] for r in rounds] for name in rounds[0]})


def show(options: argparse.Namespace, found: dict[str, list[float]]) -> None:
    """The table."""

    def line(label: str, values: list[float], unit: str) -> None:
        spread = f"({min(values):,.2f} - {max(values):,.2f})"
        print(f"{label:58} {statistics.median(values):>10,.2f} {unit}   {spread}")

    def ratio(above: str, below: str) -> list[float]:
        return [a / b for a, b in zip(found[above], found[below], strict=True)]

    head = f"{options.recipients:,} phones, spool, SQLite with synchronous=FULL"
    print(f"{head}, {options.workers} worker processes; {options.rounds} rounds")
    line("submit: render, measure, plan, seal, write", found["program_submit"], "s")
    line("whole program, approve -> all counted", found["program"], "deliveries/s")
    line("one process, fan-out and worker in turn", found["one_process"], "deliveries/s")
    line("claims and outcomes alone, window 100", found["claims"], "deliveries/s")
    line("claims and outcomes one by one", found["each"], "deliveries/s")
    line("ratio: whole program / claims and outcomes alone", ratio("program", "claims"), "x")
    line("ratio: whole program / one by one", ratio("program", "each"), "x")
    print("where the time of one process goes:")
    line("  addresses opened, wordings filled", [100 * v for v in found["filling"]], "%")
    line("  spool: written and synced", [100 * v for v in found["sending"]], "%")
    rest = [100 * (1 - a - b) for a, b in zip(found["filling"], found["sending"], strict=True)]
    line("  claims, outcomes, counters, bus", rest, "%")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipients", type=int, default=200_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    report(parser.parse_args())
