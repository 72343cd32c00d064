"""The hours in which promotions stay silent: asked when one is approved, and again at every claim."""

from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from broadcaster.settings import Settings


def promotion_hours(settings: Settings, at_ms: int) -> int:
    """The first moment from `at_ms` on (ms) at which a promotion may be sent; `at_ms` itself inside the hours."""
    zone = ZoneInfo(settings.timezone)
    opens, closes = time.fromisoformat(settings.promotion_from), time.fromisoformat(settings.promotion_until)
    moment = datetime.fromtimestamp(at_ms / 1000, zone)
    here = moment.timetz().replace(tzinfo=None)
    if opens < closes and opens <= here < closes:
        return at_ms
    if opens >= closes and (here >= opens or here < closes):  # hours that pass midnight
        return at_ms
    day = moment.date() if here < opens else moment.date() + timedelta(days=1)
    return int(datetime.combine(day, opens, zone).timestamp() * 1000)
