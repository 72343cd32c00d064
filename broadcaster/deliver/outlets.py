"""Channels as this installation has configured them, by mode. An exercise never gets a live provider."""

from broadcaster.installation import Installation
from broadcaster.model import Mode
from channels import channel_class
from channels.base import Channel, ChannelSettings


def outlet(inst: Installation, mode: str, kind: str) -> Channel:
    """The channel object that sends for a mode. Raises ChannelError where its settings do not fit."""
    settings = inst.settings
    spool = settings.spool_file if mode == Mode.LIVE else settings.spool_file.with_name("exercise.jsonl")
    provider, url = _provider(inst, kind) if mode == Mode.LIVE else ("spool", "")
    spool.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    options = {"connections": str(settings.sms_connections)}
    return channel_class(kind)(ChannelSettings(provider=provider, spool=str(spool), url=url, options=options))


def _provider(inst: Installation, kind: str) -> tuple[str, str]:
    if kind == "sms":
        return inst.settings.sms_provider, inst.settings.sms_url
    if kind == "social":
        return inst.settings.social_provider, inst.settings.social_url
    return "feed", ""
