"""The preview shows what would go out, for somebody real, and keeps nothing."""

import time
from typing import Any

import pytest

from broadcaster.compose import campaigns, previews, wording
from broadcaster.model import BadInput, Refused, Selection


def by_channel(town: Any, **changes: Any) -> dict[str, dict[str, Any]]:
    return {one["channel"]: one for one in campaigns.preview(town.inst, town.author, town.draft(**changes))}


def test_each_channel_shows_its_text_size_and_how_many_get_it(town: Any) -> None:
    shown = by_channel(town)
    assert {channel: one["recipients"] for channel, one in shown.items()} == {
        "sms": 12, "loudspeaker": 2, "billboard": 3, "social": 1,
    }  # fmt: skip
    sms = shown["sms"]
    assert sms["text"].startswith(f"【吉林消防】{sms['sample']['name']}，{sms['sample']['premises']}")
    assert sms["size"]["parts"] >= 1 and sms["size"]["encoding"] == "ucs2"
    assert sms["parts"] == town.submitted().parts, "each language by its own text"
    assert sms["cost"] == sms["parts"] * town.inst.settings.sms_price
    assert "幺幺九" in shown["loudspeaker"]["spoken"][0]["words"]
    assert shown["billboard"]["size"]["pages"]
    assert shown["social"]["size"]["octets"] == len(shown["social"]["text"].encode())
    assert all(one["problems"] == [] and one["cost"] == 0 for channel, one in shown.items() if channel != "sms")


def test_the_preview_is_what_submit_freezes(town: Any) -> None:
    shown = by_channel(town, mode="exercise", level="red")
    town.submitted(mode="exercise", level="red")
    frozen = {pieces for (pieces,) in town.rows("SELECT pieces FROM wording WHERE slots = '[]'")}
    for channel in ("loudspeaker", "social", "billboard"):
        assert wording_json(shown[channel]["text"]) in frozen


def wording_json(text: str) -> str:
    import json

    return json.dumps([text], ensure_ascii=False, separators=(",", ":"))


def test_a_preview_keeps_nothing_and_speaks_nothing(town: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def spoken(*_: object, **__: object) -> None:
        raise AssertionError("a preview must not wait for a voice")

    monkeypatch.setattr(wording, "make_clip", spoken)
    by_channel(town)
    for table in ("campaign", "wording", "delivery", "audit"):
        [(n,)] = town.rows(
            f"SELECT count(*) FROM {table} WHERE 1 = 1" + (" AND action LIKE 'campaign%'" if table == "audit" else "")
        )
        assert n == 0


def test_a_text_is_shown_while_nobody_is_chosen_yet(town: Any) -> None:
    shown = by_channel(town, selection=Selection())
    for one in shown.values():
        assert one["text"]
        assert one["sample"] is None
        assert [problem["code"] for problem in one["problems"]][:1] == ["audience-empty"]
    assert "张伟" in shown["sms"]["text"]


def test_a_channel_without_a_text_or_without_people_is_told(town: Any) -> None:
    fair = by_channel(town, template_set="fair", facts={"day": "2027-03-15"}, selection=Selection(places=("2201",)))
    assert [p["code"] for p in fair["billboard"]["problems"]] == ["no-template"]
    assert fair["sms"]["problems"] == []
    assert fair["sms"]["segment"] == {"county": "南关区"}
    rural = by_channel(town, selection=Selection(places=(("222401001001"),)))
    assert [p["code"] for p in rural["social"]["problems"]] == ["audience-empty"]


def test_someone_without_a_name_is_told_before_submit(town: Any) -> None:
    town.do("UPDATE recipient SET name = NULL WHERE channel = 'sms'")
    sms = by_channel(town, channels=("sms",))["sms"]
    assert [(p["language"], p["code"]) for p in sms["problems"]] == [("zh-CN", "slot-missing"), ("ko", "slot-missing")]


def test_each_language_of_the_audience_is_shown_the_largest_first(town: Any) -> None:
    sms = by_channel(town)["sms"]
    assert [(one["languages"], one["recipients"]) for one in sms["samples"]] == [("zh-CN", 8), ("ko", 4)]
    chinese, korean = sms["samples"]
    assert sms["text"] == chinese["text"] != korean["text"]
    assert korean["sample"]["name"].startswith("김") and korean["sample"]["name"] in korean["text"]
    assert sms["parts"] == chinese["parts"] + korean["parts"]
    assert sms["cost"] == chinese["cost"] + korean["cost"]


def test_parts_are_reckoned_from_many_names_not_one(town: Any) -> None:
    """Half the people have a name that takes a second part."""
    town.do("UPDATE recipient SET name = 'Аб' || hex(randomblob(40)) WHERE channel = 'sms' AND id % 2 = 0")
    assert by_channel(town)["sms"]["parts"] == town.submitted().parts


def test_a_missing_fact_is_told_for_its_field(town: Any) -> None:
    with pytest.raises(BadInput) as refused:
        by_channel(town, template_set="forest-fire-ban", facts={"starts": "2027-03-15"})
    assert [(p["fact"], p["code"]) for p in refused.value.problems] == [("ends", "missing-fact")]


def test_only_authors_preview(town: Any) -> None:
    with pytest.raises(Refused):
        campaigns.preview(town.inst, town.stranger, town.draft())


def test_typing_does_not_count_the_audience_again(town: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    by_channel(town)

    def count(*_: object) -> None:
        raise AssertionError("the audience did not change")

    monkeypatch.setattr(previews.stored_plan, "spread", count)
    started = time.perf_counter()
    shown = by_channel(town, facts={"contact": "96119"})
    assert time.perf_counter() - started < 0.15
    assert "96119" in shown["sms"]["text"]
    assert shown["sms"]["recipients"] == 12
