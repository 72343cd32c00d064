"""A compose file without a container engine: what it says of a service is what is started here, as processes on loopback.

Replaced is only what a container would bring: host names and ports inside its network, the folders of its volumes and secrets, and
the programs of its image. Where a value of the file cannot be translated that way, starting fails.
"""

import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
UNIT_S = {"s": 1, "m": 60}


def interpolated(text: str, variables: Mapping[str, str]) -> str:
    """${NAME:-default} as compose reads it, defaults within defaults too."""
    inner = re.compile(r"\$\{(\w+):-([^${}]*)\}")
    while found := inner.search(text):
        text = text.replace(found[0], variables.get(found[1]) or found[2])
    assert "${" not in text, text
    return text


class Deployment:
    """The services of one compose file. `places`: what stands in the file -> what stands for it here."""

    def __init__(self, file: Path, variables: Mapping[str, str], places: Mapping[str, str], folder: Path) -> None:
        self.services: dict[str, Any] = yaml.safe_load(interpolated(file.read_text(encoding="utf-8"), variables))[
            "services"
        ]
        self._places, self._folder = places, folder
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.order: list[str] = []

    def here(self, value: object) -> str:
        """A value of the file, with its places replaced by ours; the longest first, because some are parts of others."""
        text = str(value)
        for there in sorted(self._places, key=len, reverse=True):
            text = text.replace(there, self._places[there])
        return text

    def environment(self, service: str) -> dict[str, str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("BROADCASTER_")}
        told = {name: self.here(value) for name, value in self.services[service]["environment"].items()}
        for published in self.services[service].get(
            "ports", ()
        ):  # nobody here maps a container's port to the one outside
            told["BROADCASTER_PORT"] = published.split(":")[1]
        return {**clean, "PYTHONPATH": str(ROOT), **told}

    def run(self, service: str, command: list[str] | None = None, copy: str = "") -> subprocess.Popen[bytes]:
        """Starts what a service's command says, or another command in its place, as `docker compose run` does."""
        words = [self.here(word) for word in command or self.services[service]["command"]]
        out = (self._folder / f"{service}{copy}.log").open("ab")
        entry = [sys.executable, "-P", "-m", "broadcaster.cli"]  # what the image's ENTRYPOINT is a link to
        pipe = subprocess.PIPE if command else out
        return subprocess.Popen(
            [*entry, *words], env=self.environment(service), stdout=pipe, stderr=out, cwd=self._folder
        )

    def up(self, scale: Mapping[str, int], given: Mapping[str, None]) -> None:
        """Starts all in the order of `depends_on`. `given`: services that are there already (the official images)."""
        waiting = [name for name in self.services if name not in given]
        self.order += given
        while waiting:
            ready = [name for name in waiting if set(self.services[name].get("depends_on", ())) <= set(self.order)]
            assert ready, f"these wait for each other: {waiting}"
            for name in ready:
                for other, how in self.services[name].get("depends_on", {}).items():
                    self._wait(other, how["condition"])
                for n in range(scale.get(name, 1)):
                    copy = f"-{n + 1}" if name in scale else ""
                    self.processes[name + copy] = self.run(name, copy=copy)
                self.order.append(name)
                waiting.remove(name)

    def _wait(self, service: str, condition: str) -> None:
        if condition == "service_completed_successfully":
            assert self.processes[service].wait(120) == 0, self.log(service)
        else:
            assert condition == "service_healthy"
            self.healthy(service)

    def healthy(self, service: str) -> int:
        """Runs the service's own health check as often as it says; how often it was asked. Fails where it never passes."""
        check = self.services[service]["healthcheck"]
        kind, *words = [self.here(word) for word in check["test"]]
        command = ["sh", "-c", *words] if kind == "CMD-SHELL" else words
        assert kind in {"CMD", "CMD-SHELL"}
        environment = {**self.environment(service), "PATH": f"{self._folder / 'programs'}:{os.environ['PATH']}"}
        asked, until = (
            0,
            time.monotonic() + seconds(check["start_period"]) + check["retries"] * seconds(check["interval"]),
        )
        while time.monotonic() < until:
            asked += 1
            done = subprocess.run(
                command, env=environment, timeout=seconds(check["timeout"]), capture_output=True, check=False
            )
            if done.returncode == 0:
                return asked
            time.sleep(0.2)
        raise AssertionError(f"{service} never became healthy: {done.stderr.decode()[-1000:]} {self.log(service)}")

    def log(self, service: str) -> str:
        file = self._folder / f"{service}.log"
        return file.read_text()[-2000:] if file.exists() else ""

    def down(self) -> dict[str, tuple[int, float]]:
        """SIGTERM to all at once, as `docker compose stop`; (exit code, seconds) of each that ran on."""
        going = {name: process for name, process in self.processes.items() if process.poll() is None}
        began = time.monotonic()
        for process in going.values():
            process.terminate()
        return {name: (process.wait(60), time.monotonic() - began) for name, process in going.items()}

    def kill(self) -> None:
        for process in self.processes.values():
            if process.poll() is None:
                process.kill()
                process.wait()


def seconds(text: str) -> float:
    """ "30s" and the like."""
    return float(text[:-1]) * UNIT_S[text[-1]]


def broker_properties(environment: Mapping[str, object]) -> dict[str, str]:
    """server.properties of the official image's variables, by its own rule: KAFKA_ dropped, lower case, _ for a dot."""
    return {name.removeprefix("KAFKA_").lower().replace("_", "."): str(value) for name, value in environment.items()}
