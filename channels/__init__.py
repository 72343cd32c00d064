"""The ways to reach people. One literal table, so that a reader sees every channel and nothing is imported before its use."""

from importlib import import_module
from typing import cast

from channels.base import Channel

CHANNELS = {
    "sms": "channels.sms:Sms",
    "loudspeaker": "channels.loudspeaker:Loudspeaker",
    "billboard": "channels.billboard:Billboard",
    "social": "channels.social:Social",
}


def channel_class(kind: str) -> type[Channel]:
    """The class of a channel. Raises KeyError for a kind that is not in CHANNELS."""
    module, _, name = CHANNELS[kind].partition(":")
    return cast(type[Channel], getattr(import_module(module), name))
