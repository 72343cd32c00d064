"""Submit freezes a campaign whole, or leaves the draft as it was."""

import json
import re
from dataclasses import replace
from itertools import chain, zip_longest
from typing import Any

import pytest

from broadcaster.compose import campaigns
from broadcaster.compose import plan as planning
from broadcaster.model import BadInput, CampaignState, Refused, Selection
from broadcaster.store import plan as stored_plan
from broadcaster.store.clock import wall_ms
from channels.sms import Sms

HOUR = 3_600_000
TABLES = ("delivery", "wording", "cut", "chunk", "counter")


def left(town: Any) -> dict[str, int]:
    return {table: town.rows(f"SELECT count(*) FROM {table}")[0][0] for table in TABLES}


def test_submit_plans_everybody_once_and_lets_nobody_go(town: Any) -> None:
    made = town.submitted()
    assert made.state is CampaignState.SUBMITTED
    assert made.planned == 18
    assert dict(town.rows("SELECT channel, count(*) FROM delivery GROUP BY channel")) == {
        "sms": 12, "loudspeaker": 2, "billboard": 3, "social": 1,
    }  # fmt: skip
    assert town.rows("SELECT DISTINCT outcome, due_at, attempt, proof FROM delivery") == [("waiting", 0, 0, 0)]
    assert town.rows("SELECT count(*) FROM chunk WHERE due_at IS NOT NULL") == [(0,)]
    assert re.fullmatch("[0-9a-f]{64}", made.sealed_digest)


def test_every_delivery_has_a_name_outside_that_nobody_can_guess(town: Any) -> None:
    town.submitted()
    tokens = [token for (token,) in town.rows("SELECT token FROM delivery")]
    assert len(set(tokens)) == len(tokens) == 18
    assert all(re.fullmatch("[A-Za-z0-9_-]{16}", token) for token in tokens)


def test_parts_and_cost_are_those_of_each_phone(town: Any) -> None:
    made = town.submitted()
    rows = town.rows(
        "SELECT d.parts, d.slots, w.pieces FROM delivery d JOIN wording w ON w.id = d.wording_id WHERE d.channel = 'sms'"
    )
    for parts, slots, pieces in rows:
        text = "".join(chain(*zip_longest(json.loads(pieces), json.loads(slots), fillvalue="")))
        assert Sms.measure(text).parts == parts
    assert made.parts == sum(parts for parts, _, _ in rows)
    assert made.cost == made.parts * town.inst.settings.sms_price
    assert len({parts for parts, _, _ in rows}) > 1


def test_a_campaign_reads_as_the_doors_say(town: Any) -> None:
    told = town.submitted().as_json("Asia/Shanghai")
    wanted = (
        "campaign public_id name state mode category level revision template_set facts selection channels not_before expires "
        "planned parts cost digest author approver reason version created submitted approved started finished"
    )
    assert set(wanted.split()) <= set(told)
    assert told["author"] == "author"
    assert told["approver"] is told["approved"] is told["level"] is None
    assert told["created"].endswith("+08:00")
    assert told["selection"]["places"] == ("220000000000",)


def test_times_that_nobody_gave_are_decided_at_submit(town: Any) -> None:
    draft = town.created()
    assert draft.not_before_at is draft.expires_at is None
    before = wall_ms()
    made = campaigns.submit(town.inst, town.author, draft.id)
    assert before - 1000 <= made.not_before_at <= wall_ms() + 1000
    assert made.expires_at - made.not_before_at == 72 * HOUR  # as the set declares


MISSING = {"template_set": "forest-fire-ban", "facts": {"ends": "2027-05-31"}}


@pytest.mark.parametrize(
    ("changes", "error", "code"),
    [
        (MISSING, BadInput, "bad-facts"),
        ({"selection": Selection()}, BadInput, "audience-empty"),
        ({"selection": Selection(places=("22",), languages=("en",))}, BadInput, "audience-empty"),
        ({"selection": Selection(places=("99",))}, BadInput, "place-unknown"),
        ({"selection": Selection(groups=("nobody",))}, BadInput, "group-unknown"),
        ({"channels": ()}, BadInput, "channels"),
        ({"template_set": "fair", "facts": {"day": "2027-03-15"}, "channels": ("sms", "billboard")}, BadInput, "no-template"),
        ({"expires_at": 1}, BadInput, "expired"),
        ({"expires_at": 2**42}, BadInput, "expires-too-late"),
        ({"template_set": "alarm", "facts": {}, "selection": Selection(places=("2224",)), "channels": ("sms",),
          "level": "red", "expires_at": 2**42}, BadInput, "expires-too-late"),
        ({"template_set": "forest-fire-ban", "level": "red",
          "facts": {"starts": "2027-03-15", "ends": "2027-05-31", "level": "blue"}}, BadInput, "level"),
    ],
)  # fmt: skip
def test_what_cannot_go_out_stays_a_draft(town: Any, changes: dict[str, Any], error: type, code: str) -> None:
    draft = town.created(**changes)
    with pytest.raises(error) as refused:
        campaigns.submit(town.inst, town.author, draft.id)
    assert refused.value.code == code
    assert campaigns.find(town.inst, draft.id) == draft
    assert not any(left(town).values())


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"mode": ""}, "mode"),
        ({"mode": "LIVE"}, "mode"),
        ({"mode": "test"}, "mode"),
        ({"name": "  "}, "name"),
        ({"level": "pink"}, "level"),
        ({"channels": ("sms", "pigeon")}, "channel"),
        ({"facts": {"day": object()}}, "bad-facts"),
    ],
)
def test_a_draft_names_only_what_there_is(town: Any, changes: dict[str, Any], code: str) -> None:
    with pytest.raises(BadInput) as refused:
        town.created(**changes)
    assert refused.value.code == code


def test_a_promotion_that_could_only_go_at_night_is_refused(town: Any) -> None:
    midnight = 1_900_000_000_000 // (24 * HOUR) * 24 * HOUR + 16 * HOUR  # 00:00 in Shanghai, 2030
    night = {"not_before_at": midnight, "expires_at": midnight + 7 * HOUR}
    draft = town.created(template_set="fair", facts={"day": "2030-03-18"}, channels=("sms",), **night)
    with pytest.raises(Refused) as refused:
        campaigns.submit(town.inst, town.author, draft.id)
    assert refused.value.code == "quiet-hours"
    assert not any(left(town).values())


def test_who_has_no_name_stops_a_text_that_names_each(town: Any) -> None:
    town.do("UPDATE recipient SET name = NULL WHERE name IN ('张1', '김2')")
    town.do("UPDATE premises SET name = '' WHERE name = '单位3'")
    draft = town.created(channels=("sms",))
    with pytest.raises(BadInput) as refused:
        campaigns.submit(town.inst, town.author, draft.id)
    assert refused.value.code == "slot-missing"
    assert refused.value.problems == [{"slot": "name", "recipients": 2}, {"slot": "premises", "recipients": 1}]
    assert not any(left(town).values())


def test_a_text_too_long_for_some_is_refused_with_how_many(town: Any) -> None:
    town.do("UPDATE recipient SET name = :long WHERE name = '张1'", long="张" * 700)
    draft = town.created(channels=("sms",))
    with pytest.raises(BadInput) as refused:
        campaigns.submit(town.inst, town.author, draft.id)
    assert refused.value.code == "sms-too-long"
    assert "1 recipients" in refused.value.message


def test_only_its_author_or_last_editor_submits_a_campaign(town: Any) -> None:
    draft = town.created()
    for user, code in ((town.both, "not-yours"), (town.approver, "role"), (town.stranger, "role")):
        with pytest.raises(Refused) as refused:
            campaigns.submit(town.inst, user, draft.id)
        assert refused.value.code == code
    campaigns.edit(town.inst, town.both, draft.id, town.draft(), 0)
    assert campaigns.submit(town.inst, town.both, draft.id).state is CampaignState.SUBMITTED


def test_a_unit_sends_to_its_own_places_only(town: Any) -> None:
    draft = campaigns.create(town.inst, town.villager, town.draft(selection=Selection(places=("22",))))
    with pytest.raises(Refused) as refused:
        campaigns.submit(town.inst, town.villager, draft.id)
    assert refused.value.code == "place-not-yours"
    own = campaigns.create(town.inst, town.villager, town.draft(selection=Selection(places=("2224",))))
    assert campaigns.submit(town.inst, town.villager, own.id).planned == 6


@pytest.mark.parametrize("step", ["add_cuts", "add_waiting", "add_chunks"])
def test_a_submit_that_breaks_off_leaves_a_draft(town: Any, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    draft = town.created()

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(stored_plan, step, killed)
    with pytest.raises(KeyboardInterrupt):
        campaigns.submit(town.inst, town.author, draft.id)
    after = campaigns.find(town.inst, draft.id)
    assert replace(after, epoch=draft.epoch) == draft
    assert not any(left(town).values())
    monkeypatch.undo()
    assert [line["action"] for line in campaigns.events(town.inst, draft.id)] == ["campaign.create"]


def test_a_draft_changed_while_it_is_planned_is_not_submitted(town: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    draft = town.created()
    fill = planning.fill

    def meanwhile(*given: Any) -> Any:
        campaigns.edit(town.inst, town.author, draft.id, town.draft(name="another"), 0)
        return fill(*given)

    monkeypatch.setattr(planning, "fill", meanwhile)
    with pytest.raises(Refused) as refused:
        campaigns.submit(town.inst, town.author, draft.id)
    assert refused.value.code == "campaign-changed"
    assert not any(left(town).values())


def test_a_submitted_campaign_is_not_submitted_twice(town: Any) -> None:
    made = town.submitted()
    with pytest.raises(Refused) as refused:
        campaigns.submit(town.inst, town.author, made.id)
    assert refused.value.code == "campaign-state"
    assert campaigns.find(town.inst, made.id) == made


def test_progress_ends_at_all_that_is_planned(town: Any) -> None:
    told: list[tuple[int, int]] = []
    campaigns.submit(town.inst, town.author, town.created().id, lambda done, of: told.append((done, of)))
    assert told[-1] == (18, 18)


def test_a_unit_without_places_sends_nowhere_instead_of_everywhere(town: Any) -> None:
    draft = campaigns.create(town.inst, town.villager, town.draft(selection=Selection(places=("2224",))))
    with town.inst.store.write() as conn:
        conn.exec_driver_sql("DELETE FROM unit_place")
    with pytest.raises(Refused) as refused:
        campaigns.submit(town.inst, town.villager, draft.id)
    assert refused.value.code == "unit-without-places"
