"""docker-compose.scale.yml, its commands and settings run as processes: broker, schema, web, fan-out, two workers, one campaign."""

import json
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from compose_processes import ROOT, Deployment, broker_properties
from postgresql_server import Server
from real_kafka import Broker, free_ports, missing

from broadcaster import devices, people
from broadcaster.compose.recipients import NewRecipient, add_recipients
from broadcaster.installation import open_installation
from broadcaster.settings import Settings

pytestmark = pytest.mark.xdist_group("kafka")
FILE = ROOT / "docker-compose.scale.yml"
PLACE = "220102001001"
PHONES = 40
# The image's script asks a broker which versions it speaks; its class is in none of the jars that a broker needs.
ASKS = """#!{python}
import sys
from kafka import KafkaAdminClient
KafkaAdminClient(bootstrap_servers=sys.argv[sys.argv.index("--bootstrap-server") + 1], bootstrap_timeout_ms=5000).close()
"""


@pytest.fixture
def deployment(tmp_path: Path, postgresql: Server) -> Iterator[Deployment]:
    if lacks := missing():
        pytest.skip(lacks)
    [web] = free_ports(1)
    outside = {"BROADCASTER_PORT": str(web)}
    told = Deployment(FILE, outside, {}, tmp_path).services
    broker = Broker(properties=_broker(told["kafka"]["environment"]))
    places = _places(tmp_path, postgresql, broker, web)
    made = Deployment(FILE, outside, places, tmp_path)
    try:
        broker.start()
        _secrets(tmp_path, made, postgresql)
        yield made
    finally:
        made.kill()
        broker.stop()
        _drop(postgresql, made.services["postgres"]["environment"])


def _broker(environment: dict[str, Any]) -> dict[str, str]:
    found = broker_properties(environment)
    for name, value in found.items():
        for port, ours in (("9092", "{port}"), ("9093", "{controller}")):
            value = value.replace(f"kafka:{port}", f"127.0.0.1:{ours}").replace(f"://:{port}", f"://127.0.0.1:{ours}")  # noqa: PLW2901
        found[name] = value
    return {**found, "log.dirs": "{data}"}


def _places(folder: Path, postgresql: Server, broker: Broker, web: int) -> dict[str, str]:
    programs = folder / "programs"
    programs.mkdir()
    script = programs / "kafka-broker-api-versions.sh"
    script.write_text(ASKS.format(python=sys.executable))
    script.chmod(0o755)
    (programs / "python").symlink_to(sys.executable)
    return {
        "/var/lib/broadcaster": str(folder / "home"),
        "/run/secrets": str(folder / "secrets"),
        "/opt/kafka/bin": str(programs),
        "kafka:9092": broker.address,
        "127.0.0.1:9092": broker.address,
        "0.0.0.0": "127.0.0.1",
        "127.0.0.1:8000": f"127.0.0.1:{web}",
    }


def _secrets(folder: Path, made: Deployment, postgresql: Server) -> None:
    """What the file's head tells to write, for the database that the file names."""
    told = made.services["postgres"]["environment"]
    user, database = told["POSTGRES_USER"], told["POSTGRES_DB"]
    secrets = folder / "secrets"
    secrets.mkdir(0o700)
    (secrets / "postgres_password").write_text("a-secret")
    (secrets / "database_url").write_text(
        f"postgresql+psycopg://{user}:a-secret@127.0.0.1:{postgresql.port}/{database}"
    )
    postgresql.execute(f"CREATE ROLE {user} LOGIN PASSWORD 'a-secret'")
    postgresql.execute(f"CREATE DATABASE {database} OWNER {user}")
    told |= {
        "PGHOST": "127.0.0.1",
        "PGPORT": str(postgresql.port),
    }  # inside its container the server is where the client looks


def _drop(postgresql: Server, told: dict[str, str]) -> None:
    postgresql.execute(f"DROP DATABASE IF EXISTS {told['POSTGRES_DB']} WITH (FORCE)")
    postgresql.execute(f"DROP ROLE IF EXISTS {told['POSTGRES_USER']}")


def _furnish(made: Deployment, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """People, phones, a speaker and a board, by the settings of the file's web service. Tokens by name."""
    with monkeypatch.context() as patch:
        for name, value in made.environment("web").items():
            if name.startswith("BROADCASTER_"):
                patch.setenv(name, value)
        inst = open_installation()
    try:
        for login, role in (("wang", "author"), ("li", "approver")):
            people.add_user(inst, "system", login, login, [role], None)
        shop: Any = {"premises": "欧亚商场", "premises_category": "mall"}
        rows = [NewRecipient("sms", f"tel:+8617400000{n:03}", PLACE, f"张{n}", "zh-CN", **shop) for n in range(PHONES)]
        rows.append(NewRecipient("loudspeaker", "speaker:1", PLACE, "华阳广播", "zh-CN"))
        rows.append(NewRecipient("billboard", "board:1", PLACE, "华阳大屏", "zh-CN", format="128x32/16/gb18030/pages"))
        add_recipients(inst, rows)
        with inst.store.read() as conn:
            ids = {
                str(c): int(r)
                for r, c in conn.exec_driver_sql("SELECT id, channel FROM recipient WHERE channel <> 'sms'")
            }
        tokens = devices.enrol(inst, "system", list(ids.values()))
        found = {channel: tokens[recipient] for channel, recipient in ids.items()}
        return {**found, "author": people.new_api_token(inst, "system", "wang", "test")}
    finally:
        inst.close()


class Web:
    """What a program and a device see of the web service."""

    def __init__(self, base: str, token: str) -> None:
        self.base, self.token = base, token

    def text(self, path: str) -> str:
        with urllib.request.urlopen(f"{self.base}{path}", timeout=30) as answer:
            return str(
                answer.read().decode("gb18030" if "gb18030" in str(answer.headers["content-type"]).lower() else "utf-8")
            )

    def __call__(self, path: str, body: object = None, **headers: str) -> Any:
        data = json.dumps(body).encode() if body else None if body is None else b""
        told = {"authorization": f"Bearer {self.token}", "content-type": "application/json", **headers}
        try:
            with urllib.request.urlopen(urllib.request.Request(f"{self.base}{path}", data, told), timeout=30) as answer:
                return json.loads(answer.read())
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{path}: {error} {error.read().decode()[:1000]}") from error


def until(true: Any, seconds: float) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.1)


def test_what_the_file_says_carries_a_campaign_and_drains(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    deployment.up(scale={"worker": 2}, given=dict.fromkeys(("postgres", "kafka")))
    assert deployment.order.index("init") < min(map(deployment.order.index, ("web", "fan-out", "worker")))
    assert set(deployment.processes) == {"init", "web", "fan-out", "worker-1", "worker-2"}
    deployment.healthy("web")
    tokens = _furnish(deployment, monkeypatch)
    web = Web(deployment.environment("web")["BROADCASTER_PUBLIC_URL"], tokens["author"])
    assert web("/readyz") == {"ok": True, "failing": {}}

    draft = {
        "name": "春节后开业检查", "template_set": "fire-safety-reopening", "mode": "live", "selection": {"places": ["22"]},
        "facts": {"holiday": {"zh-CN": "春节", "ko": "설 연휴", "en": "the Spring Festival"}},
        "channels": ["sms", "loudspeaker", "billboard"],
    }  # fmt: skip
    campaign = web("/api/v1/campaigns", draft)["campaign"]
    assert web(f"/api/v1/campaigns/{campaign}/submit", {}, **{"idempotency-key": "once"})["planned"] == PHONES + 2
    approve = deployment.run("web", ["campaign", "approve", str(campaign), "--as", "li", "--json"])
    assert json.loads(approve.communicate(timeout=60)[0])["state"] == "approved"
    until(lambda: web(f"/api/v1/campaigns/{campaign}")["state"] == "finished", 60)
    counts = web(f"/api/v1/campaigns/{campaign}/counts")
    assert counts["outcomes"]["accepted"] == counts["planned"] == PHONES + 2
    assert web(f"/api/v1/campaigns/{campaign}/recount")["equal"] is True
    ledger = (tmp_path / "home" / "spool" / "messages.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(ledger) == len({json.loads(line)["to"] for line in ledger}) == PHONES
    until(lambda: web(f"/feeds/speakers/{tokens['loudspeaker']}/manifest.json")["items"], 15)
    idle = Settings.model_fields["board_idle"].default
    until(lambda: idle not in web.text(f"/feeds/boards/{tokens['billboard']}.txt"), 15)

    for name, (code, took) in deployment.down().items():
        assert code == 0, (name, deployment.log(name))
        assert took < 20, name
