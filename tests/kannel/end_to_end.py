"""The whole way through the real Kannel, judged from outside by the list of its SMS centre.

The product runs as a person would run it (`broadcaster serve`, `broadcaster work`, a home of its own) and writes to Kannel, whose
receipts come back to it over HTTP. With --kill a box gets SIGKILL in the middle and is started again. What the SMS centre has got
is then compared with the product's rows and counters. Run: python tests/kannel/end_to_end.py --messages 5000 --kill bearerbox
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parents[1] / "chaos")]

import outside
from real_kannel import Kannel, free_ports, listens, wait_until

REACHED = ("accepted", "delivered")
SETTLED_S = 6.0  # without a change no receipt is under way any more


class Product(outside.Product):
    """The installed command in a home of its own, over a Kannel."""

    def __init__(self, home: Path, kannel: Kannel, options: argparse.Namespace) -> None:
        self.home, self.broker = home, None
        (self.port,) = free_ports(1)
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("BROADCASTER_")},
            "BROADCASTER_HOME": str(home),
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
            "BROADCASTER_TEMPLATES": str(home.with_name("sets")),
        }
        self.running: list[subprocess.Popen] = []

    def start(self) -> None:
        """The web server, and then what sends."""
        for verb in ("serve", "work"):
            log = self.home.with_name(f"{verb}.log").open("ab")
            self.running.append(
                subprocess.Popen([*outside.COMMAND, verb], env=self.environment, stdout=log, stderr=log)
            )
            if verb == "serve":
                wait_until(lambda: listens(self.port), "the web server")

    def stop(self) -> None:
        for process in reversed(self.running):
            process.terminate()
        for process in self.running:
            process.wait(timeout=30)


def hurt(kannel: Kannel, box: str) -> None:
    """One box dies and is started again after two seconds; fakesmsc goes with bearerbox, smsbox comes back by itself."""
    if box == "bearerbox":
        kannel.kill_bearerbox()
        time.sleep(2)
        kannel.start_bearerbox()
        kannel.start_centre()
    else:
        kannel.kill_smsbox()
        time.sleep(2)
        kannel.start_smsbox()


def outcomes(product: Product, campaign: int) -> dict[str, str]:
    """Outcome by the number that the delivery is for: the name in its text says which."""
    rows = product.rows("SELECT slots, outcome FROM delivery WHERE campaign_id = ?", campaign)
    return {f"86138{int(json.loads(slots)[0].removeprefix('金')):08d}": outcome for slots, outcome in rows}


def watched(product: Product, kannel: Kannel, campaign: int, options: argparse.Namespace) -> tuple[list[str], bool]:
    """Waits to the end, kills in the middle, looks at L1 and L5 all the while. Returns what was broken, and whether it was killed."""
    broken: list[str] = []
    killed, deadline = not options.kill, time.monotonic() + options.seconds
    last, since = None, time.monotonic()
    while time.monotonic() < deadline:
        if not killed and len(kannel.seen()) >= options.messages // 5:
            hurt(kannel, options.kill)
            killed = True
        if found := outside.conserved(product, campaign, options.messages):
            broken.append(found)
        sums = Counter(outcomes(product, campaign).values())
        if sums != last:
            last, since = sums, time.monotonic()
        state = product.rows("SELECT state FROM campaign WHERE id = ?", campaign)[0][0]
        ended = state == "finished" and time.monotonic() - since > SETTLED_S
        if killed and (ended or sums["delivered"] == options.messages):
            break
        time.sleep(0.01 if not killed else 0.3)
    return broken, killed


def judged(product: Product, kannel: Kannel, campaign: int, options: argparse.Namespace) -> dict:
    """The laws, by the SMS centre's own list."""
    told = outcomes(product, campaign)
    copies: Counter[str] = Counter(seen.to for seen in kannel.seen())
    wrong = [s for s in kannel.seen() if s.text != f"【试】金{int(s.to[5:])}，请马上离开。"]
    sums = Counter(told.values())
    counts = product.ask("counts", str(campaign), fine=(0, 3))
    recount = product.ask("recount", str(campaign), fine=(0, 1))
    # Each request that was in flight when a box died: smsbox breaks its own, and those again when it starts itself anew.
    bound = 2 * min(options.connections, options.window) if options.kill else 0
    laws = {
        "finished": product.rows("SELECT state FROM campaign WHERE id = ?", campaign)[0][0] == "finished",
        "L1": len(told) == options.messages == counts["planned"] == sum(counts["outcomes"].values()),
        "L2": all(copies[number] for number, outcome in told.items() if outcome in REACHED)
        and not sums["waiting"] + sums["sending"],
        "L3": all(n == 1 for n in copies.values()) and sums["unknown"] <= bound,
        "L4": set(copies) <= set(told),
        "L5": recount["equal"] and all(sums[word] == counts["outcomes"][word] for word in outside.WORDS),
        "L6": product.ask("audit", "verify", fine=(0, 1))["ok"],
        "texts": not wrong,
        "none but in doubt": all(told[number] in (*REACHED, "unknown") for number in copies),
        "receipts": bool(options.kill) or sums["delivered"] == options.messages == len(copies),
    }
    return {
        "laws": laws, "outcomes": {word: n for word, n in sums.items() if n}, "at the SMS centre": sum(copies.values()),
        "copies too many": sum(n - 1 for n in copies.values()), "unknown at most": bound,
        "unknown that arrived": sum(1 for number, outcome in told.items() if outcome == "unknown" and copies[number]),
        "accepted without a receipt": sums["accepted"],
    }  # fmt: skip


def run(options: argparse.Namespace) -> dict:
    """One whole run in a folder of its own. Returns what was found; `ok` says whether every law held."""
    with tempfile.TemporaryDirectory(prefix="kannel-end-to-end-") as folder:
        place = Path(folder)
        kannel = Kannel()
        product = Product(place / "home", kannel, options)
        try:
            kannel.start()
            outside.write_recipients(place / "people.csv", options.messages)
            outside.write_set(place / "sets", "notice")
            campaign = outside.prepare(product, place / "people.csv")
            begun = time.monotonic()
            product.start()
            broken, killed = watched(product, kannel, campaign, options)
            report = judged(product, kannel, campaign, options)
            report.update(seconds=round(time.monotonic() - begun, 1), broken_looks=broken, killed=options.kill)
            report["ok"] = all(report["laws"].values()) and not broken and killed
            if not report["ok"]:
                report["logs"] = [log.read_text()[-2000:] for log in place.glob("*.log")]
        finally:
            product.stop()
            kannel.stop()
        report["left behind"] = len(kannel.running())
        report["ok"] = report["ok"] and not report["left behind"]
        return report


def parse(words: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=5000)
    parser.add_argument("--kill", choices=("", "bearerbox", "smsbox"), default="", help="the box that dies in the middle")
    parser.add_argument("--connections", type=int, default=50)
    parser.add_argument("--window", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=240.0)
    return parser.parse_args(words)


if __name__ == "__main__":
    result = run(parse())
    print(json.dumps(result, ensure_ascii=False, indent=1))
    sys.exit(0 if result["ok"] else 1)
