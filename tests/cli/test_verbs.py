"""The other verbs of the doors: templates, users, devices, places, settings, doctor, openapi, speech."""

import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Call = Callable[..., Any]
Furnished = tuple[Call, Path, dict[str, Any]]


def test_a_shipped_set_is_fine_and_a_broken_one_is_told_by_line(call: Call, tmp_path: Path) -> None:
    assert call("template", "check", "fire-safety-reopening", "--json").json == {"ok": True, "problems": []}
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "set.toml").write_text("id = ", encoding="utf-8")
    ended = call("template", "check", tmp_path / "broken", "--json")
    assert ended.code == 1
    assert ended.json["ok"] is False
    assert set(ended.json["problems"][0]) >= {"file", "line", "column", "code", "message"}


def test_rendering_answers_a_line_of_slots_with_text_and_size(call: Call, tmp_path: Path) -> None:
    facts = tmp_path / "facts.json"
    facts.write_text(json.dumps({"premises_category": "mall", "contact": "12345"}), encoding="utf-8")
    lines = [{"name": "王丽", "premises": "福祥商场"}, {"name": "李明", "premises": "瑞兴百货"}]
    ended = call(
        *(
            "template",
            "render",
            "fire-safety-reopening",
            "--channel",
            "sms",
            "--lang",
            "zh-CN",
            "--facts",
            facts,
            "--jsonl",
        ),
        stdin="\n".join([*map(json.dumps, lines), '"no object"', "{}"]),
    )
    assert ended.code == 0, ended.err
    assert len(ended.lines) == 4
    for line, slots in zip(ended.lines, lines, strict=False):
        assert slots["name"] in line["text"] and slots["premises"] in line["text"]
        assert line["size"]["encoding"] == "ucs2"
    assert "error" in ended.lines[2] and "error" in ended.lines[3]


def test_a_user_gets_a_link_and_is_listed(ready: Call) -> None:
    made = ready(
        "user", "add", "wang", "--name", "王敏", "--role", "author", "--role", "manager", "--unit", "22", "--json"
    )
    assert made.code == 0, made.err
    assert "/sign-in/" in made.json["link"]
    assert "wang" in [user["login"] for user in ready("user", "list", "--json").json["users"]]
    assert "/sign-in/" in ready("user", "link", "wang", "--minutes", 5, "--json").json["link"]
    assert ready("user", "link", "nobody", "--json").code == 1
    assert ready("user", "add", "li", "--name", "李", "--role", "king", "--json").code == 2


def test_devices_get_a_token_each_and_only_once_unless_asked(furnished: Furnished) -> None:
    call, _, _ = furnished
    flags = ("device", "enrol", "--channel", "loudspeaker", "--place", "2224")
    assert call(*flags, "--json").json == {"devices": []}
    found = call(*flags, "--again", "--json").json["devices"]
    assert found
    assert len({each["feed"] for each in found}) == len(found)
    assert all(each["place"].startswith("2224") for each in found)
    assert call("device", "enrol", "--channel", "sms", "--place", "22", "--json").code == 2
    assert isinstance(call("device", "silent", "--json").json["devices"], list)


def test_places_are_listed_and_found(furnished: Furnished) -> None:
    call, _, _ = furnished
    assert [place["name"] for place in call("place", "list", "--json").json["places"]] == ["吉林省"]
    assert len(call("place", "list", "--under", "220000000000", "--json").json["places"]) == 9
    assert "222401000000" in [p["code"] for p in call("place", "list", "--search", "延吉", "--json").json["places"]]


def test_settings_are_shown_with_their_source_and_secrets_masked(call: Call, tmp_path: Path) -> None:
    secret = tmp_path / "address"
    secret.write_text("postgresql+psycopg://u:hidden@h/d\n", encoding="utf-8")
    ended = call("config", "show", "--json", BROADCASTER_DATABASE_URL_FILE=str(secret), BROADCASTER_PORT="8123")
    rows = {row["name"]: row for row in ended.json["settings"]}
    assert rows["BROADCASTER_PORT"]["value"] == 8123
    assert rows["BROADCASTER_PORT"]["source"] == "BROADCASTER_PORT"
    assert rows["BROADCASTER_DATABASE_URL"]["value"] == "********"
    assert rows["BROADCASTER_DATABASE_URL"]["source"] == "BROADCASTER_DATABASE_URL_FILE"
    assert "hidden" not in ended.out + ended.err


def test_doctor_is_content_with_a_fresh_home_and_names_what_is_not_fine(call: Call, tmp_path: Path) -> None:
    before = call("doctor", "--json")
    assert before.code == 1
    assert {check["name"] for check in before.json["checks"] if not check["ok"]} >= {"keys", "schema"}
    call("init")
    found = call("doctor", "--json", BROADCASTER_PORT="0").json
    assert all(set(check) == {"name", "ok", "detail", "fix"} for check in found["checks"])
    assert [check for check in found["checks"] if not check["ok"]] == []
    assert found["ok"] is True
    (tmp_path / "home" / "keys.json").chmod(0o644)
    open_to_all = call("doctor", "--json", BROADCASTER_PORT="0").json
    assert [check["name"] for check in open_to_all["checks"] if not check["ok"]] == ["keys"]


def test_with_no_broker_the_verbs_go_on_and_those_that_need_it_say_so(ready: Call) -> None:
    away = {"BROADCASTER_BUS_URL": "kafka://127.0.0.1:1", "BROADCASTER_PORT": "0"}
    for words in (
        ("user", "add", "wang", "--name", "王敏", "--role", "author"),
        ("campaign", "create", "--name", "x", "--template-set", "fire-safety-reopening", "--mode", "live",
         "--place", "2201", "--channel", "sms", "--as", "wang"),
        ("campaign", "show", 1),
        ("counts", 1),
    ):  # fmt: skip
        ended = ready(*words, "--json", **away)
        assert ended.code == 0, ended.err
    ended = ready("init", "--json", **away)
    assert ended.code == 5
    assert "BROADCASTER_BUS_URL" in ended.json["error"]["message"]
    checks = {check["name"]: check for check in ready("doctor", "--json", **away).json["checks"]}
    assert [name for name, check in checks.items() if not check["ok"]] == ["bus"]


def test_openapi_is_one_document_of_the_api_and_needs_no_home(call: Call, tmp_path: Path) -> None:
    ended = call(
        "openapi",
        BROADCASTER_DATABASE_URL="postgresql://nobody@127.0.0.1:1/none",
        BROADCASTER_BUS_URL="kafka://127.0.0.1:1",
    )
    assert not (tmp_path / "home").exists()
    assert ended.code == 0, ended.err
    assert ended.json["openapi"].startswith("3.")
    assert any(path.startswith("/api/v1/") for path in ended.json["paths"])


@pytest.mark.parametrize("suffix", ["mp3", "wav"])
def test_a_text_is_spoken_into_a_file(call: Call, tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"clip.{suffix}"
    ended = call("audio", "make", "--lang", "zh-CN", "--text", "火警119", "--out", file, "--chime", "--json")
    assert ended.code == 0, ended.err
    assert set(ended.json) == {"file", "seconds", "bytes", "engine", "loudness"}
    assert ended.json["bytes"] == file.stat().st_size
    assert file.read_bytes()[:3] in (b"RIF", b"ID3") or file.read_bytes()[0] == 0xFF


@pytest.mark.parametrize(
    ("flags", "code"),
    [
        (("--out", "x.ogg"), 1),
        (("--out", "no/such/folder/x.mp3"), 1),
        (("--out", "x.mp3", "--engine", "parrot"), 1),
        (("--out", "x.mp3", "--repeat", "99"), 2),
    ],
)
def test_a_clip_that_cannot_be_made_is_told(call: Call, flags: tuple[str, ...], code: int) -> None:
    ended = call("audio", "make", "--lang", "zh-CN", "--text", "好", *flags, "--json")
    assert ended.code in (code, 5)
    assert ended.json["error"]["message"]


def test_the_call_list_is_csv_on_stdout(furnished: Furnished) -> None:
    call, _, found = furnished
    ended = call("unreached", found["campaign"])
    assert ended.code == 0
    assert ended.out.startswith("\ufeffn,channel,outcome")
    assert ended.out.count("\n") == 1  # all of the demo's were reached


def test_the_home_folder_is_closed_to_others(ready: Call, tmp_path: Path) -> None:
    assert stat.S_IMODE((tmp_path / "home").stat().st_mode) == 0o700


def test_a_programs_token_is_shown_once_and_revoked(ready: Call) -> None:
    ready("user", "add", "box", "--name", "Box", "--role", "gateway", "--json")
    assert len(ready("user", "token", "box", "--name", "modem", "--json").json["token"]) == 43
    assert ready("user", "revoke", "box", "--name", "modem", "--json").json["revoked"] == 1
    assert ready("user", "revoke", "box", "--name", "modem", "--json").json["revoked"] == 0
