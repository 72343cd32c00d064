"""What an approval is bound to: digests over the words, the clips, the people, the channels, the mode and the times."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from itertools import islice

from broadcaster.model import Wording

# One delivery as it is sealed: n, channel, recipient's address key, digest of the wording, slots JSON or None, parts
Line = tuple[int, str, bytes, str, str | None, int]
BATCH = 5000  # lines joined before they are hashed: one call for each line would cost as much as making it


def canonical(value: object) -> str:
    """JSON in one possible form: sorted keys, no blanks, characters as they are."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def digest(value: object) -> str:
    """SHA-256 of the canonical JSON, 64 hexadecimal digits."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def wording_digest(wording: Wording) -> str:
    """Over all that the public reads or hears of a wording; a clip counts by the digests of its files."""
    approved = (
        {"approved": wording.approved} if wording.approved else {}
    )  # most have none: their digests stay what they were
    return digest(
        {
            **approved,
            "channel": wording.channel,
            "format": wording.format,
            "languages": wording.languages,
            "segment": dict(wording.segment),
            "pieces": wording.pieces,
            "slots": wording.slots,
            "spoken": wording.spoken,
            "clip": dict(wording.clip_facts),
        }
    )


def deliveries_digest(rows: Iterable[Line]) -> str:
    """SHA-256 over every planned delivery in order of n; never holds more than BATCH of them.

    Tabs and line ends divide the fields: none can stand in slots, which are JSON.
    """
    total = hashlib.sha256()
    rows = iter(rows)
    while lines := "".join(
        [
            f"{n}\t{channel}\t{key.hex()}\t{wording}\t{slots or ''}\t{parts}\n"
            for n, channel, key, wording, slots, parts in islice(rows, BATCH)
        ]
    ):
        total.update(lines.encode())
    return total.hexdigest()


def sealed_digest(campaign: Mapping[str, object], wordings: Iterable[str], deliveries: str, planned: int) -> str:
    """What the approver approves, in one number. `campaign` holds the keys of SEALED; wordings are digests in their order."""
    facts = {name: campaign[name] for name in SEALED}
    return digest({**facts, "wordings": list(wordings), "deliveries": deliveries, "planned": planned})


SEALED = ("id", "revision", "mode", "category", "level", "channels", "not_before_at", "expires_at")
