"""Addresses under which SMS providers report, and what they report there, as rows of the inbox."""

import hashlib
import hmac
import json
import re
from collections.abc import Callable, Sequence

from broadcaster.installation import Installation
from broadcaster.keys import Keys
from broadcaster.store.receipts import Receipt as Row
from channels.base import Callback, Channel, Receipt, ReceiptWord

DOOR = "/callbacks/sms"
INBOUND = "inbound"  # in place of a delivery: the door for what phones answer
DETAIL_MOST = 500  # characters of a provider's own words that are kept
WORD_MOST = 120
LATEST = 2**53  # ms: what a column can hold
_NAME = re.compile(r"(\d{1,9})-(\d{1,9})-[A-Za-z0-9_-]{1,64}")
_TOLD = json.JSONEncoder(
    ensure_ascii=False
)  # made once: json.dumps makes one a call where it is asked for more than its default
_NUMBER = re.compile(r"\d{7,}")  # what may be a phone number does not lie in the inbox


def signature(keys: Keys, provider: str, delivery: str = "") -> str:
    """What makes an address one of ours: of a provider and a delivery, or of the door for a provider's batches. 1.5 µs."""
    return keys.address_hmac(f"receipt/{provider}/{delivery}")


def fits(keys: Keys, given: str, provider: str, delivery: str = "") -> bool:
    """Whether an address is one of ours; takes the same time however much of it is right."""
    return hmac.compare_digest(given.encode(), signature(keys, provider, delivery).encode())


def receipt_path(keys: Keys, provider: str, delivery: str) -> str:
    """The door of one message's receipts."""
    return f"{DOOR}/{provider}/{delivery}/{signature(keys, provider, delivery)}"


def batch_path(keys: Keys, provider: str) -> str:
    """The door of a provider that pushes receipts of many messages at once: entered at the provider by a person."""
    return f"{DOOR}/{provider}/receipts?key={signature(keys, provider)}"


def inbound_path(keys: Keys, provider: str) -> str:
    """The door for what phones answer, of a provider that signs nothing: entered at the provider by a person."""
    return f"{DOOR}/{provider}/{INBOUND}?key={signature(keys, provider, INBOUND)}"


def addresses(inst: Installation, channel: Channel) -> Callable[[str], str]:
    """delivery name -> the address of its receipts; "" where the provider gives none, or cannot reach us."""
    if not (channel.has_receipts and inst.settings.public_url):
        return lambda _delivery: ""
    keys, provider, base = inst.keys, channel.settings.provider, inst.settings.base_url
    return lambda delivery: base + receipt_path(keys, provider, delivery)


def on_path(provider: str, delivery: str, receipts: Sequence[Receipt]) -> list[Row]:
    """Receipts that came to the door of one message: whatever they say of themselves, they are about that one."""
    return [_row(provider, delivery, receipt) for receipt in receipts]


def in_batch(keys: Keys, provider: str, receipts: Sequence[Receipt]) -> list[Row]:
    """Receipts that name their messages themselves. One that names it by number and reference is found when it is folded."""
    return [_row(provider, r.delivery or f"@{keys.address_key(r.to).hex()}", r) for r in receipts]


def unreadable(provider: str, delivery: str, callback: Callback, why: str) -> Row:
    """What came to one of our addresses and could not be read: kept, so that the provider does not repeat it for ever."""
    told = callback.body.decode("utf-8", "replace") or callback.url.partition("?")[2]
    key = hashlib.sha256(told.encode()).hexdigest()[:16]
    receipt = Receipt(ReceiptWord.UNKNOWN, "unreadable", ref=key, reason="unreadable", detail=f"{why}: {told}")
    return _row(provider, delivery or "@", receipt)


def _row(provider: str, name: str, receipt: Receipt) -> Row:
    """`at` is in the key, because a message that was sent again may fail again, and a provider may give no reference."""
    found = _NAME.fullmatch(name)
    said, ref = _kept(receipt.said, WORD_MOST), _kept(receipt.ref, WORD_MOST)
    raw = {"said": said, "detail": _kept(_NUMBER.sub("***", receipt.detail), DETAIL_MOST)}
    at = receipt.at if receipt.at is not None and 0 <= receipt.at < LATEST else None
    return Row(
        provider=provider,
        dedupe_key=f"{name}/{said}/{ref}/{at or ''}",
        campaign_id=int(found[1]) if found else None,
        n=int(found[2]) if found else None,
        word=receipt.word.value,
        at=at,
        raw=_TOLD.encode(raw),
        reason=_kept(receipt.reason, WORD_MOST),
        ref=ref,
    )


def _kept(text: str, most: int) -> str:
    """Text as every database can keep it: one receipt with half a character in it must not cost its whole batch."""
    cut = text[:most]
    return cut if cut.isascii() and cut.isprintable() else cut.encode("utf-8", "replace").decode().replace("\0", " ")
