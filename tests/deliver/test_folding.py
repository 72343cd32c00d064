"""Receipts of SMS providers, from the inbox to outcome, counter and fate."""

from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import text

from broadcaster.deliver import callbacks, silence
from broadcaster.deliver.folding import MATCH_MS, PATIENCE_MS, fold
from broadcaster.deliver.receipt_rules import CONTRADICTED
from broadcaster.deliver.silence import Silence
from broadcaster.installation import Installation
from broadcaster.reach.counts import counts, recount
from broadcaster.store import receipts
from broadcaster.store.clock import now_ms
from channels.base import ACCEPTED, Answer, AnswerWord, Receipt, ReceiptWord

DAY_MS = 86_400_000


def name(planned: Any, n: int, token: str = "") -> str:
    return f"{planned.campaign}-{n}-{token or f't{n - 1:015d}'}"


def say(inst: Installation, delivery: str, *words: str, ago: int = 0, **more: Any) -> None:
    """Receipts that came to the door of a message."""
    told = [Receipt(ReceiptWord(word), word, **more) for word in words]
    with inst.store.write() as conn:
        receipts.store(conn, callbacks.on_path("http", delivery, told), now_ms(conn) - ago)


def fates(inst: Installation) -> list[tuple[str, str | None]]:
    with inst.store.read() as conn:
        return [(w, f) for w, f in conn.execute(text("SELECT word, fate FROM receipt_inbox ORDER BY id"))]


def column(inst: Installation, planned: Any, what: str) -> list[Any]:
    with inst.store.read() as conn:
        rows = conn.execute(
            text(f"SELECT {what} FROM delivery WHERE campaign_id = :c ORDER BY n"), {"c": planned.campaign}
        )
        return [row[0] for row in rows]


def exact(inst: Installation, planned: Any, **outcomes: int) -> None:
    assert planned.outcomes() == outcomes
    assert recount(inst, planned.campaign) == {"equal": True, "differences": []}


@pytest.fixture
def sent(plan: Any, scripted: Any) -> Any:
    """sent(n, ...): a campaign that a provider has taken; every answer carries a reference."""

    def make(n: int, answer: Any = None, **more: Any) -> Any:
        scripted(answer or (lambda at: Answer(AnswerWord.ACCEPTED, ref=f"p{at}")))
        planned = plan(n, **more)
        planned.carry_out()
        return planned

    return make


def test_receipts_move_deliveries_and_counters_whatever_the_batches(
    sent: Any, inst: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("broadcaster.deliver.folding.BATCH", 7)
    planned = sent(40)
    for n in range(40, 0, -1):
        word = ("delivered", "failed", "expired", "accepted")[n % 4]
        say(inst, name(planned, n), word, "accepted", reason="absent")
    assert fold(inst) == 70  # ten said accepted twice, which is once
    exact(inst, planned, delivered=10, failed=10, expired=10, accepted=10)
    assert column(inst, planned, "reason")[:4] == ["absent", "absent", None, None]
    assert fold(inst) == 0


def test_five_times_and_reversed_is_once(sent: Any, inst: Installation) -> None:
    planned = sent(1)
    for at in range(5):
        say(inst, name(planned, 1), "delivered", "accepted", at=at)
        fold(inst)
    exact(inst, planned, delivered=1)
    assert fates(inst)[:2] == [("accepted", "kept"), ("delivered", "moved")]
    assert {fate for _, fate in fates(inst)[2:]} == {"kept"}


def test_a_receipt_replayed_after_thirty_days_changes_nothing(sent: Any, inst: Installation) -> None:
    planned = sent(2)
    say(inst, name(planned, 1), "delivered")
    fold(inst)
    for _ in range(2):
        say(inst, name(planned, 1), "accepted", "delivered", ago=-30 * DAY_MS)
        fold(inst)
    exact(inst, planned, delivered=1, accepted=1)


@pytest.mark.parametrize("words", [("failed", "delivered"), ("delivered", "failed")])
def test_of_two_contradictory_ends_delivered_wins_and_it_is_told(
    sent: Any, inst: Installation, words: Sequence[str]
) -> None:
    planned = sent(1)
    for word in words:
        say(inst, name(planned, 1), word)
        fold(inst)
    exact(inst, planned, delivered=1)
    assert fates(inst) == [(words[0], "moved"), (words[1], "contradicts")]
    assert column(inst, planned, "reason") == [CONTRADICTED]


def test_a_receipt_for_nothing_of_ours_is_kept_counted_and_tried_again(sent: Any, inst: Installation) -> None:
    planned = sent(1)
    say(inst, name(planned, 1, "another-token"), "delivered")
    say(inst, "999-1-t", "delivered")
    say(inst, name(planned, 2), "delivered", ago=8 * DAY_MS)
    fold(inst)
    exact(inst, planned, accepted=1)
    assert [fate for _, fate in fates(inst)] == ["unmatched"] * 3
    Silence(inst).look()
    assert fates(inst) == [("delivered", "unmatched")] * 2
    assert fold(inst) == 2
    with inst.store.read() as conn:
        assert receipts.came(conn) == {("http", "unmatched"): 3}
        assert receipts.waiting(conn) == (0, None)


def test_a_word_of_no_table_is_kept_and_counted_and_moves_nothing(sent: Any, inst: Installation) -> None:
    planned = sent(1)
    say(inst, name(planned, 1), "unknown")
    fold(inst)
    exact(inst, planned, accepted=1)
    assert fates(inst) == [("unknown", "unknown-word")]


def test_words_that_no_database_can_keep_cost_nobody_a_receipt(sent: Any, inst: Installation) -> None:
    planned = sent(2)
    odd = [
        Receipt(ReceiptWord.FAILED, "a\0b\ud800", ref="\udfff", reason="\0", detail="吉\ud800\0", at=10**30),
        Receipt(ReceiptWord.EXPIRED, "expired", at=-1),
    ]
    with inst.store.write() as conn:
        rows = callbacks.on_path("http", name(planned, 1), odd)
        receipts.store(conn, [*rows, *callbacks.on_path("http", name(planned, 2), odd[1:])], now_ms(conn))
    fold(inst)
    exact(inst, planned, failed=1, expired=1)


def test_an_early_receipt_waits_for_the_answer_but_not_for_ever(plan: Any, inst: Installation, scripted: Any) -> None:
    planned = plan(2)

    def answer(n: int) -> Answer:
        if n == 1:
            say(inst, name(planned, 1), "delivered")
            say(inst, name(planned, 2), "delivered", ago=PATIENCE_MS + 1)
            assert fold(inst) == 1
        return ACCEPTED

    scripted(answer)
    planned.carry_out()
    fold(inst)
    exact(inst, planned, delivered=1, accepted=1)
    assert fates(inst) == [("delivered", "moved"), ("delivered", "kept")]


def test_receipts_settle_what_was_in_doubt_and_nothing_is_sent_again(sent: Any, inst: Installation) -> None:
    def lost(_n: int) -> Answer:
        return Answer(AnswerWord.UNCERTAIN, reason="timeout")

    unknown = sent(4, lost)
    for n, word in enumerate(("accepted", "delivered", "failed", "expired"), 1):
        say(inst, name(unknown, n), word, ref=f"r{n}")
    fold(inst)
    exact(inst, unknown, accepted=1, delivered=1, failed=1, expired=1)
    assert column(inst, unknown, "provider_ref") == ["r1", "r2", "r3", "r4"]
    waiting = sent(3, lost, category="emergency")
    for n, word in enumerate(("accepted", "delivered", "failed"), 1):
        say(inst, name(waiting, n), word)
    fold(inst)
    exact(inst, waiting, accepted=1, delivered=1, waiting=1)


def test_a_failure_kept_while_a_delivery_waited_counts_once_it_is_known_to_have_been_taken(
    sent: Any, inst: Installation
) -> None:
    waiting = sent(1, lambda _n: Answer(AnswerWord.UNCERTAIN, reason="timeout"), category="emergency")
    say(inst, name(waiting, 1), "failed", reason="absent")
    fold(inst)
    exact(inst, waiting, waiting=1)
    say(inst, name(waiting, 1), "accepted")
    fold(inst)
    exact(inst, waiting, failed=1)
    assert fates(inst) == [("failed", "moved"), ("accepted", "moved")]


def test_receipts_that_name_number_and_reference_find_their_delivery(sent: Any, inst: Installation) -> None:
    planned = sent(3)
    with inst.store.read() as conn:
        keys = [row[0] for row in conn.execute(text("SELECT address_sealed FROM recipient ORDER BY id"))]
    to = [inst.keys.open_address(bytes(sealed)) for sealed in keys]

    def push(*told: tuple[int, str, str], ago: int = 0) -> None:
        given = [Receipt(ReceiptWord(word), word, ref=ref, to=to[n - 1]) for n, ref, word in told]
        with inst.store.write() as conn:
            receipts.store(conn, callbacks.in_batch(inst.keys, "mas", given), now_ms(conn) - ago)

    push((1, "p1", "delivered"), (2, "p2", "failed"), (3, "of-another-message", "delivered"))
    fold(inst)
    exact(inst, planned, delivered=1, failed=1, accepted=1)
    assert sorted(f or "" for _, f in fates(inst)) == ["", "moved", "moved"]  # the third may be early
    push((3, "never-ours", "delivered"), ago=MATCH_MS + 1)
    fold(inst)
    assert sorted(f or "" for _, f in fates(inst)) == ["", "moved", "moved", "unmatched"]


@pytest.fixture
def reporting(inst: Installation, monkeypatch: pytest.MonkeyPatch) -> Installation:
    """An installation whose provider reports, and whose deadline is over as soon as a message is accepted."""
    monkeypatch.setattr(silence, "reporting", lambda: ("spool", "http"))
    given = {"public_url": "https://a.example", "sms_provider": "http", "sms_receipt_hours": 1e-9}
    return Installation(inst.settings.model_copy(update=given), inst.store, inst.keys)


def test_what_nothing_was_heard_of_is_marked_and_a_late_receipt_takes_the_mark_away(
    sent: Any, reporting: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(silence, "PORTION", 3)
    planned = sent(10)
    say(reporting, name(planned, 1), "delivered")
    say(reporting, name(planned, 2), "accepted")
    fold(reporting)
    before = counts(reporting, planned.campaign, "place", with_reach=False)
    assert (before["no_receipt"], before["receipts_outstanding"]) == (0, 9)
    assert Silence(reporting).look() == 9
    exact(reporting, planned, delivered=1, accepted=9)
    found = counts(reporting, planned.campaign, "place", with_reach=False)
    assert (found["no_receipt"], found["receipts_outstanding"], found["outcomes"]["accepted"]) == (9, 0, 9)
    assert [(row["no_receipt"], row["receipts_outstanding"]) for row in found["by"]] == [(4, 0), (5, 0)]
    assert Silence(reporting).look() == 0
    for n, word in ((3, "delivered"), (4, "failed"), (5, "accepted")):
        say(reporting, name(planned, n), word)
    fold(reporting)
    exact(reporting, planned, delivered=2, failed=1, accepted=7)
    assert counts(reporting, planned.campaign, with_reach=False)["no_receipt"] == 7
    assert sum(column(reporting, planned, "silent")) == 7


def test_a_spoiled_mark_is_found_by_the_recount(sent: Any, reporting: Installation) -> None:
    planned = sent(2)
    Silence(reporting).look()
    with reporting.store.write() as conn:
        conn.execute(text("UPDATE delivery SET silent = 0 WHERE campaign_id = :c AND n = 1"), {"c": planned.campaign})
    [difference] = recount(reporting, planned.campaign)["differences"]
    assert (difference["word"], difference["counter"], difference["rows"]) == ("no_receipt", 1, 0)


def test_a_campaign_is_closed_for_receipts_once_nothing_is_left_to_hear(sent: Any, reporting: Installation) -> None:
    def closed(planned: Any) -> bool:
        with reporting.store.read() as conn:
            statement = text("SELECT receipts_closed_at FROM campaign WHERE id = :c")
            return conn.execute(statement, {"c": planned.campaign}).scalar() is not None

    done = sent(2)
    doubtful = sent(2, lambda _n: Answer(AnswerWord.UNCERTAIN, reason="timeout"))
    watch = Silence(reporting)
    assert watch.look() == 2
    assert (closed(done), closed(doubtful)) == (True, False)
    say(reporting, name(doubtful, 1), "accepted")
    say(reporting, name(doubtful, 2), "delivered")
    fold(reporting)
    assert Silence(reporting).look() == 1
    assert closed(doubtful)


def test_before_the_deadline_nothing_is_marked_and_nobody_looks(sent: Any, reporting: Installation) -> None:
    sent(2)
    given = {"sms_receipt_hours": 72}
    patient = Installation(reporting.settings.model_copy(update=given), reporting.store, reporting.keys)
    assert Silence(patient).look() == 0


def test_providers_that_never_report_leave_no_mark(sent: Any, inst: Installation) -> None:
    planned = sent(2)
    given = {"sms_receipt_hours": 1e-9, "public_url": "https://a.example"}
    spooling = Installation(inst.settings.model_copy(update=given), inst.store, inst.keys)
    assert Silence(spooling).look() == 0
    found = counts(spooling, planned.campaign, with_reach=False)
    assert (found["no_receipt"], found["receipts_outstanding"]) == (0, 0)


@pytest.mark.parametrize(
    ("reports", "public_url"), [(True, ""), (False, "https://a.example/x"), (True, "https://a.example/x/")]
)
def test_a_message_carries_its_address_where_receipts_can_come(
    plan: Any, inst: Installation, scripted: Any, reports: bool, public_url: str
) -> None:
    channel = scripted(lambda _n: ACCEPTED)
    channel.has_receipts = reports
    planned = plan(2)
    settings = inst.settings.model_copy(update={"public_url": public_url})
    planned.inst = Installation(settings, inst.store, inst.keys)
    planned.carry_out("sms")
    given = [message.callback for message in channel.given]
    if not (reports and public_url):
        assert given == ["", ""]
        return
    assert len(set(given)) == 2
    for message in channel.given:
        _, _, rest = message.callback.partition("https://a.example/x/callbacks/sms/scripted/")
        delivery, signature = rest.split("/")
        assert delivery == message.delivery
        assert callbacks.fits(inst.keys, signature, "scripted", delivery)
        assert not callbacks.fits(inst.keys, signature, "http", delivery)
