"""How campaigns stand, for other systems that listen: CloudEvents 1.0 in binary mode on the topic of reach. No personal data."""

import hashlib
import json
from collections.abc import Mapping
from threading import Event
from typing import Any

import structlog

from broadcaster.bus import Bus, Record, reach_topic
from broadcaster.installation import Installation
from broadcaster.model import CampaignState, Outcome, Unavailable
from broadcaster.store import news
from broadcaster.store.clock import now_ms, rfc3339
from broadcaster.store.news import Story

log = structlog.get_logger(__name__)

STARTED, COUNTED, FINISHED = "campaign.started", "campaign.counted", "campaign.finished"
COUNTED_MS = 5_000  # a campaign that runs is counted at most so often
LOOK_SECONDS = 1.0


def tell_reach(inst: Installation, bus: Bus) -> int:
    """Publishes what there is to tell. Returns how many events. Raises Unavailable.

    What was told is noted after it is on the bus: a crash in between tells it twice, under the same ce_id.
    """
    with inst.store.read() as conn:
        now = now_ms(conn)
        stories = [(story, news.counts(conn, story.id)) for story in news.untold(conn, now - COUNTED_MS)]
    told = 0
    for story, counts in stories:
        body = _body(story, counts)
        digest = hashlib.sha256(body).hexdigest()[:16]
        events = [_event(inst, story, kind, (body, digest), now) for kind in _kinds(story, digest)]
        bus.publish(events)
        with inst.store.write() as conn:
            news.mark(conn, story.id, story.state, digest, now)
        told += len(events)
    return told


def _kinds(story: Story, digest: str) -> list[str]:
    running = story.state == CampaignState.RUNNING
    first = [STARTED] if story.told_state is None else []
    if not running:
        return [*first, FINISHED]
    return first or ([COUNTED] if digest != story.told_digest else [])


def _body(story: Story, counts: Mapping[tuple[str, str], int]) -> bytes:
    channels = sorted({channel for channel, _ in counts})
    by_channel = {c: {str(word): counts.get((c, word), 0) for word in Outcome} for c in channels}
    value = {
        "campaign": story.id,
        "public_id": story.public_id,
        "revision": story.revision,
        "mode": story.mode,
        "category": story.category,
        "state": story.state,
        "planned": story.planned,
        "outcomes": {str(word): sum(by_channel[c][word] for c in channels) for word in Outcome},
        "channels": by_channel,
    }
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def _event(inst: Installation, story: Story, kind: str, content: tuple[bytes, str], now: int) -> Record:
    body, digest = content
    at, which = {
        STARTED: (story.started_at, str(story.started_at)),
        COUNTED: (now, digest),
        FINISHED: (story.ended_at or now, f"{story.state}.{story.ended_at or digest}"),
    }[kind]
    headers: dict[str, Any] = {
        "ce_specversion": "1.0",
        "ce_id": f"{story.public_id}.{kind}.{which}",
        "ce_type": kind,
        "ce_source": inst.settings.base_url,
        "ce_subject": str(story.id),
        "ce_time": rfc3339(at, inst.settings.timezone),
        "content-type": "application/json",
    }
    return Record(reach_topic(story.mode), str(story.id), body, headers)


def run(inst: Installation, bus: Bus, stop: Event) -> None:
    """Tells until told to stop; what could not be told waits for the bus."""
    while not stop.is_set():
        try:
            tell_reach(inst, bus)
        except Unavailable as error:
            log.warning("news_wait", code=error.code, message=error.message)
        stop.wait(LOOK_SECONDS)
