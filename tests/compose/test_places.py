"""The tree of places, what people call them, and whose place it is."""

import gzip
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from broadcaster.compose import places
from broadcaster.compose.cells import CellProblem
from broadcaster.compose.place_names import PlaceNames, names_of, shipped_names
from broadcaster.installation import Installation
from broadcaster.model import BadInput, NotFound
from broadcaster.store import places as stored

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def names() -> PlaceNames:
    return shipped_names()


def test_the_shipped_tree_is_jilin_whole() -> None:
    levels = Counter(place.level for place in places.read_places())
    assert levels == {1: 1, 2: 9, 3: 69, 4: 1_075, 5: 11_860}


def test_every_place_has_its_parent_one_level_up_and_in_its_code() -> None:
    tree = {place.code: place for place in places.read_places()}
    for place in tree.values():
        if place.level == 1:
            assert place.parent is None
            continue
        parent = tree[place.parent or ""]
        assert parent.level == place.level - 1
        assert place.code.startswith(places.prefix_of(parent.code))


def test_the_shipped_file_says_where_it_is_from() -> None:
    with gzip.open(places.SHIPPED_PLACES, "rt", encoding="utf-8") as file:
        head = [line for line in file if line.startswith("#")]
    told = "".join(head)
    for word in ("china-division 2.7.0", "2023-06-30", "licence: MIT", "scripts/make-places 22"):
        assert word in told


def test_loading_twice_changes_nothing_and_keeps_imported_populations(inst: Installation) -> None:
    assert places.load_places(inst) == 13_014
    places.set_populations(inst, [("220102000000", 701_000)], "a census")
    assert places.load_places(inst) == 13_014
    with inst.store.read() as conn:
        assert sum(stored.counts_by_level(conn).values()) == 13_014
    found = places.place(inst, "220102000000")
    assert (found.population, found.population_source) == (701_000, "a census")


def test_no_population_is_made_up(inst: Installation) -> None:
    places.load_places(inst)
    with inst.store.read() as conn:
        assert all(row.population is None for row in stored.every_place(conn))
    with pytest.raises(BadInput, match="where the figures come from"):
        places.set_populations(inst, [("220102000000", 1)], " ")


def test_a_place_that_the_new_file_lacks_is_kept_and_one_it_renames_is_renamed(
    inst: Installation, tmp_path: Path
) -> None:
    old, new = tmp_path / "old.tsv", tmp_path / "new.tsv"
    old.write_text("220000000000\tA\n220100000000\tB\n220102000000\tC\n", encoding="utf-8")
    new.write_text("220000000000\tA\n220100000000\tD\n", encoding="utf-8")
    places.load_places(inst, old)
    places.load_places(inst, new)
    assert places.place(inst, "220102000000").name == "C"
    assert places.place(inst, "220100000000").name == "D"


@pytest.mark.parametrize("line", ["2201\tshort code", "220100000000", "22010000000x\tletters", "220100000000\t"])
def test_a_file_that_is_not_of_places_is_refused_with_its_line(tmp_path: Path, line: str) -> None:
    file = tmp_path / "bad.tsv"
    file.write_text(f"# head\n220000000000\tA\n{line}\n", encoding="utf-8")
    with pytest.raises(BadInput, match="line 3") as error:
        places.read_places(file)
    assert error.value.code == "places-file"


def test_a_damaged_archive_of_places_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "places.tsv.gz"
    file.write_bytes(places.SHIPPED_PLACES.read_bytes()[:5_000])
    with pytest.raises(BadInput):
        places.read_places(file)


def _package(folder: Path) -> Path:
    """A package of the real one's shape, with a prefecture that has no counties (as 东莞 has none)."""
    dist = folder / "dist"
    dist.mkdir(parents=True)
    (folder / "package.json").write_text('{"name": "china-division", "version": "0.0.1", "license": "MIT"}')
    (folder / "README.md").write_text("（截止时间：2020-01-31，发布时间：2020-02-01）", encoding="utf-8")
    files = {
        "provinces": 'code,name\n44,"广东省"\n11,"北京市"\n',
        "cities": 'code,name,provinceCode\n4419,"东莞市",44\n4401,"广州市",44\n',
        "areas": 'code,name,cityCode,provinceCode\n441900,"东莞市",4419,44\n440103,"荔湾区",4401,44\n',
        "streets": 'code,name,areaCode,provinceCode,cityCode\n441900003,"东城街道",441900,44,4419\n',
        "villages": 'code,name,streetCode,provinceCode,cityCode,areaCode\n441900003001,"岗贝社区",441900003,44,4419,441900\n',
    }
    for name, text in files.items():
        (dist / f"{name}.csv").write_text(text, encoding="utf-8")
    return folder


def test_the_script_makes_the_same_bytes_for_any_province(tmp_path: Path) -> None:
    package = _package(tmp_path / "package")
    made = []
    for name in ("one.tsv.gz", "two.tsv.gz"):
        command = [sys.executable, str(ROOT / "scripts" / "make-places"), "44", str(package), str(tmp_path / name)]
        subprocess.run(command, check=True, capture_output=True)
        made.append((tmp_path / name).read_bytes())
    assert made[0] == made[1]
    tree = {place.code: place for place in places.read_places(tmp_path / "one.tsv.gz")}
    assert tree["441900003000"].parent == "441900000000"  # no county between
    assert [tree["441900000000"].level, tree["441900003000"].level] == [2, 4]
    assert len(tree) == 6
    assert b"china-division 0.0.1" in gzip.decompress(made[0])
    assert b"2020-01-31" in gzip.decompress(made[0])


def test_the_script_refuses_what_is_no_province(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "scripts" / "make-places"), "Jilin", str(tmp_path), str(tmp_path / "out")]
    assert subprocess.run(command, check=False, capture_output=True).returncode == 2


def test_there_are_ten_brigades_and_a_team_in_every_county(inst: Installation) -> None:
    places.load_places(inst)
    assert places.load_units(inst) == 1 + 10 + 69
    assert places.load_units(inst) == 80
    with inst.store.read() as conn:
        codes = stored.unit_codes(conn)
        pairs = stored.unit_places(conn)
    assert len(codes) == 80
    assert len(pairs) == len(set(pairs)) == 10 + 3 + 69
    brigades = {code for code in codes.values() if len(code) == 4}
    assert brigades == {"2201", "2202", "2203", "2204", "2205", "2206", "2207", "2208", "2224", "22CB"}


@pytest.mark.parametrize(
    ("place", "unit"),
    [
        ("222426120300", "22CB"),  # 二道村 of 池北区, under the code of 安图县
        ("220621121100", "22CB"),  # 漫江社区 of 池南区, under the code of 抚松县
        ("222426102201", "222426"),  # a village of 安图县 next to it
        ("220102001001", "220102"),
        ("220100000000", "2201"),
        ("220000000000", "22"),
        ("110101001001", None),
    ],
)
def test_a_place_belongs_to_the_unit_with_the_longest_code(inst: Installation, place: str, unit: str | None) -> None:
    places.load_places(inst)
    places.load_units(inst)
    with inst.store.read() as conn:
        found = places.unit_of_places(conn).unit_id(place)
        codes = stored.unit_codes(conn)
    assert (codes[found] if found else None) == unit


def test_a_units_file_that_makes_no_sense_is_refused(inst: Installation, tmp_path: Path) -> None:
    file = tmp_path / "units.toml"
    file.write_text('[[unit]]\ncode = "22"\n', encoding="utf-8")
    with pytest.raises(BadInput) as error:
        places.load_units(inst, file)
    assert error.value.code == "units-file"


def test_places_are_found_by_code_and_by_name_under_other_names(inst: Installation) -> None:
    places.load_places(inst)
    assert places.search(inst, "长春 朝阳区")[0].code == "220104000000"
    assert places.search(inst, "2224")[0].code == "222400000000"
    assert places.search(inst, "延边 南") and all(p.code.startswith("2224") for p in places.search(inst, "延边 南"))
    assert places.search(inst, "%") == places.search(inst, "") == []
    assert len(places.search(inst, "社区", limit=7)) == 7


def test_children_and_place_tell_what_is_there_and_what_is_not(inst: Installation) -> None:
    places.load_places(inst)
    assert [p.code for p in places.children(inst)] == ["220000000000"]
    assert len(places.children(inst, "220000000000")) == 9
    assert places.children(inst, "220102001001") == []
    with pytest.raises(NotFound):
        places.place(inst, "990000000000")


@pytest.mark.parametrize(
    ("code", "prefix", "level", "county"),
    [
        ("220000000000", "22", 1, "220000000000"),
        ("222400000000", "2224", 2, "222400000000"),
        ("222410000000", "222410", 3, "222410000000"),
        ("220102001000", "220102001", 4, "220102000000"),
        ("220102001001", "220102001001", 5, "220102000000"),
    ],
)
def test_a_code_tells_its_level_and_county(code: str, prefix: str, level: int, county: str) -> None:
    assert (places.prefix_of(code), places.level_of(code), places.county_of(code)) == (prefix, level, county)


@pytest.mark.parametrize(
    ("written", "code"),
    [
        ("220102", "220102000000"),
        ("220102.0", "220102000000"),
        ("２２０１０２", "220102000000"),
        ("220102001", "220102001000"),
        ("220102001001", "220102001001"),
        ("吉林省长春市南关区", "220102000000"),
        ("长春市 南关区", "220102000000"),
        ("长春/南关", "220102000000"),
        ("吉林省吉林市船营区", "220204000000"),
        ("通化市", "220500000000"),
        ("延边", "222400000000"),
        ("延边州安图县", "222426000000"),
        ("安图县二道白河镇红丰村", "222426102200"),
        ("南岭街道办事处", "220102001000"),
    ],
)
def test_a_place_is_understood_by_code_and_by_what_people_call_it(names: PlaceNames, written: str, code: str) -> None:
    assert names.code(written) == code


@pytest.mark.parametrize(
    ("written", "problem", "says"),
    [
        ("", "place-missing", ""),
        ("月球", "place-unknown", "月球"),
        ("110101", "place-unknown", "110101"),
        ("2201020", "place-unknown", "6, 9 or 12"),
        ("朝阳镇", "place-ambiguous", "舒兰市"),
        ("吉林", "place-ambiguous", "吉林省吉林市 (2202)"),
        ("朝阳镇南关区", "place-unknown", ""),
    ],
)
def test_a_place_that_is_not_clear_is_a_problem_with_candidates(
    names: PlaceNames, written: str, problem: str, says: str
) -> None:
    for _ in range(2):  # the second answer comes from memory
        with pytest.raises(CellProblem) as error:
            names.code(written)
        assert error.value.code == problem
        assert says in error.value.message


def test_every_place_is_found_by_its_whole_path(names: PlaceNames) -> None:
    unclear = []
    for place in places.read_places():
        try:
            assert names.code(names.path(place.code).rpartition(" (")[0]) == place.code
        except CellProblem as problem:
            assert problem.code == "place-ambiguous"
            unclear.append(place)
    twins = Counter((place.parent, place.name) for place in places.read_places())
    assert all(twins[place.parent, place.name] > 1 for place in unclear)  # the source names two siblings alike


def test_names_without_a_loaded_tree_say_what_to_do(inst: Installation) -> None:
    with pytest.raises(BadInput, match="broadcaster init"):
        names_of(inst)
