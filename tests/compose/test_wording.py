"""Wordings: as few as the facts that are used, first word to last as they must be, and hashed whole."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from broadcaster.compose import wording
from broadcaster.compose.seal import wording_digest
from broadcaster.compose.templates import TemplateSet, load_set
from broadcaster.compose.wording import About, Key, Writer, spoken_and_sealed, written
from broadcaster.model import BadInput, Category, Level, Mode, Unavailable, Wording
from broadcaster.settings import Settings

NANGUAN, DEHUI, YANJI = "220102000000", "220183000000", "222401000000"
NAMES = {
    "220100000000": "长春市", NANGUAN: "南关区", DEHUI: "德惠市", "222400000000": "延边朝鲜族自治州", YANJI: "延吉市",
}  # fmt: skip
BAN = {"starts": "2027-03-15", "ends": "2027-05-31"}
TABLE = """category = "{category}"
expires_hours = 24
title = {{ zh-CN = "测试", ko = "시험", en = "Trial" }}
signature = {{ zh-CN = "吉林消防", ko = "길림소방", en = "Jilin Fire" }}
"""
COUNTY = """[facts.county]
type = "text"
source = "segment"
example = { zh-CN = "南关区", ko = "난관구", en = "Nanguan" }
label = { zh-CN = "县", ko = "현", en = "County" }
[facts.prefecture]
type = "text"
source = "segment"
default = { zh-CN = "本市", ko = "우리 시", en = "our city" }
example = { zh-CN = "长春市", ko = "장춘시", en = "Changchun" }
label = { zh-CN = "市", ko = "시", en = "City" }
"""


def writer(
    templates: TemplateSet | str = "forest-fire-ban",
    mode: Mode = Mode.LIVE,
    category: Category = Category.NOTICE,
    level: Level | None = None,
    facts: Mapping[str, object] | None = None,
) -> Writer:
    made = load_set(templates) if isinstance(templates, str) else templates
    given = BAN if facts is None and made.id == "forest-fire-ban" else facts or {}
    return Writer(made, About(mode, category, level, made.check_facts(given)), NAMES)


@pytest.fixture
def a_set(tmp_path: Path) -> Any:
    """a_set(files, category="notice") -> a template set that uses the county and prefecture of the segment."""

    def make(files: Mapping[str, str], category: str = "notice") -> TemplateSet:
        folder = tmp_path / f"trial-{category}"
        folder.mkdir()
        (folder / "set.toml").write_text(
            f'id = "{folder.name}"\n{TABLE.format(category=category)}{COUNTY}', encoding="utf-8"
        )
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")
        return load_set(folder)

    return make


def text_of(one: wording.Written) -> str:
    return "".join(one.wording.pieces)


def test_recipients_share_a_wording_where_no_used_fact_differs() -> None:
    ban = writer()  # its SMS names the county, its loudspeaker does not
    assert ban.key("sms", "", "zh-CN", NANGUAN, "mall") == ban.key("sms", "", "zh-CN", NANGUAN, "school")
    assert ban.key("sms", "", "zh-CN", NANGUAN, "mall") != ban.key("sms", "", "zh-CN", DEHUI, "mall")
    assert ban.key("loudspeaker", "", "zh-CN", NANGUAN, "") == ban.key("loudspeaker", "", "zh-CN", DEHUI, "")
    check = writer("fire-safety-reopening")  # its SMS depends on what kind of premises it is
    assert check.key("sms", "", "zh-CN", NANGUAN, "mall") == check.key("sms", "", "zh-CN", YANJI, "mall")
    assert check.key("sms", "", "zh-CN", NANGUAN, "mall") != check.key("sms", "", "zh-CN", NANGUAN, "school")


def test_a_prefecture_is_a_fact_like_a_county(a_set: Any) -> None:
    made = writer(a_set({"sms.zh-CN.txt": "{{ prefecture }}停水。"}), facts={})
    keys = {made.key("sms", "", "zh-CN", county, "") for county in (NANGUAN, DEHUI, YANJI)}
    assert {text_of(made.write(key)) for key in keys} == {
        "【吉林消防】长春市停水。",
        "【吉林消防】延边朝鲜族自治州停水。",
    }


def test_an_sms_goes_in_the_first_language_only_and_the_others_in_all() -> None:
    ban = writer()
    assert ban.key("sms", "", "ko+zh-CN", YANJI, "").languages == "ko"
    assert ban.key("loudspeaker", "", "zh-CN+ko", YANJI, "").languages == "zh-CN+ko"
    board = ban.write(ban.key("social", "wecom", "zh-CN+ko", YANJI, ""))
    chinese, korean = (text_of(ban.write(ban.key("social", "wecom", tag, YANJI, ""))) for tag in ("zh-CN", "ko"))
    assert text_of(board) == f"{chinese}\n\n{korean}"


def test_two_languages_are_spoken_in_their_order() -> None:
    ban = writer()
    one = ban.write(ban.key("loudspeaker", "", "ko+zh-CN", YANJI, ""))
    assert [language for language, _ in one.wording.spoken] == ["ko", "zh-CN"]
    assert "幺二幺幺九" in one.wording.spoken[1][1]
    assert not one.size.problems


def test_an_sms_is_signed_once_and_its_slots_stay_open() -> None:
    check = writer("fire-safety-reopening")
    one = check.write(check.key("sms", "", "zh-CN", NANGUAN, "mall")).wording
    assert one.slots == ("name", "premises")
    assert one.pieces[0] == "【吉林消防】"
    filled = one.fill({"name": "张三", "premises": "欧亚商场"})
    assert filled.startswith("【吉林消防】张三，欧亚商场")
    assert filled.count("【吉林消防】") == 1
    assert "拒收" not in filled


@pytest.mark.parametrize(("language", "tail"), [("zh-CN", "拒收请回复R"), ("ko", "수신거부는 R 회신")])
def test_a_promotion_names_the_way_out_in_the_readers_language(a_set: Any, language: str, tail: str) -> None:
    files = {
        "sms.zh-CN.txt": "周六消防站开放。",
        "sms.ko.txt": "토요일에 소방서를 엽니다.",
        "social.zh-CN.txt": "周六消防站开放。",
    }
    made = writer(a_set(files, "promotion"), category=Category.PROMOTION)
    assert text_of(made.write(Key("sms", "", language, ()))).endswith(tail)
    assert tail not in text_of(made.write(Key("social", "wecom", "zh-CN", ())))


@pytest.mark.parametrize("channel", ["sms", "loudspeaker", "billboard", "social"])
@pytest.mark.parametrize(
    ("language", "mark", "said"),
    [("zh-CN", "【演练】", "演练。"), ("ko", "[훈련]", "훈련입니다."), ("en", "[EXERCISE]", "This is an exercise.")],
)
def test_an_exercise_says_so_in_its_first_word(channel: str, language: str, mark: str, said: str) -> None:
    format = "640x64/16/gb18030/pages" if channel == "billboard" else ""
    exercise, live = (writer(mode=mode) for mode in (Mode.EXERCISE, Mode.LIVE))
    key = exercise.key(channel, format, language, NANGUAN, "")
    one = exercise.write(key)
    assert text_of(one).startswith(mark)
    assert not text_of(live.write(key)).startswith(mark)
    for _, words in one.wording.spoken:
        assert words.startswith(said)


def test_both_languages_of_an_exercise_say_so() -> None:
    exercise = writer(mode=Mode.EXERCISE)
    one = exercise.write(exercise.key("loudspeaker", "", "zh-CN+ko", YANJI, ""))
    chinese, korean = text_of(one).split("\n\n[훈련]")
    assert chinese.startswith("【演练】") and korean
    assert [
        words.startswith(said) for (_, words), said in zip(one.wording.spoken, ("演练。", "훈련입니다."), strict=True)
    ] == [True] * 2


def test_a_board_never_shows_a_level_by_colour_alone(a_set: Any) -> None:
    made = writer(a_set({"billboard.zh-CN.txt": "山里禁止用火"}), level=Level.ORANGE)
    one = made.write(Key("billboard", "128x32/16/gb18030/pages", "zh-CN", ()))
    assert text_of(one) == "[橙色]山里禁止用火"
    told = writer(level=Level.ORANGE, facts={**BAN, "level": "orange"})
    key = told.key("billboard", "128x32/16/gb18030/pages", "zh-CN", NANGUAN, "")
    assert text_of(told.write(key)).count("橙色") == 1


def test_every_wording_that_cannot_go_out_is_told(a_set: Any) -> None:
    files = {"sms.zh-CN.txt": "{{ county }}停水。", "billboard.zh-CN.txt": "停水🚒", "loudspeaker.zh-CN.txt": "请打℉"}
    made = writer(a_set(files), facts={})
    keys = [
        Key("sms", "", "zh-CN", (("county", "南关区"),)),
        Key("sms", "", "zh-CN", ()),
        Key("sms", "", "ko", (("county", "延吉市"),)),
        Key("billboard", "128x32/16/gb2312/pages", "zh-CN", ()),
        Key("loudspeaker", "", "zh-CN", ()),
    ]
    with pytest.raises(BadInput) as refused:
        written(made, keys)
    assert refused.value.code == "wording"
    told = [(p["channel"], p["language"], p["code"]) for p in refused.value.problems]
    assert told[:2] == [("sms", "zh-CN", "missing-fact"), ("sms", "ko", "no-template")]
    assert [channel for channel, _, _ in told[2:]] == ["billboard", "loudspeaker"]
    assert all(
        set(p) == {"channel", "format", "language", "segment", "code", "message"} for p in refused.value.problems
    )


def test_wordings_that_say_the_same_share_one_clip(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    made: list[Any] = []

    class Clip:
        def as_json(self) -> dict[str, object]:
            return {"digest": f"d{len(made)}", "mp3": {"sha256": "a", "path": "a.mp3"}}

    def make(parts: Any, *_: object, **__: object) -> Clip:
        made.append(parts)
        return Clip()

    monkeypatch.setattr(wording, "make_clip", make)
    ban = writer()
    keys = [
        ban.key("loudspeaker", device, tag, YANJI, "")
        for device in ("", "old-4g")
        for tag in ("zh-CN", "ko", "zh-CN+ko")
    ]
    done = spoken_and_sealed(Settings(home=tmp_path), written(ban, keys))
    assert len(done) == 6
    assert len(made) == 3
    assert {one.wording.clip for one in done} == {"d1", "d2", "d3"}
    assert len({one.wording.digest for one in done}) == 6


def test_a_voice_that_cannot_be_had_is_no_fault_of_the_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from audio.errors import ClipError, VoiceUnavailable

    ban = writer()
    found = written(ban, [ban.key("loudspeaker", "", "zh-CN", YANJI, "")])
    for raised, error in (
        (VoiceUnavailable("voice", "no engine"), Unavailable),
        (ClipError("clip-silent", "no speech"), BadInput),
    ):

        def fail(*_: object, raised: Exception = raised, **__: object) -> None:
            raise raised

        monkeypatch.setattr(wording, "make_clip", fail)
        with pytest.raises(error):
            spoken_and_sealed(Settings(home=tmp_path), found)


def test_the_words_become_a_clip_that_is_part_of_the_digest(tmp_path: Path) -> None:
    ban = writer()
    [one] = spoken_and_sealed(Settings(home=tmp_path), written(ban, [ban.key("loudspeaker", "", "zh-CN", YANJI, "")]))
    facts: Any = one.wording.clip_facts
    for kind in ("mp3", "wav"):
        path = tmp_path / "audio" / facts[kind]["path"]
        assert path.stat().st_size == facts[kind]["bytes"]
    assert facts["seconds"] > 10
    assert one.wording.digest == wording_digest(one.wording)


WHOLE = Wording(
    "sms",
    "",
    "zh-CN",
    {"county": "南关区"},
    ("a", "b"),
    ("name",),
    (("zh-CN", "c"),),
    "x",
    "",
    {"mp3": {"sha256": "1"}},
)


def changed() -> Iterator[Wording]:
    yield replace(WHOLE, channel="social")
    yield replace(WHOLE, format="wecom")
    yield replace(WHOLE, languages="ko")
    yield replace(WHOLE, segment={"county": "延吉市"})
    yield replace(WHOLE, pieces=("a", "b "))
    yield replace(WHOLE, pieces=("", "ab"))
    yield replace(WHOLE, slots=("premises",))
    yield replace(WHOLE, spoken=(("ko", "c"),))
    yield replace(WHOLE, spoken=(("zh-CN", "d"),))
    yield replace(WHOLE, clip_facts={"mp3": {"sha256": "2"}})


@pytest.mark.parametrize("other", list(changed()))
def test_the_digest_covers_all_that_the_public_reads_or_hears(other: Wording) -> None:
    assert wording_digest(other) != wording_digest(WHOLE)
