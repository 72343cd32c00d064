"""The rate that all workers share, and how much of the sending may be second tries."""

import itertools
import time
from typing import Any

import pytest

from broadcaster.deliver.pace import BUDGET, LEAST_TRIES, Budget
from broadcaster.installation import Installation
from broadcaster.store import providers
from channels.base import ACCEPTED, Answer, AnswerWord


def _reserve(inst: Installation, n: int, rate: float, now: int, lane: str = "other") -> int:
    with inst.store.write() as conn:
        return providers.reserve(conn, ("kannel", lane), int(n * 1_000_000 / rate), now)


def test_two_workers_share_one_rate(inst: Installation) -> None:
    begins = [_reserve(inst, 100, 50, 1_000_000_000) for _ in range(4)]
    assert begins == [1_000_000_000 + k * 2_000_000 for k in range(4)]


def test_time_without_messages_is_not_saved_up(inst: Installation) -> None:
    _reserve(inst, 10, 10, 1_000_000_000)
    assert _reserve(inst, 10, 10, 9_000_000_000) == 9_000_000_000
    assert _reserve(inst, 10, 10, 9_000_000_000) == 9_001_000_000


def test_an_emergency_takes_nothing_from_the_rate_of_the_others(inst: Installation) -> None:
    _reserve(inst, 10_000, 10, 1_000_000_000)
    assert _reserve(inst, 8, 10, 1_000_000_000, lane="emergency") == 1_000_000_000


def test_messages_leave_no_faster_than_the_rate(plan: Any, scripted: Any, inst: Installation) -> None:
    slow = inst.__class__(inst.settings.model_copy(update={"sms_rate": 40.0}), inst.store, inst.keys)
    planned = plan(60, install=slow)
    at: list[float] = []

    def answer(_n: int) -> Answer:
        at.append(time.monotonic())
        return ACCEPTED

    scripted(answer)
    planned.carry_out("sms")
    assert planned.outcomes() == {"accepted": 60}
    # Never more within a stretch than the rate gives and the one batch that may stand at its edge.
    for first in range(60):
        for last in range(first, 60):
            assert last - first + 1 <= 40 * (at[last] - at[first]) + 10 + 1


def test_second_tries_are_spread_to_a_share_of_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr("broadcaster.deliver.pace.time.monotonic", lambda: clock[0])
    budget = Budget()
    clock[0] += 1.0
    budget.sent(1000)
    dues = [budget.due(50_000, 50_000) for _ in range(400)]
    assert dues == sorted(dues)
    assert dues[-1] - dues[0] >= 399 * 1000 / (1000 * BUDGET) - 1


def test_a_provider_that_takes_nothing_is_still_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    budget = Budget()
    dues = [budget.due(10_000, 10_000) for _ in range(3)]
    assert [b - a for a, b in itertools.pairwise(dues)] == [1000 / LEAST_TRIES] * 2


def test_under_mixed_refusals_a_stretch_holds_no_more_than_a_fifth_of_second_tries(
    plan: Any, scripted: Any, inst: Installation
) -> None:
    quick = inst.__class__(inst.settings.model_copy(update={"retry_seconds": 0.01}), inst.store, inst.keys)
    planned = plan(1000, install=quick)
    seen: dict[int, int] = {}
    order: list[bool] = []

    def answer(n: int) -> Answer:
        seen[n] = seen.get(n, 0) + 1
        order.append(seen[n] > 1)
        return Answer(AnswerWord.RETRY, reason="http-503") if n % 3 == 0 and seen[n] == 1 else ACCEPTED

    channel = scripted(answer)
    until = time.monotonic() + 30
    while planned.outcomes() != {"accepted": 1000} and time.monotonic() < until:
        planned.carry_out("sms")
    assert planned.outcomes() == planned.counters() == {"accepted": 1000}
    assert len(channel.given) == 1000 + 333


def test_one_that_must_wait_long_does_not_hold_up_those_behind_it() -> None:
    budget = Budget()
    assert budget.due(900_000, 10_000) == 900_000
    assert budget.due(11_000, 10_000) <= 12_000


def test_one_of_all_processes_has_a_turn(inst: Installation) -> None:
    def turn(now: int) -> bool:
        with inst.store.write() as conn:
            return providers.take_turn(conn, "every", "look-up", 27_000_000, now)

    assert [turn(now) for now in (1_000, 2_000, 27_000_000, 27_001_000, 27_002_000)] == [
        True,
        False,
        False,
        True,
        False,
    ]
