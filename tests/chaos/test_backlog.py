"""An emergency overtakes a backlog of notices, on both back-ends. The long form, with figures: ./scripts/bench emergency."""

import itertools
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from postgresql_server import Server

sys.path.insert(0, str(Path(__file__).parent))  # the harness is a program of its own, not a package of the tests

from ledger import Sink

from broadcaster.bus import prepare_bus
from broadcaster.cli.children import Children
from broadcaster.cli.run import start_workers
from broadcaster.compose import campaigns, places
from broadcaster.compose.drafts import Draft
from broadcaster.compose.recipients import NewRecipient, add_recipients
from broadcaster.installation import Installation, initialise
from broadcaster.model import Mode, Role, Selection
from broadcaster.people import User, add_user
from broadcaster.reach.counts import recount

NOTICES, ALARMS = 20_000, 50
CHANGCHUN, YANBIAN = "220102001001", "222401001001"
DELAY = 0.2  # of the gateway: with 2 workers of 50 requests in flight 500 notices a second, on a machine that keeps up
SLACK_SECONDS = 10.0  # five times what is promised: the machine of a test may be busy
SET = """id = "{name}"
category = "{category}"
expires_hours = 6
title = {{ zh-CN = "试", ko = "시험", en = "Trial" }}
signature = {{ zh-CN = "试", ko = "시험", en = "Trial" }}
"""


def _write_set(folder: Path, name: str, category: str) -> None:
    (folder / name).mkdir(parents=True)
    (folder / name / "set.toml").write_text(SET.format(name=name, category=category), encoding="utf-8")
    (folder / name / "sms.zh-CN.txt").write_text("请马上离开。\n", encoding="utf-8")


class Stage:
    """A home with people in two places, its workers, and the gateway's ledger in the order in which requests came."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.ledger = folder / "ledger.txt"
        self.sink = Sink(self.ledger, DELAY).start()
        for name, category in (("routine", "notice"), ("alarm", "emergency")):
            _write_set(folder / "sets", name, category)
        self.given = {
            "sms_provider": "http",
            "sms_url": f"http://127.0.0.1:{self.sink.port}/send",
            "templates": str(folder / "sets"),
            **settings,
        }
        self.inst: Installation = initialise(home=folder / "home", **self.given)
        prepare_bus(self.inst)
        places.load_places(self.inst)
        self.author = self._user("ann", Role.AUTHOR)
        self.approver = self._user("bob", Role.APPROVER)
        people = itertools.chain(
            (NewRecipient("sms", f"tel:+86138{i:08d}", CHANGCHUN) for i in range(NOTICES)),
            (NewRecipient("sms", f"tel:+86139{i:08d}", YANBIAN) for i in range(ALARMS)),
        )
        add_recipients(self.inst, people)

    def _user(self, login: str, role: Role) -> User:
        return add_user(self.inst, "test", login, login, [role])

    def children(self) -> Children:
        words = {f"BROADCASTER_{name.upper()}": value for name, value in self.given.items()}
        return Children(self.inst.settings.folder, BROADCASTER_LOG_LEVEL="warning", **words)

    def let_go(self, template_set: str, place: str) -> int:
        draft = Draft(template_set, template_set, Mode.LIVE, None, {}, Selection(places=(place,)), ("sms",))
        made = campaigns.submit(self.inst, self.author, campaigns.create(self.inst, self.author, draft).id)
        return campaigns.approve(self.inst, self.approver, made.id, made.sealed_digest).id

    def requests(self) -> list[int]:
        """The campaign of each request, in order."""
        return [int(line.partition("-")[0]) for line in self.ledger.read_text().splitlines()]

    def close(self) -> None:
        self.inst.close()


@pytest.fixture(params=["embedded", pytest.param("scale", marks=pytest.mark.xdist_group("kafka"))])
def settings(request: pytest.FixtureRequest) -> dict[str, str]:
    """Settings of each back-end."""
    if request.param == "embedded":
        return {}
    server: Server = request.getfixturevalue("postgresql")
    assert server
    url, broker = request.getfixturevalue("on_postgresql"), request.getfixturevalue("own_kafka")
    return {"database_url": url, "bus_url": broker.url, "kafka_partitions": "2"}


def _until(true: Callable[[], bool], seconds: float) -> float:
    begun = time.monotonic()
    while not true():
        assert time.monotonic() - begun < seconds, "waited in vain"
        time.sleep(0.02)
    return time.monotonic() - begun


def test_an_emergency_overtakes_a_backlog_and_a_cancel_stops_it(tmp_path: Path, settings: dict[str, str]) -> None:
    stage = Stage(tmp_path, **settings)
    with stage.children() as children:
        start_workers(children, 2)
        many = stage.let_go("routine", "2201")
        _until(lambda: len(stage.requests()) > 200, 30)  # it is being sent
        alarm = stage.let_go("alarm", "2224")
        took = _until(lambda: alarm in stage.requests(), SLACK_SECONDS)
        before = stage.requests().index(alarm)
        _until(lambda: stage.requests().count(alarm) == ALARMS, 30)
        sent = stage.requests()
        campaigns.cancel(stage.inst, stage.approver, many, "why")
        at_cancel = stage.requests().count(many)
        time.sleep(2)
        after = stage.requests().count(many)
        time.sleep(1)
        last = stage.requests().count(many)
    assert took < SLACK_SECONDS
    assert before < NOTICES / 10, f"{before} notices went before the first of the emergency"
    assert sent.count(many) < NOTICES / 2
    assert after - at_cancel <= 2 * 100, "more than a window of each worker went after the cancel"
    assert last == after, "two seconds after a cancel something was still sent"
    for campaign in (many, alarm):
        assert recount(stage.inst, campaign)["equal"]
    stage.close()
