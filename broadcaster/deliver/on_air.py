"""What speakers and boards carry now: a campaign is finished once it was delivered, and on air until its time is over."""

from dataclasses import dataclass

from broadcaster.installation import Installation
from broadcaster.store import operating as stored
from broadcaster.store.clock import rfc3339, wall_ms


@dataclass(frozen=True, slots=True)
class OnAir:
    """A campaign that feeds hold. `devices`: channel -> how many; `begins` and `ends` RFC 3339; begun: it is played now."""

    campaign: int
    devices: dict[str, int]
    begun: bool
    begins: str | None
    ends: str | None


def on_air(inst: Installation) -> list[OnAir]:
    """Every campaign that some feed holds and that is not past, the newest first."""
    now, zone = wall_ms(), inst.settings.timezone
    with inst.store.read() as conn:
        rows = stored.on_air(conn, now)
    found = []
    for campaign in dict.fromkeys(row.campaign_id for row in rows):
        of_it = [row for row in rows if row.campaign_id == campaign]
        begins, ends = min(row.begins_at for row in of_it), max(row.ends_at for row in of_it)
        devices = {row.channel: row.devices for row in reversed(of_it)}  # loudspeakers before boards
        found.append(OnAir(campaign, devices, begins <= now, rfc3339(begins, zone), rfc3339(ends, zone)))
    return found
