"""What each speaker and board should play or show now, served from memory: a device's poll asks the database nothing."""

import hashlib
import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from broadcaster.installation import Installation
from broadcaster.keys import fingerprint
from broadcaster.model import PRIORITY, BadInput, Category
from broadcaster.store import feeds
from broadcaster.store.clock import from_rfc3339, rfc3339, wall_ms
from broadcaster.store.feeds import FeedDevice, FeedItem

# How often an announcement is played, how far apart, how loud (percent).
PLAY: Mapping[str, Mapping[str, int]] = {
    Category.EMERGENCY: {"times": 3, "every_minutes": 10, "volume": 100},
    Category.NOTICE: {"times": 2, "every_minutes": 60, "volume": 80},
    Category.PROMOTION: {"times": 1, "every_minutes": 240, "volume": 60},
}
MOST_IN_MEMORY = 50_000
UNKNOWN_SECONDS = 5.0  # an unknown token is answered from memory for so long


@dataclass(frozen=True, slots=True)
class Feed:
    """Everything that one device may ask for, ready to be served."""

    device: str
    recipient_id: int
    channel: str
    mode: str
    sequence: int
    format: str
    items: tuple[FeedItem, ...]
    manifest: bytes = b""  # signed JSON of a speaker; JSON of a board
    etag: str = ""
    loaded: float = field(default_factory=time.monotonic)

    def current(self, now: int) -> list[FeedItem]:
        """What is on now: begun, not expired; only the most urgent priority."""
        on = [i for i in self.items if i.not_before_at <= now < i.expires_at]
        return [i for i in on if i.priority == on[0].priority] if on else []


class FeedSource(Protocol):
    """Where feeds come from: the database, or the bus."""

    def held(self, key: bytes) -> Feed | None:
        """The feed of a token's hash from memory alone."""

    def find(self, key: bytes) -> Feed | None:
        """The same; loads it where it is not in memory. Raises Unavailable."""

    def refresh(self) -> None:
        """Called about once a second. Raises Unavailable."""

    def close(self) -> None:
        """Ends what runs beside."""


class FeedServer:
    """Feeds by token, whatever they come from, and when each device asked last."""

    def __init__(self, inst: Installation, source: FeedSource | None = None) -> None:
        self._inst = inst
        self._source = source or DatabaseFeeds(inst)
        self._polled: dict[int, int] = {}
        self._lock = threading.Lock()

    def feed(self, token: str, channel: str) -> Feed | None:
        """The feed of a device of this channel; None for a token that is not one of its."""
        return self._seen(self._source.find(fingerprint(token)), channel)

    def held(self, token: str, channel: str) -> Feed | None:
        """The same from memory alone; None also where it must be loaded first. For an event loop, which must not wait."""
        return self._seen(self._source.held(fingerprint(token)), channel)

    def _seen(self, found: Feed | None, channel: str) -> Feed | None:
        if found is None or found.channel != channel:
            return None
        self._polled[found.recipient_id] = wall_ms()
        return found

    def refresh(self) -> None:
        """Drops or takes in what has changed. Called about once a second."""
        self._source.refresh()

    def write_heartbeats(self) -> None:
        """When each device polled last, in one transaction. Called about once a minute: a poll itself writes nothing."""
        with self._lock:
            polled, self._polled = self._polled, {}
        if polled:
            with self._inst.store.write() as conn:
                feeds.seen(conn, list(polled.items()))

    def close(self) -> None:
        """Ends what runs beside."""
        self._source.close()


class DatabaseFeeds:
    """Feeds loaded at the first poll of each device. `refresh` drops what has changed; it reads one row where nothing has."""

    def __init__(self, inst: Installation) -> None:
        self._inst = inst
        self._feeds: dict[bytes, Feed] = {}
        self._keys: dict[int, bytes] = {}  # recipient -> token of the feed in memory
        self._unknown: dict[bytes, float] = {}
        self._seen_version = -1
        self._lock = threading.Lock()

    def held(self, key: bytes) -> Feed | None:
        """From memory alone."""
        return self._feeds.get(key)

    def find(self, key: bytes) -> Feed | None:
        """From memory, else from the database; an unknown token is looked up once in UNKNOWN_SECONDS."""
        found = self._feeds.get(key)
        if found is None and time.monotonic() >= self._unknown.get(key, 0.0):
            found = self._load(key)
        return found

    def drop(self, key: bytes) -> None:
        """Forgets one feed: it is loaded again at the next poll."""
        with self._lock:
            self._feeds.pop(key, None)

    def refresh(self) -> None:
        """Drops changed feeds."""
        with self._inst.store.read() as conn:
            version = feeds.version(conn)
            changed = feeds.changed_since(conn, self._seen_version) if version != self._seen_version else []
        with self._lock:
            for recipient_id in changed:  # by recipient: a token that was replaced must stop to open the feed
                self._feeds.pop(self._keys.pop(recipient_id, b""), None)
            self._seen_version = version

    def close(self) -> None:
        """Nothing runs beside."""

    def _load(self, key: bytes) -> Feed | None:
        with self._inst.store.read() as conn:
            # The version first: what is committed between the two reads is then loaded again, never kept for good.
            version, device = feeds.version(conn), feeds.device_by_token(conn, key)
            items = feeds.items_of(conn, device.recipient_id, wall_ms()) if device else []
        if device is None:
            if len(self._unknown) > 10_000:
                self._unknown.clear()
            self._unknown[key] = time.monotonic() + UNKNOWN_SECONDS
            return None
        made = build(self._inst, device, items)
        with self._lock:
            if len(self._feeds) >= MOST_IN_MEMORY:
                self._feeds.clear()
            old = self._keys.get(device.recipient_id)
            if old is not None and old != key:  # a token that was replaced must stop to open the feed
                self._feeds.pop(old, None)
            if version >= self._seen_version:  # else it changed while it was read, and nothing would drop it again
                self._feeds[key], self._keys[device.recipient_id] = made, key
        return made


def build(inst: Installation, device: FeedDevice, items: list[FeedItem]) -> Feed:
    """A device's feed from its rows."""
    name = inst.keys.open_address(device.address_sealed)
    body = _speaker(inst, device, name, items) if device.channel == "loudspeaker" else _board(inst, device, name, items)
    data = canonical(body)
    return Feed(
        name,
        device.recipient_id,
        device.channel,
        device.mode,
        device.sequence,
        device.format,
        tuple(items),
        data,
        etag_of(data),
    )


def feed_from(recipient_id: int, body: bytes, head: Mapping[str, str]) -> Feed:
    """A feed from the bytes that were published for its device. Raises BadInput where they do not hold one."""
    try:
        told = json.loads(body)
        channel = head["channel"]
        name, make = ("device", _heard) if channel == "loudspeaker" else ("board", _shown)
        items = tuple(make(item) for item in told["items"])
        fixed = (str(told[name]), recipient_id, channel, str(told["mode"]), int(told["sequence"]), head["format"])
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput("record-damaged", f"the feed cannot be read: {error}") from error
    return Feed(*fixed, items, body, etag_of(body))


def etag_of(body: bytes) -> str:
    """A strong ETag of exactly these bytes."""
    return f'"{hashlib.sha256(body).hexdigest()[:32]}"'


def _heard(item: Mapping[str, Any]) -> FeedItem:
    audio = item["audio"]
    file = {name: audio[name] for name in ("sha256", "bytes", "type")}
    return _item(item, clip=json.dumps({"mp3": file, "seconds": audio["seconds"]}))


def _shown(item: Mapping[str, Any]) -> FeedItem:
    return _item(item, size=json.dumps({"pages": item["pages"]}, ensure_ascii=False), level=item["level"])


def _item(item: Mapping[str, Any], **medium: Any) -> FeedItem:
    category = next(word for word, n in PRIORITY.items() if n == item["priority"])
    given: dict[str, Any] = {"n": 0, "level": None, "pieces": "[]", "clip": None, "size": "{}", **medium}
    return FeedItem(
        campaign_id=item["campaign"],
        revision=item["revision"],
        category=category,
        priority=item["priority"],
        not_before_at=from_rfc3339(item["not_before"]),
        expires_at=from_rfc3339(item["expires"]),
        **given,
    )


def canonical(value: object) -> bytes:
    """Canonical JSON (RFC 8785) of strings, integers, booleans, lists and objects with ASCII names."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def _speaker(inst: Installation, device: FeedDevice, name: str, items: list[FeedItem]) -> dict[str, Any]:
    zone = inst.settings.timezone
    manifest: dict[str, Any] = {
        "device": name,
        "sequence": device.sequence,
        "mode": device.mode,
        "issued": rfc3339(device.changed_at, zone),
        "items": [_speaker_item(inst, item) for item in items],
    }
    value = inst.keys.sign_for_devices(canonical(manifest))
    return {**manifest, "signature": {"alg": "Ed25519", "key": inst.keys.device_public, "value": value}}


def _speaker_item(inst: Installation, item: FeedItem) -> dict[str, Any]:
    zone = inst.settings.timezone
    clip = json.loads(item.clip or "{}")
    file = clip["mp3"]
    return {
        "campaign": item.campaign_id,
        "revision": item.revision,
        "audio": {
            "url": f"{inst.settings.base_url}/audio/{file['sha256']}.mp3",
            "sha256": file["sha256"],
            "bytes": file["bytes"],
            "seconds": round(clip["seconds"]),  # an integer: RFC 8785 writes fractions in a way few devices can
            "type": file["type"],
        },
        "not_before": rfc3339(item.not_before_at, zone),
        "expires": rfc3339(item.expires_at, zone),
        "play": dict(PLAY[item.category]),
        "priority": item.priority,
    }


def _board(inst: Installation, device: FeedDevice, name: str, items: list[FeedItem]) -> dict[str, Any]:
    zone = inst.settings.timezone
    return {
        "board": name,
        "sequence": device.sequence,
        "mode": device.mode,
        "items": [
            {
                "campaign": item.campaign_id,
                "revision": item.revision,
                "pages": json.loads(item.size)["pages"],
                "level": item.level,
                "not_before": rfc3339(item.not_before_at, zone),
                "expires": rfc3339(item.expires_at, zone),
                "priority": item.priority,
            }
            for item in items
        ],
        "idle": inst.settings.board_idle,
    }


def board_text(feed: Feed, idle: str, now: int) -> str:
    """What a board that reads plain text should show now: the lines of its pages, the idle text where nothing is on."""
    lines = [line for item in feed.current(now) for page in json.loads(item.size)["pages"] for line in page]
    return "\n".join(lines) or idle or " "


def playlist(inst: Installation, feed: Feed, now: int) -> str:
    """M3U of what should play now; empty but valid where nothing is on."""
    out = ["#EXTM3U"]
    for item in feed.current(now):
        clip = json.loads(item.clip or "{}")
        out.append(f"#EXTINF:{round(clip['seconds'])},campaign {item.campaign_id}")
        out.append(f"{inst.settings.base_url}/audio/{clip['mp3']['sha256']}.mp3")
    return "\n".join(out) + "\n"
