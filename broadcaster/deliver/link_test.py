"""The link test: one real message over a live provider to the operator's own phone, outside campaigns and their counts.

It is called "0-<n>-<token>": campaign 0 is none, so that its receipts come in at the same doors, are checked in the same way, are
kept as receipts of a test, and move nothing.
"""

import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from threading import Event
from typing import Any

from sqlalchemy import Connection

from broadcaster import audit
from broadcaster.deliver import callbacks
from broadcaster.deliver.outlets import PULL_GATEWAY, outlet, providers_of
from broadcaster.installation import Installation
from broadcaster.logs import mask
from broadcaster.model import BadInput, Category, Mode, Outcome, Refused
from broadcaster.people import check
from broadcaster.policy import User
from broadcaster.store import link_test as stored
from broadcaster.store import suppression
from broadcaster.store.clock import now_ms, rfc3339
from broadcaster.store.link_test import ACTION, Heard
from broadcaster.store.receipts import NO_CAMPAIGN
from channels.base import Answer, AnswerWord, Message
from channels.sms import Sms, decorate

AN_HOUR = 5  # tests of one person: each is paid for, and goes to a phone that nobody has verified
HOUR_MS = 3_600_000
VALID_MS = 10 * 60_000
LONGEST_WAIT_S = 300.0
POLL_S = 1.0
FINAL = (Outcome.DELIVERED, Outcome.FAILED, Outcome.EXPIRED)
CODE_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"  # without those that look alike


@dataclass(frozen=True, slots=True)
class LinkTest:
    """A test message that was sent, and what the provider answered. `sent_at` in ms; `reports`: a receipt is to be expected."""

    name: str
    provider: str
    to: str
    code: str
    text: str
    parts: int
    sent_at: int
    reports: bool
    answer: Answer

    @property
    def accepted(self) -> bool:
        """Whether the provider took it."""
        return self.answer.word is AnswerWord.ACCEPTED


def send(inst: Installation, user: User, to: str, signature: str, provider: str = "") -> LinkTest:
    """Sends a test to a number in E.164 ("+8613…") over a provider of the settings, empty = the first.

    Raises Refused: not this person's to do, too many lately, a number that must never be sent to, a gateway that pulls; BadInput
    for a provider that the settings do not have, or where there is no signature; ChannelError where its settings do not fit.
    """
    check(user, "gateway.test")
    name = _provider(inst, provider)
    if not signature:
        raise BadInput("link-test-signature", "no template set has a signature: SMS in China is refused without one")
    channel = outlet(inst, Mode.LIVE, "sms", name)
    try:
        address, code = f"tel:{to}", "".join(secrets.choice(CODE_LETTERS) for _ in range(4))
        delivery = f"{NO_CAMPAIGN}-{secrets.randbelow(999_999_999) + 1}-{secrets.token_urlsafe(12)}"
        told = {"provider": name, "to": mask(to), "code": code}
        now = inst.store.transact(lambda conn: _allowed(conn, inst, user, address, told))
        text = decorate(f"线路测试 {code}，收到请忽略。", signature)
        message = Message(
            delivery=delivery,
            to=address,
            text=text,
            parts=Sms.measure(text).parts,
            expires_at=now + VALID_MS,
            mode=Mode.LIVE,
            category=Category.NOTICE,
            callback=callbacks.addresses(inst, channel)(delivery),
        )
        (answer,) = channel.send([message])
        reports = channel.has_receipts and bool(inst.settings.public_url)
        return LinkTest(delivery, name, to, code, text, message.parts, now, reports, answer)
    finally:
        channel.close()


def receipt(inst: Installation, test: LinkTest, wait_s: float, stop: Event | None = None) -> dict[str, Any] | None:
    """The newest receipt of a test, waited for until it is final: {"word", "said", "reason", "at", "received", "seconds"}.

    None: none came. Returns at once where none is to be expected.
    """
    key = (inst.keys.address_key(f"tel:{test.to}").hex(), test.answer.ref or "")
    ends = time.monotonic() + min(wait_s, LONGEST_WAIT_S)
    while test.accepted and test.reports:
        with inst.store.read() as conn:
            found = stored.heard(conn, test.name, key, test.sent_at)
        final = [each for each in found if each.word in FINAL]
        if final or time.monotonic() >= ends or (stop and stop.is_set()):
            if not found:
                return None
            newest = (final or found)[-1]
            return {**_told(inst, newest), "seconds": round((newest.received_at - test.sent_at) / 1000, 1)}
        time.sleep(min(POLL_S, max(0.0, ends - time.monotonic())))
    return None


def later(inst: Installation, user: User, name: str) -> list[dict[str, Any]]:
    """What came within an hour about a test of this name: {"word", "said", "reason", "at", "received"}. Raises Refused."""
    check(user, "gateway.test")
    with inst.store.read() as conn:
        found = stored.heard(conn, name, ("", ""), now_ms(conn) - HOUR_MS)
    return [_told(inst, each) for each in found]


def as_json(inst: Installation, test: LinkTest, heard: dict[str, Any] | None) -> dict[str, Any]:
    """What a script reads of a test. `to_file`: nothing left this machine."""
    answer = test.answer
    return {
        "test": test.name,
        "provider": test.provider,
        "to": mask(test.to),
        "code": test.code,
        "text": test.text,
        "parts": test.parts,
        "sent": rfc3339(test.sent_at, inst.settings.timezone),
        "to_file": str(inst.settings.spool_file) if test.provider == "spool" else None,
        "answer": {"word": answer.word.value, "ref": answer.ref, "reason": answer.reason, "detail": answer.detail},
        "receipt_expected": test.accepted and test.reports,
        "receipt": heard,
    }


def _provider(inst: Installation, wanted: str) -> str:
    names = providers_of(inst.settings, Mode.LIVE, "sms")
    name = wanted or names[0]
    if name not in names:
        raise BadInput("link-test-provider", f"{name!r} carries no SMS here; the settings have {' and '.join(names)}")
    if name == PULL_GATEWAY:
        raise Refused("link-test-pull", "a gateway fetches the SMS itself: send the test message from there")
    return name


def _allowed(conn: Connection, inst: Installation, user: User, address: str, told: Mapping[str, object]) -> int:
    """Writes the test into the audit, whose lock keeps two of them from being counted as one. Returns the time, ms."""
    if "never" in suppression.classes_of(conn, inst.keys.address_key(address)):
        raise Refused("link-test-never", "this number must never be sent to")
    audit.record(conn, user.login, ACTION, "gateway/sms", told)
    now = now_ms(conn)
    if stored.made_by(conn, user.login, now - HOUR_MS) > AN_HOUR:
        raise Refused("link-test-often", f"{user.login} has sent {AN_HOUR} test messages within an hour: wait a while")
    return now


def _told(inst: Installation, heard: Heard) -> dict[str, Any]:
    zone = inst.settings.timezone
    return {
        "word": heard.word,
        "said": str(json.loads(heard.raw).get("said", "")),
        "reason": heard.reason,
        "at": rfc3339(heard.at, zone),
        "received": rfc3339(heard.received_at, zone),
    }
