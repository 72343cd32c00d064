"""Pages of a signed-in operator: the devices of their places, and what each has to play or show."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from broadcaster.deliver import operators
from broadcaster.web.console.playing import play_page, take_word
from broadcaster.web.rendering import page, see
from broadcaster.web.who import Asks, Form, Inst

router = APIRouter()


@router.get("/operator")
def devices(request: Request, inst: Inst, who: Asks) -> Response:
    """The devices of the operator's places; those with something to play first."""
    found = operators.devices_of_operator(inst, who.user)
    if len(found) == 1:
        return see(f"/operator/devices/{found[0][0].recipient_id}")
    return page(request, "operator.html", devices=found)


@router.get("/operator/devices/{recipient_id}")
def device(request: Request, inst: Inst, who: Asks, recipient_id: int) -> Response:
    """What one device has to play or show now."""
    return play_page(request, inst, operators.device_of_operator(inst, who.user, recipient_id), who.csrf)


@router.post("/operator/devices/{recipient_id}/said")
def said(request: Request, inst: Inst, who: Asks, form: Form, recipient_id: int) -> Response:
    """It was played, or why it was not."""
    found = operators.device_of_operator(inst, who.user, recipient_id)
    return take_word(request, inst, found, form, who.user.login)
