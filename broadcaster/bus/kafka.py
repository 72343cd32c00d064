"""The bus over Kafka: carries records to workers that scale out by partition.

The producer is not idempotent, with one request in flight: an idempotent one can hang for ever when a batch expires, and a copy
changes nothing here. Success is each future's own result; `flush` tells nothing.
"""

import threading
import time
from collections.abc import Sequence
from typing import Any

import structlog
from kafka import KafkaProducer
from kafka.errors import KafkaError

from broadcaster.bus import Record, Standing
from broadcaster.bus.kafka_client import connection, standing
from broadcaster.bus.kafka_faults import away
from broadcaster.bus.kafka_reader import Reader, Tail
from broadcaster.model import BadInput, Category, Unavailable
from broadcaster.settings import Settings

log = structlog.get_logger(__name__)

DELIVERY_MS = {True: 8_000, False: 30_000}  # emergency, others
OVERDUE_S = 5.0  # past its delivery time-out a future never ends by itself: the producer is replaced
IN_FLIGHT = 2_000  # records; the client has no bound of its own
LARGEST = 900_000  # bytes of a value: below the client's and the broker's own 1 MB


class KafkaBus:
    """Bus over Kafka. Clients are built at first use, in the process that uses them: they do not survive a fork."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._publishers: dict[bool, Publisher] = {}
        self._readers: dict[str, Reader] = {}
        self._tails: dict[str, Tail] = {}
        self._lock = threading.Lock()

    def publish(self, records: Sequence[Record]) -> None:
        """Returns once every record is on the broker's log. Raises Unavailable for any that is not certain."""
        for record in records:
            if len(record.value or b"") > LARGEST:
                raise BadInput(
                    "record-large", f"a record of {len(record.value or b'')} bytes does not go on {record.topic}"
                )
        for urgent in (True, False):
            some = [r for r in records if r.topic.endswith(f".{Category.EMERGENCY}") == urgent]
            if some:
                self._publisher(urgent).publish(some)

    def take(self, topics: Sequence[str], who: str, most: int) -> list[Record]:
        """Records for a worker. Raises FencedError, for good, where a double has taken its name."""
        with self._lock:
            if who not in self._readers:
                self._readers[who] = Reader(self._settings, topics, who)
            reader = self._readers[who]
        return reader.take(most)

    def done(self, records: Sequence[Record]) -> None:
        """Commits what was finished, per partition the contiguous prefix."""
        for record in records:
            reader = self._readers.get(record.position.partition("|")[0])
            if reader:
                reader.done(record)

    def tail(self, topic: str, after: str) -> list[Record]:
        """Everything behind the offsets of `after` (JSON {partition: offset}); the last record's position is the next `after`."""
        with self._lock:
            tail = self._tails.setdefault(topic, Tail(self._settings, topic))
        return tail.read(after)

    def standing(self) -> list[Standing]:
        """Records of each topic and those that the workers have not committed. Raises Unavailable."""
        return standing(self._settings)

    def close(self) -> None:
        """Ends the threads and closes the clients; uncommitted records come again."""
        for reader in self._readers.values():
            reader.stop()
        for reader in self._readers.values():
            reader.close()
        for tail in self._tails.values():
            tail.close()
        for publisher in self._publishers.values():
            publisher.close()

    def _publisher(self, urgent: bool) -> "Publisher":
        with self._lock:
            return self._publishers.setdefault(urgent, Publisher(self._settings, urgent))


class Publisher:
    """One producer and the guard that replaces it when it hangs or fails."""

    def __init__(self, settings: Settings, urgent: bool) -> None:
        self._settings, self._urgent = settings, urgent
        self._producer: KafkaProducer | None = None
        self._lock = threading.Lock()

    def publish(self, records: Sequence[Record]) -> None:
        """Sends in blocks of IN_FLIGHT and waits for each future's own result. Raises Unavailable."""
        with self._lock:
            for start in range(0, len(records), IN_FLIGHT):
                try:
                    self._producer = self._producer or self._build()
                except KafkaError as error:
                    raise away(self._settings, error) from error
                try:
                    self._block(self._producer, records[start : start + IN_FLIGHT])
                except Exception as error:
                    self._discard()
                    raise Unavailable("bus", f"Kafka did not keep a record: {type(error).__name__} {error}") from error

    def _block(self, producer: KafkaProducer, records: Sequence[Record]) -> None:
        futures = [
            producer.send(
                r.topic, value=r.value, key=r.key.encode(), headers=[(k, v.encode()) for k, v in r.headers.items()]
            )
            for r in records
        ]
        until = time.monotonic() + DELIVERY_MS[self._urgent] / 1000 + OVERDUE_S
        for future in futures:
            future.get(timeout=max(0.001, until - time.monotonic()))

    def _build(self) -> KafkaProducer:
        return KafkaProducer(
            **connection(self._settings),
            acks="all",
            enable_idempotence=False,
            max_in_flight_requests_per_connection=1,
            delivery_timeout_ms=DELIVERY_MS[self._urgent],
            linger_ms=0 if self._urgent else 5,
            max_block_ms=3_000,
            allow_auto_create_topics=False,
        )

    def _discard(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            # A producer that hangs does not close in time either; it must not hold the thread that builds the next.
            threading.Thread(target=_close_quietly, args=(producer,), daemon=True).start()

    def close(self) -> None:
        """Closes the producer."""
        if self._producer is not None:
            _close_quietly(self._producer)


def _close_quietly(producer: Any) -> None:
    try:
        producer.close(timeout=5)
    except Exception as error:  # a client that is given up: nothing depends on how it ends
        log.info("client_closed_badly", error=str(error))
