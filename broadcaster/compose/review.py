"""What a second person reads and hears before letting it go: every wording as it was frozen, and how many get it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from broadcaster.compose.moves import found
from broadcaster.compose.template_declarations import SLOTS
from broadcaster.installation import Installation
from broadcaster.model import NotFound, Wording
from broadcaster.people import User, check
from broadcaster.store import review as stored
from broadcaster.store import wordings as stored_wordings


@dataclass(frozen=True, slots=True)
class ReviewLine:
    """One frozen wording, what it takes on its medium, and what it comes to: deliveries and parts as planned."""

    id: int
    wording: Wording
    size: Mapping[str, Any]
    deliveries: int
    parts: int

    @property
    def text(self) -> str:
        """The text with an example in each open slot."""
        language = self.wording.languages.partition("+")[0]
        return self.wording.fill(
            {slot: SLOTS[slot].get(language, SLOTS[slot]["en"]) for slot in set(self.wording.slots)}
        )

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
            "pieces": list(wording.pieces),
            "slots": list(wording.slots),
            "spoken": [{"language": language, "words": words} for language, words in wording.spoken],
            "clip": dict(wording.clip_facts) or None,
            "size": dict(self.size),
            "deliveries": self.deliveries,
            "parts": self.parts,
            "digest": wording.digest,
        }


def review(inst: Installation, user: User, campaign_id: int) -> list[ReviewLine]:
    """Every wording of a submitted campaign, in the order in which they were sealed. Raises Refused, NotFound."""
    check(user, "campaign.see")
    with inst.store.read() as conn:
        found(conn, campaign_id)
        shares = stored.shares(conn, campaign_id)
        rows = stored_wordings.of_campaign(conn, campaign_id)
    nobody = stored.Share(0, 0)
    return [ReviewLine(one, wording, size, *shares.get(one, nobody)) for one, wording, size in rows]


def review_line(inst: Installation, user: User, campaign_id: int, wording_id: int) -> ReviewLine:
    """One of them. Raises Refused, NotFound."""
    for line in review(inst, user, campaign_id):
        if line.id == wording_id:
            return line
    raise NotFound("wording", f"campaign {campaign_id} has no wording {wording_id}")
