"""Kafka behind TLS and passwords: a campaign goes over it, and who brings the wrong thing is told which and by what setting."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from real_kafka import Broker, missing
from secure import PASSWORD, Guard, authority

from broadcaster.bus import feeds_topic, open_bus, prepare_bus
from broadcaster.deliver.runner import run_workers
from broadcaster.installation import Installation
from broadcaster.settings import load_settings
from broadcaster.web.app import create_app

pytestmark = [pytest.mark.database("sqlite"), pytest.mark.xdist_group("kafka")]
GUARDS = {"SSL": "", "SASL_SSL": "SCRAM-SHA-512", "SASL_PLAINTEXT": "PLAIN"}
# What a client brings instead of the right thing, and what it must be told. None: the variable is left out.
WRONG: dict[str, dict[str, tuple[dict[str, str | None], str]]] = {
    "SSL": {
        "other authority": ({"kafka_ca_file": "stranger"}, "BROADCASTER_KAFKA_CA_FILE="),
        "no encryption": (
            {"kafka_security": None, "kafka_ca_file": None},
            "BROADCASTER_KAFKA_SECURITY=PLAINTEXT may not be what its port speaks",
        ),
    },
    "SASL_SSL": {"wrong password": ({"kafka_password": "wrong-one"}, "refuses our sign-in as 'broadcaster'")},
    "SASL_PLAINTEXT": {"wrong password": ({"kafka_password": "wrong-one"}, "BROADCASTER_KAFKA_PASSWORD")},
}


@dataclass(frozen=True)
class Guarded:
    """A broker that lets nobody in without the right thing."""

    broker: Broker
    guard: Guard
    stranger: Path  # another authority's certificate

    def settings(self, instead: dict[str, str | None]) -> dict[str, str]:
        told = {**self.guard.settings(), **instead, "bus_url": self.broker.url}
        found = {name: value for name, value in told.items() if value is not None}
        if found.get("kafka_ca_file") == "stranger":
            found["kafka_ca_file"] = str(self.stranger)
        return {**found, "kafka_partitions": "2", "kafka_session_ms": "2000"}


@pytest.fixture(scope="module", params=GUARDS)
def guarded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    if lacks := missing():
        pytest.skip(lacks)
    folder = tmp_path_factory.mktemp("certificates")
    certificates = authority(folder / "ours") if "SSL" in request.param else None
    guard = Guard(request.param, GUARDS[request.param], certificates)
    broker = Broker(guard)
    try:
        yield Guarded(broker.start(), guard, authority(folder / "stranger").ca)
    finally:
        broker.stop()


def until(true: Callable[[], Any], seconds: float = 30) -> float:
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < seconds
        time.sleep(0.02)
    return time.monotonic() - began


@contextmanager
def working(inst: Installation) -> Iterator[None]:
    stop = threading.Event()
    thread = threading.Thread(target=run_workers, args=(inst, stop, "w"))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(25)
    assert not thread.is_alive()


def with_settings(inst: Installation, given: dict[str, str]) -> Installation:
    return Installation(load_settings(home=inst.settings.folder, poll_seconds=0.1, **given), inst.store, inst.keys)


def test_a_campaign_goes_over_a_guarded_broker(plan: Any, inst: Installation, guarded: Guarded) -> None:
    far = with_settings(inst, guarded.settings({}))
    assert len(prepare_bus(far)) == 20
    with working(far):
        planned = [plan(40, install=far), plan(5, channel="loudspeaker", install=far)]
        for each in planned:
            until(lambda each=each: each.state() == "finished")
            assert set(each.outcomes()) == {"accepted"}
        with closing(open_bus(far)) as bus:  # the workers go on: they tell the feeds too
            until(lambda: len({record.key for record in bus.tail(feeds_topic("live"), "")}) == 5)
            until(lambda: all(not each.waiting for each in bus.standing()))
            stood = {each.topic: each for each in bus.standing()}
    assert stood["broadcaster.live.deliveries.sms.notice"].published == 1


def asked(inst: Installation, given: dict[str, str], *words: str) -> tuple[int, dict[str, Any]]:
    """Exit code and answer of a verb, in a process of its own: what explains a refusal hears every client of its process."""
    environment = {f"BROADCASTER_{name.upper()}": value for name, value in given.items()}
    command = [sys.executable, "-P", "-m", "broadcaster.cli", "--home", str(inst.settings.folder), *words, "--json"]
    done = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=120, check=False
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return done.returncode, found


def test_who_brings_the_wrong_thing_is_told_and_an_emergency_starts_all_the_same(
    plan: Any, inst: Installation, guarded: Guarded
) -> None:
    for instead, told in WRONG[guarded.guard.protocol].values():
        given = guarded.settings(instead)
        far = with_settings(inst, given)
        with working(far), TestClient(create_app(far)) as web:
            emergency, notice = plan(20, category="emergency", install=far), plan(5, install=far)
            assert until(lambda planned=emergency: planned.outcomes().get("accepted", 0) > 0, 15) < 5
            ready = web.get("/readyz")
            assert ready.status_code == 200
            assert ready.json()["degraded"]["bus"].startswith("Kafka ")
            until(lambda planned=emergency: planned.outcomes() == {"accepted": 20}, 15)
            assert notice.outcomes() == {"waiting": 5}
        code, refused = asked(inst, given, "init")
        assert code == 5
        assert told in refused["error"]["message"]
        _, report = asked(inst, given, "doctor")
        (check,) = [each for each in report["checks"] if each["name"] == "bus"]
        assert told in check["detail"]
        assert "BROADCASTER_BUS_URL" in check["fix"]
        notice.set(state="cancelled")
        for secret in (PASSWORD, "wrong-one"):
            assert secret not in f"{ready.text} {check} {refused}"
