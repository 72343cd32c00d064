"""The words of the product: enums, dataclasses, allowed moves. No I/O."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from channels.base import Proof

__all__ = ["Proof"]


class Mode(StrEnum):
    """Live or exercise. Unknown or missing is refused everywhere."""

    LIVE = "live"
    EXERCISE = "exercise"


class Category(StrEnum):
    """Of a campaign; it is also the lane: own topic, own capacity."""

    EMERGENCY = "emergency"
    NOTICE = "notice"
    PROMOTION = "promotion"


PRIORITY: Mapping[Category, int] = {Category.EMERGENCY: 3, Category.NOTICE: 2, Category.PROMOTION: 1}


class Level(StrEnum):
    """Of a warning."""

    BLUE = "blue"
    YELLOW = "yellow"
    ORANGE = "orange"
    RED = "red"


class CampaignState(StrEnum):
    """Where a campaign stands."""

    DRAFT = "draft"
    SUBMITTED = "submitted"
    RETURNED = "returned"
    APPROVED = "approved"
    RUNNING = "running"
    FINISHED = "finished"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


CAMPAIGN_MOVES: Mapping[CampaignState, frozenset[CampaignState]] = {
    CampaignState.DRAFT: frozenset({CampaignState.SUBMITTED, CampaignState.CANCELLED}),
    CampaignState.SUBMITTED: frozenset(
        {CampaignState.RETURNED, CampaignState.APPROVED, CampaignState.DRAFT, CampaignState.CANCELLED}
    ),
    CampaignState.RETURNED: frozenset({CampaignState.DRAFT, CampaignState.SUBMITTED, CampaignState.CANCELLED}),
    CampaignState.APPROVED: frozenset({CampaignState.RUNNING, CampaignState.CANCELLED, CampaignState.EXPIRED}),
    CampaignState.RUNNING: frozenset({CampaignState.FINISHED, CampaignState.CANCELLED, CampaignState.EXPIRED}),
    CampaignState.FINISHED: frozenset({CampaignState.RUNNING, CampaignState.CANCELLED}),
    CampaignState.CANCELLED: frozenset(),
    CampaignState.EXPIRED: frozenset(),
}
# finished -> running: a person sends an `unknown` again. finished -> cancelled: what feeds still hold is withdrawn.


class Outcome(StrEnum):
    """Where a delivery stands; exactly one at a time."""

    WAITING = "waiting"  # planned, not yet claimed; also between two attempts
    SENDING = "sending"  # claimed: an attempt is, or may be, under way
    ACCEPTED = "accepted"  # the next hop took it; for a speaker or board: it is in its feed
    DELIVERED = "delivered"  # a receipt says it arrived
    FAILED = "failed"  # it will not arrive, and the reason is known
    SUPPRESSED = "suppressed"  # we chose not to send: opt-out, never-contact
    EXPIRED = "expired"  # its time ran out before it was sent, or at the provider
    CANCELLED = "cancelled"  # the campaign was cancelled before it was sent
    UNKNOWN = "unknown"  # an attempt may or may not have arrived, and no receipt has told


OUTCOME_MOVES: Mapping[Outcome, frozenset[Outcome]] = {
    # The second line: an earlier attempt was in doubt, and its answer or receipt came late, or never will.
    Outcome.WAITING: frozenset(
        {Outcome.SENDING, Outcome.SUPPRESSED, Outcome.EXPIRED, Outcome.CANCELLED}
        | {Outcome.ACCEPTED, Outcome.FAILED, Outcome.DELIVERED, Outcome.UNKNOWN}
    ),
    Outcome.SENDING: frozenset(
        {Outcome.ACCEPTED, Outcome.WAITING, Outcome.FAILED, Outcome.SUPPRESSED, Outcome.UNKNOWN}
    ),
    Outcome.ACCEPTED: frozenset({Outcome.DELIVERED, Outcome.FAILED, Outcome.EXPIRED}),
    Outcome.UNKNOWN: frozenset({Outcome.ACCEPTED, Outcome.DELIVERED, Outcome.FAILED, Outcome.EXPIRED, Outcome.WAITING}),
    # Of two contradictory final receipts delivered wins, and failed over expired: it says why.
    Outcome.FAILED: frozenset({Outcome.DELIVERED}),
    Outcome.DELIVERED: frozenset(),
    Outcome.SUPPRESSED: frozenset(),
    Outcome.EXPIRED: frozenset({Outcome.DELIVERED, Outcome.FAILED}),
    Outcome.CANCELLED: frozenset(),
}

NO_RECEIPT = "no_receipt"  # counted beside the outcomes: accepted, and no final receipt by the deadline

PROOF_BITS: Mapping[Proof, int] = {
    Proof.PUBLISHED: 1,
    Proof.FETCHED: 2,
    Proof.PLAYED: 4,
    Proof.SHOWN: 8,
    Proof.CONFIRMED: 16,
}


class Role(StrEnum):
    """What a user is trusted with."""

    AUTHOR = "author"
    APPROVER = "approver"
    OPERATOR = "operator"
    MANAGER = "manager"
    GATEWAY = "gateway"  # a program that carries SMS and fetches them itself; sees numbers and texts of what it claims
    ADMINISTRATOR = "administrator"


class PremisesCategory(StrEnum):
    """What kind of enterprise or institution a premises is."""

    MALL = "mall"
    FACTORY = "factory"
    WAREHOUSE = "warehouse"
    HOSPITAL = "hospital"
    SCHOOL = "school"
    HOTEL = "hotel"
    RESTAURANT = "restaurant"
    ENTERTAINMENT = "entertainment"
    OTHER = "other"


class BroadcasterError(Exception):
    """Base of what we tell a person. `code` is stable; `message` says what, where and what to do."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class BadInput(BroadcasterError):
    """Input that cannot be used as it is. `problems` lists each finding."""

    def __init__(self, code: str, message: str, problems: Sequence[Mapping[str, object]] = ()) -> None:
        super().__init__(code, message)
        self.problems = list(problems)


class NotFound(BroadcasterError):
    """The thing named does not exist, or not for this person."""


class Refused(BroadcasterError):
    """A rule forbids it: not approved, own campaign, quiet hours, exercise, a move that is not allowed."""


class Unavailable(BroadcasterError):
    """A dependency is not there now."""


@dataclass(frozen=True, slots=True)
class Selection:
    """What an audience selects: places x premises categories x languages x groups, minus exclusions.

    Places are 12-digit codes or their meaningful prefixes, a recipient matches if its place lies under one of them. An empty
    `places` with no group is an empty selection: an error, never everyone.
    """

    places: tuple[str, ...] = ()
    premises_categories: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    exclude_places: tuple[str, ...] = ()
    exclude_groups: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        """True where nothing positive is named that could bound the audience."""
        return not (self.places or self.groups)


@dataclass(frozen=True, slots=True)
class Wording:
    """A template rendered for one segment, channel, format and language list; its slots still open.

    `pieces` and `slots` alternate: pieces[0] slots[0] pieces[1] ... pieces[-1].
    """

    channel: str
    format: str
    languages: str
    segment: Mapping[str, str]
    pieces: tuple[str, ...]
    slots: tuple[str, ...] = ()
    spoken: tuple[tuple[str, str], ...] = ()  # loudspeaker: (language, words as said)
    clip: str = ""  # digest of the clip, where there is one
    digest: str = ""
    clip_facts: Mapping[str, object] = field(default_factory=dict)
    approved: tuple[Mapping[str, object], ...] = ()  # sms: templates of cloud providers that say the same

    def fill(self, values: Mapping[str, str]) -> str:
        """Slots joined; nothing else may happen to a wording at send time. Raises KeyError where a value is missing."""
        out = [self.pieces[0]]
        for slot, piece in zip(self.slots, self.pieces[1:], strict=True):
            out.append(values[slot])
            out.append(piece)
        return "".join(out)
