"""The web server beside a real broker: what it tells of it, and that it goes on without it."""

import re
import threading
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from fastapi.testclient import TestClient
from real_kafka import Broker

from broadcaster import people
from broadcaster.bus import Record, open_bus, prepare_bus
from broadcaster.compose import campaigns
from broadcaster.deliver.fanout import fan_out
from broadcaster.deliver.runner import run_workers
from broadcaster.installation import Installation
from broadcaster.model import Unavailable
from broadcaster.web.app import create_app


def metric(text: str, name: str) -> float:
    return float(re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)[1])  # type: ignore[index]


def test_metrics_and_readiness_tell_of_the_bus_and_pages_go_on_without_it(
    inst: Installation, own_kafka: Broker, at_broker: Callable[..., Installation]
) -> None:
    far = at_broker(inst, own_kafka)
    prepare_bus(far)
    topic = "broadcaster.live.deliveries.sms.notice"
    bus = open_bus(far)
    bus.publish([Record(topic, str(n), b"{}") for n in range(5)])
    taken: list[Record] = []
    end = time.monotonic() + 20
    while not taken and time.monotonic() < end:
        taken = bus.take([topic], "w.sms", 1)
    bus.done(taken)
    bus.close()
    with TestClient(create_app(far)) as web:
        text = web.get("/metrics").text
        assert metric(text, "broadcaster_bus_up") == 1
        assert metric(text, f'broadcaster_bus_records_published_total{{topic="{topic}"}}') == 5
        assert metric(text, f'broadcaster_bus_records_waiting{{topic="{topic}"}}') == 4
        assert metric(text, "broadcaster_windows_in_doubt") == 0
        assert metric(text, "broadcaster_feed_changes_untold") == 0
        assert web.get("/readyz").json() == {"ok": True, "failing": {}}
        own_kafka.kill()
        ready = web.get("/readyz")
        assert ready.status_code == 200
        assert "Kafka does not answer at 127.0.0.1" in ready.json()["degraded"]["bus"]
        assert metric(web.get("/metrics").text, "broadcaster_bus_up") == 0
        assert web.get("/sign-in").status_code < 500
        began = time.monotonic()
    assert time.monotonic() - began < 20


def test_dead_letters_and_open_deliveries_are_counted(inst: Installation) -> None:
    with inst.store.write() as conn:
        conn.exec_driver_sql("INSERT INTO dead_letter (source, error, at) VALUES ('t/1', 'record-forged', 1)")
        conn.exec_driver_sql(
            "INSERT INTO lease (campaign_id, chunk_id, first, last, owner, until_at) VALUES (1, 1, 1, 9, 'w', 1)"
        )
    with TestClient(create_app(inst)) as web:
        text = web.get("/metrics").text
    assert metric(text, 'broadcaster_dead_letters_total{reason="record-forged"}') == 1
    assert (metric(text, "broadcaster_windows"), metric(text, "broadcaster_windows_in_doubt")) == (0, 1)
    assert "broadcaster_feed_changes_untold" not in text, "without Kafka nobody has to be told"


@pytest.mark.parametrize("word", ["waiting", "sending", "unknown"])
def test_every_open_outcome_has_its_gauge(inst: Installation, word: str) -> None:
    with inst.store.write() as conn:
        for statement in (
            "INSERT INTO app_user (id, login, name, roles, created_at) VALUES (1, 'a', 'a', 'author', 1)",
            "INSERT INTO campaign (id, public_id, name, template_set, category, mode, state, facts, selection, channels, "
            "not_before_at, expires_at, author_id, editor_id, created_at) VALUES "
            "(1, 'p', 'n', 's', 'notice', 'live', 'running', '{}', '{}', '[]', 1, 2, 1, 1, 1)",
            "INSERT INTO cut (id, campaign_id, channel, place, premises_category, languages) VALUES (1, 1, 'sms', '22', '', '')",
            f"INSERT INTO counter (campaign_id, cut_id, word, shard, n) VALUES (1, 1, '{word}', 0, 7)",
        ):
            conn.exec_driver_sql(statement)
    with TestClient(create_app(inst)) as web:
        assert metric(web.get("/metrics").text, f'broadcaster_deliveries_open{{channel="sms",outcome="{word}"}}') == 7


@pytest.fixture
def unreachable(town: Any) -> Any:
    """The town with its bus at an address where nobody listens."""
    settings = town.inst.settings.model_copy(update={"bus_url": "kafka://127.0.0.1:1"})
    town.inst = Installation(settings, town.inst.store, town.inst.keys)
    return town


def test_with_no_broker_a_campaign_is_written_approved_and_counted_and_metrics_say_how_long_it_waits(
    unreachable: Any, draft: int, calls: Callable[..., Any], anybody: TestClient
) -> None:
    inst = unreachable.inst
    assert "Kafka does not answer at 127.0.0.1:1" in anybody.get("/readyz").json()["degraded"]["bus"]
    sent = calls("wang", "POST", f"/campaigns/{draft}/submit").json()
    assert sent["planned"] == 10
    campaigns.approve(inst, people.find_user(inst, "li"), draft, sent["digest"])
    with closing(open_bus(inst)) as bus, pytest.raises(Unavailable, match="BROADCASTER_BUS_URL"):
        fan_out(inst, bus)
    first = anybody.get("/metrics").text
    assert metric(first, "broadcaster_bus_up") == 0
    assert metric(first, "broadcaster_outbox_pending") == 4, "one chunk for each channel, none of them lost"
    time.sleep(0.2)
    later = anybody.get("/metrics").text
    name = "broadcaster_oldest_pending_seconds"
    assert metric(later, name) >= metric(first, name) + 0.2
    counts = calls("zhao", "GET", f"/campaigns/{draft}/counts").json()
    assert counts["outcomes"]["waiting"] == counts["planned"] == 10
    near = Installation(inst.settings.model_copy(update={"bus_url": "local:"}), inst.store, inst.keys)
    stop = threading.Event()
    thread = threading.Thread(target=run_workers, args=(near, stop, "w"))
    thread.start()
    end = time.monotonic() + 30
    while campaigns.find(inst, draft).state != "finished" and time.monotonic() < end:
        time.sleep(0.1)
    stop.set()
    thread.join(30)
    assert calls("zhao", "GET", f"/campaigns/{draft}/counts").json()["outcomes"]["accepted"] == 10
    done = anybody.get("/metrics").text
    assert (metric(done, "broadcaster_outbox_pending"), metric(done, name)) == (0, 0)
