"""What a receipt makes of a delivery. Pure: whatever order receipts come in, however often, the end is the same."""

from dataclasses import dataclass, replace
from enum import StrEnum

from broadcaster.model import OUTCOME_MOVES, PROOF_BITS, Outcome, Proof

CONTRADICTED = "receipts-contradict"  # reason of a delivered one of which another receipt says that it did not arrive
OUR_EXPIRY = "campaign-expired"  # reason of one that we let expire: no provider's word
FINAL = (Outcome.DELIVERED, Outcome.FAILED, Outcome.EXPIRED)
# In a batch weak words are told first: what stands at the end is then also what is written.
ORDER = (*Proof, Outcome.ACCEPTED, Outcome.EXPIRED, Outcome.FAILED, Outcome.DELIVERED)


class Fate(StrEnum):
    """What became of a receipt."""

    MOVED = "moved"
    KEPT = "kept"  # true and no news
    UNMATCHED = "unmatched"  # about no delivery of ours
    CONTRADICTS = "contradicts"  # another final receipt says otherwise
    UNKNOWN_WORD = "unknown-word"
    TEST = "test"  # about a message of a link test, which is no delivery


@dataclass(frozen=True, slots=True)
class Standing:
    """A delivery, as far as receipts move it."""

    n: int
    cut: int
    outcome: Outcome
    proof: int = 0
    attempt: int = 1
    reason: str | None = None
    ref: str | None = None
    silent: int = 0
    changed_at: int | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """A receipt's words."""

    word: str
    reason: str = ""
    ref: str = ""


def rank(word: str) -> int:
    """Place in the canonical order."""
    return next((at for at, each in enumerate(ORDER) if each == word), len(ORDER))


def told(standing: Standing, receipt: Told) -> tuple[Standing, Fate]:
    """The delivery after a receipt, and what became of the receipt. Not for one in `sending`: its receipts wait."""
    word = receipt.word
    if word in PROOF_BITS:
        bit = PROOF_BITS[Proof(word)]
        return replace(standing, proof=standing.proof | bit), Fate.KEPT if standing.proof & bit else Fate.MOVED
    if word == Outcome.ACCEPTED:
        return _accepted(standing, receipt)
    if word == Outcome.DELIVERED:
        return _delivered(standing, receipt)
    if word in (Outcome.FAILED, Outcome.EXPIRED):
        return _ended(standing, receipt, Outcome(word))
    return standing, Fate.UNKNOWN_WORD


def _accepted(standing: Standing, receipt: Told) -> tuple[Standing, Fate]:
    if standing.outcome in (Outcome.WAITING, Outcome.UNKNOWN):  # a lost reply is found again, and nothing is resent
        return _moved(standing, receipt, Outcome.ACCEPTED, None), Fate.MOVED
    return _with_ref(standing, receipt), Fate.KEPT


def _delivered(standing: Standing, receipt: Told) -> tuple[Standing, Fate]:
    before = standing.outcome
    if Outcome.DELIVERED not in OUTCOME_MOVES[before]:
        return _with_ref(standing, receipt), Fate.KEPT
    ended = before is Outcome.FAILED or (before is Outcome.EXPIRED and standing.reason != OUR_EXPIRY)
    if ended and standing.attempt <= 1:
        return _moved(standing, receipt, Outcome.DELIVERED, CONTRADICTED), Fate.CONTRADICTS
    return _moved(standing, receipt, Outcome.DELIVERED, None), Fate.MOVED


def _ended(standing: Standing, receipt: Told, after: Outcome) -> tuple[Standing, Fate]:
    """It failed, or the provider let it expire."""
    before = standing.outcome
    if before is Outcome.DELIVERED and standing.attempt <= 1:
        return replace(standing, reason=CONTRADICTED), Fate.CONTRADICTS
    if _of_another_attempt(standing, receipt):
        return standing, Fate.KEPT
    if before in (Outcome.ACCEPTED, Outcome.UNKNOWN):
        return _moved(standing, receipt, after, receipt.reason or f"receipt-{after}"), Fate.MOVED
    if before is Outcome.EXPIRED and after is Outcome.FAILED and standing.reason != OUR_EXPIRY:
        return _moved(standing, receipt, after, receipt.reason or f"receipt-{after}"), Fate.CONTRADICTS
    if before is Outcome.FAILED and after is Outcome.EXPIRED:
        return standing, Fate.CONTRADICTS
    return _with_ref(standing, receipt), Fate.KEPT


def _of_another_attempt(standing: Standing, receipt: Told) -> bool:
    """Whether the end of one attempt leaves another that may arrive: one to come, one in doubt, or the one that was answered."""
    if standing.outcome is Outcome.WAITING:
        return True
    if standing.attempt <= 1:
        return False
    known = bool(standing.ref and receipt.ref)
    return standing.outcome is Outcome.UNKNOWN or (known and standing.ref != receipt.ref)


def _moved(standing: Standing, receipt: Told, after: Outcome, reason: str | None) -> Standing:
    return replace(_with_ref(standing, receipt), outcome=after, reason=reason, silent=0)


def _with_ref(standing: Standing, receipt: Told) -> Standing:
    """The provider's id, where no answer gave one. Of several attempts it would be anybody's, by the order that they came in."""
    if standing.ref or not receipt.ref or standing.attempt > 1:
        return standing
    return replace(standing, ref=receipt.ref)
