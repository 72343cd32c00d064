"""The end of a delivery does not depend on the order in which its receipts come, nor on how often, nor on the batches."""

from dataclasses import replace
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadcaster.deliver.receipt_rules import CONTRADICTED, OUR_EXPIRY, Fate, Standing, Told, rank, told
from broadcaster.model import OUTCOME_MOVES, Outcome

WORDS = ("accepted", "delivered", "failed", "expired", "unknown", "nonsense")
ACCEPTED = Standing(1, 1, Outcome.ACCEPTED)


def folded(standing: Standing, batches: list[list[Told]]) -> Standing:
    """As folding.py does it: weak words first in a batch; kept ends come back once a receipt says that it was taken."""
    kept: list[Told] = []
    for batch in batches:
        lost = standing.outcome in (Outcome.WAITING, Outcome.UNKNOWN)
        taken = lost and any(receipt.word == "accepted" for receipt in batch)
        for receipt in sorted([*batch, *(kept if taken else [])], key=lambda r: rank(r.word)):
            standing, fate = told(standing, receipt)
            if fate is Fate.KEPT and receipt.word in ("failed", "expired"):
                kept.append(receipt)
    return standing


def seen(standing: Standing) -> tuple[object, ...]:
    """What the counts and the reports show; of two failures either code is a reason."""
    return standing.outcome, standing.silent, standing.reason == CONTRADICTED


receipts = st.lists(
    st.builds(Told, st.sampled_from(WORDS), st.sampled_from(["", "absent"]), st.sampled_from(["", "a", "b"])),
    max_size=6,
)
standings = st.builds(
    Standing,
    n=st.just(1),
    cut=st.just(1),
    outcome=st.sampled_from([o for o in Outcome if o is not Outcome.SENDING]),
    attempt=st.integers(1, 3),
    reason=st.sampled_from([None, OUR_EXPIRY]),
    ref=st.sampled_from([None, "a"]),
    silent=st.just(0),
)


@given(standings, receipts, st.randoms(use_true_random=False), st.lists(st.integers(1, 3), max_size=6))
def test_any_order_any_batches_and_any_doubling_end_alike(
    standing: Standing, said: list[Told], chance: object, sizes: list[int]
) -> None:
    if standing.outcome is Outcome.ACCEPTED:
        standing = replace(standing, silent=1)
    canonical = seen(folded(standing, [said]))
    shuffled = [*said, *said]
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    batches, at = [], 0
    for size in [*sizes, len(shuffled)]:
        batches.append(shuffled[at : at + size])
        at += size
    assert seen(folded(standing, batches)) == canonical


@given(standings, receipts)
def test_every_step_is_one_that_the_table_allows(standing: Standing, said: list[Told]) -> None:
    for receipt in said:
        after, _ = told(standing, receipt)
        assert after.outcome is standing.outcome or after.outcome in OUTCOME_MOVES[standing.outcome]
        assert after.silent == 0 or after.outcome is Outcome.ACCEPTED or standing.silent
        standing = after


@pytest.mark.parametrize(
    ("said", "outcome", "reason"),
    [
        (("accepted", "delivered"), Outcome.DELIVERED, None),
        (("accepted", "failed"), Outcome.FAILED, "receipt-failed"),
        (("expired", "accepted"), Outcome.EXPIRED, "receipt-expired"),
        (("failed", "delivered"), Outcome.DELIVERED, CONTRADICTED),
        (("expired", "failed"), Outcome.FAILED, "receipt-failed"),
        (("failed", "expired", "delivered"), Outcome.DELIVERED, CONTRADICTED),
    ],
)
def test_the_end_of_one_that_was_accepted(said: tuple[str, ...], outcome: Outcome, reason: str | None) -> None:
    for order in permutations(said):
        end = folded(ACCEPTED, [[Told(word)] for word in order])
        assert (end.outcome, end.reason) == (outcome, reason), order


@pytest.mark.parametrize("before", [Outcome.WAITING, Outcome.UNKNOWN])
def test_a_lost_reply_is_found_again(before: Outcome) -> None:
    for word, after in (("accepted", Outcome.ACCEPTED), ("delivered", Outcome.DELIVERED)):
        assert told(replace(ACCEPTED, outcome=before), Told(word)) == (replace(ACCEPTED, outcome=after), Fate.MOVED)


def test_the_failure_of_an_earlier_attempt_leaves_the_next_one_its_chance() -> None:
    waiting = replace(ACCEPTED, outcome=Outcome.WAITING)
    assert told(waiting, Told("failed")) == (waiting, Fate.KEPT)
    second = replace(ACCEPTED, attempt=2, ref="second")
    assert told(second, Told("failed", "", "first")) == (second, Fate.KEPT)
    assert told(second, Told("failed", "gone", "second"))[0].outcome is Outcome.FAILED
    in_doubt = replace(ACCEPTED, outcome=Outcome.UNKNOWN, attempt=2)
    assert told(in_doubt, Told("failed")) == (in_doubt, Fate.KEPT)


def test_a_message_that_we_let_expire_is_not_moved_by_an_old_failure() -> None:
    ours = replace(ACCEPTED, outcome=Outcome.EXPIRED, reason=OUR_EXPIRY)
    assert told(ours, Told("failed")) == (ours, Fate.KEPT)
    assert told(ours, Told("delivered"))[0].outcome is Outcome.DELIVERED


@pytest.mark.parametrize("before", [Outcome.SUPPRESSED, Outcome.CANCELLED])
def test_what_was_never_sent_is_moved_by_nobody(before: Outcome) -> None:
    for word in WORDS:
        assert told(replace(ACCEPTED, outcome=before), Told(word))[0].outcome is before


def test_the_reference_comes_from_the_receipt_where_no_answer_gave_one() -> None:
    assert told(ACCEPTED, Told("accepted", "", "p1"))[0].ref == "p1"
    assert told(replace(ACCEPTED, ref="ours"), Told("delivered", "", "p1"))[0].ref == "ours"


def test_any_final_receipt_takes_the_mark_away() -> None:
    for word in ("delivered", "failed", "expired"):
        assert told(replace(ACCEPTED, silent=1), Told(word))[0].silent == 0
    assert told(replace(ACCEPTED, silent=1), Told("accepted"))[0].silent == 1
