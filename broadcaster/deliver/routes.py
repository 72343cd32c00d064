"""Which provider carries a window: the preferred one while it reaches people, the second one while it does not."""

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import structlog

from broadcaster.deliver.outlets import outlet, providers_of
from broadcaster.deliver.pace import Circuit
from broadcaster.installation import Installation
from broadcaster.model import Category, Mode, Unavailable
from broadcaster.store import providers as stored
from broadcaster.store.clock import now_ms
from channels.base import Answer, AnswerWord, Channel, ChannelError

log = structlog.get_logger(__name__)

TOLD_EVERY_S = 30.0  # how often a provider that goes on well is written down


@dataclass(slots=True)
class Route:
    """One way to carry a lane's messages: a provider, its channel object, and whether it reaches anybody."""

    provider: str
    channel: Channel
    circuit: Circuit
    told: str = ""  # state last written down
    told_at: float = 0.0
    free_at: float = 0.0  # monotonic: when the rate lets this worker's next batch go


class Routes:
    """The routes of one worker. Channel objects are shared between lanes, circuits are not: an alarm finds out for itself."""

    def __init__(self, inst: Installation) -> None:
        self._inst = inst
        self._channels: dict[tuple[str, str, str], Channel] = {}
        self._routes: dict[tuple[str, str, str], list[Route]] = {}

    def warm(self, kinds: Sequence[str]) -> None:
        """Builds the live channels of these kinds. What cannot be built is told when something is to be sent."""
        for kind in kinds:
            for name in providers_of(self._inst.settings, Mode.LIVE, kind):
                with suppress(ChannelError):
                    self._channel(Mode.LIVE, kind, name)

    def choose(self, mode: str, kind: str, lane: str) -> Route:
        """The first route that may be used now; where none may, the one that may soonest. Raises what stands in the way of all.

        A provider that only asked to wait is waited for: the second one would be paid for what the first will carry. Not so
        with an emergency.
        """
        routes = self._built(mode, kind, lane)
        for route in routes:
            busy = route.circuit.state == "busy" and lane != Category.EMERGENCY
            if busy or not route.circuit.wait_s():
                return route
        return min(routes, key=lambda route: route.circuit.wait_s())

    def by_name(self, mode: str, kind: str, lane: str, provider: str) -> Route:
        """The route over a provider; chosen anew where the settings have none of that name."""
        found = [route for route in self._built(mode, kind, lane) if route.provider == provider]
        return found[0] if found else self.choose(mode, kind, lane)

    def note(self, route: Route, mode: str, lane: str, answers: Sequence[Answer]) -> None:
        """What requests over a route came to; written down for people where it changes how the provider stands."""
        route.circuit.note(answers)
        state = route.circuit.state
        fresh = time.monotonic() - route.told_at < TOLD_EVERY_S
        if mode != Mode.LIVE or (state == route.told and (fresh or state != "ok")):
            return
        why = next(
            (a for a in answers if a.word in (AnswerWord.CONFIG_ERROR, AnswerWord.RETRY, AnswerWord.UNCERTAIN)), None
        )
        told = ("", "") if state == "ok" or why is None else (why.reason, why.detail)
        if state != route.told and (route.told or state != "ok"):
            log.warning("provider_state", provider=route.provider, lane=lane, state=state, reason=told[0])
        if self._mark(route.provider, lane, (state, *told)):
            route.told, route.told_at = state, time.monotonic()

    def _mark(self, provider: str, lane: str, told: tuple[str, str, str]) -> bool:
        """False where it could not be written down: it is told at the next change, the sending does not wait for it."""
        try:
            self._inst.store.transact(lambda conn: stored.mark(conn, (provider, lane), told, now_ms(conn)))
        except Unavailable:
            return False
        return True

    def close(self) -> None:
        """Release what the channels keep open."""
        for channel in self._channels.values():
            channel.close()

    def _built(self, mode: str, kind: str, lane: str) -> list[Route]:
        if (mode, kind, lane) not in self._routes:
            self._routes[mode, kind, lane] = self._build(mode, kind, lane)
        return self._routes[mode, kind, lane]

    def _build(self, mode: str, kind: str, lane: str) -> list[Route]:
        found, faults = [], []
        for name in providers_of(self._inst.settings, mode, kind):
            try:
                channel = self._channel(mode, kind, name)
            except ChannelError as error:
                log.error("provider_unusable", provider=name, error=str(error))
                if mode == Mode.LIVE:
                    self._mark(name, lane, ("stopped", "settings", str(error)))
                faults.append(error)
                continue
            found.append(Route(name, channel, Circuit(self._inst.settings, lane)))
        if not found:
            raise faults[0]
        return found

    def _channel(self, mode: str, kind: str, name: str) -> Channel:
        if (mode, kind, name) not in self._channels:
            self._channels[mode, kind, name] = outlet(self._inst, mode, kind, name)
        return self._channels[mode, kind, name]
