"""Campaigns: create, edit, submit, approve, return, cancel, correct, show, list."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import JSONResponse

from broadcaster.compose import campaigns
from broadcaster.compose.audiences import selection_from
from broadcaster.compose.campaigns import Campaign, Draft, draft_from
from broadcaster.compose.review import review
from broadcaster.people import check
from broadcaster.web.api.once import Once, once
from broadcaster.web.api.shapes import ApproveIn, CorrectIn, Document, DraftIn, EditIn, ReasonIn
from broadcaster.web.who import Asks, Inst

router = APIRouter(tags=["campaigns"])


def _draft(inst: Inst, body: DraftIn) -> Draft:
    given = body.model_dump(exclude={"selection", "version"})
    return draft_from(given, selection_from(body.selection.model_dump(), unfinished=True), inst.settings)


def _json(inst: Inst, campaign: Campaign) -> dict[str, Any]:
    return campaign.as_json(inst.settings.timezone)


@router.get("/campaigns", operation_id="listCampaigns")
def listed(inst: Inst, who: Asks, limit: Annotated[int, Query(ge=1, le=1000)] = 200) -> Document:
    """Campaigns, the newest first."""
    return {"items": [_json(inst, campaign) for campaign in campaigns.listed(inst, who.user, limit)]}


@router.post("/campaigns", operation_id="createCampaign", status_code=201)
def create(inst: Inst, who: Asks, body: DraftIn, request: Once) -> JSONResponse:
    """A new draft."""
    return once(
        inst, who.user.id, request, lambda: _json(inst, campaigns.create(inst, who.user, _draft(inst, body))), 201
    )


@router.post("/campaigns/preview", operation_id="previewCampaign")
def preview(inst: Inst, who: Asks, body: DraftIn) -> Document:
    """What would go out on each channel, and what keeps it from going out. Nothing is kept."""
    return {"items": campaigns.preview(inst, who.user, _draft(inst, body))}


@router.get("/campaigns/{campaign_id}", operation_id="showCampaign")
def show(inst: Inst, who: Asks, campaign_id: int) -> Document:
    """One campaign."""
    check(who.user, "campaign.see")
    return _json(inst, campaigns.find(inst, campaign_id))


@router.put("/campaigns/{campaign_id}", operation_id="editCampaign")
def edit(inst: Inst, who: Asks, campaign_id: int, body: EditIn) -> Document:
    """Changes a campaign that is not approved yet; a submission is void by it."""
    return _json(inst, campaigns.edit(inst, who.user, campaign_id, _draft(inst, body), body.version))


@router.post("/campaigns/{campaign_id}/submit", operation_id="submitCampaign")
def submit(inst: Inst, who: Asks, campaign_id: int) -> Document:
    """Renders, speaks, plans and seals a draft, and asks for its approval."""
    return _json(inst, campaigns.submit(inst, who.user, campaign_id))


@router.post("/campaigns/{campaign_id}/approve", operation_id="approveCampaign")
def approve(inst: Inst, who: Asks, campaign_id: int, body: ApproveIn, request: Once) -> JSONResponse:
    """Lets exactly what was read go. Only for a second person, signed in by themselves."""
    return once(
        inst, who.user.id, request, lambda: _json(inst, campaigns.approve(inst, who.user, campaign_id, body.digest))
    )


@router.post("/campaigns/{campaign_id}/return", operation_id="returnCampaign")
def give_back(inst: Inst, who: Asks, campaign_id: int, body: ReasonIn) -> Document:
    """Gives a submitted campaign back to its author."""
    return _json(inst, campaigns.return_(inst, who.user, campaign_id, body.reason))


@router.post("/campaigns/{campaign_id}/cancel", operation_id="cancelCampaign")
def cancel(inst: Inst, who: Asks, campaign_id: int, body: ReasonIn) -> Document:
    """Stops a campaign at once. What was sent stays sent."""
    return _json(inst, campaigns.cancel(inst, who.user, campaign_id, body.reason))


@router.post("/campaigns/{campaign_id}/correct", operation_id="correctCampaign", status_code=201)
def correct(inst: Inst, who: Asks, campaign_id: int, body: CorrectIn, request: Once) -> JSONResponse:
    """A draft that corrects a campaign, for those who got it."""
    return once(
        inst,
        who.user.id,
        request,
        lambda: _json(inst, campaigns.correct(inst, who.user, campaign_id, body.facts, body.template_set)),
        201,
    )


@router.get("/campaigns/{campaign_id}/events", operation_id="listCampaignEvents")
def events(inst: Inst, who: Asks, campaign_id: int) -> Document:
    """What was done to a campaign, oldest first."""
    check(who.user, "campaign.see")
    return {"items": campaigns.events(inst, campaign_id)}


@router.get("/campaigns/{campaign_id}/wordings", operation_id="listCampaignWordings")
def wordings(inst: Inst, who: Asks, campaign_id: int) -> Document:
    """Every wording that goes out, with how many get it."""
    return {"items": [one.as_json() for one in review(inst, who.user, campaign_id)]}
