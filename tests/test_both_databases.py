"""The same campaign embedded, on PostgreSQL, and on Kafka and PostgreSQL: the same counts, deliveries and texts, row by row."""

import json
import time
from contextlib import closing
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from real_kafka import Broker
from sqlalchemy import text

from broadcaster.bus import open_bus, prepare_bus
from broadcaster.cli.demo import _draft
from broadcaster.cli.demo_home import furnish
from broadcaster.compose import campaigns
from broadcaster.deliver.fanout import fan_out
from broadcaster.deliver.runner import GROUPS, topics_of
from broadcaster.deliver.sweep import sweep
from broadcaster.deliver.worker import Worker
from broadcaster.installation import Installation, initialise
from broadcaster.model import CampaignState
from broadcaster.people import find_user
from broadcaster.reach.counts import counts, recount
from broadcaster.suppression import suppress

SIZE = (400, 60, 30)  # phones, speakers, boards


def _carry_out(inst: Installation, campaign: int) -> None:
    with closing(open_bus(inst)) as bus:
        workers = [Worker(inst, bus, topics_of(group), f"w.{group}") for group in GROUPS]
        for worker in workers:
            worker._stop = Event()
        end = time.monotonic() + 120
        while campaigns.find(inst, campaign).state is not CampaignState.FINISHED:
            assert time.monotonic() < end
            fan_out(inst, bus)
            for worker in workers:
                worker.step()
    sweep(inst)


def _campaign(home: Path, database: str, bus: str = "local:") -> dict[str, Any]:
    """A demo's recipients, one opted out, one robot of a stranger; a campaign to all of them; what came of it."""
    settings = {"bus_url": bus, "sms_provider": "spool", "social_provider": "spool"}
    inst = initialise(home=home, database_url=database, **settings)
    assert bool(prepare_bus(inst)) == (bus != "local:")
    furnish(inst, SIZE, seed=1)
    author, approver = find_user(inst, "author"), find_user(inst, "approver")
    made = campaigns.submit(inst, author, campaigns.create(inst, author, _draft()).id)
    campaigns.approve(inst, approver, made.id, made.sealed_digest)
    with inst.store.read() as conn:
        sealed = conn.execute(text("SELECT address_sealed FROM recipient WHERE id = 5")).scalar_one()
    suppress(inst, "administrator", inst.keys.open_address(bytes(sealed)), "never", "court")
    _carry_out(inst, made.id)
    found = {
        "campaign": campaigns.find(inst, made.id),
        "counts": counts(inst, made.id),
        "by place": counts(inst, made.id, by="place")["by"],
        "equal": recount(inst, made.id)["equal"],
        "rows": _rows(inst, made.id),
        "ledger": _ledger(inst),
    }
    inst.close()
    return found


def _rows(inst: Installation, campaign: int) -> list[tuple[Any, ...]]:
    statement = (
        "SELECT d.n, r.address_sealed, d.channel, w.languages, w.pieces, d.slots, d.parts, d.outcome, d.reason, d.proof, "
        "d.attempt, d.provider, p.name, c.place FROM delivery d JOIN recipient r ON r.id = d.recipient_id "
        "JOIN wording w ON w.id = d.wording_id JOIN cut c ON c.id = d.cut_id LEFT JOIN premises p ON p.id = d.premises_id "
        "WHERE d.campaign_id = :c ORDER BY d.n"
    )
    with inst.store.read() as conn:
        return [
            (n, inst.keys.open_address(bytes(sealed)), *rest)
            for n, sealed, *rest in conn.execute(text(statement), {"c": campaign})
        ]


def _ledger(inst: Installation) -> list[tuple[str, str]]:
    lines = [json.loads(line) for line in inst.settings.spool_file.read_text(encoding="utf-8").splitlines()]
    return sorted((line["to"], line["text"]) for line in lines)


def _same(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert len(one["rows"]) == sum(SIZE) + 2 == one["counts"]["planned"]
    assert one["counts"]["outcomes"]["suppressed"] == 1
    assert one["counts"]["outcomes"]["accepted"] == sum(SIZE) + 1
    assert len(one["ledger"]) == SIZE[0] + 2 - 1
    for name in ("counts", "by place", "rows", "ledger", "equal"):
        assert one[name] == other[name], name
    assert one["equal"] is True
    for name in ("state", "planned", "parts", "cost"):
        assert getattr(one["campaign"], name) == getattr(other["campaign"], name), name


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return _campaign(tmp_path_factory.mktemp("embedded"), "")


def test_the_same_campaign_is_the_same_on_both_databases(
    embedded: dict[str, Any], tmp_path: Path, on_postgresql: str
) -> None:
    _same(embedded, _campaign(tmp_path, on_postgresql))


def test_the_same_campaign_is_the_same_on_kafka_and_postgresql_together(
    embedded: dict[str, Any], tmp_path: Path, on_postgresql: str, own_kafka: Broker
) -> None:
    _same(embedded, _campaign(tmp_path, on_postgresql, own_kafka.url))
