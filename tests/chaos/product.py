"""The installed command in a home of its own: what is asked of it, its processes, and the campaign it is tormented with."""

import csv
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from back_ends import BackEnd
from ledger import Sink

COMMAND = [str(Path(sys.executable).with_name("broadcaster"))]
WORKER = [word for part in ("sms", "sms-emergency", "social", "feeds") for word in ("--only", part)]
FAN_OUT = ["--only", "fan-out", "--only", "sweep"]
DEVICES = ("loudspeaker", "billboard")
WORDS = {"zh-CN": "{{ name }}，请马上离开。", "ko": "{{ name }}님, 바로 대피하십시오.", "en": "{{ name }}, leave now."}
SAID = {"zh-CN": "请马上离开。", "ko": "바로 대피하십시오.", "en": "Leave now."}
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


class Product:
    """The command with its settings; `running` holds its processes by the name of their place."""

    def __init__(self, place: Path, sink: Sink, back_end: BackEnd, lease: float, chunk: int = 500) -> None:
        self.home, self.back_end = place / "home", back_end
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self._order: subprocess.Popen[bytes] | None = None
        self._words: dict[str, list[str]] = {}
        self._log = place / "processes.log"
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("BROADCASTER_")},
            "BROADCASTER_HOME": str(self.home),
            "BROADCASTER_SMS_PROVIDER": "http",
            "BROADCASTER_SMS_URL": f"http://127.0.0.1:{sink.port}/send",
            "BROADCASTER_LEASE_SECONDS": str(lease),
            "BROADCASTER_POLL_SECONDS": "0.1",
            "BROADCASTER_CHUNK_SIZE": str(chunk),
            "BROADCASTER_RETRY_SECONDS": "0.2",
            "BROADCASTER_TEMPLATES": str(place / "sets"),
            **back_end.environment(),
        }

    def ask(self, *words: str, fine: tuple[int, ...] = (0,)) -> dict[str, Any]:
        """One verb to its end; what it answered."""
        done = subprocess.run(
            [*COMMAND, *words, "--json"], env=self.environment, capture_output=True, text=True, timeout=600, check=False
        )
        if done.returncode not in fine:
            raise SystemExit(f"{' '.join(words)} ended with {done.returncode}: {done.stderr[-2000:]}")
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def order(self, words: Sequence[str]) -> None:
        """One verb beside what goes on; the one before must have ended well."""
        self.ordered()
        self._order = subprocess.Popen([*COMMAND, *words], env=self.environment, stdout=subprocess.DEVNULL)

    def ordered(self) -> None:
        """Until the last order is carried out."""
        if self._order is not None and self._order.wait(timeout=120):
            raise SystemExit(f"{self._order.args!r} ended with {self._order.returncode}")

    def start(self, name: str, *words: str) -> None:
        """Starts a process in its place."""
        self._words[name] = list(words)
        with self._log.open("ab") as log:
            self.running[name] = subprocess.Popen(
                [*COMMAND, *words], env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def start_workers(self, workers: int) -> None:
        """Workers, each under a name it keeps, and the fan-out with the sweep in a process of its own."""
        for n in range(workers):
            self.start(f"worker {n}", "work", "--name", f"w{n}", *WORKER)
        self.start("fan-out", "work", "--name", "fan-out", *FAN_OUT)

    def kill(self, name: str, again: bool = True) -> None:
        """kill -9, and the same again in its place."""
        self.running[name].kill()
        self.running[name].wait()
        if again:
            self.start(name, *self._words[name])

    def stop(self) -> dict[str, int]:
        """SIGTERM to all; codes of those that did not end well."""
        for process in self.running.values():
            process.send_signal(signal.SIGTERM)
        codes: dict[str, int] = {}
        for name, process in self.running.items():
            try:
                codes[name] = process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                process.kill()
                codes[name] = process.wait()
        self.running.clear()
        return {name: code for name, code in codes.items() if code}

    def log(self) -> str:
        """The last that its processes said."""
        return self._log.read_text(errors="replace")[-3000:] if self._log.exists() else ""

    def rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Rows of its database, read behind its back."""
        return self.back_end.rows(statement, *values)

    def state(self, campaign: int) -> str:
        return str(self.rows("SELECT state FROM campaign WHERE id = ?", campaign)[0][0])


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def write_set(folder: Path, category: str) -> None:
    """A template set of the harness's own, so that every category can be tried."""
    made = folder / "chaos"
    made.mkdir(parents=True)
    (made / "set.toml").write_text(SET.format(category=category), encoding="utf-8")
    for channel, words in (("sms", WORDS), ("loudspeaker", SAID), ("billboard", SAID)):
        for language, said in words.items():
            (made / f"{channel}.{language}.txt").write_text(said + "\n", encoding="utf-8")


def write_recipients(path: Path, n: int) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["phone", "name", "premises", "category", "area_code", "language"])
        for i in range(n):
            rows.writerow([f"138{i:08d}", f"金{i}", f"商场{i % 500}", "mall", "220102000000", "zh-CN"])


def furnish(product: Product, place: Path, recipients: int, devices: int, category: str) -> None:
    """Phones, users and, where devices are wanted, so many loudspeakers and boards: the demo has invented ones."""
    write_set(place / "sets", category)
    write_recipients(place / "people.csv", recipients)
    product.ask("init")
    if devices:
        half = str(devices // 2)
        product.ask("demo", "--once", "--recipients", "1", "--speakers", half, "--boards", half, "--workers", "1")
    for login, role in (("ann", "author"), ("bob", "approver")):
        product.ask("user", "add", login, "--name", login, "--role", role)
    product.ask("recipients", "import", str(place / "people.csv"))


def enrolled(product: Product) -> dict[int, str]:
    """Recipient -> path of the feed of each device. Their tokens are shown once, so each gets a new one."""
    found = {}
    for channel in DEVICES:
        answer = product.ask("device", "enrol", "--channel", channel, "--place", "22", "--again")
        for row in answer["devices"]:
            path = "/feeds/" + row["feed"].split("/feeds/")[1]
            found[int(row["recipient"])] = path.removesuffix(".txt") + (".json" if path.endswith(".txt") else "")
    return found


def drafted(product: Product, channels: Sequence[str]) -> int:
    """A campaign by ann, planned and sealed, that nobody has approved; its number."""
    words = [word for channel in channels for word in ("--channel", channel)]
    made = product.ask(
        "campaign", "create", "--as", "ann", "--name", "kills", "--template-set", "chaos", "--mode", "live",
        "--place", "220000000000", *words,
    )  # fmt: skip
    product.ask("campaign", "submit", str(made["campaign"]), "--as", "ann")
    return int(made["campaign"])


def approval(campaign: int) -> list[str]:
    """bob lets it go."""
    return ["campaign", "approve", str(campaign), "--as", "bob"]


def withdrawal(campaign: int) -> list[str]:
    """bob cancels it, so that every feed loses it."""
    return ["campaign", "cancel", str(campaign), "--as", "bob", "--reason", "chaos"]
