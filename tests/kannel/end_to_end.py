"""The whole way through the real Kannel, judged from outside by the list of its SMS centre.

The product runs as a person would run it (`broadcaster serve`, `broadcaster work`, a home of its own) and writes to Kannel, whose
receipts come back to it over HTTP. With --kill a box gets SIGKILL in the middle and is started again. What the SMS centre has got
is then compared with the product's rows and counters. Run: python tests/kannel/end_to_end.py --messages 5000 --kill none bearerbox smsbox
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parents[1] / "chaos")]

import product as commands  # noqa: E402
from arrived import Seen  # noqa: E402
from back_ends import Embedded  # noqa: E402
from laws import WORDS, conserved  # noqa: E402
from real_kannel import Kannel, free_ports, listens, wait_until  # noqa: E402

REACHED = ("accepted", "delivered")
SETTLED_S = 4.0  # without a change no receipt is under way any more


class Product(commands.Product):
    """The installed command in a home of its own, over a Kannel."""

    def __init__(self, place: Path, kannel: Kannel, options: argparse.Namespace) -> None:
        self.home, self.back_end = place / "home", Embedded(place)
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self._words: dict[str, list[str]] = {}
        self._log = place / "processes.log"
        (self.port,) = free_ports(1)
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("BROADCASTER_")},
            "BROADCASTER_HOME": str(self.home),
            "BROADCASTER_PORT": str(self.port),
            "BROADCASTER_PUBLIC_URL": f"http://127.0.0.1:{self.port}",
            "BROADCASTER_SMS_PROVIDER": "kannel",
            "BROADCASTER_KANNEL_URL": kannel.url,
            "BROADCASTER_KANNEL_USER": "alert",
            "BROADCASTER_KANNEL_PASSWORD": "change-me",
            "BROADCASTER_KANNEL_SENDER": "12379",
            "BROADCASTER_KANNEL_STATUS_URL": kannel.status_url,
            "BROADCASTER_SMS_CONNECTIONS": str(options.connections),
            "BROADCASTER_WINDOW_OTHER": str(options.window),
            "BROADCASTER_POLL_SECONDS": "0.1",
            "BROADCASTER_CHUNK_SIZE": "500",
            "BROADCASTER_RETRY_SECONDS": "0.2",
            "BROADCASTER_TEMPLATES": str(place / "sets"),
        }

    def begin(self) -> None:
        """The web server, and then what sends."""
        self.start("web", "serve")
        wait_until(lambda: listens(self.port), "the web server")
        self.start("work", "work")


def hurt(kannel: Kannel, box: str) -> None:
    """One box dies and is started again after two seconds; fakesmsc goes with bearerbox, smsbox comes back by itself."""
    if box == "bearerbox":
        kannel.kill_bearerbox()
        time.sleep(2)
        kannel.start_bearerbox()
        kannel.start_centre()
        kannel.await_smsbox()
    else:
        kannel.kill_smsbox()
        time.sleep(2)
        kannel.start_smsbox()


def outcomes(product: Product, campaign: int) -> dict[str, str]:
    """Outcome by the number that the delivery is for: the name in its text says which."""
    rows = product.rows("SELECT slots, outcome FROM delivery WHERE campaign_id = ?", campaign)
    return {f"86138{int(json.loads(slots)[0].removeprefix('金')):08d}": outcome for slots, outcome in rows}


@dataclass(frozen=True)
class Round:
    """One campaign of a run, and the box that dies in its middle ("" = none). `before`: messages of earlier rounds."""

    product: Product
    kannel: Kannel
    campaign: int
    kill: str
    before: int
    options: argparse.Namespace

    def seen(self) -> list[Seen]:
        """What the SMS centre has got of it."""
        return self.kannel.seen()[self.before :]


def approved(product: Product) -> int:
    """The campaign, or the same once more."""
    campaign = commands.drafted(product, ["sms"])
    product.ask(*commands.approval(campaign))
    return campaign


def watched(this: Round) -> list[str]:
    """Waits to the end, kills in the middle, looks at L1 and L5 all the while. Returns what was broken."""
    broken: list[str] = []
    wanted = this.options.messages
    killed, deadline = not this.kill, time.monotonic() + this.options.seconds
    last, since = None, time.monotonic()
    while time.monotonic() < deadline:
        if not killed and len(this.seen()) >= wanted // 5:
            hurt(this.kannel, this.kill)
            killed = True
        if found := conserved(this.product, this.campaign, wanted):
            broken.append(found)
        sums = Counter(outcomes(this.product, this.campaign).values())
        if sums != last:
            last, since = sums, time.monotonic()
        state = this.product.rows("SELECT state FROM campaign WHERE id = ?", this.campaign)[0][0]
        ended = state == "finished" and time.monotonic() - since > SETTLED_S
        if killed and (ended or sums["delivered"] == wanted):
            break
        time.sleep(0.3 if killed else 0.01)
    return broken if killed else [*broken, "nothing was killed"]


def told_by(this: Round) -> dict:
    """What the product says of the campaign."""
    name = str(this.campaign)
    return {
        "outcomes": outcomes(this.product, this.campaign),
        "state": this.product.rows("SELECT state FROM campaign WHERE id = ?", this.campaign)[0][0],
        "counts": this.product.ask("counts", name, fine=(0, 3)),
        "recount": this.product.ask("recount", name, fine=(0, 1)),
        "audit": this.product.ask("audit", "verify", fine=(0, 1)),
    }


def judged(this: Round, told: dict, seen: Sequence[Seen]) -> dict:
    """The laws: what the product says, beside the SMS centre's own list."""
    outcome, counts, wanted = told["outcomes"], told["counts"], this.options.messages
    copies: Counter[str] = Counter(message.to for message in seen)
    sums = Counter(outcome.values())
    # Each request that was in flight when a box died: smsbox breaks its own, and those again when it starts itself anew.
    bound = 2 * min(this.options.connections, this.options.window) if this.kill else 0
    laws = {
        "finished": told["state"] == "finished",
        "L1": len(outcome) == wanted == counts["planned"] == sum(counts["outcomes"].values()),
        "L2": all(copies[n] for n, o in outcome.items() if o in REACHED) and not sums["waiting"] + sums["sending"],
        "L3": all(n == 1 for n in copies.values()) and sums["unknown"] <= bound,
        "L4": set(copies) <= set(outcome),
        "L5": told["recount"]["equal"] and all(sums[word] == counts["outcomes"][word] for word in WORDS),
        "L6": told["audit"]["ok"],
        "texts": all(s.text == f"【试】金{int(s.to[5:])}，请马上离开。" for s in seen),
        "none but in doubt": all(outcome.get(n) in (*REACHED, "unknown") for n in copies),
        "receipts": bool(this.kill) or sums["delivered"] == wanted == len(copies),
    }
    return {
        "killed": this.kill, "laws": laws, "outcomes": {word: n for word, n in sums.items() if n},
        "at the SMS centre": len(seen), "copies too many": sum(n - 1 for n in copies.values()), "unknown at most": bound,
        "unknown that arrived": sum(1 for n, o in outcome.items() if o == "unknown" and copies[n]),
        "accepted without a receipt": sums["accepted"],
    }  # fmt: skip


def run(options: argparse.Namespace, also: Callable[[Round, dict], object] | None = None) -> dict:
    """One round after another in a folder of its own. `ok` says whether every law held. `also` looks on after each round."""
    report: dict = {"rounds": []}
    with tempfile.TemporaryDirectory(prefix="kannel-end-to-end-") as folder:
        place = Path(folder)
        kannel = Kannel()
        product = Product(place, kannel, options)
        try:
            kannel.start()
            commands.furnish(product, place, options.messages, 0, "notice")
            for at, kill in enumerate(options.kill):
                before = len(kannel.seen())
                begun = time.monotonic()
                campaign = approved(product)
                if not at:
                    product.begin()
                this = Round(product, kannel, campaign, "" if kill == "none" else kill, before, options)
                broken = watched(this)
                told = told_by(this)
                found = {**judged(this, told, this.seen()), "broken looks": broken}
                report["rounds"].append({**found, "seconds": round(time.monotonic() - begun, 1)})
                if also:
                    also(this, told)
        finally:
            product.stop()
            kannel.stop()
    report["left behind"] = len(kannel.running())
    held = all(all(one["laws"].values()) and not one["broken looks"] for one in report["rounds"])
    report["ok"] = held and not report["left behind"]
    return report


def parse(words: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=5000)
    parser.add_argument(
        "--kill",
        nargs="+",
        choices=("none", "bearerbox", "smsbox"),
        default=["none"],
        help="a campaign for each: what dies",
    )
    parser.add_argument("--connections", type=int, default=50)
    parser.add_argument("--window", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=240.0)
    return parser.parse_args(words)


if __name__ == "__main__":
    result = run(parse())
    print(json.dumps(result, ensure_ascii=False, indent=1))
    sys.exit(0 if result["ok"] else 1)
