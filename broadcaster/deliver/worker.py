"""One chunk after another: claim a window, send it, record what came of it. The claim is written before the send."""

import json
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from threading import Event

import structlog
from sqlalchemy import Connection

from broadcaster.bus import Bus, Record
from broadcaster.deliver import pace
from broadcaster.deliver.outlets import outlet
from broadcaster.deliver.records import read_chunk_record
from broadcaster.installation import Installation
from broadcaster.model import PRIORITY, BadInput, CampaignState, Category, Outcome, Unavailable
from broadcaster.quiet_hours import promotion_hours
from broadcaster.store import delivering, feeds, recording
from broadcaster.store.clock import now_ms
from broadcaster.store.counters import Turn, counting
from broadcaster.store.delivering import CampaignNow, ChunkRow, Claimed
from broadcaster.store.recording import Held, Result
from broadcaster.store.records import bury
from broadcaster.suppression import classes_for
from channels.base import Answer, AnswerWord, Channel, Message

log = structlog.get_logger(__name__)

PULL_WINDOW = 500  # claimed, put into feeds and recorded in one transaction: a kill leaves nothing of it in doubt
SUB_BATCH = 50  # a window of a network channel looks again whether its campaign still runs before each so many requests
LEASE_MARGIN = 0.8  # of the lease; past it nothing more of a window is sent, since the sweep may judge it soon


@dataclass(frozen=True, slots=True)
class Window:
    """Deliveries under one lease, and what their campaign was when they were claimed."""

    lease: int
    campaign: CampaignNow
    rows: list[Claimed]
    until: float  # monotonic


@dataclass(frozen=True, slots=True)
class Sent:
    """A window and its answers, in the same order; not yet recorded."""

    window: Window
    answers: list[Answer]
    provider: str


@dataclass(frozen=True, slots=True)
class Pass:
    """How far one pass over a chunk has come. Its owner is named anew for each, so that its claims are told from all others."""

    chunk: ChunkRow
    owner: str
    at: int
    sent: Sent | None = None  # the last window and its answers, to be recorded with the next claim


@dataclass(frozen=True, slots=True)
class Step:
    """What one transaction came to: a window to send (none: nothing there, or a feed that holds it already), and what is next."""

    window: Window | None
    at: int


AWAY_SECONDS = 2.0  # between tries while the database is away
NOT_SENT = Answer(AnswerWord.RETRY, reason="not-sent", after_s=0.0)


class Worker:
    """Takes chunk records of its topics and carries them out. One thread each."""

    def __init__(self, inst: Installation, bus: Bus, topics: Sequence[str], name: str) -> None:
        self.inst, self.bus, self.topics, self.name = inst, bus, list(topics), name
        self._outlets: dict[tuple[str, str], Channel] = {}
        self._pieces: dict[int, dict[int, list[str]]] = {}
        self._stop = Event()

    def run(self, stop: Event) -> None:
        """Works until told to stop; what is under way is finished and recorded first."""
        self._stop = stop
        try:
            while not stop.is_set():
                if not self.step():
                    stop.wait(self.inst.settings.poll_seconds)
        finally:
            for channel in self._outlets.values():
                channel.close()

    def step(self) -> bool:
        """Takes one record and carries it out. False where there was none."""
        taken = self.bus.take(self.topics, self.name, 1)
        for record in taken:
            self._carry_out(record)
        return bool(taken)

    def _carry_out(self, record: Record) -> None:
        try:
            chunk_id = read_chunk_record(self.inst.keys, record)
        except BadInput as error:
            log.warning("record_refused", code=error.code, topic=record.topic, position=record.position)
            where, code = f"{record.topic}/{record.position}", error.code
            self.inst.store.transact(lambda conn: bury(conn, where, code, record.value, now_ms(conn)))
        else:
            with self.inst.store.read() as conn:
                chunk = delivering.chunk_row(conn, chunk_id)
            if chunk and not chunk.finished:
                self.chunk(chunk)
        self.bus.done([record])

    def chunk(self, chunk: ChunkRow) -> None:
        """All windows of a chunk. A window's outcomes are recorded in the transaction that claims the next one."""
        self._start(chunk)
        going = Pass(chunk, f"{self.name}/{secrets.token_hex(4)}", chunk.first)
        while step := self._durably(going):
            sent = self._send(chunk, step.window) if step.window else None
            going = replace(going, at=step.at, sent=sent)
        self._end(chunk)

    def _start(self, chunk: ChunkRow) -> None:
        with self.inst.store.read() as conn:
            starts = delivering.starts(conn, chunk.campaign_id)
        if starts:
            self.inst.store.transact(lambda conn: delivering.mark_running(conn, chunk.campaign_id, now_ms(conn)))

    def _end(self, chunk: ChunkRow) -> None:
        with self.inst.store.read() as conn:
            quiet = chunk.campaign_id in delivering.quiet_campaigns(conn)
        if quiet:
            self.inst.store.transact(lambda conn: delivering.end_campaign(conn, chunk.campaign_id, now_ms(conn)))

    def _durably(self, going: Pass) -> Step | None:
        """The next transaction of a pass. While the database is away the answers of the last window wait here, not in doubt."""
        doubt = False
        while True:
            try:
                return self.inst.store.transact(lambda conn: self._turn(conn, going, doubt))  # noqa: B023  run at once
            except Unavailable as error:
                log.warning("worker_waits", code=error.code, message=error.message)
                if self._stop.wait(AWAY_SECONDS):
                    raise
            doubt = True  # the commit may have come through before its answer was lost

    def _turn(self, conn: Connection, going: Pass, doubt: bool) -> Step | None:
        """Records the last window and claims the next. May be run again: it keeps nothing but what it returns."""
        chunk, now = going.chunk, now_ms(conn)
        with counting(conn, chunk.campaign_id, self.name) as turn:
            if doubt:
                delivering.release(turn, going.owner, going.sent.window.lease if going.sent else 0)
            if going.sent:
                self._record(turn, going.sent, now)
            if self._silent(conn, chunk, now):
                return None
            campaign = delivering.campaign_now(conn, chunk.campaign_id)
            start = self._next(turn, campaign, going, now)
            if campaign is None or start is None:
                delivering.close_chunk(conn, chunk, now)
                return None
            pull = chunk.channel in ("loudspeaker", "billboard")
            span = (start, min(chunk.last, start + self._size(chunk, pull) - 1))
            window = self._claim(turn, going, campaign, span)
            if window and pull:
                self._publish(turn, window)
                window = None
        return Step(window, span[1] + 1)

    def _silent(self, conn: Connection, chunk: ChunkRow, now: int) -> bool:
        """Quiet hours have begun since the approval: the rest of a promotion waits for the morning."""
        if chunk.lane != Category.PROMOTION:
            return False
        opens = promotion_hours(self.inst.settings, now)
        if opens <= now:
            return False
        delivering.reopen_chunk(conn, chunk.id, opens)
        return True

    def _size(self, chunk: ChunkRow, pull: bool) -> int:
        return PULL_WINDOW if pull else self.inst.settings.window(chunk.lane)

    def _next(self, turn: Turn, campaign: CampaignNow | None, going: Pass, now: int) -> int | None:
        if campaign is None or self._stop.is_set() or going.at > going.chunk.last:
            return None
        rest = (going.at, going.chunk.last)
        if campaign.state == CampaignState.CANCELLED:
            delivering.label(turn, rest, Outcome.CANCELLED, "campaign-cancelled")
        if not campaign.sendable:
            return None
        if campaign.expires_at <= now:
            delivering.label(turn, rest, Outcome.EXPIRED, "campaign-expired")
            return None
        return delivering.next_waiting(turn.conn, campaign.id, rest, now)

    def _claim(self, turn: Turn, going: Pass, campaign: CampaignNow, span: tuple[int, int]) -> Window | None:
        seconds = self.inst.settings.lease_seconds
        started, now = time.monotonic(), now_ms(turn.conn)
        delivering.suppress(turn, span, classes_for(campaign.category))
        lease = delivering.new_lease(turn.conn, going.chunk, span, going.owner, now + int(seconds * 1000))
        rows = delivering.claim(turn, lease, span, now)
        if not rows:
            delivering.end_lease(turn.conn, lease)
            return None
        return Window(lease, campaign, rows, started + seconds * LEASE_MARGIN)

    def _send(self, chunk: ChunkRow, window: Window) -> Sent:
        channel = self._outlet(window.campaign.mode, chunk.channel)
        try:
            messages = self._messages(window)
        except Unavailable:  # the wordings could not be read: nobody was sent anything
            return Sent(window, [NOT_SENT] * len(window.rows), channel.settings.provider)
        if channel.settings.provider == "spool":
            return Sent(window, channel.send(messages), "spool")
        answers: list[Answer] = []
        for start in range(0, len(messages), SUB_BATCH):
            if not self._goes_on(window, fresh=start == 0):
                answers.extend(NOT_SENT for _ in messages[start:])
                break
            answers.extend(channel.send(messages[start : start + SUB_BATCH]))
        return Sent(window, answers, channel.settings.provider)

    def _goes_on(self, window: Window, fresh: bool) -> bool:
        if time.monotonic() > window.until:
            return False
        if fresh:
            return True
        try:
            with self.inst.store.read() as conn:
                return delivering.still(conn, window.campaign.id, window.campaign.epoch)
        except Unavailable:  # it may have been cancelled; the answers that are there are kept
            return False

    def _messages(self, window: Window) -> list[Message]:
        campaign = window.campaign
        wordings = self._wordings(campaign.id)
        open_address = self.inst.keys.open_address
        return [
            Message(
                delivery=f"{campaign.id}-{row.n}-{row.token}",
                to=open_address(row.address_sealed),
                text=_filled(wordings[row.wording_id], row.slots),
                parts=row.parts,
                expires_at=campaign.expires_at,
                mode=campaign.mode,
                category=campaign.category,
            )
            for row in window.rows
        ]

    def _record(self, turn: Turn, sent: Sent, now: int) -> None:
        window = sent.window
        held = Held(window.lease, sent.provider)
        stands = delivering.end_lease(turn.conn, window.lease)
        usual = all(a.word is AnswerWord.ACCEPTED and a.ref is None for a in sent.answers)
        if stands and usual:
            recording.record_accepted(turn, held, window.rows, now)
            return
        results = [
            self._result(window.campaign, row, answer, now)
            for row, answer in zip(window.rows, sent.answers, strict=True)
        ]
        taken = recording.record_results(turn, held, results, now)
        if taken < len(results):
            log.warning("window_judged_before_its_answer", campaign_id=window.campaign.id, late=len(results) - taken)

    def _result(self, campaign: CampaignNow, row: Claimed, answer: Answer, now: int) -> Result:
        said = (answer.word.value, answer.ref, answer.reason or None, answer.detail or None)
        match answer.word:
            case AnswerWord.ACCEPTED:
                return Result(row.n, Outcome.ACCEPTED, *said)
            case AnswerWord.FAILED:
                return Result(row.n, Outcome.FAILED, *said)
            case AnswerWord.SUPPRESSED:
                return Result(row.n, Outcome.SUPPRESSED, *said)
            case AnswerWord.UNCERTAIN if campaign.category != Category.EMERGENCY:
                return Result(row.n, Outcome.UNKNOWN, *said)
            case AnswerWord.CONFIG_ERROR:
                log.error("channel_stopped", provider_reason=answer.reason, campaign_id=campaign.id)
                return Result(row.n, Outcome.WAITING, *said, due_at=now + int(pace.STOPPED_SECONDS * 1000))
        return self._again(campaign, row, answer, now)

    def _again(self, campaign: CampaignNow, row: Claimed, answer: Answer, now: int) -> Result:
        said = (answer.word.value, answer.ref, answer.reason or None, answer.detail or None)
        if answer is NOT_SENT:
            return Result(row.n, Outcome.WAITING, *said, due_at=now)
        if row.attempt >= self.inst.settings.max_attempts:
            ended = Outcome.UNKNOWN if answer.word is AnswerWord.UNCERTAIN else Outcome.FAILED
            return Result(row.n, ended, answer.word.value, answer.ref, "retries-exhausted", answer.detail or None)
        due = now + pace.pause_ms(self.inst.settings, row.attempt, answer.after_s)
        return Result(row.n, Outcome.WAITING, *said, due_at=min(due, campaign.expires_at))

    def _publish(self, turn: Turn, window: Window) -> None:
        campaign, now = window.campaign, now_ms(turn.conn)
        priority = PRIORITY[Category(campaign.category)]
        head = (campaign.id, campaign.mode, priority, now, campaign.expires_at)
        items = [feeds.NewItem(row.recipient_id, row.n, row.wording_id) for row in window.rows]
        there = feeds.put(turn.conn, head, items, now)
        delivering.end_lease(turn.conn, window.lease)
        held = Held(window.lease, "feed")
        rows = [row for row in window.rows if row.recipient_id in there]
        if len(rows) == len(window.rows):
            recording.record_accepted(turn, held, rows, now)
        else:
            results = [_feed_result(row, row.recipient_id in there, campaign.mode) for row in window.rows]
            recording.record_results(turn, held, results, now)
        recording.add_published(turn, window.lease, rows)

    def _outlet(self, mode: str, kind: str) -> Channel:
        if (mode, kind) not in self._outlets:
            self._outlets[mode, kind] = outlet(self.inst, mode, kind)
        return self._outlets[mode, kind]

    def _wordings(self, campaign_id: int) -> dict[int, list[str]]:
        if campaign_id not in self._pieces:
            with self.inst.store.read() as conn:
                rows = delivering.wordings_of(conn, campaign_id)
            if len(self._pieces) >= 16:
                self._pieces.clear()
            self._pieces[campaign_id] = {row.id: json.loads(row.pieces) for row in rows}
        return self._pieces[campaign_id]


def _filled(pieces: list[str], slots: str | None) -> str:
    if slots is None:
        return pieces[0]
    out = [pieces[0]]
    for value, piece in zip(json.loads(slots), pieces[1:], strict=True):
        out.append(value)
        out.append(piece)
    return "".join(out)


def _feed_result(row: Claimed, there: bool, mode: str) -> Result:
    if there:
        return Result(row.n, Outcome.ACCEPTED)
    if mode == "exercise":
        return Result(row.n, Outcome.SUPPRESSED, "suppressed", reason="no-exercise-device")
    return Result(row.n, Outcome.FAILED, "failed", reason="device-not-enrolled")
