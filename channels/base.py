"""The words that cross the border between the deciding room and the channels.

An adapter reports, the worker decides: no retry loop, no sleep and no database in a channel file.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar


class AnswerWord(StrEnum):
    """What one attempt came to, in the adapter's own judgement."""

    ACCEPTED = "accepted"  # the next hop took it
    RETRY = "retry"  # surely not processed
    UNCERTAIN = "uncertain"  # may have been processed
    FAILED = "failed"  # permanent for this recipient
    SUPPRESSED = "suppressed"  # the provider knows that this recipient must not be sent to
    CONFIG_ERROR = "config_error"  # nobody can be reached like this: stop the channel, call a person


@dataclass(frozen=True, slots=True)
class Answer:
    """One attempt's result. `ref` is the provider's own id; `reason` is a short code; `detail` the raw answer, cut."""

    word: AnswerWord
    ref: str | None = None
    reason: str = ""
    detail: str = ""
    after_s: float | None = None


ACCEPTED = Answer(AnswerWord.ACCEPTED)


@dataclass(frozen=True, slots=True)
class Approved:
    """A template that a provider has approved. Filled with these values it says the text of its message, letter by letter."""

    id: str
    variables: tuple[tuple[str, str], ...]  # the provider's placeholder and its value, in the order of its template


@dataclass(frozen=True, slots=True)
class Message:
    """One message to one address, ready to leave: nothing in it is open any more."""

    delivery: str  # outside name "<campaign>-<n>-<token>", the idempotency key where a provider has one
    to: str  # address with scheme: tel:+86..., wecom:<robot key>
    text: str
    parts: int
    expires_at: int  # ms since the epoch, UTC
    mode: str  # live | exercise
    category: str  # emergency | notice | promotion
    callback: str = ""  # address that takes this message's receipts; empty: the provider gives none, or cannot reach us
    approved: Approved | None = None  # only for a provider that sends nothing else than templates


@dataclass(frozen=True, slots=True)
class Callback:
    """A provider's request to one of our doors, unread. `url` is the public one, with its query, as the provider knows it."""

    method: str
    url: str
    query: Mapping[str, str]  # first value of each
    form: Mapping[str, str]  # fields of a form in the body; empty for any other body
    headers: Mapping[str, str]  # names in lower case
    body: bytes = b""


class Forged(Exception):
    """A request that only pretends to be the provider's; its text says what did not fit."""


class ReceiptWord(StrEnum):
    """What a receipt says of a message, in our words."""

    ACCEPTED = "accepted"  # it is on its way: sent, buffered
    DELIVERED = "delivered"
    FAILED = "failed"
    EXPIRED = "expired"  # the provider let it expire
    UNKNOWN = "unknown"  # a word that is in no table of ours: kept, counted, moves nothing


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a provider says later. It names its message by the path it came on, else by `delivery`, else by `to` and `ref`."""

    word: ReceiptWord
    said: str  # the provider's own word: the same word of one message twice is one receipt
    ref: str = ""  # provider's id of the message
    reason: str = ""  # short code, as in Answer
    detail: str = ""
    at: int | None = None  # the provider's clock, ms since the epoch
    delivery: str = ""
    to: str = ""


@dataclass(frozen=True, slots=True)
class PhoneReply:
    """A message from a phone to us. `ref` names it, so that one that comes twice is one."""

    sender: str  # address with scheme, tel:+86...; as the provider gave it where it is no number
    text: str
    ref: str
    at: int | None = None  # the provider's clock, ms since the epoch


@dataclass(frozen=True, slots=True)
class Health:
    """How a provider says it stands. What it does not tell is None."""

    ok: bool
    detail: str = ""
    queued: int | None = None  # messages it holds for us
    balance: float | None = None
    currency: str = ""


class Proof(StrEnum):
    """What is known beyond the outcome. Counted apart, never added to outcomes."""

    PUBLISHED = "published"
    FETCHED = "fetched"
    PLAYED = "played"
    SHOWN = "shown"
    CONFIRMED = "confirmed"


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a text does not fit a channel: a stable code, English words, and the offending characters or figures."""

    code: str
    message: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Size:
    """What a text takes on its medium. Only the fields of that medium are set. `problems` non-empty = refused."""

    encoding: str | None = None  # sms: gsm7 | ucs2; billboard: character set
    units: int | None = None  # sms: septets or UTF-16 units
    parts: int = 1  # sms: as billed; elsewhere 1
    left: int | None = None  # sms: units free in the last part
    seconds: float | None = None  # loudspeaker, billboard: time one showing or playing takes
    pages: tuple[tuple[str, ...], ...] | None = None  # billboard: lines by page
    characters: int | None = None
    octets: int | None = None  # social: bytes of UTF-8
    problems: tuple[Problem, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Only the fields that mean something on this medium."""
        names = ("encoding", "units", "parts", "left", "seconds", "pages", "characters", "octets")
        found = {n: getattr(self, n) for n in names if getattr(self, n) is not None}
        if self.pages is not None:
            found["pages"] = [list(p) for p in self.pages]
        if self.problems:
            found["problems"] = [{"code": p.code, "message": p.message, "detail": p.detail} for p in self.problems]
        return found


class ChannelError(Exception):
    """A channel that cannot be built as configured; says which setting and what to do."""


@dataclass(frozen=True, slots=True)
class ChannelSettings:
    """What a channel may know of the installation. The deciding room fills it; channels read no environment."""

    provider: str = "spool"
    spool: str = ""  # path of the spool file
    url: str = ""  # provider's address where it has one
    options: Mapping[str, str] = field(default_factory=dict, repr=False)  # may hold a password


class Channel(ABC):
    """A way to reach people. Order in each file: facts, settings, measure, send, the table provider word -> our word."""

    kind: ClassVar[str]
    pull: ClassVar[bool] = False  # True: devices fetch; the worker hands messages to the feeds instead of calling send

    def __init__(self, settings: ChannelSettings) -> None:
        self.settings = settings

    @classmethod
    @abstractmethod
    def measure(cls, text: str, format: str = "") -> Size:
        """What `text` takes on this medium in this format. Never raises for text; says problems instead."""

    @abstractmethod
    def send(self, messages: Sequence[Message]) -> list[Answer]:
        """One answer per message, same order. Never raises for a provider's fault."""

    def close(self) -> None:
        """Release what send keeps open."""
        return

    @property
    def has_receipts(self) -> bool:
        """Whether messages should carry an address for receipts."""
        return False
