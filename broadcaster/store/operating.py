"""What a person who works a speaker or board has to do: the items of its feed, with what was said of them already."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from broadcaster.store.driver import run


class PlayRow(NamedTuple):
    """One item of a feed. Times in ms; `spoken`, `clip`, `pieces` and `size` are JSON of its wording."""

    campaign_id: int
    public_id: str
    template_set: str
    mode: str
    category: str
    level: str | None
    not_before_at: int
    expires_at: int
    spoken: str | None
    clip: str | None
    pieces: str
    size: str
    proof: int
    outcome: str


def to_play(conn: Connection, recipient_id: int, now: int) -> list[PlayRow]:
    """What the feed of a recipient holds and is not past, the most urgent first."""
    rows = run(
        conn,
        "SELECT c.id, c.public_id, c.template_set, c.mode, c.category, c.level, i.not_before_at, i.expires_at, "
        "w.spoken, w.clip, w.pieces, w.size, d.proof, d.outcome FROM feed_item i "
        "JOIN campaign c ON c.id = i.campaign_id JOIN wording w ON w.id = i.wording_id "
        "JOIN delivery d ON d.campaign_id = i.campaign_id AND d.n = i.n "
        "JOIN device v ON v.recipient_id = i.recipient_id AND v.mode = c.mode "
        "WHERE i.recipient_id = ? AND i.expires_at > ? ORDER BY i.priority DESC, i.not_before_at DESC, c.id DESC",
        recipient_id,
        now,
    )
    return [PlayRow._make(row) for row in rows]


def items_of(conn: Connection, recipient_ids: Sequence[int], now: int) -> dict[int, int]:
    """How many items the feed of each recipient holds that are not past; those without are missing."""
    found: dict[int, int] = {}
    for start in range(0, len(recipient_ids), 500):
        some = recipient_ids[start : start + 500]
        marks = ", ".join("?" for _ in some)
        rows = run(
            conn,
            f"SELECT recipient_id, count(*) FROM feed_item WHERE recipient_id IN ({marks}) AND expires_at > ? "
            "GROUP BY recipient_id",
            *(*some, now),
        )
        found.update((int(row[0]), int(row[1])) for row in rows)
    return found
