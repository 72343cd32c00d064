"""The feeds of a board: plain text in its own character set, JSON, XML, and a page for a player with a browser."""

import json
from xml.sax.saxutils import escape, quoteattr

from starlette.requests import Request
from starlette.responses import Response

from broadcaster.deliver.feeds import Feed, board_text
from broadcaster.store.clock import rfc3339, wall_ms
from broadcaster.web.feeds.answers import answer, feed_of
from channels.billboard import BoardFormat, FitError

CHANNEL = "billboard"


async def text(request: Request) -> Response:
    """What should show now, line by line, in the character set that the board was enrolled with; never empty."""
    feed = await feed_of(request, CHANNEL)
    charset = _charset(feed)
    return answer(request, _text(request, feed).encode(charset, "replace"), f"text/plain; charset={charset}", feed)


async def pages(request: Request) -> Response:
    """What is on and what will be, with pages, level and end (doors.md)."""
    feed = await feed_of(request, CHANNEL)
    return answer(request, feed.manifest, "application/json", feed, feed.etag)


async def xml(request: Request) -> Response:
    """The same as `.json` in XML."""
    feed = await feed_of(request, CHANNEL)
    return answer(request, _xml(request, feed), "application/xml; charset=utf-8", feed)


async def html(request: Request) -> Response:
    """A page that shows what should show now and loads itself again every half minute."""
    feed = await feed_of(request, CHANNEL)
    shown = escape(_text(request, feed))
    head = (
        '<meta charset="utf-8"><meta http-equiv="refresh" content="30"><link rel="stylesheet" href="/static/board.css">'
    )
    body = f"<!doctype html><html><head>{head}<title>{escape(feed.device)}</title></head><body><pre>{shown}</pre></body></html>"
    return answer(request, body.encode(), "text/html; charset=utf-8", feed)


def _text(request: Request, feed: Feed) -> str:
    return board_text(feed, request.app.state.inst.settings.board_idle, wall_ms())


def _charset(feed: Feed) -> str:
    try:
        return BoardFormat.parse(feed.format).encoding
    except FitError:
        return "utf-8"


def _xml(request: Request, feed: Feed) -> bytes:
    settings = request.app.state.inst.settings
    items = []
    for item in feed.items:
        lines = "".join(
            f"<page>{''.join(f'<line>{escape(line)}</line>' for line in page)}</page>"
            for page in json.loads(item.size)["pages"]
        )
        named = {
            "campaign": item.campaign_id,
            "revision": item.revision,
            "level": item.level or "",
            "expires": rfc3339(item.expires_at, settings.timezone),
            "priority": item.priority,
        }
        items.append(
            f"<item {' '.join(f'{name}={quoteattr(str(value))}' for name, value in named.items())}>{lines}</item>"
        )
    head = f'board={quoteattr(feed.device)} sequence="{feed.sequence}" mode="{feed.mode}"'
    idle = f"<idle>{escape(settings.board_idle)}</idle>"
    return f'<?xml version="1.0" encoding="UTF-8"?><feed {head}>{"".join(items)}{idle}</feed>'.encode()
