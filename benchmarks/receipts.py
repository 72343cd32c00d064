"""How a storm of receipts is borne: a provider's callbacks against one web server, one process folding them beside it.

Two receipts a message, in no order. Prints the answers' times, counted from the moment at which each was due, how long after the
last answer the counts were exact, and whether they were. Run: ./scripts/bench receipts --receipts 20000 --seconds 6
"""

import argparse
import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from measured.inside import SilentSender, carry_out, prepared

from broadcaster.deliver.callbacks import receipt_path
from broadcaster.installation import Installation
from broadcaster.reach.counts import counts, recount
from broadcaster.settings import child_environment
from broadcaster.store.driver import run

FAILING = 10  # every tenth message fails


def requests(inst: Installation, campaign: int, base: str) -> tuple[list[bytes], Counter[str]]:
    """Every callback as it goes over the wire, shuffled; what they must come to."""
    with inst.store.read() as conn:
        rows = run(
            conn,
            "SELECT n, token FROM delivery WHERE campaign_id = ? AND channel = 'sms' AND outcome = 'accepted'",
            campaign,
        ).all()
    made, expected = [], Counter[str]()
    for n, token in rows:
        final = "failed" if n % FAILING == 0 else "delivered"
        expected[final] += 1
        path = receipt_path(inst.keys, "http", f"{campaign}-{n}-{token}")
        for word in ("accepted", final):
            body = json.dumps({"word": word, "id": f"p{n}", "at": "2026-11-24T10:00:00+08:00"}).encode()
            head = f"POST {path} HTTP/1.1\r\nHost: {base}\r\nContent-Type: application/json\r\n"
            made.append(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    random.Random(1).shuffle(made)
    return made, expected


class Storm:
    """Requests at an even rate over so many connections that are kept open."""

    def __init__(self, made: Sequence[bytes], seconds: float) -> None:
        self._made = made
        self._every = seconds / len(made)
        self._next = 0
        self._begun = 0.0
        self.statuses: Counter[bytes] = Counter()
        self.took: list[float] = []

    async def run(self, host: str, port: int, connections: int) -> float:
        """Seconds until the last answer."""
        self._begun = time.perf_counter()
        await asyncio.gather(*(self._connection(host, port) for _ in range(connections)))
        return time.perf_counter() - self._begun

    async def _connection(self, host: str, port: int) -> None:
        reader, writer = await asyncio.open_connection(host, port)
        while (at := self._next) < len(self._made):
            self._next += 1
            due = self._begun + at * self._every
            if (early := due - time.perf_counter()) > 0:
                await asyncio.sleep(early)
            writer.write(self._made[at])
            head = await reader.readuntil(b"\r\n\r\n")
            self.took.append(time.perf_counter() - due)
            self.statuses[head[9:12]] += 1
            length = next(
                (int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0
            )
            if length:
                await reader.readexactly(length)
        writer.close()


def exact_after(inst: Installation, campaign: int, expected: Counter[str], most: float) -> float | None:
    """Seconds until the counts say what the receipts said; None where they never do."""
    begun = time.perf_counter()
    while time.perf_counter() - begun < most:
        rows = {row["key"]: row["outcomes"] for row in counts(inst, campaign, "channel", with_reach=False)["by"]}
        if all(rows["sms"][word] == expected[word] for word in ("delivered", "failed", "accepted")):
            return time.perf_counter() - begun
        time.sleep(0.2)
    return None


def ended(process: "subprocess.Popen[str]") -> float:
    """Ends a process of ours; the CPU seconds that it took."""
    process.terminate()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return usage.ru_utime + usage.ru_stime


def measured(folder: Path, given: argparse.Namespace) -> dict[str, object]:
    """One storm over a home of its own."""
    database = {"database_url": given.database} if given.database else {}
    inst, planned, _ = prepared(folder, given.receipts // 2, **database)
    carry_out(inst, SilentSender)
    with inst.store.read() as conn:
        campaign = int(run(conn, "SELECT max(id) FROM campaign").scalar_one())
    settings = {
        **database,
        "sms_provider": "http",
        "sms_url": "http://127.0.0.1:9/",
        "public_url": "http://receipts.test",
    }
    environment = child_environment(**{f"BROADCASTER_{name.upper()}": value for name, value in settings.items()})
    command = [sys.executable, "-P", "-m", "broadcaster.cli"]
    own = {"env": environment, "stderr": subprocess.PIPE, "text": True}
    server = subprocess.Popen([*command, "serve", "--port", "0", "--home", str(folder)], **own)  # type: ignore[call-overload]
    worker = subprocess.Popen(  # type: ignore[call-overload]
        [*command, "work", "--only", "sweep", "--home", str(folder)], env=environment, stderr=subprocess.DEVNULL
    )
    try:
        address = next(line for line in server.stderr if "listening on" in line).split()[-1]
        where = urlsplit(address)
        made, expected = requests(inst, campaign, where.netloc)
        storm = Storm(made, given.seconds)
        took = asyncio.run(storm.run(str(where.hostname), int(where.port or 0), given.connections))
        lag = exact_after(inst, campaign, expected, 120)
        equal = recount(inst, campaign)["equal"]
    finally:
        spent = [ended(each) for each in (server, worker)]
        inst.close()
    order = sorted(storm.took)
    return {
        "planned": planned,
        "receipts": len(made),
        "seconds": round(took, 1),
        "per_second": round(len(made) / took),
        "statuses": {status.decode(): n for status, n in storm.statuses.items()},
        "p50_ms": round(order[len(order) // 2] * 1000, 1),
        "p99_ms": round(order[len(order) * 99 // 100] * 1000, 1),
        "most_ms": round(order[-1] * 1000, 1),
        "exact_after_seconds": None if lag is None else round(lag, 1),
        "recount_equal": equal,
        # With what both needed to start in it: a busy machine changes the times above more than these.
        "server_cpu_us": round(spent[0] / len(made) * 1e6),
        "folding_cpu_us": round(spent[1] / len(made) * 1e6),
    }


def main() -> None:
    """Runs one storm and prints what was measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--receipts", type=int, default=200_000, help="two for each message [200000]")
    parser.add_argument("--seconds", type=float, default=60.0, help="over which they come [60]")
    parser.add_argument("--connections", type=int, default=64, help="that the provider keeps open [64]")
    parser.add_argument("--database", default="", help="address of an empty PostgreSQL database; without: SQLite")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measured(Path(folder), given)
    print(json.dumps(found, indent=1))
    if (
        found["exact_after_seconds"] is None
        or not found["recount_equal"]
        or any(s[0] == "5" for s in found["statuses"])
    ):
        sys.exit(1)


if __name__ == "__main__":
    main()
