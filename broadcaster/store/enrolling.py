"""Who is there by channel, and which speakers and boards have no token yet."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, text

from broadcaster.store.audiences import span_of

_FOUND = text("""
    SELECT r.id AS id, coalesce(r.name, '') AS name, r.place AS place
    FROM recipient r LEFT JOIN device d ON d.recipient_id = r.id
    WHERE r.channel = :channel AND r.active AND r.place BETWEEN :first AND :last
          AND (:again = 1 OR d.recipient_id IS NULL)
    ORDER BY r.id""")


def by_channel(conn: Connection) -> dict[str, int]:
    """Active recipients of each channel that has any."""
    rows = conn.execute(text("SELECT channel, count(*) FROM recipient WHERE active GROUP BY channel"))
    return {str(channel): int(n) for channel, n in rows}


def to_enrol(conn: Connection, channel: str, place: str, again: bool = False) -> Sequence[Any]:
    """Active recipients of a channel in a place or below it: rows of id, name, place. With `again` also those with a token."""
    first, last = span_of(place)
    values = {"channel": channel, "first": first, "last": last, "again": int(again)}
    return conn.execute(_FOUND, values).all()
