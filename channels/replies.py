"""What a provider's reply means, as far as all of HTTP agrees on it; and how its words are kept without a secret in them."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from channels.base import Answer, AnswerWord, Message

LONGEST_DETAIL = 200

# Statuses that mean the same at every provider. Other 4xx: this message is refused. Anything else: it may have been taken.
STATUS_WORDS: Mapping[int, tuple[AnswerWord, str]] = {
    401: (AnswerWord.CONFIG_ERROR, "http-401"),
    403: (AnswerWord.CONFIG_ERROR, "http-403"),
    404: (AnswerWord.CONFIG_ERROR, "http-404"),
    405: (AnswerWord.CONFIG_ERROR, "http-405"),
    407: (AnswerWord.CONFIG_ERROR, "http-407"),
    408: (AnswerWord.RETRY, "http-408"),  # the server says that it never got the whole request
    415: (AnswerWord.CONFIG_ERROR, "http-415"),
    429: (AnswerWord.RETRY, "http-429"),
    503: (AnswerWord.RETRY, "http-503"),
}


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole reply. `after_s` = its Retry-After, in seconds from now."""

    status: int
    body: bytes
    after_s: float | None = None


def refusal(reply: Reply, message: Message) -> Answer | None:
    """What a status other than 2xx means; None for 2xx, whose body the provider must judge."""
    if 200 <= reply.status < 300:
        return None
    detail = told(reply.body, message)
    if reply.status in STATUS_WORDS:
        word, reason = STATUS_WORDS[reply.status]
        return Answer(word, reason=reason, detail=detail, after_s=reply.after_s if word is AnswerWord.RETRY else None)
    if 300 <= reply.status < 400:
        return Answer(AnswerWord.CONFIG_ERROR, reason=f"http-{reply.status}", detail="the address is another one")
    if 400 <= reply.status < 500:
        return Answer(AnswerWord.FAILED, reason=_reason(reply.body, message) or f"http-{reply.status}", detail=detail)
    return Answer(AnswerWord.UNCERTAIN, reason=f"http-{reply.status}", detail=detail)


def told(body: bytes | str, message: Message) -> str:
    """A provider's own words: one line, cut, without the recipient's number or key, which it may have repeated."""
    text = body if isinstance(body, str) else body.decode("utf-8", "replace")
    address = message.to.partition(":")[2]
    for known in (address, address[1:], address[-11:]):
        if len(known) >= 7:
            text = text.replace(known, "***")
    return "".join(c if c.isprintable() else " " for c in text[: LONGEST_DETAIL * 2]).strip()[:LONGEST_DETAIL]


def json_object(body: bytes) -> dict[str, object] | None:
    """The reply as a JSON object; None where it is anything else."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _reason(body: bytes, message: Message) -> str:
    found = json_object(body) or {}
    for key in ("code", "reason", "error", "message"):
        value = found.get(key)
        if isinstance(value, dict):
            value = value.get("code") or value.get("message")
        if isinstance(value, str | int) and not isinstance(value, bool) and str(value).strip():
            return told(str(value), message)
    return ""


def retry_after(waits: str) -> float | None:
    """Retry-After: seconds or a date. None where it is neither."""
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", waits.strip()):
        return float(waits)
    try:
        return max(0.0, (parsedate_to_datetime(waits) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None
