"""A real Apache Kafka broker in KRaft mode, in a folder and on ports of its own. Shares no code with the product."""

import base64
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Mapping
from pathlib import Path

from kafka import KafkaAdminClient
from secure import Guard

ROOT = Path(__file__).resolve().parents[2]
LIBS = Path(os.environ.get("KAFKA_TEST_LIBS") or ROOT / ".cache" / "kafka" / "libs")
READY_S, STOP_S = 60.0, 25.0
# C1 only and the serial collector: ready in 2 s with 280 MB. For figures of speed a broker would run without them.
JAVA = [
    "-Xms64m",
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
]
# What a test wants otherwise than a broker in earnest: small, quick to start and quick to miss a member.
PROPERTIES = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "num.partitions": "3",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "2",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    "auto.create.topics.enable": "false",
    "broker.session.timeout.ms": "1000",
    "broker.heartbeat.interval.ms": "200",
}


def _open(port: int, controller: int) -> dict[str, str]:
    return {
        "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "PLAINTEXT",
    }


def missing() -> str:
    """What a broker would need and this machine lacks; empty where it can start."""
    if not shutil.which("java"):
        return "no java; as root: apt-get install openjdk-17-jre-headless"
    if not list(LIBS.glob("kafka_2.13-*.jar")):
        return f"no jars of Kafka in {LIBS}; scripts/test fetches them with Maven"
    return ""


class Broker:
    """One broker. It may be killed and started again on the same data and ports."""

    def __init__(self, guard: Guard | None = None, properties: Mapping[str, str] | None = None) -> None:
        """`properties`: those of a deployment, instead of ours; {port}, {controller} and {data} stand for what is ours."""
        self.folder = Path(tempfile.mkdtemp(prefix="kafka-"))
        self.port, controller, inside = free_ports(3)
        self._inside = inside if guard else self.port
        self._process: subprocess.Popen[bytes] | None = None
        places = {"port": self.port, "controller": controller, "data": self.folder / "data"}
        if properties is None:
            lines = {
                **PROPERTIES,
                "controller.quorum.bootstrap.servers": "127.0.0.1:{controller}",
                "log.dirs": "{data}",
                **(guard.properties((self.port, controller, inside)) if guard else _open(self.port, controller)),
            }
        else:
            lines = dict(properties)
        text = "".join(f"{name}={_filled(value, places)}\n" for name, value in lines.items())
        (self.folder / "server.properties").write_text(text)
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        alone = [] if "controller.quorum.voters" in lines else ["--standalone"]
        words = ["format", *alone, f"--cluster-id={cluster}", "-c", "server.properties"]
        words += guard.format_words() if guard else []
        subprocess.run(self._java("kafka.tools.StorageTool", *words), cwd=self.folder, check=True, capture_output=True)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def inside(self) -> str:
        """The address that asks for nothing: the same one, where the broker is not guarded."""
        return f"127.0.0.1:{self._inside}"

    @property
    def url(self) -> str:
        return f"kafka://{self.address}"

    def _java(self, *words: str) -> list[str]:
        return ["java", *JAVA, "-cp", f"{LIBS}/*", *words]

    def start(self, wait: bool = True) -> "Broker":
        with (self.folder / "broker.log").open("ab") as log:
            words = self._java("kafka.Kafka", "server.properties")
            self._process = subprocess.Popen(words, cwd=self.folder, stdout=log, stderr=log)
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self) -> None:
        """Until an admin call is answered: the port is open some time before."""
        assert self._process is not None
        end = time.monotonic() + READY_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", self._inside), 1).close()
                admin = KafkaAdminClient(bootstrap_servers=self.inside, bootstrap_timeout_ms=2000)
                try:
                    admin.list_topics()
                    return
                finally:
                    admin.close()
            except Exception:
                if self._process.poll() is not None or time.monotonic() > end:
                    raise
                time.sleep(0.05)

    def kill(self) -> None:
        """SIGKILL, as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def freeze(self) -> None:
        """The machine stands still: connections stay open and nothing answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """SIGTERM, then SIGKILL; removes the data."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGCONT)
            self._process.terminate()
            try:
                self._process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def make(self, *topics: str, partitions: int = 1, **configs: str) -> None:
        """Makes topics and waits until each has its leaders."""
        admin = KafkaAdminClient(bootstrap_servers=self.inside)
        try:
            how = {"num_partitions": partitions, "replication_factor": 1, "configs": configs}
            admin.create_topics(dict.fromkeys(topics, how), wait_for_metadata=True)
        finally:
            admin.close()


def _filled(value: str, places: Mapping[str, object]) -> str:
    for name, place in places.items():
        value = value.replace(f"{{{name}}}", str(place))
    return value


def free_ports(n: int) -> list[int]:
    """Ports that nothing listens on now."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(n)]
    ports = [int(one.getsockname()[1]) for one in held]
    for one in held:
        one.close()
    return ports
