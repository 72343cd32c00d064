"""The link test: one real message, in no count, its receipt shown and kept apart."""

import json
from collections.abc import Sequence
from typing import Any, ClassVar

import pytest
from sqlalchemy import text

from broadcaster import suppression
from broadcaster.deliver import callbacks, link_test
from broadcaster.deliver.folding import fold
from broadcaster.installation import Installation
from broadcaster.model import BadInput, Refused, Role
from broadcaster.policy import User
from broadcaster.store import receipts
from broadcaster.store.clock import now_ms
from channels.base import Answer, AnswerWord, Callback, ChannelSettings, Message, Receipt, ReceiptWord
from channels.sms import Sms

OPERATOR = User(91, "gus", "Gus", None, None, None, frozenset({Role.OPERATOR}))
NUMBER = "+8613844112119"
TOOK = Answer(AnswerWord.ACCEPTED, ref="S1")


class Carrier:
    """A provider that takes everything, or answers as told, and reports."""

    receipt_status: ClassVar[int] = 204

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.sent: list[Message] = []

    def send(self, messages: Sequence[Message]) -> list[Answer]:
        self.sent += messages
        return [self.answer for _ in messages]

    def read_receipts(self, callback: Callback) -> list[Receipt]:
        raise ValueError(callback.url)

    def close(self) -> None:
        pass


@pytest.fixture
def live(inst: Installation, monkeypatch: pytest.MonkeyPatch) -> Any:
    """live(answer) -> (installation whose SMS are carried by a Carrier under the name of twilio, the Carrier)."""

    def make(answer: Answer = TOOK, **settings: Any) -> tuple[Installation, Carrier]:
        carrier = Carrier(answer)

        def outlet(_inst: Any, _mode: str, _kind: str, provider: str) -> Sms:
            channel = Sms(ChannelSettings(provider="spool", spool="unused"))
            channel.settings = ChannelSettings(provider=provider)
            channel.provider = carrier
            return channel

        monkeypatch.setattr(link_test, "outlet", outlet)
        given = {"sms_provider": "twilio", "public_url": "https://sms.example", **settings}
        return Installation(inst.settings.model_copy(update=given), inst.store, inst.keys), carrier

    return make


def _send(inst: Installation, user: User = OPERATOR, to: str = NUMBER, provider: str = "") -> link_test.LinkTest:
    return link_test.send(inst, user, to, "吉林消防", provider)


def _count(inst: Installation, table: str) -> int:
    with inst.store.read() as conn:
        return int(conn.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())


def test_one_signed_message_goes_to_the_number_and_is_in_no_count(live: Any) -> None:
    inst, carrier = live()
    sent = _send(inst)
    (message,) = carrier.sent
    assert (message.to, message.mode, message.parts) == (f"tel:{NUMBER}", "live", 1)
    assert message.text == f"【吉林消防】线路测试 {sent.code}，收到请忽略。"
    assert message.delivery.startswith("0-")
    assert message.callback == f"https://sms.example{callbacks.receipt_path(inst.keys, 'twilio', message.delivery)}"
    assert (_count(inst, "delivery"), _count(inst, "campaign"), _count(inst, "counter")) == (0, 0, 0)
    told = link_test.as_json(inst, sent, None)
    assert (told["to"], told["answer"]["word"], told["receipt_expected"]) == ("138****2119", "accepted", True)


def test_its_receipt_is_shown_and_is_none_of_an_unknown_delivery(live: Any) -> None:
    inst, carrier = live()
    sent = _send(inst)
    assert link_test.receipt(inst, sent, 0) is None
    said = [Receipt(ReceiptWord.ACCEPTED, "sent"), Receipt(ReceiptWord.DELIVERED, "delivered", ref="S1")]
    rows = callbacks.on_path("twilio", carrier.sent[0].delivery, said)
    other = callbacks.on_path("twilio", "0-1-other", [Receipt(ReceiptWord.FAILED, "failed")])
    for came in (rows[:1], [*rows[1:], *other]):
        inst.store.transact(lambda conn: receipts.store(conn, came, now_ms(conn)))  # noqa: B023  run at once
    found = link_test.receipt(inst, sent, 5)
    assert found and (found["word"], found["said"]) == ("delivered", "delivered")
    assert fold(inst) == 3
    with inst.store.read() as conn:
        assert {fate for _, fate in receipts.came(conn)} == {"test"}
        assert not receipts.any_open(conn)
    assert link_test.receipt(inst, sent, 0) == found
    assert [each["word"] for each in link_test.later(inst, OPERATOR, sent.name)] == ["accepted", "delivered"]


def test_a_receipt_that_names_number_and_reference_is_found_too(live: Any) -> None:
    inst, _ = live()
    sent = _send(inst)
    told = [
        Receipt(ReceiptWord.FAILED, "UNDELIV", ref="S1", to="tel:+8613800000000"),
        Receipt(ReceiptWord.DELIVERED, "DELIVRD", ref="S1", to=f"tel:{NUMBER}"),
    ]
    inst.store.transact(lambda conn: receipts.store(conn, callbacks.in_batch(inst.keys, "twilio", told), now_ms(conn)))
    found = link_test.receipt(inst, sent, 5)
    assert found and found["said"] == "DELIVRD"


def test_no_receipt_is_waited_for_where_none_can_come(live: Any) -> None:
    inst, _ = live(Answer(AnswerWord.FAILED, reason="no-such-number"))
    assert link_test.receipt(inst, _send(inst), 300) is None
    inst, _ = live(public_url="")
    sent = _send(inst)
    assert not sent.reports
    assert link_test.receipt(inst, sent, 300) is None


def test_five_an_hour_of_a_person_and_the_sixth_sends_nothing(live: Any) -> None:
    inst, carrier = live()
    for _ in range(link_test.AN_HOUR):
        _send(inst)
    with pytest.raises(Refused, match="within an hour"):
        _send(inst)
    assert len(carrier.sent) == link_test.AN_HOUR
    assert _count(inst, "audit WHERE action = 'gateway.test'") == link_test.AN_HOUR
    _send(inst, User(92, "ann", "Ann", None, None, None, frozenset({Role.ADMINISTRATOR})))
    with inst.store.write() as conn:
        conn.execute(text("UPDATE audit SET at = at - 3600001"))
    _send(inst)


def test_the_audit_tells_who_over_what_and_not_the_number(live: Any) -> None:
    inst, _ = live()
    sent = _send(inst)
    with inst.store.read() as conn:
        row = conn.execute(text("SELECT actor, detail FROM audit WHERE action = 'gateway.test'")).one()
    assert row.actor == "gus"
    assert json.loads(row.detail) == {"provider": "twilio", "to": "138****2119", "code": sent.code}


def test_a_number_that_must_never_be_sent_to_is_not_tested_with(live: Any) -> None:
    inst, carrier = live()
    suppression.suppress(inst, "sun", f"tel:{NUMBER}", "promotion", "a reply")
    _send(inst)
    suppression.suppress(inst, "sun", f"tel:{NUMBER}", "never", "a letter")
    with pytest.raises(Refused, match="never"):
        _send(inst)
    assert len(carrier.sent) == 1
    assert _count(inst, "audit WHERE action = 'gateway.test'") == 1


@pytest.mark.parametrize("role", [Role.AUTHOR, Role.APPROVER, Role.MANAGER, Role.GATEWAY])
def test_only_who_works_the_gateway_tests_it(live: Any, role: Role) -> None:
    inst, carrier = live()
    with pytest.raises(Refused):
        _send(inst, User(93, "max", "Max", None, None, None, frozenset({role})))
    assert carrier.sent == []


def test_the_second_provider_is_tested_by_name_and_another_one_is_none(live: Any) -> None:
    inst, _ = live(sms_second="kannel")
    assert _send(inst, provider="kannel").provider == "kannel"
    with pytest.raises(BadInput, match="twilio and kannel"):
        _send(inst, provider="mas")
    with pytest.raises(BadInput, match="signature"):
        link_test.send(inst, OPERATOR, NUMBER, "")


def test_a_gateway_that_pulls_is_not_tested_from_here(live: Any) -> None:
    inst, carrier = live(sms_provider="pull")
    with pytest.raises(Refused, match="fetches"):
        _send(inst)
    assert carrier.sent == []


def test_without_a_provider_it_is_written_to_the_spool_and_says_so(inst: Installation) -> None:
    sent = _send(inst)
    told = link_test.as_json(inst, sent, link_test.receipt(inst, sent, 60))
    assert told["to_file"] == str(inst.settings.spool_file)
    assert json.loads(inst.settings.spool_file.read_text(encoding="utf-8"))["delivery"] == sent.name
    assert told["receipt_expected"] is False
