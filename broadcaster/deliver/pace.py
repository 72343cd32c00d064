"""When a delivery is tried again, how much of the sending may be second tries, and when a provider is left alone."""

import random
import time
from collections.abc import Sequence

from broadcaster.deliver.messages import NOT_SENT
from broadcaster.model import Category
from broadcaster.settings import Settings
from channels.base import Answer, AnswerWord

MOST_SECONDS = 900.0
STOPPED_SECONDS = 60.0  # a channel that cannot reach anybody as configured is looked at again after this
# While a provider reaches nobody each try costs a window of routine messages their certainty; an alarm must try on.
LONGEST_PAUSE = {Category.EMERGENCY: 5.0, Category.NOTICE: 300.0, Category.PROMOTION: 300.0}
PROBE = 8  # deliveries of the first window after a pause
BUDGET = (
    0.2  # second tries per first try, at any time: a provider in trouble gets 1.2 times what was offered, not twice
)
HALVES_IN_S = 600.0  # what a provider was seen to take counts half after this
LEAST_TRIES = 1.0  # second tries a second that are always allowed

REACHED = (AnswerWord.ACCEPTED, AnswerWord.FAILED, AnswerWord.SUPPRESSED)


def pause_ms(settings: Settings, attempt: int, asked_s: float | None) -> int:
    """Milliseconds before attempt + 1: doubles from retry_seconds with full jitter, never sooner than the provider asked."""
    most = min(MOST_SECONDS, settings.retry_seconds * 2 ** min(attempt - 1, 16))
    # Full jitter: workers that failed together must not come back together.
    waited = random.uniform(most / 2, most)  # noqa: S311
    return int(max(waited, asked_s or 0.0) * 1000)


class Budget:
    """Spreads second tries over time, so that they stay a share of what the provider has been seen to take."""

    def __init__(self) -> None:
        self._per_second = 0.0  # first tries: the most that was seen lately
        self._last = time.monotonic()
        self._slot = 0.0  # ms since the epoch: when the next second try may go

    def sent(self, n: int) -> None:
        """A window of n messages was answered."""
        now = time.monotonic()
        passed = max(now - self._last, 0.001)
        # Falls slowly: when the first tries are all out, the second ones go on at a share of what went well before.
        self._per_second = max(n / passed, self._per_second * 0.5 ** (passed / HALVES_IN_S))
        self._last = now

    def due(self, wanted: int, now: int) -> int:
        """The moment (ms) for a second try that is wanted at a moment: then, or when the budget has room.

        Room is taken in the order in which it is asked for: one that must wait long does not hold up those behind it.
        """
        self._slot = max(float(now), self._slot + 1000.0 / max(LEAST_TRIES, BUDGET * self._per_second))
        return max(wanted, int(self._slot))


class Circuit:
    """Opens where a provider reached nobody in a row of requests; a small window tries it after the pause."""

    def __init__(self, settings: Settings, lane: str) -> None:
        self._first, self._longest = settings.retry_seconds, LONGEST_PAUSE[Category(lane)]
        self._failures = 0
        self._until = 0.0
        self._busy = False

    @property
    def state(self) -> str:
        """ok, busy (it asked us to wait) or stopped (it reaches nobody)."""
        if not self._failures:
            return "ok"
        return "busy" if self._busy else "stopped"

    @property
    def probing(self) -> bool:
        """The last requests failed: the next window is a small one."""
        return self._failures > 0

    def wait_s(self) -> float:
        """Seconds until something may be sent again; 0 where it may now."""
        return max(0.0, self._until - time.monotonic())

    def note(self, answers: Sequence[Answer]) -> None:
        """What the last requests came to."""
        told = [answer for answer in answers if answer is not NOT_SENT]
        if not told:
            return
        if any(answer.word in REACHED for answer in told):
            self._failures, self._until, self._busy = 0, 0.0, False
            return
        self._failures += 1
        self._busy = all(answer.word is AnswerWord.RETRY and answer.after_s is not None for answer in told)
        pause = self._first * 2 ** min(self._failures - 1, 10)
        if any(answer.word is AnswerWord.CONFIG_ERROR for answer in told):
            pause = max(pause, STOPPED_SECONDS)
        asked = max((answer.after_s or 0.0) for answer in told)
        self._until = time.monotonic() + max(min(pause, self._longest), asked)
