"""How providers stand, and the rate that all workers share."""

from typing import NamedTuple

from sqlalchemy import Connection

from broadcaster.store.driver import run

WHOLE = ""  # in place of a lane: what the provider says of itself
RECEIPTS = "receipts"  # in place of a lane: whether receipts come


class ProviderRow(NamedTuple):
    """How a provider stands in a lane. Times in ms; `seen_at`: when it last reached somebody (WHOLE: was asked), 0 = never."""

    provider: str
    lane: str
    state: str
    since_at: int
    reason: str | None
    detail: str | None
    seen_at: int
    queued: int | None
    balance: str | None


def mark(conn: Connection, who: tuple[str, str], told: tuple[str, str, str], now: int) -> None:
    """(provider, lane) stands at (state, reason, detail); `since_at` stays where the state is the same."""
    state, reason, detail = told
    run(
        conn,
        "INSERT INTO provider_state (provider, lane, state, since_at, reason, detail, seen_at) VALUES (?, ?, ?, ?, ?, ?, ?) "
        "ON CONFLICT (provider, lane) DO UPDATE SET state = excluded.state, reason = excluded.reason, detail = excluded.detail, "
        "since_at = CASE WHEN provider_state.state = excluded.state THEN provider_state.since_at ELSE excluded.since_at END, "
        "seen_at = CASE WHEN excluded.seen_at > 0 THEN excluded.seen_at ELSE provider_state.seen_at END",
        *(*who, state, now, reason or None, detail or None, now if state == "ok" else 0),
    )


def standing(conn: Connection) -> list[ProviderRow]:
    """Every provider and lane that was ever dealt with."""
    rows = run(
        conn,
        "SELECT provider, lane, state, since_at, reason, detail, seen_at, queued, balance FROM provider_state "
        "ORDER BY provider, lane",
    )
    return [ProviderRow._make(row) for row in rows]


def take_look(conn: Connection, provider: str, before: int, now: int) -> bool:
    """Whether it is for this process to ask a provider how it stands: nobody has since `before`."""
    found = run(
        conn,
        "INSERT INTO provider_state (provider, lane, state, since_at, seen_at) VALUES (?, ?, 'ok', ?, ?) "
        "ON CONFLICT (provider, lane) DO UPDATE SET seen_at = excluded.seen_at WHERE provider_state.seen_at < ? RETURNING 1",
        *(provider, WHOLE, now, now, before),
    )
    return found.first() is not None


def told(conn: Connection, provider: str, state: str, said: tuple[str, int | None, str | None], now: int) -> None:
    """What a provider says of itself: state, (detail, messages it holds, balance with its currency)."""
    detail, queued, balance = said
    mark(conn, (provider, WHOLE), (state, "", detail), now)
    run(
        conn,
        "UPDATE provider_state SET queued = ?, balance = ?, seen_at = ? WHERE provider = ? AND lane = ?",
        *(queued, balance, now, provider, WHOLE),
    )


def last_receipt(conn: Connection, provider: str, since: int) -> int:
    """When its newest receipt came, ms; 0 where none did since a moment."""
    wanted = (
        "SELECT received_at FROM receipt_inbox WHERE received_at > ? AND provider = ? ORDER BY received_at DESC LIMIT 1"
    )
    return int(run(conn, wanted, since, provider).scalar() or 0)


def free_at(conn: Connection, provider: str, lane: str) -> int:
    """When the rate lets the next message go, microseconds; 0 where none was ever reserved."""
    found = run(conn, "SELECT free_at FROM provider_rate WHERE provider = ? AND lane = ?", provider, lane).scalar()
    return int(found or 0)


def reserve(conn: Connection, who: tuple[str, str], takes: int, now: int) -> int:
    """Room for messages that take so many microseconds at the rate of (provider, lane). Returns when they begin, microseconds."""
    found = run(
        conn,
        "INSERT INTO provider_rate (provider, lane, free_at) VALUES (?, ?, ?) ON CONFLICT (provider, lane) DO UPDATE "
        "SET free_at = CASE WHEN provider_rate.free_at > ? THEN provider_rate.free_at ELSE ? END + ? RETURNING free_at",
        *(*who, now + takes, now, now, takes),
    )
    return int(found.scalar_one()) - takes


def take_turn(conn: Connection, provider: str, what: str, every: int, now: int) -> bool:
    """Whether it is for this process to ask a provider `what`, which one of all processes does every so many microseconds."""
    found = run(
        conn,
        "INSERT INTO provider_rate (provider, lane, free_at) VALUES (?, ?, ?) ON CONFLICT (provider, lane) DO UPDATE "
        "SET free_at = excluded.free_at WHERE provider_rate.free_at <= ? RETURNING 1",
        *(provider, what, now + every, now),
    )
    return found.first() is not None
