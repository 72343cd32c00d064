"""What nobody else would finish: windows in doubt, ended campaigns, lost records, items past their time."""

from sqlalchemy import Connection

from broadcaster.deliver.lost import Lookout
from broadcaster.installation import Installation
from broadcaster.model import Category, Outcome
from broadcaster.store import delivering, feeds, sweeping
from broadcaster.store.clock import now_ms
from broadcaster.store.counters import counting
from broadcaster.store.delivering import ChunkRow

# An announced chunk with nobody at work on it: announced again after so long. Twice costs a look at the row.
LOST_MS = {Category.EMERGENCY: 5_000, Category.NOTICE: 30_000, Category.PROMOTION: 60_000}


def sweep(inst: Installation, lookout: Lookout | None = None) -> int:
    """One pass. Returns how many deliveries it gave another outcome.

    `lookout`: asks the bus whether records are lost. Without one their age decides, which is enough for a bus that doubles none.
    """
    changed = _doubt(inst) + _ended(inst)
    with inst.store.read() as conn:
        now = now_ms(conn)
        idle = not sweeping.anything_to_do(conn, now)
    if not idle:  # an idle installation writes nothing
        _tidy(inst, now, lookout)
    return changed


def _tidy(inst: Installation, now: int, lookout: Lookout | None) -> None:
    """A transaction for each kind of row: workers ask for campaigns before chunks, and this must not do the reverse."""
    for lane, age in LOST_MS.items() if lookout is None else ():
        inst.store.transact(lambda conn: sweeping.forget_lost(conn, lane, now - age))  # noqa: B023  run at once
    if lookout:
        lookout.forget_lost(inst, LOST_MS)
    inst.store.transact(lambda conn: feeds.drop_expired(conn, now))
    with inst.store.read() as conn:
        quiet = delivering.quiet_campaigns(conn)
    for campaign_id in quiet:
        inst.store.transact(lambda conn: delivering.end_campaign(conn, campaign_id, now_ms(conn)))  # noqa: B023


def _doubt(inst: Installation) -> int:
    with inst.store.read() as conn:
        found = sweeping.leases_in_doubt(conn, now_ms(conn))
    return sum(
        inst.store.transact(lambda conn: sweeping.judge(conn, lease, now_ms(conn), inst.settings.max_attempts))  # noqa: B023  run at once
        for lease in found
    )


def _ended(inst: Installation) -> int:
    with inst.store.read() as conn:
        found = sweeping.chunks_to_label(conn, now_ms(conn))
    return sum(
        inst.store.transact(lambda conn: _label(conn, chunk, state))  # noqa: B023  run at once
        for chunk, state in found
    )


def _label(conn: Connection, chunk: ChunkRow, state: str) -> int:
    outcome = Outcome.CANCELLED if state == "cancelled" else Outcome.EXPIRED
    delivering.lock_campaign(conn, chunk.campaign_id)
    sweeping.finish_chunk(conn, chunk.id, now_ms(conn))
    with counting(conn, chunk.campaign_id, sweeping.SWEEP) as turn:
        return delivering.label(turn, (chunk.first, chunk.last), outcome, f"campaign-{outcome}")
