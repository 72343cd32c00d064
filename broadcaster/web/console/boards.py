"""Pictures of boards as they will look: of a frozen wording, and of a text that is still being written."""

import hashlib
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from broadcaster.compose import campaigns
from broadcaster.compose.review import review_line
from broadcaster.model import BadInput, Level
from broadcaster.people import check
from broadcaster.web.feeds.answers import holds
from broadcaster.web.who import Asks, Inst
from channels.billboard import BoardFormat, FitError
from channels.billboard.png import render_png

router = APIRouter()
MOST_TEXT = 1000
MOST_PIXELS = 8_000_000  # diodes in one picture: more would take hundreds of megabytes


@router.get("/campaigns/{campaign_id}/boards/{wording_id}.png")
def of_wording(request: Request, inst: Inst, who: Asks, campaign_id: int, wording_id: int) -> Response:
    """A frozen wording on its board."""
    line = review_line(inst, who.user, campaign_id, wording_id)
    campaign = campaigns.find(inst, campaign_id)
    return _picture(request, line.text, line.wording.format, campaign.level)


@router.get("/preview/board.png")
def of_text(
    request: Request,
    who: Asks,
    text: Annotated[str, Query(max_length=MOST_TEXT)],
    format: str = "",
    level: str = "",
) -> Response:
    """A text on a board of a format."""
    check(who.user, "campaign.see")
    return _picture(request, text, format, level if level in set(Level) else None)


def _picture(request: Request, text: str, format: str, level: str | None) -> Response:
    try:
        board = BoardFormat.parse(format)
        layout = board.fit(text)
        if board.width * board.height * len(layout.pages) > MOST_PIXELS:
            raise BadInput("format", "this board is too large for a picture")
        picture = render_png(layout, board.width, board.height, board.glyph, level)
    except FitError as error:
        raise BadInput(error.code, str(error)) from error
    headers = {"etag": f'"{hashlib.sha256(picture).hexdigest()[:32]}"', "cache-control": "private, no-cache"}
    if holds(request, headers["etag"]):
        return Response(status_code=304, headers=headers)
    return Response(picture, headers=headers, media_type="image/png")
