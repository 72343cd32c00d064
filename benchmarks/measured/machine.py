"""What a measurement cost in processor time, and whether the machine was ours: from /proc."""

import os
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")
# Of one core: what starts up is done with starting. Broker, database and idle workers together take 0.1 to 0.25.
QUIET_SHARE = 0.3
LOOK_SECONDS, PATIENCE = 0.4, 20.0


def load() -> str:
    """Processes that wanted to run, mean of the last minute and the last five."""
    one, five = Path("/proc/loadavg").read_text(encoding="ascii").split()[:2]
    return f"{one} {five}"


def cpu_seconds(root: int | None = None, without: int | None = None) -> float:
    """Processor seconds so far of a process (this one) and all that it started, ended ones included, less one branch."""
    spent: dict[int, int] = {}
    children: dict[int, list[int]] = defaultdict(list)
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            told = stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        pid = int(stat.parent.name)
        children[int(told[1])].append(pid)
        spent[pid] = sum(map(int, told[11:15]))
    found, left = 0, [root or os.getpid()]
    while left:
        pid = left.pop()
        if pid != without:
            found += spent.get(pid, 0)
            left += children[pid]
    return found / TICK


def settle() -> None:
    """Waits until all that this process started has nothing more to do: imports, connections, joining a group."""
    until = time.monotonic() + PATIENCE
    before = cpu_seconds()
    calm = 0
    while calm < 3 and time.monotonic() < until:
        time.sleep(LOOK_SECONDS)
        now = cpu_seconds()
        calm = calm + 1 if now - before < QUIET_SHARE * LOOK_SECONDS else 0
        before = now


class Timed:
    """Seconds and processor seconds of what happens inside the `with`."""

    seconds = cpu = 0.0

    def __init__(self, cpu: Callable[[], float]) -> None:
        self._cpu = cpu

    def __enter__(self) -> "Timed":
        self._began, self._cpu_before = time.monotonic(), self._cpu()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.monotonic() - self._began
        self.cpu = self._cpu() - self._cpu_before
