"""How soon an emergency goes out while notices to a whole province are being sent, and how soon a cancel stops those.

Real parts: worker processes, SQLite with the local bus, PostgreSQL with Kafka. The provider is a local HTTP gateway that answers
each request after --delay seconds: two workers with 50 requests each in flight send 1,000 notices a second at 0.1, so that nearly
the whole backlog stands when the emergency comes. Run: ./scripts/bench emergency
"""

import argparse
import asyncio
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from broadcaster.bus import prepare_bus
from broadcaster.cli.children import Children
from broadcaster.cli.demo_home import furnish
from broadcaster.cli.run import start_workers
from broadcaster.compose import campaigns
from broadcaster.compose.drafts import Draft
from broadcaster.compose.places import read_places
from broadcaster.compose.recipients import NewRecipient, add_recipients
from broadcaster.installation import Installation, initialise
from broadcaster.model import Mode, Selection
from broadcaster.people import find_user
from broadcaster.store import delivering, windows
from broadcaster.store.clock import now_ms
from broadcaster.store.counters import counting, totals
from broadcaster.store.driver import run

TESTS = Path(__file__).resolve().parents[1] / "tests"
DRILL = "drill"
IMPORT = 100_000  # phones of one import
PATIENCE = 180.0  # seconds until an emergency is sent; one that takes longer has failed, and waiting would hide it
SETTLED = 3.0  # seconds that the notices are sent before anything else happens
CLAIMS = 40
WATCHED = 5.0  # seconds that the provider is watched after a cancel
HEAD = b"HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nContent-Length: "
SET = """id = "{name}"
category = "{category}"
expires_hours = 6
title = {{ zh-CN = "试", ko = "시험", en = "Trial" }}
signature = {{ zh-CN = "试", ko = "시험", en = "Trial" }}
[slots]
sms = ["name"]
"""


class Gateway:
    """The provider, in a process of its own. Knows of each campaign when its first and last request came, and how many."""

    def __init__(self, delay: float) -> None:
        words = [sys.executable, __file__, "--gateway", str(delay)]
        self._process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout
        self.url = f"http://127.0.0.1:{int(self._process.stdout.readline())}/send"

    def seen(self, campaign: int) -> tuple[int, int, int]:
        """(first ms, last ms, requests) of a campaign; zeros for none."""
        with urllib.request.urlopen(self.url, timeout=10) as reply:
            found = json.load(reply).get(str(campaign), (0, 0, 0))
        return found[0], found[1], found[2]

    def close(self) -> None:
        self._process.terminate()
        self._process.wait()


async def gateway(delay: float) -> None:
    """Serves until it is ended; prints its port first."""
    seen: dict[str, list[int]] = {}

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                if head.startswith(b"get"):
                    told = json.dumps(seen).encode()
                    writer.write(HEAD + f"{len(told)}\r\n\r\n".encode() + told)
                    break
                length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
                campaign = (
                    (await reader.readexactly(length))[:60].decode("ascii", "replace").split('"')[3].split("-")[0]
                )
                now = int(time.time() * 1000)
                entry = seen.setdefault(campaign, [now, now, 0])
                entry[1:] = now, entry[2] + 1
                await asyncio.sleep(delay)
                writer.write(HEAD + b"2\r\n\r\n{}")
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0, backlog=1000)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextlib.contextmanager
def backend(name: str) -> Iterator[dict[str, str]]:
    """The two settings by which the back-ends differ, with their servers running."""
    if name == "embedded":
        yield {}
        return
    sys.path[:0] = [str(TESTS), str(TESTS / "broker")]
    from postgresql_server import Server
    from real_kafka import Broker

    server, broker = Server(), Broker()
    try:
        server.execute("CREATE DATABASE bench")
        yield {"database_url": server.url("bench"), "bus_url": broker.start().url}
    finally:
        broker.stop()
        server.stop()


def furnished(folder: Path, options: argparse.Namespace, **settings: Any) -> Installation:
    """A home with the demo's users, the phones of the backlog and, apart from them, those of the emergency."""
    for name, category in (("routine", "notice"), ("alarm", "emergency")):
        made = folder / "sets" / name
        made.mkdir(parents=True)
        (made / "set.toml").write_text(SET.format(name=name, category=category), encoding="utf-8")
        (made / "sms.zh-CN.txt").write_text("{{ name }}，请检查灭火器。\n", encoding="utf-8")
    inst = initialise(home=folder / "home", templates=folder / "sets", sms_provider="http", **settings)
    prepare_bus(inst)
    furnish(inst, (1, 0, 0), 1)
    villages = [place.code for place in read_places() if place.level == 5]
    for first in range(0, options.backlog, IMPORT):
        numbers = range(first, min(first + IMPORT, options.backlog))
        add_recipients(inst, (_phone(i, villages[i % len(villages)]) for i in numbers))
    add_recipients(inst, (_phone(options.backlog + i, villages[0], DRILL) for i in range(options.emergency)))
    return inst


def _phone(i: int, place: str, *groups: str) -> NewRecipient:
    return NewRecipient("sms", f"tel:+86138{i:08d}", place, f"金{i}", "zh-CN", groups=groups)


def notices() -> Draft:
    """To everybody but those of the emergency."""
    return _draft("routine", Selection(places=("22",), exclude_groups=(DRILL,)))


def alarm() -> Draft:
    """To the few."""
    return _draft("alarm", Selection(groups=(DRILL,)))


def _draft(template_set: str, selection: Selection) -> Draft:
    return Draft(template_set, template_set, Mode.LIVE, None, {}, selection, ("sms",))


def submitted(inst: Installation, draft: Draft, started: Any = None) -> campaigns.Campaign:
    """Composed and submitted. `started` is called when the first rows of the plan are written."""
    author = find_user(inst, "author")
    made = campaigns.create(inst, author, draft)
    return campaigns.submit(inst, author, made.id, (lambda *_: started()) if started else None)


def approved(inst: Installation, campaign: campaigns.Campaign) -> None:
    campaigns.approve(inst, find_user(inst, "approver"), campaign.id, campaign.sealed_digest)


def emergency(inst: Installation, size: int, ready: campaigns.Campaign | None = None) -> dict[str, float]:
    """Composes, submits (unless one is ready) and approves one.

    Seconds of each step, and from the call of approve to the first and last accepted.
    """
    begun = time.perf_counter()
    made = ready or submitted(inst, alarm())
    submit, called = time.perf_counter() - begun, time.time() * 1000
    approved(inst, made)
    approve = time.time() * 1000 - called
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        first, last, n = _accepted(inst, made.id)
        if n == size:
            return {
                "submit": submit,
                "approve": approve / 1000,
                "first": (first - called) / 1000,
                "all": (last - called) / 1000,
            }
        time.sleep(0.1)
    raise SystemExit(f"of the emergency {n} of {size} were accepted within {PATIENCE:.0f} s")


def _accepted(inst: Installation, campaign: int) -> tuple[int, int, int]:
    statement = (
        "SELECT min(changed_at), max(changed_at), count(*) FROM delivery WHERE campaign_id = ? AND outcome = 'accepted'"
    )
    with inst.store.read() as conn:
        first, last, n = run(conn, statement, campaign).one()
    return first or 0, last or 0, n


def claims(inst: Installation) -> dict[str, float]:
    """Windows of 8 of an emergency that nobody approves, claimed and committed one after another: ms of each."""
    made = submitted(inst, alarm())
    with inst.store.read() as conn:
        statement = "SELECT id FROM chunk WHERE campaign_id = ?"
        chunk = delivering.chunk_row(conn, run(conn, statement, made.id).scalar_one())
    assert chunk
    took = []
    for first in range(1, min(CLAIMS * 8, int(made.planned or 0)), 8):
        begun = time.perf_counter()
        with inst.store.write() as conn, counting(conn, made.id) as turn:
            now = now_ms(conn)
            span = (first, first + 7)
            seen = windows.look(turn, span, now, None)
            windows.claim(turn, windows.Wanted(chunk, span, "bench", now + 3_600_000, ("never",)), seen.now, seen.lease)
        took.append((time.perf_counter() - begun) * 1000)
    return {"claim_p50": statistics.median(took), "claim_max": max(took)}


def waiting(inst: Installation, campaign: int) -> int:
    with inst.store.read() as conn:
        return totals(conn, campaign).get("waiting", 0)


def beside(inst: Installation, folder: Path, options: argparse.Namespace) -> dict[str, float]:
    """An emergency composed while another process writes a second plan as large, one approved while that is approved."""
    words = [sys.executable, __file__, "--beside", str(folder), json.dumps(_settings(inst))]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, stdin=pipe, stdout=pipe, text=True) as other:
        assert other.stdin
        assert other.stdout
        other.stdout.readline()  # it writes
        found = {f"plan_{k}": v for k, v in emergency(inst, options.emergency).items()}
        found["other_submit"] = float(other.stdout.readline())
        ready = submitted(inst, alarm())
        other.stdin.write("approve\n")
        other.stdin.flush()
        other.stdout.readline()  # it approves
        found.update({f"approval_{k}": v for k, v in emergency(inst, options.emergency, ready).items()})
        found["other_approve"] = float(other.stdout.readline())
    return found


def _settings(inst: Installation) -> dict[str, str]:
    return {"database_url": inst.settings.database_url.get_secret_value(), "bus_url": inst.settings.bus_url}


def second(folder: Path, settings: dict[str, str]) -> None:
    """The other process: says when it writes and how long that took, then, when told to, the same of its approval."""
    inst = initialise(home=folder / "home", templates=folder / "sets", sms_provider="http", **settings)
    told = threading.Event()

    def started() -> None:
        if not told.is_set():
            told.set()
            print("writing", flush=True)

    begun = time.perf_counter()
    made = submitted(inst, notices(), started)
    print(time.perf_counter() - begun, flush=True)
    sys.stdin.readline()
    print("approving", flush=True)
    begun = time.perf_counter()
    approved(inst, made)
    print(time.perf_counter() - begun, flush=True)
    inst.close()


def cancelled(inst: Installation, far: Gateway, campaign: int) -> dict[str, float]:
    """Seconds from the call of cancel to the last request that reached the provider; how many came after its commit."""
    begun = time.time() * 1000
    campaigns.cancel(inst, find_user(inst, "approver"), campaign, "bench")
    took = time.time() * 1000 - begun
    before = far.seen(campaign)[2]
    until = time.monotonic() + PATIENCE
    while waiting(inst, campaign) and time.monotonic() < until:
        time.sleep(0.1)
    labelled = time.time() * 1000 - begun
    time.sleep(max(0.0, WATCHED - labelled / 1000))
    _, last, after = far.seen(campaign)
    return {
        "cancel": took / 1000,
        "stopped": max(0.0, last - begun) / 1000,
        "after": after - before,
        "labelled": labelled / 1000,
    }


def measured(name: str, options: argparse.Namespace) -> dict[str, float]:
    """Everything on one back-end."""
    with (
        tempfile.TemporaryDirectory() as place,
        contextlib.closing(Gateway(options.delay)) as far,
        backend(name) as settings,
    ):
        folder = Path(place)
        inst = furnished(folder, options, sms_url=far.url, **settings)
        given = {"SMS_PROVIDER": "http", "SMS_URL": far.url, "TEMPLATES": str(folder / "sets"), "LOG_LEVEL": "warning"}
        words = {f"BROADCASTER_{k.upper()}": v for k, v in {**given, **settings}.items()}
        try:
            with Children(inst.settings.folder, **words) as children:
                start_workers(children, options.workers)
                time.sleep(SETTLED)
                return _all(inst, far, folder, options)
        finally:
            inst.close()


def _all(inst: Installation, far: Gateway, folder: Path, options: argparse.Namespace) -> dict[str, float]:
    emergency(inst, options.emergency)  # the first of a worker's life: its imports, its connections
    found = {f"empty_{k}": v for k, v in emergency(inst, options.emergency).items()}
    note(found)
    begun = time.perf_counter()
    many = submitted(inst, notices())
    found["many_submit"] = time.perf_counter() - begun
    begun = time.perf_counter()
    approved(inst, many)
    found["many_approve"] = time.perf_counter() - begun
    while far.seen(many.id)[2] < 100:
        time.sleep(0.1)
    time.sleep(SETTLED)
    found.update(emergency(inst, options.emergency))
    found["backlog"] = waiting(inst, many.id)
    found.update(claims(inst))
    found["backlog_then"] = waiting(inst, many.id)
    note(found)
    found.update(cancelled(inst, far, many.id))
    note(found)
    found.update(beside(inst, folder, options))
    note(found)
    return found


LINES = (
    ("submit of the backlog", "many_submit", "s"),
    ("approve of the backlog", "many_approve", "s"),
    ("emergency, empty queue: approve -> first accepted", "empty_first", "s"),
    ("emergency, empty queue: approve -> all accepted", "empty_all", "s"),
    ("notices that wait when the emergency is through", "backlog", ""),
    ("emergency behind them: compose and submit", "submit", "s"),
    ("emergency behind them: approve itself", "approve", "s"),
    ("emergency behind them: approve -> first accepted", "first", "s"),
    ("emergency behind them: approve -> all accepted", "all", "s"),
    ("claim of 8 behind them, committed: median", "claim_p50", "ms"),
    ("claim of 8 behind them, committed: longest", "claim_max", "ms"),
    ("notices that wait before their cancel", "backlog_then", ""),
    ("cancel of the notices itself", "cancel", "s"),
    ("cancel -> last request at the provider", "stopped", "s"),
    ("requests that came after the cancel's commit", "after", ""),
    ("cancel -> every waiting one labelled", "labelled", "s"),
    ("while a second plan is written: compose and submit", "plan_submit", "s"),
    ("while a second plan is written: approve -> first accepted", "plan_first", "s"),
    ("while a second plan is approved: approve itself", "approval_approve", "s"),
    ("while a second plan is approved: approve -> first accepted", "approval_first", "s"),
    ("the second plan: submit", "other_submit", "s"),
    ("the second plan: approve", "other_approve", "s"),
)


def note(found: dict[str, float]) -> None:
    """What is known so far, for whoever waits."""
    print({key: round(value, 3) for key, value in found.items()}, file=sys.stderr, flush=True)


def report(options: argparse.Namespace) -> None:
    """Both back-ends in turn, then the table."""
    names = ["embedded", "scale"] if options.backend == "both" else [options.backend]
    found = {name: measured(name, options) for name in names}
    print(
        f"emergency of {options.emergency:,} behind {options.backlog:,} notices; provider answers after {options.delay} s"
    )
    print(f"{options.workers} worker processes; embedded = SQLite + local bus, scale = PostgreSQL + Kafka")
    print(f"{'':60}" + "".join(f"{name:>14}" for name in names))
    for label, key, unit in LINES:
        print(f"{label:60}" + "".join(f"{found[name][key]:>14,.3f}" for name in names) + f" {unit}")
    for label, key in (("first accepted", "first"), ("all accepted", "all")):
        ratios = "".join(f"{found[name][key] / found[name]['empty_' + key]:>14,.2f}" for name in names)
        print(f"{'ratio to the empty queue, ' + label:60}{ratios} x")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backlog", type=int, default=1_000_000)
    parser.add_argument("--emergency", type=int, default=500)
    parser.add_argument("--backend", choices=("embedded", "scale", "both"), default="both")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--delay", type=float, default=0.1, help="seconds until the provider answers a request")
    parser.add_argument("--gateway", type=float, help=argparse.SUPPRESS)
    parser.add_argument("--beside", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.gateway is not None:
        asyncio.run(gateway(given.gateway))
    elif given.beside:
        second(Path(given.beside[0]), json.loads(given.beside[1]))
    else:
        report(given)
