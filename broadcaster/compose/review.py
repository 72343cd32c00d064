"""What a second person reads and hears before letting it go: every wording as it was frozen, and how many get it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection

from broadcaster.compose.moves import found
from broadcaster.compose.wording import measured
from broadcaster.installation import Installation
from broadcaster.model import NotFound, Wording
from broadcaster.people import User, check
from broadcaster.store import review as stored
from broadcaster.store import wordings as stored_wordings


@dataclass(frozen=True, slots=True)
class ReviewLine:
    """One frozen wording, and what it comes to as planned: deliveries, their parts, the least and most parts of one.

    `sample` holds the slot values of a delivery with the most parts; `size` is what the text takes with them.
    """

    id: int
    wording: Wording
    size: Mapping[str, Any]
    deliveries: int
    parts: int
    least_parts: int
    most_parts: int
    sample: Mapping[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The text as the sample's recipient gets it."""
        return self.wording.fill(self.sample)

    def as_json(self) -> dict[str, Any]:
        """For the API."""
        wording = self.wording
        return {
            "wording": self.id,
            "channel": wording.channel,
            "format": wording.format,
            "languages": wording.languages,
            "segment": dict(wording.segment),
            "text": self.text,
            "sample": dict(self.sample) or None,
            "pieces": list(wording.pieces),
            "slots": list(wording.slots),
            "spoken": [{"language": language, "words": words} for language, words in wording.spoken],
            "clip": dict(wording.clip_facts) or None,
            "size": dict(self.size),
            "deliveries": self.deliveries,
            "parts": self.parts,
            "parts_each": [self.least_parts, self.most_parts],
            "digest": wording.digest,
        }


def review(inst: Installation, user: User, campaign_id: int) -> list[ReviewLine]:
    """Every wording of a submitted campaign, in the order in which they were sealed. Raises Refused, NotFound."""
    check(user, "campaign.see")
    with inst.store.read() as conn:
        found(conn, campaign_id)
        shares = stored.shares(conn, campaign_id)
        rows = stored_wordings.of_campaign(conn, campaign_id)
        return [_line(conn, campaign_id, row, shares[row[0]]) for row in rows if row[0] in shares]


def _line(
    conn: Connection, campaign_id: int, row: tuple[int, Wording, dict[str, object]], share: stored.Share
) -> ReviewLine:
    one, wording, size = row
    counted = (share.deliveries, share.parts, share.least, share.most)
    if not wording.slots:
        return ReviewLine(one, wording, size, *counted)
    values = stored.own_values(conn, campaign_id, share.largest)
    sample = dict(zip(wording.slots, values, strict=True))
    return ReviewLine(one, wording, measured(wording, sample).as_json(), *counted, sample)


def review_line(inst: Installation, user: User, campaign_id: int, wording_id: int) -> ReviewLine:
    """One of them. Raises Refused, NotFound."""
    for line in review(inst, user, campaign_id):
        if line.id == wording_id:
            return line
    raise NotFound("wording", f"campaign {campaign_id} has no wording {wording_id}")
