"""How fast a campaign goes from its approval to its last count, beside what the same machine does by other means, in one run.

Rows of one round run one after another, round after round, so that a machine that slows down slows all of them; read the
ratios. Run: ./scripts/bench pipeline [--recipients N] [--rounds N] [--only ROW,ROW]
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from measured import inside, peers, program, table
from measured.job import write_job
from measured.machine import load
from measured.program import Row
from measured.servers import Absent, Servers

RECIPIENTS, EACH, ROUNDS = 30_000, 1_500, 3
ROWS = ["inside", *table.LABELS]


def measures(servers: Servers, job: Path, options: argparse.Namespace) -> dict[str, Callable[[], Row]]:
    """What each row of the table is measured by."""
    phones, workers = options.recipients, options.workers
    ours = partial(program.carry_out, servers, phones, workers)
    celery = partial(peers.celery, servers, job)
    return {
        "embedded-spool": lambda: ours(scale=False, http=False),
        "scale-spool": lambda: ours(scale=True, http=False),
        "bare-1": lambda: peers.bare(servers, job, phones, 1),
        "bare-2": lambda: peers.bare(servers, job, phones, 2),
        "embedded-http": lambda: ours(scale=False, http=True),
        "scale-http": lambda: ours(scale=True, http=True),
        "celery-chunked": lambda: celery(phones, workers, "chunk"),
        "celery-aiohttp": lambda: celery(phones, workers, "chunk_aiohttp"),
        "celery-each": lambda: celery(min(phones, options.each), workers, "each"),
    }


def side_by_side(
    servers: Servers, options: argparse.Namespace
) -> tuple[table.Rounds, dict[str, list[float]], list[str]]:
    """All rows, round after round; those of one process; and what could not be measured."""
    found: table.Rounds = {}
    within: dict[str, list[float]] = {}
    absent: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="bench-job-") as folder:
        job = Path(folder) / "job.jsonl"
        if any(name.startswith(("bare", "celery")) for name in options.only):
            write_job(job, options.recipients)
        ways = measures(servers, job, options)
        for number in range(options.rounds):
            print(f"round {number + 1} of {options.rounds}; load {load()}", file=sys.stderr)
            for name in [name for name in ways if name in options.only and name not in absent]:
                try:
                    found.setdefault(name, []).append(ways[name]())
                    print(f"  {name} {found[name][-1].rate:,.0f}/s {found[name][-1].cpu_us:,.0f} us", file=sys.stderr)
                except Absent as error:
                    absent[name] = str(error)
            if "inside" in options.only:
                for key, value in inside.measured(options.recipients).items():
                    within.setdefault(key, []).append(value)
    return found, within, [f"not measured: {name}: {why}" for name, why in absent.items()]


def report(options: argparse.Namespace) -> None:
    """Runs everything and prints the tables."""
    loads = [load()]
    with Servers() as servers:
        ceilings = [servers.sink.ceiling()]
        found, within, absent = side_by_side(servers, options)
        ceilings.append(servers.sink.ceiling())
    loads.append(load())
    print(
        f"{options.recipients:,} phones, {options.each:,} where each is a task; {options.workers} worker processes; full"
    )
    print(
        f"syncs in both databases; {options.rounds} rounds on {os.cpu_count()} cores; load {loads[0]}, at the end {loads[1]}"
    )
    print(table.line("the sink itself, from a client without an HTTP library", ceilings, "requests/s"))
    if found:
        print("\n".join(table.side_by_side(found)))
    if within:
        print("\n".join(["", *table.inside(within, found.get("embedded-spool", []))]))
    print("\n".join(absent), end="\n" if absent else "")


def rows(words: str) -> list[str]:
    """Names of rows, comma separated."""
    names = words.split(",")
    if unknown := [name for name in names if name not in ROWS]:
        raise argparse.ArgumentTypeError(f"no row {', '.join(unknown)}; one of: {', '.join(ROWS)}")
    return names


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipients", type=int, default=RECIPIENTS)
    parser.add_argument("--each", type=int, default=EACH, help="recipients where each is a task of its own")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--only", type=rows, default=ROWS, metavar="ROW,ROW", help=f"of {', '.join(ROWS)}")
    for name in [name for name in os.environ if name.startswith("BROADCASTER_")]:
        del os.environ[name]  # the person's own installation is not what is measured
    report(parser.parse_args())
