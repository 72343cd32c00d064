"""What the gateway's operator sees: each figure from where it is kept, and none by reading a campaign's deliveries."""

from typing import Any

import pytest
from sqlalchemy import event, text

from broadcaster import suppression
from broadcaster.deliver.overview import opt_outs, overview
from broadcaster.installation import Installation
from broadcaster.store import overview as stored
from broadcaster.store import providers, receipts
from broadcaster.store.clock import now_ms
from broadcaster.store.driver import run
from broadcaster.store.receipts import Receipt
from channels.base import ACCEPTED, Answer, AnswerWord

HOUR = 3_600_000
LOST = Answer(AnswerWord.UNCERTAIN, reason="timeout")
WRONG = Answer(AnswerWord.FAILED, reason="no-such-number")


@pytest.fixture
def over(inst: Installation) -> Any:
    """over(sms_provider="kannel") -> the installation with other settings."""

    def changed(**settings: Any) -> Installation:
        return Installation(inst.settings.model_copy(update=settings), inst.store, inst.keys)

    return changed


def _later(planned: Any, ms: int) -> None:
    with planned.inst.store.write() as conn:
        conn.execute(
            text("UPDATE chunk SET due_at = due_at + :ms WHERE campaign_id = :c"), {"ms": ms, "c": planned.campaign}
        )


def _lane(found: Any, lane: str) -> Any:
    return next(row for row in found["queue"] if row["lane"] == lane)


def test_nothing_yet_is_told_as_nothing(inst: Installation) -> None:
    found = overview(inst)
    assert found["to_file"] and found["provider"] == "spool"
    assert [(row["lane"], row["waiting"], row["oldest_due"]) for row in found["queue"]] == [
        ("emergency", 0, None),
        ("notice", 0, None),
        ("promotion", 0, None),
    ]
    assert found["failures"] == {"since": found["failures"]["since"], "whole": True, "rows": []}
    assert found["troubles"] == found["opt_outs"] == found["reminders"] == []
    assert found["replies"] == {"waiting": 0, "urgent": 0}


def test_the_queue_counts_what_may_leave_now_and_the_rest_is_due_later(plan: Any, inst: Installation) -> None:
    plan(5, category="emergency"), plan(4, mode="exercise"), plan(3, channel="billboard")
    later = plan(7)
    _later(later, HOUR)
    found = overview(inst)
    assert (_lane(found, "emergency")["waiting"], _lane(found, "notice")["waiting"]) == (5, 0)
    assert _lane(found, "emergency")["oldest_due"] and _lane(found, "notice")["oldest_due"] is None
    assert [(row["campaign"], row["n"], row["category"]) for row in found["reminders"]] == [
        (later.campaign, 7, "notice")
    ]
    _later(later, -2 * HOUR)
    found = overview(inst)
    assert (_lane(found, "notice")["waiting"], found["reminders"]) == (7, [])


def test_a_campaign_that_ended_is_in_no_queue(plan: Any, scripted: Any, inst: Installation) -> None:
    planned = plan(6)
    scripted(lambda _: ACCEPTED)
    planned.carry_out("sms")
    assert planned.state() == "finished"
    assert _lane(overview(inst), "notice") == {"lane": "notice", "waiting": 0, "sending": 0, "oldest_due": None}


def test_failures_are_told_by_reason_from_answers_and_from_receipts(
    plan: Any, scripted: Any, inst: Installation
) -> None:
    planned = plan(6)
    scripted(lambda n: {1: WRONG, 2: WRONG, 3: LOST}.get(n, ACCEPTED))
    planned.carry_out("sms")
    with inst.store.write() as conn:
        told = [
            Receipt("spool", f"{planned.campaign}-4-x/8", planned.campaign, 4, "failed", None, "{}", "absent"),
            Receipt("spool", f"{planned.campaign}-5-x/1", planned.campaign, 5, "delivered", None, "{}"),
            Receipt("speaker", f"{planned.campaign}-6-x/1", planned.campaign, 6, "failed", None, "{}", "jammed"),
        ]
        receipts.store(conn, told, now_ms(conn))
    rows = [(r["source"], r["provider"], r["word"], r["reason"], r["n"]) for r in overview(inst)["failures"]["rows"]]
    assert rows == [
        ("answer", "spool", "failed", "no-such-number", 2),
        ("answer", "spool", "uncertain", "timeout", 1),
        ("receipt", "spool", "failed", "absent", 1),
    ]
    with inst.store.write() as conn:
        conn.execute(text("UPDATE attempt SET at = at - 86400001"))
    assert [row["source"] for row in overview(inst)["failures"]["rows"]] == ["receipt"]


def test_of_too_many_failures_the_latest_are_counted_and_that_is_said(
    plan: Any, scripted: Any, inst: Installation
) -> None:
    planned = plan(9)
    scripted(lambda n: WRONG if n <= 5 else ACCEPTED)
    planned.carry_out("sms")
    with inst.store.read() as conn:
        since = now_ms(conn) - HOUR
        some, whole = stored.failures(conn, ["spool"], since, 4)
        assert (sum(row.n for row in some), whole) == (4, False)
        every, whole = stored.failures(conn, ["spool"], since, 5)
        assert (sum(row.n for row in every), whole) == (5, True)


def test_receipts_are_outstanding_only_where_somebody_reports(plan: Any, scripted: Any, over: Any) -> None:
    planned = plan(6)
    scripted(lambda _: ACCEPTED)
    planned.carry_out("sms")
    planned.set(started_at=1)
    assert overview(over())["receipts"]["expected"] is False
    live = overview(over(sms_provider="kannel", public_url="https://sms.example"))["receipts"]
    assert (live["expected"], live["outstanding"], live["no_receipt"], live["campaigns"]) == (True, 6, 0, 1)
    planned.set(receipts_closed_at=2)
    closed = overview(over(sms_provider="kannel", public_url="https://sms.example"))["receipts"]
    assert (closed["outstanding"], closed["campaigns"]) == (0, 0)


def test_what_is_open_and_what_was_forged_is_counted(inst: Installation) -> None:
    with inst.store.write() as conn:
        receipts.arrive(conn, [Receipt("kannel", "1-1-x/1", 1, 1, "delivered", None, "{}")], {"kannel": 3})
    found = overview(inst)["receipts"]
    assert (found["open"], found["forged"]) == (1, {"kannel": 3})
    assert found["oldest_open"]


def test_doubt_is_counted_until_it_is_decided(plan: Any, scripted: Any, inst: Installation) -> None:
    planned = plan(8)
    scripted(lambda n: LOST if n in (2, 7) else ACCEPTED)
    planned.carry_out("sms")
    assert overview(inst)["in_doubt"] == {"deliveries": 2, "campaigns": 1}
    with inst.store.write() as conn:
        run(conn, "UPDATE delivery SET reason = 'left-in-doubt' WHERE n = 2")
    assert overview(inst)["in_doubt"] == {"deliveries": 1, "campaigns": 1}


def test_opt_outs_are_told_by_class_with_the_newest(inst: Installation) -> None:
    for n in range(3):
        suppression.suppress(inst, "sun", f"tel:+8613800000{n:03}", "promotion", f"letter {n}")
    suppression.suppress(inst, "sun", "tel:+8613800000000", "never", "a call")
    with inst.store.write() as conn:
        run(conn, "UPDATE suppression SET since_at = since_at + 5000 WHERE source = 'letter 1'")
    assert [(row["class"], row["n"]) for row in opt_outs(inst)] == [("never", 1), ("promotion", 3)]
    assert suppression.newest(inst, "promotion", 2)[0]["source"] == "letter 1"
    assert len(suppression.newest(inst, limit=3)) == 3
    assert opt_outs(inst)[1]["newest"] == suppression.newest(inst, "promotion", 1)[0]["since"]


def test_providers_stand_in_the_order_in_which_they_are_used(over: Any) -> None:
    inst = over(sms_provider="kannel", sms_second="twilio", sms_balance_least=50.0, sms_rate=20.0)
    with inst.store.write() as conn:
        now = now_ms(conn)
        providers.told(conn, "twilio", "ok", ("", None, "12.50 USD"), now)
        providers.mark(conn, ("kannel", "emergency"), ("stopped", "auth", "wrong password"), now)
        providers.mark(conn, ("mas", "notice"), ("ok", "", ""), now)
    found = overview(inst)
    assert [(row["provider"], row["role"]) for row in found["providers"]] == [
        ("kannel", "first"),
        ("twilio", "second"),
        ("mas", "unused"),
    ]
    assert found["providers"][0]["lanes"][0]["reason"] == "auth"
    assert found["providers"][1]["balance"] == "12.50 USD"
    assert [each["code"] for each in found["troubles"]] == ["stopped", "balance-low"]
    assert found["rates"] == {"emergency": 0, "other": 20.0}


def test_no_figure_reads_the_deliveries_of_a_campaign(plan: Any, inst: Installation) -> None:
    plan(3)
    asked: list[str] = []
    with inst.store.read() as conn:
        event.listen(conn, "before_cursor_execute", lambda *a: asked.append(a[2]))
        now = now_ms(conn)
        stored.queue(conn, now), stored.oldest_due(conn, now), stored.unheard(conn), stored.reminders(conn, now, 5)
        stored.failures(conn, ["spool"], 0, 100), stored.opt_outs(conn)
    assert len(asked) >= 8
    assert [statement for statement in asked if "delivery" in statement] == []
