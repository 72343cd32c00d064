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
    pause: float = SHORTEST_PAUSE


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

    def dead(self) -> list[Child]:
        """Those that ended without being told to."""
        return [child for child in self._all if child.process.poll() is not None]

    def watch(self, stop: Event) -> None:
        """Starts dead ones again, with a growing pause, until told to stop."""
        while not stop.wait(LOOK_SECONDS):
            for child in self.dead():
                self._again(child, stop)

    def _again(self, child: Child, stop: Event) -> None:
        lived = time.monotonic() - child.started
        child.pause = SHORTEST_PAUSE if lived > STEADY_SECONDS else min(child.pause * 2, LONGEST_PAUSE)
        say(f"{child.name} ended with {child.process.returncode}; started again in {child.pause:.0f} s")
        if not stop.wait(child.pause):
            child.process = _spawn(child.arguments, child.environment)
            child.started = time.monotonic()

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
