"""One chunk after another: claim a window, send it, record what came of it. The claim is written before the send."""

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from threading import Event

import structlog
from sqlalchemy import Connection

from broadcaster.bus import Bus, Record
from broadcaster.deliver import pace
from broadcaster.deliver.records import read_chunk_record
from broadcaster.deliver.sending import Sender, Sent, Window, results
from broadcaster.installation import Installation
from broadcaster.model import PRIORITY, BadInput, CampaignState, Category, Outcome, Unavailable
from broadcaster.quiet_hours import promotion_hours
from broadcaster.store import delivering, feeds, recording, sweeping
from broadcaster.store.clock import now_ms
from broadcaster.store.counters import Turn, counting
from broadcaster.store.delivering import CampaignNow, ChunkRow, Claimed
from broadcaster.store.recording import Held, Result
from broadcaster.store.records import bury
from broadcaster.suppression import classes_for
from channels.base import AnswerWord

log = structlog.get_logger(__name__)

PULL_WINDOW = 500  # claimed, put into feeds and recorded in one transaction: a kill leaves nothing of it in doubt
PULL = ("loudspeaker", "billboard")
UNATTENDED_MS = 1_000  # an emergency chunk due for so long that nobody works on: the bus may be away


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


class Worker:
    """Takes chunk records of its topics and carries them out. One thread each."""

    def __init__(
        self, inst: Installation, bus: Bus, topics: Sequence[str], name: str, emergency: Sequence[str] = ()
    ) -> None:
        """`emergency`: channels of which it also looks for due emergency chunks in the database, whatever the bus does."""
        self.inst, self.bus, self.topics, self.name = inst, bus, list(topics), name
        self._emergency = list(emergency)
        self._sender = Sender(inst)
        self._stop = Event()

    def run(self, stop: Event) -> None:
        """Works until told to stop; what is under way is finished and recorded first."""
        self._stop = stop
        try:
            while not stop.is_set():
                if not self.step():
                    stop.wait(self.inst.settings.poll_seconds)
        finally:
            self._sender.close()

    def step(self) -> bool:
        """Takes one record and carries it out; without one, an emergency that no record has brought. False where there was none."""
        taken = self.bus.take(self.topics, self.name, 1)
        for record in taken:
            self._carry_out(record)
        return bool(taken) or self._unattended()

    def _unattended(self) -> bool:
        """An emergency does not wait for the bus. Two workers on one chunk share it window by window."""
        if not self._emergency:
            return False
        with self.inst.store.read() as conn:
            chunk = sweeping.unattended_chunk(conn, self._emergency, now_ms(conn) - UNATTENDED_MS)
        if chunk:
            self.chunk(chunk)
        return chunk is not None

    def _carry_out(self, record: Record) -> None:
        try:
            chunk_id = read_chunk_record(self.inst.keys, record)
        except BadInput as error:
            self._bury(record, error.code)
        else:
            with self.inst.store.read() as conn:
                chunk = delivering.chunk_row(conn, chunk_id)
            if chunk and not chunk.finished:
                self._guarded(chunk, record)
        self.bus.done([record])

    def _guarded(self, chunk: ChunkRow, record: Record) -> None:
        """A fault of ours in one chunk must not stop the others: its windows are judged when their leases run out."""
        try:
            self.chunk(chunk)
        except Unavailable:
            raise
        except Exception as error:
            log.exception("chunk_broken", chunk=chunk.id, campaign_id=chunk.campaign_id)
            self._bury(record, f"chunk-broken {type(error).__name__}")

    def _bury(self, record: Record, error: str) -> None:
        log.warning("record_buried", error=error, topic=record.topic, position=record.position)
        # Without the member that took it: one that another member finds again after a kill is buried once.
        where = f"{record.topic}/{record.position.partition('|')[2] or record.position}"
        self.inst.store.transact(lambda conn: bury(conn, where, error, record.value, now_ms(conn)))

    def chunk(self, chunk: ChunkRow) -> None:
        """All windows of a chunk. A window's outcomes are recorded in the transaction that claims the next one."""
        if not self._prepared(chunk):
            return
        self._start(chunk)
        going = Pass(chunk, f"{self.name}/{secrets.token_hex(4)}", chunk.first)
        while step := self._durably(going):
            sent = self._sender.send(chunk, step.window, self._stop) if step.window else None
            going = replace(going, at=step.at, sent=sent)
        self._end(chunk)

    def _prepared(self, chunk: ChunkRow) -> bool:
        """Everything that a send needs is there before anything is claimed; else the chunk waits, and nobody is in doubt."""
        if chunk.channel in PULL:
            return True
        try:
            with self.inst.store.read() as conn:
                mode = delivering.mode_of(conn, chunk.campaign_id)
            self._sender.prepare(mode, chunk)
        except Unavailable:
            raise
        except Exception as error:
            log.error("channel_unusable", channel=chunk.channel, campaign_id=chunk.campaign_id, error=str(error))
            self.inst.store.transact(
                lambda conn: delivering.reopen_chunk(conn, chunk.id, now_ms(conn) + int(pace.STOPPED_SECONDS * 1000))
            )
            return False
        return True

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
            campaign = delivering.campaign_now(conn, chunk.campaign_id)
            start = self._next(turn, campaign, going, now)
            if campaign is None or start is None:
                delivering.close_chunk(conn, chunk, now)
                return None
            if (later := self._not_before(campaign, chunk, now)) > now:
                delivering.reopen_chunk(conn, chunk.id, min(later, campaign.expires_at))
                return None
            span = (start, min(chunk.last, start + self._size(campaign, chunk) - 1))
            window = self._claim(turn, going, campaign, span)
            if window and chunk.channel in PULL:
                self._publish(turn, window)
                window = None
        return Step(window, span[1] + 1)

    def _not_before(self, campaign: CampaignNow, chunk: ChunkRow, now: int) -> int:
        """When the next window may go: quiet hours may have begun since the approval, the provider may reach nobody."""
        if chunk.lane == Category.PROMOTION and (opens := promotion_hours(self.inst.settings, now)) > now:
            return opens
        if chunk.channel in PULL:
            return now
        return now + int(self._sender.circuit(campaign.mode, chunk).wait_s() * 1000)

    def _size(self, campaign: CampaignNow, chunk: ChunkRow) -> int:
        if chunk.channel in PULL:
            return PULL_WINDOW
        window = self.inst.settings.window(chunk.lane)
        return min(window, pace.PROBE) if self._sender.circuit(campaign.mode, chunk).probing else window

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
        return Window(lease, campaign, rows, started)

    def _record(self, turn: Turn, sent: Sent, now: int) -> None:
        window = sent.window
        held = Held(window.lease, sent.provider)
        stands = delivering.end_lease(turn.conn, window.lease)
        usual = all(a.word is AnswerWord.ACCEPTED and a.ref is None and not a.reason for a in sent.answers)
        if stands and usual:
            recording.record_accepted(turn, held, window.rows, now)
            return
        found = results(self.inst, sent, now)
        taken = recording.record_results(turn, held, found, now)
        if taken < len(found):
            log.warning("window_judged_before_its_answer", campaign_id=window.campaign.id, late=len(found) - taken)

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
            found = [_feed_result(row, row.recipient_id in there, campaign.mode) for row in window.rows]
            recording.record_results(turn, held, found, now)
        recording.add_published(turn, window.lease, rows)


def _feed_result(row: Claimed, there: bool, mode: str) -> Result:
    if there:
        return Result(row.n, Outcome.ACCEPTED)
    if mode == "exercise":
        return Result(row.n, Outcome.SUPPRESSED, "suppressed", reason="no-exercise-device")
    return Result(row.n, Outcome.FAILED, "failed", reason="device-not-enrolled")
