"""The operator's page, however the device was found: play, download, say that it was played or why not."""

from fastapi import Request
from starlette.datastructures import FormData
from starlette.responses import Response

from broadcaster.deliver import operators
from broadcaster.devices import DeviceRow
from broadcaster.installation import Installation
from broadcaster.model import BadInput, Mode
from broadcaster.web.console.naming import place_name, title_of
from broadcaster.web.rendering import page, see, words_of

REASON_MOST = 200


def play_page(request: Request, inst: Installation, device: DeviceRow, csrf: str) -> Response:
    """What a device has to play or show. `csrf` is empty where the token in the path is the secret."""
    language = words_of(request).language
    items = [(title_of(inst, item.template_set, language), item) for item in operators.to_play(inst, device)]
    here = request.url.path.removesuffix("/said")
    return page(
        request,
        "play.html",
        exercise=device.mode == Mode.EXERCISE,
        device=device,
        place=place_name(inst, device.place),
        items=items,
        csrf=csrf,
        here=here,
    )


def take_word(request: Request, inst: Installation, device: DeviceRow, form: FormData, by: str) -> Response:
    """Takes what the person says and shows the page again. Raises BadInput."""
    campaign, reason = str(form.get("campaign", "")), str(form.get("reason", "")).strip()[:REASON_MOST]
    if not campaign.isascii() or not campaign.isdigit():
        raise BadInput("event-campaign", "the form names no campaign")
    if form.get("word") == "failed" and not reason:
        raise BadInput("reason", "say why it was not played")
    operators.said(inst, device, int(campaign), reason if form.get("word") == "failed" else "", by)
    return see(request.url.path.removesuffix("/said"))
