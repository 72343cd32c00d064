"""Torments one campaign and checks the laws from outside.

Shares no code with the product: it drives the `broadcaster` command, keeps a ledger of its own in an HTTP sink that the product never
reads, and compares that ledger with the product's tables. One run, for example:
python tests/chaos/outside.py --back-end scale --category emergency --recipients 20000 --worker 20 --broker 2
"""

import argparse
import json
import math
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from back_ends import NAMES, BackEnd, Scale, open_back_end
from feed_watch import Feeds
from laws import Harm, answers, check, conserved
from ledger import Sink, chosen
from product import DEVICES, Product, approval, drafted, enrolled, furnish, withdrawal
from records import records_of

# Option of each kind of harm, and what it is. Every one can be ordered any number of times.
HARM = {
    "worker": "kill -9 of a worker",
    "fan-out": "kill -9 of the fan-out and sweep",
    "feed server": "kill -9 of a feed server",
    "broker": "SIGKILL of Kafka, started again on the same log",
    "database": "SIGKILL of PostgreSQL with its children, recovered",
    "replayed": "all records once more",
    "doubled": "all records twice in a row",
    "reordered": "all records once more in another order",
    "poisoned": "three records that nobody can read",
    "lost": "the log's tail cut, or free rows of the table deleted",
}
FAR = ("broker", "database")  # harm that only the back-end of several servers can suffer
LIVING = ("feed server", "fan-out")


class Torment:
    """A campaign, what is to be done to it, and what was found on the way."""

    def __init__(self, product: Product, sink: Sink, order: tuple[int, int], options: argparse.Namespace) -> None:
        """`order`: the campaign and how many deliveries it must have."""
        self.product, self._sink, self.options = product, sink, options
        self.campaign, self.planned = order
        self.dice = random.Random(options.seed)
        self.harm = Harm()
        self.looks = 0
        self.feeds: Feeds | None = None
        self._records = records_of(product.back_end, options.category)
        self.orders: list[list[str]] = []  # of campaigns to the devices alone, so that their feeds go on changing
        self._due = [kind for kind in HARM for _ in range(getattr(options, _flag(kind)))]
        self.dice.shuffle(self._due)
        self._ordered = len(self._due)
        self._ended = False
        self._pace()

    def _pace(self) -> None:
        """So many messages are sent at full speed until the next harm is done."""
        share = (self._ordered - len(self._due) + 1) / (self._ordered + 1)
        self._sink.free = self.options.recipients * share if self._due else math.inf

    def run(self) -> None:
        """One harm after another while the campaign is sent, then nothing more until it is over."""
        until = time.monotonic() + self.options.seconds
        while time.monotonic() < until and self._goes_on():
            self._look()
            if self._due and (self._due[0] == "fan-out" or self._has_started()):
                self._do(self._due.pop(0))
                self._pace()
            time.sleep(self.dice.uniform(*self.options.pause))
        self._after()

    def _goes_on(self) -> bool:
        """Feeds live on behind the campaign, and so do those who serve and tell them."""
        self._ended = self._ended or self.product.state(self.campaign) not in ("approved", "running")
        return not self._ended or bool(self.feeds and self._due and self._due[0] in LIVING)

    def _look(self) -> None:
        self._records.look()
        self.looks += 1
        if broken := conserved(self.product, self.campaign, self.planned):
            self.harm.told.append(broken)

    def _has_started(self) -> bool:
        begun = "SELECT count(*) FROM delivery WHERE campaign_id = ? AND channel = 'sms' AND outcome <> 'waiting'"
        return bool(self.product.rows(begun, self.campaign)[0][0])

    def _do(self, kind: str) -> None:
        acts: dict[str, Callable[[], None]] = {
            "worker": lambda: self.product.kill(f"worker {self.dice.randrange(self.options.workers)}"),
            "fan-out": lambda: self.product.kill("fan-out"),
            "feed server": self._kill_feed_server,
            "broker": lambda: self._far().kill_broker(self.dice.uniform(*self.options.pause)),
            "database": lambda: self._far().kill_database(self.dice.uniform(*self.options.pause)),
        }
        say(f"{kind} ({self.harm.done[kind] + 1})")
        if kind in acts:
            acts[kind]()
        else:
            n = self._records.stir(kind, self.dice)
            self.harm.garbage += n if kind == "poisoned" else 0
            self.harm.done[f"records {kind}"] += n
            self.harm.log_cut |= kind == "lost" and isinstance(self.product.back_end, Scale)
        self.harm.done[kind] += 1

    def _far(self) -> Scale:
        assert isinstance(self.product.back_end, Scale)
        return self.product.back_end

    def _kill_feed_server(self) -> None:
        """While the feeds change: the server that comes back must know of it."""
        assert self.feeds
        if self.orders:
            self.product.order(self.orders.pop(0))
        name = self.dice.choice(sorted(self.feeds.servers))
        self.product.kill(name)
        self.harm.told += self.feeds.wait_right([name])

    def _after(self) -> None:
        if self._due:
            self.harm.told.append(f"the campaign ended before {len(self._due)} of the harm: {sorted(set(self._due))}")
        until = time.monotonic() + 40
        dead = "SELECT count(*) FROM dead_letter"
        while time.monotonic() < until and self.product.rows(dead)[0][0] < self.harm.garbage and not self.harm.log_cut:
            time.sleep(0.2)  # the campaign may be over before the workers come to what was thrown among its records
        if self.feeds:
            self.product.ordered()
            wrong = self.feeds.wait_right()
            self.feeds.watch.stop()
            self.harm.told += wrong + self.feeds.watch.found[:20]
            self.harm.feeds_right = not self.feeds.watch.found and not wrong and self.feeds.sequences_right()
        if codes := self.product.stop():
            self.harm.told.append(f"after SIGTERM ended {codes}")
        if broken := conserved(self.product, self.campaign, self.planned):
            self.harm.told.append(broken)


def run(options: argparse.Namespace) -> dict[str, Any]:
    """One whole run in a folder of its own. Returns what was found; `ok` says whether every law held."""
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        place = Path(folder)
        place.chmod(0o755)
        back_end = open_back_end(options.back_end, place)
        try:
            return _run(place, back_end, options)
        finally:
            back_end.stop()


def _run(place: Path, back_end: BackEnd, options: argparse.Namespace) -> dict[str, Any]:
    hide = chosen(options.drops, options.recipients, options.seed)
    sink = Sink(place / "ledger.txt", options.delay, hide).start()
    product = Product(place, sink, back_end, options.lease, options.chunk)
    furnish(product, place, options.recipients, options.devices, options.category)
    paths = enrolled(product) if options.devices else {}
    if options.lost and isinstance(back_end, Scale):
        back_end.keep_log()
    try:
        campaign = drafted(product, ("sms", *DEVICES) if paths else ("sms",))
        product.ask(*approval(campaign))
        # The demo that invents the devices has one phone of its own.
        planned = options.recipients + len(paths) + (1 if paths else 0)
        torment = Torment(product, sink, (campaign, planned), options)
        for _ in range(0, options.feed_server, 2):
            side = drafted(product, DEVICES)
            torment.orders += [approval(side), withdrawal(side)]
        begun = time.monotonic()
        product.start_workers(options.workers)
        if paths:
            torment.feeds = Feeds(product, paths, options.servers)
            torment.feeds.watch.start()
        torment.run()
        seconds = time.monotonic() - begun
        report = check(product, sink, (campaign, planned), torment.harm, answers(product, campaign))
    finally:
        product.stop()
    polls = torment.feeds.watch.polls if torment.feeds else 0
    report.update(back_end=back_end.name, looks=torment.looks, polls=polls, seconds=round(seconds, 1))
    report["ok"] = all(report["laws"].values())
    if not report["ok"]:
        report["log"] = product.log()
    return report


def say(words: str) -> None:
    print(f"  {words}", file=sys.stderr, flush=True)


def _flag(kind: str) -> str:
    return f"{kind.replace('-', '_').replace(' ', '_')}"


def parse(words: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--back-end", default="embedded", choices=NAMES)
    parser.add_argument("--category", default="notice", choices=("emergency", "notice", "promotion"))
    parser.add_argument("--recipients", type=int, default=20_000)
    parser.add_argument("--devices", type=int, default=0, help="half of them loudspeakers, half boards")
    for kind, what in HARM.items():
        parser.add_argument(f"--{kind.replace(' ', '-')}", type=int, default=0, metavar="N", help=what)
    parser.add_argument("--drops", type=int, default=0, metavar="N", help="replies dropped after the message was taken")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--servers", type=int, default=2, help="feed servers, where there are devices")
    parser.add_argument("--delay", type=float, default=0.02, help="seconds until the sink answers")
    parser.add_argument(
        "--lease", type=float, default=8.0, help="longer than an outage of the database, where one is ordered"
    )
    parser.add_argument("--chunk", type=int, default=500, help="deliveries that one record announces")
    parser.add_argument(
        "--pause", type=float, nargs=2, default=(0.3, 1.5), help="seconds between one harm and the next"
    )
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(words)
    wrong = [kind for kind in FAR if getattr(options, _flag(kind)) and options.back_end == "embedded"]
    if wrong:
        parser.error(f"the embedded back-end has no {' and no '.join(wrong)}")
    if options.feed_server and not options.devices:
        parser.error("without --devices there is no feed to serve")
    return options


def end_well(_number: int, _frame: object) -> None:
    """SIGTERM: the servers must not be left behind."""
    sys.exit(143)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, end_well)
    result = run(parse())
    print(json.dumps(result, ensure_ascii=False, indent=1))
    sys.exit(0 if result["ok"] else 1)
