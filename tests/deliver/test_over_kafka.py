"""Delivery over a real broker: the same rows as without it, and nothing lost where it is killed, forged or empty."""

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
from kafka import KafkaAdminClient, TopicPartition
from real_kafka import Broker
from sqlalchemy import event, text

from broadcaster import devices
from broadcaster.bus import Bus, Record, feeds_topic, open_bus, prepare_bus
from broadcaster.deliver import bus_feeds, runner
from broadcaster.deliver import sweep as sweep_module
from broadcaster.deliver.bus_feeds import BusFeeds, feed_source
from broadcaster.deliver.fanout import fan_out
from broadcaster.deliver.feed_news import tell_feeds
from broadcaster.deliver.feeds import DatabaseFeeds, FeedServer, board_text, playlist
from broadcaster.deliver.lost import Lookout
from broadcaster.deliver.runner import run_workers
from broadcaster.deliver.sweep import sweep
from broadcaster.installation import Installation
from broadcaster.keys import fingerprint
from broadcaster.store import feeds
from broadcaster.store.clock import now_ms, wall_ms

pytestmark = pytest.mark.database("sqlite")
ROOT = Path(__file__).resolve().parents[2]


def until(true: Callable[[], Any], seconds: float = 30) -> float:
    """Seconds until it was so."""
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        if true():
            return time.monotonic() - began
        time.sleep(0.02)
    raise AssertionError(f"not within {seconds} s")


@pytest.fixture
def far(inst: Installation, own_kafka: Broker, at_broker: Callable[..., Installation]) -> Installation:
    """The installation with its bus on a broker that has the product's topics."""
    made = at_broker(inst, own_kafka, poll_seconds=0.1)
    assert len(prepare_bus(made)) == 20
    assert prepare_bus(made) == []
    return made


@pytest.fixture
def bus(far: Installation) -> Iterator[Bus]:
    made = open_bus(far)
    yield made
    made.close()


@pytest.fixture
def working(far: Installation) -> Iterator[None]:
    """All workers, fan-out and sweep in this process."""
    stop = threading.Event()
    thread = threading.Thread(target=run_workers, args=(far, stop, "w"))
    thread.start()
    yield
    stop.set()
    thread.join(25)
    assert not thread.is_alive()


def rows(inst: Installation, campaign: int) -> list[tuple[Any, ...]]:
    with inst.store.read() as conn:
        statement = (
            "SELECT n, channel, outcome, proof, attempt, provider, reason, parts FROM delivery WHERE campaign_id = :c"
        )
        return [tuple(row) for row in conn.execute(text(statement + " ORDER BY n"), {"c": campaign})]


def texts(planned: Any) -> list[str]:
    return sorted(line["text"] for line in planned.ledger() if line["delivery"].startswith(f"{planned.campaign}-"))


@pytest.mark.database("postgresql")
@pytest.mark.usefixtures("working")
def test_a_campaign_over_kafka_gives_the_same_rows_counts_and_texts(plan: Any, far: Installation) -> None:
    for channel, category in (
        ("sms", "notice"),
        ("sms", "emergency"),
        ("social", "promotion"),
        ("loudspeaker", "notice"),
    ):
        over_kafka = plan(120, channel=channel, category=category, chunk=25, install=far)
        until(lambda planned=over_kafka: planned.state() == "finished")
        embedded = plan(120, channel=channel, category=category, chunk=25)
        embedded.carry_out()
        assert rows(far, over_kafka.campaign) == rows(far, embedded.campaign)
        assert over_kafka.counters() == embedded.counters()
        assert over_kafka.outcomes() == {"accepted": 120}
        assert texts(over_kafka) == texts(embedded)
    with far.store.read() as conn:
        assert conn.execute(text("SELECT count(*) FROM dead_letter")).scalar() == 0


@pytest.mark.database("postgresql")
@pytest.mark.usefixtures("working")
def test_with_every_broker_down_an_emergency_starts_within_5_seconds_and_a_notice_waits(
    plan: Any, far: Installation, own_kafka: Broker
) -> None:
    first = plan(20, install=far)
    until(lambda: first.state() == "finished")
    own_kafka.kill()
    emergency = plan(50, category="emergency", install=far)
    speakers = plan(5, channel="loudspeaker", category="emergency", install=far)
    posts = plan(5, channel="social", category="emergency", install=far)
    notice = plan(20, install=far)
    for planned in (emergency, speakers, posts):
        assert until(lambda planned=planned: planned.outcomes().get("accepted", 0) > 0, 6) < 5
    for planned in (emergency, speakers, posts):
        until(lambda planned=planned: planned.state() == "finished", 10)
    assert notice.outcomes() == {"waiting": 20}
    own_kafka.start()
    until(lambda: notice.outcomes() == {"accepted": 20}, 60)
    assert len(emergency.ledger()) == 20 + 50 + 5 + 20, "each once: posts are lines too"


TOPIC = "broadcaster.live.deliveries.sms.notice"


def looked(inst: Installation, bus: Bus, again: int) -> None:
    """A fan-out that has nothing to do, a sweep, and a fan-out that announces so many again."""
    assert fan_out(inst, bus) == 0
    sweep(inst, Lookout(bus))
    assert fan_out(inst, bus) == again


def cut_tail(broker: Broker) -> None:
    """Every record of the topic is gone, as after a log was lost."""
    admin = KafkaAdminClient(bootstrap_servers=broker.address)
    admin.delete_records({TopicPartition(TOPIC, p): -1 for p in range(2)})
    admin.close()


@pytest.mark.database("postgresql")
def test_lost_records_are_announced_again_and_those_that_wait_their_turn_are_not(
    plan: Any, far: Installation, own_kafka: Broker, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = plan(10, chunk=2, install=far)
    assert fan_out(far, bus) == 5
    cut_tail(own_kafka)
    assert bus.tail(TOPIC, "") == []
    looked(far, bus, 0)  # too early to call them lost
    monkeypatch.setattr(sweep_module, "LOST_MS", {"notice": -1000})
    looked(far, bus, 5)
    for _ in range(3):
        looked(far, bus, 0)  # the same backlog, however long it waits
    assert len(bus.tail(TOPIC, "")) == 5
    cut_tail(own_kafka)
    younger = plan(2, install=far)
    assert fan_out(far, bus) == 1
    looked(far, bus, 6)  # one record ahead, six chunks: which five are lost is not known
    assert planned.outcomes() == {"waiting": 10}
    assert younger.outcomes() == {"waiting": 2}
    looked(far, bus, 0)
    own_kafka.kill()
    began = time.monotonic()
    sweep(far, Lookout(bus))
    assert time.monotonic() - began < 5
    assert fan_out(far, bus) == 0, "a bus that is away has lost nothing"


@pytest.mark.usefixtures("working")
def test_a_record_lost_while_others_of_its_lane_are_worked_on_is_sent_soon(
    plan: Any, far: Installation, own_kafka: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep_module, "LOST_MS", {"emergency": 5_000, "notice": 1_000, "promotion": 60_000})
    planned = plan(10, install=far)
    with far.store.write() as conn:  # as if it were on the bus
        conn.execute(text("UPDATE chunk SET published_at = :now"), {"now": now_ms(conn)})
    for _ in range(3):
        plan(10, install=far)
    assert until(lambda: planned.outcomes() == {"accepted": 10}, 40) < 30


@pytest.mark.usefixtures("working")
def test_poison_goes_to_the_dead_letters_and_the_next_record_is_carried_out(
    plan: Any, far: Installation, bus: Bus
) -> None:
    topic = "broadcaster.live.deliveries.sms.notice"
    bus.publish(
        [
            Record(topic, "1", b"\xff\xfe not json", {"hmac": "0" * 64}),
            Record(topic, "2", b"{}", {}),
            Record(topic, "3", b"x" * 800_000, {"hmac": "é"}),
            Record(topic, "4", None, {}),
        ]
    )
    planned = plan(10, install=far)
    until(lambda: planned.outcomes() == {"accepted": 10})

    def buried() -> list[tuple[Any, ...]]:
        with far.store.read() as conn:
            dead = conn.execute(text("SELECT error, count(*) FROM dead_letter GROUP BY error ORDER BY error"))
            return [tuple(row) for row in dead]

    until(lambda: buried() == [("record-empty", 1), ("record-forged", 3)])  # they may lie on another partition


# Feeds


@pytest.fixture
def served(far: Installation, bus: Bus) -> Iterator[tuple[FeedServer, BusFeeds]]:
    source = feed_source(far, bus)
    assert isinstance(source, BusFeeds)
    server = FeedServer(far, source)
    server.refresh()
    until(lambda: source._caught_up)
    yield server, source
    server.close()


def shows(server: FeedServer, token: str, channel: str) -> list[int]:
    found = server.held(token, channel)
    return [item.campaign_id for item in found.items] if found else []


@pytest.mark.database("postgresql")
@pytest.mark.usefixtures("working")
def test_feeds_come_over_the_bus_and_a_poll_asks_no_database(plan: Any, far: Installation, served: Any) -> None:
    server, source = served
    speakers, boards = plan(40, channel="loudspeaker", install=far), plan(40, channel="billboard", install=far)
    for planned, channel in ((speakers, "loudspeaker"), (boards, "billboard")):
        tokens = list(planned.tokens.values())
        took = until(lambda ts=tokens, c=channel, p=planned: all(shows(server, t, c) == [p.campaign] for t in ts))
        assert took < 10
    asked: list[str] = []
    thread = threading.get_ident()
    event.listen(
        far.store.engine,
        "before_cursor_execute",
        lambda *a: asked.append(a[2]) if threading.get_ident() == thread else None,
    )
    for planned, channel in ((speakers, "loudspeaker"), (boards, "billboard")):
        for token in planned.tokens.values():
            assert server.feed(token, channel) is not None
    assert asked == []
    assert source._database._feeds == {}, "nothing of it was loaded from the database"

    for planned, channel in ((speakers, "loudspeaker"), (boards, "billboard")):
        with far.store.write() as conn:
            feeds.withdraw(conn, planned.campaign, now_ms(conn))
        tokens = list(planned.tokens.values())
        took = until(lambda ts=tokens, c=channel: not any(shows(server, t, c) for t in ts))
        assert took < 1.5, (
            "a cancel is everywhere within a second; half of one for two cores shared with the rest of the run"
        )


def test_the_bus_serves_the_same_bytes_and_the_same_sound_as_the_database(
    plan: Any, far: Installation, bus: Bus, served: Any
) -> None:
    server, _ = served
    for channel in ("loudspeaker", "billboard"):
        planned = plan(3, channel=channel)
        planned.carry_out()
        tell_feeds(far, bus)
        for token in planned.tokens.values():
            until(lambda t=token, c=channel: server.held(t, c))
            here, there = server.held(token, channel), DatabaseFeeds(far).find(fingerprint(token))
            assert here is not None
            assert there is not None
            assert (here.manifest, here.etag, here.sequence, here.format, here.mode, here.device) == (
                there.manifest, there.etag, there.sequence, there.format, there.mode, there.device,
            )  # fmt: skip
            now = wall_ms()
            if channel == "loudspeaker":
                assert playlist(far, here, now) == playlist(far, there, now) != "#EXTM3U\n"
            else:
                assert board_text(here, "idle", now) == board_text(there, "idle", now) == "森林防火\n禁止用火"


def test_a_replaced_token_stops_to_open_and_a_device_that_is_gone_is_forgotten(
    plan: Any, far: Installation, bus: Bus, served: Any
) -> None:
    server, _ = served
    planned = plan(1, channel="loudspeaker")
    planned.carry_out()
    tell_feeds(far, bus)
    [(recipient, old)] = planned.tokens.items()
    until(lambda: server.held(old, "loudspeaker"))
    new = devices.enrol(far, "a", [recipient])[recipient]
    tell_feeds(far, bus)
    until(lambda: server.held(new, "loudspeaker"))
    assert server.held(old, "loudspeaker") is None
    with far.store.write() as conn:
        conn.execute(text("UPDATE recipient SET active = false WHERE id = :r"), {"r": recipient})
        feeds._touch(conn, [recipient], None, now_ms(conn))
    tell_feeds(far, bus)
    until(lambda: server.held(new, "loudspeaker") is None)


def test_a_forged_feed_is_not_served_and_kept_once_as_a_dead_letter(
    plan: Any, far: Installation, bus: Bus, served: Any
) -> None:
    server, source = served
    planned = plan(1, channel="billboard")
    planned.carry_out()
    tell_feeds(far, bus)
    [token] = planned.tokens.values()
    until(lambda: server.held(token, "billboard"))
    [true] = [r for r in bus.tail(feeds_topic("live"), "") if r.value]
    false = json.loads(true.value or b"")
    false.update(sequence=false["sequence"] + 1, idle="火灾")
    body = json.dumps(false).encode()
    bus.publish([Record(true.topic, true.key, body, {**true.headers, "sequence": str(false["sequence"])})])
    bus.publish([Record(true.topic, true.key, None, {"hmac": "0" * 64})])
    other = Record(feeds_topic("exercise"), true.key, true.value, true.headers)
    bus.publish([other])

    def dead() -> list[str]:
        with far.store.read() as conn:
            return [row[0] for row in conn.execute(text("SELECT error FROM dead_letter ORDER BY id"))]

    until(lambda: len(dead()) == 3)
    assert dead() == ["record-forged"] * 3
    served_now = server.held(token, "billboard")
    assert served_now is not None
    assert served_now.manifest == true.value
    source._after = dict.fromkeys(source._after, "")
    time.sleep(1)
    assert len(dead()) == 3, "a feed server that starts anew meets them again"


def test_with_the_broker_down_or_nobody_telling_it_feeds_come_from_the_database(
    plan: Any, far: Installation, bus: Bus, served: Any, own_kafka: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bus_feeds, "BEHIND_SECONDS", 0.5)
    server, source = served
    planned = plan(1, channel="loudspeaker")
    planned.carry_out()
    tell_feeds(far, bus)
    [token] = planned.tokens.values()
    until(lambda: shows(server, token, "loudspeaker") == [planned.campaign])
    with far.store.write() as conn:  # and nobody tells the bus
        feeds.withdraw(conn, planned.campaign, now_ms(conn))

    def empty() -> bool:
        server.refresh()
        found = server.feed(token, "loudspeaker")
        return found is not None and not found.items

    until(empty, 5)
    tell_feeds(far, bus)

    def trusted() -> bool:
        server.refresh()
        return bool(source._trusted)

    until(trusted)
    again = plan(1, channel="loudspeaker")
    again.carry_out()
    [other] = again.tokens.values()
    tell_feeds(far, bus)
    until(lambda: shows(server, other, "loudspeaker") == [again.campaign])
    own_kafka.kill()
    until(lambda: not source._caught_up, 15)
    with far.store.write() as conn:
        feeds.withdraw(conn, again.campaign, now_ms(conn))
    server.refresh()
    found = server.feed(other, "loudspeaker")
    assert found is not None
    assert found.items == ()
    own_kafka.start()
    until(lambda: source._caught_up)


def test_topics_made_anew_are_told_everything_again(plan: Any, far: Installation, own_kafka: Broker, bus: Bus) -> None:
    planned = plan(3, channel="loudspeaker")
    planned.carry_out()
    assert tell_feeds(far, bus) == 3
    assert tell_feeds(far, bus) == 0
    admin = KafkaAdminClient(bootstrap_servers=own_kafka.address)
    admin.delete_topics([feeds_topic("live")])
    admin.close()
    until(lambda: prepare_bus(far) == [feeds_topic("live")])
    assert tell_feeds(far, bus) == 3


@pytest.mark.database("postgresql")
def test_two_that_tell_at_once_leave_the_newest_feed_last(
    plan: Any, far: Installation, bus: Bus, monkeypatch: Any
) -> None:
    planned = plan(1, channel="billboard")
    planned.carry_out()
    [recipient] = planned.tokens
    published: list[int] = []

    class Late:
        """While our first records are on their way another process changes the device and tells it."""

        def publish(self, records: list[Record]) -> None:
            bus.publish(records)
            published.append(json.loads(records[0].value or b"")["sequence"])
            if len(published) == 1:
                with far.store.write() as conn:
                    feeds._touch(conn, [recipient], None, now_ms(conn))
                    assert feeds.mark_told(conn, feeds.told(conn), feeds.version(conn))

    tell_feeds(far, Late())  # type: ignore[arg-type]
    assert len(published) == 2
    assert published[1] == published[0] + 1
    last = bus.tail(feeds_topic("live"), "")[-1]
    assert json.loads(last.value or b"")["sequence"] == published[1]


# Processes


def test_a_double_of_a_worker_ends_the_first_process_with_a_code_and_a_sentence(
    far: Installation, own_kafka: Broker
) -> None:
    env = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "BROADCASTER_HOME": str(far.settings.folder),
        "BROADCASTER_BUS_URL": own_kafka.url,
        "BROADCASTER_KAFKA_SESSION_MS": "3000",
    }
    words = [sys.executable, "-P", "-m", "broadcaster.cli", "work", "--name", "same", "--only", "sms"]
    first = subprocess.Popen(words, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    time.sleep(6)
    second = subprocess.Popen(words, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _, told = first.communicate(timeout=30)
        assert first.returncode == 4
        assert "--name" in told.decode()
        assert "Traceback" not in told.decode()
        assert second.poll() is None
    finally:
        for process in (first, second):
            if process.poll() is None:
                process.terminate()
                process.wait(25)
    assert second.returncode == 0


def test_every_group_of_workers_that_carries_an_emergency_looks_for_it() -> None:
    looked_for = {channel for group in runner.GROUPS for channel in runner.emergency_of(group)}
    assert looked_for == {"sms", "social", "loudspeaker", "billboard"}
    assert runner.emergency_of("sms") == []
