"""The first page: what is on air and what is being sent now, what waits for approval, what was lately."""

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from broadcaster import people
from broadcaster.compose import campaigns
from broadcaster.compose.campaigns import Campaign
from broadcaster.deliver.on_air import on_air
from broadcaster.installation import Installation
from broadcaster.model import CampaignState
from broadcaster.people import may
from broadcaster.reach.counts import counts
from broadcaster.web.rendering import page, see
from broadcaster.web.who import Asks, Inst, Who

router = APIRouter()
RECENT = 20
RUNNING = (CampaignState.APPROVED, CampaignState.RUNNING)
OPEN = (CampaignState.DRAFT, CampaignState.RETURNED)


@router.get("/")
def home(request: Request, inst: Inst, who: Asks) -> Response:
    """What is now. Who only works devices goes to them at once."""
    if not may(who.user, "campaign.see"):
        return see("/operator") if may(who.user, "operator.play") else page(request, "nothing.html")
    found = campaigns.listed(inst, who.user)
    running = [each for each in found if each.state in RUNNING]
    waiting = [each for each in found if each.state is CampaignState.SUBMITTED]
    drafts = [each for each in found if each.state in OPEN]
    recent = [each for each in found if each.state not in (*RUNNING, *OPEN, CampaignState.SUBMITTED)][:RECENT]
    return page(
        request,
        "home.html",
        names=people.names(inst),
        on_air=[(_line(inst, campaigns.find(inst, each.campaign)), each) for each in on_air(inst)],
        running=[(_line(inst, each), counts(inst, each.id, with_reach=False)) for each in running],
        waiting=[(_line(inst, each), _may_approve(who, each)) for each in waiting],
        drafts=[_line(inst, each) for each in drafts],
        recent=[(_line(inst, each), counts(inst, each.id, with_reach=False)) for each in recent],
    )


def _line(inst: Installation, campaign: Campaign) -> dict[str, Any]:
    return campaign.as_json(inst.settings.timezone)


def _may_approve(who: Who, campaign: Campaign) -> bool:
    return may(who.user, "campaign.approve", author_id=campaign.author_id, editor_id=campaign.editor_id)
