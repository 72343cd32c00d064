"""A campaign planned by hand: delivery's tests know the tables, not the composing room."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from sqlalchemy import insert, text

from broadcaster.bus.local import LocalBus
from broadcaster.deliver import sending
from broadcaster.deliver import worker as worker_module
from broadcaster.deliver.fanout import fan_out
from broadcaster.deliver.runner import topics_of
from broadcaster.deliver.sweep import sweep
from broadcaster.deliver.worker import Worker
from broadcaster.installation import Installation
from broadcaster.keys import fingerprint
from broadcaster.store import schema
from broadcaster.store.clock import now_ms
from channels.base import Answer, ChannelSettings, Message

CLIP = {
    "mp3": {"sha256": "ab" * 32, "bytes": 1234, "type": "audio/mpeg"},
    "wav": {"sha256": "cd" * 32, "bytes": 5678, "type": "audio/wav"},
    "seconds": 31.4,
}


@dataclass
class Planned:
    """A planned and released campaign, and the means to carry it out in this process."""

    inst: Installation
    campaign: int
    tokens: dict[int, str] = field(default_factory=dict)  # recipient -> device token

    def outcomes(self) -> dict[str, int]:
        with self.inst.store.read() as conn:
            rows = conn.execute(
                text("SELECT outcome, count(*) FROM delivery WHERE campaign_id = :c GROUP BY outcome"),
                {"c": self.campaign},
            )
            return {r[0]: r[1] for r in rows}

    def counters(self) -> dict[str, int]:
        with self.inst.store.read() as conn:
            rows = conn.execute(
                text("SELECT word, sum(n) FROM counter WHERE campaign_id = :c GROUP BY word"), {"c": self.campaign}
            )
            return {r[0]: r[1] for r in rows if r[1]}

    def state(self) -> str:
        with self.inst.store.read() as conn:
            return str(conn.execute(text("SELECT state FROM campaign WHERE id = :c"), {"c": self.campaign}).scalar())

    def set(self, **columns: Any) -> None:
        with self.inst.store.write() as conn:
            changes = ", ".join(f"{name} = :{name}" for name in columns)
            conn.execute(text(f"UPDATE campaign SET {changes} WHERE id = :c"), {**columns, "c": self.campaign})

    def ledger(self, name: str = "messages.jsonl") -> list[dict[str, Any]]:
        path = self.inst.settings.spool_file.with_name(name)
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def worker(self, group: str = "sms", name: str = "w") -> Worker:
        return Worker(self.inst, LocalBus(self.inst.store), topics_of(group), name)

    def carry_out(self, *groups: str) -> None:
        """Fan-out and workers until nothing moves any more."""
        bus = LocalBus(self.inst.store)
        workers = [self.worker(group) for group in groups or ("sms-emergency", "sms", "social", "feeds")]
        for worker in workers:
            worker._stop = Event()
        while True:
            moved = fan_out(self.inst, bus)
            for worker in workers:
                while worker.step():
                    moved += 1
            if not moved:
                break
        sweep(self.inst)


def _insert(conn: Any, table: Any, rows: list[dict[str, Any]]) -> None:
    conn.execute(insert(table), rows)


@pytest.fixture
def plan(inst: Installation) -> Callable[..., Planned]:
    """plan(n, channel=..., category=..., mode=...) -> a released campaign of n deliveries of one channel."""

    def make(
        n: int = 10,
        channel: str = "sms",
        category: str = "notice",
        mode: str = "live",
        chunk: int = 1000,
        expires_in: int = 3_600_000,
        install: Installation | None = None,
    ) -> Planned:
        used = install or inst
        with used.store.write() as conn:
            now = now_ms(conn)
            _people(conn, now)
            campaign = _campaign(conn, category, mode, n, now, now + expires_in)
            planned = Planned(used, campaign)
            _deliveries(conn, used, planned, n, channel, now)
            lanes = [
                {"campaign_id": campaign, "channel": channel, "lane": category, "first": a, "last": min(n, a + chunk - 1),
                 "due_at": now, "expires_at": now + expires_in, "digest": "d"}
                for a in range(1, n + 1, chunk)
            ]  # fmt: skip
            _insert(conn, schema.chunk, lanes)
        return planned

    return make


def _people(conn: Any, now: int) -> None:
    if conn.execute(text("SELECT 1 FROM app_user")).first():
        return
    _insert(
        conn,
        schema.user,
        [
            {"login": login, "name": login, "roles": "author approver", "created_at": now, "active": True}
            for login in ("ann", "bob")
        ],
    )


def _campaign(conn: Any, category: str, mode: str, n: int, now: int, expires: int) -> int:
    made = conn.execute(
        insert(schema.campaign).values(
            public_id=f"p{now}{conn.execute(text('SELECT count(*) FROM campaign')).scalar()}", name="t",
            template_set="x", category=category, mode=mode, state="approved", facts="{}", selection="{}", channels="[]",
            not_before_at=now, expires_at=expires, planned=n, author_id=1, editor_id=1, approver_id=2, created_at=now,
        )
    )  # fmt: skip
    return int(made.inserted_primary_key[0])


def _deliveries(conn: Any, inst: Installation, planned: Planned, n: int, channel: str, now: int) -> None:
    start = int(conn.execute(text("SELECT coalesce(max(id), 0) FROM recipient")).scalar()) + 1
    scheme = {"sms": "tel:+86138", "loudspeaker": "speaker:", "billboard": "board:", "social": "wecom:"}[channel]
    addresses = [f"{scheme}{start + i:08d}" for i in range(n)]
    _insert(
        conn,
        schema.recipient,
        [
            {"id": start + i, "channel": channel, "address_sealed": inst.keys.seal_address(a), "languages": "zh-CN",
             "address_key": inst.keys.address_key(a), "place": "220102001001", "active": True, "created_at": now,
             "format": "128x32/16/gb18030/pages" if channel == "billboard" else ""}
            for i, a in enumerate(addresses)
        ],
    )  # fmt: skip
    if channel in ("loudspeaker", "billboard"):
        planned.tokens = {start + i: f"token-{start + i}" for i in range(n)}
        _insert(
            conn,
            schema.device,
            [{"recipient_id": r, "token_hash": fingerprint(t)} for r, t in planned.tokens.items()],
        )
    campaign = planned.campaign
    wording = conn.execute(
        insert(schema.wording).values(
            campaign_id=campaign, channel=channel, format="", languages="zh-CN", segment="{}", digest="d",
            pieces=json.dumps(["【吉林消防】", "：请检查灭火器。"]), slots='["name"]', clip=json.dumps(CLIP),
            size=json.dumps({"pages": [["森林防火", "禁止用火"]]}),
        )
    ).inserted_primary_key[0]  # fmt: skip
    cuts = [
        conn.execute(
            insert(schema.cut).values(
                campaign_id=campaign, channel=channel, place=place, premises_category="mall", languages="zh-CN"
            )
        ).inserted_primary_key[0]
        for place in ("220102000000", "220103000000")
    ]
    _insert(
        conn,
        schema.delivery,
        [
            {"campaign_id": campaign, "n": i + 1, "recipient_id": start + i, "channel": channel, "wording_id": wording,
             "cut_id": cuts[i * 2 // n], "slots": json.dumps([f"金{i}"]), "parts": 1, "token": f"t{i:015d}",
             "outcome": "waiting"}
            for i in range(n)
        ],
    )  # fmt: skip
    _insert(
        conn,
        schema.counter,
        [
            {
                "campaign_id": campaign,
                "cut_id": cut,
                "word": "waiting",
                "shard": 0,
                "n": sum(1 for i in range(n) if i * 2 // n == k),
            }
            for k, cut in enumerate(cuts)
        ],
    )


@pytest.fixture(autouse=True)
def daytime(monkeypatch: pytest.MonkeyPatch) -> None:
    """Promotions may go: what a test proves must not depend on the hour at which it runs."""
    monkeypatch.setattr(worker_module, "promotion_hours", lambda settings, now: now)


@pytest.fixture
def ledger_path(inst: Installation) -> Path:
    return inst.settings.spool_file


class Scripted:
    """A channel that answers as the test says, and keeps what it was given."""

    has_receipts = False

    def __init__(self, answers: Callable[[int], Answer]) -> None:
        self.settings = ChannelSettings(provider="scripted")
        self.given: list[Message] = []
        self.answers = answers

    @property
    def numbers(self) -> list[int]:
        return [int(message.delivery.split("-")[1]) for message in self.given]

    def send(self, messages: list[Message]) -> list[Answer]:
        self.given.extend(messages)
        return [self.answers(n) for n in self.numbers[len(self.given) - len(messages) :]]

    def close(self) -> None:
        pass


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[int], Answer]], Scripted]:
    """scripted(lambda n: answer): every push channel of the test answers so for delivery n."""

    def use(answers: Callable[[int], Answer]) -> Scripted:
        channel = Scripted(answers)
        monkeypatch.setattr(sending, "outlet", lambda inst, mode, kind: channel)
        return channel

    return use
