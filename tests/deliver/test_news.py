"""What other systems hear of a campaign: CloudEvents, each told once, on either bus, and described in docs/asyncapi.yaml."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from broadcaster.bus import Bus, Record, feeds_topic, open_bus, prepare_bus, reach_topic
from broadcaster.bus.kafka_client import all_topics
from broadcaster.deliver import news
from broadcaster.deliver.fanout import fan_out
from broadcaster.deliver.feed_news import tell_feeds
from broadcaster.deliver.news import tell_reach
from broadcaster.deliver.sweep import sweep
from broadcaster.installation import Installation
from broadcaster.model import Outcome
from broadcaster.store.delivering import chunk_row

ASYNCAPI = yaml.safe_load((Path(__file__).parents[2] / "docs" / "asyncapi.yaml").read_text(encoding="utf-8"))
HEADERS = {"ce_specversion", "ce_id", "ce_type", "ce_source", "ce_subject", "ce_time", "content-type"}


@pytest.fixture(params=["local", pytest.param("kafka", marks=pytest.mark.xdist_group("kafka"))])
def bus(request: pytest.FixtureRequest, inst: Installation, at_broker: Callable[..., Installation]) -> Iterator[Bus]:
    used = inst
    if request.param == "kafka":
        used = at_broker(inst, request.getfixturevalue("own_kafka"))
        prepare_bus(used)
    made = open_bus(used)
    yield made
    made.close()


def events(bus: Bus, mode: str = "live") -> list[Record]:
    return bus.tail(reach_topic(mode), "")


def data(record: Record) -> Any:
    assert record.value is not None
    return json.loads(record.value)


def test_a_campaign_is_told_when_it_starts_is_counted_and_ends(
    plan: Any, inst: Installation, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(news, "COUNTED_MS", 0)
    planned = plan(250)
    assert tell_reach(inst, bus) == 0, "approved, and nothing is under way"
    planned.set(state="running", started_at=1_790_000_000_000)
    assert tell_reach(inst, bus) == 1
    assert tell_reach(inst, bus) == 0, "nothing has changed"
    worker = planned.worker()
    worker.inst = inst
    with inst.store.read() as conn:
        [chunk] = news_chunks(conn)
    worker.chunk(chunk)
    planned.set(state="running")
    tell_reach(inst, bus)
    planned.set(state="finished", finished_at=1_790_000_060_000)
    tell_reach(inst, bus)
    assert tell_reach(inst, bus) == 0
    told = events(bus)
    assert [r.headers["ce_type"] for r in told] == ["campaign.started", "campaign.counted", "campaign.finished"]
    assert {r.key for r in told} == {str(planned.campaign)}
    assert [data(r)["outcomes"]["accepted"] for r in told] == [0, 250, 250]
    assert told[2].headers["ce_time"].endswith("+08:00")
    assert set(data(told[2])["outcomes"]) == {str(word) for word in Outcome}
    assert data(told[2])["channels"]["sms"] == data(told[2])["outcomes"]
    assert len({r.headers["ce_id"] for r in told}) == 3


def news_chunks(conn: Any) -> list[Any]:
    return [chunk for n in range(1, 9) if (chunk := chunk_row(conn, n))]


def test_what_is_told_twice_has_the_same_id(plan: Any, inst: Installation, bus: Bus) -> None:
    plan(5).carry_out("sms")
    tell_reach(inst, bus)
    with inst.store.write() as conn:
        conn.exec_driver_sql("DELETE FROM campaign_told")  # as a crash between the two would leave it
    tell_reach(inst, bus)
    ids = [r.headers["ce_id"] for r in events(bus)]
    assert len(ids) == 4
    assert ids[:2] == ids[2:]


def test_a_cancelled_campaign_is_told_when_its_last_delivery_has_its_outcome(
    plan: Any, inst: Installation, bus: Bus
) -> None:
    planned = plan(20)
    planned.set(state="cancelled", epoch=1, started_at=1_790_000_000_000, cancelled_at=1_790_000_001_000)
    assert tell_reach(inst, bus) == 0
    sweep(inst)
    tell_reach(inst, bus)
    last = events(bus)[-1]
    assert (last.headers["ce_type"], data(last)["state"]) == ("campaign.finished", "cancelled")
    assert data(last)["outcomes"]["cancelled"] == data(last)["planned"] == 20


def test_an_exercise_is_told_on_its_own_topic(plan: Any, inst: Installation, bus: Bus) -> None:
    plan(3, mode="exercise").carry_out("sms")
    tell_reach(inst, bus)
    assert events(bus) == []
    assert {data(r)["mode"] for r in events(bus, "exercise")} == {"exercise"}


def test_events_hold_no_number_no_name_and_no_text(plan: Any, inst: Installation, bus: Bus) -> None:
    plan(5).carry_out("sms")
    tell_reach(inst, bus)
    for record in events(bus):
        text = (record.value or b"").decode() + json.dumps(dict(record.headers))
        assert "138" not in re.sub(r"\d{13}", "", text), "a number of the plan begins so; times in ids have 13 digits"
        assert not any(word in text for word in ("金", "灭火器", "2201"))


# The document for those who listen


def schema_of(message: str) -> tuple[Any, Any]:
    found = ASYNCAPI["components"]["messages"][message]
    headers = found["headers"]
    if "$ref" in headers:
        headers = ASYNCAPI["components"]["schemas"][headers["$ref"].rpartition("/")[2]]
    return headers, found["payload"]


def faults(schema: Any, value: Any) -> list[str]:
    whole = {**schema, "components": ASYNCAPI["components"]}
    return [error.message for error in Draft202012Validator(whole).iter_errors(value)]


def test_the_document_names_exactly_the_topics_that_are_made(inst: Installation) -> None:
    described: set[str] = set()
    for channel in ASYNCAPI["channels"].values():
        names = {channel["address"]}
        for name, parameter in (channel.get("parameters") or {}).items():
            names = {each.replace(f"{{{name}}}", word) for each in names for word in parameter["enum"]}
        described |= names
    assert described == set(all_topics(inst.settings))
    assert ASYNCAPI["asyncapi"].startswith("3.")


@pytest.mark.parametrize(("channel", "lane"), [("sms", "notice"), ("social", "emergency"), ("billboard", "notice")])
def test_a_real_delivery_record_is_as_described(plan: Any, inst: Installation, channel: str, lane: str) -> None:
    planned = plan(5, channel=channel, category=lane)
    local = planned.worker().bus
    fan_out(inst, local)
    topic = f"broadcaster.live.deliveries.{channel}" + ("" if channel == "billboard" else f".{lane}")
    [record] = local.tail(topic, "")
    headers, payload = schema_of("chunk")
    assert faults(headers, dict(record.headers)) == []
    assert faults(payload, data(record)) == []
    assert set(payload["properties"]) == set(data(record)), "what is described is there"
    assert faults(payload, {**data(record), "phone": "1"}) != []


def test_real_events_are_as_described(plan: Any, inst: Installation, bus: Bus) -> None:
    plan(5).carry_out("sms")
    tell_reach(inst, bus)
    headers, payload = schema_of("campaign")
    for record in events(bus):
        assert set(record.headers) == HEADERS == set(headers["properties"])
        assert faults(headers, dict(record.headers)) == []
        assert faults(payload, data(record)) == []
        assert set(payload["properties"]) == set(data(record))


@pytest.mark.parametrize(("channel", "message"), [("loudspeaker", "speaker"), ("billboard", "board")])
def test_a_real_feed_record_is_as_described(plan: Any, inst: Installation, channel: str, message: str) -> None:
    planned = plan(1, channel=channel)
    planned.carry_out("feeds")
    bus = planned.worker().bus
    assert tell_feeds(inst, bus) == 1
    [record] = bus.tail(feeds_topic("live"), "")
    headers, payload = schema_of(message)
    assert set(record.headers) == set(headers["properties"])
    assert faults(headers, dict(record.headers)) == []
    assert faults(payload, data(record)) == []
    assert set(payload["properties"]) == set(data(record))
    assert set(payload["properties"]["items"]["items"]["properties"]) == set(data(record)["items"][0])
