"""Channels as this installation has configured them, by mode. An exercise never gets a live provider."""

from collections.abc import Mapping

from broadcaster.installation import Installation
from broadcaster.model import Mode
from broadcaster.settings import Settings
from channels import channel_class
from channels.base import Channel, ChannelSettings

PULL_GATEWAY = "pull"  # no channel object: the gateway asks us


def pulled_channel(settings: Settings) -> str:
    """The channel whose live messages a gateway fetches itself, so that no worker is told of them; "" where there is none."""
    return "sms" if settings.sms_provider == PULL_GATEWAY else ""


def providers_of(settings: Settings, mode: str, kind: str) -> list[str]:
    """Names of the providers that may carry a push channel, the preferred one first."""
    if mode != Mode.LIVE:
        return ["spool"]
    if kind == "sms":
        return [name for name in (settings.sms_provider, settings.sms_second) if name]
    return [settings.social_provider] if kind == "social" else ["feed"]


def outlet(inst: Installation, mode: str, kind: str, provider: str = "") -> Channel:
    """The channel object that sends for a mode; `provider` empty = the preferred one. Raises ChannelError where its settings do
    not fit.
    """
    return outlet_of(inst.settings, mode, kind, provider)


def outlet_of(settings: Settings, mode: str, kind: str, provider: str = "") -> Channel:
    """The same from the settings alone."""
    spool = settings.spool_file if mode == Mode.LIVE else settings.spool_file.with_name("exercise.jsonl")
    spool.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    name = provider or providers_of(settings, mode, kind)[0]
    url, options = _told(settings, kind, name)
    return channel_class(kind)(ChannelSettings(provider=name, spool=str(spool), url=url, options=options))


def _told(settings: Settings, kind: str, provider: str) -> tuple[str, Mapping[str, str]]:
    """What the settings say to a provider: its address and its options by name."""
    if kind == "social":
        return settings.social_url, {}
    many = {"connections": str(settings.sms_connections)}
    match provider:
        case "http":
            return settings.sms_url, many
        case "kannel":
            return settings.kannel_url, many | {
                "user": settings.kannel_user,
                "password": settings.kannel_password.get_secret_value(),
                "sender": settings.kannel_sender,
                "charset": settings.kannel_charset,
                "status_url": settings.kannel_status_url.get_secret_value(),
            }
        case "twilio":
            return settings.twilio_url, many | {
                "account": settings.twilio_account,
                "token": settings.twilio_token.get_secret_value(),
                "signing_key": settings.twilio_signing_key.get_secret_value(),
                "sender": settings.twilio_sender,
                "service": settings.twilio_service,
            }
        case "mas":
            return settings.mas_url, many | {
                "company": settings.mas_company,
                "account": settings.mas_account,
                "secret": settings.mas_secret.get_secret_value(),
                "signature": settings.mas_signature,
                "serial": settings.mas_serial,
                "adds_signature": "yes" if settings.mas_adds_signature else "no",
            }
    return "", many
