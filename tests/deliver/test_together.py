"""Several at work on the same campaigns of one PostgreSQL, a server that dies under them: the laws hold, seen by a ledger of the test."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from postgresql_server import Server
from sqlalchemy import text

from broadcaster.bus.local import LocalBus
from broadcaster.deliver import fanout, runner
from broadcaster.deliver import sweep as sweeping
from broadcaster.deliver import worker as worker_module
from broadcaster.deliver.runner import run_workers
from broadcaster.installation import Installation
from broadcaster.reach.counts import recount
from broadcaster.store import campaigns, feeds
from broadcaster.store.clock import now_ms
from channels.base import ACCEPTED, Answer, ChannelSettings, Message

pytestmark = pytest.mark.database("postgresql")


class Ledger:
    """A channel that writes down what it is given, and when, before it answers."""

    def __init__(self, seconds: float) -> None:
        self.settings = ChannelSettings(provider="scripted")
        self.lines: list[tuple[str, float]] = []
        self._seconds = seconds

    def send(self, messages: list[Message]) -> list[Answer]:
        now = time.monotonic()
        self.lines.extend((message.delivery, now) for message in messages)
        time.sleep(self._seconds)
        return [ACCEPTED for _ in messages]

    def close(self) -> None:
        pass

    def copies(self) -> Counter[str]:
        return Counter(name for name, _ in self.lines)


@pytest.fixture
def quick(inst: Installation, monkeypatch: pytest.MonkeyPatch) -> Installation:
    """Pauses that are there for machines, not for tests."""
    for module, name in ((runner, "PATIENCE"), (worker_module, "AWAY_SECONDS"), (runner, "SWEEP_SECONDS")):
        monkeypatch.setattr(module, name, 0.1)
    for lane in sweeping.LOST_MS:
        monkeypatch.setitem(sweeping.LOST_MS, lane, 1_000)
    return Installation(inst.settings.model_copy(update={"poll_seconds": 0.05}), inst.store, inst.keys)


def _ledger(monkeypatch: pytest.MonkeyPatch, seconds: float) -> Ledger:
    ledger = Ledger(seconds)
    monkeypatch.setattr(worker_module, "outlet", lambda inst, mode, kind: ledger)
    return ledger


def _until(done: Callable[[], bool], seconds: float = 90.0) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, "nothing moves any more"
        time.sleep(0.05)


@pytest.mark.parametrize("category", ["notice", "emergency"])
def test_a_server_killed_while_sending_loses_nothing_and_doubles_nothing(
    quick: Installation, plan: Any, postgresql: Server, monkeypatch: pytest.MonkeyPatch, category: str
) -> None:
    """The answers of the window under way wait for it; a claim whose commit was not confirmed is undone, because nothing of it was sent."""
    planned = plan(2000, category=category, chunk=250, install=quick)
    ledger = _ledger(monkeypatch, 0.01)
    stop, ended = threading.Event(), []
    thread = threading.Thread(target=lambda: ended.append(run_workers(quick, stop, "w", ["sms", "sms-emergency"])))
    thread.start()
    away: list[tuple[float, float]] = []
    for share in (0.2, 0.6):
        _until(lambda share=share: len(ledger.lines) > share * 2000)
        postgresql.kill()
        began = time.monotonic()
        time.sleep(0.5)
        away.append((began, time.monotonic()))
        postgresql.start()
    _until(lambda: planned.state() == "finished")
    stop.set()
    thread.join(30)
    assert ended == [None]
    assert planned.outcomes() == planned.counters() == {"accepted": 2000}
    assert set(ledger.copies().values()) == {1}
    assert len(ledger.lines) == 2000
    for began, until in away:  # nobody sends what could not be written down before
        assert sum(began + 0.1 < at < until for _, at in ledger.lines) == 0
    assert recount(quick, planned.campaign)["equal"]


def _cancel(inst: Installation, campaign: int) -> None:
    """As compose does it: behind the campaign's lock, which claims hold too."""
    with inst.store.write() as conn:
        campaigns.lock(conn, campaign)
        campaigns.set_state(conn, campaign, "running", "cancelled")
        campaigns.raise_epoch(conn, campaign)
        feeds.withdraw(conn, campaign, now_ms(conn))


def _opt_out(inst: Installation, dice: random.Random) -> None:
    with inst.store.write() as conn:
        conn.execute(
            text(
                "INSERT INTO suppression (address_key, class, since_at, source) "
                "SELECT address_key, 'never', 0, 'reply' FROM recipient WHERE id % 97 = :r ON CONFLICT DO NOTHING"
            ),
            {"r": dice.randrange(97)},
        )


def _conserved(inst: Installation, campaign: int, planned: int) -> None:
    """L1 and L5 at one moment."""
    with inst.store.read() as conn:
        stored = {
            (cut, word): n
            for cut, word, n in conn.execute(
                text(
                    "SELECT cut_id, word, sum(n) FROM counter WHERE campaign_id = :c AND word <> 'published' "
                    "GROUP BY 1, 2 HAVING sum(n) <> 0"
                ),
                {"c": campaign},
            )
        }
        rows = {
            (cut, word): n
            for cut, word, n in conn.execute(
                text("SELECT cut_id, outcome, count(*) FROM delivery WHERE campaign_id = :c GROUP BY 1, 2"),
                {"c": campaign},
            )
        }
    assert stored == rows
    assert sum(rows.values()) == planned


def test_four_at_work_with_cancels_and_sweeps_keep_the_laws_and_never_meet_in_a_deadlock(
    quick: Installation, plan: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    dice = random.Random(7)
    sizes = {"sms": 1500, "loudspeaker": 1500}
    planned = [
        plan(size, channel=channel, category=category, chunk=100, install=quick)
        for channel, size in sizes.items()
        for category in ("emergency", "notice", "notice")
    ]
    ledger = _ledger(monkeypatch, 0.002)
    stop, failed = threading.Event(), []

    def run(job: Callable[[], object]) -> None:
        try:
            while not stop.is_set():
                job()
        except BaseException as error:
            failed.append(error)
            stop.set()

    bus = LocalBus(quick.store)
    groups = ["sms", "sms-emergency", "feeds"]
    topics = [topic for group in groups for topic in runner.topics_of(group)]
    workers = [worker_module.Worker(quick, bus, topics, f"w{i}") for i in range(4)]
    jobs: list[Callable[[], object]] = [*(worker.step for worker in workers), lambda: fanout.fan_out(quick, bus)]
    jobs += [lambda: sweeping.sweep(quick)] * 2
    threads = [threading.Thread(target=run, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    cancelled = [planned[1], planned[4]]
    moment: dict[int, float] = {}
    for one in cancelled:
        _until(lambda one=one: failed != [] or one.state() == "running")
        time.sleep(dice.uniform(0.1, 0.4))
        _opt_out(quick, dice)
        _cancel(quick, one.campaign)
        moment[one.campaign] = time.monotonic()
    while any(one.state() in ("approved", "running") for one in planned) and not failed:
        for one in planned:
            _conserved(quick, one.campaign, 1500)
    _until(
        lambda: (
            failed != []
            or all(not one.outcomes().get("waiting") and not one.outcomes().get("sending") for one in planned)
        )
    )
    stop.set()
    for thread in threads:
        thread.join(30)
    assert failed == []
    copies = ledger.copies()
    assert set(copies.values()) == {1}
    for one in planned:
        _conserved(quick, one.campaign, 1500)
        assert recount(quick, one.campaign)["equal"]
        with quick.store.read() as conn:
            rows = conn.execute(
                text(
                    "SELECT campaign_id || '-' || n || '-' || token, outcome, channel FROM delivery WHERE campaign_id = :c"
                ),
                {"c": one.campaign},
            ).all()
        sent = {name for name, outcome, channel in rows if outcome == "accepted" and channel == "sms"}
        assert sent == {name for name, _, _ in rows if copies[name]}
        window = quick.settings.window("notice")
        late = [
            at
            for name, at in ledger.lines
            if int(name.split("-")[0]) == one.campaign and at > moment.get(one.campaign, at)
        ]
        assert len(late) <= 4 * window, "a window that was claimed before the cancel may still go out; nothing else"
        states = {"cancelled"} if one in cancelled else {"finished"}
        assert one.state() in states
    assert any(one.outcomes().get("cancelled") for one in cancelled)
    assert sum(one.outcomes().get("suppressed", 0) for one in planned) > 0
    with quick.store.read() as conn:
        held = conn.execute(
            text("SELECT count(*) FROM feed_item WHERE campaign_id IN (:a, :b)"),
            {"a": cancelled[0].campaign, "b": cancelled[1].campaign},
        ).scalar()
        found = conn.exec_driver_sql(
            "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        ).scalar()
    assert held == 0
    assert found == 0
