"""Cancel stops; correct tells those who got it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from broadcaster.compose import campaigns
from broadcaster.model import BadInput, BroadcasterError, CampaignState, NotFound, Outcome, Selection

FACTS = {"sent_on": "2027-03-15", "subject": {"zh-CN": "开门检查", "ko": "점검", "en": "the check"}, "contact": "12345"}


def refusal(act: Callable[[], object]) -> str:
    with pytest.raises(BroadcasterError) as refused:
        act()
    return refused.value.code


def outcomes(town: Any, campaign: int, **words: str) -> None:
    """Sets the outcome of deliveries by their n: n3="failed"."""
    for n, word in words.items():
        town.do("UPDATE delivery SET outcome = :w WHERE campaign_id = :c AND n = :n", w=word, c=campaign, n=int(n[1:]))


def sent(town: Any, **words: str) -> Any:
    """A campaign whose deliveries were all accepted, but for those named; it is over."""
    made = town.approved(channels=("sms", "loudspeaker"))
    town.do("UPDATE delivery SET outcome = 'accepted' WHERE campaign_id = :c", c=made.id)
    town.do(
        "UPDATE campaign SET state = 'finished', started_at = approved_at, finished_at = approved_at WHERE id = :c",
        c=made.id,
    )
    outcomes(town, made.id, **words)
    return campaigns.find(town.inst, made.id)


@pytest.mark.parametrize("state", ["draft", "submitted", "returned", "approved", "running", "finished"])
def test_a_campaign_is_cancelled_from_every_state_but_the_ended_ones(town: Any, state: str) -> None:
    made = town.created() if state == "draft" else town.submitted()
    town.do("UPDATE campaign SET state = :s", s=state)
    done = campaigns.cancel(town.inst, town.author, made.id, "wrong day")
    assert (done.state, done.epoch, done.reason) == (CampaignState.CANCELLED, made.epoch + 1, "wrong day")
    assert done.cancelled_at is not None
    assert refusal(lambda: campaigns.cancel(town.inst, town.author, made.id, "again")) == "campaign-state"


def test_an_expired_campaign_is_not_cancelled(town: Any) -> None:
    made = town.submitted()
    town.do("UPDATE campaign SET state = 'expired'")
    assert refusal(lambda: campaigns.cancel(town.inst, town.author, made.id, "late")) == "campaign-state"


def test_cancel_takes_what_feeds_still_hold(town: Any) -> None:
    done = sent(town)
    [(speaker, n, wording)] = town.rows(
        "SELECT recipient_id, n, wording_id FROM delivery WHERE channel = 'loudspeaker' ORDER BY n LIMIT 1"
    )
    town.do("INSERT INTO device (recipient_id, token_hash) VALUES (:r, X'01')", r=speaker)
    town.do(
        "INSERT INTO feed_item (recipient_id, campaign_id, n, wording_id, priority, not_before_at, expires_at) "
        "VALUES (:r, :c, :n, :w, 2, 0, 9999999999999)",
        r=speaker, c=done.id, n=n, w=wording,
    )  # fmt: skip
    campaigns.cancel(town.inst, town.approver, done.id, "wrong place")
    assert town.rows("SELECT count(*) FROM feed_item") == [(0,)]
    assert town.rows("SELECT sequence FROM device") == [(1,)]
    assert campaigns.events(town.inst, done.id)[-1]["detail"]["feeds"] == 1


def test_cancel_needs_a_reason_and_a_role(town: Any) -> None:
    made = town.submitted()
    with pytest.raises(BadInput):
        campaigns.cancel(town.inst, town.author, made.id, "")
    assert refusal(lambda: campaigns.cancel(town.inst, town.stranger, made.id, "no")) == "role"
    assert campaigns.find(town.inst, made.id) == made


def test_a_correction_goes_to_those_who_got_it_or_may_have(town: Any) -> None:
    got = [Outcome.ACCEPTED, Outcome.DELIVERED, Outcome.UNKNOWN, Outcome.SENDING]
    words = {f"n{n}": str(word) for n, word in enumerate(Outcome, 1)}
    before = sent(town, **words)
    draft = campaigns.correct(town.inst, town.author, before.id, FACTS)
    made = campaigns.submit(town.inst, town.author, draft.id)
    reached = [
        r for (r,) in town.rows("SELECT recipient_id FROM delivery WHERE campaign_id = :c ORDER BY 1", c=made.id)
    ]
    words_of = ", ".join(f"'{word}'" for word in got)
    expected = town.rows(
        f"SELECT recipient_id FROM delivery WHERE campaign_id = :c AND outcome IN ({words_of}) ORDER BY 1", c=before.id
    )
    assert reached == [r for (r,) in expected]
    assert made.planned == len(reached) == 14 - (len(Outcome) - len(got))


def test_a_correction_follows_and_keeps_lane_mode_and_channels(town: Any) -> None:
    made = town.approved(template_set="alarm", facts={}, channels=("sms", "social"), level="red", mode="exercise",
                         selection=Selection(places=("2201",)))  # fmt: skip
    town.do("UPDATE delivery SET outcome = 'accepted'")
    town.do("UPDATE campaign SET state = 'finished', started_at = 1800000000000")
    draft = campaigns.correct(town.inst, town.both, made.id)
    assert (draft.follows_id, draft.follows_how, draft.revision) == (made.id, "correction", 2)
    assert (draft.category, draft.mode, draft.channels) == (made.category, made.mode, made.channels)
    assert draft.template_set == "correction"
    assert draft.facts["sent_on"] == "2027-01-15"
    assert draft.facts["subject"]["zh-CN"] == "紧急撤离"
    campaigns.edit(town.inst, town.both, draft.id, draft.draft, draft.version)
    done = campaigns.submit(town.inst, town.both, draft.id)
    assert done.category == "emergency"
    assert town.rows("SELECT DISTINCT lane FROM chunk WHERE campaign_id = :c", c=done.id) == [("emergency",)]
    texts = town.rows("SELECT pieces FROM wording WHERE campaign_id = :c AND channel = 'sms'", c=done.id)
    assert all(text.startswith('["【演练】【吉林消防】更正：1月15日') for (text,) in texts)


def test_the_wrong_words_fall_silent_when_their_correction_is_approved(town: Any) -> None:
    before = sent(town)
    town.do(
        "INSERT INTO feed_item (recipient_id, campaign_id, n, wording_id, priority, not_before_at, expires_at) "
        "SELECT recipient_id, campaign_id, n, wording_id, 2, 0, 9999999999999 FROM delivery WHERE channel = 'loudspeaker'"
    )
    draft = campaigns.correct(town.inst, town.author, before.id, FACTS)
    campaigns.submit(town.inst, town.author, draft.id)
    assert town.rows("SELECT count(*) FROM feed_item") == [(2,)]
    campaigns.approve(town.inst, town.approver, draft.id)
    assert town.rows("SELECT count(*) FROM feed_item") == [(0,)]
    assert campaigns.find(town.inst, before.id).epoch == before.epoch + 1


def test_nobody_gets_the_message_after_its_correction(town: Any) -> None:
    before = sent(town)
    town.do("UPDATE campaign SET state = 'running'")
    draft = campaigns.correct(town.inst, town.author, before.id, FACTS)
    assert refusal(lambda: campaigns.submit(town.inst, town.author, draft.id)) == "still-sending"
    campaigns.cancel(town.inst, town.author, before.id, "wrong number")
    assert campaigns.submit(town.inst, town.author, draft.id).state is CampaignState.SUBMITTED


def test_what_was_never_sent_is_not_corrected(town: Any) -> None:
    for made in (town.created(), town.submitted(), town.approved()):
        assert refusal(lambda made=made: campaigns.correct(town.inst, town.author, made.id, FACTS)) == "nothing-sent"  # type: ignore[misc]


def test_a_set_that_is_gone_does_not_stop_a_correction(town: Any) -> None:
    before = sent(town)
    town.do("UPDATE campaign SET template_set = 'gone'")
    assert campaigns.correct(town.inst, town.author, before.id).facts.keys() == {"sent_on"}


def test_a_correction_needs_its_own_words_and_its_own_approval(town: Any) -> None:
    before = sent(town)
    draft = campaigns.correct(town.inst, town.author, before.id, {"subject": ""})
    assert refusal(lambda: campaigns.submit(town.inst, town.author, draft.id)) == "bad-facts"
    assert refusal(lambda: campaigns.correct(town.inst, town.approver, before.id, FACTS)) == "role"
    whole = campaigns.correct(town.inst, town.author, before.id, FACTS)
    campaigns.submit(town.inst, town.author, whole.id)
    assert refusal(lambda: campaigns.approve(town.inst, town.author, whole.id)) == "role"


def test_anybody_on_duty_corrects_what_another_wrote(town: Any) -> None:
    before = sent(town)
    draft = campaigns.correct(town.inst, town.villager, before.id, FACTS)
    assert campaigns.submit(town.inst, town.villager, draft.id).planned == before.planned


def test_a_correction_stays_in_the_mode_of_what_it_corrects(town: Any) -> None:
    draft = campaigns.correct(town.inst, town.author, sent(town).id, FACTS)
    other = replace(draft.draft, mode="exercise")
    assert refusal(lambda: campaigns.edit(town.inst, town.author, draft.id, other, draft.version)) == "correction-mode"


def test_a_campaign_that_is_not_there_is_told(town: Any) -> None:
    for act in (lambda: campaigns.find(town.inst, 99), lambda: campaigns.events(town.inst, 99),
                lambda: campaigns.submit(town.inst, town.author, 99), lambda: campaigns.cancel(town.inst, town.author, 99, "x")):  # fmt: skip
        with pytest.raises(NotFound):
            act()


def test_the_list_is_newest_first_and_not_for_strangers(town: Any) -> None:
    made = [town.created(name=f"campaign {i}").id for i in range(3)]
    assert [one.id for one in campaigns.listed(town.inst, town.approver)] == made[::-1]
    assert len(campaigns.listed(town.inst, town.author, limit=2)) == 2
    assert refusal(lambda: campaigns.listed(town.inst, town.stranger)) == "role"
