"""When a campaign may be sent: its life, and when what was approved becomes due."""

from broadcaster.model import BadInput, Category, Refused
from broadcaster.quiet_hours import promotion_hours
from broadcaster.settings import Settings
from broadcaster.store.clock import rfc3339

HOUR_MS = 3_600_000
# An alert that comes late is a false alert: without an end it would be sent after a night's outage.
LIFE_HOURS = {Category.EMERGENCY: 1.0, Category.NOTICE: 24.0, Category.PROMOTION: 72.0}
LONGEST_HOURS = {Category.EMERGENCY: 24.0, Category.NOTICE: 24.0 * 31, Category.PROMOTION: 24.0 * 31}


def life(
    category: Category,
    times: tuple[int | None, int | None],
    usual_hours: float | None,
    now: int,
    zone: str = "UTC",
) -> tuple[int, int]:
    """(not before, expires) in ms of a campaign given (not before, expires) or None each.

    A template set that declares longer hours than its category (a season) may also live that long. Raises BadInput: the end
    is past, before its start, or further away than the category allows; told in `zone`.
    """
    start = max(times[0] or 0, now)
    hours = usual_hours or LIFE_HOURS[category]
    end = times[1] if times[1] is not None else start + int(hours * HOUR_MS)
    if end <= now:
        raise BadInput("expired", f"the campaign's end, {rfc3339(end, zone)}, is past: give it a later one")
    if end <= start:
        raise BadInput(
            "expires-before-start",
            f"the campaign would end at {rfc3339(end, zone)}, before it starts: {rfc3339(start, zone)}",
        )
    longest = max(hours, LONGEST_HOURS[category])
    if end - start > longest * HOUR_MS:
        raise BadInput("expires-too-late", f"{category} may live {longest:g} hours at most: give it an earlier end")
    return (times[0] if times[0] is not None else now), end


def release_at(settings: Settings, category: Category, times: tuple[int, int], now: int) -> int:
    """When an approved campaign becomes due: at once or at its time; promotions only in their hours.

    Raises Refused "quiet-hours" where that is not before its end.
    """
    due = max(times[0], now)
    if category is not Category.PROMOTION:
        return due
    due = promotion_hours(settings, due)
    if due >= times[1]:
        hours = f"{settings.promotion_from} to {settings.promotion_until}"
        raise Refused(
            "quiet-hours", f"a promotion is sent from {hours} only, and this one ends before: give it a later end"
        )
    return due
