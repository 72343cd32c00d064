"""What carries chunk records to workers; it decides nothing. A record lost, doubled or late changes nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from broadcaster.installation import Installation
from broadcaster.model import BadInput, Refused
from broadcaster.store import feeds


@dataclass(frozen=True, slots=True)
class Record:
    """One record. No personal data in it: ranges, digests, mode, expiry, a signature in the headers."""

    topic: str
    key: str
    value: bytes | None  # None: removed (compacted topics)
    headers: Mapping[str, str] = field(default_factory=dict)
    position: str = ""  # where the bus keeps it; opaque


@dataclass(frozen=True, slots=True)
class Standing:
    """How one topic stands. None where the bus does not know."""

    topic: str
    published: int | None  # records that were ever kept
    waiting: int | None  # of them not done yet by the workers of the topic


class FencedError(Refused):
    """Another process works under this member's name. A name belongs to one process: this one must end."""

    def __init__(self, who: str) -> None:
        told = f"another worker runs under the name {who!r} and has taken its work over; give each its own: work --name"
        super().__init__("name-taken", told)


class Bus(Protocol):
    """Five verbs. Publish raises model.Unavailable where it is not certain that the record is kept."""

    def publish(self, records: Sequence[Record]) -> None:
        """Keeps records, in order per key. Raises BadInput for one that no bus would carry."""

    def take(self, topics: Sequence[str], who: str, most: int) -> list[Record]:
        """Records for this worker, none that another is known to work on. May be seen again until done.

        `who` is <name>.<group>: members of one group share the records, each name belongs to one process.
        Raises FencedError where it does not.
        """

    def done(self, records: Sequence[Record]) -> None:
        """Their work is in the database: never give them out again."""

    def tail(self, topic: str, after: str) -> list[Record]:
        """Everything on a topic after a position ("" = from the start), for every reader, without taking it."""

    def standing(self) -> list[Standing]:
        """How each topic stands. Raises Unavailable where the bus does not answer."""

    def close(self) -> None:
        """Release connections."""


def deliveries_topic(mode: str, channel: str, lane: str, pull: bool) -> str:
    """Name of the topic of a channel and lane. Pull channels have one: a feed has no queue to jump."""
    name = f"broadcaster.{mode}.deliveries.{channel}"
    return name if pull else f"{name}.{lane}"


def feeds_topic(mode: str) -> str:
    """Name of the compacted topic that holds the current feed of each device."""
    return f"broadcaster.{mode}.feeds"


def reach_topic(mode: str) -> str:
    """Name of the topic that tells other systems how campaigns stand."""
    return f"broadcaster.{mode}.reach"


def over_kafka(inst: Installation) -> bool:
    """Whether records travel outside the database."""
    return inst.settings.bus_url.startswith("kafka://")


def open_bus(inst: Installation) -> Bus:
    """The bus that the settings name; it connects at first use. Raises BadInput for an address of an unknown kind."""
    if inst.settings.bus_url.startswith("local:"):
        from broadcaster.bus.local import LocalBus

        return LocalBus(inst.store)
    if over_kafka(inst):
        from broadcaster.bus.kafka import KafkaBus

        return KafkaBus(inst.settings)
    known = "use local: or kafka://host:port,host:port"
    raise BadInput("bus-url", f"BROADCASTER_BUS_URL={inst.settings.bus_url!r} is not a bus; {known}")


def prepare_bus(inst: Installation) -> list[str]:
    """Makes the topics that are missing; their names. Raises Unavailable where no broker answers."""
    if not over_kafka(inst):
        return []
    from broadcaster.bus.kafka_client import make_topics

    made = make_topics(inst.settings)
    if any(name.endswith(".feeds") for name in made):
        with inst.store.write() as conn:  # an empty topic holds no feed, whatever was told before
            feeds.forget_told(conn)
    return made
