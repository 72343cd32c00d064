"""What nobody else would finish: windows in doubt, ended campaigns, lost records, items past their time."""

from broadcaster.installation import Installation
from broadcaster.model import Category, Outcome
from broadcaster.store import delivering, feeds, sweeping
from broadcaster.store.clock import now_ms

# An announced chunk with nobody at work on it: announced again after so long. Twice costs a look at the row.
LOST_MS = {Category.EMERGENCY: 5_000, Category.NOTICE: 30_000, Category.PROMOTION: 60_000}


def sweep(inst: Installation) -> int:
    """One pass. Returns how many deliveries it gave another outcome."""
    changed = _doubt(inst) + _ended(inst)
    with inst.store.read() as conn:
        now = now_ms(conn)
        idle = not sweeping.anything_to_do(conn, now)
    if idle:  # an idle installation writes nothing
        return changed
    with inst.store.write() as conn:
        for lane, age in LOST_MS.items():
            sweeping.forget_lost(conn, lane, now - age)
        feeds.drop_expired(conn, now)
        sweeping.finish_quiet_campaigns(conn, now)
        sweeping.expire_campaigns(conn, now)
    return changed


def _doubt(inst: Installation) -> int:
    with inst.store.read() as conn:
        found = sweeping.leases_in_doubt(conn, now_ms(conn))
    judged = 0
    for lease in found:
        with inst.store.write() as conn:
            judged += sweeping.judge(conn, lease, now_ms(conn))
    return judged


def _ended(inst: Installation) -> int:
    with inst.store.read() as conn:
        found = sweeping.chunks_to_label(conn, now_ms(conn))
    labelled = 0
    for chunk, state in found:
        outcome = Outcome.CANCELLED if state == "cancelled" else Outcome.EXPIRED
        with inst.store.write() as conn:
            sweeping.lock_campaign(conn, chunk.campaign_id)
            labelled += delivering.label(
                conn, chunk.campaign_id, (chunk.first, chunk.last), outcome, f"campaign-{outcome}"
            )
            sweeping.finish_chunk(conn, chunk.id, now_ms(conn))
    return labelled
