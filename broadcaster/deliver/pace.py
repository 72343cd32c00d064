"""When a delivery is tried again, and when a provider that reaches nobody is left alone."""

import random
import time
from collections.abc import Sequence

from broadcaster.model import Category
from broadcaster.settings import Settings
from channels.base import Answer, AnswerWord

MOST_SECONDS = 900.0
STOPPED_SECONDS = 60.0  # a channel that cannot reach anybody as configured is looked at again after this
# While a provider reaches nobody each try costs a window of routine messages their certainty; an alarm must try on.
LONGEST_PAUSE = {Category.EMERGENCY: 5.0, Category.NOTICE: 300.0, Category.PROMOTION: 300.0}
PROBE = 8  # deliveries of the first window after a pause

NOT_SENT = Answer(AnswerWord.RETRY, reason="not-sent", after_s=0.0)
REACHED = (AnswerWord.ACCEPTED, AnswerWord.FAILED, AnswerWord.SUPPRESSED)


def pause_ms(settings: Settings, attempt: int, asked_s: float | None) -> int:
    """Milliseconds before attempt + 1: doubles from retry_seconds with full jitter, never sooner than the provider asked."""
    most = min(MOST_SECONDS, settings.retry_seconds * 2 ** min(attempt - 1, 16))
    # Full jitter: workers that failed together must not come back together.
    waited = random.uniform(most / 2, most)  # noqa: S311
    return int(max(waited, asked_s or 0.0) * 1000)


class Circuit:
    """Opens where a provider reached nobody in a row of requests; a small window tries it after the pause."""

    def __init__(self, settings: Settings, lane: str) -> None:
        self._first, self._longest = settings.retry_seconds, LONGEST_PAUSE[Category(lane)]
        self._failures = 0
        self._until = 0.0

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
            self._failures, self._until = 0, 0.0
            return
        self._failures += 1
        pause = self._first * 2 ** min(self._failures - 1, 10)
        if any(answer.word is AnswerWord.CONFIG_ERROR for answer in told):
            pause = max(pause, STOPPED_SECONDS)
        asked = max((answer.after_s or 0.0) for answer in told)
        self._until = time.monotonic() + max(min(pause, self._longest), asked)
