"""One suite, two back-ends: what a test needs of either."""

import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import pytest
from real_kafka import Broker

from broadcaster.bus import Bus, Record, open_bus
from broadcaster.installation import Installation


@dataclass
class Carrier:
    """A bus under test, topics that no other test knows, and patience: a consumer takes a moment to join its group."""

    inst: Installation
    make_topics: Callable[..., None]
    bus: Bus = field(init=False)
    opened: list[Bus] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.bus = self.open()
        self.group = uuid.uuid4().hex[:8]

    def open(self) -> Bus:
        """One more process, as far as the bus can tell."""
        self.opened.append(open_bus(self.inst))
        return self.opened[-1]

    def topics(self, n: int = 1, partitions: int = 1) -> list[str]:
        names = [f"test.{uuid.uuid4().hex[:10]}" for _ in range(n)]
        self.make_topics(*names, partitions=partitions)
        return names

    def who(self, name: str) -> str:
        return f"{name}.{self.group}"

    def take(
        self, topics: Sequence[str], name: str, n: int, seconds: float = 20, bus: Bus | None = None
    ) -> list[Record]:
        """Takes until so many have come."""
        found: list[Record] = []
        end = time.monotonic() + seconds
        while len(found) < n and time.monotonic() < end:
            found += (bus or self.bus).take(topics, self.who(name), n - len(found))
        assert len(found) == n, f"{len(found)} of {n} within {seconds} s"
        return found

    def nothing(self, topics: Sequence[str], name: str, seconds: float = 1.0, bus: Bus | None = None) -> None:
        """Asserts that nothing is given out for so long."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            assert (bus or self.bus).take(topics, self.who(name), 10) == []

    def close(self) -> None:
        for bus in self.opened:
            bus.close()


@pytest.fixture
def on_kafka(inst: Installation, kafka: Broker, at_broker: Callable[..., Installation]) -> Iterator[Carrier]:
    made = Carrier(at_broker(inst, kafka), kafka.make)
    yield made
    made.close()


@pytest.fixture(params=["local", pytest.param("kafka", marks=pytest.mark.xdist_group("kafka"))])
def carrier(request: pytest.FixtureRequest, inst: Installation) -> Iterator[Carrier]:
    """The bus in the database, then the one over a real broker."""
    if request.param == "kafka":
        yield request.getfixturevalue("on_kafka")
        return
    made = Carrier(inst, lambda *_, **__: None)
    yield made
    made.close()


def record(key: str, topic: str) -> Record:
    return Record(topic, key, f"value {key}".encode(), {"hmac": "x"})


@pytest.fixture
def new_record() -> Callable[[str, str], Record]:
    return record
