"""The plan: everybody once, numbered without a gap, cut and counted exactly, sealed over every row."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, insert, text

from broadcaster.compose import plan as planning
from broadcaster.compose.plan import ORDER, Plan
from broadcaster.compose.seal import deliveries_digest, sealed_digest
from broadcaster.compose.templates import load_set
from broadcaster.compose.wording import About, Writer, spoken_and_sealed, written
from broadcaster.installation import Installation, initialise
from broadcaster.model import Category, Mode, Refused
from broadcaster.reach.counts import recount
from broadcaster.store import plan as stored
from broadcaster.store import schema
from broadcaster.store import wordings as stored_wordings
from broadcaster.store.audiences import Selected

PLACES = ("220102001001", "220102001002", "220183001001", "222401001001", "222400000000")
FORMATS = {
    "sms": ("",),
    "loudspeaker": ("",),
    "billboard": ("128x32/16/gb18030/pages", "320x32/16/gb18030/scroll"),
    "social": ("wecom",),
}
NAMES = {"220102000000": "南关区", "220183000000": "德惠市", "222401000000": "延吉市"}
LIFE = 10**13


class Units:
    def unit_id(self, place: str) -> int | None:
        return {"2201": 1, "2224": 2}.get(place[:4]) if place[4:6] != "83" else None


def key_of(recipient: int) -> bytes:
    return recipient.to_bytes(16, "big")


@st.composite
def audiences(draw: Any) -> list[Selected]:
    """People on any channel, anywhere, in any order."""
    found = []
    for recipient in draw(st.permutations(range(1, draw(st.integers(1, 40)) + 1))):
        channel = draw(st.sampled_from(["sms", "sms", "sms", "loudspeaker", "billboard", "social"]))
        phone = channel == "sms"
        found.append(
            Selected(
                recipient, channel, draw(st.sampled_from(PLACES)), recipient if phone else None,
                draw(st.sampled_from(["mall", "school"])) if phone else "", f"单位{recipient}" if phone else None,
                draw(st.sampled_from(["张", "김", "O'Neil", 'q"\\uote', "🚒" * 30])) if phone else None,
                draw(st.sampled_from(["zh-CN", "ko", "zh-CN+ko"])) if channel != "billboard" else "zh-CN",
                draw(st.sampled_from(FORMATS[channel])), key_of(recipient),
            )
        )  # fmt: skip
    return found


def removed(conn: Connection) -> None:
    stored.void(conn, 1)
    while stored.remove_portion(conn, 1):
        pass


@dataclass
class Bench:
    """An installation whose recipients have the keys that `audiences` gives them; one campaign that is planned again and again."""

    inst: Installation

    def plan(self, rows: Sequence[Selected], template_set: str = "fire-safety-reopening") -> Plan:
        templates = load_set(template_set)
        facts = {"starts": "2027-03-15", "ends": "2027-05-31"} if template_set == "forest-fire-ban" else {}
        writer = Writer(templates, About(Mode.LIVE, Category.NOTICE, None, templates.check_facts(facts)), NAMES)
        groups = planning.gather(rows, writer, Units())
        keys = planning.keys(groups)
        ready = spoken_and_sealed(self.inst.settings, written(writer, keys))
        return planning.fill(self.inst.settings, groups, dict(zip(keys, ready, strict=True)))

    def stored(self, plan: Plan, chunk_size: int = 2000) -> None:
        with self.inst.store.write() as conn:
            removed(conn)
            wordings, cuts = planning.add_head(conn, 1, plan)
            stored.add_deliveries(conn, 1, list(planning.rows_of(plan, wordings, cuts)))
            planning.add_end(conn, plan, cuts, (1, "notice", LIFE), chunk_size)
            conn.execute(text("UPDATE campaign SET planned = :n"), {"n": plan.planned})

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        with self.inst.store.read() as conn:
            return [tuple(row) for row in conn.execute(text(statement))]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    inst = initialise(home=tmp_path_factory.mktemp("plan") / "home")
    with inst.store.write() as conn:
        conn.execute(insert(schema.user).values(login="ann", name="Ann", roles="author", created_at=1))
        conn.execute(
            insert(schema.campaign).values(
                public_id="p", name="t", template_set="x", category="notice", mode="live", state="submitted", facts="{}",
                selection="{}", channels="[]", not_before_at=1, expires_at=LIFE, author_id=1, editor_id=1, created_at=1,
            )
        )  # fmt: skip
        people = [
            {
                "id": i,
                "channel": "sms",
                "address_sealed": b"-",
                "address_key": key_of(i),
                "place": PLACES[0],
                "languages": "zh-CN",
                "created_at": 1,
            }
            for i in range(1, 41)
        ]
        conn.execute(insert(schema.recipient), people)
    yield Bench(inst)
    inst.close()


@pytest.fixture(autouse=True, scope="module")
def silent() -> Iterator[None]:
    """No voice: clips are not what is proven here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("broadcaster.compose.wording.make_clip", lambda parts, *_, **__: Silence(str(parts)))
        yield


@dataclass
class Silence:
    said: str

    def as_json(self) -> dict[str, object]:
        return {"digest": self.said}


@settings(max_examples=60, deadline=None)
@given(
    rows=audiences(),
    chunk_size=st.integers(1, 9),
    template_set=st.sampled_from(["fire-safety-reopening", "forest-fire-ban"]),
)
def test_the_plan_holds_everybody_once_and_its_sums_fit(
    bench: Bench, rows: list[Selected], chunk_size: int, template_set: str
) -> None:
    plan = bench.plan(rows, template_set)
    bench.stored(plan, chunk_size)
    found = bench.rows(
        "SELECT d.n, d.recipient_id, d.channel, d.premises_id, d.slots, d.parts, d.wording_id, d.cut_id, w.languages, w.format, "
        "w.slots, c.channel, c.place, c.unit_id, c.premises_category, c.languages FROM delivery d "
        "JOIN wording w ON w.id = d.wording_id JOIN cut c ON c.id = d.cut_id ORDER BY d.n"
    )
    by_id = {row.recipient_id: row for row in rows}
    assert [n for n, *_ in found] == list(range(1, plan.planned + 1))
    assert sorted((r, channel) for _, r, channel, *_ in found) == sorted((r.recipient_id, r.channel) for r in rows)
    for _, recipient, channel, premises, slots, _, _, _, languages, format_, open_slots, *cut in found:
        person = by_id[recipient]
        assert (channel, premises, format_) == (person.channel, person.premises_id, person.format)
        first = person.languages.partition("+")[0]
        assert languages == (first if channel == "sms" else person.languages)
        named = {"name": person.name, "premises": person.premises_name}
        assert json.loads(slots or "[]") == [named[slot] for slot in json.loads(open_slots)]
        county = person.place[:6] + "000000"
        assert cut == [channel, county, Units().unit_id(person.place), person.premises_category, person.languages]
    # deliveries are ordered by channel, then wording, then cut, so that a window touches few of each
    order = [(ORDER[channel], wording, cut) for _, _, channel, _, _, _, wording, cut, *_ in found]
    assert len(set(order)) == 1 + sum(a != b for a, b in pairwise(order))
    assert [o[0] for o in order] == sorted(o[0] for o in order)
    _chunks_tile(bench, chunk_size)
    _counters_fit(bench, plan)


def _chunks_tile(bench: Bench, size: int) -> None:
    spans = bench.rows("SELECT channel, first, last FROM chunk ORDER BY first")
    owner = dict(bench.rows("SELECT n, channel FROM delivery"))
    assert [n for _, first, last in spans for n in range(first, last + 1)] == sorted(owner)
    for channel, first, last in spans:
        assert last - first < size
        assert {owner[n] for n in range(first, last + 1)} == {channel}
    full = Counter(channel for channel, first, last in spans if last - first + 1 == size)
    for channel, n in Counter(owner.values()).items():
        assert full[channel] == n // size
    assert bench.rows("SELECT count(*) FROM chunk WHERE due_at IS NOT NULL OR lane <> 'notice'") == [(0,)]


def _counters_fit(bench: Bench, plan: Plan) -> None:
    assert bench.rows("SELECT sum(n), min(n) > 0, count(DISTINCT word), min(shard), max(shard) FROM counter") == [
        (plan.planned, 1, 1, 0, 0)
    ]
    assert recount(bench.inst, 1) == {"equal": True, "differences": []}
    assert plan.parts == (bench.rows("SELECT coalesce(sum(parts), 0) FROM delivery WHERE channel = 'sms'")[0][0])
    assert plan.cost == plan.parts * bench.inst.settings.sms_price


@settings(max_examples=25, deadline=None)
@given(rows=audiences())
def test_the_seal_over_the_rows_is_the_seal_over_the_plan(bench: Bench, rows: list[Selected]) -> None:
    plan = bench.plan(rows)
    bench.stored(plan)
    with bench.inst.store.read() as conn:
        assert _read_again(conn) == plan.deliveries


def _read_again(conn: Connection) -> str:
    words = {one: wording.digest for one, wording, _ in stored_wordings.of_campaign(conn, 1)}
    lines = stored.sealed_lines(conn, 1)
    return deliveries_digest((n, channel, key, words[w], slots, parts) for n, channel, key, w, slots, parts in lines)


@settings(max_examples=20, deadline=None)
@given(rows=audiences(), data=st.data())
def test_the_order_in_which_people_were_found_changes_nothing(bench: Bench, rows: list[Selected], data: Any) -> None:
    plan = bench.plan(rows)
    other = bench.plan(data.draw(st.permutations(rows)))
    assert other.deliveries == plan.deliveries
    assert list(other.wordings) == list(plan.wordings)


def person(recipient: int, name: str, place: str = PLACES[0]) -> Selected:
    return Selected(recipient, "sms", place, None, "mall", f"单位{recipient}", name, "zh-CN", "", key_of(recipient))


def test_the_digest_covers_each_delivery(bench: Bench) -> None:
    rows = [person(1, "张"), person(2, "李")]
    found = {
        bench.plan(some).deliveries
        for some in (
            rows,
            rows[:1],
            [person(1, "张"), person(2, "王")],
            [person(1, "张"), person(3, "李")],
            [person(1, "李"), person(2, "张")],
        )
    }
    assert len(found) == 5


def test_slots_cannot_be_shifted_into_one_another() -> None:
    one = deliveries_digest([(1, "sms", b"k", "w", '["a","b"]', 1), (2, "sms", b"k", "w", None, 1)])
    other = deliveries_digest([(1, "sms", b"k", "w", '["a","b\\t1\\n2"]', 1), (2, "sms", b"k", "w", None, 1)])
    assert one != other
    head = dict.fromkeys(("id", "revision", "mode", "category", "level", "channels", "not_before_at", "expires_at"), 1)
    seals = {sealed_digest(head, words, "d", 3) for words in (["a", "b"], ["b", "a"], ["ab"], [])}
    assert len(seals) == 4


def test_places_beyond_the_authors_are_refused(bench: Bench) -> None:
    templates = load_set("fire-safety-reopening")
    writer = Writer(templates, About(Mode.LIVE, Category.NOTICE, None, templates.check_facts({})), NAMES)
    rows = [person(1, "张"), person(2, "李", "222401001001")]
    assert len(planning.gather(rows, writer, Units(), ("2201", "2224"))) == 2
    with pytest.raises(Refused):
        planning.gather(rows, writer, Units(), ("2201",))


def test_a_name_with_any_character_comes_back_as_it_was(bench: Bench) -> None:
    names = ['"', "\\", "\x00\x1f\u2028", "김\U0001f692", "a\tb", "</script>"]
    bench.stored(bench.plan([person(i, name) for i, name in enumerate(names, 1)]))
    assert [
        json.loads(slots)[0] for (slots,) in bench.rows("SELECT slots FROM delivery ORDER BY recipient_id")
    ] == names


def test_a_plan_is_removed_whole(bench: Bench) -> None:
    bench.stored(bench.plan([person(1, "张")]))
    with bench.inst.store.write() as conn:
        removed(conn)
    for table in ("delivery", "chunk", "counter", "cut", "wording"):
        assert bench.rows(f"SELECT count(*) FROM {table}") == [(0,)]


@pytest.mark.parametrize("statement", ["sealed_lines", "void"])
def test_what_reads_a_whole_campaign_walks_an_index(bench: Bench, statement: str) -> None:
    wanted = {
        "sealed_lines": "SELECT d.n, r.address_key FROM delivery d JOIN recipient r ON r.id = d.recipient_id "
        "WHERE d.campaign_id = 1 ORDER BY d.n",
        "void": "DELETE FROM delivery WHERE campaign_id = 1",
    }[statement]
    steps = " ".join(str(row) for row in bench.rows(f"EXPLAIN QUERY PLAN {wanted}"))
    assert "SCAN" not in steps and "TEMP B-TREE" not in steps


def test_tokens_are_fresh_for_every_plan(bench: Bench) -> None:
    plan = bench.plan([person(1, "张")])
    seen = set()
    for _ in range(3):
        bench.stored(plan)
        seen |= set(bench.rows("SELECT token FROM delivery"))
    assert len(seen) == 3
