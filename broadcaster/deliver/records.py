"""The chunk record: what rings the worker's bell. Ranges, digests, mode, expiry and a signature; no numbers, no names, no text."""

import hmac
import json

from broadcaster.bus import Record, deliveries_topic
from broadcaster.keys import Keys
from broadcaster.model import BadInput
from broadcaster.store.clock import rfc3339
from broadcaster.store.sweeping import DueChunk
from channels import channel_class


def chunk_record(keys: Keys, chunk: DueChunk) -> Record:
    """The record that announces a chunk."""
    value = json.dumps(
        {
            "campaign": chunk.campaign_id,
            "revision": chunk.revision,
            "first": chunk.first,
            "last": chunk.last,
            "wordings": chunk.digest,
            "mode": chunk.mode,
            "expires": rfc3339(chunk.expires_at),
        },
        separators=(",", ":"),
        sort_keys=True,
    ).encode()
    topic = deliveries_topic(chunk.mode, chunk.channel, chunk.lane, channel_class(chunk.channel).pull)
    key = str(chunk.id)
    return Record(topic, key, value, {"hmac": keys.record_hmac(_signed(topic, key, value))})


def read_chunk_record(keys: Keys, record: Record) -> int:
    """The id of the chunk that a record announces. Raises BadInput for one that is forged, damaged or on a wrong topic."""
    if record.value is None:
        raise BadInput("record-empty", "a delivery record has no value")
    expected = keys.record_hmac(_signed(record.topic, record.key, record.value))
    if not hmac.compare_digest(expected.encode(), record.headers.get("hmac", "").encode()):
        raise BadInput("record-forged", "the record's signature does not fit")
    try:
        mode = json.loads(record.value)["mode"]
        chunk_id = int(record.key)
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput("record-damaged", f"the record cannot be read: {error}") from error
    if record.topic.split(".")[1] != mode:
        raise BadInput("record-mode", f"a record of mode {mode!r} came on {record.topic}")
    return chunk_id


def _signed(topic: str, key: str, value: bytes) -> bytes:
    return f"{topic}\n{key}\n".encode() + value
