"""What once could harm: doubts forgotten, one bad row that stopped the rest, a provider that reaches nobody, modes that met."""

from typing import Any

import pytest
from sqlalchemy import text

from broadcaster import devices
from broadcaster.bus import Record
from broadcaster.bus.local import LocalBus
from broadcaster.deliver import sending
from broadcaster.deliver import worker as worker_module
from broadcaster.deliver.fanout import fan_out
from broadcaster.deliver.feeds import FeedServer
from broadcaster.deliver.folding import fold
from broadcaster.deliver.pace import PROBE, Circuit
from broadcaster.deliver.receipts import device_event
from broadcaster.deliver.runner import topics_of
from broadcaster.deliver.sweep import sweep
from broadcaster.installation import Installation
from broadcaster.model import BadInput
from broadcaster.store import receipts
from broadcaster.store.clock import wall_ms
from broadcaster.store.plan import may_have_it
from broadcaster.store.receipts import Receipt
from channels.base import ACCEPTED, Answer, AnswerWord, ChannelError

LOST = Answer(AnswerWord.UNCERTAIN, reason="reply-lost")
WRONG_PASSWORD = Answer(AnswerWord.CONFIG_ERROR, reason="password")


def _leases_run_out(inst: Installation) -> None:
    with inst.store.write() as conn:
        conn.execute(text("UPDATE lease SET until_at = 1"))
    sweep(inst)


def _all_due(inst: Installation) -> None:
    with inst.store.write() as conn:
        conn.execute(text("UPDATE delivery SET due_at = 0"))
        conn.execute(text("UPDATE chunk SET due_at = 0 WHERE finished_at IS NULL"))


def test_an_answer_that_comes_after_its_lease_is_taken_and_nobody_is_told_twice(
    plan: Any, inst: Installation, scripted: Any
) -> None:
    planned = plan(8, category="emergency")

    def answer(n: int) -> Answer:
        if n == 8:
            _leases_run_out(inst)
            assert planned.outcomes() == {"waiting": 8}
        return ACCEPTED

    channel = scripted(answer)
    planned.carry_out()
    assert sorted(channel.numbers) == list(range(1, 9))
    assert planned.outcomes() == planned.counters() == {"accepted": 8}


@pytest.mark.parametrize("end", [{"state": "cancelled", "epoch": 1}, {"expires_at": 1}])
def test_a_doubt_is_not_forgotten_by_a_cancel_or_an_expiry(
    plan: Any, inst: Installation, scripted: Any, end: dict[str, Any]
) -> None:
    planned = plan(4, category="emergency")
    scripted(lambda n: LOST)
    planned.carry_out()
    assert planned.outcomes() == {"waiting": 4}
    planned.set(**end)
    sweep(inst)
    assert planned.outcomes() == planned.counters() == {"unknown": 4}
    with inst.store.read() as conn:
        assert len(list(may_have_it(conn, planned.campaign, ("sms",)))) == 4


def test_a_window_in_doubt_of_a_cancelled_emergency_is_not_resent(plan: Any, inst: Installation) -> None:
    planned = plan(3, category="emergency")
    worker = planned.worker("sms-emergency")
    with inst.store.write() as conn, worker_module.counting(conn, planned.campaign) as turn:
        chunk = worker_module.delivering.chunk_row(conn, 1)
        campaign = worker_module.delivering.campaign_now(conn, planned.campaign)
        assert worker._claim(turn, worker_module.Pass(chunk, "w", 1), campaign, (1, 3))
    planned.set(state="cancelled", epoch=1)
    _leases_run_out(inst)
    assert planned.outcomes() == planned.counters() == {"unknown": 3}


@pytest.mark.usefixtures("patient")
def test_a_refusal_after_a_doubt_does_not_say_that_nothing_arrived(
    plan: Any, inst: Installation, scripted: Any
) -> None:
    planned = plan(1, category="emergency")
    channel = scripted(lambda n: LOST)
    planned.carry_out()
    channel.answers = lambda n: Answer(AnswerWord.FAILED, reason="blocked")
    _all_due(inst)
    planned.carry_out()
    assert planned.outcomes() == planned.counters() == {"unknown": 1}


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Circuit, "wait_s", lambda self: 0.0)


def test_one_unreadable_address_fails_alone(plan: Any, inst: Installation) -> None:
    planned = plan(3, category="emergency")
    with inst.store.write() as conn:
        conn.execute(
            text("UPDATE recipient SET address_sealed = address_key WHERE id = "
                 "(SELECT recipient_id FROM delivery WHERE n = 2)")
        )  # fmt: skip
    planned.carry_out()
    assert planned.outcomes() == planned.counters() == {"accepted": 2, "failed": 1}
    with inst.store.read() as conn:
        assert conn.execute(text("SELECT n, reason FROM delivery WHERE outcome = 'failed'")).one() == (
            2,
            "address-unreadable",
        )


def test_slots_that_do_not_fit_fail_alone(plan: Any, inst: Installation) -> None:
    planned = plan(3)
    with inst.store.write() as conn:
        conn.execute(text("UPDATE delivery SET slots = '[]' WHERE n = 3"))
    planned.carry_out()
    assert planned.outcomes() == planned.counters() == {"accepted": 2, "failed": 1}


def test_a_channel_that_cannot_be_built_leaves_everybody_waiting(
    plan: Any, inst: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = plan(300)

    def broken(*_: object) -> None:
        raise ChannelError("the provider needs an address")

    monkeypatch.setattr(sending, "outlet", broken)
    planned.carry_out()
    assert planned.outcomes() == planned.counters() == {"waiting": 300}
    with inst.store.read() as conn:
        assert conn.execute(text("SELECT count(*) FROM lease")).scalar() == 0
        assert conn.execute(text("SELECT min(due_at) FROM chunk")).scalar() > worker_module.now_ms(conn)


def test_an_adapter_that_raises_is_a_lost_reply_not_the_end_of_the_worker(
    plan: Any, scripted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = plan(10)
    channel = scripted(lambda n: ACCEPTED)
    monkeypatch.setattr(channel, "send", lambda messages: 1 / 0)
    planned.carry_out()
    assert planned.outcomes() == planned.counters() == {"unknown": 10}


def test_a_fault_of_ours_in_one_chunk_lets_the_others_go(
    plan: Any, inst: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, good = plan(5), plan(5)
    right = worker_module.Worker.chunk

    def chunk(self: Any, row: Any) -> None:
        if row.campaign_id == bad.campaign:
            raise AttributeError("a fault of ours")
        right(self, row)

    monkeypatch.setattr(worker_module.Worker, "chunk", chunk)
    good.carry_out()
    assert good.outcomes() == {"accepted": 5}
    assert bad.outcomes() == {"waiting": 5}
    with inst.store.read() as conn:
        assert conn.execute(text("SELECT error FROM dead_letter")).scalar() == "chunk-broken AttributeError"


def test_a_gateway_that_loses_every_reply_costs_one_sub_batch_not_the_campaign(plan: Any, scripted: Any) -> None:
    planned = plan(2000)
    channel = scripted(lambda n: LOST)
    planned.carry_out()
    assert len(channel.given) == sending.SUB_BATCH
    assert (
        planned.outcomes() == planned.counters() == {"unknown": sending.SUB_BATCH, "waiting": 2000 - sending.SUB_BATCH}
    )


def test_a_wrong_password_is_asked_once_and_costs_no_attempt(plan: Any, inst: Installation, scripted: Any) -> None:
    planned = plan(1000)
    channel = scripted(lambda n: WRONG_PASSWORD)
    planned.carry_out()
    assert len(channel.given) == sending.SUB_BATCH
    assert planned.outcomes() == planned.counters() == {"waiting": 1000}
    with inst.store.read() as conn:
        assert conn.execute(text("SELECT max(attempt) FROM delivery")).scalar() == 0
        assert conn.execute(text("SELECT count(*) FROM attempt")).scalar() == 1


def test_after_the_pause_a_small_window_tries_and_then_all_go(
    plan: Any, inst: Installation, scripted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = plan(500)
    channel = scripted(lambda n: WRONG_PASSWORD)
    worker = planned.worker()
    fan_out(inst, LocalBus(inst.store))
    worker.step()
    monkeypatch.setattr(Circuit, "wait_s", lambda self: 0.0)
    channel.answers = lambda n: ACCEPTED
    given: list[int] = []
    send = channel.send
    monkeypatch.setattr(channel, "send", lambda messages: given.append(len(messages)) or send(messages))
    _all_due(inst)
    fan_out(inst, LocalBus(inst.store))
    worker.step()
    assert given[0] == PROBE
    assert planned.outcomes() == {"accepted": 500}


def test_a_device_that_becomes_live_again_does_not_play_the_drill(plan: Any, inst: Installation) -> None:
    planned = plan(1, channel="loudspeaker", mode="exercise")
    [speaker] = planned.tokens
    drill = devices.enrol(inst, "ann", [speaker], "exercise")[speaker]
    planned.carry_out()
    server = FeedServer(inst)
    assert len(server.feed(drill, "loudspeaker").items) == 1  # type: ignore[union-attr]
    live = devices.enrol(inst, "ann", [speaker], "live")[speaker]
    found = server.feed(live, "loudspeaker")
    assert found is not None
    assert (found.mode, found.items) == ("live", ())


def test_a_replaced_token_stops_to_open_the_feed_whoever_polls_first(plan: Any, inst: Installation) -> None:
    planned = plan(1, channel="loudspeaker")
    planned.carry_out()
    [(speaker, old)] = planned.tokens.items()
    server = FeedServer(inst)
    server.refresh()
    assert server.feed(old, "loudspeaker") is not None
    new = devices.enrol(inst, "ann", [speaker], "live")[speaker]
    assert server.feed(new, "loudspeaker") is not None
    server.refresh()
    assert server.feed(old, "loudspeaker") is None


def test_a_receipt_waits_for_the_workers_own_answer(plan: Any, inst: Installation, scripted: Any) -> None:
    planned = plan(3)

    def answer(n: int) -> Answer:
        if n == 1:
            with inst.store.write() as conn:
                for number, word in ((1, "failed"), (2, "delivered")):
                    told = Receipt("p", f"k{number}", planned.campaign, number, word, None, "{}")
                    receipts.store(conn, [told], wall_ms())
            assert fold(inst) == 0
        return ACCEPTED

    scripted(answer)
    planned.carry_out()
    while fold(inst):
        pass
    assert planned.outcomes() == planned.counters() == {"accepted": 1, "failed": 1, "delivered": 1}


def test_a_device_cannot_report_on_what_it_was_not_given_yet(plan: Any, inst: Installation) -> None:
    planned = plan(1, channel="loudspeaker")
    [token] = planned.tokens.values()
    for campaign in (planned.campaign, 10**30, True, -1):
        with pytest.raises(BadInput):
            device_event(inst, token, {"campaign": campaign, "event": "finished"})
    planned.carry_out()
    device_event(inst, token, {"campaign": planned.campaign, "event": "finished"})
    fold(inst)
    assert planned.counters() == {"accepted": 1, "published": 1, "played": 1}


def test_a_drill_never_stands_before_an_alarm(plan: Any, inst: Installation) -> None:
    drill = plan(40, category="emergency", mode="exercise", chunk=10)
    bus = LocalBus(inst.store)
    fan_out(inst, bus)
    alarm = plan(5, category="emergency")
    fan_out(inst, bus)
    assert [r.topic for r in bus.take(topics_of("sms-emergency"), "w", 1)] == [
        "broadcaster.live.deliveries.sms.emergency"
    ]
    assert drill.outcomes() == {"waiting": 40}
    assert alarm.outcomes() == {"waiting": 5}


def test_a_promotion_that_was_wholly_sent_does_not_wait_for_the_morning(
    plan: Any, scripted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = plan(100, category="promotion")

    def answer(n: int) -> Answer:
        monkeypatch.setattr(worker_module, "promotion_hours", lambda settings, now: now + 10**7)
        return ACCEPTED

    scripted(answer)
    planned.carry_out()
    assert planned.outcomes() == {"accepted": 100}
    assert planned.state() == "finished"


def test_a_window_stops_between_its_requests_when_it_is_told_to_or_its_time_is_over(plan: Any, scripted: Any) -> None:
    planned = plan(100)

    def answer(n: int) -> Answer:
        if n == 1:
            planned.set(expires_at=1)
        return ACCEPTED

    channel = scripted(answer)
    planned.carry_out()
    assert len(channel.given) == sending.SUB_BATCH
    assert planned.outcomes() == planned.counters() == {"accepted": 50, "expired": 50}


def test_a_record_with_a_strange_signature_is_buried(plan: Any, inst: Installation) -> None:
    planned = plan(2)
    topic = "broadcaster.live.deliveries.sms.notice"
    planned.worker()._carry_out(Record(topic, "1", b"{}", {"hmac": "é"}, "7"))
    with inst.store.read() as conn:
        assert conn.execute(text("SELECT error FROM dead_letter")).scalar() == "record-forged"


def test_a_poison_record_found_by_a_second_member_is_buried_once(plan: Any, inst: Installation) -> None:
    planned = plan(1)
    topic = "broadcaster.live.deliveries.sms.notice"
    for who in ("a.sms", "b.sms"):
        planned.worker()._bury(Record(topic, "1", b"\xff", {}, f"{who}|{topic}|0|17"), "record-forged")
    with inst.store.read() as conn:
        assert conn.execute(text("SELECT source FROM dead_letter")).all() == [(f"{topic}/{topic}|0|17",)]
