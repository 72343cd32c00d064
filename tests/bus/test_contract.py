"""What every bus must keep. The suite is one; each back-end runs it, Kafka on a real broker."""

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from broadcaster.bus import Record, deliveries_topic, open_bus
from broadcaster.installation import Installation
from broadcaster.model import BadInput

New = Callable[[str, str], Record]


def test_what_is_published_is_taken_once_with_its_headers(carrier: Any, new_record: New) -> None:
    [topic] = carrier.topics()
    carrier.bus.publish([new_record("1", topic), new_record("2", topic)])
    taken = carrier.take([topic], "a", 2)
    assert [(r.key, r.value, r.headers) for r in taken] == [
        ("1", b"value 1", {"hmac": "x"}),
        ("2", b"value 2", {"hmac": "x"}),
    ]
    carrier.nothing([topic], "a")
    carrier.nothing([topic], "b")


def test_a_worker_takes_only_its_topics(carrier: Any, new_record: New) -> None:
    t, u, v = carrier.topics(3)
    carrier.bus.publish([new_record("1", t), new_record("2", u), new_record("3", v)])
    assert {r.key for r in carrier.take([t, v], "a", 2)} == {"1", "3"}
    carrier.nothing([t, v], "a")


def test_two_workers_share_the_records_and_none_is_left(carrier: Any, new_record: New) -> None:
    [topic] = carrier.topics(partitions=4)
    carrier.bus.publish([new_record(str(n), topic) for n in range(200)])
    got: list[str] = []
    workers: set[str] = set()
    end = time.monotonic() + 30

    def work(name: str) -> None:
        while len(set(got)) < 200 and time.monotonic() < end:
            for taken in carrier.bus.take([topic], carrier.who(name), 3):
                got.append(taken.key)
                workers.add(name)
                time.sleep(0.02)  # as long as a small window takes: else the first to join has it all
                carrier.bus.done([taken])

    threads = [threading.Thread(target=work, args=(str(i),)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(set(got), key=int) == [str(n) for n in range(200)]
    assert len(got) <= 220, "what is seen twice is what was in hand while the partitions moved"
    assert workers == {"0", "1"}


def test_done_twice_or_for_a_stranger_changes_nothing(carrier: Any, new_record: New) -> None:
    [topic] = carrier.topics()
    carrier.bus.publish([new_record("1", topic), new_record("2", topic)])
    [first] = carrier.take([topic], "a", 1)
    carrier.bus.done([first])
    carrier.bus.done([first])
    assert [r.key for r in carrier.take([topic], "a", 1)] == ["2"]


def test_every_reader_sees_the_whole_tail(carrier: Any, new_record: New) -> None:
    [topic] = carrier.topics()
    bus, other = carrier.bus, carrier.open()
    assert bus.tail(topic, "") == []
    bus.publish([new_record("1", topic), new_record("2", topic)])
    first = bus.tail(topic, "")
    assert [r.key for r in first] == ["1", "2"]
    bus.publish([new_record("3", topic)])
    assert [r.key for r in bus.tail(topic, first[-1].position)] == ["3"]
    assert bus.tail(topic, bus.tail(topic, "")[-1].position) == []
    assert [r.key for r in other.tail(topic, "")] == ["1", "2", "3"]


def test_a_tail_takes_nothing_away(carrier: Any, new_record: New) -> None:
    [topic] = carrier.topics()
    carrier.bus.publish([new_record("1", topic)])
    carrier.bus.tail(topic, "")
    assert [r.key for r in carrier.take([topic], "a", 1)] == ["1"]


def test_nothing_published_is_nothing_done(carrier: Any) -> None:
    [topic] = carrier.topics()
    carrier.bus.publish([])
    carrier.bus.done([])
    assert carrier.bus.tail(topic, "") == []


def test_the_standing_names_what_waits(carrier: Any, new_record: New) -> None:
    lane = "notice" if carrier.inst.store.dialect == "sqlite" else "promotion"  # one broker serves both runs of this
    topic = f"broadcaster.live.deliveries.sms.{lane}"
    carrier.make_topics(topic)
    carrier.bus.publish([new_record(str(n), topic) for n in range(3)])
    before = {each.topic: each for each in carrier.bus.standing()}[topic]
    assert before.waiting is not None
    assert before.waiting >= 3
    carrier.bus.done(carrier.take([topic], "a", before.waiting))

    def waits() -> int:
        return sum(each.waiting or 0 for each in carrier.bus.standing() if each.topic == topic)

    end = time.monotonic() + 15
    while waits() and time.monotonic() < end:
        time.sleep(0.1)
    assert waits() == 0


def test_pull_channels_have_one_topic_and_push_channels_one_per_lane() -> None:
    assert deliveries_topic("live", "sms", "notice", pull=False) == "broadcaster.live.deliveries.sms.notice"
    assert deliveries_topic("exercise", "billboard", "notice", pull=True) == "broadcaster.exercise.deliveries.billboard"


def test_an_unknown_bus_is_refused_with_what_to_do(inst: Installation) -> None:
    wrong = Installation(inst.settings.model_copy(update={"bus_url": "carrier-pigeon://"}), inst.store, inst.keys)
    with pytest.raises(BadInput, match="local: or kafka:"):
        open_bus(wrong)
