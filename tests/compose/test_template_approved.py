"""Templates that a cloud provider has approved: what it would say is what we say, for everybody, or nothing is submitted."""

import json
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import channels.sms
from broadcaster.bus.local import LocalBus
from broadcaster.compose import campaigns
from broadcaster.compose.seal import wording_digest
from broadcaster.compose.template_approved import declare, prove, unfit
from broadcaster.compose.template_render import Rendered
from broadcaster.compose.templates import check_set
from broadcaster.deliver.fanout import fan_out
from broadcaster.deliver.runner import topics_of
from broadcaster.deliver.worker import Worker
from broadcaster.installation import Installation
from broadcaster.model import BadInput
from broadcaster.store import wordings
from channels.base import ACCEPTED, Answer, ChannelSettings, Message

SET = """id = "visit"
category = "{category}"
expires_hours = 48
title = {{ zh-CN = "上门检查", ko = "방문 점검", en = "Visit" }}
signature = {{ zh-CN = "吉林消防", ko = "길림소방", en = "Jilin Fire" }}
[slots]
sms = ["name", "premises"]
[facts.day]
type = "date"
example = "2027-03-15"
label = {{ zh-CN = "哪天", ko = "날", en = "Day" }}
[facts.note]
type = "text"
required = false
example = {{ zh-CN = "带证件", ko = "신분증 지참", en = "Bring papers" }}
label = {{ zh-CN = "说明", ko = "설명", en = "Note" }}
[facts.county]
type = "text"
source = "segment"
default = {{ zh-CN = "本地", ko = "우리 고장", en = "this county" }}
example = {{ zh-CN = "南关区", ko = "난관구", en = "Nanguan" }}
label = {{ zh-CN = "县", ko = "현", en = "County" }}

{approved}
"""
ALIYUN = """[approved.aliyun."zh-CN"]
id = "SMS_100"
text = "${who}，${day}我们到${where}${place}检查（${short}）。${note}"
variables = ["name", "day", "county", "premises", "day | short", "note"]
max_length = 20
"""
KOREAN = """[approved.aliyun."ko"]
id = "SMS_200"
text = "${name} 님, ${day} ${where}에 점검하러 갑니다."
variables = ["name", "day", "premises"]
max_length = 20
"""
TENCENT = """[approved.tencent."zh-CN"]
id = "300"
text = "{1}，{2}我们到{3}{4}检查（{5}）。{6}"
variables = ["name", "day", "county", "premises", "day | short", "note"]
max_length = 20
"""
TEXTS = {
    "sms.zh-CN.txt": "{{ name }}，{{ day }}我们到{{ county }}{{ premises }}检查（{{ day | short }}）。{{ note }}",
    "sms.ko.txt": "{{ name }} 님, {{ day }} {{ premises }}에 점검하러 갑니다.",
    "sms.en.txt": "{{ name }}, we visit {{ premises }} on {{ day }}.",
}
FACTS = {"day": "2027-03-15", "note": {"zh-CN": "带证件", "ko": "신분증 지참"}}


def written(root: Path, approved: str = ALIYUN + KOREAN + TENCENT, category: str = "notice") -> Path:
    folder = root / "visit"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "set.toml").write_text(SET.format(category=category, approved=approved), encoding="utf-8")
    for name, text in TEXTS.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


# ---- what `template check` finds -------------------------------------------------------------------------------------


def test_a_set_whose_approved_templates_say_the_same_is_clean(tmp_path: Path) -> None:
    assert check_set(written(tmp_path)) == []


@pytest.mark.parametrize(
    ("old", "new", "code", "says"),
    [
        (
            "检查（",
            "检査（",
            "approved-differs",
            'from character 22, our text has "月15日我们到南关区{premises}检查（3月15日）。带证件" and',
        ),
        (
            '["name", "day", "county", "premises"',
            '["premises", "day", "county", "name"',
            "approved-differs",
            "{name}，3月15",
        ),
        ("max_length = 20", "max_length = 1", "approved-value", "day has 5 characters, 1 at most"),
        ("max_length = 20", "max_length = 2", "approved-value", "day has 5 characters, 2 at most"),
        ('"day | short", "note"', '"day | short", "nota"', "bad-set", 'did you mean "note"?'),
        ('"name", "day",', '"name | upper", "day",', "bad-set", "the slot"),
        ('"note"]', '"note", "day"]', "bad-set", "6 placeholders, variables has 7"),
        ('"note"]', '"{{ note }}"]', "bad-set", "variables lists slots and facts"),
        ('text = "$', 'text = "【吉林消防】$', "bad-set", "the provider adds the signature"),
        ("${note}", "{1}", "bad-set", "of one provider only"),
        ("max_length = 20", "max_lenght = 20", "bad-set", 'did you mean "max_length"?'),
        ("max_length = 20", "", "bad-set", "max_length is the number"),
        ('id = "SMS_100"', 'id = ""', "bad-set", "id is a text"),
        ('"zh-CN"]', '"zh"]', "bad-set", "write a table"),
        ("${note}", "\\u200b${note}", "bad-set", "U+200B"),
    ],
)
def test_what_is_wrong_with_an_approved_template_is_told_with_its_line(
    tmp_path: Path, old: str, new: str, code: str, says: str
) -> None:
    assert old in ALIYUN
    folder = written(tmp_path, ALIYUN.replace(old, new, 1))
    (found,) = check_set(folder)
    line = (folder / "set.toml").read_text(encoding="utf-8").split("\n")[found.line - 1]
    assert (found.code, found.file, line[:17]) == (code, "set.toml", "[approved.aliyun.")
    assert says in found.message


def test_numbers_count_from_one_without_a_gap(tmp_path: Path) -> None:
    (found,) = check_set(written(tmp_path, TENCENT.replace("{6}", "{7}")))
    assert "count from {1}" in found.message


def test_a_link_in_a_variable_is_refused(tmp_path: Path) -> None:
    folder = written(tmp_path)
    file = folder / "set.toml"
    file.write_text(file.read_text(encoding="utf-8").replace("带证件", "看119.example.cn", 1), encoding="utf-8")
    assert {(one.code, "holds a link" in one.message) for one in check_set(folder)} == {("approved-value", True)}


@pytest.mark.parametrize(
    ("adds", "text", "clean"),
    [
        ("true", "${n}，${d}检查。", True),
        ("false", "${n}，${d}检查。", False),
        ("false", "${n}，${d}检查。拒收请回复R", True),
        ("true", "${n}，${d}检查。拒收请回复R", True),  # where it stands already nobody adds it again
    ],
)
def test_the_way_out_of_a_promotion_is_added_by_one_place(tmp_path: Path, adds: str, text: str, clean: bool) -> None:
    approved = f"""[approved.aliyun."zh-CN"]
id = "SMS_1"
text = "{text}"
variables = ["name", "day"]
max_length = 20
adds_tail = {adds}
"""
    folder = written(tmp_path, approved, "promotion")
    (folder / "sms.zh-CN.txt").write_text("{{ name }}，{{ day }}检查。", encoding="utf-8")
    assert [one.code for one in check_set(folder)] == ([] if clean else ["approved-differs"])


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("张伟", ""),
        ("五个字的名", ""),
        ("六个字的名字", "has 6 characters, 5 at most"),
        ("", "is empty"),
        ("a.cn", "holds a link"),
        ("x://", "holds a link"),
        ("3.15", ""),
        ("www.", "holds a link"),
    ],
)
def test_a_value_at_the_limit_and_one_past_it(value: str, why: str) -> None:
    assert unfit(value, 5) == why


@given(
    st.lists(
        st.text(st.characters(exclude_categories=("Cc", "Cf", "Cs", "Co", "Cn", "Mn", "Zs", "Zl", "Zp")), max_size=5),
        min_size=1,
        max_size=3,
    )
)
def test_texts_are_taken_for_the_same_only_where_they_are(pieces: list[str]) -> None:
    """Every place in which one letter could differ, with a slot between all pieces."""
    raw = {"id": "1", "text": "起" + "${a}".join(pieces) + "止", "variables": ["name"], "max_length": 9}
    if "{" in "".join(pieces) or "$" in "".join(pieces) or "【" in "".join(pieces):
        return
    if len(pieces) == 1:
        raw["variables"] = []
    ours = Rendered(
        ("起" + pieces[0], *pieces[1:-1], pieces[-1] + "止") if len(pieces) > 1 else ("起" + pieces[0] + "止",),
        ("name",) * (len(pieces) - 1),
    )
    approved = declare("aliyun", "zh-CN", raw)
    values = [Rendered(("", ""), ("name",))] if len(pieces) > 1 else []
    prove(approved, ours, values, ("消防", ""))
    for at in range(len(approved.text) + 1):
        changed = replace(approved, text=approved.text[:at] + "改" + approved.text[at:])
        if len(changed.placeholders) == len(approved.placeholders):
            with pytest.raises(BadInput, match="would say something else"):
                prove(changed, ours, values, ("消防", ""))


# ---- what a submit keeps, and what a provider would say --------------------------------------------------------------


@pytest.fixture
def visited(town_at: Callable[[str], Any], database: str, tmp_path: Path) -> Any:
    written(tmp_path / "sets")
    return town_at(database)


DRAFT: dict[str, Any] = {"template_set": "visit", "channels": ("sms",), "facts": FACTS}
AT_THE_PROVIDER = {  # its own copy of the words, and how it puts a text together
    "SMS_100": "${who}，${day}我们到${where}${place}检查（${short}）。${note}",
    "SMS_200": "${name} 님, ${day} ${where}에 점검하러 갑니다.",
}


class Cloud:
    """Provider "aliyun" of this test: it has the id and the values, and never looks at the text."""

    given: list[tuple[str, Message]] = []  # noqa: RUF012 - one list for the test to read

    def __init__(self, settings: ChannelSettings) -> None:
        pass

    def send(self, messages: Sequence[Message]) -> list[Answer]:
        for message in messages:
            assert message.approved is not None
            values = dict(message.approved.variables)
            said = re.sub(r"\$\{(\w+)\}", lambda hole: values[hole[1]], AT_THE_PROVIDER[message.approved.id])  # noqa: B023
            signature = "【吉林消防】" if message.approved.id == "SMS_100" else "【길림소방】"
            Cloud.given.append((signature + said, message))
        return [ACCEPTED] * len(messages)

    def close(self) -> None:
        pass


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> type[Cloud]:
    module = ModuleType("cloud_provider")
    module.Cloud = Cloud  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "cloud_provider", module)
    monkeypatch.setitem(channels.sms.PROVIDERS, "aliyun", "cloud_provider:Cloud")
    Cloud.given.clear()
    return Cloud


def send(inst: Installation, provider: str) -> None:
    used = Installation(inst.settings.model_copy(update={"sms_provider": provider}), inst.store, inst.keys)
    bus = LocalBus(inst.store)
    fan_out(used, bus)
    worker = Worker(used, bus, topics_of("sms"), "w")
    while worker.step():
        pass


def test_what_the_provider_puts_together_is_what_was_approved_for_every_recipient(
    visited: Any, cloud: type[Cloud]
) -> None:
    visited.approved(**DRAFT)
    send(visited.inst, "aliyun")
    assert len(cloud.given) == 12
    for composed, message in cloud.given:
        assert composed == message.text
    assert len({composed for composed, _ in cloud.given}) == 12
    one = next(message for _, message in cloud.given if message.to == "tel:+8613800000003")
    assert one.text == "【吉林消防】张3，3月15日我们到南关区单位3检查（3月15日）。带证件"
    assert one.approved is not None
    assert one.approved.variables == (
        ("who", "张3"), ("day", "3月15日"), ("where", "南关区"), ("place", "单位3"), ("short", "3月15日"), ("note", "带证件"),
    )  # fmt: skip


def test_another_provider_is_told_of_no_template(visited: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    visited.approved(**DRAFT)
    seen: list[Message] = []
    really = channels.sms.Sms.send
    monkeypatch.setattr(
        channels.sms.Sms, "send", lambda self, messages: (seen.extend(messages), really(self, messages))[1]
    )
    send(visited.inst, "spool")
    assert [message.approved for message in seen] == [None] * 12


def test_the_wording_keeps_the_template_and_its_seal_holds_it(visited: Any) -> None:
    made = visited.submitted(**DRAFT)
    rows = visited.rows("SELECT languages, approved FROM wording ORDER BY id")
    kept = [
        (language, [(one["provider"], one["id"], one["variables"]) for one in json.loads(told)])
        for language, told in rows
    ]
    day = "3月15日"
    holes = ["who", "day", "where", "place", "short", "note"]
    values = [0, day, "南关区", 1, day, "带证件"]
    chinese = [
        ("aliyun", "SMS_100", [list(pair) for pair in zip(holes, values, strict=True)]),
        ("tencent", "300", [[str(n), value] for n, value in enumerate(values, 1)]),
    ]
    assert ("zh-CN", chinese) in kept
    assert {language: [one[0] for one in told] for language, told in kept} == {
        "zh-CN": ["aliyun", "tencent"],
        "ko": ["aliyun"],
    }
    with visited.inst.store.read() as conn:
        (_, wording, _), *_ = wordings.of_campaign(conn, made.id)
    assert wording_digest(wording) == wording.digest != wording_digest(replace(wording, approved=()))
    visited.do("UPDATE wording SET approved = NULL")
    with pytest.raises(Exception, match="not what was submitted"):
        campaigns.approve(visited.inst, visited.approver, made.id)


def test_an_exercise_goes_to_no_provider_and_names_no_template(visited: Any) -> None:
    visited.submitted(**DRAFT, mode="exercise")
    assert {told for (told,) in visited.rows("SELECT approved FROM wording")} == {None}


def test_where_the_texts_part_nothing_is_submitted(visited: Any, tmp_path: Path) -> None:
    """The example facts are right in it, these are not: `template check` could not see it."""
    folder = written(tmp_path / "sets", ALIYUN.replace("${note}", "带证件").replace(', "note"', ""))
    assert check_set(folder) == []
    draft = visited.created(**{**DRAFT, "facts": {"day": "2027-03-15"}})
    with pytest.raises(BadInput) as error:
        campaigns.submit(visited.inst, visited.author, draft.id)
    assert {problem["code"] for problem in error.value.problems} == {"approved-differs"}
    assert "带证件" in error.value.message
    assert visited.rows("SELECT count(*) FROM wording") == [(0,)]


def test_a_name_longer_than_the_provider_takes_stops_the_submit(visited: Any, tmp_path: Path) -> None:
    written(tmp_path / "sets", ALIYUN.replace("max_length = 20", "max_length = 5"))
    visited.do("UPDATE recipient SET name = '一二三四五' WHERE name = '张1'")
    visited.submitted(**DRAFT)
    visited.do("UPDATE recipient SET name = '一二三四五六' WHERE name = '张2' OR name = '张3'")
    with pytest.raises(BadInput, match="for 2 recipients") as error:
        visited.submitted(**DRAFT)
    assert error.value.code == "approved-value"
