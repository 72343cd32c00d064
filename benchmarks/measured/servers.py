"""The real servers of a run, each started at its first use on a free loopback port and ended with the run."""

import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

from measured.machine import cpu_seconds

if TYPE_CHECKING:
    from postgresql_server import Server
    from real_kafka import Broker

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path += [str(ROOT / "tests"), str(ROOT / "tests" / "broker")]  # the servers that the tests run against
PEERS, PEERS_LIST = ROOT / ".cache" / "bench", ROOT / "benchmarks" / "peers-requirements.txt"
CEILING = 100_000


class Absent(Exception):
    """A part is not on this machine; says which and how to get it."""


class Sink:
    """The gateway's process."""

    def __init__(self) -> None:
        self._process = subprocess.Popen([sys.executable, HERE / "sink.py"], stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())
        self.url = f"http://127.0.0.1:{self.port}/"
        self.pid = self._process.pid

    def taken(self) -> int:
        """Messages so far."""
        with urllib.request.urlopen(self.url, timeout=10) as reply:
            return int(json.load(reply)["taken"])

    def ceiling(self) -> float:
        """Messages a second that it takes at most."""
        command = [sys.executable, str(HERE / "sink.py"), str(self.port), str(CEILING)]
        return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    def stop(self) -> None:
        """Ends it."""
        self._process.terminate()
        self._process.wait(10)


class Redis:
    """A server that keeps nothing."""

    def __init__(self) -> None:
        if not shutil.which("redis-server"):
            raise Absent("no Redis; as root: apt-get install redis-server")
        self.folder = Path(tempfile.mkdtemp(prefix="redis-"))
        with socket.create_server(("127.0.0.1", 0)) as held:
            self.port = int(held.getsockname()[1])
        words = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        command = ["redis-server", *words, "--dir", str(self.folder)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        until = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                if self._process.poll() is not None or time.monotonic() > until:
                    raise
                time.sleep(0.05)

    def stop(self) -> None:
        """Ends it."""
        self._process.terminate()
        self._process.wait(10)
        shutil.rmtree(self.folder, ignore_errors=True)


class Servers:
    """All of them. Use as a context: leaving it ends every one that was started."""

    def __init__(self) -> None:
        self.sink = Sink()
        self._postgresql: Server | None = None
        self._kafka: Broker | None = None
        self._redis: Redis | None = None

    def __enter__(self) -> "Servers":
        return self

    def __exit__(self, *_: object) -> None:
        for one in (self._kafka, self._postgresql, self._redis, self.sink):
            if one is not None:
                one.stop()

    def cpu(self) -> float:
        """Processor seconds so far of everything but the sink and this process, which only watches."""
        return cpu_seconds(without=self.sink.pid) - time.process_time()

    def database(self, name: str) -> str:
        """Address of an empty database of this name. Raises Absent."""
        from postgresql_server import NoServer, Server

        try:
            import psycopg  # noqa: F401

            self._postgresql = self._postgresql or Server()
        except (ImportError, NoServer) as error:
            raise Absent(str(error)) from error
        self.drop(name)
        self._postgresql.execute(f'CREATE DATABASE "{name}"')
        return str(self._postgresql.url(name))

    def drop(self, name: str) -> None:
        """Removes a database and writes everything out, so that the next row does not pay for it."""
        assert self._postgresql is not None
        self._postgresql.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        self._postgresql.execute("CHECKPOINT")

    def bus(self) -> str:
        """Address of a fresh broker: deleted topics leave offsets and member names behind. Raises Absent."""
        from real_kafka import Broker, missing

        if why := missing():
            raise Absent(why)
        self.end_bus()
        self._kafka = Broker().start()
        return str(self._kafka.url)

    def end_bus(self) -> None:
        """Ends the broker: what is measured next does not share the machine with an idle one."""
        if self._kafka is not None:
            self._kafka.stop()
            self._kafka = None

    def redis(self) -> str:
        """Address of Redis. Raises Absent."""
        self._redis = self._redis or Redis()
        return f"redis://127.0.0.1:{self._redis.port}/0"


def peers_python() -> str:
    """Python of the peers' own environment, made where it is missing or its list has changed. Raises Absent."""
    python, done = PEERS / "venv" / "bin" / "python", PEERS / PEERS_LIST.name
    if done.exists() and done.read_bytes() == PEERS_LIST.read_bytes() and python.exists():
        return str(python)
    print("making .cache/bench with Celery, once ...", file=sys.stderr)
    done.unlink(missing_ok=True)
    base = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for command in (
        [shutil.which(base) or sys.executable, "-m", "venv", "--clear", str(PEERS / "venv")],
        [str(python), "-m", "pip", "install", "-q", "-r", str(PEERS_LIST)],
    ):
        if subprocess.run(command, capture_output=True, check=False).returncode:
            raise Absent(f"no Celery: {' '.join(command)} failed")
    shutil.copy(PEERS_LIST, done)
    return str(python)
