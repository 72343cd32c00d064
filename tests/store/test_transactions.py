"""How the store runs transactions: one view, nothing half done, a deadlock done once more, whole."""

import threading
from typing import Any

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError, InternalError

from broadcaster.bus.local import LocalBus
from broadcaster.installation import Installation
from broadcaster.model import BadInput, Unavailable
from broadcaster.store import records
from broadcaster.store.driver import Ask, at_end, together
from broadcaster.store.engine import open_store


def _count(inst: Installation) -> int:
    with inst.store.read() as conn:
        return int(conn.execute(text("SELECT count(*) FROM premises")).scalar_one())


def _add(conn: Connection, name: str) -> None:
    conn.execute(text("INSERT INTO premises (name, category, place) VALUES (:n, 'mall', '22')"), {"n": name})


def test_a_view_does_not_change_while_it_is_read(inst: Installation) -> None:
    with inst.store.read() as conn:
        before = conn.execute(text("SELECT count(*) FROM premises")).scalar()
        with inst.store.write() as other:
            _add(other, "p")
        assert conn.execute(text("SELECT count(*) FROM premises")).scalar() == before == 0
    assert _count(inst) == 1


@pytest.mark.database("postgresql")
def test_nothing_can_be_written_where_only_reading_was_asked_for(inst: Installation) -> None:
    with pytest.raises(InternalError, match="read-only"), inst.store.read() as conn:
        _add(conn, "p")


def test_what_fails_leaves_nothing_and_is_not_tried_again(inst: Installation) -> None:
    runs: list[int] = []

    def work(conn: Connection) -> None:
        runs.append(1)
        _add(conn, "p")
        _add(conn, "p")

    with pytest.raises(IntegrityError):
        inst.store.transact(work)
    assert len(runs) == 1
    assert _count(inst) == 0


@pytest.mark.database("postgresql")
@pytest.mark.parametrize("sqlstate", ["40P01", "40001"])
def test_a_deadlock_is_done_once_more_and_whole(inst: Installation, sqlstate: str) -> None:
    runs: list[int] = []

    def work(conn: Connection) -> str:
        runs.append(1)
        _add(conn, "p")
        if len(runs) == 1:
            conn.exec_driver_sql(f"DO $$ BEGIN RAISE SQLSTATE '{sqlstate}'; END $$")
        return "done"

    assert inst.store.transact(work) == "done"
    assert len(runs) == 2
    assert _count(inst) == 1


@pytest.mark.database("postgresql")
def test_a_second_deadlock_says_that_the_database_cannot_be_used_now(inst: Installation) -> None:
    runs: list[int] = []

    def work(conn: Connection) -> None:
        runs.append(1)
        conn.exec_driver_sql("DO $$ BEGIN RAISE SQLSTATE '40P01'; END $$")

    with pytest.raises(Unavailable):
        inst.store.transact(work)
    assert len(runs) == 2


@pytest.mark.database("postgresql")
def test_two_who_wait_for_each_other_both_get_through(inst: Installation) -> None:
    with inst.store.write() as conn:
        _add(conn, "a")
        _add(conn, "b")
    met = threading.Barrier(2)
    runs: list[str] = []
    failed: list[BaseException] = []

    def both(first: str, second: str) -> None:
        tries: list[int] = []

        def work(conn: Connection) -> None:
            runs.append(first)
            tries.append(1)
            conn.execute(text("UPDATE premises SET category = 'x' WHERE name = :n"), {"n": first})
            if len(tries) == 1:
                met.wait(10)
            conn.execute(
                text("UPDATE premises SET category = category || :n WHERE name = :o"), {"n": first, "o": second}
            )

        try:
            inst.store.transact(work)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=both, args=names) for names in (("a", "b"), ("b", "a"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert sorted(runs) in (["a", "a", "b"], ["a", "b", "b"])


@pytest.mark.database("postgresql")
def test_a_report_that_takes_too_long_is_given_up(inst: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("broadcaster.store.engine.REPORT_MS", 50)
    with pytest.raises(Unavailable, match="statement timeout"), inst.store.report() as conn:
        conn.exec_driver_sql("SELECT pg_sleep(5)")
    with inst.store.read() as conn:  # the limit was that report's alone, though the connection is the same
        conn.exec_driver_sql("SELECT pg_sleep(0.1)")


@pytest.mark.database("postgresql")
def test_records_become_visible_in_the_order_of_their_positions(inst: Installation) -> None:
    """A reader of the tail remembers how far it is; a record that came later under an earlier position would be passed by."""
    bus = LocalBus(inst.store)
    second = threading.Thread(target=lambda: inst.store.transact(lambda conn: _put(conn, "2")))
    with inst.store.write() as conn:
        _put(conn, "1")
        second.start()
        second.join(0.5)
        assert second.is_alive()
        assert bus.tail("t", "") == []
    second.join(10)
    assert [record.key for record in bus.tail("t", "")] == ["1", "2"]


def _put(conn: Connection, key: str) -> None:
    records.put(conn, [("t", key, b"", "{}", 5)])


@pytest.mark.parametrize(
    ("url", "said"), [("nonsense", "not an address"), ("mysql://a:secret@b/c", "mysql is no database")]
)
def test_an_address_of_another_kind_is_refused_without_its_password(url: str, said: str) -> None:
    with pytest.raises(BadInput, match=said) as refused:
        open_store(url)
    assert "secret" not in refused.value.message


def test_a_server_that_does_not_answer_is_unavailable() -> None:
    store: Any = open_store("postgresql://nobody@127.0.0.1:1/none")
    with pytest.raises(Unavailable), store.read():
        pass


def test_statements_sent_together_see_each_other_and_answer_in_order(inst: Installation) -> None:
    with inst.store.write() as conn:
        asked = [
            Ask("INSERT INTO premises (name, category, place) VALUES (?, 'mall', '22')", ("p",)),
            Ask("UPDATE premises SET category = ? WHERE name = ? RETURNING category", ("shop", "p")),
            Ask("SELECT name FROM premises WHERE category = ?", ("shop",)),
        ]
        assert [[tuple(row) for row in rows] for rows in together(conn, asked)] == [[], [("shop",)], [("p",)]]
    assert _count(inst) == 1


@pytest.mark.parametrize("last", [False, True])
def test_a_fault_among_statements_sent_together_undoes_the_transaction(inst: Installation, last: bool) -> None:
    adding = Ask("INSERT INTO premises (name, category, place) VALUES (?, 'mall', '22')", ("p",))

    def work(conn: Connection) -> None:
        if last:
            at_end(conn, adding)
            at_end(conn, adding)
        else:
            together(conn, [adding, adding])

    with pytest.raises(IntegrityError):
        inst.store.transact(work)
    assert _count(inst) == 0
    inst.store.transact(lambda conn: _add(conn, "q"))  # and nothing of it is sent with the next
    assert _count(inst) == 1


@pytest.mark.database("postgresql")
def test_a_deadlock_among_what_is_sent_with_the_commit_is_done_once_more(inst: Installation) -> None:
    runs: list[int] = []

    def work(conn: Connection) -> None:
        runs.append(1)
        _add(conn, "p")
        if len(runs) == 1:
            at_end(conn, Ask("DO $$ BEGIN RAISE SQLSTATE '40P01'; END $$", ()))

    inst.store.transact(work)
    assert len(runs) == 2
    assert _count(inst) == 1


@pytest.mark.database("postgresql")
def test_a_connection_that_the_server_ended_while_it_rested_is_not_handed_out(inst: Installation) -> None:
    with inst.store.read() as conn, inst.store.write() as other:
        ours = [c.exec_driver_sql("SELECT pg_backend_pid()").scalar() for c in (conn, other)]
    with inst.store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        mine = conn.exec_driver_sql("SELECT pg_backend_pid()").scalar()
        for pid in ours:
            if pid != mine:
                conn.exec_driver_sql(f"SELECT pg_terminate_backend({pid}, 5000)")
    counted = [_count(inst), _count(inst)]
    assert counted == [0, 0]


@pytest.mark.database("postgresql")
def test_a_connection_lost_among_statements_sent_together_is_unavailable_and_replaced(inst: Installation) -> None:
    end = Ask("SELECT pg_terminate_backend(pg_backend_pid())", ())
    with pytest.raises(Unavailable):
        inst.store.transact(lambda conn: together(conn, [end, Ask("SELECT 1", ())]))
    inst.store.transact(lambda conn: _add(conn, "p"))
    assert _count(inst) == 1
