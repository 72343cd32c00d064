"""What devices say of what they fetched, played and showed."""

import json

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from broadcaster.deliver.receipts import device_event
from broadcaster.model import BadInput
from broadcaster.web.feeds.answers import feed_of


async def speaker_event(request: Request) -> Response:
    """One event of a loudspeaker; 204, also the second time."""
    return await _event(request, "loudspeaker")


async def board_event(request: Request) -> Response:
    """One event of a board; 204, also the second time."""
    return await _event(request, "billboard")


async def _event(request: Request, channel: str) -> Response:
    await feed_of(request, channel)
    try:
        event = json.loads(await request.body())
    except (ValueError, RecursionError) as error:
        raise BadInput("event-json", "an event is one JSON object in UTF-8") from error
    if not isinstance(event, dict):
        raise BadInput("event-json", "an event is one JSON object")
    if event.get("campaign") is not None and type(event["campaign"]) is not int:
        raise BadInput("event-campaign", "campaign is the number that the manifest gives")
    await run_in_threadpool(device_event, request.app.state.inst, request.path_params["token"], event)
    return Response(status_code=204)
