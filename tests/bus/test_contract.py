"""What every bus must keep. The suite is one; each back-end runs it."""

import threading
from collections.abc import Iterator

import pytest

from broadcaster.bus import Bus, Record, deliveries_topic, open_bus
from broadcaster.bus.local import HOLD_MS
from broadcaster.installation import Installation
from broadcaster.model import BadInput


@pytest.fixture
def bus(inst: Installation) -> Iterator[Bus]:
    made = open_bus(inst)
    yield made
    made.close()


def _record(key: str, topic: str = "t") -> Record:
    return Record(topic, key, f"value {key}".encode(), {"hmac": "x"})


def test_what_is_published_is_taken_once_with_its_headers(bus: Bus) -> None:
    bus.publish([_record("1"), _record("2")])
    taken = bus.take(["t"], "a", 10)
    assert [(r.key, r.value, r.headers) for r in taken] == [
        ("1", b"value 1", {"hmac": "x"}),
        ("2", b"value 2", {"hmac": "x"}),
    ]
    assert bus.take(["t"], "b", 10) == []


def test_what_is_done_is_never_given_out_again(bus: Bus, inst: Installation) -> None:
    bus.publish([_record("1"), _record("2")])
    one, _ = bus.take(["t"], "a", 10)
    bus.done([one])
    with inst.store.write() as conn:
        conn.exec_driver_sql(f"UPDATE bus_record SET taken_until = taken_until - {HOLD_MS + 1}")
    assert [r.key for r in bus.take(["t"], "b", 10)] == ["2"]


def test_a_worker_takes_only_its_topics(bus: Bus) -> None:
    bus.publish([_record("1", "t"), _record("2", "u"), _record("3", "v")])
    assert {r.key for r in bus.take(["t", "v"], "a", 10)} == {"1", "3"}


def test_two_workers_never_hold_the_same_record(bus: Bus) -> None:
    bus.publish([_record(str(n)) for n in range(200)])
    got: list[str] = []

    def work(name: str) -> None:
        while taken := bus.take(["t"], name, 3):
            got.extend(r.key for r in taken)

    threads = [threading.Thread(target=work, args=(str(i),)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got, key=int) == [str(n) for n in range(200)]


def test_a_record_that_still_waits_is_not_doubled(bus: Bus) -> None:
    bus.publish([_record("1")])
    bus.publish([_record("1")])
    assert len(bus.take(["t"], "a", 10)) == 1


def test_every_reader_sees_the_whole_tail(bus: Bus) -> None:
    bus.publish([_record("1"), _record("2")])
    first = bus.tail("t", "")
    assert [r.key for r in first] == ["1", "2"]
    bus.publish([_record("3")])
    assert [r.key for r in bus.tail("t", first[-1].position)] == ["3"]
    assert [r.key for r in bus.tail("t", "")] == ["1", "2", "3"]


def test_pull_channels_have_one_topic_and_push_channels_one_per_lane() -> None:
    assert deliveries_topic("live", "sms", "notice", pull=False) == "broadcaster.live.deliveries.sms.notice"
    assert deliveries_topic("exercise", "billboard", "notice", pull=True) == "broadcaster.exercise.deliveries.billboard"


def test_an_unknown_bus_is_refused_with_what_to_do(inst: Installation) -> None:
    wrong = Installation(inst.settings.model_copy(update={"bus_url": "carrier-pigeon://"}), inst.store, inst.keys)
    with pytest.raises(BadInput, match="local:"):
        open_bus(wrong)
