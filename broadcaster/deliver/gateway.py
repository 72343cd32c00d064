"""A gateway that pulls: it claims windows of SMS under a lease and reports what came of them. The laws are those of a worker."""

import hmac
import json
import re
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from sqlalchemy import Connection

from broadcaster.deliver import claiming
from broadcaster.deliver.messages import NOT_SENT, Messages
from broadcaster.deliver.outlets import PULL_GATEWAY
from broadcaster.deliver.sending import Sent, Window, results
from broadcaster.installation import Installation
from broadcaster.model import BadInput, CampaignState, Category, Outcome, Refused
from broadcaster.people import check
from broadcaster.policy import User
from broadcaster.quiet_hours import promotion_hours
from broadcaster.store import delivering, pulling, receipts, recording, windows
from broadcaster.store.clock import now_ms, rfc3339
from broadcaster.store.counters import counting
from broadcaster.store.delivering import CampaignNow, ChunkRow, Claimed
from broadcaster.store.receipts import Receipt
from broadcaster.store.recording import Held
from channels.base import Answer, AnswerWord, Message

log = structlog.get_logger(__name__)

MOST = 1000  # messages of one claim, and results of one report
LOOKED_AT = 50  # chunks that one claim looks through
WORD_MOST = 200
# What a gateway may say of a message. The last two come after `accepted`, or in place of it.
ANSWERS = ("accepted", "retry", "uncertain", "failed", "suppressed")
LATER = ("delivered", "expired")
_NAME = re.compile(r"([0-9]{1,9})-([0-9]{1,9})-([A-Za-z0-9_-]{1,64})")
_LEASE = re.compile(r"([0-9]{1,18})-([0-9a-f]{32})")


def claim(inst: Installation, user: User, channel: str, limit: int) -> dict[str, Any]:
    """{"lease", "until", "messages": [{"delivery", "to", "text", "parts", "expires", "category"}]}; lease None: nothing is due.

    The most urgent lane first. At most the lane's window, whatever `limit` says: what a dead gateway leaves in doubt.
    Raises Refused, BadInput.
    """
    check(user, "gateway.claim")
    if channel != "sms":
        raise BadInput("gateway-channel", f"{channel!r}: gateways that pull carry sms")
    if inst.settings.sms_provider != PULL_GATEWAY:
        raise Refused("gateway-off", "SMS are carried by another provider; set BROADCASTER_SMS_PROVIDER=pull")
    if not 1 <= limit <= MOST:
        raise BadInput("gateway-limit", f"limit is {limit}: give 1 to {MOST}")
    owner = f"gateway/{user.login}/{secrets.token_hex(4)}"
    for chunk, state in _claimable(inst):
        if state == CampaignState.APPROVED:
            inst.store.transact(lambda conn: delivering.mark_running(conn, chunk.campaign_id, now_ms(conn)))  # noqa: B023
        window = _claimed(inst, chunk, owner, limit)
        if window:
            return _told(inst, user, window)
    return {"lease": None, "until": None, "messages": []}


def report(inst: Installation, user: User, lease: str, found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Takes what a gateway says: [{"delivery", "outcome", "ref"?, "reason"?}]. May come in portions, twice, and late.

    `outcome` is one of ANSWERS or LATER. Returns {"recorded", "ignored", "open"}: ignored = known already, judged otherwise
    meanwhile, or not of this lease; open = messages of the lease that nothing was said of yet. Raises BadInput, Refused.
    """
    check(user, "gateway.claim")
    number = _lease_number(inst, user, lease)
    if len(found) > MOST:
        raise BadInput("gateway-report", f"{len(found)} results: at most {MOST} at once")
    said = [_said(index, each) for index, each in enumerate(found)]
    return inst.store.transact(lambda conn: _report(conn, inst, number, said))


def _claimable(inst: Installation) -> list[tuple[ChunkRow, str]]:
    with inst.store.read() as conn:
        now = now_ms(conn)
        night = promotion_hours(inst.settings, now) > now
        lanes = [lane for lane in Category if not (night and lane is Category.PROMOTION)]
        return pulling.claimable(conn, "sms", now, lanes, LOOKED_AT)


def _claimed(inst: Installation, chunk: ChunkRow, owner: str, limit: int) -> Window | None:
    """A window of a chunk. Rows that another claim holds are passed over; a chunk with nothing left is closed."""
    size, at = min(limit, inst.settings.window(chunk.lane)), chunk.first
    while True:
        window, at = inst.store.transact(lambda conn: _turn(conn, inst, chunk, owner, (at, size)))  # noqa: B023  run at once
        if window or at > chunk.last:
            return window


def _turn(
    conn: Connection, inst: Installation, chunk: ChunkRow, owner: str, where: tuple[int, int]
) -> tuple[Window | None, int]:  # fmt: skip
    at, size = where
    with counting(conn, chunk.campaign_id, owner) as turn:
        seen = windows.look(turn, (at, chunk.last), now_ms(conn), None)
        start = claiming.next_due(turn, seen, (at, chunk.last))
        if start is None or seen.campaign is None:
            delivering.close_chunk(conn, chunk, seen.now)
            return None, chunk.last + 1
        span = (start, min(chunk.last, start + size - 1))
        lease, rows = claiming.claim(turn, chunk, (owner, inst.settings.gateway_lease_seconds), seen, span)
    return (Window(lease, seen.campaign, rows, seen.asked, PULL_GATEWAY) if rows else None), span[1] + 1


def _told(inst: Installation, user: User, window: Window) -> dict[str, Any]:
    campaign, zone = window.campaign, inst.settings.timezone
    made = Messages(inst).made(campaign, window.rows, lambda _delivery: "")
    broken = [(row, answer) for row, answer in zip(window.rows, made, strict=True) if isinstance(answer, Answer)]
    if broken:  # our own fault: nobody else will report it
        sent = Sent(_part(window, [row for row, _ in broken]), [answer for _, answer in broken], PULL_GATEWAY)
        inst.store.transact(lambda conn: _record(conn, inst, sent))
    with inst.store.read() as conn:
        until = now_ms(conn) + int(inst.settings.gateway_lease_seconds * 1000)
    expires = rfc3339(campaign.expires_at, zone)
    return {
        "lease": f"{window.lease}-{_mac(inst, user, window.lease)}",
        "until": rfc3339(until, zone),
        "messages": [
            {
                "delivery": each.delivery,
                "to": each.to,
                "text": each.text,
                "parts": each.parts,
                "expires": expires,
                "category": each.category,
            }
            for each in made
            if isinstance(each, Message)
        ],
    }


def _report(
    conn: Connection, inst: Installation, lease: int, said: Sequence[tuple[tuple[int, int, str], str, Answer]]
) -> dict[str, Any]:
    now, standing = now_ms(conn), pulling.held(conn, lease)
    campaigns = {name[0] for name, _, _ in said} | ({standing[0]} if standing else set())
    if len(campaigns) > 1:
        raise BadInput("gateway-report", "a lease is of one campaign; the report names several")
    if not campaigns:
        return {"recorded": 0, "ignored": 0, "open": 0}
    (campaign_id,) = campaigns
    words = {name[1]: (name[2], word, answer) for name, word, answer in said}
    rows = [
        (outcome, row)
        for outcome, row in pulling.rows_of(conn, campaign_id, lease, list(words))
        if words[row.n][0] == row.token
    ]
    campaign = windows.campaign_now(conn, campaign_id)
    if campaign is None:
        return {"recorded": 0, "ignored": len(said), "open": 0}
    taken = _answers(conn, inst, (lease, campaign), rows, words)
    taken += _receipts(conn, campaign_id, rows, words, now)
    return {"recorded": taken, "ignored": len(said) - taken, "open": _ended(conn, lease, standing, now)}


Words = Mapping[int, tuple[str, str, Answer]]


def _answers(
    conn: Connection, inst: Installation, of: tuple[int, CampaignNow], rows: Sequence[tuple[str, Claimed]], words: Words
) -> int:
    """Answers for rows that have none yet, also where the sweep has judged them meanwhile. Returns how many."""
    open_ = [row for outcome, row in rows if outcome in (Outcome.SENDING, Outcome.UNKNOWN, Outcome.WAITING)]
    if not open_:
        return 0
    sent = Sent(Window(of[0], of[1], open_, 0.0, PULL_GATEWAY), [words[row.n][2] for row in open_], PULL_GATEWAY)
    return _record(conn, inst, sent)


def _receipts(conn: Connection, campaign_id: int, rows: Sequence[tuple[str, Claimed]], words: Words, now: int) -> int:
    """What is said of messages later than their answer, or with it. Returns how many had their answer before."""
    told, late = [], 0
    for outcome, row in rows:
        token, word, answer = words[row.n]
        answered = outcome in (Outcome.ACCEPTED, Outcome.DELIVERED, Outcome.FAILED, Outcome.EXPIRED)
        if word in LATER or (answered and word == "failed"):
            key = f"{campaign_id}-{row.n}-{token}/{word}/{answer.ref or ''}"
            raw = json.dumps({"said": word, "detail": ""})
            told.append(
                Receipt(PULL_GATEWAY, key, campaign_id, row.n, word, None, raw, answer.reason, answer.ref or "")
            )
            late += answered
    receipts.store(conn, told, now)
    return late


def _record(conn: Connection, inst: Installation, sent: Sent) -> int:
    now, window = now_ms(conn), sent.window
    with counting(conn, window.campaign.id, "gateway") as turn:
        return recording.record_results(turn, Held(window.lease, PULL_GATEWAY), results(inst, sent, now), now)


def _ended(conn: Connection, lease: int, standing: tuple[int, int] | None, now: int) -> int:
    """Ends a lease of which everything was reported, and its chunk where nothing waits. Returns what is still open."""
    if standing is None:
        return 0
    campaign_id, chunk_id = standing
    left = pulling.open_under(conn, campaign_id, lease, pulling.span_of(conn, lease))
    if not left:
        windows.end_lease(conn, lease)
        chunk = delivering.chunk_row(conn, chunk_id)
        if chunk:
            delivering.close_chunk(conn, chunk, now)
    return left


def _part(window: Window, rows: list[Claimed]) -> Window:
    return Window(window.lease, window.campaign, rows, window.claimed, PULL_GATEWAY)


def _said(index: int, told: Mapping[str, Any]) -> tuple[tuple[int, int, str], str, Answer]:
    name, word = _NAME.fullmatch(str(told.get("delivery"))), str(told.get("outcome"))
    if name is None:
        raise BadInput("gateway-report", f"result {index}: delivery is the name that the claim gave")
    if word not in (*ANSWERS, *LATER):
        raise BadInput("gateway-report", f"result {index}: outcome is one of {', '.join((*ANSWERS, *LATER))}")
    ref, reason = (str(told.get(key) or "")[:WORD_MOST] for key in ("ref", "reason"))
    answer = Answer(AnswerWord.ACCEPTED if word in LATER else AnswerWord(word), ref=ref or None, reason=reason)
    return (int(name[1]), int(name[2]), name[3]), word, NOT_SENT if word == "retry" and not reason else answer


def _mac(inst: Installation, user: User, lease: int) -> str:
    return inst.keys.address_hmac(f"lease/{user.id}/{lease}")


def _lease_number(inst: Installation, user: User, lease: str) -> int:
    found = _LEASE.fullmatch(lease)
    if found is None or not hmac.compare_digest(found[2], _mac(inst, user, int(found[1]))):
        raise BadInput("gateway-lease", "lease is what a claim of this gateway gave")
    return int(found[1])
