"""How a feed is answered: its ETag, 304 where the device has it already, HEAD without a body."""

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from broadcaster.deliver.feeds import Feed, FeedServer, etag_of
from broadcaster.model import Mode


async def feed_of(request: Request, channel: str) -> Feed:
    """The feed of the token in the path; from memory without leaving the event loop. Raises 404, with no hint why."""
    server: FeedServer = request.app.state.feeds
    token = request.path_params["token"]
    found = server.held(token, channel) or await run_in_threadpool(server.feed, token, channel)
    if found is None:
        raise HTTPException(404)
    return found


def answer(request: Request, body: bytes, kind: str, feed: Feed, etag: str | None = None) -> Response:
    """200 with the body, or 304. The device must ask again each time: what is on changes by itself."""
    tag = etag or etag_of(body)
    headers = {"etag": tag, "cache-control": "no-cache", "vary": "Accept-Encoding"}
    if feed.mode == Mode.EXERCISE:
        headers["x-broadcaster-mode"] = feed.mode
    if holds(request, tag):
        return Response(status_code=304, headers=headers)
    if request.method == "HEAD":
        return Response(headers={**headers, "content-length": str(len(body))}, media_type=kind)
    return Response(body, headers=headers, media_type=kind)


def holds(request: Request, etag: str) -> bool:
    """Whether If-None-Match names it; a weak mark before it does not matter for a GET (RFC 9110 §13.1.2)."""
    asked = request.headers.get("if-none-match")
    if asked is None:
        return False
    return asked.strip() == "*" or etag in {each.strip().removeprefix("W/") for each in asked.split(",")}
