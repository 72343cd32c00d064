"""What a worker makes of a chunk."""

import json
from typing import Any

import pytest
from sqlalchemy import text

from broadcaster.bus import Record
from broadcaster.bus.local import LocalBus
from broadcaster.deliver import sending
from broadcaster.deliver import worker as worker_module
from broadcaster.deliver.fanout import fan_out
from broadcaster.deliver.feeds import FeedServer
from broadcaster.deliver.pace import Circuit
from broadcaster.deliver.sweep import sweep
from broadcaster.installation import Installation
from channels.base import ACCEPTED, Answer, AnswerWord


def test_every_delivery_is_accepted_once_and_stands_in_the_spool(plan: Any) -> None:
    planned = plan(250)
    planned.carry_out()
    assert planned.outcomes() == {"accepted": 250}
    assert planned.counters() == {"accepted": 250}
    assert planned.state() == "finished"
    lines = planned.ledger()
    assert len({line["delivery"] for line in lines}) == len(lines) == 250
    assert lines[0]["to"].startswith("tel:+86138")
    assert lines[0]["text"] == "【吉林消防】金0：请检查灭火器。"


def test_a_record_seen_twice_changes_nothing(plan: Any, inst: Installation) -> None:
    planned = plan(30)
    bus = LocalBus(inst.store)
    fan_out(inst, bus)
    [record] = bus.take(["broadcaster.live.deliveries.sms.notice"], "x", 9)
    worker = planned.worker()
    worker._carry_out(record)
    worker._carry_out(record)
    assert len(planned.ledger()) == 30


def test_a_forged_record_goes_to_the_dead_letters(plan: Any, inst: Installation) -> None:
    planned = plan(5)
    bus = LocalBus(inst.store)
    fan_out(inst, bus)
    topic = "broadcaster.live.deliveries.sms.notice"
    [record] = bus.take([topic], "x", 9)
    planned.worker()._carry_out(Record(topic, record.key, record.value, {"hmac": "0" * 64}, record.position))
    assert planned.ledger() == []
    with inst.store.read() as conn:
        assert conn.execute(text("SELECT error FROM dead_letter")).scalar() == "record-forged"


def test_an_exercise_record_on_a_live_topic_is_refused(plan: Any, inst: Installation) -> None:
    planned = plan(5, mode="exercise")
    bus = LocalBus(inst.store)
    fan_out(inst, bus)
    assert bus.take(["broadcaster.live.deliveries.sms.notice"], "x", 9) == []
    planned.carry_out()
    assert planned.ledger() == []
    assert len(planned.ledger("exercise.jsonl")) == 5


def test_cancelled_before_the_claim_sends_nothing(plan: Any) -> None:
    planned = plan(20)
    planned.set(state="cancelled", epoch=1)
    planned.carry_out()
    assert planned.outcomes() == planned.counters() == {"cancelled": 20}
    assert planned.ledger() == []


def test_cancelled_in_the_middle_stops_before_the_next_window(plan: Any, scripted: Any) -> None:
    planned = plan(500)

    def answer(n: int) -> Answer:
        if n == 100:
            planned.set(state="cancelled", epoch=1)
        return ACCEPTED

    channel = scripted(answer)
    planned.carry_out()
    assert len(channel.given) == 100
    assert planned.outcomes() == planned.counters() == {"accepted": 100, "cancelled": 400}


def test_cancelled_inside_a_window_stops_before_the_next_sub_batch(plan: Any, scripted: Any) -> None:
    planned = plan(100)

    def answer(n: int) -> Answer:
        if n == 1:
            planned.set(state="cancelled", epoch=1)
        return ACCEPTED

    channel = scripted(answer)
    planned.carry_out()
    assert len(channel.given) == sending.SUB_BATCH
    assert planned.outcomes() == {"accepted": 50, "cancelled": 50}


def test_expired_before_the_claim_sends_nothing(plan: Any) -> None:
    planned = plan(20)
    planned.set(expires_at=1)
    planned.carry_out()
    assert planned.outcomes() == planned.counters() == {"expired": 20}
    assert planned.ledger() == []
    assert planned.state() == "expired"


def test_an_opt_out_between_plan_and_claim_is_honoured_by_class(plan: Any, inst: Installation) -> None:
    notice, emergency = plan(10), plan(10, category="emergency")
    with inst.store.write() as conn:
        conn.execute(
            text(
                "INSERT INTO suppression (address_key, class, since_at, source) "
                "SELECT address_key, CASE WHEN id % 2 = 0 THEN 'notice' ELSE 'promotion' END, 0, 'reply' FROM recipient"
            )
        )
        conn.execute(
            text("INSERT INTO suppression (address_key, class, since_at, source) "
                 "SELECT address_key, 'never', 0, 'court' FROM recipient WHERE id IN (SELECT recipient_id FROM delivery WHERE n = 1)")
        )  # fmt: skip
    notice.carry_out()
    assert notice.outcomes() == notice.counters()
    assert notice.outcomes()["suppressed"] == 6
    assert emergency.outcomes() == {"accepted": 9, "suppressed": 1}


def test_retry_waits_and_is_sent_again_under_the_same_token(plan: Any, scripted: Any, inst: Installation) -> None:
    planned = plan(3)
    tries: dict[int, int] = {}

    def answer(n: int) -> Answer:
        tries[n] = tries.get(n, 0) + 1
        return Answer(AnswerWord.RETRY, reason="busy", after_s=0.0) if n == 2 and tries[n] == 1 else ACCEPTED

    channel = scripted(answer)
    planned.carry_out()
    assert planned.outcomes() == {"accepted": 2, "waiting": 1}
    assert planned.state() == "running"
    with inst.store.write() as conn:
        conn.execute(text("UPDATE delivery SET due_at = 0"))
        conn.execute(text("UPDATE chunk SET due_at = 0 WHERE finished_at IS NULL"))
    planned.carry_out()
    assert planned.outcomes() == planned.counters() == {"accepted": 3}
    assert planned.state() == "finished"
    names = [m.delivery for m in channel.given]
    assert len(names) == 4
    assert len(set(names)) == 3
    with inst.store.read() as conn:
        assert conn.execute(text("SELECT n, answer, reason FROM attempt")).all() == [(2, "retry", "busy")]


@pytest.mark.parametrize(
    ("category", "expected"), [("notice", "unknown"), ("promotion", "unknown"), ("emergency", "waiting")]
)
def test_a_lost_reply_is_resent_only_in_emergency(plan: Any, scripted: Any, category: str, expected: str) -> None:
    planned = plan(4, category=category)
    scripted(lambda n: Answer(AnswerWord.UNCERTAIN, reason="reply-lost"))
    planned.carry_out()
    assert planned.outcomes() == planned.counters() == {expected: 4}


@pytest.mark.parametrize(
    ("word", "expected"),
    [(AnswerWord.FAILED, "failed"), (AnswerWord.SUPPRESSED, "suppressed"), (AnswerWord.CONFIG_ERROR, "waiting")],
)
def test_answers_become_outcomes(plan: Any, scripted: Any, word: AnswerWord, expected: str) -> None:
    planned = plan(4)
    scripted(lambda n: Answer(word, reason="r"))
    planned.carry_out()
    assert planned.outcomes() == planned.counters() == {expected: 4}


def _due_again(inst: Installation) -> None:
    with inst.store.write() as conn:
        conn.execute(text("UPDATE delivery SET due_at = 0"))
        conn.execute(text("UPDATE chunk SET due_at = 0"))


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider that reaches nobody is asked again at once: time is not what these tests are about."""
    monkeypatch.setattr(Circuit, "wait_s", lambda self: 0.0)


def test_lost_replies_of_an_emergency_end_as_unknown(
    plan: Any, scripted: Any, inst: Installation, patient: None
) -> None:
    planned = plan(1, category="emergency")
    channel = scripted(lambda n: Answer(AnswerWord.UNCERTAIN, reason="reply-lost"))
    for _ in range(inst.settings.max_attempts + 2):
        _due_again(inst)
        planned.carry_out()
    assert len(channel.given) == inst.settings.max_attempts
    assert planned.outcomes() == planned.counters() == {"unknown": 1}
    assert planned.state() == "finished"


def test_what_surely_was_not_sent_is_tried_until_its_time_runs_out(
    plan: Any, scripted: Any, inst: Installation, patient: None
) -> None:
    planned = plan(1)
    scripted(lambda n: Answer(AnswerWord.RETRY, reason="busy"))
    for _ in range(inst.settings.max_attempts + 3):
        _due_again(inst)
        planned.carry_out()
    assert planned.outcomes() == {"waiting": 1}
    planned.set(expires_at=1)
    _due_again(inst)
    planned.carry_out()
    assert planned.outcomes() == planned.counters() == {"expired": 1}


@pytest.mark.parametrize(("category", "expected"), [("notice", "unknown"), ("emergency", "waiting")])
def test_a_lease_that_ran_out_is_a_window_in_doubt(plan: Any, inst: Installation, category: str, expected: str) -> None:
    planned = plan(8, category=category)
    worker = planned.worker("sms")
    with inst.store.read() as conn:
        chunk = worker_module.delivering.chunk_row(conn, 1)
    step = inst.store.transact(lambda conn: worker._turn(conn, worker_module.Pass(chunk, "w/1", 1), doubt=False))
    assert len(step.window.rows) == 8
    assert planned.counters() == {"sending": 8}
    with inst.store.write() as conn:
        conn.execute(text("UPDATE lease SET until_at = 1"))
    sweep(inst)
    assert planned.outcomes() == planned.counters() == {expected: 8}
    planned.carry_out()
    assert planned.state() == "finished"
    assert len(planned.ledger()) == (8 if category == "emergency" else 0)


def test_an_answer_after_the_sweep_lifts_unknown(plan: Any, inst: Installation, scripted: Any) -> None:
    planned = plan(3)

    def answer(n: int) -> Answer:
        if n == 3:
            with inst.store.write() as conn:
                conn.execute(text("UPDATE lease SET until_at = 1"))
            sweep(inst)
            assert planned.outcomes() == {"unknown": 3}
        return ACCEPTED

    scripted(answer)
    planned.carry_out()
    assert planned.outcomes() == planned.counters() == {"accepted": 3}


def test_a_lost_record_is_found_by_the_sweep(plan: Any, inst: Installation) -> None:
    planned = plan(5)
    fan_out(inst, LocalBus(inst.store))
    with inst.store.write() as conn:
        conn.execute(text("DELETE FROM bus_record"))
        conn.execute(text("UPDATE chunk SET published_at = published_at - 60000"))
    sweep(inst)
    planned.carry_out()
    assert planned.outcomes() == {"accepted": 5}


def test_feeds_hold_what_is_accepted_and_a_withdrawal_empties_them(plan: Any, inst: Installation) -> None:
    planned = plan(12, channel="loudspeaker")
    planned.carry_out()
    assert planned.outcomes() == {"accepted": 12}
    assert planned.counters() == {"accepted": 12, "published": 12}
    server = FeedServer(inst)
    token = next(iter(planned.tokens.values()))
    feed = server.feed(token, "loudspeaker")
    assert feed is not None
    before = json.loads(feed.manifest)
    assert [i["campaign"] for i in before["items"]] == [planned.campaign]
    assert before["items"][0]["audio"]["sha256"] == "ab" * 32
    server.refresh()
    with inst.store.write() as conn:
        worker_module.feeds.withdraw(conn, planned.campaign, worker_module.now_ms(conn))
    server.refresh()
    after = json.loads(server.feed(token, "loudspeaker").manifest)  # type: ignore[union-attr]
    assert after["items"] == []
    assert after["sequence"] > before["sequence"]


def test_a_device_that_is_not_enrolled_is_failed_not_accepted(plan: Any, inst: Installation) -> None:
    planned = plan(4, channel="billboard")
    with inst.store.write() as conn:
        conn.execute(text("DELETE FROM device WHERE recipient_id = (SELECT min(recipient_id) FROM device)"))
    planned.carry_out()
    assert planned.outcomes() == {"accepted": 3, "failed": 1}
    assert planned.counters() == {"accepted": 3, "failed": 1, "published": 3}


def test_an_exercise_never_enters_a_live_feed(plan: Any, inst: Installation) -> None:
    planned = plan(4, channel="loudspeaker", mode="exercise")
    planned.carry_out()
    assert planned.outcomes() == {"suppressed": 4}
    with inst.store.read() as conn:
        assert conn.execute(text("SELECT count(*) FROM feed_item")).scalar() == 0


def test_a_promotion_stops_when_quiet_hours_begin_and_goes_on_in_the_morning(
    plan: Any, inst: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = plan(30, category="promotion")
    monkeypatch.setattr(worker_module, "promotion_hours", lambda settings, now: now + 1_800_000)
    planned.carry_out()
    assert planned.outcomes() == {"waiting": 30}
    assert planned.ledger() == []
    with inst.store.read() as conn:
        assert conn.execute(text("SELECT due_at FROM chunk")).scalar() > worker_module.now_ms(conn) + 1_700_000
    monkeypatch.setattr(worker_module, "promotion_hours", lambda settings, now: now)
    with inst.store.write() as conn:
        conn.execute(text("UPDATE chunk SET due_at = 0"))
    planned.carry_out()
    assert planned.outcomes() == planned.counters() == {"accepted": 30}


def test_quiet_hours_do_not_hold_a_notice(plan: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    planned = plan(5)
    monkeypatch.setattr(worker_module, "promotion_hours", lambda settings, now: now + 10**9)
    planned.carry_out()
    assert planned.outcomes() == {"accepted": 5}


def test_the_reference_of_each_message_is_kept_with_its_own_delivery(
    plan: Any, scripted: Any, inst: Installation
) -> None:
    planned = plan(250)
    with inst.store.write() as conn:  # gaps in a window
        conn.execute(text("UPDATE recipient SET active = false WHERE id % 7 = 0"))
    scripted(lambda n: Answer(AnswerWord.ACCEPTED, ref=None if n % 5 == 0 else f"r{n}"))
    planned.carry_out("sms")
    with inst.store.read() as conn:
        rows = conn.execute(text("SELECT n, outcome, provider_ref FROM delivery ORDER BY n")).all()
    assert {row.outcome for row in rows} == {"accepted", "suppressed"}
    for n, outcome, ref in rows:
        assert ref == (None if outcome == "suppressed" or n % 5 == 0 else f"r{n}")
    assert planned.outcomes() == planned.counters()
