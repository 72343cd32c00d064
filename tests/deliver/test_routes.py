"""Failover to the second provider and back, and what is written down of it for people."""

from collections.abc import Callable
from typing import Any

import pytest

from broadcaster.deliver import pace, routes
from broadcaster.deliver.worker import Worker
from broadcaster.installation import Installation
from broadcaster.store import providers
from channels.base import ACCEPTED, Answer, AnswerWord, ChannelError, ChannelSettings, Message

AWAY = Answer(AnswerWord.RETRY, reason="not-connected")
BUSY = Answer(AnswerWord.RETRY, reason="http-429", after_s=0.05)
WRONG = Answer(AnswerWord.CONFIG_ERROR, reason="http-401")


class Box:
    """A provider that answers everything alike until it is told otherwise."""

    def __init__(self, name: str, answer: Answer) -> None:
        self.settings = ChannelSettings(provider=name)
        self.has_receipts = False
        self.answer = answer
        self.given: list[Message] = []

    def send(self, messages: list[Message]) -> list[Answer]:
        self.given.extend(messages)
        return [self.answer] * len(messages)

    def close(self) -> None:
        pass


@pytest.fixture
def boxes(inst: Installation, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Box, Box]]:
    """boxes(first answer, second answer): both providers of a live SMS."""

    def make(first: Answer, second: Answer = ACCEPTED) -> tuple[Box, Box]:
        made = {"kannel": Box("kannel", first), "twilio": Box("twilio", second)}
        monkeypatch.setattr(routes, "providers_of", lambda settings, mode, kind: list(made))
        monkeypatch.setattr(routes, "outlet", lambda inst, mode, kind, provider: made[provider])
        return made["kannel"], made["twilio"]

    return make


def _standing(inst: Installation, lane: str = "notice") -> dict[str, tuple[str, str | None]]:
    with inst.store.read() as conn:
        return {row.provider: (row.state, row.reason) for row in providers.standing(conn) if row.lane == lane}


@pytest.mark.parametrize("answer", [AWAY, WRONG, Answer(AnswerWord.CONFIG_ERROR, reason="balance")])
def test_a_provider_that_reaches_nobody_costs_one_small_batch_and_the_second_carries_the_rest(
    plan: Any, boxes: Any, inst: Installation, answer: Answer
) -> None:
    planned = plan(600)
    first, second = boxes(answer)
    planned.carry_out("sms")
    burnt = len(first.given)
    assert burnt == 50
    assert len(second.given) == 600 - burnt
    assert planned.outcomes() == planned.counters() == {"accepted": 600 - burnt, "waiting": burnt}
    assert _standing(inst) == {"kannel": ("stopped", answer.reason), "twilio": ("ok", None)}


def test_after_its_pause_the_first_is_tried_with_a_small_window_and_carries_again(
    plan: Any, boxes: Any, inst: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = plan(100)
    first, second = boxes(AWAY)
    worker = planned.worker()
    monkeypatch.setattr(Worker, "_stop", worker._stop, raising=False)
    planned.carry_out("sms")
    assert len(second.given) == 50
    route = worker._sender._routes.choose("live", "sms", "notice")
    assert route.provider == "kannel"
    route.circuit.note([AWAY])
    assert worker._sender._routes.choose("live", "sms", "notice").provider == "twilio"
    monkeypatch.setattr(route.circuit, "_until", 0.0)
    again = worker._sender._routes.choose("live", "sms", "notice")
    assert (again.provider, again.circuit.probing) == ("kannel", True)
    first.answer = ACCEPTED
    worker._sender._routes.note(again, "live", "notice", first.send([]) or [ACCEPTED])
    assert not again.circuit.probing
    assert _standing(inst)["kannel"] == ("ok", None)


def test_a_provider_that_only_asks_to_wait_is_waited_for(plan: Any, boxes: Any) -> None:
    planned = plan(200)
    first, second = boxes(BUSY)
    planned.carry_out("sms")
    assert not second.given
    assert planned.outcomes() == {"waiting": 200}
    first.answer = ACCEPTED


def test_an_emergency_goes_over_the_second_while_the_first_asks_to_wait(plan: Any, boxes: Any) -> None:
    planned = plan(40, category="emergency")
    first, second = boxes(Answer(AnswerWord.RETRY, reason="http-429", after_s=30.0))
    planned.carry_out("sms-emergency")
    assert len(second.given) == 40 - len(first.given)
    assert len(first.given) == 8


def test_with_both_away_everybody_waits_and_nobody_is_in_doubt(plan: Any, boxes: Any, inst: Installation) -> None:
    planned = plan(500)
    first, second = boxes(AWAY, AWAY)
    planned.carry_out("sms")
    assert planned.outcomes() == planned.counters() == {"waiting": 500}
    assert len(first.given) + len(second.given) <= 100 + pace.PROBE
    assert {state for state, _ in _standing(inst).values()} == {"stopped"}


def test_a_first_provider_that_cannot_be_built_leaves_the_second_at_work(
    plan: Any, boxes: Any, inst: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = plan(20)
    _, second = boxes(ACCEPTED)

    def outlet(_inst: Installation, _mode: str, _kind: str, provider: str) -> Box:
        if provider == "kannel":
            raise ChannelError("BROADCASTER_KANNEL_USER is empty")
        return second

    monkeypatch.setattr(routes, "outlet", outlet)
    planned.carry_out("sms")
    assert planned.outcomes() == {"accepted": 20}
    assert _standing(inst)["kannel"] == ("stopped", "settings")


def test_an_exercise_is_written_to_no_provider_and_leaves_no_state(plan: Any, inst: Installation) -> None:
    planned = plan(5, mode="exercise")
    planned.carry_out("sms")
    assert planned.outcomes() == {"accepted": 5}
    assert _standing(inst) == {}
