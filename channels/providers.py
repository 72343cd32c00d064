"""Who carries a push channel's messages: found by name in the channel's own table, imported at first use."""

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Protocol, cast

from channels.base import Answer, ChannelError, ChannelSettings, Message


class Provider(Protocol):
    """What a channel asks of the company or box behind it."""

    def send(self, messages: Sequence[Message]) -> list[Answer]:
        """One answer per message, same order. Never raises for a provider's fault."""
        ...

    def close(self) -> None:
        """Releases what send keeps open."""
        ...


def provider(table: Mapping[str, str], settings: ChannelSettings) -> Provider:
    """The provider that the settings name, built. Raises ChannelError where the table has none of that name."""
    if settings.provider not in table:
        raise ChannelError(f"no provider {settings.provider!r}: choose one of {', '.join(sorted(table))}")
    module, _, name = table[settings.provider].partition(":")
    return cast(Provider, getattr(import_module(module), name)(settings))
