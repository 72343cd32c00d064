"""A gateway that pulls: the same laws as a worker's, under a lease of its own."""

from threading import Thread
from typing import Any

import pytest
from sqlalchemy import text

from broadcaster.deliver import gateway
from broadcaster.deliver.folding import fold
from broadcaster.deliver.sweep import sweep
from broadcaster.installation import Installation
from broadcaster.model import BadInput, Refused, Role
from broadcaster.policy import User
from broadcaster.reach.counts import recount

BOX = User(90, "box", "Box", None, None, None, frozenset({Role.GATEWAY}), program=True)
OTHER = User(91, "other", "Other", None, None, None, frozenset({Role.GATEWAY}), program=True)
PERSON = User(92, "ann", "Ann", None, None, None, frozenset({Role.OPERATOR, Role.ADMINISTRATOR}))


@pytest.fixture
def pulled(inst: Installation) -> Installation:
    return inst.__class__(inst.settings.model_copy(update={"sms_provider": "pull"}), inst.store, inst.keys)


def _told(found: dict[str, Any], outcome: str = "accepted", **more: Any) -> list[dict[str, Any]]:
    return [{"delivery": each["delivery"], "outcome": outcome, **more} for each in found["messages"]]


def _run_out(inst: Installation) -> None:
    with inst.store.write() as conn:
        conn.execute(text("UPDATE lease SET until_at = 1"))
    sweep(inst)


def test_everything_is_claimed_once_reported_once_and_the_campaign_ends(plan: Any, pulled: Installation) -> None:
    planned = plan(250, install=pulled, chunk=120)
    names: list[str] = []
    while (found := gateway.claim(pulled, BOX, "sms", 1000))["lease"]:
        assert 0 < len(found["messages"]) <= 100
        names += [each["delivery"] for each in found["messages"]]
        said = gateway.report(pulled, BOX, found["lease"], _told(found, ref="x1"))
        assert said == {"recorded": len(found["messages"]), "ignored": 0, "open": 0}
    sweep(pulled)
    assert len(names) == len(set(names)) == 250
    assert planned.outcomes() == planned.counters() == {"accepted": 250}
    assert planned.state() == "finished"


def test_a_message_is_what_a_worker_would_have_sent(plan: Any, pulled: Installation) -> None:
    plan(1, install=pulled)
    (message,) = gateway.claim(pulled, BOX, "sms", 1)["messages"]
    assert message["to"].startswith("tel:+86138")
    assert message["text"] == "【吉林消防】金0：请检查灭火器。"
    assert message["parts"] == 1


def test_workers_leave_live_sms_to_the_gateway_and_carry_the_exercise(plan: Any, pulled: Installation) -> None:
    live, exercise = plan(5, install=pulled), plan(5, mode="exercise", install=pulled)
    live.carry_out()
    exercise.carry_out()
    assert live.outcomes() == {"waiting": 5}
    assert exercise.outcomes() == {"accepted": 5}


def test_the_urgent_lane_comes_first_in_small_windows(plan: Any, pulled: Installation) -> None:
    plan(50, install=pulled)
    alarm = plan(20, category="emergency", install=pulled)
    found = gateway.claim(pulled, BOX, "sms", 100)
    assert {each["category"] for each in found["messages"]} == {"emergency"}
    assert len(found["messages"]) == 8
    assert alarm.outcomes() == {"sending": 8, "waiting": 12}


@pytest.mark.parametrize(("category", "after"), [("notice", {"unknown": 3}), ("emergency", {"waiting": 3})])
def test_a_gateway_that_dies_leaves_one_window_in_doubt(
    plan: Any, pulled: Installation, category: str, after: dict[str, int]
) -> None:
    planned = plan(3, category=category, install=pulled)
    gateway.claim(pulled, BOX, "sms", 100)
    _run_out(pulled)
    assert planned.outcomes() == planned.counters() == after


def test_a_report_that_comes_late_is_taken_all_the_same(plan: Any, pulled: Installation) -> None:
    planned = plan(3, install=pulled)
    found = gateway.claim(pulled, BOX, "sms", 100)
    _run_out(pulled)
    assert gateway.report(pulled, BOX, found["lease"], _told(found))["recorded"] == 3
    assert planned.outcomes() == planned.counters() == {"accepted": 3}
    assert recount(pulled, planned.campaign)["equal"]


def test_a_report_of_what_another_claim_has_taken_over_is_ignored(plan: Any, pulled: Installation) -> None:
    planned = plan(3, category="emergency", install=pulled)
    first = gateway.claim(pulled, BOX, "sms", 100)
    _run_out(pulled)
    second = gateway.claim(pulled, OTHER, "sms", 100)
    assert [m["delivery"] for m in second["messages"]] == [m["delivery"] for m in first["messages"]]
    assert gateway.report(pulled, BOX, first["lease"], _told(first, "failed"))["ignored"] == 3
    assert planned.outcomes() == {"sending": 3}
    assert gateway.report(pulled, OTHER, second["lease"], _told(second))["recorded"] == 3


def test_reports_in_portions_twice_and_mixed(plan: Any, pulled: Installation) -> None:
    planned = plan(6, install=pulled)
    found = gateway.claim(pulled, BOX, "sms", 100)
    names = [each["delivery"] for each in found["messages"]]
    words = ["accepted", "failed", "suppressed", "uncertain", "retry", "delivered"]
    said = [{"delivery": n, "outcome": w, "reason": w} for n, w in zip(names, words, strict=True)]
    assert gateway.report(pulled, BOX, found["lease"], said[:2]) == {"recorded": 2, "ignored": 0, "open": 4}
    assert gateway.report(pulled, BOX, found["lease"], said)["open"] == 0
    gateway.report(pulled, BOX, found["lease"], said)
    while fold(pulled):
        pass
    expected = {"accepted": 1, "failed": 1, "suppressed": 1, "unknown": 1, "waiting": 1, "delivered": 1}
    assert planned.outcomes() == planned.counters() == expected
    assert recount(pulled, planned.campaign)["equal"]


def test_delivered_may_come_after_accepted(plan: Any, pulled: Installation) -> None:
    planned = plan(2, install=pulled)
    found = gateway.claim(pulled, BOX, "sms", 100)
    gateway.report(pulled, BOX, found["lease"], _told(found))
    said = _told(found, "delivered")
    said[1]["outcome"] = "failed"
    assert gateway.report(pulled, BOX, found["lease"], said)["recorded"] == 2
    while fold(pulled):
        pass
    assert planned.outcomes() == planned.counters() == {"delivered": 1, "failed": 1}


def test_two_gateways_at_once_share_a_chunk_and_double_nobody(plan: Any, pulled: Installation) -> None:
    planned = plan(400, install=pulled)
    names: list[str] = []

    def pull(user: User) -> None:
        while (found := gateway.claim(pulled, user, "sms", 20))["lease"]:
            names.extend(each["delivery"] for each in found["messages"])
            gateway.report(pulled, user, found["lease"], _told(found))

    threads = [Thread(target=pull, args=(user,)) for user in (BOX, OTHER)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(names) == len(set(names)) == 400
    assert planned.outcomes() == planned.counters() == {"accepted": 400}


def test_what_was_cancelled_or_has_expired_is_not_handed_out(plan: Any, pulled: Installation) -> None:
    gone, late = plan(3, install=pulled), plan(3, install=pulled)
    gone.set(state="cancelled", epoch=1)
    late.set(expires_at=1)
    assert gateway.claim(pulled, BOX, "sms", 10)["lease"] is None
    sweep(pulled)
    assert gone.outcomes() == gone.counters() == {"cancelled": 3}
    assert late.outcomes() == late.counters() == {"expired": 3}


def test_only_a_gateway_claims_and_only_its_own_lease(plan: Any, inst: Installation, pulled: Installation) -> None:
    plan(3, install=pulled)
    with pytest.raises(Refused):
        gateway.claim(pulled, PERSON, "sms", 10)
    with pytest.raises(Refused):
        gateway.claim(inst, BOX, "sms", 10)
    found = gateway.claim(pulled, BOX, "sms", 10)
    with pytest.raises(BadInput):
        gateway.report(pulled, OTHER, found["lease"], _told(found))


@pytest.mark.parametrize(("channel", "limit"), [("billboard", 10), ("sms", 0), ("sms", 1001)])
def test_a_claim_that_cannot_be_is_refused(pulled: Installation, channel: str, limit: int) -> None:
    with pytest.raises(BadInput):
        gateway.claim(pulled, BOX, channel, limit)


@pytest.mark.parametrize(
    "told", [{"delivery": "nonsense", "outcome": "accepted"}, {"delivery": "1-1-t", "outcome": "fine"}, {}]
)
def test_a_report_that_cannot_be_read_changes_nothing(plan: Any, pulled: Installation, told: dict[str, Any]) -> None:
    planned = plan(2, install=pulled)
    found = gateway.claim(pulled, BOX, "sms", 10)
    with pytest.raises(BadInput):
        gateway.report(pulled, BOX, found["lease"], [*_told(found), told])
    assert planned.outcomes() == {"sending": 2}
