"""Kills workers at random and checks the laws from outside.

Shares no code with the product: it drives the `broadcaster` command, keeps a ledger of its own in an HTTP sink that the product never
reads, and compares that ledger with the product's tables. Run: python tests/chaos/outside.py --recipients 20000 --kills 20
With --bus kafka the records go over a real broker, which --broker-kills kills and starts again, and --stir replays its records
backwards and adds some that nobody can read.
"""

import argparse
import asyncio
import contextlib
import csv
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

try:  # a reader older than the writer's floor must not touch the file while it is being written
    from pysqlite3 import dbapi2 as sqlite3
except ImportError:
    import sqlite3

if TYPE_CHECKING:
    from real_kafka import Broker
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "broker"))

KAFKA = {"BROADCASTER_KAFKA_PARTITIONS": "4", "BROADCASTER_KAFKA_SESSION_MS": "2000"}
WORDS = ("waiting", "sending", "accepted", "delivered", "failed", "suppressed", "expired", "cancelled", "unknown")


class Sink:
    """An SMS gateway that writes down what it takes before it answers. May take a message and drop the reply."""

    def __init__(self, path: Path, drop: float, delay: float, seed: int) -> None:
        self.path, self.drop, self.delay = path, drop, delay
        self.random = random.Random(seed)
        self.hidden = 0
        self.port = 0
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    def start(self) -> "Sink":
        self._thread.start()
        self._ready.wait(10)
        return self

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._talk, "127.0.0.1", 0, backlog=1000)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        async with server:
            await server.serve_forever()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(
                    int(x.split(b":")[1]) for x in head.split(b"\r\n") if x.lower().startswith(b"content-length")
                )
                body = json.loads(await reader.readexactly(length))
                os.write(self._file, f"{body['delivery']} {body['to']}\n".encode())
                if self.delay:
                    await asyncio.sleep(self.delay)
                if self.random.random() < self.drop:
                    self.hidden += 1
                    break
                writer.write(b"HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")
                await writer.drain()
        writer.close()

    def copies(self) -> Counter[str]:
        return Counter(line.split()[0] for line in self.path.read_text().splitlines())


def new_broker() -> "Broker":
    """A real Kafka broker; see tests/broker."""
    from real_kafka import Broker

    return Broker().start()


def stir(broker: "Broker", topic: str) -> int:
    """Publishes what lies on a topic once more, backwards, and some garbage. Returns how much garbage."""
    from kafka import KafkaConsumer, KafkaProducer, TopicPartition

    consumer = KafkaConsumer(bootstrap_servers=broker.address, auto_offset_reset="earliest")
    partitions = [TopicPartition(topic, p) for p in consumer.partitions_for_topic(topic)]
    consumer.assign(partitions)
    ends = consumer.end_offsets(partitions)
    found = []
    while any(consumer.position(p) < ends[p] for p in partitions):
        found += [row for rows in consumer.poll(timeout_ms=200).values() for row in rows]
    consumer.close()
    producer = KafkaProducer(bootstrap_servers=broker.address, enable_idempotence=False)
    garbage = [(b"1", b"\xff\xfe", []), (b"x", b"{}", [("hmac", b"0" * 64)]), (b"2", None, [])]
    again = [(row.key, row.value, row.headers) for row in reversed(found)]
    for key, value, headers in [*again, *garbage]:
        producer.send(topic, value, key=key, headers=headers).get(10)
    producer.close()
    return len(garbage)


class Product:
    """The installed command in a home of its own."""

    def __init__(self, home: Path, sink: Sink, lease: float, broker: "Broker | None" = None) -> None:
        self.home, self.broker = home, broker
        bus = {"BROADCASTER_BUS_URL": broker.url, **KAFKA} if broker else {}
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("BROADCASTER_")},
            "BROADCASTER_HOME": str(home),
            "BROADCASTER_SMS_PROVIDER": "http",
            "BROADCASTER_SMS_URL": f"http://127.0.0.1:{sink.port}/send",
            "BROADCASTER_LEASE_SECONDS": str(lease),
            "BROADCASTER_POLL_SECONDS": "0.1",
            "BROADCASTER_CHUNK_SIZE": "500",
            "BROADCASTER_RETRY_SECONDS": "0.2",
            "BROADCASTER_TEMPLATES": str(home.with_name("sets")),
            **bus,
        }

    def ask(self, *words: str, fine: tuple[int, ...] = (0,)) -> dict:
        done = subprocess.run(
            [*COMMAND, *words, "--json"], env=self.environment, capture_output=True, text=True, timeout=600, check=False
        )
        if done.returncode not in fine:
            raise SystemExit(f"{' '.join(words)} ended with {done.returncode}: {done.stderr[-2000:]}")
        return json.loads(done.stdout)

    def work(self) -> subprocess.Popen:
        return subprocess.Popen(
            [*COMMAND, "work"], env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def rows(self, statement: str, *values: object) -> list[tuple]:
        connection = sqlite3.connect(f"file:{self.home / 'broadcaster.db'}?mode=ro", uri=True, timeout=30)
        try:
            return connection.execute(statement, values).fetchall()
        finally:
            connection.close()


SET = """id = "chaos"
category = "{category}"
expires_hours = 6

[title]
zh-CN = "试"
ko = "시험"
en = "Trial"

[signature]
zh-CN = "试"
ko = "시험"
en = "Trial"

[slots]
sms = ["name"]
"""


def write_set(folder: Path, category: str) -> None:
    """A template set of the harness's own, so that every category can be tried."""
    made = folder / "chaos"
    made.mkdir(parents=True)
    (made / "set.toml").write_text(SET.format(category=category), encoding="utf-8")
    for language, words in (
        ("zh-CN", "{{ name }}，请马上离开。"),
        ("ko", "{{ name }}님, 바로 대피하십시오."),
        ("en", "{{ name }}, leave now."),
    ):
        (made / f"sms.{language}.txt").write_text(words + "\n", encoding="utf-8")


COMMAND = [str(Path(sys.executable).with_name("broadcaster"))]


def write_recipients(path: Path, n: int) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["phone", "name", "premises", "category", "area_code", "language"])
        for i in range(n):
            rows.writerow([f"138{i:08d}", f"金{i}", f"商场{i % 500}", "mall", "220102000000", "zh-CN"])


def prepare(product: Product, recipients: Path) -> int:
    product.ask("init")
    for login, role in (("ann", "author"), ("bob", "approver")):
        product.ask("user", "add", login, "--name", login, "--role", role)
    product.ask("recipients", "import", str(recipients))
    made = product.ask(
        "campaign", "create", "--as", "ann", "--name", "kills", "--template-set", "chaos", "--mode", "live",
        "--place", "220000000000", "--channel", "sms",
    )  # fmt: skip
    campaign = str(made["campaign"])
    product.ask("campaign", "submit", campaign, "--as", "ann")
    product.ask("campaign", "approve", campaign, "--as", "bob")
    return int(campaign)


def conserved(product: Product, campaign: int, planned: int) -> str | None:
    """L1 and L5 at one consistent read."""
    (row,) = product.rows(
        "SELECT (SELECT group_concat(word || '=' || n) FROM (SELECT word, sum(n) n FROM counter WHERE campaign_id = ?1 "
        "AND word IN ('waiting','sending','accepted','delivered','failed','suppressed','expired','cancelled','unknown') "
        "GROUP BY word HAVING sum(n) <> 0 ORDER BY word)), (SELECT group_concat(outcome || '=' || n) FROM "
        "(SELECT outcome, count(*) n FROM delivery WHERE campaign_id = ?1 GROUP BY outcome ORDER BY outcome))",
        campaign,
    )
    if row[0] != row[1]:
        return f"counters {row[0]} rows {row[1]}"
    total = sum(int(x.split("=")[1]) for x in row[0].split(","))
    return None if total == planned else f"sum {total} planned {planned}"


def wait_for_garbage(product: Product, garbage: int) -> None:
    """The campaign may be over before the workers have come to what was thrown among its records."""
    until = time.monotonic() + 30
    while time.monotonic() < until and product.rows("SELECT count(*) FROM dead_letter")[0][0] < garbage:
        time.sleep(0.2)


def torment(product: Product, campaign: int, options: argparse.Namespace) -> tuple[int, int, list[str]]:
    """Kills random workers until the wanted number, then lets them finish. Returns kills, looks, findings of L1/L5."""
    dice = random.Random(options.seed)
    broker_kills = 0
    workers = [product.work() for _ in range(options.workers)]
    kills, looks, found = 0, 0, []
    deadline = time.monotonic() + options.seconds
    try:
        while time.monotonic() < deadline:
            time.sleep(dice.uniform(*options.pause))
            state = product.rows("SELECT state FROM campaign WHERE id = ?", campaign)[0][0]
            if state not in ("approved", "running"):
                break
            looks += 1
            broken = conserved(product, campaign, options.recipients)
            if broken:
                found.append(broken)
            started = product.rows(
                "SELECT count(*) FROM delivery WHERE campaign_id = ? AND outcome <> 'waiting'", campaign
            )
            if kills < options.kills and started[0][0]:
                victim = dice.randrange(len(workers))
                workers[victim].send_signal(signal.SIGKILL)
                workers[victim].wait()
                workers[victim] = product.work()
                kills += 1
            elif product.broker and broker_kills < options.broker_kills and started[0][0]:
                product.broker.kill()
                time.sleep(dice.uniform(*options.pause))
                product.broker.start()
                broker_kills += 1
                if options.stir:
                    options.garbage += stir(product.broker, f"broadcaster.live.deliveries.sms.{options.category}")
        wait_for_garbage(product, options.garbage)
    finally:
        for worker in workers:
            worker.send_signal(signal.SIGTERM)
        codes = [worker.wait(timeout=60) for worker in workers]
    if any(codes):
        found.append(f"workers ended with {codes} after SIGTERM")
    if broker_kills < options.broker_kills:
        found.append(f"the campaign ended after {broker_kills} kills of the broker")
    return kills, looks, found


def check(product: Product, sink: Sink, campaign: int, options: argparse.Namespace, kills: int) -> dict:
    """The laws, from the sink's ledger and the product's rows."""
    rows = product.rows(
        "SELECT campaign_id || '-' || n || '-' || token, outcome FROM delivery WHERE campaign_id = ?", campaign
    )
    copies = sink.copies()
    outcome = dict(rows)
    (state, category) = product.rows("SELECT state, category FROM campaign WHERE id = ?", campaign)[0]
    window = 8 if category == "emergency" else 100
    reached = {"accepted", "delivered"}
    never = [d for d, o in outcome.items() if not copies[d]]
    extra = sum(c - 1 for c in copies.values() if c > 1)
    bound = kills * window + sink.hidden
    unknown = sum(1 for o in outcome.values() if o == "unknown")
    recount = product.ask("recount", str(campaign), fine=(0, 1))
    counts = product.ask("counts", str(campaign), fine=(0, 3))
    audit = product.ask("audit", "verify", fine=(0, 1))
    sums = Counter(outcome.values())
    laws = {
        "finished": state == "finished",
        "L1": len(rows) == options.recipients == counts["planned"] == sum(counts["outcomes"].values()),
        "L2": not [d for d in never if outcome[d] in reached]
        and not [d for d in never if outcome[d] in ("waiting", "sending")],
        "L3": (extra <= bound and unknown == 0) if category == "emergency" else (extra == 0 and unknown <= bound),
        "L4": not set(copies) - set(outcome),
        "L5": recount["equal"] and all(sums[w] == counts["outcomes"][w] for w in WORDS),
        "L6": audit["ok"],
    }
    buried = product.rows("SELECT count(*) FROM dead_letter")[0][0]
    if product.broker:
        laws["dead letters"] = buried == options.garbage
    return {
        "laws": laws, "category": category, "planned": len(rows), "kills": kills, "hidden_accepts": sink.hidden,
        "copies": sum(copies.values()), "extra_copies": extra, "bound": bound, "outcomes": {w: sums[w] for w in WORDS if sums[w]},
        "dead_letters": buried, "broker_kills": options.broker_kills, "never_sent_outside_unknown": len([d for d in never if outcome[d] != "unknown"]),
        "unknown_truly_unsent": len([d for d in never if outcome[d] == "unknown"]),
    }  # fmt: skip


def run(options: argparse.Namespace) -> dict:
    """One whole run in a folder of its own. Returns what was found; `ok` says whether every law held."""
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        place = Path(folder)
        sink = Sink(place / "ledger.txt", options.drop, options.delay, options.seed).start()
        broker = new_broker() if options.bus == "kafka" else None
        try:
            product = Product(place / "home", sink, options.lease, broker)
            write_recipients(place / "people.csv", options.recipients)
            write_set(place / "sets", options.category)
            campaign = prepare(product, place / "people.csv")
            begun = time.monotonic()
            kills, looks, found = torment(product, campaign, options)
            report = check(product, sink, campaign, options, kills)
        finally:
            if broker:
                broker.stop()
        report.update(looks=looks, broken_looks=found, seconds=round(time.monotonic() - begun, 1))
        report["ok"] = all(report["laws"].values()) and not found and kills >= options.kills
        return report


def parse(words: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipients", type=int, default=20_000)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--drop", type=float, default=0.0, help="share of replies lost after the message was taken")
    parser.add_argument("--delay", type=float, default=0.02, help="seconds until the sink answers")
    parser.add_argument("--lease", type=float, default=2.0)
    parser.add_argument("--pause", type=float, nargs=2, default=(0.3, 1.5))
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--category", default="notice", choices=("emergency", "notice", "promotion"))
    parser.add_argument("--bus", default="local", choices=("local", "kafka"))
    parser.add_argument("--broker-kills", type=int, default=0)
    parser.add_argument(
        "--stir", action="store_true", help="replay records and add garbage after each kill of the broker"
    )
    parser.set_defaults(garbage=0)
    return parser.parse_args(words)


if __name__ == "__main__":
    result = run(parse())
    print(json.dumps(result, ensure_ascii=False, indent=1))
    sys.exit(0 if result["ok"] else 1)
