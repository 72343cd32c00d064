"""Counts say what the rows say, by every cut, and recount notices every way in which they would not."""

import pytest
from sqlalchemy import text

from broadcaster.installation import Installation
from broadcaster.model import BadInput, NotFound, Outcome, Proof
from broadcaster.reach.counts import BY, counts, reach, recount

WORDS = {str(word) for word in Outcome}
PROOFS = {str(word) for word in Proof}


def change(inst: Installation, statement: str) -> None:
    with inst.store.write() as conn:
        conn.execute(text(statement))


def test_every_outcome_and_every_proof_is_named_also_where_it_is_nought(inst: Installation, campaign: int) -> None:
    found = counts(inst, campaign)
    assert found["planned"] == 11
    assert set(found["outcomes"]) == WORDS
    assert set(found["proofs"]) == PROOFS
    assert {w: n for w, n in found["outcomes"].items() if n} == {
        "accepted": 6,
        "delivered": 1,
        "failed": 1,
        "unknown": 1,
        "suppressed": 1,
        "cancelled": 1,
    }
    assert {w: n for w, n in found["proofs"].items() if n} == {"fetched": 1, "played": 1, "shown": 1}
    assert found["by"] == []


@pytest.mark.parametrize("by", BY)
def test_each_cut_adds_up_to_what_was_planned(inst: Installation, campaign: int, by: str) -> None:
    found = counts(inst, campaign, by)
    assert sum(row["planned"] for row in found["by"]) == found["planned"]
    for word in WORDS:
        assert sum(row["outcomes"][word] for row in found["by"]) == found["outcomes"][word]
    if by != "outcome":
        for word in PROOFS:
            assert sum(row["proofs"][word] for row in found["by"]) == found["proofs"][word]


def test_places_and_units_carry_their_names(inst: Installation, campaign: int) -> None:
    places = {row["key"]: (row["name"], row["planned"]) for row in counts(inst, campaign, "place")["by"]}
    assert places == {"220102000000": ("南关区", 3), "222401000000": ("延吉市", 8)}
    units = {row["key"]: (row["name"], row["planned"]) for row in counts(inst, campaign, "unit")["by"]}
    assert units == {"yanbian": ("延边支队", 8), "": ("", 3)}


def test_shards_of_a_counter_are_added(inst: Installation, campaign: int) -> None:
    change(inst, "UPDATE counter SET n = n - 3 WHERE cut_id = 3 AND word = 'accepted'")
    change(inst, "INSERT INTO counter (campaign_id, cut_id, word, shard, n) VALUES (1, 3, 'accepted', 1, 3)")
    assert counts(inst, campaign)["outcomes"]["accepted"] == 6
    assert recount(inst, campaign) == {"equal": True, "differences": []}


def test_counts_read_no_delivery_unless_reach_is_asked_for(inst: Installation, campaign: int) -> None:
    before = counts(inst, campaign, "channel", with_reach=False)
    change(inst, "DELETE FROM delivery")
    assert counts(inst, campaign, "channel", with_reach=False) == before
    assert "reach" not in before


def test_reach_names_messages_phones_premises_and_estimates_apart(inst: Installation, campaign: int) -> None:
    found = reach(inst, campaign)
    assert found == counts(inst, campaign)["reach"]
    assert found["messages"] == {"billboard": 1, "loudspeaker": 3, "sms": 3}
    assert found["people"] == {"phones": {"planned": 6, "reached": 3}}
    assert found["premises"] == {"planned": 3, "reached": 2}
    known = {"source": "census of a test"}
    assert sorted(found["estimates"], key=lambda e: (e["channel"], e["source"] or "")) == [
        {"channel": "billboard", **known, "devices": 1, "planned": 900, "reached": 900, "proved": 900},
        {"channel": "loudspeaker", "source": None, "devices": 1, "planned": 0, "reached": 0, "proved": 0},
        {"channel": "loudspeaker", **known, "devices": 3, "planned": 1000, "reached": 800, "proved": 500},
    ]


def test_an_exercise_reaches_nobody(inst: Installation, campaign: int) -> None:
    before = reach(inst, campaign)
    assert not before["exercise"] and before["people"]["phones"]["reached"] and before["premises"]["reached"]
    change(inst, f"UPDATE campaign SET mode = 'exercise' WHERE id = {campaign}")
    found = reach(inst, campaign)
    assert found["exercise"]
    assert found["people"]["phones"] == {**before["people"]["phones"], "reached": 0}
    assert found["premises"] == {**before["premises"], "reached": 0}
    assert {(row["reached"], row["proved"]) for row in found["estimates"]} == {(0, 0)}


def test_an_unknown_cut_and_an_unknown_campaign_are_refused(inst: Installation, campaign: int) -> None:
    with pytest.raises(BadInput, match="weather"):
        counts(inst, campaign, "weather")
    for ask in (counts, reach, recount):
        with pytest.raises(NotFound):
            ask(inst, 99)


def test_recount_is_equal_where_counters_are_true(inst: Installation, campaign: int) -> None:
    assert recount(inst, campaign) == {"equal": True, "differences": []}


def test_recount_finds_a_counter_that_is_off_by_one(inst: Installation, campaign: int) -> None:
    change(inst, "UPDATE counter SET n = n + 1 WHERE cut_id = 1 AND word = 'failed'")
    assert recount(inst, campaign) == {
        "equal": False,
        "differences": [
            {"cut": 1, "word": "failed", "counter": 2, "rows": 1},
            {"cut": None, "word": "planned", "counter": 12, "rows": 11},
        ],
    }


def test_recount_finds_an_outcome_written_past_its_counter(inst: Installation, campaign: int) -> None:
    change(inst, "UPDATE delivery SET outcome = 'delivered' WHERE n = 6")
    words = [(d["cut"], d["word"], d["counter"], d["rows"]) for d in recount(inst, campaign)["differences"]]
    assert words == [(1, "accepted", 1, 0), (1, "delivered", 0, 1)]


def test_recount_finds_a_proof_that_was_not_counted(inst: Installation, campaign: int) -> None:
    change(inst, "UPDATE delivery SET proof = proof | 16 WHERE n = 3")
    assert recount(inst, campaign)["differences"] == [{"cut": 3, "word": "confirmed", "counter": 0, "rows": 1}]


def test_recount_finds_a_delivery_that_went_missing_with_its_counter(inst: Installation, campaign: int) -> None:
    change(inst, "DELETE FROM delivery WHERE n = 8")
    change(inst, "DELETE FROM counter WHERE word = 'delivered'")
    assert recount(inst, campaign)["differences"] == [
        {"cut": None, "word": "planned", "counter": 10, "rows": 11},
        {"cut": None, "word": "planned", "rows": 10, "counter": 11},
    ]
