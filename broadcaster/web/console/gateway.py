"""Pages of who watches the SMS gateway: how it stands, replies, messages in doubt, the link test."""

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from broadcaster import suppression
from broadcaster.compose import campaigns
from broadcaster.compose.cells import typed_phone
from broadcaster.compose.templates import usual_signature
from broadcaster.deliver import in_doubt, link_test, replies
from broadcaster.deliver.outlets import PULL_GATEWAY, providers_of
from broadcaster.deliver.overview import overview
from broadcaster.installation import Installation
from broadcaster.model import BadInput, Mode, Refused, Unavailable
from broadcaster.people import check, may
from broadcaster.web.errors import status_of
from broadcaster.web.rendering import page, see
from broadcaster.web.who import Asks, Form, Inst, Who
from channels.base import ChannelError

router = APIRouter()
REFRESH_S = 10
REPLIES_SHOWN = 10
OPT_OUTS_SHOWN = 10
RECEIPT_WAIT_S = 8.0  # a form is not answered much later; the page of the test looks again
KINDS = ("other", "opt-out", "confirmation")


@router.get("/gateway")
def show(request: Request, inst: Inst, who: Asks) -> Response:
    """How it stands, what is wrong first."""
    check(who.user, "gateway.see")
    return _shown(request, inst, who)


@router.post("/gateway/test")
def test(request: Request, inst: Inst, who: Asks, form: Form) -> Response:
    """Link test: one real message to the operator's own phone."""
    try:
        number = typed_phone(str(form.get("to", ""))[:40])
        signature = usual_signature(inst.settings.templates)
        sent = link_test.send(inst, who.user, number, signature, str(form.get("provider", "")))
    except (BadInput, Refused) as error:
        return _shown(request, inst, who, error)
    except ChannelError as error:
        return _shown(request, inst, who, Unavailable("channel-settings", str(error)))
    heard = link_test.receipt(inst, sent, RECEIPT_WAIT_S)
    return page(request, "gateway_test.html", test=link_test.as_json(inst, sent, heard))


@router.get("/gateway/test/{name}")
def tested(request: Request, inst: Inst, who: Asks, name: str) -> Response:
    """What came of a link test since."""
    return page(request, "gateway_tested.html", name=name[:80], receipts=link_test.later(inst, who.user, name))


@router.get("/gateway/replies")
def all_replies(request: Request, inst: Inst, who: Asks, kind: str = "") -> Response:
    """What waits for somebody, the urgent first; or the newest of a kind."""
    wanted = kind if kind in KINDS else ""
    found = replies.listed(inst, who.user, wanted or None)
    return page(request, "gateway_replies.html", replies=found, kind=wanted, kinds=KINDS)


@router.get("/gateway/replies/{reply_id}")
def one_reply(request: Request, inst: Inst, who: Asks, reply_id: int) -> Response:
    """One reply, its number masked."""
    found = replies.masked(inst, who.user, reply_id)
    return page(request, "gateway_reply.html", reply=found, whole=False)


@router.post("/gateway/replies/{reply_id}/number")
def number(request: Request, inst: Inst, who: Asks, reply_id: int) -> Response:
    """The same with the whole number: a form, because the look is written into the audit."""
    found = replies.one(inst, who.user, reply_id)
    return page(request, "gateway_reply.html", reply=found, whole=True)


@router.post("/gateway/replies/{reply_id}/seen")
def seen(inst: Inst, who: Asks, reply_id: int) -> Response:
    """Somebody has seen to it."""
    replies.seen(inst, who.user, reply_id)
    return see("/gateway/replies")


@router.get("/gateway/in-doubt")
def doubt(request: Request, inst: Inst, who: Asks) -> Response:
    """Messages that may or may not have arrived."""
    return _doubt(request, inst, who)


@router.get("/gateway/in-doubt/{campaign_id}/send-again")
def ask_again(request: Request, inst: Inst, who: Asks, campaign_id: int) -> Response:
    """Says how many may get it twice, before anything is sent."""
    check(who.user, "doubt.decide")
    name = campaigns.find(inst, campaign_id).name
    n = in_doubt.undecided(inst, who.user, campaign_id)
    return page(request, "gateway_again.html", campaign=campaign_id, name=name, n=n)


@router.post("/gateway/in-doubt/{campaign_id}/send-again")
def send_again(request: Request, inst: Inst, who: Asks, campaign_id: int) -> Response:
    """They go out once more."""
    try:
        in_doubt.send_again(inst, who.user, campaign_id)
    except Refused as error:
        return _doubt(request, inst, who, error)
    return see("/gateway/in-doubt")


@router.post("/gateway/in-doubt/{campaign_id}/leave")
def leave(request: Request, inst: Inst, who: Asks, campaign_id: int) -> Response:
    """They stay as they are."""
    try:
        in_doubt.leave(inst, who.user, campaign_id)
    except Refused as error:
        return _doubt(request, inst, who, error)
    return see("/gateway/in-doubt")


def _doubt(request: Request, inst: Installation, who: Who, error: Refused | None = None) -> Response:
    status = 200 if error is None else status_of(error)
    return page(request, "gateway_doubt.html", status, doubt=in_doubt.listed(inst, who.user), error=error)


def _shown(
    request: Request, inst: Installation, who: Who, error: BadInput | Refused | Unavailable | None = None
) -> Response:
    check(who.user, "gateway.see")
    return page(
        request,
        "gateway.html",
        200 if error is None else status_of(error),
        error=error,
        found=overview(inst),
        refresh=REFRESH_S,
        doubt=_if(who, "doubt.see", lambda: in_doubt.listed(inst, who.user)),
        replies=_if(who, "replies.see", lambda: replies.listed(inst, who.user, limit=REPLIES_SHOWN)),
        newest=_if(who, "suppression.see", lambda: suppression.newest(inst, limit=OPT_OUTS_SHOWN)),
        tested_over=[name for name in providers_of(inst.settings, Mode.LIVE, "sms") if name != PULL_GATEWAY],
    )


def _if(who: Who, action: str, rows: Any) -> list[dict[str, Any]]:
    return list(rows()) if may(who.user, action) else []
