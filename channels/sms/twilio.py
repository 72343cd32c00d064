"""Twilio: one form per message, signed callbacks, and a look-up for messages whose reply was lost.

Sending does not go through the SDK's `create_async`. Measured side by side (./scripts/bench sms_twilio, docs/why.md): it takes
1.5 to 1.8 times the CPU a message, and 1.4 to 1.5 with its HTTP client replaced by ours, because it makes 25 fields and an object
for each. The SDK does what is not asked 200,000 times: signatures, look-ups, the balance. Cost: the form's fields stand here, and
tests hold every request to Twilio's OpenAPI file.

Limits: 1600 characters; valid 1 to 36000 s (default 36000, never used: a fire warning of ten hours ago must not arrive). No key
against a second copy exists, so that a reply that is lost is `uncertain`.
"""

import math
import re
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, ClassVar
from urllib.parse import parse_qsl, quote_plus, urlencode

import aiohttp
from twilio.http import AsyncHttpClient
from twilio.http.response import Response
from twilio.request_validator import RequestValidator, get_signature_algorithm
from twilio.rest import Client
from yarl import URL

from channels.base import (
    Answer,
    AnswerWord,
    Callback,
    ChannelError,
    ChannelSettings,
    Forged,
    Health,
    Message,
    PhoneReply,
    Receipt,
)
from channels.sms.twilio_words import NO_NUMBER, NO_TEXT, SID, TOO_LONG, number, read, receipt, refused
from channels.wire import Unanswered, Wire, base_url, connections

LONGEST_TEXT = 1600  # characters
LONGEST_VALID_S = 36_000
LEAST_VALID_S = 6  # Twilio advises more than 5; a message with less to live is left to expire here
# Look-ups: Twilio's clock and ours differ, and its times are whole seconds.
CLOCKS_DIFFER = timedelta(seconds=5)
PAGE, MOST_PAGES = 20, 5
MOST_PAGE_BYTES = 1_000_000
REMEMBERED = 10_000  # SIDs: one that comes again is an answer to another message

ACCOUNT = re.compile(r"AC[0-9a-fA-F]{32}")
SERVICE = re.compile(r"MG[0-9a-fA-F]{32}")
SENDER = re.compile(r"\+[1-9][0-9]{6,14}|[0-9]{3,8}|(?=.*[A-Za-z])[A-Za-z0-9 &_+-]{1,11}")
TELEPHONE = re.compile(r"tel:(\+[1-9][0-9]{5,14})")
STATUS = re.compile(r"[a-z_-]{1,30}")
FORM = "application/x-www-form-urlencoded"
SIGNATURE, SIGNED_HOW = "x-twilio-signature", "x-twilio-webhooks-signature-settings"


class Twilio:
    """Provider "twilio". Settings: `url`; options `account`, `token`, `sender` or `service`, `signing_key`, `connections`."""

    receipt_status: ClassVar[int] = 204
    inbound_signed: ClassVar[bool] = True

    def __init__(self, settings: ChannelSettings) -> None:
        """Raises ChannelError: a setting is missing or cannot be right. No text of it holds a setting's value."""
        told = settings.options
        base = _address(settings.url)
        self._account, token = told.get("account", ""), told.get("token", "")
        self._key = told.get("signing_key", "")
        self._sender = _sender(told)
        if not ACCOUNT.fullmatch(self._account) or not token:
            raise ChannelError("Twilio needs BROADCASTER_TWILIO_ACCOUNT (AC and 32 hexadecimal digits) and its token")
        self._wire = Wire(connections(settings))
        self._url = base / "2010-04-01" / "Accounts" / self._account / "Messages.json"
        basic = aiohttp.encode_basic_auth(self._account, token)
        self._secrets = [secret for secret in (token, self._key, basic.partition(" ")[2]) if secret]
        self._headers = {"Authorization": basic, "Content-Type": FORM}
        self._validator = RequestValidator(self._key or token)
        # An environment that is empty would make the SDK read the real one, and with it a region that rewrites the address.
        self._client = Client(
            self._account, token, http_client=_Carrier(self._wire, base, self._headers), environment={"TWILIO_EDGE": ""}
        )
        self._client.api.base_url = str(base).rstrip("/")
        self._sids: dict[str, None] = {}

    def send(self, messages: Sequence[Message]) -> list[Answer]:
        """The whole window at once."""
        return self._wire.each(self._ask, messages)

    def close(self) -> None:
        """Ends the connections."""
        self._wire.close()

    async def _ask(self, message: Message) -> Answer:
        form = self._form(message)
        if isinstance(form, Answer):
            return form
        reply = await self._wire.request("POST", self._url, self._headers, form)
        answer = read(reply, message, self._account, self._secrets)
        return answer if answer.ref is None else self._first_time(answer, answer.ref)

    def _form(self, message: Message) -> bytes | Answer:
        """The message as Twilio wants it; an answer where it must not be asked."""
        to = TELEPHONE.fullmatch(message.to)
        if to is None:
            return refused(NO_NUMBER)
        if not message.text.strip() or len(message.text) > LONGEST_TEXT:
            return refused(TOO_LONG if message.text.strip() else NO_TEXT)
        left = min((message.expires_at - int(time.time() * 1000)) // 1000, LONGEST_VALID_S)
        if left < LEAST_VALID_S:
            return Answer(AnswerWord.RETRY, reason="expires")  # so that it ends as expired, with its campaign
        try:
            text = _quoted(message.text)
        except UnicodeEncodeError:  # half of a pair
            return Answer(AnswerWord.FAILED, reason="text-unencodable")
        callback = f"&StatusCallback={quote_plus(message.callback)}" if message.callback else ""
        return f"To={quote_plus(to[1])}&{self._sender}&Body={text}&ValidityPeriod={left}{callback}".encode()

    def _first_time(self, answer: Answer, sid: str) -> Answer:
        if sid in self._sids:
            return Answer(AnswerWord.UNCERTAIN, reason="reply-of-another")
        self._sids[sid] = None
        if len(self._sids) > REMEMBERED:
            del self._sids[next(iter(self._sids))]
        return answer

    def read_receipts(self, callback: Callback) -> list[Receipt]:
        """The status that a callback tells. Raises Forged."""
        fields = self._signed(callback)
        sid, status = fields.get("MessageSid", ""), fields.get("MessageStatus", "")
        code = fields.get("ErrorCode", "")
        # A signature does not cover where a field ends and the next begins: what is read must have its own shape.
        if not SID.fullmatch(sid) or not STATUS.fullmatch(status) or (code and not number(code) and code != "0"):
            raise Forged("signed, but the fields are not those of a status callback")
        return [receipt(status, sid, number(code))]

    def read_replies(self, callback: Callback) -> list[PhoneReply]:
        """What a phone wrote; nothing where no text came. Raises Forged."""
        fields = self._signed(callback)
        sid, sender = fields.get("MessageSid", ""), fields.get("From", "")
        if not SID.fullmatch(sid) or not sender:
            raise Forged("signed, but the fields are not those of a message")
        if "Body" not in fields:
            return []
        address = f"tel:{sender}" if TELEPHONE.fullmatch(f"tel:{sender}") else sender
        return [PhoneReply(sender=address, text=fields["Body"], ref=sid)]

    def _signed(self, callback: Callback) -> Mapping[str, str]:
        """The fields of a callback that is Twilio's. The settings, not the request, say how it must be signed."""
        if callback.method != "POST":
            raise Forged("not a POST")
        algorithm = "HMAC_SHA256" if self._key else "HMAC_SHA1"
        if get_signature_algorithm(callback.headers.get(SIGNED_HOW)) != algorithm:
            raise Forged("signed in another way than the settings say")
        fields, signature = _fields(callback), callback.headers.get(SIGNATURE, "")
        if not signature or not self._validator.validate(callback.url, fields, signature, algorithm):
            raise Forged("the signature does not fit the address and the fields")
        if fields.get("AccountSid") != self._account:
            raise Forged("signed for another account")
        return fields

    def look_up(self, message: Message, since: int) -> Receipt | None:
        """The only message with this text to this number since then. None: none, several, or nobody could be asked."""
        try:
            return self._wire.once(lambda: self._search(message, since))
        except Exception:  # whatever Twilio or its SDK made of it: its text may hold the address and the number
            return None

    async def _search(self, message: Message, since: int) -> Receipt | None:
        after = datetime.fromtimestamp(since / 1000, UTC) - CLOCKS_DIFFER
        page: Any = await self._client.messages.page_async(
            to=message.to.partition(":")[2], date_sent_after=after, page_size=PAGE
        )
        found: dict[str, Any] = {}
        for turn in range(MOST_PAGES):
            page = await page.next_page_async() if turn else page
            found |= {one.sid: one for one in page if _is(one, message, after)}
            if not page.next_page_url:
                break
        else:
            return None
        if len(found) != 1:  # two of the same words: nothing says which is which
            return None
        ((sid, one),) = found.items()
        updated = one.date_updated
        at = int(updated.timestamp() * 1000) if isinstance(updated, datetime) else None
        return receipt(str(one.status), sid, number(one.error_code), at)

    def health(self) -> Health:
        """The account's balance. Not ok: refused, not reached, or an answer that is none."""
        try:
            told: Any = self._wire.once(self._client.balance.fetch_async)
            balance = None if told.balance is None else float(told.balance)
        except Unanswered as error:
            return Health(False, error.answer.reason)
        except Exception as error:  # its text may hold the address, and that the account
            status = getattr(error, "status", None)
            return Health(False, f"http-{status}" if isinstance(status, int) else "reply-unreadable")
        if told.account_sid != self._account or (balance is not None and not math.isfinite(balance)):
            return Health(False, "reply-unreadable")
        return Health(True, balance=balance, currency=str(told.currency or ""))


class _Carrier(AsyncHttpClient):  # type: ignore[misc]  # the SDK tells no types
    """The SDK's requests over our connections. Its own client logs addresses, and keeps the last request with its token."""

    def __init__(self, wire: Wire, base: URL, headers: Mapping[str, str]) -> None:
        super().__init__(None, True)
        self._wire, self._base, self._headers = wire, base, headers

    async def request(self, method: str, uri: str, params: Any = None, **_: object) -> Response:
        """Raises Unanswered; ValueError where a page names another host, which must not see the token."""
        url = URL(f"{uri}?{urlencode(params)}" if params else uri, encoded=True)
        if url.origin() != self._base.origin():
            raise ValueError("another host")
        reply = await self._wire.request(method, url, self._headers, most=MOST_PAGE_BYTES)
        return Response(reply.status, reply.body.decode("utf-8", "replace"))


def _is(one: Any, message: Message, after: datetime) -> bool:
    """Whether a message that Twilio lists may be this one."""
    if not isinstance(one.sid, str) or not SID.fullmatch(one.sid) or not isinstance(one.date_created, datetime):
        return False
    same = one.body == message.text and one.to == message.to.partition(":")[2]
    return same and str(one.direction).startswith("outbound") and one.date_created >= after


def _fields(callback: Callback) -> Mapping[str, str]:
    """Fields of the form. Empty ones are signed too, and a name that comes twice could be read as either."""
    if not callback.body:
        return callback.form
    try:
        pairs = parse_qsl(callback.body.decode(), keep_blank_values=True, max_num_fields=200)
    except ValueError:
        raise Forged("not a form") from None
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise Forged("a field comes twice")
    return fields


@lru_cache(maxsize=64)  # most of a campaign's messages have the same words
def _quoted(text: str) -> str:
    return quote_plus(text)


def _address(address: str) -> URL:
    url = base_url(address)
    if url.scheme != "https" and url.host not in ("127.0.0.1", "::1", "localhost"):
        raise ChannelError("Twilio's address must begin with https://: the token goes with every request")
    return url


def _sender(told: Mapping[str, str]) -> str:
    """The form's fields for who sends. Raises ChannelError."""
    sender, service = told.get("sender", ""), told.get("service", "")
    if service and not SERVICE.fullmatch(service):
        raise ChannelError("BROADCASTER_TWILIO_SERVICE must be MG and 32 hexadecimal digits")
    if sender and not SENDER.fullmatch(sender):
        raise ChannelError("BROADCASTER_TWILIO_SENDER must be a number as +1..., a short code, or a name of 11 letters")
    given = {"MessagingServiceSid": service, "From": sender}
    if not service and not sender:
        raise ChannelError("Twilio needs BROADCASTER_TWILIO_SENDER or BROADCASTER_TWILIO_SERVICE")
    return urlencode({name: value for name, value in given.items() if value})
