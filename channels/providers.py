"""Who carries a push channel's messages: found by name in the channel's own table, imported at first use."""

from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from typing import ClassVar, Protocol, cast, runtime_checkable

from channels.base import Answer, Callback, ChannelError, ChannelSettings, Health, Message, PhoneReply, Receipt


class Provider(Protocol):
    """What a channel asks of the company or box behind it."""

    def send(self, messages: Sequence[Message]) -> list[Answer]:
        """One answer per message, same order. Never raises for a provider's fault."""
        ...

    def close(self) -> None:
        """Releases what send keeps open."""
        ...


@runtime_checkable
class Reporting(Protocol):
    """A provider that says later what became of a message."""

    receipt_status: ClassVar[int]  # what it wants to be answered: 204, Kannel 200

    def read_receipts(self, callback: Callback) -> list[Receipt]:
        """What a callback says. Raises Forged where its signature does not fit, ValueError where it cannot be read."""
        ...


@runtime_checkable
class Answerable(Protocol):
    """A provider that hands over what phones answer."""

    inbound_signed: ClassVar[bool]  # False: the address that it is given for replies carries a key of ours instead
    receipt_status: ClassVar[int]  # as of Reporting: a reply is answered like a receipt

    def read_replies(self, callback: Callback) -> list[PhoneReply]:
        """The replies of a callback, in their order; none is possible. Raises Forged, ValueError."""
        ...


@runtime_checkable
class Searchable(Protocol):
    """A provider that can be asked what became of a message whose reply was lost."""

    def look_up(self, message: Message, since: int) -> Receipt | None:
        """What it knows of a message sent since a moment (ms); None: nothing, which proves nothing. Never raises for its fault."""
        ...


@runtime_checkable
class Telling(Protocol):
    """A provider that says how it stands."""

    def health(self) -> Health:
        """Asked at most once a minute. Never raises for a provider's fault: it is not ok then, and says why."""
        ...


def provider(table: Mapping[str, str], settings: ChannelSettings) -> Provider:
    """The provider that the settings name, built. Raises ChannelError where the table has none of that name."""
    if settings.provider not in table:
        raise ChannelError(f"no provider {settings.provider!r}: choose one of {', '.join(sorted(table))}")
    module, _, name = table[settings.provider].partition(":")
    return cast(Provider, getattr(import_module(module), name)(settings))


@cache
def reports(target: str) -> bool:
    """Whether a provider ("module:Class" of a channel's table) reads receipts. It is not built: it may lack its settings here."""
    module, _, name = target.partition(":")
    try:
        return hasattr(getattr(import_module(module), name), "read_receipts")
    except ModuleNotFoundError:  # its client library is not installed: it carries nothing
        return False
