"""Processes that one verb starts and answers for: restarted when they die, ended with it in any case."""

import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event

import broadcaster
from broadcaster.cli.show import say

DRAIN_SECONDS = 19.0  # a child cuts its own drain after 18
SHORTEST_PAUSE, LONGEST_PAUSE = 1.0, 30.0  # seconds before a dead child is started again; doubles
STEADY_SECONDS = 60.0  # a child that lived this long died of something new
LOOK_SECONDS = 0.2


@dataclass
class Child:
    """One process of ours and when it may be started again."""

    name: str
    arguments: Sequence[str]
    environment: dict[str, str]
    process: subprocess.Popen[bytes]
    started: float
    pause: float = 0.0
    deaths: int = 0
    again_at: float | None = None  # None: it runs, as far as we have looked

    def note_death(self, now: float) -> None:
        """Decides when it is started again: the pause doubles while it keeps dying young."""
        steady = now - self.started > STEADY_SECONDS
        self.deaths = 1 if steady else self.deaths + 1
        self.pause = min(SHORTEST_PAUSE * 2 ** (self.deaths - 1), LONGEST_PAUSE)
        self.again_at = now + self.pause


class Children:
    """Starts `broadcaster` verbs as processes of their own. Use as a context: leaving it ends every one of them."""

    def __init__(self, home: Path, **environment: str) -> None:
        self._home = home
        self._environment = environment
        self._all: list[Child] = []

    def __enter__(self) -> "Children":
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def start(self, name: str, *arguments: str) -> Child:
        """Starts one; it ends by itself when this process is gone, because its stdin then closes."""
        given = ("--home", str(self._home), *arguments, "--until-eof")
        environment = _environment(self._environment)
        child = Child(name, given, environment, _spawn(given, environment), time.monotonic())
        self._all.append(child)
        return child

    def revive(self) -> None:
        """Starts those again that ended without being told to, each after its pause. Does not wait."""
        for child in self._all:
            code = child.process.poll()
            if code is None:
                continue
            now = time.monotonic()
            if child.again_at is None:
                child.note_death(now)
                say(f"{child.name} ended with {code}; started again in {child.pause:.0f} s")
            elif now >= child.again_at:
                child.process = _spawn(child.arguments, child.environment)
                child.started, child.again_at = now, None

    @property
    def deaths(self) -> int:
        """How often in a row the worst of them ended soon after it was started."""
        return max((child.deaths for child in self._all), default=0)

    def watch(self, stop: Event) -> None:
        """Starts dead ones again until told to stop."""
        while not stop.wait(LOOK_SECONDS):
            self.revive()

    def end(self) -> None:
        """SIGTERM to all, so that each finishes what it has in hand; SIGKILL to what is left after the drain."""
        for child in self._all:
            if child.process.poll() is None:
                child.process.send_signal(signal.SIGTERM)
        until = time.monotonic() + DRAIN_SECONDS
        for child in self._all:
            try:
                child.process.wait(max(0.0, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.process.kill()
                child.process.wait()
            if child.process.stdin:
                child.process.stdin.close()
        self._all.clear()


def _spawn(arguments: Sequence[str], environment: dict[str, str]) -> subprocess.Popen[bytes]:
    # -P: a folder named `audio` or `channels` where the person happens to stand must not stand in for ours.
    # A session of its own: Ctrl-C reaches us alone, and we end the children in order. stdout is for our answer only.
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "broadcaster.cli", *arguments],
        stdin=subprocess.PIPE,
        stdout=sys.stderr.fileno(),
        env=environment,
        start_new_session=True,
    )


def _environment(given: dict[str, str]) -> dict[str, str]:
    """Ours, with the folder that this program was imported from on the path where it is not installed."""
    from broadcaster.settings import child_environment

    made = child_environment(**given)
    root = Path(broadcaster.__file__).parents[1]
    if root.name not in ("site-packages", "dist-packages"):
        made["PYTHONPATH"] = ":".join(filter(None, [str(root), made.get("PYTHONPATH", "")]))
    return made
