"""The audit chain: what was done stays as it was written."""

import hashlib
import json
import threading

import pytest
from sqlalchemy import text

from broadcaster import audit
from broadcaster.installation import Installation
from broadcaster.model import BadInput


@pytest.fixture
def chain(inst: Installation) -> Installation:
    with inst.store.write() as conn:
        for n in range(1, 8):
            audit.record(conn, f"user{n}", "campaign.edit", f"campaign/{n}", {"n": n, "名": "火"})
    return inst


def test_a_whole_chain_verifies(chain: Installation) -> None:
    found = audit.verify(chain)
    assert (found["entries"], found["ok"], found["first_bad"]) == (7, True, None)


def test_an_empty_chain_verifies(inst: Installation) -> None:
    assert audit.verify(inst) == {"entries": 0, "ok": True, "first_bad": None, "head": "0" * 64}


def test_an_outsider_can_recompute_every_hash_from_the_table_alone(chain: Installation) -> None:
    previous = "0" * 64
    with chain.store.read() as conn:
        rows = conn.execute(
            text("SELECT seq, at, actor, action, object, detail, previous, hash FROM audit ORDER BY seq")
        ).all()
    for seq, at, actor, action, subject, detail, before, stored in rows:
        names = ("action", "actor", "at", "detail", "previous", "seq", "subject")
        values = dict(zip(names, (action, actor, at, detail, before, seq, subject), strict=True))
        plain = json.dumps(values, ensure_ascii=False, separators=(",", ":"))
        assert before == previous
        assert hashlib.sha256(plain.encode()).hexdigest() == stored
        previous = stored


COLUMNS = ("at", "actor", "action", "object", "detail", "previous", "hash")


@pytest.mark.parametrize("seq", range(1, 8))
@pytest.mark.parametrize("column", COLUMNS)
def test_any_altered_field_of_any_row_is_detected(chain: Installation, column: str, seq: int) -> None:
    other = "at + 1" if column == "at" else f"{column} || 'x'"
    with chain.store.write() as conn:
        conn.execute(text(f"UPDATE audit SET {column} = {other} WHERE seq = {seq}"))
    found = audit.verify(chain)
    assert (found["ok"], found["first_bad"]) == (False, seq)


@pytest.mark.parametrize("seq", range(1, 7))
def test_any_deleted_row_before_the_last_is_detected(chain: Installation, seq: int) -> None:
    with chain.store.write() as conn:
        conn.execute(text(f"DELETE FROM audit WHERE seq = {seq}"))
    assert audit.verify(chain)["first_bad"] == seq + 1


@pytest.mark.parametrize("kept", range(7))
def test_a_cut_end_is_detected_by_a_head_kept_outside(chain: Installation, kept: int) -> None:
    head = audit.verify(chain)["head"]
    with chain.store.write() as conn:
        conn.execute(text(f"DELETE FROM audit WHERE seq > {kept}"))
    assert audit.verify(chain, head)["first_bad"] == kept + 1


def test_a_head_kept_outside_stays_good_while_the_chain_grows(chain: Installation) -> None:
    head = audit.verify(chain)["head"]
    with chain.store.write() as conn:
        audit.record(conn, "a", "b", "c", {})
    assert audit.verify(chain, head)["ok"]
    with pytest.raises(BadInput):
        audit.verify(chain, "what")


@pytest.mark.parametrize("after", range(7))
def test_any_inserted_row_is_detected_even_with_a_fitting_hash(chain: Installation, after: int) -> None:
    with chain.store.write() as conn:
        conn.execute(text(f"UPDATE audit SET seq = -seq WHERE seq > {after}"))
        conn.execute(text("UPDATE audit SET seq = 1 - seq WHERE seq < 0"))
        rows = audit.stored.after(conn, after - 1, 1) if after else []
        previous = rows[0].hash if rows else audit.FIRST
        row = audit.AuditRow(after + 1, 5, "forger", "campaign.approve", "campaign/1", "{}", previous, "")
        audit.stored.append(conn, audit.replace(row, hash=audit.digest(row)))
    assert audit.verify(chain)["first_bad"] == after + 2


@pytest.mark.parametrize("first", range(1, 7))
def test_any_two_rows_that_changed_places_are_detected(chain: Installation, first: int) -> None:
    with chain.store.write() as conn:
        conn.execute(text(f"UPDATE audit SET seq = -1 WHERE seq = {first}"))
        conn.execute(text(f"UPDATE audit SET seq = {first} WHERE seq = {first + 1}"))
        conn.execute(text(f"UPDATE audit SET seq = {first + 1} WHERE seq = -1"))
    assert audit.verify(chain)["first_bad"] == first


def test_a_rolled_back_act_leaves_no_entry(chain: Installation) -> None:
    with pytest.raises(RuntimeError), chain.store.write() as conn:
        audit.record(conn, "a", "b", "c", {})
        raise RuntimeError
    assert audit.verify(chain)["entries"] == 7


def test_writers_at_once_make_one_chain(inst: Installation) -> None:
    def write(who: int) -> None:
        for n in range(20):
            with inst.store.write() as conn:
                audit.record(conn, f"user{who}", "act", f"thing/{n}", {})

    threads = [threading.Thread(target=write, args=(who,)) for who in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = audit.verify(inst)
    assert (found["entries"], found["ok"]) == (100, True)


def test_a_chain_longer_than_a_page_verifies(inst: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit.stored.after, "__defaults__", (3,))
    with inst.store.write() as conn:
        for n in range(10):
            audit.record(conn, "a", "b", f"c/{n}", {})
    assert audit.verify(inst)["entries"] == 10


def test_the_newest_entries_are_read_page_by_page(chain: Installation) -> None:
    page = audit.entries(chain, 3)
    assert [entry["seq"] for entry in page] == [7, 6, 5]
    assert page[0]["detail"] == {"n": 7, "名": "火"}
    assert [entry["seq"] for entry in audit.entries(chain, 10, before=5)] == [4, 3, 2, 1]
