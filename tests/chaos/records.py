"""Harm to the records between fan-out and workers: replayed, doubled, reordered, poisoned, lost. On a broker or in the table."""

import json
import random
from collections.abc import Sequence
from typing import Any

from back_ends import Embedded, Scale

KINDS = ("replayed", "doubled", "reordered", "poisoned", "lost")
# Bytes that are no text, without a signature; JSON with a wrong one; nothing at all.
GARBAGE: tuple[tuple[str, bytes | None, dict[str, str]], ...] = (
    ("1", b"\xff\xfe", {}),
    ("x", b"{}", {"hmac": "0" * 64}),
    ("2", None, {}),
)
POISON = {value for _, value, _ in GARBAGE}
Kept = tuple[str, bytes | None, Any]  # key, value, headers as the bus has them


def mixed(kind: str, found: Sequence[Kept], dice: random.Random) -> list[Kept]:
    """What is published once more: everything in its order, each twice in a row, or everything in another order."""
    if kind == "doubled":
        return [one for one in found for _ in range(2)]
    again = list(found)
    if kind == "reordered":
        dice.shuffle(again)
    return again


class TableRecords:
    """Records as rows. They go when they are done, so that what is to be replayed is remembered at each look."""

    def __init__(self, back_end: Embedded, topic: str) -> None:
        self._back_end, self._topic = back_end, topic
        self._seen: dict[str, Kept] = {}

    def look(self) -> None:
        for key, value, headers in self._back_end.rows(
            "SELECT key, value, headers FROM bus_record WHERE topic = ? ORDER BY id", self._topic
        ):
            if value not in POISON:
                self._seen.setdefault(key, (key, value, headers))

    def stir(self, kind: str, dice: random.Random) -> int:
        """Returns how many records were added, or lost."""
        self.look()
        if kind == "lost":
            free = "DELETE FROM bus_record WHERE topic = ? AND taken_by IS NULL AND at >= 0"  # garbage stays, to be counted
            return self._back_end.change(free, self._topic)
        given = [(k, v, json.dumps(h)) for k, v, h in GARBAGE]
        rows = given if kind == "poisoned" else mixed(kind, list(self._seen.values()), dice)
        for key, value, headers in rows:
            self._back_end.change(
                "INSERT INTO bus_record (topic, key, value, headers, at) VALUES (?, ?, ?, ?, ?)",
                *(self._topic, key, value, headers, -1 if kind == "poisoned" else 0),
            )
        return len(rows)


class BrokerRecords:
    """Records of a topic of a real broker. They stay there, so that all of them can be replayed."""

    def __init__(self, back_end: Scale, topic: str) -> None:
        self._back_end, self._topic = back_end, topic

    def look(self) -> None:
        """The broker keeps them."""

    def stir(self, kind: str, dice: random.Random) -> int:
        """Returns how many records were added, or lost."""
        found = self.lying()
        if kind == "lost":
            self._back_end.cut_log()
            return len(found) - len(self.lying())
        given = [(k, v, [(n, w.encode()) for n, w in h.items()]) for k, v, h in GARBAGE]
        rows = given if kind == "poisoned" else mixed(kind, [r for r in found if r[1] not in POISON], dice)
        self._publish(rows)
        return len(rows)

    def lying(self) -> list[Kept]:
        """Everything on the topic."""
        from kafka import KafkaConsumer, TopicPartition

        consumer = KafkaConsumer(bootstrap_servers=self._back_end.broker.address, auto_offset_reset="earliest")
        try:
            partitions = [TopicPartition(self._topic, p) for p in consumer.partitions_for_topic(self._topic)]
            consumer.assign(partitions)
            ends = consumer.end_offsets(partitions)
            found = []
            while any(consumer.position(p) < ends[p] for p in partitions):
                found += [row for rows in consumer.poll(timeout_ms=200).values() for row in rows]
        finally:
            consumer.close()
        return [((row.key or b"").decode(), row.value, row.headers) for row in found]

    def _publish(self, rows: Sequence[Kept]) -> None:
        from kafka import KafkaProducer

        producer = KafkaProducer(bootstrap_servers=self._back_end.broker.address, enable_idempotence=False)
        futures = [producer.send(self._topic, v, key=k.encode(), headers=list(h)) for k, v, h in rows]
        for future in futures:
            future.get(10)
        producer.close()


Records = TableRecords | BrokerRecords


def records_of(back_end: Embedded | Scale, category: str) -> Records:
    """The records of the campaign that is tormented."""
    topic = f"broadcaster.live.deliveries.sms.{category}"
    return BrokerRecords(back_end, topic) if isinstance(back_end, Scale) else TableRecords(back_end, topic)
