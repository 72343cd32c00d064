"""Template sets on disk: found, read, checked, rendered."""

import shutil
import tomllib
from datetime import date
from pathlib import Path

import pytest

import broadcaster
from broadcaster.compose import templates
from broadcaster.compose.templates import (
    LANGUAGES,
    check_set,
    load_set,
    render_with_slots,
    shipped_folder,
    template_sets,
)
from broadcaster.model import BadInput, NotFound

ROOT = Path(broadcaster.__file__).resolve().parent.parent
FIRE, FOREST = "fire-safety-reopening", "forest-fire-ban"
BAN = {"starts": "2027-03-15", "ends": "2027-05-31"}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A shipped set that a test may spoil."""
    return Path(shutil.copytree(shipped_folder() / FIRE, tmp_path / FIRE))


def spoil(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), encoding="utf-8")


# ---- where sets lie --------------------------------------------------------------------------------------------------


def test_an_installed_package_finds_its_sets_inside_itself(tmp_path):
    package = tmp_path / "site-packages" / "broadcaster"
    (package / "templates" / "a-set").mkdir(parents=True)
    (package / "templates" / "a-set" / "set.toml").touch()
    assert shipped_folder(package) == package / "templates"


def test_an_editable_install_finds_its_sets_in_the_checkout(tmp_path):
    package = tmp_path / "checkout" / "broadcaster"
    (package / "templates").mkdir(parents=True)  # a leftover without a set in it
    assert shipped_folder(package) == tmp_path / "checkout" / "templates"


def test_the_wheel_carries_the_sets_to_where_they_are_looked_for():
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["build"]["targets"][
        "wheel"
    ]
    assert wheel["force-include"]["templates"] == "broadcaster/templates"


def test_a_set_of_the_installation_stands_in_for_the_shipped_one(copy):
    spoil(copy / "set.toml", "节后开门前消防自查", "本地的标题")
    ids = [made.id for made in template_sets(copy.parent)]
    assert ids == sorted(ids) and ids.count(FIRE) == 1
    assert load_set(FIRE, copy.parent).title["zh-CN"] == "本地的标题"
    assert load_set(FIRE).title["zh-CN"] == "节后开门前消防自查"


def test_an_unknown_set_is_told_with_the_likely_one():
    with pytest.raises(NotFound, match='did you mean "forest-fire-ban"'):
        load_set("forest-fire-bans")


def test_a_set_is_read_again_when_a_file_changes(copy):
    assert load_set(copy) is load_set(copy)
    spoil(copy / "sms.zh-CN.txt", "起火打119", "着火了打119")
    assert "着火了打119" in render_with_slots(
        copy, "sms", "zh-CN", {"premises_category": "mall"}, {"name": "a", "premises": "b"}
    )


# ---- the shipped sets ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("made", template_sets(), ids=lambda made: made.id)
def test_a_shipped_set_has_nothing_wrong_with_it(made):
    assert check_set(shipped_folder() / made.id) == []
    assert made.languages == LANGUAGES
    assert set(made.channels) == {"sms", "loudspeaker", "billboard", "social"}


def test_segments_are_as_few_as_the_texts_allow():
    fire, forest = load_set(FIRE), load_set(FOREST)
    assert {channel: fire.segment_facts(channel) for channel in fire.channels} == {
        "sms": {"premises_category"}, "loudspeaker": set(), "billboard": set(), "social": set(),
    }  # fmt: skip
    assert {channel: forest.segment_facts(channel) for channel in forest.channels} == {
        "sms": {"county"}, "loudspeaker": set(), "billboard": set(), "social": set(),
    }  # fmt: skip


def test_slots_are_told_where_they_are_used_and_nowhere_else():
    fire = load_set(FIRE)
    assert fire.slots("sms") == {"name", "premises"}
    assert fire.slots("loudspeaker") == set()
    assert load_set(FOREST).slots("sms") == set()


@pytest.mark.parametrize("category", list(load_set(FIRE).facts["premises_category"].choices))
def test_the_chinese_sms_fits_one_part_with_its_signature(category):
    text = render_with_slots(
        shipped_folder() / FIRE,
        "sms",
        "zh-CN",
        {"premises_category": category},
        {"name": "张伟", "premises": "欧亚商场"},
    )
    assert len(f"【吉林消防】{text}") <= 70


def test_what_is_shouted_in_chinese_takes_at_most_120_characters():
    for made in template_sets():
        facts = made.check_facts({n: f.example for n, f in made.facts.items() if f.source == "campaign"})
        said = made.render("loudspeaker", "", "zh-CN", facts, {}).text({})
        assert len(said.replace("\n", "")) <= 120, made.id


def test_a_board_line_holds_eight_chinese_characters_or_sixteen_letters():
    for name, facts in ((FIRE, {}), (FOREST, {**BAN, "level": "yellow"})):
        made = load_set(name)
        for language in LANGUAGES:
            text = made.render("billboard", "", language, made.check_facts(facts), {}).text({})
            for line in text.split("\n"):
                assert sum(1 if ord(character) < 0x100 else 2 for character in line) <= 16, line


def test_dates_and_levels_are_said_in_the_language_of_the_text():
    forest = load_set(FOREST)
    facts = forest.check_facts({**BAN, "level": "orange"})
    said = {tag: forest.render("loudspeaker", tag, tag, facts, {}).text({}) for tag in LANGUAGES}
    assert "从3月15日到5月31日" in said["zh-CN"] and "橙色" in said["zh-CN"]
    assert "3월 15일부터 5월 31일까지" in said["ko"] and "주황색" in said["ko"]
    assert "From 15 March to 31 May" in said["en"] and "orange" in said["en"]


def test_without_a_level_nothing_is_said_of_one():
    forest = load_set(FOREST)
    text = forest.render("billboard", "128x32/16/gb18030/pages", "zh-CN", forest.check_facts(BAN), {}).text({})
    assert text.split("\n")[0] == "山里林边禁止用火"


# ---- facts -----------------------------------------------------------------------------------------------------------


def problems(values, name=FOREST):
    with pytest.raises(BadInput) as stopped:
        load_set(name).check_facts(values)
    assert stopped.value.code == "bad-facts"
    return {problem["fact"]: problem["code"] for problem in stopped.value.problems}


def test_every_problem_of_the_facts_is_told_at_once():
    assert problems({"ends": "15.3.2027", "level": "crimson", "report": "call me", "link": "http://a.b", "sender": 7}) == {
        "starts": "missing-fact", "ends": "wrong-type", "level": "unknown-choice", "report": "wrong-type",
        "link": "wrong-type", "sender": "wrong-type",
    }  # fmt: skip


def test_a_ban_that_ends_before_it_starts_is_refused():
    assert problems({"starts": "2027-05-31", "ends": "2027-03-15"}) == {"ends": "wrong-order"}


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("火" * 41, "too-long"), ("a\ue000", "forbidden-character"), ("a\u202eb", "forbidden-character"),
        ("a\nb", "forbidden-character"), ({"fr": "x"}, "wrong-type"), (["a"], "wrong-type"), (True, "wrong-type"),
    ],
)  # fmt: skip
def test_a_text_that_cannot_be_sent_is_refused(value, code):
    assert problems({**BAN, "sender": value}) == {"sender": code}


def test_a_fact_nobody_declared_is_told_with_the_likely_one():
    with pytest.raises(BadInput, match='did you mean "starts"'):
        load_set(FOREST).check_facts({**BAN, "start": "2027-03-15"})
    assert problems({**BAN, "county": "敦化市"}) == {"county": "segment-fact"}


def test_a_checked_fact_goes_to_json_and_back_unchanged():
    forest = load_set(FOREST)
    values = {**BAN, "level": "red", "sender": {"zh-CN": "县消防", "ko": "현 소방"}, "report": "＋86 432-1234"}
    facts = forest.check_facts(values)
    assert facts["starts"].value == date(2027, 3, 15)
    assert facts["report"].value == "+86432-1234"
    assert forest.check_facts({name: value.as_json() for name, value in facts.items()}) == facts


def test_a_chinese_text_is_never_read_out_in_korean():
    forest = load_set(FOREST)
    facts = forest.check_facts({**BAN, "sender": "敦化消防"})
    assert "敦化消防" in forest.render("loudspeaker", "", "zh-CN", facts, {}).text({})
    with pytest.raises(BadInput) as stopped:
        forest.render("loudspeaker", "", "ko", facts, {})
    assert stopped.value.code == "not-translated"


def test_a_fact_that_is_missing_stops_the_text():
    with pytest.raises(BadInput) as stopped:
        load_set(FOREST).render("sms", "", "zh-CN", {}, {})
    assert stopped.value.code == "missing-fact"


# ---- segments --------------------------------------------------------------------------------------------------------


def test_a_county_is_named_where_its_name_is_known_in_the_language():
    forest = load_set(FOREST)
    facts = forest.check_facts(BAN)
    both = {"county": {"zh-CN": "敦化市", "ko": "돈화시"}}
    assert "敦化市山里林边" in forest.render("sms", "", "zh-CN", facts, {"county": "敦化市"}).text({})
    assert "돈화시" in forest.render("sms", "", "ko", facts, both).text({})
    assert "우리 고장" in forest.render("sms", "", "ko", facts, {"county": "敦化市"}).text({})
    assert "本地山里林边" in forest.render("sms", "", "zh-CN", facts, {}).text({})


def test_the_code_of_a_place_is_never_read_to_the_public():
    forest = load_set(FOREST)
    with pytest.raises(BadInput) as stopped:
        forest.render("sms", "", "zh-CN", forest.check_facts(BAN), {"county": "222403000000"})
    assert stopped.value.code == "place-code"


def test_each_premises_category_gets_the_advice_it_needs():
    fire = load_set(FIRE)
    facts = fire.check_facts({})
    said = {
        fire.render("sms", "", "zh-CN", facts, {"premises_category": kind}).pieces
        for kind in ("mall", "school", "hotel")
    }
    assert len(said) == 3
    with pytest.raises(BadInput) as stopped:
        fire.render("sms", "", "zh-CN", facts, {"premises_category": "castle"})
    assert stopped.value.code == "unknown-choice"


# ---- formats and slots -----------------------------------------------------------------------------------------------


def test_a_format_with_a_text_of_its_own_uses_it_and_others_the_plain_one(copy):
    for tag in LANGUAGES:
        (copy / f"billboard.192x32.{tag}.txt").write_text("大屏\n", encoding="utf-8")
    made = load_set(copy)
    facts = made.check_facts({})
    assert made.formats("billboard") == {"", "192x32"}
    assert made.render("billboard", "192x32/16/gb18030/pages", "zh-CN", facts, {}).pieces == ("大屏",)
    assert made.render("billboard", "128x32/16/gb18030/pages", "zh-CN", facts, {}).pieces != ("大屏",)


def test_a_channel_without_a_text_is_told():
    fire = load_set(FIRE)
    with pytest.raises(BadInput) as stopped:
        fire.render("manual", "", "zh-CN", fire.check_facts({}), {})
    assert stopped.value.code == "no-template"


def test_a_name_that_looks_like_a_template_arrives_as_it_is():
    text = render_with_slots(
        shipped_folder() / FIRE,
        "sms",
        "zh-CN",
        {"premises_category": "mall"},
        {"name": "{{ 7*7 }}", "premises": "{% if %}"},
    )
    assert text.startswith("{{ 7*7 }}，{% if %}开门前")


@pytest.mark.parametrize(
    ("slots", "code"),
    [
        ({"name": "张伟"}, "missing-slot"), ({"name": "张\u202e伟", "premises": "b"}, "forbidden-character"),
        ({"name": "张\n伟", "premises": "b"}, "forbidden-character"), ({"name": "张" * 201, "premises": "b"}, "bad-slot"),
        ({"name": 7, "premises": "b"}, "bad-slot"),
    ],
)  # fmt: skip
def test_a_slot_that_cannot_be_filled_is_refused(slots, code):
    with pytest.raises(BadInput) as stopped:
        render_with_slots(shipped_folder() / FIRE, "sms", "zh-CN", {"premises_category": "mall"}, slots)
    assert stopped.value.code == code


# ---- what the check finds --------------------------------------------------------------------------------------------


def found(folder: Path) -> list[tuple[str, int, str]]:
    return [(finding.file, finding.line, finding.code) for finding in check_set(folder)]


def test_an_unknown_name_is_found_with_its_line_column_and_a_hint(copy):
    spoil(copy / "loudspeaker.ko.txt", "{{ contact }}", "{{ contcat }}")
    (finding,) = check_set(copy)
    assert (finding.file, finding.line, finding.code) == ("loudspeaker.ko.txt", 7, "unknown-name")
    line = (copy / "loudspeaker.ko.txt").read_text(encoding="utf-8").split("\n")[6]
    assert line[finding.column - 1 :].startswith("contcat")
    assert 'did you mean "contact"?' in finding.message
    with pytest.raises(BadInput) as stopped:
        load_set(copy)
    assert stopped.value.problems == [finding.as_json()]


def test_a_missing_language_is_found(copy):
    (copy / "billboard.ko.txt").unlink()
    assert found(copy) == [("billboard.ko.txt", 1, "missing-language")]
    assert load_set(copy).languages == ("zh-CN", "en")


def test_a_slot_on_a_channel_without_slots_is_found(copy):
    spoil(copy / "social.en.txt", "Five", "{{ name }}: five")
    assert found(copy) == [("social.en.txt", 1, "slot-not-here")]


def test_a_branch_that_only_one_choice_reaches_is_tried_too(copy):
    spoil(copy / "sms.zh-CN.txt", "室内不放烟花", "室内不放{{ holiday < 3 }}")
    assert found(copy) == [("sms.zh-CN.txt", 1, "render-failed")]


def test_a_text_that_says_nothing_without_an_optional_fact_is_found(copy):
    for tag in LANGUAGES:
        (copy / f"social.{tag}.txt").write_text("{% if link %}{{ link }}{% endif %}\n", encoding="utf-8")
    assert {(code) for _, _, code in found(copy)} == {"empty-text"}


@pytest.mark.parametrize(
    ("old", "new", "line", "code"),
    [
        ('category = "notice"', 'category = "news"', 1, "bad-set"),
        ('category = "notice"', 'category = "notice"\nexpire_hours = 3', 1, "bad-set"),
        ("expires_hours = 72", "expires_hours = true", 1, "bad-set"),
        ('ko = "길림소방"\n', "", 10, "bad-set"),
        ('sms = ["name", "premises"]', 'loudspeaker = ["name"]', 15, "bad-set"),
        ('sms = ["name", "premises"]', 'sms = ["phone"]', 15, "bad-set"),
        ('type = "phone"', 'type = "telephone"', 32, "bad-set"),
        ('type = "phone"', 'type = "phone"\nrequried = true', 32, "bad-set"),
        ('type = "phone"', 'type = "phone"\nsource = "segment"', 32, "bad-set"),
        ('type = "phone"', 'type = "phone"\nnot_before = "link"', 1, "bad-set"),
        ('default = "12345"', 'default = "one two"', 32, "bad-set"),
        ("[facts.contact]", "[facts.name]", 32, "bad-set"),
        ("[facts.contact]", "[facts.loop]", 32, "bad-set"),
        ("[facts.contact]", "[facts.contact", 32, "bad-toml"),
        (', en = "the break"', "", 25, "bad-set"),
        ('example = "mall"', 'example = "castle"', 44, "bad-set"),
        ('source = "segment"', 'source = "campaign"', 44, "bad-set"),
    ],
)  # fmt: skip
def test_a_mistake_in_set_toml_is_found_with_its_table(copy, old, new, line, code):
    spoil(copy / "set.toml", old, new)
    assert found(copy) == [("set.toml", line, code)]


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("sms.fr.txt", b"x", "file-name"), ("telegraph.ko.txt", b"x", "file-name"), ("notes.txt", b"x", "file-name"),
        ("sms.a.ko.txt", "消防".encode("gb18030"), "not-utf8"), ("sms.a.ko.txt", b"x" * 8193, "too-long"),
        ("sms.a.ko.txt", b"a\0b", "forbidden-character"),
    ],
)  # fmt: skip
def test_a_file_that_does_not_belong_here_is_found(copy, name, content, code):
    (copy / name).write_bytes(content)
    assert (name, code) in [(finding.file, finding.code) for finding in check_set(copy)]


def test_a_file_from_windows_is_read_like_any_other(copy):
    file = copy / "billboard.zh-CN.txt"
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b"\n", b"\r\n"))
    assert found(copy) == []


def test_a_folder_without_a_set_is_told(tmp_path):
    assert [finding.code for finding in check_set(tmp_path)] == ["no-set"]
    assert [finding.code for finding in check_set(tmp_path / "nowhere")] == ["no-set"]
    (tmp_path / "set.toml").write_text('id = "x"', encoding="utf-8")
    assert "bad-set" in [finding.code for finding in check_set(tmp_path)]


def test_a_text_a_board_cannot_show_is_found_by_the_board_itself(copy):
    spoil(copy / "billboard.zh-CN.txt", "员工要会逃生", "员工要会逃生🚒")
    findings = check_set(copy)
    assert [finding.file for finding in findings] == ["billboard.zh-CN.txt"]


def test_a_folder_of_too_many_files_is_not_read(copy, monkeypatch):
    monkeypatch.setattr(templates, "MAX_FILES", 5)
    spoil(copy / "set.toml", "节后", "年后")
    assert found(copy) == [("set.toml", 1, "too-many-files")]
