"""Several people at once, and any sequence of acts: nobody sends alone, and nothing goes that nobody read."""

import threading
from collections.abc import Callable
from functools import partial
from random import Random
from typing import Any

from broadcaster import audit
from broadcaster.compose import campaigns
from broadcaster.compose.campaigns import Campaign
from broadcaster.model import BadInput, BroadcasterError, CampaignState, Refused


def at_once(*acts: Callable[[], object]) -> list[object]:
    """Runs acts in threads that start together; what each gave, or the error it raised."""
    gate, found = threading.Barrier(len(acts)), [None] * len(acts)  # type: list[Any]

    def run(i: int, act: Callable[[], object]) -> None:
        gate.wait()
        try:
            found[i] = act()
        except BroadcasterError as error:
            found[i] = error

    threads = [threading.Thread(target=run, args=(i, act)) for i, act in enumerate(acts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_of_two_approvers_one_wins(town: Any) -> None:
    for _ in range(5):
        made = town.submitted(channels=("sms",))
        approve = partial(campaigns.approve, town.inst, campaign_id=made.id)
        both = at_once(partial(approve, user=town.approver), partial(approve, user=town.both))
        won = [one for one in both if isinstance(one, Campaign)]
        lost = [one for one in both if isinstance(one, Refused)]
        assert (len(won), len(lost)) == (1, 1)
        assert campaigns.find(town.inst, made.id).approver == won[0].approver
        approvals = [line for line in campaigns.events(town.inst, made.id) if line["action"] == "campaign.approve"]
        assert [line["actor"] for line in approvals] == [won[0].approver]


def edit_against_approval(town: Any) -> CampaignState:
    made = town.submitted(channels=("sms",))
    other = town.draft(facts={}, channels=("sms",))
    edited, approved = at_once(
        lambda: campaigns.edit(town.inst, town.author, made.id, other, made.version),
        lambda: campaigns.approve(town.inst, town.approver, made.id, made.sealed_digest),
    )
    assert isinstance(edited, Refused) != isinstance(approved, Refused)
    now = campaigns.find(town.inst, made.id)
    if now.state is CampaignState.APPROVED:
        assert (now.sealed_digest, now.facts) == (made.sealed_digest, made.facts)
    else:
        assert (now.state, now.sealed_digest, now.facts) == (CampaignState.DRAFT, None, {})
    return now.state


def test_an_edit_and_an_approval_at_once_never_let_unread_words_go(town: Any) -> None:
    ends = {edit_against_approval(town) for _ in range(10)}
    assert ends <= {CampaignState.APPROVED, CampaignState.DRAFT}


def test_of_two_submits_at_once_one_plan_stays(town: Any) -> None:
    draft = town.created(channels=("sms",))
    both = at_once(*[lambda: campaigns.submit(town.inst, town.author, draft.id)] * 2)
    assert sum(isinstance(one, Campaign) for one in both) == 1
    assert town.rows("SELECT count(*) FROM delivery") == [(12,)]


def test_no_sequence_of_acts_lets_one_person_send_alone(town: Any) -> None:
    random = Random(20)
    users = (town.author, town.both, town.approver, town.villager, town.administrator, town.stranger)
    acts: list[Callable[[Any, int], object]] = [
        lambda user, one: campaigns.edit(
            town.inst, user, one, town.draft(channels=("social",)), campaigns.find(town.inst, one).version
        ),
        lambda user, one: campaigns.submit(town.inst, user, one),
        lambda user, one: campaigns.approve(town.inst, user, one),
        lambda user, one: campaigns.return_(town.inst, user, one, "why"),
    ]
    approved = 0
    for _ in range(30):
        one = campaigns.create(town.inst, random.choice(users[:2]), town.draft(channels=("social",))).id
        for _ in range(8):
            try:
                random.choice(acts)(random.choice(users), one)
            except (Refused, BadInput):
                continue
        found = campaigns.find(town.inst, one)
        if found.state is CampaignState.APPROVED:
            approved += 1
            assert found.approver_id not in (found.author_id, found.editor_id, None)
            lines = campaigns.events(town.inst, one)
            last = max(
                line["seq"]
                for line in lines
                if line["action"] == "campaign.edit" or line["action"] == "campaign.create"
            )
            assert next(line["actor"] for line in lines if line["seq"] == last) != found.approver
    assert approved > 0
    assert audit.verify(town.inst)["ok"]
