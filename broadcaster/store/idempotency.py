"""Requests that came with a key: what was asked, and what was answered."""

from typing import NamedTuple

from sqlalchemy import Connection

from broadcaster.store.driver import run


class Kept(NamedTuple):
    """What is known of a key. `status` is None while its first request is under way."""

    request_hash: str
    status: int | None
    body: str | None


def begin(conn: Connection, actor: str, key: str, request_hash: str, now: int) -> Kept | None:
    """Takes a key for a request. None: it is taken now. Else what is known of it already."""
    taken = run(
        conn,
        "INSERT INTO idempotency (actor, key, request_hash, created_at) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (actor, key) DO NOTHING RETURNING key",
        *(actor, key, request_hash, now),
    ).first()
    if taken is not None:
        return None
    found = run(
        conn, "SELECT request_hash, status, body FROM idempotency WHERE actor = ? AND key = ?", actor, key
    ).one()
    return Kept._make(found)


def finish(conn: Connection, actor: str, key: str, status: int, body: str) -> None:
    """Keeps the answer for whoever asks again."""
    run(conn, "UPDATE idempotency SET status = ?, body = ? WHERE actor = ? AND key = ?", status, body, actor, key)


def forget(conn: Connection, actor: str, key: str) -> None:
    """The request was refused and changed nothing: the key is free again."""
    run(conn, "DELETE FROM idempotency WHERE actor = ? AND key = ?", actor, key)


def drop_before(conn: Connection, at: int) -> None:
    """Keys older than that are forgotten."""
    run(conn, "DELETE FROM idempotency WHERE created_at < ?", at)
