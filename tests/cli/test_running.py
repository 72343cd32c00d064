"""serve, work and up: they drain at SIGTERM, start dead children again, and leave none behind."""

import contextlib
import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Call = Callable[..., Any]
Spawn = Callable[..., subprocess.Popen[bytes]]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def until(true: Callable[[], Any], seconds: float = 40) -> Any:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := true():
            return found
        time.sleep(0.1)
    raise AssertionError(f"not within {seconds} s")


def alive(port: int) -> bool:
    with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/livez", timeout=2) as answer:
        return answer.status == 200
    return False


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def running(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    return False


def verb_of(pid: int) -> str:
    with contextlib.suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        return next((word.decode() for word in words if word in (b"serve", b"work")), "")
    return ""


def told(process: subprocess.Popen[bytes], number: int, within: float = 20) -> float:
    began = time.monotonic()
    process.send_signal(number)
    process.communicate(timeout=within)
    return time.monotonic() - began


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_worker_drains_when_it_is_told_to_end(ready: Call, spawn: Spawn, number: int, code: int) -> None:
    process = spawn("work")
    until(lambda: len(list(Path(f"/proc/{process.pid}/task").iterdir())) > 4)
    assert told(process, number) < 20
    assert process.returncode == code


def test_a_part_that_there_is_not_is_wrong_usage(ready: Call) -> None:
    ended = ready("work", "--only", "pigeons")
    assert ended.code == 2
    assert "pigeons" in ended.err


def test_the_server_answers_and_drains(ready: Call, spawn: Spawn) -> None:
    port = free_port()
    process = spawn("serve", "--port", port)
    until(lambda: alive(port))
    busy = ready("serve", "--port", port)
    assert busy.code == 5
    assert str(port) in busy.err
    assert told(process, signal.SIGTERM) < 20
    assert process.returncode == 0


def test_up_starts_a_dead_worker_again_and_ends_them_all(ready: Call, spawn: Spawn) -> None:
    port = free_port()
    process = spawn("up", "--port", port)
    until(lambda: alive(port))
    first = until(lambda: [pid for pid in children(process.pid) if verb_of(pid) == "work"])
    os.kill(first[0], signal.SIGKILL)
    second = until(lambda: [p for p in children(process.pid) if verb_of(p) == "work" and p not in first])
    started = children(process.pid)
    assert told(process, signal.SIGTERM) < 20
    assert process.returncode == 0
    assert [pid for pid in [*started, *second] if running(pid)] == []


def test_children_end_by_themselves_when_up_is_killed(ready: Call, spawn: Spawn) -> None:
    process = spawn("up", "--port", free_port())
    started = until(lambda: found if len(found := children(process.pid)) == 2 else [])
    time.sleep(2)  # both past their imports
    process.kill()
    process.wait()
    until(lambda: not any(running(pid) for pid in started))


def test_up_says_at_once_that_the_home_was_never_initialised(call: Call) -> None:
    ended = call("up")
    assert ended.code == 1
    assert "broadcaster init" in ended.err
