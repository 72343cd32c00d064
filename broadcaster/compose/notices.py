"""A campaign as the public may read it: only once it was approved, only words that went to everyone, nobody's name in them."""

from dataclasses import dataclass
from typing import Any

from broadcaster.compose.drafts import campaign_of
from broadcaster.installation import Installation
from broadcaster.model import CampaignState, NotFound
from broadcaster.store import campaigns as stored
from broadcaster.store import wordings as stored_wordings
from broadcaster.store.clock import rfc3339

# The channel whose words are shown, the fullest first. An SMS with open slots speaks to one person and is not for the public.
ORDER = ("social", "loudspeaker", "sms", "billboard")


@dataclass(frozen=True, slots=True)
class Notice:
    """What the public page shows; of one that was withdrawn or corrected the words are only what it once said.

    `texts`: (languages, where it holds, text); `clips` as wordings hold them, with languages.
    """

    template_set: str
    mode: str
    level: str | None
    withdrawn: bool
    corrected_by: str | None  # the public id of the correction that is to be read in its place
    approved: str | None
    expires: str | None
    over: bool
    texts: tuple[tuple[str, str, str], ...]
    clips: tuple[tuple[str, dict[str, Any]], ...]


def notice(inst: Installation, public_id: str) -> Notice:
    """The notice of a campaign by its public id. Raises NotFound, also for one that was never approved."""
    with inst.store.read() as conn:
        row = stored.by_public_id(conn, public_id)
        if row is None or row["approved_at"] is None:
            raise NotFound("notice", "there is no such notice")
        campaign = campaign_of(dict(row))
        correction = None if campaign.corrected_by is None else stored.row(conn, campaign.corrected_by)
        wordings = [wording for _, wording, _ in stored_wordings.of_campaign(conn, campaign.id)]
    open_to_all = [wording for wording in wordings if not wording.slots]
    channel = next((kind for kind in ORDER if any(wording.channel == kind for wording in open_to_all)), "")
    shown = [wording for wording in open_to_all if wording.channel == channel]
    texts = {(w.languages, " ".join(w.segment.values()), w.fill({})): None for w in shown}
    clips = {w.clip_facts["digest"]: (w.languages, dict(w.clip_facts)) for w in wordings if w.clip_facts}
    zone = inst.settings.timezone
    return Notice(
        *(campaign.template_set, campaign.mode, campaign.level),
        withdrawn=campaign.state is CampaignState.CANCELLED or correction is not None,
        corrected_by=None if correction is None else correction["public_id"],
        approved=rfc3339(campaign.approved_at, zone),
        expires=rfc3339(campaign.expires_at, zone),
        over=campaign.state is CampaignState.EXPIRED,
        texts=tuple(texts),
        clips=tuple(clips.values()),
    )
