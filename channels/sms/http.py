"""A generic SMS gateway: one POST of JSON per message. A gateway that speaks this needs no adapter of its own.

Request: {"delivery", "to", "text", "parts", "expires"}, and "callback" where receipts can reach us. Replies:
  2xx and a JSON object              accepted; its "id" is the reference. With an "error" in it, or no object: uncertain
  429, 503, 408                      retry, after Retry-After where it is given
  401, 403, 404, 405, 407, 415, 3xx  config_error
  other 4xx                          failed, with the reason of the body ("code", "reason", "error" or "message")
  5xx, a lost connection, a timeout after the request left  uncertain
  not connected                      retry

Receipt: POST to "callback" of JSON {"word", "id", "reason", "at"}, or a GET with these in the query; answered with 204. Only "word"
is needed. "at" is RFC 3339, or milliseconds since the epoch. Anything but 2xx should be repeated; twice is once. Words:
  accepted    it is on its way                      delivered   the phone has it
  failed      it will not arrive, with the reason   expired     its time ran out on the way
  any other   kept and counted, and moves nothing
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from json.encoder import encode_basestring_ascii as quoted
from typing import ClassVar

from channels.base import (
    ACCEPTED,
    Answer,
    AnswerWord,
    Callback,
    ChannelSettings,
    Message,
    Receipt,
    ReceiptWord,
)
from channels.replies import Reply, json_object, refusal, told
from channels.wire import Wire, base_url, connections

LONGEST_REF = 120
RECEIPTS: Mapping[str, ReceiptWord] = {
    "accepted": ReceiptWord.ACCEPTED,
    "delivered": ReceiptWord.DELIVERED,
    "failed": ReceiptWord.FAILED,
    "expired": ReceiptWord.EXPIRED,
}


class HttpGateway:
    """Provider "http". Settings: `url`; option `connections`, requests in flight at most (100)."""

    receipt_status: ClassVar[int] = 204

    def __init__(self, settings: ChannelSettings) -> None:
        """Raises ChannelError: the address or the number of connections cannot be used."""
        self._url = base_url(settings.url)
        self._wire = Wire(connections(settings))

    def send(self, messages: Sequence[Message]) -> list[Answer]:
        """The whole window at once. Whether a message has expired was asked before, at the claim."""
        return self._wire.each(self._ask, messages)

    def read_receipts(self, callback: Callback) -> list[Receipt]:
        """The one receipt of a callback. Its address alone says that it is the gateway's. Raises ValueError."""
        found: Mapping[str, object] = callback.query
        if callback.method == "POST":
            told = json_object(callback.body)
            if told is None:
                raise ValueError("a receipt is one JSON object")
            found = told
        said = _text(found, "word")
        if not said:
            raise ValueError("a receipt has a word")
        word = RECEIPTS.get(said, ReceiptWord.UNKNOWN)
        return [Receipt(word, said, _text(found, "id"), _text(found, "reason"), at=_moment(_text(found, "at")))]

    def close(self) -> None:
        """Ends the connections."""
        self._wire.close()

    async def _ask(self, message: Message) -> Answer:
        return read(await self._wire.post(self._url, _body(message)), message)


def read(reply: Reply, message: Message) -> Answer:
    """The gateway's reply as an answer, by the table above."""
    refused = refusal(reply, message)
    if refused is not None:
        return refused
    found = json_object(reply.body)
    if found is None:
        return Answer(AnswerWord.UNCERTAIN, reason="reply-unreadable", detail=told(reply.body, message))
    if found.get("error"):
        return Answer(AnswerWord.UNCERTAIN, reason="reply-says-error", detail=told(reply.body, message))
    ref = found.get("id")
    if not isinstance(ref, str | int) or isinstance(ref, bool) or ref == "":
        return ACCEPTED
    return Answer(AnswerWord.ACCEPTED, ref=str(ref)[:LONGEST_REF])


def _text(found: Mapping[str, object], name: str) -> str:
    value = found.get(name)
    return str(value)[:LONGEST_REF] if isinstance(value, str | int) and not isinstance(value, bool) else ""


def _moment(written: str) -> int | None:
    """Milliseconds since the epoch; a clock that cannot be read must not cost the receipt."""
    try:
        return int(written) if written.isdigit() else int(datetime.fromisoformat(written).timestamp() * 1000)
    except (ValueError, OverflowError, OSError):
        return None


def _body(message: Message) -> bytes:
    callback = f',"callback":{quoted(message.callback)}' if message.callback else ""
    return (
        f'{{"delivery":{quoted(message.delivery)},"to":{quoted(message.to)},"text":{quoted(message.text)},'
        f'"parts":{message.parts},"expires":"{_rfc3339(message.expires_at)}"{callback}}}'
    ).encode()


@lru_cache(maxsize=64)  # one value per campaign
def _rfc3339(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds")
