"""What is measured beside the program: the bare loop, and Celery on the same recipients and texts."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from measured.machine import Timed, settle
from measured.program import Row, of
from measured.servers import HERE, ROOT, Servers, peers_python

if TYPE_CHECKING:
    import psycopg

DATABASE = "bench_celery"
CHUNK = 100  # as many as one window of ours
PATIENCE = 300.0
LOOK_SECONDS = 0.25  # a look reads the table: more often would cost what is measured
TABLES = """
CREATE TABLE template (id int PRIMARY KEY, source text NOT NULL);
CREATE TABLE recipient (
    id bigint PRIMARY KEY, delivery text NOT NULL, address text NOT NULL, parts int NOT NULL, expires text NOT NULL,
    wording int NOT NULL, slots text NOT NULL, state text NOT NULL DEFAULT 'waiting', ref text, changed_at timestamptz
) WITH (fillfactor = 45)
"""


def bare(servers: Servers, job: Path, phones: int, processes: int) -> Row:
    """The same bodies through the same client, without a database."""
    command = [sys.executable, str(HERE / "bare.py"), str(job), servers.sink.url]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    loops = [_spoken([*command, str(i), str(processes)], environment) for i in range(processes)]
    try:
        for loop in loops:
            _hear(loop, "ready")
        before = servers.sink.taken()
        with Timed(servers.cpu) as timed:
            for loop in loops:
                _go(loop)
            taken = sum(int(_hear(loop)) for loop in loops)
        assert taken == phones == servers.sink.taken() - before, f"{taken} of {phones}"
    finally:
        for loop in loops:
            _end(loop)
    return of(timed, phones)


def celery(servers: Servers, job: Path, phones: int, workers: int, task: str) -> Row:
    """One job of so many recipients by one Celery worker with so many processes. Raises Absent."""
    import psycopg

    python, address = peers_python(), servers.database(DATABASE)
    environment = {
        **os.environ,
        "BENCH_REDIS": servers.redis(),
        "BENCH_DATABASE": address,
        "BENCH_URL": servers.sink.url,
        "PYTHONPATH": str(HERE),
    }
    with psycopg.connect(address, autocommit=True) as connection:
        _fill(connection, job, phones)
        with _celery_worker(python, workers, environment):
            script = [python, str(HERE / "celery_enqueue.py"), task, str(phones), str(1 if task == "each" else CHUNK)]
            publisher = _spoken(script, environment)
            try:
                _hear(publisher, "ready")
                settle()
                before = servers.sink.taken()
                with Timed(servers.cpu) as timed:
                    _go(publisher)
                    _wait(connection)
                taken = servers.sink.taken() - before
                assert taken == phones, f"the sink took {taken} of {phones}"
            finally:
                _end(publisher)
    servers.drop(DATABASE)
    return of(timed, phones)


def _fill(connection: "psycopg.Connection[tuple[object, ...]]", job: Path, phones: int) -> None:
    connection.execute(TABLES)
    with job.open(encoding="utf-8") as lines, connection.cursor() as cursor:
        for number, pieces in json.loads(next(lines)).items():
            slots = [f"{{{{ v{i} }}}}" for i in range(len(pieces) - 1)] + [""]
            source = "".join(piece + slot for piece, slot in zip(pieces, slots, strict=True))
            cursor.execute("INSERT INTO template VALUES (%s, %s)", (int(number), source))
        names = "id, delivery, address, parts, expires, wording, slots"
        with cursor.copy(f"COPY recipient ({names}) FROM STDIN") as copy:
            for number, line in enumerate(islice(lines, phones), 1):
                told = json.loads(line)
                row = [told[name] for name in ("delivery", "to", "parts", "expires", "wording")]
                copy.write_row((number, *row, json.dumps(told["slots"], ensure_ascii=False)))
    connection.execute("VACUUM ANALYZE recipient")
    connection.execute("CHECKPOINT")


@contextmanager
def _celery_worker(python: str, processes: int, environment: dict[str, str]) -> Iterator[None]:
    quiet = ["--loglevel", "WARNING", "--without-gossip", "--without-mingle", "--without-heartbeat"]
    command = [python, "-m", "celery", "-A", "celery_tasks", "worker", "--concurrency", str(processes), *quiet]
    worker = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        worker.terminate()
        worker.wait(30)


def _wait(connection: "psycopg.Connection[tuple[object, ...]]") -> None:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        if not connection.execute("SELECT 1 FROM recipient WHERE state = 'waiting' LIMIT 1").fetchone():
            return
        time.sleep(LOOK_SECONDS)
    raise TimeoutError("Celery did not finish")


def _spoken(command: list[str], environment: dict[str, str]) -> "subprocess.Popen[str]":
    return subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _hear(process: "subprocess.Popen[str]", wanted: str = "") -> str:
    assert process.stdout is not None
    told = process.stdout.readline().strip()
    assert told and (not wanted or told == wanted), f"{process.args!r} said {told!r}"
    return told


def _go(process: "subprocess.Popen[str]") -> None:
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


def _end(process: "subprocess.Popen[str]") -> None:
    process.terminate()
    process.wait(10)
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
