"""Whom a selection selects, and what is counted while it is being made."""

from collections.abc import Sequence

import pytest
from sqlalchemy import text

from broadcaster.compose import audiences
from broadcaster.compose.audiences import count, load, save, saved, selection_from
from broadcaster.compose.places import load_places, set_populations
from broadcaster.compose.recipients import NewRecipient, add_recipients
from broadcaster.installation import Installation
from broadcaster.model import BadInput, NotFound, Selection
from broadcaster.store.audiences import selected

VILLAGE, NEXT, OTHER = "220102001001", "220102001002", "220103001001"
TOWNSHIP, COUNTY, YANJI = "220102001000", "220102000000", "222401000000"

PEOPLE = (
    NewRecipient("sms", "tel:+8613800000001", VILLAGE, name="mall", premises="A", premises_category="mall"),
    NewRecipient(
        "sms", "tel:+8613800000002", COUNTY, name="school", premises="B", premises_category="school", groups=("校长",)
    ),
    NewRecipient("sms", "tel:+8613800000003", OTHER, name="alone", groups=("演练组",)),
    NewRecipient("sms", "tel:+8613800000004", YANJI, name="korean", languages="ko", groups=("校长",)),
    NewRecipient(
        "sms", "tel:+8613800000005", YANJI, name="both", languages="zh-CN+ko", premises="C", premises_category="mall"
    ),
    NewRecipient("loudspeaker", "speaker:1", VILLAGE, name="speaker", people=900, people_source="census"),
    NewRecipient("billboard", "board:1", TOWNSHIP, name="board", people=5_000, people_source="footfall"),
    NewRecipient("social", "wecom:1", "220000000000", name="robot", groups=("演练组",)),
)


@pytest.fixture
def jilin(inst: Installation) -> Installation:
    load_places(inst)
    add_recipients(inst, PEOPLE)
    return inst


def names(inst: Installation, channels: Sequence[str] | None = None, **given: object) -> set[str | None]:
    with inst.store.read() as conn:
        found = [row.name for row in selected(conn, selection_from(given), channels)]
    assert len(found) == len(set(found))
    return set(found)


ALL = {person.name for person in PEOPLE}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"places": ["22"]}, ALL),
        ({"places": ["220102000000"]}, {"mall", "school", "speaker", "board"}),
        ({"places": ["220102001"]}, {"mall", "speaker", "board"}),
        ({"places": [VILLAGE]}, {"mall", "speaker"}),
        (
            {"places": [VILLAGE, "220102", "2201"]},
            {"mall", "school", "alone", "speaker", "board"},
        ),  # nested: nobody twice
        ({"places": [NEXT]}, set()),
        # a category narrows phones; devices and accounts are chosen by place
        ({"places": ["220102"], "premises_categories": ["mall"]}, {"mall", "speaker", "board"}),
        (
            {"places": ["22"], "premises_categories": ["商场", "school"]},
            {"mall", "school", "both", "speaker", "board", "robot"},
        ),
        # one of its languages is enough
        ({"places": ["2224"], "languages": ["ko"]}, {"korean", "both"}),
        ({"places": ["2224"], "languages": ["zh-CN"]}, {"both"}),
        ({"places": ["2224"], "languages": ["中文", "朝鲜语"]}, {"korean", "both"}),
        # a group alone selects its members; with places, those of them who stand there
        ({"groups": ["校长"]}, {"school", "korean"}),
        ({"groups": ["校长", "演练组"]}, {"school", "korean", "alone", "robot"}),
        ({"places": ["2201"], "groups": ["校长", "演练组"]}, {"school", "alone"}),
        ({"groups": ["校长"], "languages": ["ko"]}, {"korean"}),
        # exclusions are taken away
        ({"places": ["22"], "exclude_places": ["2201"]}, {"korean", "both", "robot"}),
        ({"places": ["2201"], "exclude_places": [VILLAGE]}, {"school", "alone", "board"}),
        ({"places": ["22"], "exclude_groups": ["校长", "演练组"]}, {"mall", "both", "speaker", "board"}),
        ({"groups": ["校长"], "exclude_places": ["2224"]}, {"school"}),
        ({"places": ["2201"], "exclude_places": ["22"]}, set()),
    ],
)
def test_a_selection_selects_exactly_these(jilin: Installation, given: dict[str, object], expected: set[str]) -> None:
    assert names(jilin, **given) == expected


@pytest.mark.parametrize(
    ("channels", "expected"),
    [(None, {"mall", "speaker"}), (["sms"], {"mall"}), (["loudspeaker", "billboard"], {"speaker"}), ([], set())],
)
def test_only_the_channels_asked_for_are_selected(
    jilin: Installation, channels: list[str] | None, expected: set[str]
) -> None:
    assert names(jilin, channels, places=[VILLAGE]) == expected


def test_who_is_not_active_is_in_no_audience(jilin: Installation) -> None:
    with jilin.store.write() as conn:
        conn.execute(text("UPDATE recipient SET active = false WHERE name = 'mall'"))
    assert names(jilin, places=[VILLAGE]) == {"speaker"}
    assert count(jilin, Selection(places=(VILLAGE,)))["people"] == 0


def test_rows_come_in_order_of_channel_and_place_with_what_a_plan_needs(jilin: Installation) -> None:
    with jilin.store.read() as conn:
        rows = list(selected(conn, Selection(places=("22",))))
    keys = [(row.channel, row.place, row.recipient_id) for row in rows]
    assert keys == sorted(keys)
    (mall,) = [row for row in rows if row.name == "mall"]
    assert (mall.channel, mall.place, mall.premises_category, mall.premises_name) == ("sms", VILLAGE, "mall", "A")
    assert mall.address_key == jilin.keys.address_key("tel:+8613800000001")
    (speaker,) = [row for row in rows if row.name == "speaker"]
    assert (speaker.premises_id, speaker.premises_category, speaker.premises_name) == (None, "", None)


def test_reading_an_audience_leaves_its_transaction_free_for_writing(jilin: Installation) -> None:
    """A plan is written while its audience is read."""
    with jilin.store.write() as conn:
        for n, row in enumerate(selected(conn, Selection(places=("22",)))):
            conn.execute(text("INSERT INTO recipient_group (name) VALUES (:name)"), {"name": f"g{n} {row.name}"})
    assert count(jilin, Selection(groups=("g0 board",)))["recipients"] == 0


@pytest.mark.parametrize(
    "given", [{}, {"places": []}, {"premises_categories": ["mall"]}, {"languages": ["ko"]}, {"exclude_places": ["22"]}]
)
def test_an_empty_selection_is_an_error_and_never_everyone(jilin: Installation, given: dict[str, object]) -> None:
    with pytest.raises(BadInput) as error:
        selection_from(given)
    assert error.value.code == "audience-empty"
    bare = Selection(**{key: tuple(value) for key, value in given.items()})  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="never everyone"):
        count(jilin, bare)
    with jilin.store.read() as conn, pytest.raises(BadInput, match="never everyone"):
        list(selected(conn, bare))


def test_people_of_each_kind_are_counted_apart(jilin: Installation) -> None:
    found = count(jilin, Selection(places=("2201",)))
    assert found["recipients"] == 5
    assert found["people"] == 3
    assert found["people_estimated"] == 5_900
    assert found["people_by_source"] == {"census": 900, "footfall": 5_000}
    assert found["by_channel"] == {"sms": 3, "loudspeaker": 1, "billboard": 1}


def villages_under(inst: Installation, prefix: str) -> int:
    with inst.store.read() as conn:
        query = text("SELECT count(*) FROM place WHERE level = 5 AND code LIKE :under")
        return int(conn.execute(query, {"under": f"{prefix}%"}).scalar_one())


def test_a_village_is_covered_only_by_who_stands_in_it(jilin: Installation) -> None:
    bare = villages_under(jilin, "220102")
    # of seven recipients in the county one phone and one speaker stand at a village, the same one
    assert count(jilin, Selection(places=("220102",)))["places_without_channel"] == bare - 1
    assert count(jilin, Selection(places=("220102",)), ["billboard"])["places_without_channel"] == bare
    assert (
        count(jilin, Selection(places=("220102",), premises_categories=("school",)), ["sms"])["places_without_channel"]
        == bare
    )
    assert count(jilin, Selection(places=(VILLAGE,)))["places_without_channel"] == 0
    assert count(jilin, Selection(places=(VILLAGE, NEXT)))["places_without_channel"] == 1
    assert count(jilin, Selection(places=("220102",), exclude_places=("220102001",)))["places_without_channel"] == (
        bare - villages_under(jilin, "220102001")
    )
    assert count(jilin, Selection(groups=("校长",)))["places_without_channel"] == 0


def test_a_figure_for_a_place_is_not_counted_as_people_reached(jilin: Installation) -> None:
    set_populations(jilin, [(VILLAGE, 12_345)], "census")
    assert count(jilin, Selection(places=(VILLAGE,)), ["sms"])["people_estimated"] == 0


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"places": ["2201020"]}, "place-unknown"),
        ({"places": ["长春"]}, "place-unknown"),
        ({"places": ["22"], "premises_categories": ["飞船"]}, "category-unknown"),
        ({"places": ["22"], "languages": ["法语"]}, "language-unknown"),
        ({"places": ["22"], "languages": ["zh-CN+ko"]}, "language-unknown"),
        ({"place": ["22"]}, "audience-key"),
        ({"places": "22"}, "audience-list"),
        ({"places": [22]}, "audience-list"),
    ],
)
def test_a_selection_that_makes_no_sense_is_refused(given: dict[str, object], code: str) -> None:
    with pytest.raises(BadInput) as error:
        selection_from(given)
    assert error.value.code == code


@pytest.mark.parametrize(
    ("selection", "code"),
    [
        (Selection(places=("229900000000",)), "place-unknown"),
        (Selection(places=("220000000000",), exclude_places=("229900000000",)), "place-unknown"),
        (Selection(groups=("nobody",)), "group-unknown"),
        (Selection(places=("220000000000",), exclude_groups=("nobody",)), "group-unknown"),
    ],
)
def test_a_place_or_group_that_does_not_exist_is_told(jilin: Installation, selection: Selection, code: str) -> None:
    with pytest.raises(BadInput) as error:
        count(jilin, selection)
    assert error.value.code == code


def test_equal_selections_are_equal_however_they_are_written() -> None:
    one = selection_from({"places": ["2201", "220000000000"], "languages": ["朝鲜语"], "premises_categories": ["商场"]})
    two = selection_from(
        {"places": ["22", "220100000000", "2201"], "languages": ["ko"], "premises_categories": ["mall"], "groups": None}
    )
    assert one == two
    assert one.places == ("220000000000", "220100000000")


def test_more_separate_places_than_a_statement_takes_are_refused(jilin: Installation) -> None:
    many = tuple(f"22010200{n:04}" for n in range(1, 9_999, 2)) + tuple(
        f"22010{n:07}" for n in range(3_000_001, 3_020_001, 2)
    )
    with jilin.store.read() as conn, pytest.raises(BadInput) as error:
        list(selected(conn, Selection(places=many)))
    assert error.value.code == "audience-too-many-places"


@pytest.fixture
def user(jilin: Installation) -> int:
    with jilin.store.write() as conn:
        insert = text(
            "INSERT INTO app_user (login, name, roles, created_at) VALUES ('wang', '王', 'author', 0) RETURNING id"
        )
        return int(conn.execute(insert).scalar_one())


def test_an_audience_is_kept_under_its_name_and_replaced(jilin: Installation, user: int) -> None:
    first = selection_from({"places": ["2201"], "groups": ["校长"]})
    second = selection_from({"places": ["2224"]})
    made = save(jilin, user, " 春季  防火 ", first)
    assert load(jilin, "春季 防火").selection == first
    assert save(jilin, user, "春季 防火", second) == made
    save(jilin, user, "A", first)
    assert [(one.name, one.selection, one.created_by) for one in saved(jilin)] == [
        ("A", first, "wang"),
        ("春季 防火", second, "wang"),
    ]
    assert load(jilin, "A").as_json()["created"].endswith("+08:00")  # type: ignore[attr-defined]


def test_an_audience_that_is_empty_unknown_or_nameless_is_not_kept(jilin: Installation, user: int) -> None:
    for name, selection, code in (
        (" ", Selection(places=("22",)), "audience-name"),
        ("a", Selection(), "audience-empty"),
        ("a", Selection(places=("229900000000",)), "place-unknown"),
    ):
        with pytest.raises(BadInput) as error:
            audiences.save(jilin, user, name, selection)
        assert error.value.code == code
    with pytest.raises(NotFound):
        load(jilin, "a")
    assert saved(jilin) == []
