"""The feeds of a loudspeaker: signed manifest, playlist, podcast feed."""

import json
from email.utils import formatdate
from xml.sax.saxutils import escape, quoteattr

from starlette.requests import Request
from starlette.responses import Response

from broadcaster.deliver.feeds import Feed, playlist
from broadcaster.installation import Installation
from broadcaster.store.clock import wall_ms
from broadcaster.web.feeds.answers import answer, feed_of


async def manifest(request: Request) -> Response:
    """The signed manifest (doors.md)."""
    feed = await feed_of(request, "loudspeaker")
    return answer(request, feed.manifest, "application/json", feed, feed.etag)


async def playlist_m3u(request: Request) -> Response:
    """What should play now, as M3U."""
    feed = await feed_of(request, "loudspeaker")
    body = playlist(request.app.state.inst, feed, wall_ms()).encode()
    return answer(request, body, "audio/x-mpegurl; charset=utf-8", feed)


async def rss(request: Request) -> Response:
    """What should play now, as RSS 2.0 with enclosures, for players that subscribe."""
    feed = await feed_of(request, "loudspeaker")
    return answer(request, _rss(request.app.state.inst, feed), "application/rss+xml; charset=utf-8", feed)


def _rss(inst: Installation, feed: Feed) -> bytes:
    base = inst.settings.base_url
    items = []
    for item in feed.current(wall_ms()):
        file = json.loads(item.clip or "{}")["mp3"]
        link = f"{base}/audio/{file['sha256']}.mp3"
        enclosure = (
            f"<enclosure url={quoteattr(link)} length={quoteattr(str(file['bytes']))} type={quoteattr(file['type'])}/>"
        )
        guid = f"{item.campaign_id}-{item.revision}-{file['sha256'][:16]}"
        dated = formatdate(item.not_before_at / 1000)
        items.append(
            f'<item><title>{item.campaign_id}</title><guid isPermaLink="false">{guid}</guid>'
            f"<pubDate>{dated}</pubDate>{enclosure}</item>"
        )
    head = f"<title>{escape(feed.device)}</title><link>{escape(base)}</link><description>{feed.mode}</description>"
    text = f'<?xml version="1.0" encoding="UTF-8"?><rss version="2.0"><channel>{head}{"".join(items)}</channel></rss>'
    return text.encode()
