"""What became of a campaign."""

from fastapi import APIRouter

from broadcaster.people import check
from broadcaster.reach import counts as reach
from broadcaster.web.api.shapes import Document
from broadcaster.web.who import Asks, Inst

router = APIRouter(tags=["counts"])


@router.get("/campaigns/{campaign_id}/counts", operation_id="countCampaign")
def counts(inst: Inst, who: Asks, campaign_id: int, by: str | None = None) -> Document:
    """Outcomes and proofs, in all and by channel, place, unit, category, language or outcome."""
    check(who.user, "reach.see")
    return reach.counts(inst, campaign_id, by)


@router.get("/campaigns/{campaign_id}/recount", operation_id="recountCampaign")
def recount(inst: Inst, who: Asks, campaign_id: int) -> Document:
    """The counters against the rows they count."""
    check(who.user, "reach.see")
    return reach.recount(inst, campaign_id)
