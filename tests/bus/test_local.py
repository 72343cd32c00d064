"""What only the bus in the database does: it holds what is taken for a time, and does not double what still waits."""

from collections.abc import Callable

import pytest

from broadcaster.bus import Record
from broadcaster.bus.local import HOLD_MS, NEWS_MS, LocalBus
from broadcaster.installation import Installation

New = Callable[[str, str], Record]


@pytest.fixture
def bus(inst: Installation) -> LocalBus:
    return LocalBus(inst.store)


def test_what_is_done_is_never_given_out_again_and_the_rest_is(
    bus: LocalBus, inst: Installation, new_record: New
) -> None:
    bus.publish([new_record("1", "t"), new_record("2", "t")])
    one, _ = bus.take(["t"], "a", 10)
    bus.done([one])
    assert bus.take(["t"], "b", 10) == []
    with inst.store.write() as conn:
        conn.exec_driver_sql(f"UPDATE bus_record SET taken_until = taken_until - {HOLD_MS + 1}")
    assert [r.key for r in bus.take(["t"], "b", 10)] == ["2"]


def test_a_record_that_still_waits_is_not_doubled(bus: LocalBus, new_record: New) -> None:
    bus.publish([new_record("1", "t")])
    bus.publish([new_record("1", "t")])
    assert len(bus.take(["t"], "a", 10)) == 1


def test_news_of_a_campaign_are_all_kept_for_a_week(bus: LocalBus, inst: Installation, new_record: New) -> None:
    topic = "broadcaster.live.reach"
    bus.publish([new_record("1", topic), new_record("1", topic)])
    bus.publish([new_record("1", topic)])
    assert len(bus.tail(topic, "")) == 3
    with inst.store.write() as conn:
        conn.exec_driver_sql(f"UPDATE bus_record SET at = at - {NEWS_MS + 1}")
    bus.publish([new_record("1", topic)])
    assert len(bus.tail(topic, "")) == 1
