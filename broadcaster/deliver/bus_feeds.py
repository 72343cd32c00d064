"""The feeds of all devices in memory, from the bus: no poll of a known device asks the database, and a cancel arrives by itself."""

import contextlib
import hashlib
import json
import threading
import time

import structlog

from broadcaster.bus import Bus, Record, feeds_topic, over_kafka
from broadcaster.deliver.feeds import DatabaseFeeds, Feed, FeedSource, feed_from
from broadcaster.deliver.records import check_feed_record
from broadcaster.installation import Installation
from broadcaster.model import BadInput, Mode, Unavailable
from broadcaster.store import feeds
from broadcaster.store.clock import now_ms
from broadcaster.store.records import bury

log = structlog.get_logger(__name__)

LOOK_SECONDS = 0.2
AGAIN_SECONDS = 1.0  # between looks at a bus that does not answer
PROVE_SECONDS = 1.0  # between looks at the sequences of all devices, while the bus is not proven
BEHIND_SECONDS = (
    5.0  # changes that nobody told the bus for so long: whoever tells them is gone, so that the database is read
)


def feed_source(inst: Installation, bus: Bus) -> FeedSource:
    """Where the feed server of this installation has its feeds from."""
    return BusFeeds(inst, bus) if over_kafka(inst) else DatabaseFeeds(inst)


class BusFeeds:
    """Tails the compacted topics of both modes in a thread of its own; the database while the bus is away or behind."""

    def __init__(self, inst: Installation, bus: Bus) -> None:
        self._inst, self._bus = inst, bus
        self._database = DatabaseFeeds(inst)
        self._by_token: dict[bytes, Feed] = {}
        self._by_device: dict[int, tuple[int, bytes]] = {}  # recipient -> sequence, token
        self._after = {str(mode): "" for mode in Mode}
        self._caught_up = False  # everything that lay on the bus at the last look is in memory
        self._behind_since: float | None = None
        self._no_database = False
        self._proven = False  # what is in memory was once as new as the database
        self._prove_at = 0.0
        self._lost = False  # the bus was found to lack what it had been told; said once, for a storm would help nobody
        self._given: dict[int, int] = {}  # recipient -> sequence that was served last
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def held(self, key: bytes) -> Feed | None:
        """From memory alone. Never an older feed than before: a bus told late must not take back what the database said."""
        for found in (self._by_token.get(key) if self._trusted else None, self._database.held(key)):
            if found is not None and found.sequence >= self._given.get(found.recipient_id, 0):
                return self._noted(found)
        return None

    def find(self, key: bytes) -> Feed | None:
        """The same, else from the database: a device enrolled a moment ago, or a bus that lost its records."""
        found = self.held(key)
        if found is None:
            self._database.drop(key)  # what it holds is older than what was served
            found = self._database.find(key)
        return self._noted(found) if found is not None else None

    def _noted(self, found: Feed) -> Feed:
        self._given[found.recipient_id] = found.sequence
        return found

    @property
    def _trusted(self) -> bool:
        return self._no_database or (self._caught_up and self._proven and not self._behind)

    @property
    def _behind(self) -> bool:
        return self._behind_since is not None and time.monotonic() - self._behind_since > BEHIND_SECONDS

    def refresh(self) -> None:
        """Starts to listen at the first call; learns whether the bus was told everything. Raises Unavailable."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._listen, daemon=True, name="feeds")
            self._thread.start()
        self._no_database = True  # until it has answered: what is in memory is then all there is
        self._database.refresh()
        with self._inst.store.read() as conn:
            behind = feeds.told(conn) < feeds.version(conn)
        self._no_database = False
        if not behind:
            self._behind_since = None
        elif self._behind_since is None:
            self._behind_since = time.monotonic()
        elif self._behind:
            self._proven = False  # once it is told again, what was told must be seen to have arrived

    def close(self) -> None:
        """Ends the thread."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=5)

    def _listen(self) -> None:
        while not self._stop.is_set():
            self._stop.wait(LOOK_SECONDS if self.turn() else AGAIN_SECONDS)

    def turn(self) -> bool:
        """One look at the bus. False where it does not answer: feeds come from the database until the next one succeeds."""
        try:
            wanted = self._wanted()
            for mode in self._after:
                self.look(mode)
        except Unavailable as error:
            log.warning("feeds_from_database", code=error.code, message=error.message)
        except Exception:  # a fault of the client
            log.exception("feeds_from_database")
        else:
            self._caught_up = True
            self._prove(wanted)
            return True
        self._caught_up = self._proven = False
        return False

    def _wanted(self) -> list[tuple[int, int, bool]] | None:
        """What a look that begins now must bring, for it to be proven; None where there is nothing to prove now."""
        now = time.monotonic()
        if self._proven or now < self._prove_at:
            return None
        self._prove_at = now + PROVE_SECONDS
        with contextlib.suppress(Unavailable), self._inst.store.read() as conn:
            return feeds.sequences(conn)
        return None

    def _prove(self, wanted: list[tuple[int, int, bool]] | None) -> None:
        """Holds memory against the database: a server that starts cannot know how old the bus is; a broker may lose its tail."""
        if wanted is None:
            return
        none = (-1, b"")
        lacking = [told for recipient, sequence, told in wanted if self._by_device.get(recipient, none)[0] < sequence]
        self._proven = not lacking
        if any(lacking) and not self._lost:
            self._lost = True
            log.warning("feeds_lost_by_the_bus", devices=sum(lacking))
            with contextlib.suppress(Unavailable), self._inst.store.write() as conn:
                feeds.forget_told(conn)

    def look(self, mode: str) -> None:
        """Takes in what came to the topic of a mode since the last look. Raises Unavailable."""
        for record in self._bus.tail(feeds_topic(mode), self._after[mode]):
            try:
                self._take_in(check_feed_record(self._inst.keys, record), record)
            except BadInput as error:
                self._bury(record, error)
            self._after[mode] = record.position

    def _take_in(self, recipient_id: int, record: Record) -> None:
        sequence, token = self._by_device.get(recipient_id, (-1, b""))
        if record.value is None:
            self._by_device.pop(recipient_id, None)
            self._by_token.pop(token, None)
            return
        feed = feed_from(recipient_id, record.value, record.headers)
        if feed.sequence < sequence:  # a device that changed its mode leaves its last record in the topic of the other
            return
        key = bytes.fromhex(record.headers["token"])
        if key != token:  # a token that was replaced must stop to open the feed
            self._by_token.pop(token, None)
        self._by_token[key], self._by_device[recipient_id] = feed, (feed.sequence, key)

    def _bury(self, record: Record, error: BadInput) -> None:
        log.warning("record_refused", code=error.code, topic=record.topic, key=record.key)
        digest = hashlib.sha256(json.dumps(dict(record.headers), sort_keys=True).encode() + (record.value or b""))
        source = f"{record.topic}/{record.key}/{digest.hexdigest()[:16]}"
        with contextlib.suppress(Unavailable), self._inst.store.write() as conn:
            bury(conn, source, error.code, record.value, now_ms(conn))
