"""What phones answer: kept once, opt-outs at once, confirmations as proof, alarms on top."""

from typing import Any

import pytest
from sqlalchemy import text

from broadcaster import audit
from broadcaster.deliver import replies
from broadcaster.deliver.folding import fold
from broadcaster.deliver.reply_words import Kind
from broadcaster.installation import Installation
from broadcaster.model import NotFound, Refused, Role
from broadcaster.policy import User
from broadcaster.reach.counts import recount
from broadcaster.suppression import suppressed
from channels.base import PhoneReply

GATEWAY = User(90, "gus", "Gus", None, None, None, frozenset({Role.OPERATOR}))
STRANGER = User(91, "sam", "Sam", None, None, None, frozenset({Role.AUTHOR}))


def _phone(planned: Any, n: int = 1) -> str:
    with planned.inst.store.read() as conn:
        sealed = conn.execute(
            text("SELECT r.address_sealed FROM delivery d JOIN recipient r ON r.id = d.recipient_id WHERE d.campaign_id = :c AND d.n = :n"),
            {"c": planned.campaign, "n": n},
        ).scalar()  # fmt: skip
    return planned.inst.keys.open_address(sealed)


def _sent(plan: Any, category: str = "notice", n: int = 3) -> Any:
    planned = plan(n, category=category)
    with planned.inst.store.write() as conn:
        conn.execute(text("UPDATE campaign SET approved_at = created_at"))
    planned.carry_out()
    assert planned.outcomes() == {"accepted": n}
    return planned


def _classes(inst: Installation) -> set[str]:
    return {row["class"] for row in suppressed(inst)}


@pytest.mark.parametrize(
    ("category", "classes"),
    [("promotion", {"promotion"}), ("notice", {"promotion", "notice"}), ("emergency", {"promotion"})],
)
def test_an_opt_out_silences_the_class_that_it_answers(
    plan: Any, inst: Installation, category: str, classes: set[str]
) -> None:
    planned = _sent(plan, category)
    assert replies.take(inst, "kannel", PhoneReply(_phone(planned), "退订", "a")) is Kind.OPT_OUT
    assert _classes(inst) == classes
    again = plan(1, category="emergency")
    with inst.store.write() as conn:
        recipient = conn.execute(text("SELECT recipient_id FROM delivery WHERE campaign_id = :c AND n = 1"), {"c": planned.campaign}).scalar()  # fmt: skip
        conn.execute(text("UPDATE delivery SET recipient_id = :r WHERE campaign_id = :c"), {"r": recipient, "c": again.campaign})  # fmt: skip
    again.carry_out()
    assert again.outcomes() == {"accepted": 1}


def test_an_opt_out_before_the_claim_suppresses_the_rest_of_the_campaign(plan: Any, inst: Installation) -> None:
    first = _sent(plan, n=1)
    waiting = plan(2)
    with inst.store.write() as conn:
        recipient = conn.execute(text("SELECT recipient_id FROM delivery WHERE campaign_id = :c"), {"c": first.campaign}).scalar()  # fmt: skip
        conn.execute(text("UPDATE delivery SET recipient_id = :r WHERE campaign_id = :c AND n = 2"), {"r": recipient, "c": waiting.campaign})  # fmt: skip
    replies.take(inst, "kannel", PhoneReply(_phone(first), "T", "a"))
    waiting.carry_out()
    assert waiting.outcomes() == waiting.counters() == {"accepted": 1, "suppressed": 1}


def test_a_stranger_opts_out_of_promotions_too(inst: Installation) -> None:
    assert replies.take(inst, "kannel", PhoneReply("tel:+8613900000000", "TD", "a")) is Kind.OPT_OUT
    assert _classes(inst) == {"promotion"}


@pytest.mark.parametrize("word", ["1", "收到", "확인"])
def test_a_confirmation_is_proof_counted_once(plan: Any, inst: Installation, word: str) -> None:
    planned = _sent(plan)
    for ref in ("a", "a", "b"):
        assert replies.take(inst, "kannel", PhoneReply(_phone(planned, 2), word, ref)) is Kind.CONFIRMATION
    while fold(inst):
        pass
    assert planned.counters() == {"accepted": 3, "confirmed": 1}
    assert recount(inst, planned.campaign)["equal"]


def test_a_confirmation_of_nothing_is_read_by_a_person(inst: Installation) -> None:
    assert replies.take(inst, "kannel", PhoneReply("tel:+8613900000000", "1", "a")) is Kind.OTHER
    assert [row["text"] for row in replies.listed(inst, GATEWAY)] == ["1"]


def test_a_confirmation_of_a_message_of_last_month_is_of_nothing(plan: Any, inst: Installation) -> None:
    planned = _sent(plan)
    with inst.store.write() as conn:
        conn.execute(text("UPDATE campaign SET approved_at = approved_at - 2592000000"))
    assert replies.take(inst, "kannel", PhoneReply(_phone(planned), "收到", "a")) is Kind.OTHER


def test_alarms_are_on_top_and_numbers_are_hidden_until_somebody_calls_back(plan: Any, inst: Installation) -> None:
    planned = _sent(plan)
    for ref, words in (("a", "几点检查？"), ("b", "三楼起火了"), ("c", "谢谢")):
        replies.take(inst, "twilio", PhoneReply(_phone(planned), words, ref))
    found = replies.listed(inst, GATEWAY)
    assert [row["text"] for row in found] == ["三楼起火了", "谢谢", "几点检查？"]
    number = _phone(planned).removeprefix("tel:")
    assert "****" in found[0]["from"]
    assert number not in str(found)
    assert replies.one(inst, GATEWAY, found[0]["id"])["from"] == number
    assert replies.seen(inst, GATEWAY, found[0]["id"])
    assert not replies.seen(inst, GATEWAY, found[0]["id"])
    assert [row["text"] for row in replies.listed(inst, GATEWAY)] == ["谢谢", "几点检查？"]
    with inst.store.read() as conn:
        actions = list(conn.execute(text("SELECT action FROM audit ORDER BY seq")).scalars())
    assert actions[-2:] == ["reply.number", "reply.seen"]
    assert audit.verify(inst)["ok"]


def test_the_same_reply_twice_is_one(inst: Installation) -> None:
    for _ in range(3):
        replies.take(inst, "kannel", PhoneReply("tel:+8613900000000", "TD", "a"))
        replies.take(inst, "kannel", PhoneReply("tel:+8613900000001", "谢谢", "b"))
    assert len(replies.listed(inst, GATEWAY)) == 1
    with inst.store.read() as conn:
        assert conn.execute(text("SELECT count(*) FROM audit WHERE action = 'suppression.add'")).scalar() == 1


def test_an_operator_of_another_place_sees_nothing_and_a_stranger_is_refused(plan: Any, inst: Installation) -> None:
    planned = _sent(plan)
    replies.take(inst, "kannel", PhoneReply(_phone(planned), "谢谢", "a"))
    with inst.store.write() as conn:
        conn.execute(text("INSERT INTO unit (id, code, name) VALUES (77, 'yb', 'Yanbian')"))
        conn.execute(text("INSERT INTO unit_place (unit_id, place) VALUES (77, '222400000000')"))
    far = User(92, "fay", "Fay", 77, "yb", "Yanbian", frozenset({Role.OPERATOR}))
    assert replies.listed(inst, far) == []
    reply = replies.listed(inst, GATEWAY)[0]["id"]
    with pytest.raises(NotFound):
        replies.one(inst, far, reply)
    with pytest.raises(Refused):
        replies.listed(inst, STRANGER)


def test_a_text_that_would_turn_a_page_or_terminal_round_is_made_plain(inst: Installation) -> None:
    replies.take(inst, "kannel", PhoneReply("tel:+8613900000000", "\x1b[31m谢谢\u202e" + "长" * 3000, "a"))
    (row,) = replies.listed(inst, GATEWAY)
    assert row["text"].startswith("[31m谢谢")
    assert len(row["text"]) <= replies.LONGEST_TEXT
