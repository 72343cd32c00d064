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
from broadcaster.deliver import fanout, routes, runner
from broadcaster.deliver import sweep as sweeping
from broadcaster.deliver import worker as worker_module
from broadcaster.deliver.runner import run_workers
from broadcaster.installation import Installation
from broadcaster.model import Unavailable
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

    has_receipts = False

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
    monkeypatch.setattr(routes, "outlet", lambda inst, mode, kind, provider: ledger)
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
    thread = threading.Thread(
        target=lambda: ended.append(run_workers(quick, stop, "w", ["sms", "sms-emergency"])), daemon=True
    )
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


def test_a_cancel_waits_for_a_claim_and_the_next_claim_sees_it(
    quick: Installation, plan: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = plan(300, install=quick)
    planned.set(state="running")
    _ledger(monkeypatch, 0)
    worker = planned.worker()
    with quick.store.read() as conn:
        chunk = worker_module.delivering.chunk_row(conn, 1)
    assert chunk is not None
    cancel = threading.Thread(target=_cancel, args=(quick, planned.campaign))
    with quick.store.write() as conn:
        first = worker._turn(conn, worker_module.Pass(chunk, "w/1", 1), doubt=False)
        cancel.start()
        cancel.join(0.5)
        assert cancel.is_alive()
    cancel.join(10)
    assert first is not None
    assert planned.state() == "cancelled"
    again = worker_module.Pass(chunk, "w/1", first.at)
    assert quick.store.transact(lambda conn: worker._turn(conn, again, doubt=False)) is None
    assert planned.outcomes() == planned.counters() == {"sending": 100, "cancelled": 200}


def test_a_claim_whose_commit_was_not_confirmed_is_undone_and_made_again(
    quick: Installation, plan: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server took each commit and died before it said so: none of those windows was sent, so none is in doubt."""
    planned = plan(250, install=quick)
    ledger = _ledger(monkeypatch, 0)
    real, lost = quick.store.transact, []

    def transact(work: Any) -> Any:
        done = real(work)
        if isinstance(done, worker_module.Step) and len(lost) < 5:
            lost.append(done)
            raise Unavailable("database", "the answer to the commit was lost")
        return done

    monkeypatch.setattr(quick.store, "transact", transact)
    planned.carry_out("sms")
    assert len(lost) == 5
    assert planned.outcomes() == planned.counters() == {"accepted": 250}
    assert set(ledger.copies().values()) == {1}
    assert len(ledger.lines) == 250
    with quick.store.read() as conn:
        assert conn.execute(text("SELECT max(attempt), count(DISTINCT attempt) FROM delivery")).one() == (1, 1)
        assert conn.execute(text("SELECT count(*) FROM lease")).scalar() == 0


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
    quick: Installation, plan: Any, postgresql: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    deadlocks = postgresql.deadlocks()
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
    threads = [threading.Thread(target=run, args=(job,), daemon=True) for job in jobs]
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

    def settled() -> bool:
        for one in planned:
            _conserved(quick, one.campaign, 1500)
        left = {"waiting", "sending"}
        open_ = any(one.state() in ("approved", "running") or left & set(one.outcomes()) for one in planned)
        return failed != [] or not open_

    _until(settled)
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
    assert held == 0
    assert postgresql.deadlocks() == deadlocks
