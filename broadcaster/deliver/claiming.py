"""What every claim of a window has in common, whoever carries it: a worker, or a gateway that pulls."""

from broadcaster.model import CampaignState, Outcome
from broadcaster.store import delivering, windows
from broadcaster.store.counters import Turn
from broadcaster.store.delivering import CampaignNow, ChunkRow, Claimed
from broadcaster.store.windows import Look
from broadcaster.suppression import classes_for


def next_due(turn: Turn, seen: Look, rest: tuple[int, int]) -> int | None:
    """The first delivery of a range that may be claimed; None: nothing of it may. What must not go is labelled."""
    campaign = seen.campaign
    if campaign is None:
        return None
    if campaign.state == CampaignState.CANCELLED:
        delivering.label(turn, rest, Outcome.CANCELLED, "campaign-cancelled")
    if not campaign.sendable:
        return None
    if campaign.expires_at <= seen.now:
        delivering.label(turn, rest, Outcome.EXPIRED, "campaign-expired")
        return None
    return seen.start


def claim(
    turn: Turn, chunk: ChunkRow, who: tuple[str, float], seen: Look, span: tuple[int, int]
) -> tuple[int, list[Claimed]]:
    """The waiting and due deliveries of a range under a lease of (owner, seconds): its id and the rows; none without rows."""
    owner, seconds = who
    campaign = seen.campaign
    assert isinstance(campaign, CampaignNow)
    wanted = windows.Wanted(chunk, span, owner, seen.now + int(seconds * 1000), classes_for(campaign.category))
    return windows.claim(turn, wanted, seen.now, seen.lease)
