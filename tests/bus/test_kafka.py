"""What the client does when brokers and members die, and that ours outlives it. On a real broker.

Three faults of kafka-python 3.0.12 stand here as claims about the client: should one fail, the client has changed and the settings
in broadcaster/bus/kafka.py may be looked at again.
"""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaTimeoutError, MessageSizeTooLargeError
from real_kafka import Broker

from broadcaster.bus import FencedError, Record, kafka_reader, open_bus
from broadcaster.bus import kafka as kafka_module
from broadcaster.bus.kafka import Publisher
from broadcaster.bus.kafka_reader import PREFETCH, Progress, Watchdog
from broadcaster.installation import Installation
from broadcaster.model import BadInput, Unavailable

pytestmark = pytest.mark.database("sqlite")  # no test here is about what is stored
ROOT = Path(__file__).resolve().parents[2]
New = Callable[[str, str], Record]
AtBroker = Callable[..., Installation]


def until(true: Callable[[], Any], seconds: float = 20) -> Any:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := true():
            return found
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds} s")


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


# Producer


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Delivery time-outs of 2 s, so that a test sees them pass."""
    monkeypatch.setattr(kafka_module, "DELIVERY_MS", {True: 2_000, False: 2_000})
    monkeypatch.setitem(kafka_module.connection.__globals__["COMMON"], "request_timeout_ms", 1_500)


@pytest.mark.usefixtures("short")
def test_an_idempotent_producer_hangs_after_a_batch_expired_and_ours_goes_on(
    own_kafka: Broker, inst: Installation, at_broker: AtBroker, new_record: New
) -> None:
    own_kafka.make("t")
    ours = Publisher(at_broker(inst, own_kafka).settings, urgent=False)
    ours.publish([new_record("0", "t")])
    told = {"delivery_timeout_ms": 2_000, "request_timeout_ms": 1_500, "reconnect_backoff_max_ms": 1_000}
    idempotent = KafkaProducer(bootstrap_servers=own_kafka.address, acks="all", enable_idempotence=True, **told)
    idempotent.send("t", b"fine").get(5)
    own_kafka.freeze()
    expired = idempotent.send("t", b"expires")
    with pytest.raises(Unavailable, match="did not keep"):
        ours.publish([new_record("1", "t")])
    until(lambda: expired.is_done, 15)
    own_kafka.thaw()
    with pytest.raises(KafkaTimeoutError):
        idempotent.send("t", b"hangs").get(timeout=6)
    ours.publish([new_record("2", "t")])
    ours.close()
    with pytest.raises(KafkaTimeoutError):
        idempotent.close(timeout=1)


def test_a_record_that_the_broker_finds_too_large_kills_an_idempotent_producer_and_not_ours(
    kafka: Broker, on_kafka: Any, new_record: New
) -> None:
    [fine] = on_kafka.topics()
    narrow = f"{fine}.narrow"
    kafka.make(narrow, **{"max.message.bytes": "2000"})
    idempotent = KafkaProducer(bootstrap_servers=kafka.address, acks="all", enable_idempotence=True)
    for _ in range(2):
        with pytest.raises(MessageSizeTooLargeError):
            idempotent.send(narrow, b"x" * 5_000).get(5)
    with pytest.raises(MessageSizeTooLargeError):
        idempotent.send(fine, b"small").get(5)
    idempotent.close(timeout=1)
    with pytest.raises(Unavailable, match="MessageSizeTooLarge"):
        on_kafka.bus.publish([Record(narrow, "1", b"x" * 5_000)])
    on_kafka.bus.publish([new_record("2", fine), new_record("3", narrow)])
    with pytest.raises(BadInput, match="1000000 bytes"):
        on_kafka.bus.publish([new_record("4", fine), Record(fine, "5", b"x" * 1_000_000)])
    assert [r.key for r in on_kafka.bus.tail(fine, "")] == ["2"], "nothing is sent beside a record that cannot go"


@pytest.mark.usefixtures("short")
def test_publishing_to_a_dead_broker_is_refused_in_time_and_memory_stays(
    own_kafka: Broker, inst: Installation, at_broker: AtBroker
) -> None:
    own_kafka.make("t")
    publisher = Publisher(at_broker(inst, own_kafka).settings, urgent=False)
    many = [Record("t", str(n), b"x" * 300) for n in range(100_000)]
    publisher.publish(many[:10])
    own_kafka.kill()
    before, began = resident_mb(), time.monotonic()
    with pytest.raises(Unavailable):
        publisher.publish(many)
    assert time.monotonic() - began < 2 + kafka_module.OVERDUE_S + 1
    assert resident_mb() - before < 50
    began = time.monotonic()
    with pytest.raises(Unavailable):
        publisher.publish(many[:1])
    assert time.monotonic() - began < 4, (
        "a producer that was given up is built anew, which takes its bootstrap time-out"
    )
    own_kafka.start()
    publisher.publish(many[:10])
    publisher.close()


def test_nothing_acknowledged_is_missing_after_a_broker_was_killed_while_publishing(
    own_kafka: Broker, inst: Installation, at_broker: AtBroker, new_record: New
) -> None:
    own_kafka.make("t", partitions=3)
    bus = open_bus(at_broker(inst, own_kafka))
    kept: list[str] = []
    refused: list[str] = []
    stop = threading.Event()

    def publish() -> None:
        n = 0
        while not stop.is_set():
            block = [new_record(str(n + i), "t") for i in range(20)]
            n += 20
            try:
                bus.publish(block)
                kept.extend(r.key for r in block)
            except Unavailable:
                refused.extend(r.key for r in block)

    thread = threading.Thread(target=publish)
    thread.start()
    for _ in range(2):
        so_far = len(kept)
        until(lambda so_far=so_far: len(kept) > so_far + 400)
        own_kafka.kill()
        own_kafka.start()
    so_far = len(kept)
    until(lambda: len(kept) > so_far + 400, 60)
    stop.set()
    thread.join()
    there = [r.key for r in bus.tail("t", "")]
    assert set(kept) - set(there) == set()
    assert len(there) >= len(kept)
    assert set(there) <= set(kept) | set(refused)
    bus.close()


# Members of a group


MEMBER = """
import sys, time
from broadcaster.bus.kafka import KafkaBus
from broadcaster.settings import load_settings
url, session, topic, who, seconds = sys.argv[1:]
bus = KafkaBus(load_settings(bus_url=url, kafka_session_ms=int(session)))
print("started", flush=True)
while True:
    for record in bus.take([topic], who, 10):
        time.sleep(float(seconds))
        bus.done([record])
        print("took", record.key, time.time(), flush=True)
"""


class Member:
    """A worker in a process of its own, which prints what it takes."""

    def __init__(self, broker: Broker, session: int, topic: str, who: str, seconds: float) -> None:
        words = [sys.executable, "-P", "-c", MEMBER, broker.url, str(session), topic, who, str(seconds)]
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=env)
        self.taken: dict[str, float] = {}
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            words = line.decode().split()
            if words[:1] == ["took"]:  # log lines come here too
                self.taken[words[1]] = float(words[2])

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def member(kafka: Broker) -> Iterator[Callable[..., Member]]:
    made: list[Member] = []

    def start(session: int, topic: str, who: str, seconds: float = 0) -> Member:
        made.append(Member(kafka, session, topic, who, seconds))
        return made[-1]

    yield start
    for one in made:
        one.kill()


def test_the_partitions_of_a_killed_member_go_to_the_others_after_its_session(
    on_kafka: Any, new_record: New, member: Callable[..., Member]
) -> None:
    [topic] = on_kafka.topics(partitions=2)
    one, two = (member(2_000, topic, on_kafka.who(name)) for name in ("one", "two"))
    number = iter(range(100_000))

    def both() -> bool:
        on_kafka.bus.publish([new_record(str(next(number)), topic) for _ in range(4)])
        time.sleep(0.2)
        return bool(one.taken and two.taken)

    until(both)
    one.kill()
    killed = time.time()
    sent = [str(next(number)) for _ in range(100)]
    on_kafka.bus.publish([new_record(key, topic) for key in sent])
    until(lambda: set(sent) <= set(two.taken), 10)
    waited = max(two.taken[key] for key in sent) - killed
    assert 1 < waited < 6, "the session of 2 s, and a rebalance"


def test_a_named_member_that_was_killed_goes_on_at_once_when_it_is_back(
    on_kafka: Any, new_record: New, member: Callable[..., Member]
) -> None:
    [topic] = on_kafka.topics(partitions=2)
    first = member(20_000, topic, on_kafka.who("same"))
    on_kafka.bus.publish([new_record(str(n), topic) for n in range(20)])
    until(lambda: len(first.taken) == 20)
    time.sleep(0.5)  # its last commit
    first.kill()
    second = member(20_000, topic, on_kafka.who("same"))
    on_kafka.bus.publish([new_record(str(n), topic) for n in range(20, 40)])
    began = time.time()
    until(lambda: len(second.taken) >= 20, 10)
    assert time.time() - began < 8, "far below its session: the name was enough"
    assert set(second.taken) == {str(n) for n in range(20, 40)}


def test_members_that_join_while_others_work_leave_no_partition_silent(
    on_kafka: Any, new_record: New, member: Callable[..., Member]
) -> None:
    # A commit from within the client's own callback did: for half a minute, until the watchdog found it.
    [topic] = on_kafka.topics(partitions=6)
    everything = {str(n) for n in range(900)}  # more than two can do before the third is there
    on_kafka.bus.publish([new_record(key, topic) for key in sorted(everything)])
    members: list[Member] = []
    for name in ("one", "two", "three"):
        members.append(member(10_000, topic, on_kafka.who(name), 0.03))
        until(lambda: members[-1].taken, 15)
        time.sleep(0.7)
    until(lambda: set().union(*(m.taken for m in members)) == everything, 25)


def test_a_double_of_a_name_ends_the_first_for_good(on_kafka: Any, new_record: New) -> None:
    [topic] = on_kafka.topics()
    on_kafka.bus.publish([new_record("1", topic)])
    on_kafka.bus.done(on_kafka.take([topic], "same", 1))
    other = on_kafka.open()

    def fenced() -> bool:
        other.take([topic], on_kafka.who("same"), 1)
        try:
            return bool(on_kafka.bus.take([topic], on_kafka.who("same"), 1))
        except FencedError as error:
            return "work --name" in error.message

    until(fenced)
    with pytest.raises(FencedError):
        on_kafka.bus.take([topic], on_kafka.who("same"), 1)
    on_kafka.bus.publish([new_record("2", topic)])
    assert [r.key for r in on_kafka.take([topic], "same", 1, bus=other)] == ["2"]


def test_a_busy_member_keeps_its_place_and_little_waits_in_its_memory(on_kafka: Any, new_record: New) -> None:
    [topic] = on_kafka.topics()
    on_kafka.bus.publish([new_record(str(n), topic) for n in range(100)])
    [first] = on_kafka.take([topic], "busy", 1)
    reader = on_kafka.bus._readers[on_kafka.who("busy")]
    until(lambda: len(reader._ready[topic]) >= PREFETCH)
    on_kafka.take([topic], "other", 0, bus=on_kafka.open())
    time.sleep(5)  # more than twice its session
    assert len(reader._ready[topic]) < 2 * PREFETCH
    on_kafka.bus.done([first])
    rest = []
    while len(rest) < 99:
        [taken] = on_kafka.take([topic], "busy", 1)
        on_kafka.bus.done([taken])
        rest.append(taken.key)
    assert rest == [str(n) for n in range(1, 100)], "in order, none twice: the partition never went elsewhere"


def test_what_was_in_hand_while_partitions_moved_is_committed_or_seen_again_and_nothing_is_lost(
    on_kafka: Any, new_record: New
) -> None:
    [topic] = on_kafka.topics(partitions=4)
    on_kafka.bus.publish([new_record(str(n), topic) for n in range(40)])
    in_hand = on_kafka.take([topic], "a", 3)
    other = on_kafka.open()
    seen: set[str] = set()
    end = time.monotonic() + 30

    def rest() -> bool:
        for bus, name in ((other, "b"), (on_kafka.bus, "a")):
            for taken in bus.take([topic], on_kafka.who(name), 5):
                seen.add(taken.key)
                bus.done([taken])
        return len(seen | {r.key for r in in_hand}) == 40 and time.monotonic() < end

    until(lambda: other.take([topic], on_kafka.who("b"), 0) or other._readers[on_kafka.who("b")]._progress, 20)
    on_kafka.bus.done(in_hand)
    until(rest, 30)
    # Whatever was finished is committed: after both have gone, a third finds at most what it must see again.
    time.sleep(1)
    for bus in (on_kafka.bus, other):
        bus.close()
    third = on_kafka.open()
    left: list[str] = []
    end = time.monotonic() + 6
    while time.monotonic() < end:
        left += [r.key for r in third.take([topic], on_kafka.who("c"), 10)]
    assert set(left) <= {r.key for r in in_hand}


def test_bytes_that_nobody_can_read_are_handed_over_as_they_are(kafka: Broker, on_kafka: Any, new_record: New) -> None:
    [topic] = on_kafka.topics()
    raw = KafkaProducer(bootstrap_servers=kafka.address)
    raw.send(topic, b"\xff\xfe\x00", key=b"\xff", headers=[("hmac", b"\xff")]).get(5)
    raw.close()
    on_kafka.bus.publish([new_record("2", topic)])
    poison, good = on_kafka.take([topic], "a", 2)
    assert poison.value == b"\xff\xfe\x00"
    assert good.key == "2"


def test_a_deserializer_that_raises_stops_the_client_which_is_why_we_use_none(kafka: Broker, on_kafka: Any) -> None:
    [topic] = on_kafka.topics()
    raw = KafkaProducer(bootstrap_servers=kafka.address)
    raw.send(topic, b"\xff").get(5)
    raw.close()
    script = (
        "import json, sys, time; from kafka import KafkaConsumer, TopicPartition\n"
        "c = KafkaConsumer(bootstrap_servers=sys.argv[1], value_deserializer=json.loads, auto_offset_reset='earliest')\n"
        "c.assign([TopicPartition(sys.argv[2], 0)])\n"
        "end = time.monotonic() + 10\n"
        "while time.monotonic() < end:\n"
        "    try: c.poll(timeout_ms=200)\n"
        "    except Exception: break\n"
        "print('raised', flush=True); c.poll(timeout_ms=200); print('returned', flush=True)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script, kafka.address, topic], stdout=subprocess.PIPE)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(8)
    process.kill()
    assert process.communicate()[0].split() == [b"raised"]
    consumer = on_kafka.bus.take([topic], on_kafka.who("a"), 0) or on_kafka.bus._readers[on_kafka.who("a")]._build()
    assert consumer.config["value_deserializer"] is None
    kafka_reader.close_quietly(consumer)


# Watchdog


def test_a_partition_that_stands_still_while_its_end_moves_on_gets_a_new_consumer(
    on_kafka: Any, new_record: New, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Watchdog, "STUCK_S", 1.0)
    monkeypatch.setattr(Watchdog, "LOOK_S", 0.3)
    [topic] = on_kafka.topics()
    on_kafka.bus.publish([new_record("1", topic)])
    on_kafka.bus.done(on_kafka.take([topic], "a", 1))
    poll, stuck = KafkaConsumer.poll, []

    def silent(self: KafkaConsumer, timeout_ms: int = 0, **given: Any) -> Any:
        if not stuck and self.assignment():
            stuck.append(self)
        if self in stuck:
            time.sleep(timeout_ms / 1000)
            return {}
        return poll(self, timeout_ms=timeout_ms, **given)

    monkeypatch.setattr(KafkaConsumer, "poll", silent)
    until(lambda: stuck)
    on_kafka.bus.publish([new_record("2", topic)])
    assert [r.key for r in on_kafka.take([topic], "a", 1)] == ["2"]


class Standing:
    """A consumer as far as the watchdog looks at it."""

    def __init__(self) -> None:
        self.partition = TopicPartition("t", 0)
        self.at, self.end, self.resting, self.backlog = 5, 9, False, False

    def assignment(self) -> set[TopicPartition]:
        return {self.partition}

    def paused(self) -> set[TopicPartition]:
        return {self.partition} if self.resting else set()

    def end_offsets(self, partitions: Any, timeout_ms: int) -> dict[TopicPartition, int]:
        return dict.fromkeys(partitions, self.end)

    def position(self, partition: TopicPartition, timeout_ms: int) -> int:
        return self.at


@pytest.mark.parametrize("change", [{"at": 9}, {"resting": True}, {"end": 5}, {"backlog": True}])
def test_a_partition_that_moves_rests_waits_its_turn_or_has_nothing_is_not_stuck(
    change: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(kafka_reader.time, "monotonic", lambda: now[0])
    watch, consumer = Watchdog(), Standing()
    for at in (1, 12, 23):
        now[0] = at
        watch.look(consumer, consumer.backlog)
    for name, value in change.items():
        setattr(consumer, name, value)
    now[0] = 40
    watch.look(consumer, consumer.backlog)
    consumer.at, consumer.end, consumer.resting, consumer.backlog = 5, 9, False, False
    for at in (51, 62, 73):
        now[0] = at
        watch.look(consumer, consumer.backlog)
    now[0] = 84
    with pytest.raises(RuntimeError, match="stands at 5 of 9"):
        watch.look(consumer, consumer.backlog)


def test_only_a_finished_prefix_is_committed() -> None:
    progress = Progress({5: False, 6: False, 7: False})
    assert progress.finished(6) is None
    assert progress.finished(5) == 7
    assert progress.finished(99) is None
    assert progress.finished(7) == 8
    assert progress.open == {}


def test_a_tail_position_names_every_partition(on_kafka: Any, new_record: New) -> None:
    [topic] = on_kafka.topics(partitions=3)
    on_kafka.bus.publish([new_record(str(n), topic) for n in range(30)])
    last = on_kafka.bus.tail(topic, "")[-1]
    assert sum(json.loads(last.position).values()) == 30


def test_a_topic_that_nobody_made_says_what_to_type(on_kafka: Any) -> None:
    with pytest.raises(Unavailable, match="broadcaster init"):
        on_kafka.bus.tail("no.such.topic", "")


def test_the_end_of_a_member_is_quick_with_the_broker_gone(
    own_kafka: Broker, inst: Installation, at_broker: AtBroker
) -> None:
    own_kafka.make("t")
    bus = open_bus(at_broker(inst, own_kafka))
    for name in ("a", "b", "c"):
        bus.take(["t"], f"{name}.g", 1)
    time.sleep(2)
    own_kafka.kill()
    began = time.monotonic()
    bus.close()
    assert time.monotonic() - began < 10
