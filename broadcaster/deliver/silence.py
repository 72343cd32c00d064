"""What only time brings: the mark on SMS of which no receipt came, and another look at receipts about nothing that we know."""

import time
from threading import Event

from broadcaster.installation import Installation
from broadcaster.store import receipts, silence
from broadcaster.store.clock import now_ms
from broadcaster.store.silence import Awaiting
from channels.sms import reporting

LOOK_SECONDS = 60.0
PORTION = 5_000  # deliveries in one transaction
HOUR_MS = 3_600_000
# A campaign with deliveries in doubt may send them again, so that it is not closed; nobody does that after so long.
FOLLOWED_MS = 30 * 24 * HOUR_MS
UNMATCHED_MS = 7 * 24 * HOUR_MS


class Silence:
    """Looks once a minute at campaigns that are not closed for receipts, at each no sooner than there can be something new."""

    def __init__(self, inst: Installation) -> None:
        self._inst = inst
        self._next = 0.0
        self._not_before: dict[int, int] = {}  # campaign -> when the next of its deliveries can be overdue
        self._tried_again = 0

    def step(self, stop: Event | None = None) -> None:
        """One look, where it is time for one."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + LOOK_SECONDS
        self.look(stop)

    def look(self, stop: Event | None = None) -> int:
        """Marks what is overdue. Returns how many deliveries got the mark."""
        with self._inst.store.read() as conn:
            now = now_ms(conn)
            found = silence.awaiting(conn, now - self._patience)
        self._not_before = {each.campaign_id: self._not_before.get(each.campaign_id, 0) for each in found}
        marked = 0
        for each in found:
            if not (stop and stop.is_set()) and self._not_before[each.campaign_id] <= now:
                marked += self._campaign(each, now, stop)
        if now - self._tried_again >= HOUR_MS:
            self._tried_again = now
            self._inst.store.transact(lambda conn: receipts.try_again(conn, now - UNMATCHED_MS))
        return marked

    @property
    def _patience(self) -> int:
        return int(self._inst.settings.sms_receipt_hours * HOUR_MS)

    def _campaign(self, each: Awaiting, now: int, stop: Event | None) -> int:
        providers = reporting() if self._inst.settings.public_url else ()
        marked, later, unsettled = 0, [], False
        if each.first is not None and each.last is not None and providers:
            for first in range(each.first, each.last + 1, PORTION):
                if stop and stop.is_set():
                    return marked
                span = (first, min(each.last, first + PORTION - 1))
                n, since, open_ = self._portion(each.campaign_id, span, providers, now)
                marked += n
                unsettled = unsettled or open_
                later += [] if since is None else [since + self._patience]
        if later:
            self._not_before[each.campaign_id] = min(later)
        elif unsettled and now - (each.ended_at or now) < FOLLOWED_MS:
            self._not_before[each.campaign_id] = now + HOUR_MS
        else:
            self._inst.store.transact(lambda conn: silence.close(conn, each.campaign_id, now))
        return marked

    def _portion(
        self, campaign_id: int, span: tuple[int, int], providers: tuple[str, ...], now: int
    ) -> tuple[int, int | None, bool]:
        """(marked, since when the oldest of the rest waits, whether others are not settled)."""
        before = now - self._patience
        with self._inst.store.read() as conn:
            heard = silence.heard(conn, campaign_id, span, providers)
        if heard.since is None or heard.since > before:
            return 0, heard.since, heard.unsettled
        marked = self._inst.store.transact(lambda conn: silence.mark(conn, campaign_id, span, providers, before))
        with self._inst.store.read() as conn:
            heard = silence.heard(conn, campaign_id, span, providers)
        return marked, heard.since, heard.unsettled
