"""A window on its way: its messages made, sent in sub-batches, and what each answer makes of its delivery."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Event

import structlog

from broadcaster.deliver import pace
from broadcaster.deliver.callbacks import addresses
from broadcaster.deliver.messages import NOT_SENT, Messages
from broadcaster.deliver.pace import Budget
from broadcaster.deliver.routes import Route, Routes
from broadcaster.installation import Installation
from broadcaster.model import Category, Outcome, Unavailable
from broadcaster.store import delivering
from broadcaster.store.clock import now_ms
from broadcaster.store.delivering import CampaignNow, ChunkRow, Claimed
from broadcaster.store.recording import Result
from channels.base import Answer, AnswerWord, Channel, Message

log = structlog.get_logger(__name__)

SUB_BATCH = 50  # a window of a network channel looks again whether its campaign still runs before each so many requests
LONGEST_SEND = 15.0  # seconds that a sub-batch may take: nothing is begun that the lease might not outlast
FRESH_SECONDS = 2.0  # a claim this young need not be asked again


@dataclass(frozen=True, slots=True)
class Window:
    """Deliveries under one lease, and what their campaign was when they were claimed."""

    lease: int
    campaign: CampaignNow
    rows: list[Claimed]
    claimed: float  # monotonic
    provider: str = ""  # that was chosen when they were claimed
    begins: float = 0.0  # monotonic: when the rate lets the first of them go
    rate: float = 0.0  # messages a second; 0 = as quickly as the provider takes them


@dataclass(frozen=True, slots=True)
class Sent:
    """A window and its answers, in the same order; not yet recorded."""

    window: Window
    answers: list[Answer]
    provider: str
    budget: Budget | None = None  # of second tries; None: none is kept


class Sender:
    """Sends windows of push channels. One per worker."""

    def __init__(self, inst: Installation) -> None:
        self._inst = inst
        self._routes = Routes(inst)
        self._budgets: dict[tuple[str, str, str], Budget] = {}
        self._messages = Messages(inst)

    def prepare(self, mode: str, chunk: ChunkRow) -> None:
        """Builds whatever a send of this chunk needs, before anything of it is claimed. Raises what stands in the way."""
        self.route(mode, chunk)
        self._messages.prepare(chunk.campaign_id)

    def warm(self, kinds: Sequence[str]) -> None:
        """Builds what live channels send with: the first of an emergency does not wait for a library to be read."""
        self._routes.warm(kinds)

    def route(self, mode: str, chunk: ChunkRow) -> Route:
        """The way that the next window of a chunk goes."""
        return self._routes.choose(mode, chunk.channel, chunk.lane)

    def send(self, chunk: ChunkRow, window: Window, stop: Event) -> Sent:
        """An answer for every row. Nothing raises from here: what was not surely refused may have left."""
        route = self._routes.by_name(window.campaign.mode, chunk.channel, chunk.lane, window.provider)
        messages = self._messages.made(
            window.campaign, window.rows, addresses(self._inst, route.channel), route.provider
        )
        ready = [message for message in messages if isinstance(message, Message)]
        told = self._in_batches(route, chunk, window, ready, stop)
        answers = iter(told)
        answered = [next(answers) if isinstance(m, Message) else m for m in messages]
        return Sent(window, answered, route.provider, self._budget(window, chunk, route, told))

    def close(self) -> None:
        """Release what the channels keep open."""
        self._routes.close()

    def _budget(self, window: Window, chunk: ChunkRow, route: Route, told: Sequence[Answer]) -> Budget | None:
        if chunk.lane == Category.EMERGENCY:  # an alarm is tried again as soon as the provider lets it
            return None
        budget = self._budgets.setdefault((window.campaign.mode, chunk.channel, route.provider), Budget())
        budget.sent(sum(answer is not NOT_SENT for answer in told))
        return budget

    def _in_batches(
        self, route: Route, chunk: ChunkRow, window: Window, messages: Sequence[Message], stop: Event
    ) -> list[Answer]:  # fmt: skip
        answers: list[Answer] = []
        step = self._step(route, window, len(messages))
        for start in range(0, len(messages), step):
            if window.rate:
                at = max(window.begins + start / window.rate, route.free_at)
                stop.wait(max(0.0, at - time.monotonic()))
                route.free_at = (
                    time.monotonic() + step / window.rate
                )  # late ones are not caught up with: that is a burst
            if stop.is_set() or route.circuit.wait_s() or not self._goes_on(window, first=start == 0):
                break
            batch = messages[start : start + step]
            told = _asked(route.channel, batch)
            self._routes.note(route, window.campaign.mode, chunk.lane, told)
            answers.extend(told)
        return answers + [NOT_SENT] * (len(messages) - len(answers))

    def _step(self, route: Route, window: Window, messages: int) -> int:
        if window.rate:  # a quarter of a second of it, so that a provider which counts by the second sees no burst
            return max(1, min(SUB_BATCH, self._inst.settings.sms_connections, int(window.rate / 4)))
        if route.channel.settings.provider == "spool":  # a file takes the window in one write
            return max(1, messages)
        return max(1, min(SUB_BATCH, self._inst.settings.sms_connections))

    def _goes_on(self, window: Window, first: bool) -> bool:
        age = time.monotonic() - window.claimed
        lease = self._inst.settings.lease_seconds
        if age > max(lease - LONGEST_SEND, lease / 2):
            return False
        if first and age < FRESH_SECONDS:
            return True
        try:
            with self._inst.store.read() as conn:
                return delivering.still(conn, window.campaign.id, window.campaign.epoch, now_ms(conn))
        except Unavailable:  # it may have been cancelled; the answers that are there are kept
            return False


def _asked(channel: Channel, batch: Sequence[Message]) -> list[Answer]:
    try:
        return channel.send(batch)
    except Exception as error:  # an adapter's own fault after some of it may have left
        log.exception("channel_fault", provider=channel.settings.provider)
        return [Answer(AnswerWord.UNCERTAIN, reason="adapter-fault", detail=type(error).__name__)] * len(batch)


def results(inst: Installation, sent: Sent, now: int) -> list[Result]:
    """What each answer makes of its delivery."""
    pairs = zip(sent.window.rows, sent.answers, strict=True)
    return [_result(inst, sent, row, answer, now) for row, answer in pairs]


def _result(inst: Installation, sent: Sent, row: Claimed, answer: Answer, now: int) -> Result:
    campaign, said = sent.window.campaign, (answer.word.value, answer.ref, answer.reason or None, answer.detail or None)
    match answer.word:
        case AnswerWord.ACCEPTED:
            return Result(row.n, Outcome.ACCEPTED, *said)
        case AnswerWord.FAILED | AnswerWord.SUPPRESSED:
            # An earlier attempt may have arrived: that this one was refused does not say that it did not.
            ended = Outcome.UNKNOWN if row.doubt else Outcome(answer.word.value)
            return Result(row.n, ended, *said)
        case AnswerWord.UNCERTAIN:
            return _doubtful(inst, campaign, row, answer, now)
        case AnswerWord.CONFIG_ERROR:
            due = min(now + int(pace.STOPPED_SECONDS * 1000), campaign.expires_at)
            return Result(row.n, Outcome.WAITING, *said, due_at=due, uncounted=True)
    if answer is NOT_SENT:
        return Result(row.n, Outcome.WAITING, *said, due_at=now, uncounted=True)
    # Surely not processed: it ends with the campaign's time, not by count.
    due = now + pace.pause_ms(inst.settings, row.attempt, answer.after_s)
    if sent.budget:
        due = sent.budget.due(due, now)
    return Result(row.n, Outcome.WAITING, *said, due_at=min(due, campaign.expires_at))


def _doubtful(inst: Installation, campaign: CampaignNow, row: Claimed, answer: Answer, now: int) -> Result:
    said = (answer.word.value, answer.ref, answer.reason or None, answer.detail or None)
    if campaign.category != Category.EMERGENCY or row.attempt >= inst.settings.max_attempts:
        return Result(row.n, Outcome.UNKNOWN, *said, doubt=True)
    due = now + pace.pause_ms(inst.settings, row.attempt, answer.after_s)
    return Result(row.n, Outcome.WAITING, *said, due_at=min(due, campaign.expires_at), doubt=True)
