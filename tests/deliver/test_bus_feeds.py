"""Feed servers behind a bus that is told late, forgets, or comes back: no device is given an older feed than before."""

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from kafka import KafkaAdminClient
from real_kafka import Broker
from sqlalchemy import text

from broadcaster.bus import Record, open_bus, prepare_bus
from broadcaster.deliver import bus_feeds
from broadcaster.deliver.bus_feeds import BusFeeds
from broadcaster.deliver.feed_news import tell_feeds
from broadcaster.installation import Installation
from broadcaster.keys import fingerprint
from broadcaster.model import Unavailable
from broadcaster.store import feeds
from broadcaster.store.clock import now_ms

pytestmark = pytest.mark.database("sqlite")


class ScriptedBus:
    """A log in memory that can be cut, and can be away."""

    def __init__(self) -> None:
        self.log: list[Record] = []
        self.away = False

    def publish(self, records: Sequence[Record]) -> None:
        self.log += records

    def tail(self, topic: str, after: str) -> list[Record]:
        if self.away:
            raise Unavailable("bus", "away")
        found = [(n, r) for n, r in enumerate(self.log, 1) if r.topic == topic and n > int(after or 0)]
        return [Record(r.topic, r.key, r.value, r.headers, str(n)) for n, r in found]


@pytest.fixture
def bus() -> ScriptedBus:
    return ScriptedBus()


@pytest.fixture
def server(inst: Installation, bus: ScriptedBus, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], BusFeeds]]:
    """`server()`: a feed server that starts. It looks and refreshes when it is told to, by `turn`."""
    monkeypatch.setattr(bus_feeds, "PROVE_SECONDS", 0.0)
    monkeypatch.setattr(BusFeeds, "_listen", lambda self: None)
    made: list[BusFeeds] = []

    def start() -> BusFeeds:
        made.append(BusFeeds(inst, bus))  # type: ignore[arg-type]
        return made[-1]

    yield start
    for each in made:
        each.close()


def turn(source: BusFeeds) -> None:
    source.refresh()
    source.turn()


def change(inst: Installation, recipient: int) -> int:
    """Any change of a device's feed; its sequence after it."""
    with inst.store.write() as conn:
        feeds._touch(conn, [recipient], None, now_ms(conn))
        return int(conn.execute(text("SELECT sequence FROM device WHERE recipient_id = :r"), {"r": recipient}).scalar())


def sequence(source: BusFeeds, token: str) -> int:
    found = source.find(fingerprint(token))
    assert found
    return found.sequence


@pytest.fixture
def device(plan: Any, inst: Installation, bus: ScriptedBus) -> tuple[int, str]:
    """A board whose feed the bus was told of: recipient and token."""
    planned = plan(1, channel="billboard")
    planned.carry_out()
    tell_feeds(inst, bus)  # type: ignore[arg-type]
    [found] = planned.tokens.items()
    return found  # type: ignore[no-any-return]


def test_a_server_that_starts_before_the_bus_was_told_serves_what_the_database_says(
    inst: Installation, bus: ScriptedBus, server: Any, device: tuple[int, str]
) -> None:
    recipient, token = device
    newest = change(inst, recipient)
    source = server()
    assert sequence(source, token) == newest
    turn(source)
    assert sequence(source, token) == newest, "the bus has an older one"
    assert sequence(server(), token) == newest
    tell_feeds(inst, bus)  # type: ignore[arg-type]
    turn(source)
    assert source._trusted
    assert sequence(source, token) == newest


def test_a_bus_that_is_away_for_a_moment_takes_nothing_back(
    inst: Installation, bus: ScriptedBus, server: Any, device: tuple[int, str]
) -> None:
    recipient, token = device
    source = server()
    turn(source)
    assert source._trusted
    first = sequence(source, token)
    source._database.find(fingerprint(token))
    second = change(inst, recipient)
    tell_feeds(inst, bus)  # type: ignore[arg-type]
    source.turn()
    assert sequence(source, token) == second > first
    bus.away = True
    source.turn()
    assert not source._trusted
    assert sequence(source, token) == second, "the database's memory holds the first one until its next refresh"
    third = change(inst, recipient)
    source.refresh()
    assert sequence(source, token) == third
    bus.away = False
    source.turn()
    assert sequence(source, token) == third, "nobody told the bus yet"


def test_a_bus_that_lost_what_it_was_told_is_found_out_and_told_again(
    inst: Installation, bus: ScriptedBus, server: Any, device: tuple[int, str]
) -> None:
    recipient, token = device
    older = list(bus.log)
    newest = change(inst, recipient)
    tell_feeds(inst, bus)  # type: ignore[arg-type]
    assert tell_feeds(inst, bus) == 0  # type: ignore[arg-type]
    bus.log = list(older)
    source = server()
    turn(source)
    assert sequence(source, token) == newest
    assert tell_feeds(inst, bus) == 1, "the server asks for everything once more"  # type: ignore[arg-type]
    turn(source)
    assert source._trusted
    assert sequence(source, token) == newest
    bus.log = list(older)
    turn(server())
    assert tell_feeds(inst, bus) == 1  # type: ignore[arg-type]


def test_a_bus_that_cannot_hold_a_feed_is_asked_once_and_the_database_serves(
    inst: Installation, bus: ScriptedBus, server: Any, device: tuple[int, str]
) -> None:
    recipient, token = device
    newest = change(inst, recipient)
    tell_feeds(inst, bus)  # type: ignore[arg-type]
    bus.log = [r for r in bus.log if json.loads(r.value or b"{}").get("sequence") != newest]
    source = server()
    turn(source)
    with inst.store.read() as conn:
        assert feeds.told(conn) == 0
    with inst.store.write() as conn:
        assert feeds.mark_told(conn, 0, feeds.version(conn))
    turn(source)
    with inst.store.read() as conn:
        assert feeds.told(conn) > 0
    assert sequence(source, token) == newest


def test_a_tail_goes_on_behind_a_log_that_was_cut(
    inst: Installation, own_kafka: Broker, at_broker: Callable[..., Installation]
) -> None:
    far = at_broker(inst, own_kafka)
    prepare_bus(far)
    topic = "broadcaster.live.feeds"
    bus = open_bus(far)
    bus.publish([Record(topic, "1", b"first"), Record(topic, "1", b"second")])
    seen = bus.tail(topic, "")
    assert [r.value for r in seen] == [b"first", b"second"]
    admin = KafkaAdminClient(bootstrap_servers=own_kafka.address)
    admin.delete_topics([topic])
    admin.close()
    prepare_bus(far)
    bus.publish([Record(topic, "1", b"third")])
    assert [r.value for r in bus.tail(topic, seen[-1].position)] == [b"third"]
    bus.close()
