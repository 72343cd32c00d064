"""The tables: one history that makes them, and an index under every hot statement."""

from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import event

from broadcaster.deliver.receipt_rules import Standing
from broadcaster.installation import Installation, initialise, open_installation
from broadcaster.model import BadInput, Outcome, Unavailable
from broadcaster.store import delivering, driver, feeds, plan, receipts, recording, records, sweeping, windows
from broadcaster.store.counters import counting
from broadcaster.store.delivering import ChunkRow, Claimed
from broadcaster.store.engine import SQLITE_FLOOR, open_store, sqlite_is_safe, sqlite_module
from broadcaster.store.migrate import current, head, migrate
from broadcaster.store.recording import Held, Result
from broadcaster.store.schema import metadata
from broadcaster.store.sweeping import LeaseRow


def test_the_history_makes_exactly_the_tables_of_the_schema(inst: Installation) -> None:
    with inst.store.read() as conn:
        assert compare_metadata(MigrationContext.configure(conn), metadata) == []
    migrate(inst.store)
    assert current(inst.store) == head(inst.store)


def test_an_old_schema_is_refused_with_the_command(tmp_path: Path) -> None:
    made = initialise(home=tmp_path)
    with made.store.write() as conn:
        conn.exec_driver_sql("DELETE FROM alembic_version")
    with pytest.raises(Unavailable, match="broadcaster init"):
        open_installation(home=tmp_path)


def test_a_folder_that_was_never_initialised_says_what_to_type(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="broadcaster init"):
        open_installation(home=tmp_path / "nothing")


def test_sqlite_is_above_the_safe_version() -> None:
    assert tuple(sqlite_module().sqlite_version_info) >= SQLITE_FLOOR
    assert sqlite_is_safe()


@pytest.mark.database("sqlite")
def test_commits_are_durable_and_written_ahead(inst: Installation) -> None:
    with inst.store.read() as conn:
        assert conn.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert conn.exec_driver_sql("PRAGMA synchronous").scalar() == 2


@pytest.mark.database("sqlite")
def test_hot_tables_are_clustered_by_their_key(inst: Installation) -> None:
    with inst.store.read() as conn:
        for name in ("delivery", "counter", "feed_item", "suppression"):
            made = conn.exec_driver_sql("SELECT sql FROM sqlite_master WHERE name = ?", (name,)).scalar()
            assert "WITHOUT ROWID" in str(made), name


CHUNK = ChunkRow(1, 1, "sms", "notice", 1, 1000, False, 10)
ROW = Claimed(5, 1, None, "t", 1, 1, 1, 7, b"")


def _hot(conn: Any) -> None:
    delivering.ready(conn, 1)
    delivering.chunk_row(conn, 1)
    with counting(conn, 1) as turn:
        turn.tally.move(1, Outcome.WAITING, Outcome.SENDING)
        delivering.label(turn, (101, 200), Outcome.EXPIRED, "r")
        wanted = windows.Wanted(CHUNK, (1, 100), "w", 1, ("notice", "never"))
        seen = windows.look(turn, (1, 100), 5, None)
        undone, _ = windows.claim(turn, wanted, 5, seen.lease)
        delivering.release(turn, "w", 0)
        seen = windows.look(turn, (1, 100), 5, (Held(undone, "p"), [ROW], ["r1"]))
        lease, _ = windows.claim(turn, wanted, 5, seen.lease)
        recording.record_results(turn, Held(lease, "p"), [Result(5, Outcome.FAILED)], 5)
        recording.record_accepted(turn, Held(lease, "p"), [ROW], 5)
        recording.add_published(turn, lease, [ROW])
    [doubt] = sweeping.leases_in_doubt(conn, 5) or [LeaseRow(lease, 1, 1, 1, 100, "notice")]
    sweeping.judge(conn, doubt, 5, 8)
    windows.end_lease(conn, lease)
    delivering.close_chunk(conn, CHUNK, 5)
    delivering.quiet_campaigns(conn)
    delivering.end_campaign(conn, 1, 5)
    delivering.wordings_of(conn, 1)
    sweeping.due_chunks(conn, "notice", 5, 10)
    sweeping.forget_lost(conn, "notice", 5)
    sweeping.anything_to_do(conn, 5)
    records.any_free(conn, ["t"], 5)
    records.take(conn, ["t", "u"], "w", (5, 6), 1)
    records.put(conn, [("t", "k", b"", "{}", 5)])
    feeds.device_by_token(conn, b"x")
    feeds.items_of(conn, 1, 5)
    feeds.changed_since(conn, 5)
    feeds.drop_expired(conn, 5)
    feeds.item_of_campaign(conn, 1, 1)
    receipts.any_open(conn)
    receipts.open_receipts(conn, 0, 10)
    receipts.newest(conn)
    receipts.kept_ends(conn, 1, [1, 2])
    receipts.standings(conn, 1, [1, 2])
    receipts.write_standings(conn, 1, [Standing(1, 1, Outcome.DELIVERED)])
    receipts.settle(conn, [(1, "moved")], 5)
    receipts.assign(conn, 1, 1, 1)
    receipts.expect_more(conn, 1)


def _noted(inst: Installation) -> list[tuple[str, Any]]:
    """Every hot statement, as the driver gets it, with its values."""
    statements: list[tuple[str, Any]] = []

    def note(_conn: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, many: bool) -> None:
        if not statement.startswith(("BEGIN", "PRAGMA", "EXPLAIN")):
            statements.append((statement, parameters[0] if many else parameters))

    def note_together(conn: Any, asked: list[driver.Ask], **how: Any) -> Any:
        statements.extend((ask.statement.replace("?", "%s"), ask.values) for ask in asked)
        return pipelined(conn, asked, **how)

    event.listen(inst.store.engine, "before_cursor_execute", note)
    pipelined, driver._pipelined = driver._pipelined, note_together  # past SQLAlchemy
    try:
        with inst.store.write() as conn:
            _hot(conn)
    finally:
        driver._pipelined = pipelined
    event.remove(inst.store.engine, "before_cursor_execute", note)
    assert len(statements) > 25
    return statements


@pytest.mark.database("sqlite")
def test_every_hot_statement_uses_an_index(inst: Installation) -> None:
    statements = _noted(inst)
    scans = []
    with inst.store.read() as conn:
        for statement, parameters in statements:
            for row in conn.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters):
                known = "USING" in row[3] or "CONSTANT ROW" in row[3] or "json_each" in row[3]
                if row[3].startswith("SCAN") and not known:
                    scans.append((row[3], statement))
    assert scans == []


@pytest.mark.database("sqlite")
def test_the_index_check_itself_finds_a_scan(inst: Installation) -> None:
    with inst.store.read() as conn:
        steps = conn.exec_driver_sql("EXPLAIN QUERY PLAN SELECT 1 FROM delivery WHERE parts = 3").all()
    assert any(row[3].startswith("SCAN") and "USING" not in row[3] for row in steps)


MANY = 200_000


def _walked(conn: Any, statement: str, parameters: Any = ()) -> list[str]:
    """Steps of PostgreSQL's plan that walk all deliveries, or a whole index of them."""
    steps = [str(row[0]) for row in conn.exec_driver_sql(f"EXPLAIN {statement}", parameters)]
    whole = [
        step for step, after in zip(steps, [*steps[1:], ""], strict=True)
        if ("Index" in step and " on delivery" in step and "Index Cond" not in after)
    ]  # fmt: skip
    return whole + [step for step in steps if "Seq Scan on delivery" in step]


@pytest.mark.database("postgresql")
def test_after_a_large_plan_no_hot_statement_walks_all_deliveries(inst: Installation) -> None:
    rows = [(n, n, "sms", None, 1, n // 500, None, 1, "t" * 16) for n in range(1, MANY + 1)]
    with inst.store.write() as conn:
        plan.add_deliveries(conn, 1, rows)
        plan.tell_planner(conn)
    statements = _noted(inst)
    assert sum("delivery" in statement for statement, _ in statements) > 12
    with inst.store.read() as conn:
        assert [s for s, values in statements if _walked(conn, s, values)] == []
        assert _walked(conn, "SELECT 1 FROM delivery WHERE parts = 3")
        assert _walked(conn, "SELECT count(*) FROM delivery WHERE n > 5")


def test_a_database_that_cannot_be_opened_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "blocked.db").mkdir()
    with pytest.raises(Unavailable), open_store(f"sqlite:///{tmp_path / 'blocked.db'}").read():
        pass


def test_a_file_that_is_no_database_is_unavailable_and_said_so(tmp_path: Path) -> None:
    (tmp_path / "letter.db").write_text("Dear reader, this is not a database. " * 50)
    with pytest.raises(Unavailable, match="not a database"), open_store(f"sqlite:///{tmp_path / 'letter.db'}").read():
        pass
