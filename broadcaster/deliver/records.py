"""The records that we sign: what rings the worker's bell, and what a feed server serves. Nothing of a person in them."""

import hmac
import json
from collections.abc import Mapping

from broadcaster.bus import Record, deliveries_topic, feeds_topic
from broadcaster.keys import Keys
from broadcaster.model import BadInput, Mode
from broadcaster.store.clock import rfc3339
from broadcaster.store.sweeping import DueChunk
from channels import channel_class


def chunk_record(keys: Keys, chunk: DueChunk) -> Record:
    """The record that announces a chunk: ranges, digests, mode, expiry."""
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
    return _with_signature(keys, Record(topic, str(chunk.id), value))


def read_chunk_record(keys: Keys, record: Record) -> int:
    """The id of the chunk that a record announces. Raises BadInput for one that is forged, damaged or on a wrong topic."""
    if record.value is None:
        raise BadInput("record-empty", "a delivery record has no value")
    _refuse_forged(keys, record)
    try:
        mode = json.loads(record.value)["mode"]
        chunk_id = int(record.key)
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput("record-damaged", f"the record cannot be read: {error}") from error
    _refuse_other_mode(record, mode)
    return chunk_id


def feed_record(keys: Keys, mode: str, recipient_id: int, body: bytes, head: Mapping[str, str]) -> Record:
    """A device's current feed, as bytes that it will be served. `head`: token (its hash), channel, format, sequence."""
    return _with_signature(keys, Record(feeds_topic(mode), str(recipient_id), body, head))


def gone_record(keys: Keys, mode: str, recipient_id: int) -> Record:
    """There is no such device any more."""
    return _with_signature(keys, Record(feeds_topic(mode), str(recipient_id), None))


def check_feed_record(keys: Keys, record: Record) -> int:
    """The recipient whose feed a record holds. Raises BadInput for one that is forged, damaged or on a wrong topic."""
    _refuse_forged(keys, record)
    try:
        if record.value is not None:
            _refuse_other_mode(record, json.loads(record.value)["mode"])
        return int(record.key)
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput("record-damaged", f"the record cannot be read: {error}") from error


def _with_signature(keys: Keys, record: Record) -> Record:
    headers = {**record.headers, "hmac": keys.record_hmac(_signed(record))}
    return Record(record.topic, record.key, record.value, headers)


def _refuse_forged(keys: Keys, record: Record) -> None:
    if not hmac.compare_digest(keys.record_hmac(_signed(record)).encode(), record.headers.get("hmac", "").encode()):
        raise BadInput("record-forged", "the record's signature does not fit")


def _refuse_other_mode(record: Record, mode: str) -> None:
    if mode not in set(Mode) or record.topic.split(".")[1] != mode:
        raise BadInput("record-mode", f"a record of mode {mode!r} came on {record.topic}")


def _signed(record: Record) -> bytes:
    head = {name: value for name, value in record.headers.items() if name != "hmac"}
    lines = (record.topic, record.key, json.dumps(head, sort_keys=True), "gone" if record.value is None else "")
    return "\n".join(lines).encode() + b"\n" + (record.value or b"")
