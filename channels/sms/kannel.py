"""Kannel 1.4.5: one GET per message to its smsbox; receipts and replies come back as GETs. How it is set up: docs/kannel.md.

What Kannel takes and spoils is refused here, before it is sent: an empty text goes out as an empty SMS, more than its
max-messages parts are cut, a letter outside GSM 03.38 without coding=2 becomes "?", all with a 202; `validity=0` is a matter
of luck. A POST of a form is not understood, so user, password and text stand in the address: no address may get into a log.
"""

import hashlib
import re
import time
from collections.abc import Mapping, Sequence
from typing import ClassVar
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from yarl import URL

from channels.base import (
    ACCEPTED,
    Answer,
    AnswerWord,
    Callback,
    ChannelError,
    ChannelSettings,
    Health,
    Message,
    PhoneReply,
    Receipt,
    ReceiptWord,
)
from channels.replies import LONGEST_DETAIL, Reply, refusal, told
from channels.sms import segments
from channels.wire import Wire, base_url, connections

RAW = "utf16be_raw"  # for builds without iconv: UTF-16BE as Kannel hands it on, and no word of a charset
PRIORITIES = {"emergency": 3, "notice": 2, "promotion": 0}
LONGEST_VALIDITY = 63 * 7 * 24 * 60  # minutes; what GSM can say at most
ALL_RECEIPTS = 31  # delivered 1, not delivered 2, buffered 4, taken by the SMS centre 8, refused by it 16
RECEIPT_QUERY = "type=%d&ref=%F&answer=%A&at=%T"
REFUSED_HERE = ("empty", "surrogate", "too-long")

_MOBILE = re.compile(r"(?:(?:\+|00)?86)?(1[3-9]\d{9})", re.ASCII)
_NUMBER = re.compile(r"\+\d{7,15}", re.ASCII)


class Kannel:
    """Provider "kannel". Settings: `url` of smsbox; options user, password, sender, charset, status_url, connections."""

    receipt_status: ClassVar[int] = 200
    inbound_signed: ClassVar[bool] = False

    def __init__(self, settings: ChannelSettings) -> None:
        """Raises ChannelError: an address, the account, the charset or the number of connections cannot be used."""
        told = settings.options
        if not told.get("user") or not told.get("password"):
            raise ChannelError("Kannel wants an account: set BROADCASTER_KANNEL_USER and BROADCASTER_KANNEL_PASSWORD")
        self._raw = told.get("charset", "utf8") == RAW
        if not self._raw and told.get("charset", "utf8") != "utf8":
            raise ChannelError(f"BROADCASTER_KANNEL_CHARSET is {told['charset']!r}: give utf8 or {RAW}")
        fixed = {"username": told["user"], "password": told["password"], "from": told.get("sender", "")}
        url = str(base_url(settings.url))
        self._head = url + ("&" if "?" in url else "?") + _query({k: v for k, v in fixed.items() if v})
        self._status = base_url(told["status_url"]) if told.get("status_url") else None
        self._wire = Wire(connections(settings))

    def send(self, messages: Sequence[Message]) -> list[Answer]:
        """The whole window at once, one number per request: of several Kannel drops a bad one without a word."""
        return self._wire.each(self._ask, messages)

    def read_receipts(self, callback: Callback) -> list[Receipt]:
        """The one receipt of a callback. Raises ValueError where it holds no type."""
        query = callback.query
        kind, answer = query.get("type", ""), query.get("answer", "")
        if not kind:
            raise ValueError("a receipt without its type")
        word, reason = RECEIPTS.get(kind, ReceiptWord.UNKNOWN), ""
        if kind in FINAL_REFUSALS:
            reason = _why(answer)
            word = ReceiptWord.EXPIRED if reason.startswith("expired") else word
        return [Receipt(word, kind, query.get("ref", ""), reason, _line(answer), _ms(query.get("at", "")))]

    def read_replies(self, callback: Callback) -> list[PhoneReply]:
        """What a phone wrote; nothing for data that is no text. Raises ValueError: no sender, or a charset that nobody knows."""
        # From the address: letters of UTF-16 are no UTF-8, and a query read as such has lost them.
        query = dict(parse_qsl(urlsplit(callback.url).query, keep_blank_values=True, encoding="latin-1"))
        if not query.get("from"):
            raise ValueError("a reply without its sender")
        if query.get("coding") == "1":
            return []
        charset = query.get("charset") or ("utf-16-be" if query.get("coding") == "2" else "utf-8")
        try:
            text = query.get("text", "").encode("latin-1").decode(charset, "replace")
        except LookupError:
            raise ValueError("a reply in an unknown charset") from None
        sender, at = _address(query["from"]), query.get("at", "")
        ref = query.get("id") or hashlib.sha256(f"{sender}\0{at}\0{text}".encode()).hexdigest()[:32]
        return [PhoneReply(sender, text, ref, _ms(at))]

    def health(self) -> Health:
        """What bearerbox says of its queue and its SMS centres. Without an address of its status nothing is asked."""
        if self._status is None:
            return Health(ok=True, detail="not asked: BROADCASTER_KANNEL_STATUS_URL is empty")
        found: list[Reply] = []

        async def ask(url: URL) -> Answer:
            found.append(await self._wire.request("GET", url, {}))
            return ACCEPTED

        (answer,) = self._wire.each(ask, [self._status])
        return _health(found[0]) if found else Health(ok=False, detail=f"bearerbox: {answer.reason}")

    def close(self) -> None:
        """Ends the connections."""
        self._wire.close()

    async def _ask(self, message: Message) -> Answer:
        size = segments.measure(message.text)
        for problem in size.problems:
            if problem.code in REFUSED_HERE:
                return Answer(AnswerWord.FAILED, reason=problem.code, detail=problem.message)
        left = message.expires_at / 1000 - time.time()
        if left <= 0:  # surely not sent: the next claim finds it expired and says so
            return Answer(AnswerWord.RETRY, reason="expired")
        minutes = min(max(1, int(left / 60)), LONGEST_VALIDITY)
        asked: dict[str, str | int | bytes] = {
            "to": message.to.removeprefix("tel:"),
            "priority": PRIORITIES.get(message.category, 0),
            "validity": minutes,
            **_text(message.text, gsm7=size.encoding == "gsm7", raw=self._raw),
        }
        if message.callback:
            # A % of the address itself would be taken for the beginning of one of Kannel's gaps.
            joint = "&" if "?" in message.callback else "?"
            asked["dlr-mask"] = ALL_RECEIPTS
            asked["dlr-url"] = message.callback.replace("%", "%%") + joint + RECEIPT_QUERY
        return read(await self._wire.request("GET", URL(f"{self._head}&{_query(asked)}", encoded=True), {}), message)


def read(reply: Reply, message: Message) -> Answer:
    """smsbox's reply as an answer, by the table below."""
    said = told(reply.body, message)
    for (status, beginning), (word, reason) in REPLIES.items():
        if reply.status == status and said.startswith(beginning):
            return Answer(word, reason=reason, detail=said) if reason else ACCEPTED
    refused = refusal(reply, message)
    # A 2xx that Kannel does not say: whoever answered, perhaps it handed the message on.
    return refused or Answer(AnswerWord.UNCERTAIN, reason="reply-unreadable", detail=said)


def _query(fields: Mapping[str, str | int | bytes]) -> str:
    return urlencode(fields, quote_via=quote)


def _text(text: str, *, gsm7: bool, raw: bool) -> dict[str, str | int | bytes]:
    if raw:  # letters of GSM 03.38 are named nothing either: UTF-8 is what Kannel takes them for
        return {"coding": 0, "text": text} if gsm7 else {"coding": 2, "text": text.encode("utf-16-be")}
    return {"coding": 0 if gsm7 else 2, "charset": "UTF-8", "text": text}


def _why(answer: str) -> str:
    """A short code from what the SMS centre said: "NACK/Retries Exceeded", or an SMPP receipt with its stat and err."""
    stat, err = (re.search(rf"\b{name}:(\w+)", answer) for name in ("stat", "err"))
    if stat:
        return stat[1].lower() + (f"-{err[1].lower()}" if err and err[1].strip("0") else "")
    code = re.sub(r"[^a-z0-9]+", "-", answer.removeprefix("NACK/").lower()).strip("-")[:60]
    return "expired" if code == "validity-expired" else code


def _line(answer: str) -> str:
    return "".join(c if c.isprintable() else " " for c in answer)[:LONGEST_DETAIL]


def _ms(seconds: str) -> int | None:
    return int(seconds) * 1000 if re.fullmatch(r"[0-9]{1,11}", seconds) else None


def _address(number: str) -> str:
    if found := _MOBILE.fullmatch(number):
        return f"tel:+86{found[1]}"
    return f"tel:{number}" if _NUMBER.fullmatch(number) else number


def _health(reply: Reply) -> Health:
    body = reply.body.decode("utf-8", "replace")
    state = re.search(r"<status>(\w+)", body)
    if reply.status != 200 or not state:
        return Health(ok=False, detail=f"bearerbox: http-{reply.status}, no status in it")
    queues = re.findall(r"<sms>.*?<sent>.*?<queued>(\d+)</queued>", body.partition("<boxes>")[0], re.DOTALL)
    boxes = len(re.findall(r"<type>smsbox</type>", body))
    centres = re.findall(r"<smsc>.*?<id>(.*?)</id>.*?<status>([\w-]+)", body, re.DOTALL)
    detail = ", ".join([f"bearerbox {state[1]}", f"smsbox {boxes}", *(f"{name} {how}" for name, how in centres)])
    ok = state[1] == "running" and boxes > 0 and any(how == "online" for _, how in centres)
    return Health(ok=ok, detail=detail[:LONGEST_DETAIL], queued=int(queues[0]) if queues else None)


REPLIES: Mapping[tuple[int, str], tuple[AnswerWord, str]] = {
    (202, "0:"): (AnswerWord.ACCEPTED, ""),
    (202, "3:"): (AnswerWord.ACCEPTED, "queued"),  # no SMS centre is connected now
    (400, "Sender missing"): (AnswerWord.CONFIG_ERROR, "sender-missing"),
    (400, "Missing receiver"): (AnswerWord.FAILED, "number-missing"),
    (400, "Empty receiver"): (AnswerWord.FAILED, "number-missing"),
    (400, "Number(s) has/have been denied"): (AnswerWord.FAILED, "number-denied"),
    (403, "Authorization failed"): (AnswerWord.CONFIG_ERROR, "authorization"),
    (403, "Not routable"): (AnswerWord.FAILED, "not-routable"),
}
RECEIPTS: Mapping[str, ReceiptWord] = {
    "1": ReceiptWord.DELIVERED,
    "2": ReceiptWord.FAILED,
    "4": ReceiptWord.ACCEPTED,
    "8": ReceiptWord.ACCEPTED,
    "16": ReceiptWord.FAILED,
}
FINAL_REFUSALS = ("2", "16")  # their answer says why
