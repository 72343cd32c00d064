"""When a delivery is tried again."""

import random

from broadcaster.settings import Settings

MOST_SECONDS = 900.0
STOPPED_SECONDS = 60.0  # a channel that cannot reach anybody as configured is looked at again after this


def pause_ms(settings: Settings, attempt: int, asked_s: float | None) -> int:
    """Milliseconds before attempt + 1: doubles from retry_seconds with full jitter, never sooner than the provider asked."""
    most = min(MOST_SECONDS, settings.retry_seconds * 2 ** min(attempt - 1, 16))
    # Full jitter: workers that failed together must not come back together.
    waited = random.uniform(most / 2, most)  # noqa: S311
    return int(max(waited, asked_s or 0.0) * 1000)
