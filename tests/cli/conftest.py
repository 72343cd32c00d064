"""The real command in a process of its own, as a script would call it."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


def environment(home: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "BROADCASTER_HOME": str(home)}


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-P", "-m", "broadcaster.cli", *map(str, arguments)]


@dataclass
class Ended:
    """How a call ended: exit code, stdout, stderr. A traceback on either fails the test at once."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON object on stdout; anything beside it fails."""
        assert self.out.endswith("\n"), (self.out, self.err)
        assert self.out.count("\n") == 1, self.out
        found = json.loads(self.out)
        assert isinstance(found, dict)
        return found

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


Call = Callable[..., Ended]


def caller(home: Path, folder: Path) -> Call:
    def call(*arguments: object, stdin: str | bytes = "", timeout: float = 120, **given: str) -> Ended:
        data = stdin.encode() if isinstance(stdin, str) else stdin
        done = subprocess.run(
            command(*arguments),
            check=False,
            input=data,
            capture_output=True,
            timeout=timeout,
            cwd=folder,
            env={**environment(home), **given},
        )
        ended = Ended(done.returncode, done.stdout.decode(), done.stderr.decode())
        assert "Traceback (most recent call last)" not in ended.out + ended.err, ended.err
        return ended

    return call


@pytest.fixture
def call(tmp_path: Path) -> Call:
    """Calls `broadcaster` with a home folder of the test's own, from another folder than the checkout."""
    return caller(tmp_path / "home", tmp_path)


@pytest.fixture
def spawn(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts a verb that goes on running; what is left at the end of the test is killed."""
    running: list[subprocess.Popen[bytes]] = []

    def start(*arguments: object, **given: str) -> subprocess.Popen[bytes]:
        pipe = subprocess.PIPE
        env = {**environment(tmp_path / "home"), **given}
        running.append(
            subprocess.Popen(command(*arguments), stdin=pipe, stdout=pipe, stderr=pipe, cwd=tmp_path, env=env)
        )
        return running[-1]

    yield start
    for process in running:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture(scope="session")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Call, Path, dict[str, Any]]]:
    """One small demo for every test that only reads: (call, home, what demo answered)."""
    folder = tmp_path_factory.mktemp("demo")
    made = caller(folder / "home", folder)
    ended = made("demo", "--once", "--recipients", 200, "--speakers", 60, "--boards", 20, "--json", timeout=200)
    assert ended.code == 0, ended.err
    yield made, folder / "home", ended.json
