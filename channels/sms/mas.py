"""移动云MAS, China Mobile's platform for organisations: one POST per message; status reports and replies are pushed to us.

There is no platform to try this against and no public test account. What follows is read from public clients of its HTTP
interface (docs/mas.md says which part is whose word); the parts marked "our reading" no source confirms.

Request: base64 of a JSON object {ecName, apId, mobiles, content, sign, addSerial, mac}; mac = MD5, in small hexadecimal, of
ecName + apId + secretKey + mobiles + content + sign + addSerial. The secret key itself is not sent: clients that add it are
refused at some platforms (InvalidUsrOrPwd). Reply, always with HTTP 200: {"success", "rspcod", "msgGroup"}.

Limits: 5000 numbers a request by the document; we send one, because a batch has one msgGroup and no result per number. No
length of a content is written down anywhere: ours are the ten parts of segments.py. Service code and addSerial together 20
digits. There is no validity: what the platform holds back may arrive after its campaign. No key against a second copy, so that
a reply that is lost is `uncertain`.
"""

import base64
import hashlib
import json
import re
import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import ClassVar

from channels.base import (
    Answer,
    AnswerWord,
    Callback,
    ChannelError,
    ChannelSettings,
    Message,
    PhoneReply,
    Receipt,
    ReceiptWord,
)
from channels.replies import LONGEST_DETAIL, Reply, json_object, refusal, told
from channels.sms import segments
from channels.wire import Wire, base_url, connections

LONGEST_REF = 120
LONGEST_SERIAL = 20  # digits, the service code in front of them counted
REFUSED_HERE = ("empty", "surrogate", "too-long", "signature-only", "signature-twice")
CHINA = timezone(timedelta(hours=8))  # our reading: the platform's times are without a zone

_SIGNATURE = re.compile(r"【[^【】]*】\s*")
_TELEPHONE = re.compile(r"tel:\+86(1[3-9]\d{9})", re.ASCII)
_MOBILE = re.compile(r"(?:(?:\+|00)?86)?(1[3-9]\d{9})", re.ASCII)
_TIME = re.compile(r"(\d{4})-?(\d\d)-?(\d\d)[ T]?(\d\d):?(\d\d):?(\d\d)", re.ASCII)


class Mas:
    """Provider "mas". Settings: `url` of norsubmit; options company, account, secret, signature, serial, adds_signature."""

    receipt_status: ClassVar[int] = 200
    inbound_signed: ClassVar[bool] = False

    def __init__(self, settings: ChannelSettings) -> None:
        """Raises ChannelError: a setting is missing or cannot be right. No text of it holds a setting's value."""
        told = settings.options
        needed = {name: told.get(name, "") for name in ("company", "account", "secret", "signature")}
        if missing := [f"BROADCASTER_MAS_{name.upper()}" for name, value in needed.items() if not value]:
            raise ChannelError(f"MAS needs {', '.join(missing)}")
        self._serial = told.get("serial", "")
        if not re.fullmatch(rf"[0-9]{{0,{LONGEST_SERIAL}}}", self._serial):
            raise ChannelError(f"BROADCASTER_MAS_SERIAL is at most {LONGEST_SERIAL} digits, or empty")
        self._fixed = {"ecName": needed["company"], "apId": needed["account"]}
        self._sign, self._secret = needed["signature"], needed["secret"]
        self._adds_signature = told.get("adds_signature", "yes") == "yes"
        self._url = base_url(settings.url)
        self._wire = Wire(connections(settings))

    def send(self, messages: Sequence[Message]) -> list[Answer]:
        """The whole window at once, one number per request."""
        return self._wire.each(self._ask, messages)

    def close(self) -> None:
        """Ends the connections."""
        self._wire.close()

    async def _ask(self, message: Message) -> Answer:
        to = _TELEPHONE.fullmatch(message.to)
        if to is None:
            return Answer(AnswerWord.FAILED, reason="number-not-mainland")
        for problem in segments.measure(message.text).problems:
            if problem.code in REFUSED_HERE:
                return Answer(AnswerWord.FAILED, reason=problem.code, detail=problem.message)
        if message.expires_at <= time.time() * 1000:  # surely not sent: the next claim finds it expired and says so
            return Answer(AnswerWord.RETRY, reason="expired")
        body, mac = self._body(to[1], self._content(message.text))
        return read(await self._wire.post(self._url, body), message, (self._secret, mac, body.decode()))

    def _content(self, text: str) -> str:
        """Without the signature in front where the platform puts it there: exactly one place may add it."""
        return _SIGNATURE.sub("", text, count=1) if self._adds_signature and text.startswith("【") else text

    def _body(self, mobile: str, content: str) -> tuple[bytes, str]:
        fields = {**self._fixed, "mobiles": mobile, "content": content, "sign": self._sign, "addSerial": self._serial}
        head, tail = (fields["ecName"], fields["apId"]), (mobile, content, self._sign, self._serial)
        # MD5 is what the interface asks for; it is no safeguard of ours.
        mac = hashlib.md5("".join((*head, self._secret, *tail)).encode(), usedforsecurity=False).hexdigest()
        return base64.b64encode(json.dumps({**fields, "mac": mac}, ensure_ascii=False).encode()), mac

    def read_receipts(self, callback: Callback) -> list[Receipt]:
        """The status reports of a push, a number each. Its address alone says that it is the platform's. Raises ValueError."""
        return [receipt for one in _pushed(callback.body) for receipt in _receipts(one)]

    def read_replies(self, callback: Callback) -> list[PhoneReply]:
        """What phones wrote. Raises ValueError."""
        return [reply for one in _pushed(callback.body) if (reply := _reply(one)) is not None]


def read(reply: Reply, message: Message, secrets: Sequence[str] = ()) -> Answer:
    """The platform's reply as an answer, by the table below. `secrets` never stand in its detail."""
    refused = refusal(_without(reply, secrets), message)
    if refused is not None:
        return refused
    said = told(_without(reply, secrets).body, message)
    found = json_object(reply.body)
    code = found.get("rspcod") if found else None
    if found is None or not isinstance(code, str) or not code:
        return Answer(AnswerWord.UNCERTAIN, reason="reply-unreadable", detail=said)
    taken = found.get("success") in (True, "true")
    if taken != (code.casefold() == SUCCESS):
        return Answer(AnswerWord.UNCERTAIN, reason="reply-contradicts-itself", detail=said)
    if taken:
        ref = found.get("msgGroup") or found.get("mgsGroup")  # written so in one edition of the document
        if not isinstance(ref, str | int) or isinstance(ref, bool):
            return Answer(AnswerWord.ACCEPTED, reason="no-reference", detail=said)  # no receipt can be told of it
        return Answer(AnswerWord.ACCEPTED, ref=str(ref)[:LONGEST_REF])
    word, reason = _refusal(code)
    return Answer(word, reason=reason, detail=said)


def _refusal(code: str) -> tuple[AnswerWord, str]:
    if known := REFUSALS.get(code.casefold()):
        return known
    if _BUSY.search(code):
        return AnswerWord.RETRY, "busy"
    return AnswerWord.UNCERTAIN, "unknown-word"


def _without(reply: Reply, secrets: Sequence[str]) -> Reply:
    body = reply.body.decode("utf-8", "replace")
    for secret in secrets:
        body = body.replace(secret, "***")
    return Reply(reply.status, body.encode(), reply.after_s)


# ---- what the platform pushes ----------------------------------------------------------------------------------------


def _pushed(body: bytes) -> list[Mapping[str, object]]:
    """A list of objects or a single one, as JSON or as base64 of it: public clients tell of either. Raises ValueError."""
    try:
        found = _json(body)
    except ValueError:
        found = _json(base64.b64decode(body, validate=True))  # its error is a ValueError too
    items: list[object] = found if isinstance(found, list) else [found]
    objects: list[Mapping[str, object]] = [one for one in items if isinstance(one, dict)]
    if len(objects) < len(items):
        raise ValueError("a push is a JSON object, or a list of them")
    return objects


def _json(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise ValueError("a push is JSON, or base64 of it") from None


def _receipts(one: Mapping[str, object]) -> list[Receipt]:
    """One status report; of several numbers in it, one each. What names no message is kept as a word that nobody knows."""
    ref, status, error = (_text(one, name) for name in ("msgGroup", "reportStatus", "errorCode"))
    mobiles = one.get("mobile")
    numbers = [m[1] for m in map(_MOBILE.fullmatch, map(str, mobiles if isinstance(mobiles, list) else [mobiles])) if m]
    detail = _line(json.dumps(one, ensure_ascii=False))
    if not ref or not numbers or not (status or error):
        key = hashlib.sha256(json.dumps(one, sort_keys=True).encode()).hexdigest()[:16]
        return [Receipt(ReceiptWord.UNKNOWN, "unreadable", ref=key, reason="unreadable", detail=detail)]
    word = _word(status) or _word(error) or ReceiptWord.UNKNOWN
    reason = "" if word is ReceiptWord.DELIVERED else (error or status).lower()
    at = _ms(_text(one, "receiveDate"))
    return [Receipt(word, status or error, ref, reason, detail, at, to=f"tel:+86{number}") for number in numbers]


def _word(said: str) -> ReceiptWord | None:
    if known := STATUSES.get(said.upper()):
        return known
    return ReceiptWord.FAILED if _FAILURE.fullmatch(said) else None


def _reply(one: Mapping[str, object]) -> PhoneReply | None:
    sender, text, sent = (_text(one, name, 4000) for name in ("mobile", "smsContent", "sendTime"))
    if not sender or not text:
        return None
    found = _MOBILE.fullmatch(sender)
    # A reply has no name of its own: the same words of the same phone at the same second are one.
    told = "\0".join((sender, sent, _text(one, "addSerial"), text))
    ref = hashlib.sha256(told.encode("utf-8", "replace")).hexdigest()[:32]
    return PhoneReply(f"tel:+86{found[1]}" if found else sender, text, ref, _ms(sent))


def _text(one: Mapping[str, object], name: str, most: int = LONGEST_REF) -> str:
    value = one.get(name)
    return str(value).strip()[:most] if isinstance(value, str | int) and not isinstance(value, bool) else ""


def _line(said: str) -> str:
    return "".join(c if c.isprintable() else " " for c in said)[:LONGEST_DETAIL]


def _ms(written: str) -> int | None:
    """20261124103000 or 2026-11-24 10:30:00; a time that cannot be read must not cost the receipt."""
    found = _TIME.fullmatch(written)
    try:
        return int(datetime(*map(int, found.groups()), tzinfo=CHINA).timestamp() * 1000) if found else None  # type: ignore[arg-type,misc]
    except ValueError:
        return None


# ---- its words -------------------------------------------------------------------------------------------------------

SUCCESS = "success"
REFUSALS: Mapping[str, tuple[AnswerWord, str]] = {
    "illegalmac": (AnswerWord.CONFIG_ERROR, "illegal-mac"),
    "illegalsignid": (AnswerWord.CONFIG_ERROR, "illegal-signature-code"),
    "nosignid": (AnswerWord.CONFIG_ERROR, "no-signature-code"),
    "invalidusrorpwd": (AnswerWord.CONFIG_ERROR, "account"),
    # "The request cannot be read" holds for all messages alike: better a channel that stands than 200,000 failures.
    "invalidmessage": (AnswerWord.CONFIG_ERROR, "request-unreadable"),
    "toomanymobiles": (AnswerWord.RETRY, "too-many-numbers"),  # more than 5000; we send one
    # Seen in one public client each, in no document.
    "invalidmobile": (AnswerWord.FAILED, "number"),
    "illegalmobile": (AnswerWord.FAILED, "number"),
    "not_white_ip": (AnswerWord.CONFIG_ERROR, "address-not-allowed"),
}
# Our reading: no public page lists what an overloaded platform says. Only a word that says nothing else is taken so.
_BUSY = re.compile(r"busy|overload|flow_?control|too_?fast", re.IGNORECASE)
STATUSES: Mapping[
    str, ReceiptWord
] = {  # the words of the carriers' protocols (CMPP, SMPP); only DELIVRD is documented here
    "DELIVRD": ReceiptWord.DELIVERED,
    "ACCEPTD": ReceiptWord.ACCEPTED,
    "ENROUTE": ReceiptWord.ACCEPTED,
    "EXPIRED": ReceiptWord.EXPIRED,
    "UNDELIV": ReceiptWord.FAILED,
    "REJECTD": ReceiptWord.FAILED,
    "REJECT": ReceiptWord.FAILED,
    "DELETED": ReceiptWord.FAILED,
}
# Codes of the gateways behind it (DB:0140, MK:0001, CB:0010) and every kind of black list.
_FAILURE = re.compile(r"[A-Z]{1,3}:[0-9A-Z-]{1,8}|[A-Z:]*(?:BLACK|BLK)[A-Z0-9:]*", re.IGNORECASE)
