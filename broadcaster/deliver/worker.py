"""One chunk after another: claim a window, send it, record what came of it. The claim is written before the send."""

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from threading import Event

import structlog
from sqlalchemy import Connection

from broadcaster.bus import Bus, Record
from broadcaster.deliver import claiming, pace, rates
from broadcaster.deliver.records import read_chunk_record
from broadcaster.deliver.sending import Sender, Sent, Window, results
from broadcaster.installation import Installation
from broadcaster.model import PRIORITY, BadInput, CampaignState, Category, Outcome, Unavailable
from broadcaster.quiet_hours import promotion_hours
from broadcaster.store import delivering, feeds, recording, sweeping, windows
from broadcaster.store.clock import now_ms
from broadcaster.store.counters import Turn, counting
from broadcaster.store.delivering import CampaignNow, ChunkRow, Claimed
from broadcaster.store.recording import Held, Result
from broadcaster.store.records import bury
from broadcaster.store.windows import Look
from channels import CHANNELS
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
    clock: tuple[int, float] | None = None  # the database's, as last read, and the monotonic one then

    def now(self, conn: Connection) -> int:
        """The database's clock, without asking it again: for what a moment of delay cannot make wrong."""
        if self.clock is None:
            return now_ms(conn)
        read, then = self.clock
        return read + int((time.monotonic() - then) * 1000)


@dataclass(frozen=True, slots=True)
class Step:
    """What one transaction came to: a window to send (none: nothing there, or a feed that holds it already), and what is next."""

    window: Window | None
    at: int
    clock: tuple[int, float]
    wait_s: float = 0.0  # the provider's rate lets nothing go before that


class _JudgedError(Exception):
    """The sweep has judged the window before its answers were recorded: they must be weighed row by row, before anything else."""


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
        self._sender.warm([kind for kind in CHANNELS if kind not in PULL and any(f".{kind}" in t for t in self.topics)])
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
        with self.inst.store.read() as conn:
            state, mode = delivering.ready(conn, chunk.campaign_id)
            clock = (now_ms(conn), time.monotonic())
        if not self._prepared(chunk, mode):
            return
        if state == CampaignState.APPROVED:  # nobody has begun to carry it out
            self.inst.store.transact(lambda conn: delivering.mark_running(conn, chunk.campaign_id, now_ms(conn)))
        going = Pass(chunk, f"{self.name}/{secrets.token_hex(4)}", chunk.first, clock=clock)
        while step := self._durably(going):
            if step.wait_s:
                self._stop.wait(step.wait_s)
            sent = self._sender.send(chunk, step.window, self._stop) if step.window else None
            going = replace(going, at=step.at, sent=sent, clock=step.clock)
        self._end(chunk)

    def _prepared(self, chunk: ChunkRow, mode: str) -> bool:
        """Everything that a send needs is there before anything is claimed; else the chunk waits, and nobody is in doubt."""
        if chunk.channel in PULL:
            return True
        try:
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

    def _end(self, chunk: ChunkRow) -> None:
        with self.inst.store.read() as conn:
            quiet = chunk.campaign_id in delivering.quiet_campaigns(conn)
        if quiet:
            self.inst.store.transact(lambda conn: delivering.end_campaign(conn, chunk.campaign_id, now_ms(conn)))

    def _durably(self, going: Pass) -> Step | None:
        """The next transaction of a pass. While the database is away the answers of the last window wait here, not in doubt."""
        doubt = judged = False
        while True:
            try:
                return self.inst.store.transact(lambda conn: self._turn(conn, going, doubt, judged))  # noqa: B023  run at once
            except _JudgedError:
                judged = True
                continue
            except Unavailable as error:
                log.warning("worker_waits", code=error.code, message=error.message)
                if self._stop.wait(AWAY_SECONDS):
                    raise
            doubt = True  # the commit may have come through before its answer was lost

    def _turn(self, conn: Connection, going: Pass, doubt: bool, judged: bool = False) -> Step | None:
        """Records the last window and claims the next. May be run again: it keeps nothing but what it returns."""
        chunk = going.chunk
        with counting(conn, chunk.campaign_id, self.name) as turn:
            if doubt:
                delivering.release(turn, going.owner, going.sent.window.lease if going.sent else 0)
            seen = self._look(turn, going, judged)
            campaign, now = seen.campaign, seen.now
            clock = (now, time.monotonic())
            over = self._stop.is_set() or going.at > chunk.last
            start = None if over else claiming.next_due(turn, seen, (going.at, chunk.last))
            if campaign is None or start is None:
                delivering.close_chunk(conn, chunk, now)
                return None
            if (later := self._not_before(campaign, chunk, now)) > now:
                delivering.reopen_chunk(conn, chunk.id, min(later, campaign.expires_at))
                return None
            rate = rates.rate_of(self.inst.settings, campaign.mode, chunk)
            if rate and (wait := rates.wait_s(conn, self._sender.route(campaign.mode, chunk).provider, chunk, now)):
                return Step(None, start, clock, wait)
            span = (start, min(chunk.last, start + self._size(campaign, chunk) - 1))
            window = self._claim(turn, going, seen, span)
            if window and chunk.channel in PULL:
                self._publish(turn, window)
                window = None
        return Step(window, span[1] + 1, clock)

    def _look(self, turn: Turn, going: Pass, judged: bool) -> Look:
        """The last window's outcomes, and what there is to do next."""
        rest, sent = (going.at, going.chunk.last), going.sent
        usual = sent is not None and all(a.word is AnswerWord.ACCEPTED and not a.reason for a in sent.answers)
        if sent is None or judged or not usual:
            if sent:
                self._record(turn, sent)
            return windows.look(turn, rest, going.now(turn.conn), None)
        held, refs = Held(sent.window.lease, sent.provider), [answer.ref for answer in sent.answers]
        seen = windows.look(turn, rest, going.now(turn.conn), (held, sent.window.rows, refs))
        if not seen.stands:
            raise _JudgedError
        return seen

    def _not_before(self, campaign: CampaignNow, chunk: ChunkRow, now: int) -> int:
        """When the next window may go: quiet hours may have begun since the approval, the provider may reach nobody."""
        if chunk.lane == Category.PROMOTION and (opens := promotion_hours(self.inst.settings, now)) > now:
            return opens
        if chunk.channel in PULL:
            return now
        return now + int(self._sender.route(campaign.mode, chunk).circuit.wait_s() * 1000)

    def _size(self, campaign: CampaignNow, chunk: ChunkRow) -> int:
        if chunk.channel in PULL:
            return PULL_WINDOW
        window = self.inst.settings.window(chunk.lane)
        if rate := rates.rate_of(self.inst.settings, campaign.mode, chunk):
            window = min(window, max(1, int(rate)))
        return min(window, pace.PROBE) if self._sender.route(campaign.mode, chunk).circuit.probing else window

    def _claim(self, turn: Turn, going: Pass, seen: Look, span: tuple[int, int]) -> Window | None:
        who = (going.owner, self.inst.settings.lease_seconds)
        lease, rows = claiming.claim(turn, going.chunk, who, seen, span)
        if not rows or seen.campaign is None:
            return None
        window = Window(lease, seen.campaign, rows, seen.asked)
        return window if going.chunk.channel in PULL else self._routed(turn.conn, going.chunk, window, seen.now)

    def _routed(self, conn: Connection, chunk: ChunkRow, window: Window, now: int) -> Window:
        """The window with its provider, and with its room in that provider's rate."""
        provider = self._sender.route(window.campaign.mode, chunk).provider
        rate = rates.rate_of(self.inst.settings, window.campaign.mode, chunk)
        if not rate:
            return replace(window, provider=provider)
        waits = rates.reserve(conn, provider, chunk, (len(window.rows), rate), now)
        return replace(window, provider=provider, begins=window.claimed + waits, rate=rate)

    def _record(self, turn: Turn, sent: Sent) -> None:
        window, now = sent.window, now_ms(turn.conn)
        windows.end_lease(turn.conn, window.lease)
        found = results(self.inst, sent, now)
        taken = recording.record_results(turn, Held(window.lease, sent.provider), found, now)
        if taken < len(found):
            log.warning("window_judged_before_its_answer", campaign_id=window.campaign.id, late=len(found) - taken)

    def _publish(self, turn: Turn, window: Window) -> None:
        campaign, now = window.campaign, now_ms(turn.conn)
        priority = PRIORITY[Category(campaign.category)]
        head = (campaign.id, campaign.mode, priority, now, campaign.expires_at)
        items = [feeds.NewItem(row.recipient_id, row.n, row.wording_id) for row in window.rows]
        there = feeds.put(turn.conn, head, items, now)
        windows.end_lease(turn.conn, window.lease)
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
