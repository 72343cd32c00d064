"""A plan comes in portions: others have their turn in between, nobody sees half of it, and a kill leaves nothing that counts."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from broadcaster.compose import campaigns
from broadcaster.compose.campaigns import Campaign
from broadcaster.model import CampaignState, Refused
from broadcaster.reach.counts import counts, recount
from broadcaster.reach.unreached import unreached
from broadcaster.store import plan as stored
from broadcaster.store import sweeping
from broadcaster.store.engine import open_store

ROOT = Path(__file__).resolve().parents[2]
PHONES = 12
# Another process, killed by itself when it has written so many of its deliveries.
KILLED = """
import os, signal, sys
from broadcaster.compose import campaigns
from broadcaster.installation import open_installation
from broadcaster.people import find_user
from broadcaster.store import plan as stored

def told(done, of):
    if done >= int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)

stored.PORTION = 5
inst = open_installation()
campaigns.submit(inst, find_user(inst, "author"), int(sys.argv[1]), told)
"""


@pytest.fixture
def town(town_at: Callable[[str], Any], database: str) -> Any:
    """On both databases."""
    return town_at(database)


@pytest.fixture(autouse=True)
def small_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored, "PORTION", 5)


def killed(town: Any, campaign: int, after: int) -> None:
    settings = town.inst.settings
    given = {
        "BROADCASTER_HOME": str(settings.folder),
        "BROADCASTER_TEMPLATES": str(settings.templates),
        "BROADCASTER_DATABASE_URL": settings.database_url.get_secret_value(),
        "PYTHONPATH": str(ROOT),
    }
    words = [sys.executable, "-c", KILLED, str(campaign), str(after)]
    assert subprocess.run(words, env={**os.environ, **given}, check=False).returncode == -signal.SIGKILL


def in_the_middle(town: Any, act: Callable[[], object]) -> Callable[[int, int], None]:
    """Does it once, between two portions."""
    todo = [act]

    def told(done: int, of: int) -> None:
        assert done <= of
        if todo:
            assert deliveries(town) == 5
            todo.pop()()

    return told


def deliveries(town: Any) -> int:
    return int(town.rows("SELECT count(*) FROM delivery")[0][0])


def is_whole(town: Any, campaign: int) -> None:
    """Everybody once, counted, and under the seal that approving takes again."""
    assert town.rows("SELECT count(*), count(DISTINCT recipient_id), min(n), max(n) FROM delivery") == [
        (PHONES, PHONES, 1, PHONES)
    ]
    assert town.rows(
        "SELECT count(*) FROM delivery d LEFT JOIN wording w ON w.id = d.wording_id WHERE w.id IS NULL"
    ) == [(0,)]
    assert recount(town.inst, campaign) == {"equal": True, "differences": []}
    assert campaigns.approve(town.inst, town.approver, campaign).state is CampaignState.APPROVED


def is_unseen(town: Any, draft: Campaign) -> None:
    """Rows are there; no count, no chunk, no seal is, and nobody can let them go."""
    assert deliveries(town) > 0
    found = campaigns.find(town.inst, draft.id)
    assert (found.state, found.planned, found.sealed_digest) == (draft.state, None, None)
    with pytest.raises(Refused) as refused:
        campaigns.approve(town.inst, town.approver, draft.id)
    assert refused.value.code == "campaign-state"
    told = counts(town.inst, draft.id)
    assert (told["planned"], sum(told["outcomes"].values()), told["reach"]["premises"]["planned"]) == (0, 0, 0)
    for of in ("recipients", "premises"):
        assert list(unreached(town.inst, draft.id, of)) == []
    assert recount(town.inst, draft.id)["equal"]
    assert town.rows("SELECT count(*) FROM chunk") == [(0,)]
    with town.inst.store.read() as conn:
        assert sweeping.due_chunks(conn, "notice", 2**60, 10) == []


def test_a_plan_of_many_portions_is_the_same_plan(town: Any) -> None:
    told: list[int] = []
    made = campaigns.submit(
        town.inst, town.author, town.created(channels=("sms",)).id, lambda done, _: told.append(done)
    )
    assert told == [5, 10, PHONES]
    assert made.state is CampaignState.SUBMITTED
    is_whole(town, made.id)


def test_nobody_sees_half_a_plan(town: Any) -> None:
    draft = town.created(channels=("sms",))
    looked = in_the_middle(town, lambda: is_unseen(town, draft))
    is_whole(town, campaigns.submit(town.inst, town.author, draft.id, looked).id)


def test_others_write_between_two_portions(town: Any) -> None:
    draft = town.created(channels=("sms",))
    other = open_store(town.inst.settings.store_url)

    def write() -> None:
        with other.write() as conn:
            conn.exec_driver_sql("UPDATE campaign SET name = name")

    campaigns.submit(town.inst, town.author, draft.id, in_the_middle(town, write))
    other.close()


NEXT: dict[str, Callable[[Any, Campaign], object]] = {
    "submitted again": lambda town, draft: campaigns.submit(town.inst, town.author, draft.id),
    "edited": lambda town, draft: campaigns.edit(town.inst, town.author, draft.id, town.draft(channels=("sms",)), 0),
    "cancelled": lambda town, draft: campaigns.cancel(town.inst, town.author, draft.id, "why"),
}


@pytest.mark.parametrize("act", NEXT)
def test_what_a_kill_in_the_middle_left_is_unseen_and_goes_when_the_campaign_is(town: Any, act: str) -> None:
    draft = town.created(channels=("sms",))
    killed(town, draft.id, after=10)
    assert deliveries(town) == 10
    is_unseen(town, draft)
    NEXT[act](town, draft)
    if act == "submitted again":
        is_whole(town, draft.id)
    else:
        assert deliveries(town) == 0


def test_a_returned_campaign_whose_new_plan_was_killed_has_no_plan(town: Any) -> None:
    made = town.submitted(channels=("sms",))
    returned = campaigns.return_(town.inst, town.approver, made.id, "why")
    killed(town, made.id, after=5)
    assert deliveries(town) == 5
    is_unseen(town, returned)
    is_whole(town, campaigns.submit(town.inst, town.author, made.id).id)


def test_of_two_submits_the_later_one_takes_over_and_no_row_of_the_first_stays(town: Any) -> None:
    draft = town.created(channels=("sms",))
    with pytest.raises(Refused) as refused:
        campaigns.submit(
            town.inst, town.author, draft.id,
            in_the_middle(town, lambda: campaigns.submit(town.inst, town.author, draft.id)),
        )  # fmt: skip
    assert refused.value.code == "campaign-changed"
    is_whole(town, draft.id)


@pytest.mark.parametrize("act", ["edited", "cancelled"])
def test_an_act_in_the_middle_ends_the_submit(town: Any, act: str) -> None:
    draft = town.created(channels=("sms",))
    with pytest.raises(Refused) as refused:
        campaigns.submit(town.inst, town.author, draft.id, in_the_middle(town, lambda: NEXT[act](town, draft)))
    assert refused.value.code == "campaign-changed"
    assert deliveries(town) == 0
    assert campaigns.find(town.inst, draft.id).state == {"edited": "draft", "cancelled": "cancelled"}[act]


def test_a_submit_that_breaks_off_in_the_middle_leaves_nothing(town: Any) -> None:
    draft = town.created(channels=("sms",))

    def broken() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        campaigns.submit(town.inst, town.author, draft.id, in_the_middle(town, broken))
    assert deliveries(town) == 0
    is_whole(town, campaigns.submit(town.inst, town.author, draft.id).id)
