"""Text messages to phones. What a message takes is in segments.py; who carries it is a provider, one file each."""

from collections.abc import Sequence
from typing import ClassVar

from channels.base import Answer, Channel, ChannelSettings, Message, Size
from channels.providers import Provider, Reporting, provider, reports
from channels.sms import segments

# Promotions carry a way out, in the reader's own words. Source: sms.md §5 of the fact sheets (Huawei, Aliyun).
OPT_OUT = {"zh-CN": "拒收请回复R", "ko": "수신거부는 R 회신", "en": "Reply R to stop"}

PROVIDERS = {
    "spool": "channels.spool:Spool",
    "http": "channels.sms.http:HttpGateway",
    "kannel": "channels.sms.kannel:Kannel",
    "twilio": "channels.sms.twilio:Twilio",
    "mas": "channels.sms.mas:Mas",
}


def reporting() -> tuple[str, ...]:
    """Names of the providers that say later what became of a message."""
    return tuple(name for name, target in PROVIDERS.items() if reports(target))


class SignatureError(ValueError):
    """A text that cannot be signed. `code` is stable: `signature-only`, `signature-twice`, `signature-empty`."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Sms(Channel):
    """Short messages. Address: `tel:+86…`."""

    kind: ClassVar[str] = "sms"

    def __init__(self, settings: ChannelSettings) -> None:
        """Raises ChannelError: no such provider, or its settings do not fit."""
        super().__init__(settings)
        self.provider: Provider = provider(PROVIDERS, settings)

    @classmethod
    def measure(cls, text: str, format: str = "") -> Size:  # noqa: ARG003 - SMS has one format
        """Encoding, units, parts as billed, units left; see segments.measure."""
        return segments.measure(text)

    def send(self, messages: Sequence[Message]) -> list[Answer]:
        """One answer per message, same order."""
        return self.provider.send(messages)

    @property
    def has_receipts(self) -> bool:
        """Whether the provider reports by callback."""
        return isinstance(self.provider, Reporting)

    def close(self) -> None:
        """Ends the provider's connections."""
        self.provider.close()


def opt_out_tail(category: str, languages: str) -> str:
    """The way out that a wording in these languages ("zh-CN+ko") must name; empty where the category needs none."""
    if category != "promotion":
        return ""
    return " ".join(OPT_OUT[language] for language in languages.split("+") if language in OPT_OUT)


def decorate(text: str, signature: str, tail: str = "") -> str:
    """`text` as it leaves: 【signature】 once at the front, the way out once at the end.

    A signature already at the front stays the only one. Raises SignatureError: nothing to sign, no signature, or one that
    stands elsewhere or twice (carriers and cloud providers show or bill both).
    """
    name = signature.strip().strip("【】")
    if not name:
        raise SignatureError("signature-empty", "the sender has no signature: SMS in China is refused without one")
    mark = f"【{name}】"
    body = text.strip().removeprefix(mark).strip()
    if mark in body:
        raise SignatureError("signature-twice", f"{mark} stands in the text already: it is put in front by itself")
    if not body or body == tail:
        raise SignatureError("signature-only", "nothing would be sent but the signature")
    if tail and not body.endswith(tail):
        # No blank behind a Chinese full stop: it is wide enough, and each unit is paid for.
        body = body + tail if body[-1] in "。！？）" else f"{body} {tail}"
    return mark + body
