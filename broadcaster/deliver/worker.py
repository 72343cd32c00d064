"""One chunk after another: claim a window, send it, record what came of it. The claim is written before the send."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Event

import structlog
from sqlalchemy import Connection

from broadcaster.bus import Bus, Record
from broadcaster.deliver import pace
from broadcaster.deliver.outlets import outlet
from broadcaster.deliver.records import read_chunk_record
from broadcaster.installation import Installation
from broadcaster.model import PRIORITY, BadInput, CampaignState, Category, Outcome
from broadcaster.quiet_hours import promotion_hours
from broadcaster.store import delivering, feeds
from broadcaster.store.clock import now_ms
from broadcaster.store.delivering import CampaignNow, ChunkRow, Claimed, Held, Result
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
        while not stop.is_set():
            if not self.step():
                stop.wait(self.inst.settings.poll_seconds)
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
            with self.inst.store.write() as conn:
                bury(conn, f"{record.topic}/{record.position}", error.code, record.value, now_ms(conn))
        else:
            with self.inst.store.read() as conn:
                chunk = delivering.chunk_row(conn, chunk_id)
            if chunk and not chunk.finished:
                self.chunk(chunk)
        self.bus.done([record])

    def chunk(self, chunk: ChunkRow) -> None:
        """All windows of a chunk. A window's outcomes are recorded in the transaction that claims the next one."""
        pull = chunk.channel in ("loudspeaker", "billboard")
        sent: Sent | None = None
        at = chunk.first
        while True:
            with self.inst.store.write() as conn:
                now = now_ms(conn)
                if sent:
                    self._record(conn, sent, now)
                if self._silent(conn, chunk, now):
                    return
                campaign = delivering.campaign_now(conn, chunk.campaign_id)
                start = self._next(conn, campaign, chunk, at, now)
                if start is None:
                    delivering.close_chunk(conn, chunk, now)
                    return
                span = (start, min(chunk.last, start + self._size(chunk, pull) - 1))
                assert campaign is not None
                if pull:
                    self._publish(conn, chunk, campaign, span)
                    sent, window = None, None
                else:
                    window = self._claim(conn, chunk, campaign, span, now)
            sent = self._send(chunk, window) if window else None
            at = span[1] + 1

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

    def _next(self, conn: Connection, campaign: CampaignNow | None, chunk: ChunkRow, at: int, now: int) -> int | None:
        if campaign is None or self._stop.is_set() or at > chunk.last:
            return None
        rest = (at, chunk.last)
        if campaign.state == CampaignState.CANCELLED:
            delivering.label(conn, campaign.id, rest, Outcome.CANCELLED, "campaign-cancelled")
        if not campaign.sendable:
            return None
        if campaign.expires_at <= now:
            delivering.label(conn, campaign.id, rest, Outcome.EXPIRED, "campaign-expired")
            return None
        return delivering.next_waiting(conn, campaign.id, rest, now)

    def _claim(
        self, conn: Connection, chunk: ChunkRow, campaign: CampaignNow, span: tuple[int, int], now: int
    ) -> Window | None:
        seconds = self.inst.settings.lease_seconds
        started = time.monotonic()
        delivering.mark_running(conn, campaign.id, now)
        delivering.suppress(conn, campaign.id, span, classes_for(campaign.category))
        lease = delivering.new_lease(conn, chunk, span, self.name, now + int(seconds * 1000))
        rows = delivering.claim(conn, lease, campaign.id, span, now)
        if not rows:
            delivering.end_lease(conn, lease)
            return None
        return Window(lease, campaign, rows, started + seconds * LEASE_MARGIN)

    def _send(self, chunk: ChunkRow, window: Window) -> Sent:
        channel = self._outlet(window.campaign.mode, chunk.channel)
        messages = self._messages(window)
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
        with self.inst.store.read() as conn:
            return delivering.still(conn, window.campaign.id, window.campaign.epoch)

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

    def _record(self, conn: Connection, sent: Sent, now: int) -> None:
        window = sent.window
        held = Held(window.lease, window.campaign.id, sent.provider)
        stands = delivering.end_lease(conn, window.lease)
        usual = all(a.word is AnswerWord.ACCEPTED and a.ref is None for a in sent.answers)
        if stands and usual:
            delivering.record_accepted(conn, held, window.rows, now)
            return
        results = [
            self._result(window.campaign, row, answer, now)
            for row, answer in zip(window.rows, sent.answers, strict=True)
        ]
        taken = delivering.record_results(conn, held, results, now)
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

    def _publish(self, conn: Connection, chunk: ChunkRow, campaign: CampaignNow, span: tuple[int, int]) -> None:
        now = now_ms(conn)
        window = self._claim(conn, chunk, campaign, span, now)
        if window is None:
            return
        priority = PRIORITY[Category(campaign.category)]
        head = (campaign.id, campaign.mode, priority, now, campaign.expires_at)
        items = [feeds.NewItem(row.recipient_id, row.n, row.wording_id) for row in window.rows]
        there = feeds.put(conn, head, items, now)
        delivering.end_lease(conn, window.lease)
        held = Held(window.lease, campaign.id, "feed")
        rows = [row for row in window.rows if row.recipient_id in there]
        if len(rows) == len(window.rows):
            delivering.record_accepted(conn, held, rows, now)
        else:
            results = [_feed_result(row, row.recipient_id in there, campaign.mode) for row in window.rows]
            delivering.record_results(conn, held, results, now)
        delivering.add_published(conn, campaign.id, rows)

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
