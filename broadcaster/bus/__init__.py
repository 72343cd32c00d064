"""What carries chunk records to workers; it decides nothing. A record lost, doubled or late changes nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from broadcaster.installation import Installation
from broadcaster.model import BadInput


@dataclass(frozen=True, slots=True)
class Record:
    """One record. No personal data in it: ranges, digests, mode, expiry, a signature in the headers."""

    topic: str
    key: str
    value: bytes | None  # None: removed (compacted topics)
    headers: Mapping[str, str] = field(default_factory=dict)
    position: str = ""  # where the bus keeps it; opaque


class Bus(Protocol):
    """Four verbs. Publish raises model.Unavailable where it is not certain that the record is kept."""

    def publish(self, records: Sequence[Record]) -> None:
        """Keeps records, in order per key."""

    def take(self, topics: Sequence[str], who: str, most: int) -> list[Record]:
        """Records for this worker, none that another is known to work on. May be seen again until done."""

    def done(self, records: Sequence[Record]) -> None:
        """Their work is in the database: never give them out again."""

    def tail(self, topic: str, after: str) -> list[Record]:
        """Everything on a topic after a position ("" = from the start), for every reader, without taking it."""

    def close(self) -> None:
        """Release connections."""


def deliveries_topic(mode: str, channel: str, lane: str, pull: bool) -> str:
    """Name of the topic of a channel and lane. Pull channels have one: a feed has no queue to jump."""
    name = f"broadcaster.{mode}.deliveries.{channel}"
    return name if pull else f"{name}.{lane}"


def open_bus(inst: Installation) -> Bus:
    """The bus that the settings name. Raises BadInput for an address of an unknown kind."""
    if inst.settings.bus_url.startswith("local:"):
        from broadcaster.bus.local import LocalBus

        return LocalBus(inst.store)
    raise BadInput("bus-url", f"BROADCASTER_BUS_URL={inst.settings.bus_url!r} is not a bus; use local:")
