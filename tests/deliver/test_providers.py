"""How providers are said to stand: asked by one process, silence noticed, low balance told."""

from typing import Any, ClassVar

import pytest

from broadcaster.deliver import providers
from broadcaster.installation import Installation
from broadcaster.store import providers as stored
from broadcaster.store.clock import now_ms
from channels.base import Callback, ChannelSettings, Health, Receipt
from channels.sms import Sms

MINUTE = 60_000


class Teller:
    """A provider that says how it stands, and reports."""

    receipt_status: ClassVar[int] = 204

    def __init__(self, health: Health) -> None:
        self.told, self.asked = health, 0

    def health(self) -> Health:
        self.asked += 1
        return self.told

    def read_receipts(self, callback: Callback) -> list[Receipt]:
        raise ValueError(callback.url)


@pytest.fixture
def told(inst: Installation) -> Any:
    """told(Health(...)) -> (installation whose live provider is twilio, its channel, the provider)."""

    def make(health: Health, **settings: Any) -> tuple[Installation, Sms, Teller]:
        changed = inst.settings.model_copy(update={"sms_provider": "twilio", **settings})
        channel = Sms(ChannelSettings(provider="spool", spool="unused"))
        teller = Teller(health)
        channel.provider = teller  # type: ignore[assignment]
        return inst.__class__(changed, inst.store, inst.keys), channel, teller

    return make


def _age(inst: Installation, provider: str, lane: str, ms: int) -> None:
    with inst.store.write() as conn:
        stored.run(
            conn,
            "UPDATE provider_state SET since_at = since_at - ?, seen_at = seen_at - ? WHERE provider = ? AND lane = ?",
            *(ms, ms, provider, lane),
        )


def test_a_provider_is_asked_by_one_process_a_minute(told: Any) -> None:
    inst, channel, teller = told(Health(True, "fine", 7, 12.5, "USD"))
    for _ in range(3):
        providers.look(inst, "twilio", channel)
    assert teller.asked == 1
    with inst.store.read() as conn:
        row = next(row for row in stored.standing(conn) if row.lane == stored.WHOLE)
    assert (row.state, row.detail, row.queued, row.balance) == ("ok", "fine", 7, "12.50 USD")
    _age(inst, "twilio", "", MINUTE)
    providers.look(inst, "twilio", channel)
    assert teller.asked == 2


def test_a_low_balance_and_an_ill_provider_are_told(told: Any) -> None:
    inst, channel, _ = told(Health(False, "401", None, 12.5, "USD"), sms_balance_least=20.0)
    providers.look(inst, "twilio", channel)
    found = providers.troubles(inst)
    assert [(each.code, each.provider, each.detail) for each in found] == [
        ("ill", "twilio", "401"),
        ("balance-low", "twilio", "12.50 USD"),
    ]


def test_a_balance_at_the_limit_is_enough(told: Any) -> None:
    inst, channel, _ = told(Health(True, "", None, 20.0, "USD"), sms_balance_least=20.0)
    providers.look(inst, "twilio", channel)
    assert providers.troubles(inst) == []


def _reached(inst: Installation) -> None:
    with inst.store.write() as conn:
        stored.mark(conn, ("twilio", "notice"), ("ok", "", ""), now_ms(conn))


def test_a_provider_that_takes_messages_and_reports_nothing_is_silent_after_the_time(told: Any) -> None:
    inst, channel, _ = told(Health(True))
    _reached(inst)
    providers.look(inst, "twilio", channel)
    assert providers.troubles(inst) == []
    _age(inst, "twilio", stored.RECEIPTS, 31 * MINUTE)
    assert [each.code for each in providers.troubles(inst)] == ["silent"]


def test_one_receipt_ends_the_silence(told: Any) -> None:
    inst, channel, _ = told(Health(True))
    _reached(inst)
    providers.look(inst, "twilio", channel)
    _age(inst, "twilio", stored.RECEIPTS, 31 * MINUTE)
    with inst.store.write() as conn:
        stored.run(
            conn,
            "INSERT INTO receipt_inbox (provider, dedupe_key, word, received_at, raw) VALUES ('twilio', 'x', 'delivered', ?, '{}')",
            now_ms(conn),
        )
    _age(inst, "twilio", "", MINUTE)
    providers.look(inst, "twilio", channel)
    assert providers.troubles(inst) == []


def test_trouble_of_a_provider_that_is_no_longer_used_is_not_told(told: Any, inst: Installation) -> None:
    used, channel, _ = told(Health(False, "gone"))
    providers.look(used, "twilio", channel)
    assert providers.troubles(used)
    assert providers.troubles(inst) == []
