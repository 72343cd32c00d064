"""What devices say, and what becomes of it."""

from typing import Any

import pytest

from broadcaster.deliver.folding import fold
from broadcaster.deliver.receipts import device_event
from broadcaster.installation import Installation
from broadcaster.model import BadInput, NotFound


def _event(planned: Any, name: str, at: str = "2026-11-24T10:00:00+08:00") -> dict[str, Any]:
    return {"campaign": planned.campaign, "revision": 1, "event": name, "at": at, "detail": None}


def test_each_proof_counts_once_however_often_it_is_said(plan: Any, inst: Installation) -> None:
    planned = plan(3, channel="loudspeaker")
    planned.carry_out()
    token = next(iter(planned.tokens.values()))
    for name in ("fetched", "started", "finished", "finished", "confirmed", "fetched"):
        device_event(inst, token, _event(planned, name))
        device_event(inst, token, _event(planned, name, "2026-11-24T11:00:00+08:00"))
    fold(inst)
    assert planned.counters() == {"accepted": 3, "published": 3, "fetched": 1, "played": 1, "confirmed": 1}
    assert fold(inst) == 0


def test_a_device_that_could_not_play_is_failed_with_its_reason(plan: Any, inst: Installation) -> None:
    planned = plan(2, channel="loudspeaker")
    planned.carry_out()
    token = next(iter(planned.tokens.values()))
    device_event(inst, token, {**_event(planned, "failed"), "detail": "功放无电"})
    fold(inst)
    assert planned.counters() == {"accepted": 1, "failed": 1, "published": 2}
    device_event(inst, token, {**_event(planned, "failed", "2026-11-24T12:00:00+08:00"), "detail": "again"})
    fold(inst)
    assert planned.counters() == {"accepted": 1, "failed": 1, "published": 2}


def test_unknown_token_and_bad_events_are_refused(plan: Any, inst: Installation) -> None:
    planned = plan(2, channel="billboard")
    planned.carry_out()
    token = next(iter(planned.tokens.values()))
    with pytest.raises(NotFound):
        device_event(inst, "nobody", _event(planned, "showing"))
    with pytest.raises(BadInput, match="event must be one of"):
        device_event(inst, token, _event(planned, "exploded"))
    with pytest.raises(BadInput, match="names no campaign"):
        device_event(inst, token, {"campaign": 999, "event": "showing"})
    device_event(inst, token, {"event": "heartbeat", "at": "not a time"})


def test_a_wrong_clock_of_the_device_does_not_cost_the_event(plan: Any, inst: Installation) -> None:
    planned = plan(1, channel="billboard")
    planned.carry_out()
    device_event(inst, next(iter(planned.tokens.values())), _event(planned, "showing", "yesterday"))
    fold(inst)
    assert planned.counters()["shown"] == 1
