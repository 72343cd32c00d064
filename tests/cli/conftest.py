"""The real command in a process of its own, as a script would call it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, NoReturn

import pytest

PRELOADED = (
    "broadcaster.cli.main",
    "broadcaster.compose.campaigns",
    "broadcaster.compose.recipients",
    "broadcaster.compose.review",
    "broadcaster.deliver.runner",
    "broadcaster.reach.unreached",
    "broadcaster.web.app",
    "audio.clip",
)
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
    """Calls the command in a fork of this process, which has its modules already: a second of imports a call is most of the
    time that these tests would take. With `real=True` a new interpreter is started."""

    def call(
        *arguments: object, stdin: str | bytes = "", timeout: float = 120, real: bool = False, **given: str
    ) -> Ended:
        data = stdin.encode() if isinstance(stdin, str) else stdin
        env = {**environment(home), **given}
        run = in_new_interpreter if real else in_fork
        ended = run([*map(str, arguments)], data, timeout, folder, env)
        assert "Traceback (most recent call last)" not in ended.out + ended.err, ended.err
        return ended

    return call


def in_new_interpreter(arguments: list[str], data: bytes, timeout: float, folder: Path, env: dict[str, str]) -> Ended:
    done = subprocess.run(
        command(*arguments), check=False, input=data, capture_output=True, timeout=timeout, cwd=folder, env=env
    )
    return Ended(done.returncode, done.stdout.decode(), done.stderr.decode())


def in_fork(arguments: list[str], data: bytes, timeout: float, folder: Path, env: dict[str, str]) -> Ended:
    for module in PRELOADED:
        import_module(module)
    with TemporaryFile() as stdin, TemporaryFile() as out, TemporaryFile() as err:
        stdin.write(data)
        stdin.seek(0)
        pid = os.fork()
        if pid == 0:
            child(arguments, (stdin.fileno(), out.fileno(), err.fileno()), folder, env)
        status = waited(pid, timeout)
        out.seek(0)
        err.seek(0)
        return Ended(os.waitstatus_to_exitcode(status), out.read().decode(), err.read().decode())


def child(arguments: list[str], files: tuple[int, int, int], folder: Path, env: dict[str, str]) -> NoReturn:
    code = 99
    try:
        for number, file in enumerate(files):
            os.dup2(file, number)
        sys.stdin, sys.stdout, sys.stderr = (os.fdopen(n, mode, encoding="utf-8") for n, mode in enumerate("rww"))
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(env)
        sys.argv = ["broadcaster", *arguments]
        import_module("broadcaster.cli.main").main()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 98
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def waited(pid: int, timeout: float) -> int:
    end = time.monotonic() + timeout
    while True:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return status
        if time.monotonic() > end:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise AssertionError(f"not ended after {timeout} s")
        time.sleep(0.005)


@pytest.fixture
def call(tmp_path: Path) -> Call:
    """Calls `broadcaster` with a home folder of the test's own, from another folder than the checkout."""
    return caller(tmp_path / "home", tmp_path)


@pytest.fixture(scope="session")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An initialised home to copy: the 13,014 places need not be loaded for every test."""
    folder = tmp_path_factory.mktemp("fresh")
    ended = caller(folder / "home", folder)("init")
    assert ended.code == 0, ended.err
    return folder / "home"


@pytest.fixture
def ready(call: Call, fresh: Path, tmp_path: Path) -> Call:
    """The same as `call`, with an initialised home."""
    shutil.copytree(fresh, tmp_path / "home")
    return call


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
    ended = made(
        "demo", "--once", "--recipients", 200, "--speakers", 60, "--boards", 20, "--json", timeout=200, real=True
    )
    assert ended.code == 0, ended.err
    yield made, folder / "home", ended.json
