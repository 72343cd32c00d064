"""A real PostgreSQL for the tests: made in a folder of its own, on loopback, durable as in earnest, gone afterwards."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Protocol

PATIENCE = 60.0  # seconds until a server answers; after a crash it replays its log first
OWNER = "postgres"
TEMPLATE = "broadcaster_template"
USER = "broadcaster"  # who may come in by TLS and password only, where the server is guarded
# The owner comes in as the fixture does; everyone else encrypted and with a password, or not at all.
GUARDED = f"""host all {OWNER} 127.0.0.1/32 trust
hostssl all all 127.0.0.1/32 scram-sha-256
host all all all reject
"""


class Certificates(Protocol):
    """Files of a server's certificate."""

    @property
    def certificate(self) -> Path: ...

    @property
    def key(self) -> Path: ...


class NoServer(Exception):
    """There is no PostgreSQL on this machine, or it does not start; says why."""


def find_programs() -> Path:
    """The folder of `postgres` and `initdb`. Debian keeps them out of PATH, one folder a version."""
    found = shutil.which("postgres")
    places = [Path(found).resolve().parent] if found else []
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: -int(p.parent.name.split(".")[0]))
    for place in places:
        if (place / "initdb").exists() and (place / "postgres").exists():
            return place
    raise NoServer("PostgreSQL's server is not installed; as root: apt-get install postgresql")


def _account() -> dict[str, object]:
    """PostgreSQL refuses to run as root: then it runs as the account that its package made, else as nobody."""
    if os.getuid() != 0:
        return {}
    import pwd

    names = {entry.pw_name for entry in pwd.getpwall()}
    user = pwd.getpwnam(OWNER if OWNER in names else "nobody")
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _children(pid: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if parent == pid:
            found.append(int(stat.parent.name))
    return found


class Server:
    """One server process and its databases. `url(name)` is what BROADCASTER_DATABASE_URL takes."""

    def __init__(self, certificates: Certificates | None = None, password: str = "") -> None:
        """`certificates` and `password`: USER must come in by TLS and with it."""
        self._programs = find_programs()
        self._account = _account()
        self.folder = Path(tempfile.mkdtemp(prefix="broadcaster-postgresql-"))
        if self._account:
            os.chown(self.folder, self._account["user"], self._account["group"])  # type: ignore[arg-type]
        self.port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None
        words = ["--auth=trust", f"--username={OWNER}", "--encoding=UTF8", "--locale=C", "--no-instructions"]
        self._run("initdb", f"--pgdata={self.folder / 'data'}", *words)
        self._guard: dict[str, object] = {}
        if certificates:
            self._guarded(certificates)
        self.start()
        if password:
            self.execute(f"CREATE ROLE {USER} LOGIN PASSWORD '{password}'")

    def _guarded(self, certificates: Certificates) -> None:
        data = self.folder / "data"
        (data / "pg_hba.conf").write_text(GUARDED)
        for source, name in ((certificates.certificate, "server.crt"), (certificates.key, "server.key")):
            shutil.copyfile(source, data / name)
            (data / name).chmod(0o600)
            if self._account:
                os.chown(data / name, self._account["user"], self._account["group"])  # type: ignore[arg-type]
        self._guard = {"ssl": "on", "ssl_cert_file": data / "server.crt", "ssl_key_file": data / "server.key"}

    def _run(self, program: str, *words: str) -> None:
        done = subprocess.run(
            [self._programs / program, *words],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            **self._account,
        )  # type: ignore[call-overload]
        if done.returncode:
            raise NoServer(f"{program} ended with {done.returncode}: {done.stderr[-1000:]}")

    def start(self) -> None:
        """Starts the server and waits until it answers. Right after a kill its shared memory may be held for a moment yet."""
        deadline = time.monotonic() + PATIENCE
        settings = {
            "port": self.port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": self.folder,
            "fsync": "on",
            "max_connections": 200,
            "shared_buffers": "64MB",
            "autovacuum_naptime": "1d",  # a plan that changes in the middle of a test would be luck
            **self._guard,
        }
        words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        while True:
            if self._process is None or self._process.poll() is not None:
                with (self.folder / "log").open("ab") as log:
                    self._process = subprocess.Popen(
                        [self._programs / "postgres", "-D", self.folder / "data", *words],
                        cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **self._account,
                    )  # type: ignore[call-overload]  # fmt: skip
            if self._answers():
                return
            if time.monotonic() > deadline:
                raise NoServer(f"PostgreSQL does not answer: {(self.folder / 'log').read_text()[-1000:]}")
            time.sleep(0.05)

    def _answers(self) -> bool:
        import psycopg

        try:
            psycopg.connect(self._address("postgres"), connect_timeout=3).close()
        except psycopg.OperationalError:
            return False
        return True

    def _address(self, database: str) -> str:
        return f"postgresql://{OWNER}@127.0.0.1:{self.port}/{database}"

    def url(self, database: str) -> str:
        """Address of a database as the settings take it."""
        return self._address(database)

    def execute(self, statement: str) -> None:
        """One statement outside any transaction, in the database that is always there."""
        import psycopg

        with psycopg.connect(self._address("postgres"), autocommit=True, connect_timeout=3) as connection:
            connection.execute(statement)

    def deadlocks(self) -> int:
        """How many it has found since it was made, by its own log: the statistics come seconds late."""
        return (self.folder / "log").read_text().count("deadlock detected")

    def kill(self) -> None:
        """As a power cut would: every process of the server at once, nothing written, nobody told."""
        if self._process is None:
            return
        for pid in [self._process.pid, *_children(self._process.pid)]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self._process.wait()
        self._process = None

    def stop(self) -> None:
        """Ends the server and removes its folder."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)  # fast shutdown: open transactions are rolled back
            self._process.wait(timeout=PATIENCE)
        shutil.rmtree(self.folder, ignore_errors=True)
