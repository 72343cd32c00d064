"""A claimed delivery as the message that leaves: its address opened, its wording filled."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import structlog

from broadcaster.installation import Installation
from broadcaster.model import BadInput, Unavailable
from broadcaster.store import delivering
from broadcaster.store.delivering import CampaignNow, Claimed
from channels.base import Answer, AnswerWord, Approved, Message

log = structlog.get_logger(__name__)

Slots = Sequence[str] | None  # values in order; None: the wording has none

NOT_SENT = Answer(AnswerWord.RETRY, reason="not-sent", after_s=0.0)
KEPT_CAMPAIGNS = 16  # whose wordings stay in memory
OUR_FAULT: dict[type[Exception], str] = {
    BadInput: "address-unreadable",
    KeyError: "wording-missing",
    ValueError: "slots-do-not-fit",
}


class Messages:
    """Makes messages, and keeps the wordings of the campaigns it made some for. One per thread."""

    def __init__(self, inst: Installation) -> None:
        self._inst = inst
        self._pieces: dict[int, dict[int, list[str]]] = {}
        self._approved: dict[int, dict[int, list[dict[str, Any]]]] = {}  # of those, templates of cloud providers

    def prepare(self, campaign_id: int) -> None:
        """Reads what a campaign's messages need. Raises Unavailable."""
        self.wordings(campaign_id)

    def made(
        self, campaign: CampaignNow, rows: Sequence[Claimed], callback: Callable[[str], str], provider: str = ""
    ) -> list[Message | Answer]:
        """A message per row, or the answer of one that cannot be made: it must not hold up the others.

        For `provider` they name the template that it has approved, where their wording has one.
        """
        try:
            wordings = self.wordings(campaign.id)
        except Unavailable:  # the wordings could not be read: nobody is sent anything
            return [NOT_SENT] * len(rows)
        made = partial(self._message, campaign, wordings, callback)
        slots = _slots(rows)
        found = [made(row, values) for row, values in zip(rows, slots, strict=True)]
        if not self._approved.get(campaign.id):
            return found
        approved = {
            key: told
            for key, all_ in self._approved[campaign.id].items()
            for told in all_
            if told["provider"] == provider
        }
        return [
            _with(one, approved.get(row.wording_id), values)
            for one, row, values in zip(found, rows, slots, strict=True)
        ]

    def _message(
        self,
        campaign: CampaignNow,
        wordings: dict[int, list[str]],
        callback: Callable[[str], str],
        row: Claimed,
        values: Slots,
    ) -> Message | Answer:
        delivery = f"{campaign.id}-{row.n}-{row.token}"
        try:
            return Message(
                delivery=delivery,
                to=self._inst.keys.open_address(row.address_sealed),
                text=_filled(wordings[row.wording_id], values),
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

    def wordings(self, campaign_id: int) -> dict[int, list[str]]:
        """Pieces of each wording of a campaign, by its id; kept in memory. Raises Unavailable."""
        if campaign_id not in self._pieces:
            with self._inst.store.read() as conn:
                rows = delivering.wordings_of(conn, campaign_id)
            if len(self._pieces) >= KEPT_CAMPAIGNS:
                self._pieces.clear()
                self._approved.clear()
            self._approved[campaign_id] = {row.id: json.loads(row.approved) for row in rows if row.approved}
            self._pieces[campaign_id] = {row.id: json.loads(row.pieces) for row in rows}
        return self._pieces[campaign_id]


def _with(one: Message | Answer, approved: dict[str, Any] | None, values: Slots) -> Message | Answer:
    """The message with its template: a number among the variables is that of a slot."""
    if approved is None or isinstance(one, Answer):
        return one
    given = values or ()
    filled = tuple((hole, given[told] if isinstance(told, int) else told) for hole, told in approved["variables"])
    return replace(one, approved=Approved(approved["id"], filled))


def _slots(rows: Sequence[Claimed]) -> list[Slots]:
    """The slot values of each row. Parsed as one text: half the time of one by one; a row that is broken is found there."""
    try:
        found: list[Slots] = json.loads(f"[{','.join([row.slots or 'null' for row in rows])}]")
    except ValueError:
        return [_parsed(row.slots) for row in rows]
    return found if len(found) == len(rows) else [_parsed(row.slots) for row in rows]


def _parsed(slots: str | None) -> Slots:
    try:
        found: Slots = json.loads(slots) if slots else None
    except ValueError:
        return ()  # fits no wording with slots, and is told as such
    return found


def _filled(pieces: list[str], values: Slots) -> str:
    if values is None:
        return pieces[0]
    out = [pieces[0]]
    for value, piece in zip(values, pieces[1:], strict=True):
        out.append(value)
        out.append(piece)
    return "".join(out)
