"""Whether records are lost, asked of a bus that knows how many still lie ahead of its workers.

A topic with fewer records ahead than it has announced and unfinished chunks has lost some. Which, it cannot tell: all of it that is
old enough is announced again. A backlog that only waits its turn is left alone: its log would grow by itself at every look. What is
worked on counts on both sides; a copy ahead hides a loss until the workers have come past it, never longer.
"""

import time
from collections import Counter
from collections.abc import Mapping

import structlog

from broadcaster.bus import Bus, deliveries_topic
from broadcaster.installation import Installation
from broadcaster.model import Category, Unavailable
from broadcaster.store import lost
from broadcaster.store.clock import now_ms
from broadcaster.store.lost import Announced
from channels import channel_class

log = structlog.get_logger(__name__)

SHARE = 20  # a look takes at most a twentieth of the time: some 50 ms every 2 s while a backlog lasts
LEAST_S, MOST_S = 2.0, 10.0


class Lookout:
    """Looks for lost records from time to time."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._next = 0.0

    def forget_lost(self, inst: Installation, ages: Mapping[Category, int]) -> int:
        """Chunks whose records are lost are to be announced again. `ages`: per lane, ms after which one may be called so."""
        began = time.monotonic()
        if began < self._next:
            return 0
        with inst.store.read() as conn:
            now = now_ms(conn)
            old = [each for each in lost.announced(conn, now) if _old(each, ages, now)]
        if not old:
            return 0
        ahead = self._ahead()
        self._next = time.monotonic() + min(MOST_S, max(LEAST_S, SHARE * (time.monotonic() - began)))
        if ahead is None:
            return 0
        # Counted after the bus was asked, of what was announced before that: what is finished meanwhile makes it less, never more.
        with inst.store.read() as conn:
            there = lost.announced(conn, now)
        wanted: Counter[str] = Counter()
        for each in there:
            wanted[_topic(each)] += each.n
        short = [each for each in there if wanted[_topic(each)] > ahead[_topic(each)] and _old(each, ages, now)]
        return sum(
            inst.store.transact(lambda conn: lost.forget(conn, each, now - ages[each.lane]))  # noqa: B023  run at once
            for each in short
        )

    def _ahead(self) -> Counter[str] | None:
        try:
            return Counter({each.topic: each.waiting or 0 for each in self._bus.standing()})
        except Unavailable as error:  # nothing could be announced either
            log.info("records_not_counted", message=error.message)
            return None


def _old(found: Announced, ages: Mapping[Category, int], now: int) -> bool:
    return found.lane in ages and found.oldest is not None and found.oldest < now - ages[found.lane]


def _topic(found: Announced) -> str:
    return deliveries_topic(found.mode, found.channel, found.lane, channel_class(found.channel).pull)
