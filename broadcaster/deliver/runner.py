"""The working threads of one process: workers by group of topics, the fan-out, the sweep."""

import threading
from collections.abc import Callable, Sequence
from functools import partial
from threading import Event

import structlog

from broadcaster.bus import Bus, FencedError, deliveries_topic, open_bus, over_kafka
from broadcaster.deliver import fanout, feed_news, news
from broadcaster.deliver.folding import fold
from broadcaster.deliver.silence import Silence
from broadcaster.deliver.sweep import sweep
from broadcaster.deliver.worker import Worker
from broadcaster.installation import Installation
from broadcaster.model import Category, Mode, Unavailable

log = structlog.get_logger(__name__)

SWEEP_SECONDS = 1.0
PATIENCE = 2.0  # seconds between tries while the database is away

# One thread each. An emergency has its own, so that it never waits behind a window of another lane.
GROUPS: dict[str, list[tuple[str, str]]] = {
    "sms-emergency": [("sms", Category.EMERGENCY)],
    "sms": [("sms", Category.NOTICE), ("sms", Category.PROMOTION)],
    "social": [("social", lane) for lane in Category],
    "feeds": [("loudspeaker", ""), ("billboard", "")],
}


def topics_of(group: str) -> list[str]:
    """Topics of a thread, live before exercise."""
    return [
        deliveries_topic(mode, channel, lane, pull=lane == "")
        for mode in Mode
        for channel, lane in GROUPS[group]
    ]  # fmt: skip


def emergency_of(group: str) -> list[str]:
    """Channels of which a thread carries emergencies."""
    return [channel for channel, lane in GROUPS[group] if lane in ("", Category.EMERGENCY)]


def run_workers(
    inst: Installation,
    stop: Event,
    name: str,
    groups: Sequence[str] = tuple(GROUPS),
    also: Sequence[str] = ("fan-out", "sweep"),
) -> None:
    """Runs the threads until told to stop, then lets each finish its window. Returns when all have ended.

    Raises the first error that a thread could not live with, after the others have stopped.
    """
    bus = open_bus(inst)
    jobs: list[tuple[str, Callable[[], None]]] = [
        (group, partial(_work, inst, bus, (name, group), stop)) for group in groups
    ]
    if "fan-out" in also:
        jobs.append(("fan-out", lambda: fanout.run(inst, bus, stop)))
        jobs.append(("news", lambda: news.run(inst, bus, stop)))
        if over_kafka(inst):
            jobs.append(("feed-news", lambda: feed_news.run(inst, bus, stop)))
    if "sweep" in also:
        jobs.append(("sweep", lambda: _sweep(inst, stop)))
    failed: list[BaseException] = []
    threads = [threading.Thread(target=_guard, args=(job, stop, failed), name=label) for label, job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    bus.close()
    if failed:
        raise failed[0]


def _work(inst: Installation, bus: Bus, who: tuple[str, str], stop: Event) -> None:
    name, group = who
    Worker(inst, bus, topics_of(group), f"{name}.{group}", emergency_of(group)).run(stop)


def _guard(job: Callable[[], None], stop: Event, failed: list[BaseException]) -> None:
    while not stop.is_set():
        try:
            job()
        except Unavailable as error:  # nothing is lost meanwhile: what was claimed is judged when its lease runs out
            log.warning("waits", code=error.code, message=error.message)
            stop.wait(PATIENCE)
        except FencedError as error:  # known to a person: its message says what to do
            failed.append(error)
            stop.set()
        except BaseException as error:
            log.exception("thread_ended", thread=threading.current_thread().name)
            failed.append(error)
            stop.set()


def _sweep(inst: Installation, stop: Event) -> None:
    silence = Silence(inst)
    while not stop.is_set():
        sweep(inst)
        fold(inst, stop)
        silence.step(stop)
        stop.wait(SWEEP_SECONDS)
