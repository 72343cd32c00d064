"""A window on its way: its messages made, sent in sub-batches, and what each answer makes of its delivery."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Event

import structlog

from broadcaster.deliver import pace
from broadcaster.deliver.callbacks import addresses
from broadcaster.deliver.outlets import outlet
from broadcaster.deliver.pace import NOT_SENT, Circuit
from broadcaster.installation import Installation
from broadcaster.model import BadInput, Category, Outcome, Unavailable
from broadcaster.store import delivering
from broadcaster.store.clock import now_ms
from broadcaster.store.delivering import CampaignNow, ChunkRow, Claimed
from broadcaster.store.recording import Result
from channels.base import Answer, AnswerWord, Channel, Message

log = structlog.get_logger(__name__)

SUB_BATCH = 50  # a window of a network channel looks again whether its campaign still runs before each so many requests
LONGEST_SEND = 15.0  # seconds that a sub-batch may take: nothing is begun that the lease might not outlast
FRESH_SECONDS = 2.0  # a claim this young need not be asked again
OUR_FAULT: dict[type[Exception], str] = {
    BadInput: "address-unreadable",
    KeyError: "wording-missing",
    ValueError: "slots-do-not-fit",
}


@dataclass(frozen=True, slots=True)
class Window:
    """Deliveries under one lease, and what their campaign was when they were claimed."""

    lease: int
    campaign: CampaignNow
    rows: list[Claimed]
    claimed: float  # monotonic


@dataclass(frozen=True, slots=True)
class Sent:
    """A window and its answers, in the same order; not yet recorded."""

    window: Window
    answers: list[Answer]
    provider: str


class Sender:
    """Sends windows of push channels. One per worker."""

    def __init__(self, inst: Installation) -> None:
        self._inst = inst
        self._outlets: dict[tuple[str, str], Channel] = {}
        self._circuits: dict[tuple[str, str, str], Circuit] = {}
        self._pieces: dict[int, dict[int, list[str]]] = {}

    def prepare(self, mode: str, chunk: ChunkRow) -> None:
        """Builds whatever a send of this chunk needs, before anything of it is claimed. Raises what stands in the way."""
        self._outlet(mode, chunk.channel)
        self._wordings(chunk.campaign_id)

    def circuit(self, mode: str, chunk: ChunkRow) -> Circuit:
        """Whether the provider of this channel, mode and lane reaches anybody."""
        key = (mode, chunk.channel, chunk.lane)
        if key not in self._circuits:
            self._circuits[key] = Circuit(self._inst.settings, chunk.lane)
        return self._circuits[key]

    def send(self, chunk: ChunkRow, window: Window, stop: Event) -> Sent:
        """An answer for every row. Nothing raises from here: what was not surely refused may have left."""
        channel = self._outlet(window.campaign.mode, chunk.channel)
        messages = self._messages(window, addresses(self._inst, channel))
        ready = [message for message in messages if isinstance(message, Message)]
        answers = iter(self._in_batches(channel, chunk, window, ready, stop))
        answered = [next(answers) if isinstance(m, Message) else m for m in messages]
        return Sent(window, answered, channel.settings.provider)

    def close(self) -> None:
        """Release what the channels keep open."""
        for channel in self._outlets.values():
            channel.close()

    def _in_batches(
        self, channel: Channel, chunk: ChunkRow, window: Window, messages: Sequence[Message], stop: Event
    ) -> list[Answer]:  # fmt: skip
        circuit = self.circuit(window.campaign.mode, chunk)
        answers: list[Answer] = []
        step = self._step(channel, len(messages))
        for start in range(0, len(messages), step):
            if stop.is_set() or circuit.wait_s() or not self._goes_on(window, first=start == 0):
                break
            batch = messages[start : start + step]
            told = _asked(channel, batch)
            circuit.note(told)
            answers.extend(told)
        return answers + [NOT_SENT] * (len(messages) - len(answers))

    def _step(self, channel: Channel, messages: int) -> int:
        if channel.settings.provider == "spool":  # a file takes the window in one write
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

    def _messages(self, window: Window, callback: Callable[[str], str]) -> list[Message | Answer]:
        """A message per row, or the answer of one that cannot be made: it must not hold up the others."""
        try:
            wordings = self._wordings(window.campaign.id)
        except Unavailable:  # the wordings could not be read: nobody is sent anything
            return [NOT_SENT] * len(window.rows)
        return [self._message(window.campaign, wordings, row, callback) for row in window.rows]

    def _message(
        self, campaign: CampaignNow, wordings: dict[int, list[str]], row: Claimed, callback: Callable[[str], str]
    ) -> Message | Answer:
        delivery = f"{campaign.id}-{row.n}-{row.token}"
        try:
            return Message(
                delivery=delivery,
                to=self._inst.keys.open_address(row.address_sealed),
                text=_filled(wordings[row.wording_id], row.slots),
                parts=row.parts,
                expires_at=campaign.expires_at,
                mode=campaign.mode,
                category=campaign.category,
                callback=callback(delivery),
            )
        except tuple(OUR_FAULT) as error:
            reason = next(why for kind, why in OUR_FAULT.items() if isinstance(error, kind))
            log.error("message_not_made", campaign_id=campaign.id, n=row.n, reason=reason)
            return Answer(AnswerWord.FAILED, reason=reason)

    def _outlet(self, mode: str, kind: str) -> Channel:
        if (mode, kind) not in self._outlets:
            self._outlets[mode, kind] = outlet(self._inst, mode, kind)
        return self._outlets[mode, kind]

    def _wordings(self, campaign_id: int) -> dict[int, list[str]]:
        if campaign_id not in self._pieces:
            with self._inst.store.read() as conn:
                rows = delivering.wordings_of(conn, campaign_id)
            if len(self._pieces) >= 16:
                self._pieces.clear()
            self._pieces[campaign_id] = {row.id: json.loads(row.pieces) for row in rows}
        return self._pieces[campaign_id]


def _asked(channel: Channel, batch: Sequence[Message]) -> list[Answer]:
    try:
        return channel.send(batch)
    except Exception as error:  # an adapter's own fault after some of it may have left
        log.exception("channel_fault", provider=channel.settings.provider)
        return [Answer(AnswerWord.UNCERTAIN, reason="adapter-fault", detail=type(error).__name__)] * len(batch)


def _filled(pieces: list[str], slots: str | None) -> str:
    if slots is None:
        return pieces[0]
    out = [pieces[0]]
    for value, piece in zip(json.loads(slots), pieces[1:], strict=True):
        out.append(value)
        out.append(piece)
    return "".join(out)


def results(inst: Installation, sent: Sent, now: int) -> list[Result]:
    """What each answer makes of its delivery."""
    campaign = sent.window.campaign
    return [_result(inst, campaign, row, a, now) for row, a in zip(sent.window.rows, sent.answers, strict=True)]


def _result(inst: Installation, campaign: CampaignNow, row: Claimed, answer: Answer, now: int) -> Result:
    said = (answer.word.value, answer.ref, answer.reason or None, answer.detail or None)
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
    return Result(row.n, Outcome.WAITING, *said, due_at=min(due, campaign.expires_at))


def _doubtful(inst: Installation, campaign: CampaignNow, row: Claimed, answer: Answer, now: int) -> Result:
    said = (answer.word.value, answer.ref, answer.reason or None, answer.detail or None)
    if campaign.category != Category.EMERGENCY or row.attempt >= inst.settings.max_attempts:
        return Result(row.n, Outcome.UNKNOWN, *said, doubt=True)
    due = now + pace.pause_ms(inst.settings, row.attempt, answer.after_s)
    return Result(row.n, Outcome.WAITING, *said, due_at=min(due, campaign.expires_at), doubt=True)
