"""What a person enters at each provider: where it hands over replies, and receipts that it pushes many at once."""

from typing import Any

from broadcaster.deliver import callbacks
from broadcaster.deliver.outlets import PULL_GATEWAY, outlet, providers_of
from broadcaster.installation import Installation
from broadcaster.model import Mode
from channels.base import ChannelError
from channels.providers import Answerable, Reporting
from channels.sms import Sms

NOT_TOLD = frozenset({"spool", PULL_GATEWAY})  # call no address of ours
BATCHES = frozenset({"mas"})  # report many messages at once; the others are given an address with each message


def addresses(inst: Installation) -> dict[str, Any]:
    """{"public_url", "missing": what stands in the way, "providers": [{"provider", "replies", "receipts", "missing"}]}.

    `replies` and `receipts` are addresses to be entered at the provider, None where it takes none. They are as good as a password.
    """
    names = providers_of(inst.settings, Mode.LIVE, "sms")
    untold = not inst.settings.public_url and not {*names} <= NOT_TOLD
    missing = "set BROADCASTER_PUBLIC_URL to the address under which providers reach us" if untold else ""
    rows = [_of(inst, name) for name in names]
    return {"public_url": inst.settings.public_url, "missing": missing, "providers": rows}


def _of(inst: Installation, name: str) -> dict[str, Any]:
    told: dict[str, Any] = {"provider": name, "replies": None, "receipts": None, "missing": ""}
    if name in NOT_TOLD:
        why = "writes to a file: nobody reports" if name == "spool" else "reports to the door that it claims at"
        return {**told, "missing": why}
    try:
        channel = outlet(inst, Mode.LIVE, "sms", name)
    except ChannelError as error:
        return {**told, "missing": str(error)}
    try:
        provider, base = channel.provider if isinstance(channel, Sms) else None, inst.settings.base_url
        if not inst.settings.public_url:
            return told
        if isinstance(provider, Answerable):
            plain = f"{callbacks.DOOR}/{name}/{callbacks.INBOUND}"
            told["replies"] = base + (plain if provider.inbound_signed else callbacks.inbound_path(inst.keys, name))
        if isinstance(provider, Reporting) and name in BATCHES:
            told["receipts"] = base + callbacks.batch_path(inst.keys, name)
        return told
    finally:
        channel.close()
