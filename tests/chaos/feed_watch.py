"""Speakers and boards that poll while their servers are killed: a feed's sequence never falls, and after a restart it is right."""

import contextlib
import http.client
import json
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass

from product import DEVICES, Product, free_port

START_SECONDS = (
    120.0  # until a server that was started again must answer: on a busy machine its imports alone take long
)
RIGHT_SECONDS = (
    20.0  # from then on until its feeds must be right: what the bus was not told comes from the database after 5 s
)
ROUND_SECONDS = 0.2


@dataclass(frozen=True)
class Shown:
    """What a poll answered."""

    sequence: int
    campaigns: frozenset[int]


def fetch(port: int, path: str) -> Shown | None:
    """One poll; None where the server does not answer. Raises ValueError for an answer that is no feed."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read()
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    if answer.status != 200:
        raise ValueError(f"{answer.status} {body[:100]!r}")
    told = json.loads(body)
    return Shown(int(told["sequence"]), frozenset(int(item["campaign"]) for item in told["items"]))


class Watch:
    """Polls every device at every server, round and round, and keeps the highest sequence that each server gave each device."""

    def __init__(self, ports: Iterable[int], paths: dict[int, str]) -> None:
        self.ports, self.paths = list(ports), paths
        self.found: list[str] = []
        self.polls = 0
        self._highest: dict[tuple[int, int], int] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> "Watch":
        self._thread.start()
        return self

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(30)

    def _run(self) -> None:
        while not self._stop.is_set():
            for port in self.ports:
                for recipient, path in self.paths.items():
                    if self._stop.is_set():
                        return
                    self._poll(port, recipient, path)
            self._stop.wait(ROUND_SECONDS)

    def _poll(self, port: int, recipient: int, path: str) -> None:
        try:
            shown = fetch(port, path)
        except ValueError as error:  # an enrolled device that is refused its feed
            self.found.append(f"device {recipient}: {error}")
            return
        if shown is not None:
            self.polls += 1
            self.note(port, recipient, shown.sequence)

    def note(self, port: int, recipient: int, sequence: int) -> None:
        """Holds a sequence against those before it."""
        before = self._highest.get((port, recipient), -1)
        if sequence < before:
            self.found.append(f"the sequence of device {recipient} fell from {before} to {sequence}")
        self._highest[port, recipient] = max(before, sequence)


class Feeds:
    """Feed servers, their devices, and the watch over both."""

    def __init__(self, product: Product, paths: dict[int, str], servers: int) -> None:
        self._product, self._paths = product, paths
        self.servers = {f"feed server {n}": free_port() for n in range(servers)}
        for name, port in self.servers.items():
            product.start(name, "serve", "--port", str(port))
        self.watch = Watch(self.servers.values(), paths)

    def expected(self) -> dict[int, frozenset[int]]:
        """What each device's feed must hold: what is accepted for it, of campaigns that nobody cancelled."""
        held: dict[int, set[int]] = {recipient: set() for recipient in self._paths}
        for recipient, campaign in self._product.rows(
            "SELECT d.recipient_id, d.campaign_id FROM delivery d JOIN campaign c ON c.id = d.campaign_id "
            f"WHERE d.channel IN {DEVICES} AND d.outcome IN ('accepted', 'delivered') AND c.state <> 'cancelled'"
        ):
            held[int(recipient)].add(int(campaign))
        return {recipient: frozenset(campaigns) for recipient, campaigns in held.items()}

    def wrong(self, port: int) -> list[str]:
        """Feeds that do not hold what they must: looked at before and after, because it may change meanwhile."""
        before = self.expected()
        shown = {recipient: _quietly(port, path) for recipient, path in self._paths.items()}
        after = self.expected()
        return [
            f"device {recipient} at {port} shows {sorted(has.campaigns) if has else None}, not {sorted(after[recipient])}"
            for recipient, has in shown.items()
            if has is None or has.campaigns not in (before[recipient], after[recipient])
        ]

    def wait_right(self, names: Iterable[str] | None = None) -> list[str]:
        """Until the feeds of these servers are right; what is wrong yet when patience ends."""
        wrong: list[str] = []
        for name in names or self.servers:
            if not self._answers(name):
                return [f"{name} does not answer {START_SECONDS} s after its start"]
            until = time.monotonic() + RIGHT_SECONDS
            while (wrong := self.wrong(self.servers[name])) and time.monotonic() < until:
                time.sleep(0.2)
            if wrong:
                return [f"{name}: {len(wrong)} feeds are wrong, as {wrong[0]}"]
        return wrong

    def _answers(self, name: str) -> bool:
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until and self._product.running[name].poll() is None:
            with contextlib.suppress(ValueError):
                if fetch(self.servers[name], next(iter(self._paths.values()))):
                    return True
            time.sleep(0.1)
        return False

    def sequences_right(self) -> bool:
        """Every device has the sequence that its row has, at every server."""
        rows = dict(self._product.rows("SELECT recipient_id, sequence FROM device"))
        shown = [(r, _quietly(port, p)) for port in self.servers.values() for r, p in self._paths.items()]
        return all(has is not None and has.sequence == rows[recipient] for recipient, has in shown)


def _quietly(port: int, path: str) -> Shown | None:
    try:
        return fetch(port, path)
    except ValueError:
        return None
