"""What Twilio's codes, statuses and replies mean in our words.

Sources: Twilio's OpenAPI file twilio_api_v2010 (statuses, shapes), https://www.twilio.com/docs/api/errors (codes). What to do
about a code is our own choice. A 4xx whose code is in no table of ours failed for that code; nothing is guessed.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from channels.base import Answer, AnswerWord, Message, Receipt, ReceiptWord
from channels.replies import STATUS_WORDS, Reply, json_object, told

SID = re.compile(r"(SM|MM)[0-9a-fA-F]{32}")
MINUTE = 60.0
SAME_DIGITS = 8  # of a number's end: Twilio may rewrite what stands before, for some countries


@dataclass(frozen=True, slots=True)
class Meaning:
    """What an error code makes of an attempt, in our word and in English."""

    word: AnswerWord
    says: str
    after_s: float | None = None


_CONFIG, _FAILED, _RETRY = AnswerWord.CONFIG_ERROR, AnswerWord.FAILED, AnswerWord.RETRY

ERRORS: Mapping[int, Meaning] = {
    20003: Meaning(_CONFIG, "account or token refused"),
    20404: Meaning(_CONFIG, "no such account"),
    20429: Meaning(_RETRY, "too many requests at once"),
    21211: Meaning(_FAILED, "not a number that can be reached"),
    21212: Meaning(_CONFIG, "the sender is no number of this account"),
    21408: Meaning(_CONFIG, "this country is not enabled at Twilio"),
    21602: Meaning(_FAILED, "empty text: a fault of ours"),
    21604: Meaning(_FAILED, "no recipient's number"),
    21606: Meaning(_CONFIG, "the sender cannot send to this number"),
    21610: Meaning(AnswerWord.SUPPRESSED, "the recipient has opted out"),
    21611: Meaning(_RETRY, "the sender's queue is full", 2 * MINUTE),
    21614: Meaning(_FAILED, "not a mobile number"),
    21617: Meaning(_FAILED, "longer than 1600 characters: a fault of ours"),
    21703: Meaning(_CONFIG, "the messaging service has no sender"),
    21704: Meaning(_CONFIG, "the messaging service has no sender"),
    21705: Meaning(_CONFIG, "the messaging service cannot be used"),
    30001: Meaning(_RETRY, "the sender's queue is full", 2 * MINUTE),
    30002: Meaning(_CONFIG, "the account is suspended"),
    30003: Meaning(_RETRY, "the handset cannot be reached", 5 * MINUTE),
    30004: Meaning(_FAILED, "blocked by the recipient or the carrier"),
    30005: Meaning(_FAILED, "the number is unknown to its carrier"),
    30006: Meaning(_FAILED, "a landline, or a carrier that cannot be reached"),
    30007: Meaning(_FAILED, "filtered by the carrier"),
    30008: Meaning(AnswerWord.UNCERTAIN, "the carrier does not say why"),
    30410: Meaning(AnswerWord.UNCERTAIN, "the carrier did not answer Twilio in time"),
    63018: Meaning(_RETRY, "too many messages on this sender", MINUTE),
}
EXPIRED_THERE = 30036  # the validity period was over before the message left Twilio
TOO_LONG, NO_TEXT, NO_NUMBER = 21617, 21602, 21211  # what Twilio would say of them; said without asking

STATUSES: Mapping[str, ReceiptWord] = {
    "accepted": ReceiptWord.ACCEPTED,
    "scheduled": ReceiptWord.ACCEPTED,
    "queued": ReceiptWord.ACCEPTED,
    "sending": ReceiptWord.ACCEPTED,
    "sent": ReceiptWord.ACCEPTED,
    "partially_delivered": ReceiptWord.ACCEPTED,  # not to be told as delivered
    "delivered": ReceiptWord.DELIVERED,
    "read": ReceiptWord.DELIVERED,
    "undelivered": ReceiptWord.FAILED,
    "failed": ReceiptWord.FAILED,
    "canceled": ReceiptWord.FAILED,
    # Of messages to us. On one of ours they mean nothing.
    "receiving": ReceiptWord.UNKNOWN,
    "received": ReceiptWord.UNKNOWN,
}


def refused(code: int) -> Answer:
    """An answer by the table of errors, where Twilio need not be asked."""
    meaning = ERRORS[code]
    return Answer(meaning.word, reason=str(code), detail=meaning.says)


def read(reply: Reply, message: Message, account: str, secrets: Sequence[str] = ()) -> Answer:
    """A reply to a message sent. 5xx, and whatever has not Twilio's shape, is uncertain: it may have been taken."""
    found = json_object(reply.body) or {}
    answer = _taken(found, message, account) if 200 <= reply.status < 300 else _not_taken(found, reply)
    if answer.word is AnswerWord.ACCEPTED:
        return answer
    text = reply.body.decode("utf-8", "replace")
    for secret in (account, *secrets):
        text = text.replace(secret, "***")
    return replace(answer, detail=told(text, message))


def receipt(status: str, ref: str, code: int = 0, at: int | None = None) -> Receipt:
    """A status of Twilio's, with its error code where it has one."""
    word = STATUSES.get(status, ReceiptWord.UNKNOWN)
    if word is not ReceiptWord.FAILED:
        return Receipt(word, said=status, ref=ref, at=at)
    says = ERRORS[code].says if code in ERRORS else ""
    if code == EXPIRED_THERE:
        word = ReceiptWord.EXPIRED
    return Receipt(word, said=status, ref=ref, reason=str(code) if code else status, detail=says, at=at)


def number(value: object) -> int:
    """An error code as JSON or a form gives it; 0 where there is none."""
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    return int(value) if isinstance(value, str) and re.fullmatch(r"[1-9][0-9]{0,8}", value) else 0


def _taken(found: Mapping[str, object], message: Message, account: str) -> Answer:
    sid, status = found.get("sid"), str(found.get("status"))
    if not isinstance(sid, str) or not SID.fullmatch(sid):
        return Answer(AnswerWord.UNCERTAIN, reason="reply-unreadable")
    if not _ours(found, status, message, account):
        return Answer(AnswerWord.UNCERTAIN, reason="reply-of-another")
    if STATUSES.get(status) is not ReceiptWord.FAILED:
        return Answer(AnswerWord.ACCEPTED, ref=sid)
    code = number(found.get("error_code"))
    return replace(_by(code) if code in ERRORS else Answer(AnswerWord.FAILED, reason=str(code or status)), ref=sid)


def _not_taken(found: Mapping[str, object], reply: Reply) -> Answer:
    at = f"http-{reply.status}"
    if 300 <= reply.status < 400:
        return Answer(AnswerWord.CONFIG_ERROR, reason=at)
    # 503 as well: only 429 is documented as "not processed".
    if not 400 <= reply.status < 500:
        return Answer(AnswerWord.UNCERTAIN, reason=at)
    code = number(found.get("code"))
    if code in ERRORS:
        return _by(code, reply.after_s)
    if reply.status in STATUS_WORDS:
        word = STATUS_WORDS[reply.status][0]
        return Answer(word, reason=str(code or at), after_s=reply.after_s if word is AnswerWord.RETRY else None)
    # Without a code something between us and Twilio refused it, and that says nothing of this recipient.
    return Answer(AnswerWord.FAILED if code else AnswerWord.UNCERTAIN, reason=str(code or at))


def _ours(found: Mapping[str, object], status: str, message: Message, account: str) -> bool:
    """Whether a reply speaks of this message: proxies and caches have handed out those of others."""
    to = str(found.get("to"))
    if f"tel:{to}" != message.to:
        digits = re.sub(r"[^0-9]", "", to)[-SAME_DIGITS:]
        if not digits or not message.to.endswith(digits):
            return False
    return found.get("account_sid") == account and STATUSES.get(status) is not ReceiptWord.UNKNOWN


def _by(code: int, after_s: float | None = None) -> Answer:
    meaning = ERRORS[code]
    after = meaning.after_s if after_s is None else after_s
    return Answer(meaning.word, reason=str(code), after_s=after if meaning.word is AnswerWord.RETRY else None)
