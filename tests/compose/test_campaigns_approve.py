"""A second person lets go exactly what was submitted, or nothing."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from broadcaster import audit
from broadcaster.compose import campaigns, submission
from broadcaster.model import BroadcasterError, CampaignState, Selection
from broadcaster.reach.counts import recount
from broadcaster.store.clock import wall_ms
from broadcaster.store.engine import open_store

HOUR = 3_600_000


def refusal(act: Callable[[], object]) -> str:
    with pytest.raises(BroadcasterError) as refused:
        act()
    return refused.value.code


def test_approval_makes_the_chunks_due_and_names_the_approver(town: Any) -> None:
    made = town.submitted()
    done = campaigns.approve(town.inst, town.approver, made.id, made.sealed_digest)
    assert done.state is CampaignState.APPROVED
    assert (done.author, done.approver) == ("author", "approver")
    [(low, high)] = town.rows("SELECT min(due_at), max(due_at) FROM chunk")
    assert low == high
    assert abs(low - wall_ms()) < 5000


def test_a_campaign_for_later_becomes_due_at_its_time(town: Any) -> None:
    later = wall_ms() + 5 * HOUR
    town.approved(not_before_at=later)
    assert town.rows("SELECT DISTINCT due_at FROM chunk") == [(later,)]


def test_nobody_approves_what_they_wrote_or_changed(town: Any) -> None:
    made = campaigns.create(town.inst, town.both, town.draft())
    campaigns.submit(town.inst, town.both, made.id)
    assert refusal(lambda: campaigns.approve(town.inst, town.both, made.id)) == "own-campaign"

    other = town.created()
    campaigns.edit(town.inst, town.both, other.id, town.draft(), 0)
    campaigns.submit(town.inst, town.author, other.id)
    assert refusal(lambda: campaigns.approve(town.inst, town.both, other.id)) == "own-campaign"
    assert campaigns.approve(town.inst, town.approver, other.id).approver == "approver"


def test_only_an_approver_in_person_approves(town: Any) -> None:
    made = town.submitted()
    for user in (town.author, town.stranger, town.administrator):
        assert refusal(lambda user=user: campaigns.approve(town.inst, user, made.id)) == "role"  # type: ignore[misc]
    program = replace(town.approver, program=True)
    assert refusal(lambda: campaigns.approve(town.inst, program, made.id)) == "program"
    assert campaigns.find(town.inst, made.id) == made


def test_another_digest_than_the_one_that_was_read_is_refused(town: Any) -> None:
    made = town.submitted()
    for digest in ("", "0" * 64, made.sealed_digest.upper()):
        assert (
            refusal(lambda digest=digest: campaigns.approve(town.inst, town.approver, made.id, digest))
            == "other-digest"
        )  # type: ignore[misc]
    assert campaigns.find(town.inst, made.id).state is CampaignState.SUBMITTED


TAMPERED = [
    'UPDATE delivery SET slots = \'["李","某单位"]\' WHERE n = 1',
    "UPDATE delivery SET slots = NULL WHERE n = 1",
    "UPDATE delivery SET parts = parts + 1 WHERE n = 1",
    "UPDATE delivery SET channel = 'social' WHERE n = 1",
    "UPDATE delivery SET recipient_id = (SELECT id FROM recipient WHERE channel = 'social') WHERE n = 1",
    "UPDATE delivery SET wording_id = wording_id + 1 WHERE n = 1",
    "UPDATE delivery SET wording_id = 0 WHERE n = 1",
    "DELETE FROM delivery WHERE n = 18",
    "UPDATE recipient SET address_key = X'00' WHERE id = 1",
    "UPDATE wording SET pieces = replace(pieces, '119', '120')",
    "UPDATE wording SET spoken = replace(spoken, '幺幺九', '幺幺零')",
    "UPDATE wording SET format = '64x32' WHERE channel = 'billboard'",
    "UPDATE campaign SET mode = 'exercise'",
    "UPDATE campaign SET category = 'emergency'",
    "UPDATE campaign SET level = 'red'",
    "UPDATE campaign SET channels = '[\"sms\"]'",
    "UPDATE campaign SET expires_at = expires_at + 1",
    "UPDATE campaign SET not_before_at = not_before_at + 1",
    "UPDATE campaign SET revision = 2",
    "UPDATE campaign SET planned = 17",
]


def while_the_seal_is_taken(town: Any, monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> str | None:
    """Approves, with an act of somebody else's in the middle; the code of the refusal, if it was refused."""
    made, taken = town.submitted(channels=("sms",)), submission.sealed_again
    with monkeypatch.context() as patch:
        patch.setattr(submission, "sealed_again", lambda *given: (act(), taken(*given))[1])
        try:
            campaigns.approve(town.inst, town.approver, made.id)
        except BroadcasterError as error:
            return error.code
    return None


def test_others_write_while_the_seal_is_taken(town: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    other = open_store(town.inst.settings.store_url)

    def write() -> None:
        with other.write() as conn:
            conn.execute(text("INSERT INTO bus_record (topic, key, headers, at) VALUES ('t', 'k', '{}', 1)"))

    assert while_the_seal_is_taken(town, monkeypatch, write) is None
    assert town.rows("SELECT count(*) FROM bus_record") == [(1,)]
    other.close()


def test_another_plan_than_the_one_whose_seal_was_taken_is_not_let_go(
    town: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def submit_anew() -> None:
        [made] = campaigns.listed(town.inst, town.author)
        campaigns.edit(town.inst, town.author, made.id, town.draft(channels=("sms",)), made.version)
        campaigns.submit(town.inst, town.author, made.id)

    assert while_the_seal_is_taken(town, monkeypatch, submit_anew) == "other-digest"
    assert town.rows("SELECT state, approver_id FROM campaign") == [("submitted", None)]
    assert town.rows("SELECT count(*) FROM chunk WHERE due_at IS NOT NULL") == [(0,)]


@pytest.mark.parametrize("statement", TAMPERED)
def test_whatever_changed_behind_the_program_breaks_the_seal(town: Any, statement: str) -> None:
    made = town.submitted()
    before = town.rows("SELECT (SELECT count(*) FROM delivery), group_concat(pieces) FROM wording")
    town.do("PRAGMA foreign_keys = OFF")
    town.do(statement)
    assert refusal(lambda: campaigns.approve(town.inst, town.approver, made.id)) == "seal-broken"
    assert campaigns.find(town.inst, made.id).state is CampaignState.SUBMITTED
    assert town.rows("SELECT count(*) FROM chunk WHERE due_at IS NOT NULL") == [(0,)]
    assert before


@pytest.mark.parametrize("harm", [Path.unlink, lambda path: path.write_bytes(b"another voice")])
def test_a_clip_that_is_not_what_was_heard_stops_the_approval(town: Any, harm: Callable[[Path], object]) -> None:
    made = town.submitted()
    harm(next(iter(town.inst.settings.audio_folder.glob("*.mp3"))))
    assert refusal(lambda: campaigns.approve(town.inst, town.approver, made.id)) == "clip-missing"


def test_a_recipient_who_is_imported_after_submit_is_not_in_it(town: Any) -> None:
    made = town.submitted()
    town.do(
        "INSERT INTO recipient (channel, address_sealed, address_key, place, languages, created_at) "
        "VALUES ('sms', X'00', X'01', '220102001001', 'zh-CN', 1)"
    )
    campaigns.approve(town.inst, town.approver, made.id, made.sealed_digest)
    assert town.rows("SELECT count(*) FROM delivery") == [(18,)]


CHANGES: list[dict[str, Any]] = [
    {"facts": {"holiday": "五一", "contact": "96119"}, "channels": ("sms",)},
    {"channels": ("sms", "loudspeaker", "billboard")},
    {"mode": "exercise"},
    {"selection": Selection(places=("2201",))},
    {"selection": Selection(places=("22",), exclude_places=("2224",))},
    {"level": "red"},
    {"not_before_at": 2_000_000_000_000},
    {"expires_at": 1},
    {"name": "another name"},
]


@pytest.mark.parametrize("changes", CHANGES)
def test_any_change_voids_what_was_submitted(town: Any, changes: dict[str, Any]) -> None:
    made = town.submitted()
    changes = {name: made.expires_at - HOUR if name == "expires_at" else value for name, value in changes.items()}
    edited = campaigns.edit(town.inst, town.author, made.id, town.draft(**changes), made.version)
    assert edited.state is CampaignState.DRAFT
    assert edited.sealed_digest is edited.planned is edited.parts is edited.cost is edited.submitted_at is None
    for table in ("delivery", "wording", "cut", "chunk", "counter"):
        assert town.rows(f"SELECT count(*) FROM {table}") == [(0,)]
    assert refusal(lambda: campaigns.approve(town.inst, town.approver, made.id, made.sealed_digest)) == "campaign-state"
    again = campaigns.submit(town.inst, town.author, made.id)
    assert again.sealed_digest != made.sealed_digest
    assert refusal(lambda: campaigns.approve(town.inst, town.approver, made.id, made.sealed_digest)) == "other-digest"
    assert campaigns.approve(town.inst, town.approver, made.id, again.sealed_digest).state is CampaignState.APPROVED


def test_a_stale_page_changes_nothing(town: Any) -> None:
    draft = town.created()
    newer = campaigns.edit(town.inst, town.both, draft.id, town.draft(name="newer"), draft.version)
    assert (
        refusal(lambda: campaigns.edit(town.inst, town.author, draft.id, town.draft(name="older"), draft.version))
        == "stale-page"
    )
    assert campaigns.find(town.inst, draft.id) == newer


def test_an_approved_campaign_is_not_changed_any_more(town: Any) -> None:
    done = town.approved()
    code = refusal(lambda: campaigns.edit(town.inst, town.author, done.id, town.draft(), done.version))
    assert code == "campaign-state"
    assert campaigns.find(town.inst, done.id) == done
    assert town.rows("SELECT count(*) FROM delivery") == [(18,)]


def test_time_that_ran_out_before_approval_is_told(town: Any) -> None:
    made = town.submitted()
    town.do("UPDATE campaign SET expires_at = 1")
    assert refusal(lambda: campaigns.approve(town.inst, town.approver, made.id)) == "expired"


def test_return_needs_a_second_person_and_a_reason(town: Any) -> None:
    made = town.submitted()
    assert refusal(lambda: campaigns.return_(town.inst, town.approver, made.id, "  ")) == "reason"
    assert refusal(lambda: campaigns.return_(town.inst, town.author, made.id, "typo")) == "role"
    back = campaigns.return_(town.inst, town.approver, made.id, " typo in line 2 ")
    assert (back.state, back.reason) == (CampaignState.RETURNED, "typo in line 2")
    assert refusal(lambda: campaigns.approve(town.inst, town.approver, made.id)) == "campaign-state"


def test_a_returned_campaign_is_submitted_again_with_one_plan(town: Any) -> None:
    made = town.submitted()
    campaigns.return_(town.inst, town.approver, made.id, "are you sure?")
    again = campaigns.submit(town.inst, town.author, made.id)
    assert again.state is CampaignState.SUBMITTED
    assert again.reason is None
    assert town.rows("SELECT count(*), min(n), max(n) FROM delivery") == [(18, 1, 18)]
    assert recount(town.inst, made.id)["equal"]
    assert campaigns.approve(town.inst, town.approver, made.id, again.sealed_digest).state is CampaignState.APPROVED


def test_every_act_stands_in_the_audit_under_its_actor(town: Any) -> None:
    made = town.submitted()
    campaigns.return_(town.inst, town.approver, made.id, "typo")
    campaigns.edit(town.inst, town.both, made.id, town.draft(), 0)
    campaigns.submit(town.inst, town.author, made.id)
    campaigns.approve(town.inst, town.approver, made.id)
    campaigns.cancel(town.inst, town.administrator, made.id, "wrong day")
    lines = [(line["action"].removeprefix("campaign."), line["actor"]) for line in campaigns.events(town.inst, made.id)]
    assert lines == [
        ("create", "author"), ("submit", "author"), ("return", "approver"), ("edit", "both"), ("submit", "author"),
        ("approve", "approver"), ("cancel", "administrator"),
    ]  # fmt: skip
    assert audit.verify(town.inst)["ok"]
