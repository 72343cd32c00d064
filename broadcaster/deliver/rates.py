"""The rate that a provider is sent messages at: one for emergencies, one for the rest, shared by all workers."""

from sqlalchemy import Connection

from broadcaster.model import Category, Mode
from broadcaster.settings import Settings
from broadcaster.store import providers
from broadcaster.store.delivering import ChunkRow

LONGEST_WAIT = 5.0  # seconds that a worker waits for a rate before it looks again how things stand


def rate_of(settings: Settings, mode: str, chunk: ChunkRow) -> float:
    """Messages a second; 0 = as quickly as the provider takes them."""
    if chunk.channel != "sms" or mode != Mode.LIVE:
        return 0.0
    return settings.sms_rate_emergency if chunk.lane == Category.EMERGENCY else settings.sms_rate


def wait_s(conn: Connection, provider: str, chunk: ChunkRow, now: int) -> float:
    """Seconds until the rate has room: waited for before the claim, because a claim has a lease."""
    free = providers.free_at(conn, provider, _pool(chunk))
    return min(LONGEST_WAIT, max(0.0, free / 1_000_000 - now / 1000))


def reserve(conn: Connection, provider: str, chunk: ChunkRow, messages: tuple[int, float], now: int) -> float:
    """Room for (messages, at so many a second). Returns in how many seconds they may begin."""
    n, rate = messages
    begins = providers.reserve(conn, (provider, _pool(chunk)), int(n * 1_000_000 / rate), now * 1000)
    return max(0.0, begins / 1_000_000 - now / 1000)


def _pool(chunk: ChunkRow) -> str:
    return Category.EMERGENCY if chunk.lane == Category.EMERGENCY else "other"
