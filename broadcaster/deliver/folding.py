"""The inbox folded into outcomes and proofs, in batches: one look at the deliveries, the rules, one write.

Workers of one database may fold beside each other: each takes receipts that no other holds, and locks deliveries in their order.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from threading import Event

import structlog
from sqlalchemy import Connection

from broadcaster.deliver.receipt_rules import Fate, Standing, Told, rank, told
from broadcaster.installation import Installation
from broadcaster.model import NO_RECEIPT, PROOF_BITS, Outcome
from broadcaster.store import matching, receipts
from broadcaster.store.clock import now_ms
from broadcaster.store.counters import Tally
from broadcaster.store.receipts import NO_CAMPAIGN, OpenReceipt

log = structlog.get_logger(__name__)

BATCH = 1000
# One that came before its delivery's answer was recorded waits for it. No lease lasts so long: whatever still sends then is
# broken, and must not fill the inbox.
PATIENCE_MS = 3_600_000
# One that names its message by the provider's reference may come before the answer that brings that reference.
MATCH_MS = 300_000

Key = tuple[int, int]  # campaign, n


@dataclass(slots=True)
class Batch:
    """Receipts that are being folded, and what was found out about each."""

    now: int
    fates: dict[int, Fate] = field(default_factory=dict)
    counted: set[int] = field(default_factory=set)  # of those, the ones whose fate was counted before
    about: dict[Key, list[OpenReceipt]] = field(default_factory=lambda: defaultdict(list))

    def ends(self, receipt: OpenReceipt, fate: Fate) -> None:
        """Settles one. A receipt that stays unmatched is not counted twice."""
        self.fates[receipt.id] = fate
        if receipt.fate == fate:
            self.counted.add(receipt.id)


def fold(inst: Installation, stop: Event | None = None, after: int = 0) -> int:
    """Folds everything that came in, batch by batch; `after`: only what is newer. Returns how many receipts are settled."""
    settled = 0
    while not (stop and stop.is_set()):
        with inst.store.read() as conn:
            if not receipts.any_open(conn, after):
                break
        n, last = inst.store.transact(lambda conn: _fold(conn, after))  # noqa: B023  run at once
        if last is None:
            break
        settled, after = settled + n, last
    return settled


def _fold(conn: Connection, after: int) -> tuple[int, int | None]:
    rows = receipts.open_receipts(conn, after, BATCH)
    if not rows:
        return 0, None
    batch = Batch(now_ms(conn))
    for receipt in _matched(conn, batch, rows):
        batch.about[receipt.campaign_id or 0, receipt.n or 0].append(receipt)
    by_campaign: dict[int, list[int]] = defaultdict(list)
    for campaign_id, n in sorted(batch.about):
        by_campaign[campaign_id].append(n)
    for test in [each for n in by_campaign.pop(NO_CAMPAIGN, ()) for each in batch.about[NO_CAMPAIGN, n]]:
        batch.ends(test, Fate.TEST)
    for campaign_id, numbers in by_campaign.items():
        _campaign(conn, batch, campaign_id, numbers)
    _settle(conn, batch, rows)
    return len(batch.fates), rows[-1].id


def _matched(conn: Connection, batch: Batch, rows: Sequence[OpenReceipt]) -> Iterable[OpenReceipt]:
    """Receipts whose delivery is known by name; those that name a number and a reference are looked up first."""
    by_name = [row for row in rows if row.campaign_id is not None]
    by_number = [row for row in rows if row.campaign_id is None]
    found = matching.by_reference(conn, [(row.number_key, row.ref) for row in by_number], batch.now)
    for row in by_number:
        key = found.get((row.number_key, row.ref))
        if row.word == Outcome.UNKNOWN and key is None:
            batch.ends(row, Fate.UNKNOWN_WORD)
        elif key is not None:
            receipts.assign(conn, row.id, *key)
            by_name.append(replace(row, campaign_id=key[0], n=key[1]))
        elif batch.now - row.received_at > MATCH_MS:
            batch.ends(row, Fate.UNMATCHED)
    return by_name


def _campaign(conn: Connection, batch: Batch, campaign_id: int, numbers: Sequence[int]) -> None:
    standings, tokens = receipts.standings(conn, campaign_id, numbers)
    found = {n: Standing(n, cut, Outcome(outcome), *rest) for n, cut, outcome, *rest in standings}
    earlier = _ended_before(conn, batch, campaign_id, found)
    tally, changed = Tally(), []
    for n in numbers:
        mine = [r for r in batch.about[campaign_id, n] if n in found and r.token in ("", tokens[n])]
        for stranger in [r for r in batch.about[campaign_id, n] if r not in mine]:
            batch.ends(stranger, Fate.UNMATCHED)
        if not mine:
            continue
        before = found[n]
        after = _delivery(batch, before, [*mine, *earlier.get(n, ())])
        if after != before:
            _count(tally, before, after)
            changed.append(after if _same_place(before, after) else replace(after, changed_at=batch.now))
    receipts.write_standings(conn, campaign_id, changed)
    if any(row.outcome is Outcome.ACCEPTED for row in changed):
        receipts.expect_more(conn, campaign_id)
    tally.write(conn, campaign_id, "receipts")


def _ended_before(
    conn: Connection, batch: Batch, campaign_id: int, found: dict[int, Standing]
) -> dict[int, list[OpenReceipt]]:
    """Ends that were kept while a delivery waited or was in doubt: once a receipt says that it was taken, they count."""
    lost = (Outcome.WAITING, Outcome.UNKNOWN)
    taken = [
        n
        for n, standing in found.items()
        if standing.outcome in lost and any(r.word == Outcome.ACCEPTED for r in batch.about[campaign_id, n])
    ]
    earlier: dict[int, list[OpenReceipt]] = defaultdict(list)
    for receipt in receipts.kept_ends(conn, campaign_id, taken):
        earlier[receipt.n or 0].append(receipt)
    return earlier


def _delivery(batch: Batch, standing: Standing, mine: Sequence[OpenReceipt]) -> Standing:
    """The delivery after all that was said of it."""
    waits = standing.outcome is Outcome.SENDING
    for receipt in sorted(mine, key=lambda r: (rank(r.word), r.id)):
        if waits and receipt.word not in PROOF_BITS:
            if batch.now - receipt.received_at > PATIENCE_MS:
                batch.ends(receipt, Fate.KEPT)
            continue
        standing, fate = told(standing, Told(receipt.word, receipt.reason, receipt.ref))
        batch.ends(receipt, fate)
    return standing


def _same_place(before: Standing, after: Standing) -> bool:
    """Whether only the reference was added: the time since which no receipt has come runs on."""
    return (before.outcome, before.proof) == (after.outcome, after.proof)


def _count(tally: Tally, before: Standing, after: Standing) -> None:
    if before.outcome is not after.outcome:
        tally.move(before.cut, before.outcome, after.outcome)
    if before.silent != after.silent:
        tally.add(before.cut, NO_RECEIPT, after.silent - before.silent)
    for proof, bit in PROOF_BITS.items():
        if after.proof & bit and not before.proof & bit:
            tally.add(before.cut, proof)


def _settle(conn: Connection, batch: Batch, rows: Sequence[OpenReceipt]) -> None:
    """Notes each receipt's fate, and counts it."""
    receipts.settle(conn, [(id_, fate.value) for id_, fate in sorted(batch.fates.items())], batch.now)
    providers = {row.id: row.provider for row in rows}
    tally = Tally()
    for id_, fate in batch.fates.items():
        if id_ in providers and id_ not in batch.counted:  # not those that were settled in an earlier batch
            tally.add(0, f"{providers[id_]}/{fate}")
            if fate in (Fate.UNMATCHED, Fate.UNKNOWN_WORD):
                log.warning("receipt_without_effect", provider=providers[id_], fate=fate.value)
    tally.write(conn, NO_CAMPAIGN, "receipts")
