"""A generic SMS gateway: one POST of JSON per message. A gateway that speaks this needs no adapter of its own.

Request: {"delivery", "to", "text", "parts", "expires"}. Replies:
  2xx and a JSON object              accepted; its "id" is the reference. With an "error" in it, or no object: uncertain
  429, 503, 408                      retry, after Retry-After where it is given
  401, 403, 404, 405, 407, 415, 3xx  config_error
  other 4xx                          failed, with the reason of the body ("code", "reason", "error" or "message")
  5xx, a lost connection, a timeout after the request left  uncertain
  not connected                      retry
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from json.encoder import encode_basestring_ascii as quoted

from channels.base import ACCEPTED, Answer, AnswerWord, ChannelSettings, Message
from channels.replies import Reply, json_object, refusal, told
from channels.wire import Wire, base_url, connections

LONGEST_REF = 120


class HttpGateway:
    """Provider "http". Settings: `url`; option `connections`, requests in flight at most (100)."""

    def __init__(self, settings: ChannelSettings) -> None:
        """Raises ChannelError: the address or the number of connections cannot be used."""
        self._url = base_url(settings.url)
        self._wire = Wire(connections(settings))

    def send(self, messages: Sequence[Message]) -> list[Answer]:
        """The whole window at once. Whether a message has expired was asked before, at the claim."""
        return self._wire.each(self._ask, messages)

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


def _body(message: Message) -> bytes:
    return (
        f'{{"delivery":{quoted(message.delivery)},"to":{quoted(message.to)},"text":{quoted(message.text)},'
        f'"parts":{message.parts},"expires":"{_rfc3339(message.expires_at)}"}}'
    ).encode()


@lru_cache(maxsize=64)  # one value per campaign
def _rfc3339(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds")
