"""One campaign: what goes out, to how many, the second person's act, and what became of it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response, StreamingResponse

from broadcaster import people
from broadcaster.compose import campaigns
from broadcaster.compose.campaigns import Campaign
from broadcaster.compose.review import ReviewLine, review
from broadcaster.installation import Installation
from broadcaster.model import BadInput, CampaignState, Mode, Refused
from broadcaster.people import check, may
from broadcaster.reach.counts import counts, reasons
from broadcaster.reach.unreached import unreached_csv, unreached_page
from broadcaster.web.console.naming import act_words, place_names, title_of
from broadcaster.web.errors import status_of
from broadcaster.web.rendering import page, see, words_of
from broadcaster.web.who import Asks, Form, Inst, Who
from channels import CHANNELS

router = APIRouter()
STILL = (CampaignState.FINISHED, CampaignState.CANCELLED, CampaignState.EXPIRED)
BEFORE_SUBMIT = (CampaignState.DRAFT, CampaignState.RETURNED)
EDITABLE = (*BEFORE_SUBMIT, CampaignState.SUBMITTED)
CUTS = ("place", "unit", "category", "language", "outcome")
UNREACHED_PAGE = 50
REFRESH_S = 3
OPEN = 3  # wordings that a channel shows unfolded; of text messages it is one for each language


@dataclass(frozen=True, slots=True)
class ChannelReview:
    """What goes out on one channel."""

    channel: str
    lines: Sequence[ReviewLine]

    @property
    def deliveries(self) -> int:
        return sum(line.deliveries for line in self.lines)

    @property
    def parts(self) -> int:
        return sum(line.parts for line in self.lines)

    @property
    def open(self) -> Sequence[ReviewLine]:
        """What nobody can overlook: of each language the text message that most people get."""
        if self.channel != "sms":
            return self.lines[:OPEN]
        return list({line.wording.languages: line for line in reversed(self.lines)}.values())[::-1]

    @property
    def folded(self) -> Sequence[ReviewLine]:
        shown = {line.id for line in self.open}
        return [line for line in self.lines if line.id not in shown]


def _reviewed(channel: str, lines: Sequence[ReviewLine]) -> ChannelReview:
    """Its lines; text messages by how many get each, because the order of the seal says nothing to a reader."""
    own = [line for line in lines if line.wording.channel == channel]
    return ChannelReview(channel, sorted(own, key=lambda line: -line.deliveries) if channel == "sms" else own)


@router.get("/campaigns/{campaign_id}")
def show(request: Request, inst: Inst, who: Asks, campaign_id: int) -> Response:
    """What goes out, exactly, and what may be done with it."""
    return _shown(request, inst, who, campaign_id)


@router.get("/campaigns/{campaign_id}/counts")
def live(  # noqa: PLR0913, PLR0917  two of them are the query
    request: Request, inst: Inst, who: Asks, campaign_id: int, by: str = CUTS[0], after: int = 0
) -> Response:
    """How it stands: numbers first."""
    check(who.user, "reach.see")
    campaign = campaigns.find(inst, campaign_id)
    cut, still = by if by in CUTS else CUTS[0], campaign.state in STILL
    channels = {row["key"]: row for row in counts(inst, campaign_id, "channel", with_reach=False)["by"]}
    return page(
        request,
        "counts.html",
        exercise=campaign.mode is Mode.EXERCISE,
        campaign=campaign.as_json(inst.settings.timezone),
        # Reach reads the deliveries: the page that stands still pays for it, the one that refreshes does not.
        counts=counts(inst, campaign_id, cut, with_reach=still),
        channels=[channels[kind] for kind in CHANNELS if kind in channels],
        by=cut,
        reasons=reasons(inst, campaign_id) if cut == "outcome" else {},
        unreached=unreached_page(inst, campaign_id, after, UNREACHED_PAGE + 1),
        unreached_most=UNREACHED_PAGE,
        after=after,
        cuts=CUTS,
        still=still,
        refresh=REFRESH_S,
        may_cancel=may(who.user, "campaign.cancel") and campaign.state not in STILL[1:],
        may_correct=may(who.user, "campaign.correct") and campaign.started_at is not None,
    )


@router.get("/campaigns/{campaign_id}/unreached.csv")
def unreached_file(inst: Inst, who: Asks, campaign_id: int) -> Response:
    """Who was not reached, as a file for a spreadsheet."""
    check(who.user, "reach.export")
    headers = {
        "content-disposition": f'attachment; filename="unreached-{campaign_id}.csv"',
        "cache-control": "no-store",
    }
    lines = unreached_csv(inst, campaign_id)
    return StreamingResponse(lines, media_type="text/csv; charset=utf-8", headers=headers)


@router.post("/campaigns/{campaign_id}/submit")
def submit(request: Request, inst: Inst, who: Asks, campaign_id: int) -> Response:
    """Asks for approval."""
    act = partial(campaigns.submit, inst, who.user, campaign_id)
    return _done(request, inst, who, act, f"/campaigns/{campaign_id}")


@router.post("/campaigns/{campaign_id}/approve")
def approve(request: Request, inst: Inst, who: Asks, form: Form, campaign_id: int) -> Response:
    """The second person lets it go: exactly what the page showed, by its seal."""
    digest = str(form.get("digest", ""))
    act = partial(campaigns.approve, inst, who.user, campaign_id, digest)
    return _done(request, inst, who, act, f"/campaigns/{campaign_id}/counts")


@router.post("/campaigns/{campaign_id}/return")
def give_back(request: Request, inst: Inst, who: Asks, form: Form, campaign_id: int) -> Response:
    """The second person gives it back, with a reason."""
    act = partial(campaigns.return_, inst, who.user, campaign_id, str(form.get("reason", "")))
    return _done(request, inst, who, act, f"/campaigns/{campaign_id}")


@router.post("/campaigns/{campaign_id}/cancel")
def cancel(request: Request, inst: Inst, who: Asks, form: Form, campaign_id: int) -> Response:
    """Stops it at once, with a reason."""
    act = partial(campaigns.cancel, inst, who.user, campaign_id, str(form.get("reason", "")))
    return _done(request, inst, who, act, f"/campaigns/{campaign_id}")


@router.post("/campaigns/{campaign_id}/correct")
def correct(request: Request, inst: Inst, who: Asks, campaign_id: int) -> Response:
    """A new draft that corrects it."""
    try:
        made = campaigns.correct(inst, who.user, campaign_id)
    except (BadInput, Refused) as error:
        return _shown(request, inst, who, campaign_id, error)
    return see(f"/campaigns/{made.id}/edit")


def _done(request: Request, inst: Installation, who: Who, act: Callable[[], Campaign], next_page: str) -> Response:
    try:
        act()
    except (BadInput, Refused) as error:
        campaign_id = int(request.path_params["campaign_id"])
        return _shown(request, inst, who, campaign_id, error)
    return see(next_page)


def _shown(
    request: Request, inst: Installation, who: Who, campaign_id: int, error: BadInput | Refused | None = None
) -> Response:
    check(who.user, "campaign.see")
    campaign = campaigns.find(inst, campaign_id)
    lines = review(inst, who.user, campaign_id)
    channels = [_reviewed(kind, lines) for kind in CHANNELS if kind in campaign.channels]
    return page(
        request,
        "campaign.html",
        200 if error is None else status_of(error),
        exercise=campaign.mode is Mode.EXERCISE,
        error=error,
        names=people.names(inst),
        campaign=campaign.as_json(inst.settings.timezone),
        title=title_of(inst, campaign.template_set, words_of(request).language),
        places=place_names(inst, campaign.selection.places),
        excluded=place_names(inst, campaign.selection.exclude_places),
        channels=channels,
        act=act_words(words_of(request), {each.channel: each.deliveries for each in channels}, campaign.mode),
        events=campaigns.events(inst, campaign_id),
        stopping="stop" in request.query_params,
        **_allowed(who, campaign),
    )


def _allowed(who: Who, campaign: Campaign) -> Mapping[str, Any]:
    writers = {"author_id": campaign.author_id, "editor_id": campaign.editor_id}
    state = campaign.state
    return {
        "may_edit": state in EDITABLE and may(who.user, "campaign.edit"),
        "may_submit": state in BEFORE_SUBMIT
        and may(who.user, "campaign.submit")
        and who.user.id in (campaign.author_id, campaign.editor_id),
        "may_approve": state is CampaignState.SUBMITTED and may(who.user, "campaign.approve", **writers),
        "own": state is CampaignState.SUBMITTED
        and may(who.user, "campaign.approve", author_id=0, editor_id=0)
        and who.user.id in writers.values(),
        "may_cancel": state not in STILL[1:] and may(who.user, "campaign.cancel"),
        "may_correct": campaign.started_at is not None and may(who.user, "campaign.correct"),
        "sent": campaign.approved_at is not None,
    }
