"""Messages in doubt: providers are asked, people decide, and nothing is decided twice."""

from typing import Any

import pytest
from sqlalchemy import text

from broadcaster.deliver import in_doubt
from broadcaster.deliver.folding import fold
from broadcaster.deliver.sweep import sweep
from broadcaster.installation import Installation
from broadcaster.model import Refused, Role
from broadcaster.policy import User
from broadcaster.reach.counts import recount
from channels.base import ACCEPTED, Answer, AnswerWord, ChannelSettings, Message, Receipt, ReceiptWord
from channels.sms import Sms

BOSS = User(90, "bob", "Bob", None, None, None, frozenset({Role.APPROVER}))
LOST = Answer(AnswerWord.UNCERTAIN, reason="timeout")


class Rememberer:
    """A provider that knows some of the messages it was sent."""

    def __init__(self, known: set[int]) -> None:
        self.known = known
        self.asked: list[Message] = []

    def look_up(self, message: Message, since: int) -> Receipt | None:
        assert since < message.expires_at
        self.asked.append(message)
        n = int(message.delivery.split("-")[1])
        return Receipt(ReceiptWord.DELIVERED, "delivered", ref=f"S{n}") if n in self.known else None

    def close(self) -> None:
        pass


def _lost(plan: Any, scripted: Any, n: int = 6, lost: tuple[int, ...] = (2, 3, 5), category: str = "notice") -> Any:
    planned = plan(n, category=category)
    scripted(lambda each: LOST if each in lost else ACCEPTED)
    planned.carry_out("sms", "sms-emergency")
    return planned


def _searchable(known: set[int]) -> tuple[dict[str, Sms], Rememberer]:
    channel, provider = Sms(ChannelSettings(provider="spool", spool="unused")), Rememberer(known)
    channel.provider = provider  # type: ignore[assignment]
    return {"spool": channel}, provider


def test_what_the_provider_knows_is_no_longer_in_doubt(plan: Any, scripted: Any, inst: Installation) -> None:
    planned = _lost(plan, scripted)
    assert planned.outcomes() == {"accepted": 3, "unknown": 3}
    searchable, provider = _searchable({2, 5})
    assert in_doubt.look_up(inst, searchable) == 2
    assert [message.text for message in provider.asked] == [f"【吉林消防】金{n - 1}：请检查灭火器。" for n in (2, 3, 5)]
    fold(inst)
    assert planned.outcomes() == planned.counters() == {"accepted": 3, "delivered": 2, "unknown": 1}
    assert recount(inst, planned.campaign)["equal"]
    assert in_doubt.look_up(inst, searchable) == 0
    assert len(provider.asked) == 4


def test_after_a_quarter_of_an_hour_nobody_is_asked_any_more(plan: Any, scripted: Any, inst: Installation) -> None:
    _lost(plan, scripted)
    with inst.store.write() as conn:
        conn.execute(text("UPDATE attempt SET at = at - 901000"))
    searchable, provider = _searchable({2})
    assert in_doubt.look_up(inst, searchable) == 0
    assert provider.asked == []


def test_another_provider_is_not_asked_for_it(plan: Any, scripted: Any, inst: Installation) -> None:
    _lost(plan, scripted)
    searchable, provider = _searchable({2})
    assert in_doubt.look_up(inst, {"twilio": searchable["spool"]}) == 0
    assert provider.asked == []


def test_a_person_sends_again_what_is_in_doubt_and_only_that(plan: Any, scripted: Any, inst: Installation) -> None:
    planned = _lost(plan, scripted)
    assert planned.state() == "finished"
    (row,) = in_doubt.listed(inst, BOSS)
    assert (row["campaign"], row["n"], row["reason"]) == (planned.campaign, 3, "timeout")
    assert in_doubt.send_again(inst, BOSS, planned.campaign) == 3
    assert planned.state() == "running"
    assert planned.outcomes() == planned.counters() == {"accepted": 3, "waiting": 3}
    channel = scripted(lambda _: ACCEPTED)
    planned.carry_out("sms")
    assert channel.numbers == [2, 3, 5]
    assert planned.outcomes() == planned.counters() == {"accepted": 6}
    assert planned.state() == "finished"
    assert in_doubt.listed(inst, BOSS) == []
    assert recount(inst, planned.campaign)["equal"]


def test_sent_again_and_then_cancelled_is_still_in_doubt(plan: Any, scripted: Any, inst: Installation) -> None:
    planned = _lost(plan, scripted)
    in_doubt.send_again(inst, BOSS, planned.campaign)
    planned.set(state="cancelled", epoch=1)
    sweep(inst)
    assert planned.outcomes() == planned.counters() == {"accepted": 3, "unknown": 3}


def test_what_is_left_is_asked_about_no_more(plan: Any, scripted: Any, inst: Installation) -> None:
    planned = _lost(plan, scripted)
    assert in_doubt.leave(inst, BOSS, planned.campaign) == 3
    assert in_doubt.listed(inst, BOSS) == []
    assert in_doubt.leave(inst, BOSS, planned.campaign) == 0
    assert in_doubt.send_again(inst, BOSS, planned.campaign) == 0
    assert planned.outcomes() == planned.counters() == {"accepted": 3, "unknown": 3}


@pytest.mark.parametrize("over", [{"state": "cancelled"}, {"expires_at": 1}])
def test_nothing_of_a_campaign_that_is_over_goes_out_again(
    plan: Any, scripted: Any, inst: Installation, over: dict[str, Any]
) -> None:
    planned = _lost(plan, scripted)
    planned.set(**over)
    with pytest.raises(Refused):
        in_doubt.send_again(inst, BOSS, planned.campaign)
    assert planned.outcomes() == {"accepted": 3, "unknown": 3}


def test_who_only_operates_the_gateway_does_not_decide(plan: Any, scripted: Any, inst: Installation) -> None:
    planned = _lost(plan, scripted)
    operator = User(91, "gus", "Gus", None, None, None, frozenset({Role.OPERATOR}))
    assert in_doubt.listed(inst, operator)
    with pytest.raises(Refused):
        in_doubt.send_again(inst, operator, planned.campaign)
