"""The demo by two settings: Kafka carries, PostgreSQL keeps, and it answers what it answers embedded."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from compose_processes import ROOT
from postgresql_server import Server
from real_kafka import Broker

RECIPIENTS = 2000
DEMO = ("demo", "--once", "--recipients", str(RECIPIENTS), "--speakers", "60", "--boards", "20")


def asked(home: Path, *words: str, **given: str) -> dict[str, Any]:
    env = {**os.environ, "PYTHONPATH": str(ROOT), "BROADCASTER_HOME": str(home), **given}
    command = [sys.executable, "-P", "-m", "broadcaster.cli", *words, "--json"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=250, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


def test_the_demo_answers_the_same_over_kafka_and_postgresql(
    tmp_path: Path, on_postgresql: str, postgresql: Server, own_kafka: Broker
) -> None:
    at_scale = {"BROADCASTER_DATABASE_URL": on_postgresql, "BROADCASTER_BUS_URL": own_kafka.url}
    embedded, far = asked(tmp_path / "embedded", *DEMO), asked(tmp_path / "scale", *DEMO, **at_scale)
    assert far.keys() == embedded.keys()
    assert far["seconds"].keys() == embedded["seconds"].keys()
    for name in ("planned", "outcomes", "channels", "parts", "ledger_lines"):
        assert far[name] == embedded[name], name
    assert far["outcomes"]["accepted"] == far["planned"] == RECIPIENTS + 60 + 20 + 2
    recounted = asked(tmp_path / "scale", "recount", str(far["campaign"]), **at_scale)
    assert recounted == {"equal": True, "differences": []}
