"""The clocks. Leases, due times and expiry use the database's, so that several machines agree."""

import time
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, text

NOW = {
    "sqlite": "CAST(unixepoch('subsec') * 1000 AS INTEGER)",
    "postgresql": "CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)",
}
_NOW = {dialect: text(f"SELECT {now}") for dialect, now in NOW.items()}


def now_ms(connection: Connection) -> int:
    """The database's clock, milliseconds since the epoch."""
    return int(connection.execute(_NOW[connection.dialect.name]).scalar_one())


def wall_ms() -> int:
    """This process's clock, milliseconds since the epoch: for what is shown or logged, never for a rule."""
    return time.time_ns() // 1_000_000


def rfc3339(at_ms: int | None, zone: str = "UTC") -> str | None:
    """A stored time as RFC 3339 with offset, to the second; None stays None."""
    if at_ms is None:
        return None
    moment = datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(ZoneInfo(zone))
    return moment.isoformat(timespec="seconds")


def from_rfc3339(written: str, zone: str = "UTC") -> int:
    """Milliseconds of an RFC 3339 or ISO 8601 time; without an offset it is meant in `zone`. Raises ValueError."""
    moment = datetime.fromisoformat(written)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=ZoneInfo(zone))
    return int(moment.timestamp() * 1000)
