"""Reading from Kafka: a member of a group that takes work, and a tail that only looks on.

A member lives in a thread of its own that never stops polling, so that a slow provider does not cost the membership of its group;
while its worker is busy the partitions are paused. Values are decoded after the poll: a deserializer that raises hangs the client.
"""

import json
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog
from kafka import KafkaConsumer, TopicPartition
from kafka.consumer.subscription_state import ConsumerRebalanceListener
from kafka.errors import (
    CommitFailedError,
    FencedInstanceIdError,
    KafkaError,
    KafkaTimeoutError,
    RebalanceInProgressError,
)
from kafka.structs import OffsetAndMetadata

from broadcaster.bus import FencedError, Record
from broadcaster.bus.kafka_client import GROUP, connection
from broadcaster.bus.kafka_faults import away
from broadcaster.model import Unavailable
from broadcaster.settings import Settings

log = structlog.get_logger(__name__)

PREFETCH = 50  # records of a topic that wait in memory for the worker; then its partitions are paused
POLL_MS = 200
WAIT_S = 0.2  # for the first record of a take
PROOF_S = 2.0  # how often an idle member commits where it stands: only a commit tells that a double has taken the name
TAIL_S = 10.0


@dataclass
class Progress:
    """What of one partition is given out and what is finished, so that only a contiguous prefix is committed."""

    open: dict[int, bool] = field(default_factory=dict)  # offset -> finished

    def finished(self, offset: int) -> int | None:
        """Marks an offset; returns the offset to commit where the prefix grew."""
        if offset in self.open:
            self.open[offset] = True
        grown: int | None = None
        for at in sorted(self.open):
            if not self.open[at]:
                break
            del self.open[at]
            grown = at + 1
        return grown


class Reader:
    """One named member of a group. `who` is <name>.<group>."""

    def __init__(self, settings: Settings, topics: Sequence[str], who: str) -> None:
        self._settings, self._topics, self._who = settings, list(topics), who
        self._group = GROUP + who.rpartition(".")[2]
        self._ready: dict[str, deque[Record]] = {topic: deque() for topic in topics}
        self._news = threading.Condition()
        self._finished: deque[tuple[TopicPartition, int]] = deque()
        self._progress: dict[TopicPartition, Progress] = {}
        self._uncommitted: dict[TopicPartition, int] = {}
        self._next_proof = 0.0
        self._fenced = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"kafka {who}", daemon=True)
        self._thread.start()

    def take(self, most: int) -> list[Record]:
        """What has come in, at most so much, topics in the order in which they were named; waits a moment for the first."""
        with self._news:
            if not self._fenced and not any(self._ready.values()):
                self._news.wait(WAIT_S)
            if self._fenced:
                raise FencedError(self._who)
            found: list[Record] = []
            for waiting in self._ready.values():
                while waiting and len(found) < most:
                    found.append(waiting.popleft())
            return found

    def done(self, record: Record) -> None:
        """Hands a finished record to the member's thread, which commits it."""
        _, topic, partition, offset = record.position.split("|")
        self._finished.append((TopicPartition(topic, int(partition)), int(offset)))

    def stop(self) -> None:
        """Tells the thread to end; `close` waits for it."""
        self._stop.set()

    def close(self) -> None:
        """Ends the thread; what is finished is committed first. A static member keeps its partitions until its session ends."""
        self.stop()
        self._thread.join(timeout=8)

    def _run(self) -> None:
        while not self._stop.is_set():
            consumer: KafkaConsumer | None = None
            self.keep_only(set())  # a new consumer starts at what is committed: everything else comes again
            try:
                consumer = self._build()
                self._consume(consumer)
            except FencedInstanceIdError:
                log.error("fenced", member=self._who)
                with self._news:
                    self._fenced = True
                    self._news.notify_all()
                return
            except Exception as error:  # broker away, a stuck partition, a fault of the client: a fresh one starts over
                log.warning("consumer_replaced", member=self._who, error=self._why(error))
                self._stop.wait(1.0)
            finally:
                if consumer is not None:
                    close_quietly(consumer)

    def _why(self, error: Exception) -> str:
        return (
            away(self._settings, error).message
            if isinstance(error, KafkaTimeoutError)
            else f"{type(error).__name__}: {error}"
        )

    def _build(self) -> KafkaConsumer:
        session = self._settings.kafka_session_ms
        consumer = KafkaConsumer(
            **{**connection(self._settings), "request_timeout_ms": 15_000},
            group_id=self._group,
            group_instance_id=self._who,
            enable_auto_commit=False,
            auto_offset_reset="earliest",  # a new group, or one whose offsets expired, must not skip work
            session_timeout_ms=session,
            heartbeat_interval_ms=max(200, session // 3),
            max_poll_records=PREFETCH,
            max_poll_interval_ms=120_000,
            allow_auto_create_topics=False,
        )
        consumer.subscribe(topics=self._topics, listener=_Listener(self, consumer))
        return consumer

    def _consume(self, consumer: KafkaConsumer) -> None:
        watch = Watchdog()
        while not self._stop.is_set():
            held = self._hold_back(consumer)
            polled = consumer.poll(timeout_ms=POLL_MS)
            for partition, rows in polled.items():
                self._hand_out(partition, rows)
            self.commit(consumer)
            watch.look(consumer, backlog=held or sum(map(len, polled.values())) >= PREFETCH)
        self.commit(consumer)

    def _hold_back(self, consumer: KafkaConsumer) -> bool:
        """Pauses what the worker has enough of. At each turn, because a rebalance hands out partitions that are not paused."""
        full = {topic for topic, waiting in self._ready.items() if len(waiting) >= PREFETCH}
        paused = consumer.paused()
        pause = {p for p in consumer.assignment() if p.topic in full} - paused
        resume = {p for p in paused if p.topic not in full}
        if pause:
            consumer.pause(*pause)
        if resume:
            consumer.resume(*resume)
        return bool(full)

    def _hand_out(self, partition: TopicPartition, rows: Sequence[Any]) -> None:
        progress = self._progress.setdefault(partition, Progress())
        with self._news:
            for row in rows:
                if row.offset in progress.open:  # seen before a rebalance, and still in hand
                    continue
                progress.open[row.offset] = False
                position = f"{self._who}|{partition.topic}|{partition.partition}|{row.offset}"
                self._ready[partition.topic].append(decoded(row, position))
            self._news.notify_all()

    def commit(self, consumer: KafkaConsumer) -> None:
        """Commits what was finished. Called in the member's thread only."""
        while self._finished:
            partition, offset = self._finished.popleft()
            at = self._progress.get(partition, Progress()).finished(offset)
            if at is not None:
                self._uncommitted[partition] = at
        wanted = dict(self._uncommitted)
        now = time.monotonic()
        if not wanted and now >= self._next_proof:
            wanted = self._where_it_stands(consumer)
        if wanted:
            self._next_proof = now + PROOF_S
            try:
                consumer.commit({p: OffsetAndMetadata(o, "", -1) for p, o in wanted.items()}, timeout_ms=5_000)
            except (CommitFailedError, RebalanceInProgressError):
                log.info("commit_refused", member=self._who)  # partitions are moving; tried again at the next turn
                return
            self._uncommitted.clear()

    def _where_it_stands(self, consumer: KafkaConsumer) -> dict[TopicPartition, int]:
        for partition in consumer.assignment():
            handed_out = self._progress.get(partition, Progress()).open
            at = min(handed_out) if handed_out else consumer.position(partition, timeout_ms=1_000)
            if at is not None:
                return {partition: at}
        return {}

    def keep_only(self, assigned: set[TopicPartition]) -> None:
        """Partitions that went to another member: what waits of them here is theirs to do.

        Of those that stay nothing may be dropped: the client goes on behind what it has handed over, and never gives it again.
        """
        with self._news:
            self._progress = {p: progress for p, progress in self._progress.items() if p in assigned}
            self._uncommitted = {p: at for p, at in self._uncommitted.items() if p in assigned}
            here = {(p.topic, str(p.partition)) for p in assigned}
            for topic, waiting in self._ready.items():
                kept = [r for r in waiting if (topic, r.position.split("|")[2]) in here]
                waiting.clear()
                waiting.extend(kept)


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    """Asks the client nothing: a commit in here may wait for the rebalance that waits for it, and leaves partitions silent.

    What was finished and is not committed yet is committed at the next turn, or seen again by the next owner. Nobody waits for
    what is in hand: the whole group would stand still for a window that a second look leaves as it is.
    """

    def __init__(self, reader: Reader, consumer: KafkaConsumer) -> None:
        self._reader, self._consumer = reader, consumer

    def on_partitions_revoked(self, revoked: Sequence[TopicPartition]) -> None:
        log.debug("revoked", partitions=len(revoked))

    def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        self._reader.keep_only(set(self._consumer.assignment()))
        log.debug("assigned", partitions=len(assigned))

    def on_partitions_lost(self, lost: Sequence[TopicPartition]) -> None:
        self._reader.keep_only(set(self._consumer.assignment()) - set(lost))


class Watchdog:
    """Finds a partition whose position stands still while its end moves on: a fault of the client seen in the field."""

    STUCK_S = 30.0
    LOOK_S = 10.0

    def __init__(self) -> None:
        self._stood: dict[TopicPartition, tuple[int, float]] = {}
        self._next = 0.0

    def look(self, consumer: Any, backlog: bool) -> None:
        """Raises RuntimeError for a stuck partition, so that the consumer is replaced.

        With a backlog a partition may stand for minutes while others are drained: nothing is judged until it is gone.
        """
        now = time.monotonic()
        if backlog:
            self._stood.clear()
            return
        if now < self._next:
            return
        self._next = now + self.LOOK_S
        watched = sorted(consumer.assignment() - consumer.paused())
        try:  # the ends are asked of the broker: what the client knows of them stands still together with it
            ends: Mapping[TopicPartition, int] = consumer.end_offsets(watched, timeout_ms=2_000) if watched else {}
        except KafkaError as error:
            log.info("ends_unknown", error=str(error))
            return
        stood, self._stood = self._stood, {}
        for partition in watched:
            position = consumer.position(partition, timeout_ms=1_000)
            if position is None or position >= ends[partition]:
                continue
            was, since = stood.get(partition, (position, now))
            self._stood[partition] = (position, since if was == position else now)
            if was == position and now - since >= self.STUCK_S:
                raise RuntimeError(f"{partition} stands at {position} of {ends[partition]}")


class Tail:
    """Looks on at one topic, in no group. The consumer stays open between looks."""

    def __init__(self, settings: Settings, topic: str) -> None:
        self._settings, self._topic = settings, topic
        self._consumer: KafkaConsumer | None = None
        self._lock = threading.Lock()

    def read(self, after: str) -> list[Record]:
        """Records from the offsets in `after` (JSON {partition: offset}) to the present ends. Raises Unavailable."""
        offsets = {int(k): int(v) for k, v in json.loads(after or "{}").items()}
        with self._lock:
            try:
                return self._read(offsets)
            except KafkaError as error:
                self._drop()
                raise away(self._settings, error) from error

    def _read(self, offsets: dict[int, int]) -> list[Record]:
        if self._consumer is None:
            self._consumer = self._open()
        consumer = self._consumer
        partitions = sorted(consumer.assignment())
        ends = consumer.end_offsets(partitions, timeout_ms=3_000)
        for partition in partitions:
            at = offsets.get(partition.partition, 0)
            if at > ends[partition]:  # a broker that came back without its log's tail: what it holds is looked at anew
                at = offsets[partition.partition] = 0
            if consumer.position(partition, timeout_ms=1_000) != at:
                consumer.seek(partition, at)
        found: list[Record] = []
        until = time.monotonic() + TAIL_S
        while any((consumer.position(p, timeout_ms=1_000) or 0) < ends[p] for p in partitions):
            if time.monotonic() > until:
                log.warning("tail_cut", topic=self._topic, records=len(found))
                break
            for partition, rows in consumer.poll(timeout_ms=POLL_MS).items():
                for row in rows:
                    offsets[partition.partition] = row.offset + 1
                    found.append(decoded(row, json.dumps(offsets)))
        return found

    def _open(self) -> KafkaConsumer:
        consumer = KafkaConsumer(
            **connection(self._settings), group_id=None, enable_auto_commit=False, auto_offset_reset="earliest"
        )
        partitions = [TopicPartition(self._topic, p) for p in sorted(consumer.partitions_for_topic(self._topic) or ())]
        if not partitions:
            close_quietly(consumer)
            raise Unavailable("bus-topics", f"Kafka has no topic {self._topic}; type: broadcaster init")
        consumer.assign(partitions)
        for partition in partitions:
            consumer.seek(partition, 0)
        return consumer

    def close(self) -> None:
        """Gives the connection back."""
        with self._lock:
            self._drop()

    def _drop(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            close_quietly(consumer)


def decoded(row: Any, position: str) -> Record:
    """A record of the client as one of ours; bytes that are no UTF-8 become marks, for the reader to refuse."""
    headers = {k: v.decode("utf-8", "replace") for k, v in row.headers or [] if v is not None}
    return Record(row.topic, (row.key or b"").decode("utf-8", "replace"), row.value, headers, position)


def close_quietly(consumer: KafkaConsumer) -> None:
    """Closes a consumer that is given up: nothing depends on how it ends."""
    try:
        consumer.close(timeout_ms=5_000)
    except Exception as error:
        log.info("client_closed_badly", error=str(error))
