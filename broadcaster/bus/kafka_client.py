"""How clients of Kafka are told where it is, the topics with their partitions, and how the topics stand."""

from collections.abc import Iterable
from typing import Any

import structlog
from kafka import KafkaAdminClient, OffsetSpec, TopicPartition
from kafka.errors import KafkaError, TopicAlreadyExistsError

from broadcaster.bus import Standing, deliveries_topic, feeds_topic, reach_topic
from broadcaster.bus.kafka_faults import away
from broadcaster.model import Category, Mode
from broadcaster.settings import Settings
from channels import CHANNELS, channel_class

log = structlog.get_logger(__name__)

GROUP = "deliver."  # a consumer group is called deliver.<group of workers>
# The constructors wait 30 s for a broker that is not there, and the pause between tries grows to 30 s, if they are let.
COMMON: dict[str, Any] = {"bootstrap_timeout_ms": 2_000, "reconnect_backoff_max_ms": 1_000, "request_timeout_ms": 5_000}
RETENTION_MS = 7 * 24 * 3600 * 1000  # longer than any outage; a lost record is announced again by the sweep


def connection(settings: Settings) -> dict[str, Any]:
    """What every client is told: addresses of kafka://host:port,host:port, and TLS and SASL where they are set."""
    found: dict[str, Any] = {"bootstrap_servers": settings.bus_url.removeprefix("kafka://").split(","), **COMMON}
    found["security_protocol"] = settings.kafka_security
    if settings.kafka_ca_file:
        found["ssl_cafile"] = str(settings.kafka_ca_file)
    if settings.kafka_security.startswith("SASL"):
        found |= {
            "sasl_mechanism": settings.kafka_sasl,
            "sasl_plain_username": settings.kafka_user,
            "sasl_plain_password": settings.kafka_password.get_secret_value(),
        }
    return found


def all_topics(settings: Settings) -> dict[str, dict[str, Any]]:
    """Every topic with partitions, replicas and configuration: brokers make none by themselves."""
    work = {"num_partitions": settings.kafka_partitions, "replication_factor": settings.kafka_replicas}
    kept = {**work, "configs": {"retention.ms": str(RETENTION_MS)}}
    latest = {**work, "configs": {"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.1"}}
    found: dict[str, dict[str, Any]] = {}
    for mode in Mode:
        for kind in CHANNELS:
            found |= dict.fromkeys(_deliveries(mode, kind), kept)
        found |= {feeds_topic(mode): latest, reach_topic(mode): kept}
    return found


def _deliveries(mode: str, kind: str) -> list[str]:
    pull = channel_class(kind).pull
    return [deliveries_topic(mode, kind, lane, pull) for lane in ([""] if pull else Category)]


def make_topics(settings: Settings) -> list[str]:
    """Makes the topics that are missing; returns their names. Raises Unavailable where no broker answers."""
    try:
        admin = KafkaAdminClient(**connection(settings))
    except KafkaError as error:
        raise away(settings, error) from error
    try:
        there = set(admin.list_topics())
        missing = {name: how for name, how in all_topics(settings).items() if name not in there}
        if missing:
            try:
                admin.create_topics(missing, wait_for_metadata=True)
            except TopicAlreadyExistsError:  # another process makes them in the same moment
                log.info("topics_made_elsewhere")
        return sorted(missing)
    except KafkaError as error:
        raise away(settings, error) from error
    finally:
        admin.close()


def standing(settings: Settings) -> list[Standing]:
    """Ends of our topics and what the groups have not committed yet. Raises Unavailable where no broker answers."""
    try:
        admin = KafkaAdminClient(**connection(settings))
    except KafkaError as error:
        raise away(settings, error) from error
    try:
        return _standing(admin, settings)
    except KafkaError as error:
        raise away(settings, error) from error
    finally:
        admin.close()


def _standing(admin: KafkaAdminClient, settings: Settings) -> list[Standing]:
    names = sorted(set(all_topics(settings)) & set(admin.list_topics()))
    described = admin.describe_topics(names)
    partitions = [TopicPartition(each["name"], p["partition_index"]) for each in described for p in each["partitions"]]
    ends, starts = _offsets(admin, partitions, OffsetSpec.LATEST), _offsets(admin, partitions, OffsetSpec.EARLIEST)
    groups = [each["group_id"] for each in admin.list_groups() if each["group_id"].startswith(GROUP)]
    done: dict[TopicPartition, int] = {}
    for offsets in admin.list_group_offsets(dict.fromkeys(groups)).values() if groups else ():
        done |= {partition: found.offset for partition, found in offsets.items() if found.offset >= 0}
    return [_of(name, ends, {p: max(done.get(p, 0), starts.get(p, 0)) for p in partitions}) for name in names]


def _offsets(admin: KafkaAdminClient, partitions: Iterable[TopicPartition], spec: Any) -> dict[TopicPartition, int]:
    return {p: found.offset for p, found in admin.list_partition_offsets(dict.fromkeys(partitions, spec)).items()}


def _of(name: str, ends: dict[TopicPartition, int], done: dict[TopicPartition, int]) -> Standing:
    mine = [p for p in ends if p.topic == name]
    # A commit beyond the end is accepted by the broker; less than nothing never waits.
    waiting = sum(max(0, ends[p] - done[p]) for p in mine) if ".deliveries." in name else None
    return Standing(name, sum(ends[p] for p in mine), waiting)
