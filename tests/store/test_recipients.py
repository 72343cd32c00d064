"""The statements over recipients: fast paths that stay fast, and what bulk writing keeps."""

from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import event, text

from broadcaster.compose.places import load_places
from broadcaster.compose.recipients import NewRecipient, add_recipients
from broadcaster.installation import Installation
from broadcaster.model import Selection
from broadcaster.store import audiences, places, recipients
from broadcaster.store.recipients import PremisesRow, RecipientRow, values_of


def plans(inst: Installation, act: Any) -> list[tuple[str, list[str]]]:
    """Each SELECT that `act(conn)` runs, with SQLite's plan of it."""
    seen: list[tuple[str, Any]] = []

    def note(*told: Any) -> None:
        _, _, statement, parameters, _, executemany = told
        if "SELECT" in statement and not executemany:
            seen.append((statement, parameters))

    event.listen(inst.store.engine, "before_cursor_execute", note)
    with inst.store.read() as conn:
        act(conn)
        event.remove(inst.store.engine, "before_cursor_execute", note)
        found = []
        for statement, parameters in seen:
            rows = conn.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
            found.append((statement, [str(row[3]) for row in rows]))
    return found


def scans(plan: Sequence[str]) -> list[str]:
    """Steps that walk a whole table. Groups are few, and where the database knows it, it reads them all."""
    small = ("SCAN area", "CONSTANT ROW", "SCAN g")
    return [step for step in plan if step.startswith("SCAN") and not any(word in step for word in small)]


SELECTIONS = {
    "province": Selection(places=("220000000000",)),
    "county": Selection(places=("220102",)),
    "counties": Selection(places=("220102", "220103", "2224")),
    "with exclusions": Selection(places=("22",), exclude_places=("2224", "220102001001"), exclude_groups=("g",)),
    "group": Selection(groups=("g",)),
    "group in a place": Selection(places=("2201",), groups=("g",)),
    "everything": Selection(
        places=("2201", "2202"),
        premises_categories=("mall",),
        languages=("ko", "zh-CN"),
        groups=("g",),
        exclude_groups=("h",),
    ),
}


@pytest.fixture
def some(inst: Installation) -> Installation:
    add_recipients(
        inst,
        [
            NewRecipient(
                ("sms", "loudspeaker")[n % 2],
                f"x:{n}",
                f"220102001{n % 50:03}",
                premises=f"P{n % 7}" if n % 3 else None,
                groups=("g",) if n % 5 == 0 else (),
            )
            for n in range(500)
        ],
    )
    return inst


@pytest.mark.database("sqlite")
@pytest.mark.parametrize("analysed", [False, True])
@pytest.mark.parametrize("channels", [None, ("sms",), ("sms", "loudspeaker")])
@pytest.mark.parametrize("selection", SELECTIONS.values(), ids=SELECTIONS)
def test_an_audience_is_found_by_an_index_in_one_statement(
    some: Installation, selection: Selection, channels: Sequence[str] | None, analysed: bool
) -> None:
    if analysed:
        with some.store.write() as conn:
            conn.exec_driver_sql("ANALYZE")
    for act in (audiences.selected, audiences.tally):
        ((statement, plan),) = plans(some, lambda conn, act=act: list(act(conn, selection, channels)))
        assert scans(plan) == [], statement
        how = "USING INDEX recipient_place" if selection.places else "SEARCH r USING INTEGER PRIMARY KEY"
        assert any(how in step for step in plan if " r " in step), plan


@pytest.mark.database("sqlite")
def test_uncovered_villages_are_found_by_the_key_of_places(some: Installation) -> None:
    for selection in SELECTIONS.values():
        for _, plan in plans(some, lambda conn, selection=selection: audiences.uncovered(conn, selection)):
            assert scans(plan) == []
            assert any("SEARCH v USING PRIMARY KEY" in step for step in plan)
            assert any("SEARCH r USING INDEX recipient_place (place=?)" in step for step in plan)


@pytest.mark.database("sqlite")
def test_four_thousand_separate_places_take_no_longer_than_a_moment(inst: Installation) -> None:
    """Without the fixed order of the statement SQLite walked a channel once for each place: ten seconds and more."""
    load_places(inst)
    with inst.store.read() as conn:
        villages = [row.code for row in places.of_level(conn, 5)]
    add_recipients(inst, [NewRecipient("loudspeaker", f"speaker:{code}", code) for code in villages])
    selection = Selection(places=tuple(villages[::3]))
    steps = 0

    def tick() -> int:
        nonlocal steps
        steps += 1
        return 0

    with inst.store.read() as conn:
        conn.connection.dbapi_connection.set_progress_handler(tick, 1_000)  # type: ignore[union-attr]
        found = list(audiences.selected(conn, selection, ["loudspeaker"]))
        bare = audiences.uncovered(conn, selection)
        conn.connection.dbapi_connection.set_progress_handler(None, 0)  # type: ignore[union-attr]
    assert len(found) == len(villages[::3])
    assert bare == 0
    assert steps < 1_000  # thousands of steps of SQLite's machine: some 250 a recipient


@pytest.mark.parametrize(
    ("place", "span"),
    [
        ("22", ("220000000000", "229999999999")),
        ("220000000000", ("220000000000", "229999999999")),
        ("2201", ("220100000000", "220199999999")),
        ("220102000000", ("220102000000", "220102999999")),
        ("220102001", ("220102001000", "220102001999")),
        ("220102001001", ("220102001001", "220102001001")),
    ],
)
def test_a_place_is_the_span_of_codes_below_it(place: str, span: tuple[str, str]) -> None:
    assert audiences.span_of(place) == span


def test_spans_are_disjoint_and_exclusions_are_cut_out() -> None:
    selection = Selection(places=("2201", "220102", "2202"), exclude_places=("220103", "220102001001"))
    assert audiences.spans(selection) == [
        ("220100000000", "220102001000"),
        ("220102001002", "220102999999"),
        ("220104000000", "220299999999"),
    ]
    assert audiences.spans(Selection(places=("2201",), exclude_places=("22",))) == []


def _row(**changed: Any) -> RecipientRow:
    row = RecipientRow("sms", b"sealed", b"key", "n", "220102000000", True, "P", "ko", "f", 5, "s", 7)
    return row._replace(**changed)


def test_what_is_left_empty_keeps_what_was_known(inst: Installation) -> None:
    empty = {
        "name": None,
        "premises": None,
        "languages": None,
        "format": None,
        "people": None,
        "people_source": None,
        "consent_at": None,
    }
    with inst.store.write() as conn:
        recipients.put_premises(conn, [PremisesRow("P", "220102000000", "mall")])
        recipients.put_recipients(conn, [values_of(_row(), 1)])
        recipients.put_recipients(
            conn, [values_of(_row(address_sealed=b"other", place="220103000000", place_given=False, **empty), 2)]
        )
        kept = conn.execute(
            text(
                "SELECT address_sealed, name, place, premises_id, languages, format, people, people_source, consent_at, "
                "created_at FROM recipient"
            )
        ).all()
    assert [tuple(row) for row in kept] == [(b"sealed", "n", "220102000000", 1, "ko", "f", 5, "s", 7, 1)]


def test_one_batch_may_say_more_of_the_same_recipient_and_the_last_word_wins(inst: Installation) -> None:
    written = [
        _row(address_key=b"a", name="first", languages=None),
        _row(address_key=b"b", name="other"),
        _row(address_key=b"a", name=None, languages=None, format="g", people=9),
        _row(
            address_key=b"a",
            name="third",
            languages=None,
            format=None,
            people=None,
            place="220103000000",
            place_given=False,
        ),
    ]
    with inst.store.write() as conn:
        told = [PremisesRow("P", "220102000000", said) for said in ("mall", None, "school", None)]
        recipients.put_premises(conn, told)
        recipients.put_recipients(conn, [values_of(row, 1) for row in written])
        recipients.put_groups(conn, ["g"])
        recipients.put_members(conn, [("g", "sms", b"a"), ("g", "sms", b"a"), ("g", "sms", b"nobody")])
        kept = conn.execute(text("SELECT name, place, languages, format, people FROM recipient ORDER BY id")).all()
        assert conn.execute(text("SELECT name, category FROM premises")).all() == [("P", "school")]
        assert recipients.groups(conn) == [("g", 1)]
    assert [tuple(row) for row in kept] == [
        ("third", "220102000000", "zh-CN", "g", 9),
        ("other", "220102000000", "ko", "f", 5),
    ]


def test_unknown_groups_and_places_are_told(some: Installation) -> None:
    with some.store.read() as conn:
        assert recipients.unknown_groups(conn, ["g", "nobody"]) == ["nobody"]
        assert places.unknown_places(conn, ["220102000000"]) == ["220102000000"]
        assert recipients.groups(conn) == [("g", 100)]
        assert recipients.how_many(conn) == 500
