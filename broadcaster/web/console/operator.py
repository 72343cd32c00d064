"""Pages of a signed-in operator: the devices of their places, and what each has to play or show."""

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from broadcaster.deliver import operators
from broadcaster.web.console.playing import play_page, take_word
from broadcaster.web.rendering import page, see
from broadcaster.web.who import Asks, Form, Inst

router = APIRouter()
SEARCH_MOST = 100  # characters


@router.get("/operator")
def devices(  # noqa: PLR0913, PLR0917  three of them are the form
    request: Request, inst: Inst, who: Asks, q: str = "", county: str = "", at: Annotated[int, Query(alias="page")] = 1
) -> Response:
    """The devices of the operator's places, searched and page by page; those with something to play first."""
    words = q.strip()[:SEARCH_MOST]
    found = operators.devices_of_operator(inst, who.user, words, county, at)
    if found.total == 1 and not words and not found.county:
        return see(f"/operator/devices/{found.lines[0].recipient_id}")
    asked = {name: value for name, value in (("q", words), ("county", found.county)) if value}
    return page(
        request,
        "operator.html",
        found=found,
        q=words,
        at_page=lambda number: "?" + urlencode({**asked, "page": number}),
    )


@router.get("/operator/devices/{recipient_id}")
def device(request: Request, inst: Inst, who: Asks, recipient_id: int) -> Response:
    """What one device has to play or show now."""
    return play_page(request, inst, operators.device_of_operator(inst, who.user, recipient_id), who.csrf)


@router.post("/operator/devices/{recipient_id}/said")
def said(request: Request, inst: Inst, who: Asks, form: Form, recipient_id: int) -> Response:
    """It was played, or why it was not."""
    found = operators.device_of_operator(inst, who.user, recipient_id)
    return take_word(request, inst, found, form, who.user.login)
