"""Exit codes, one JSON object, and never a traceback."""

import os
import stat
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from broadcaster.cli import failures
from broadcaster.model import BadInput, NotFound, Refused, Unavailable
from broadcaster.store.engine import open_store

Call = Callable[..., Any]
Spawn = Callable[..., subprocess.Popen[bytes]]


def test_a_fresh_folder_says_what_to_type(call: Call) -> None:
    ended = call("counts", 1)
    assert ended.code == 1
    assert "broadcaster init" in ended.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("counts",),
        ("counts", "seven"),
        ("no-such-verb",),
        ("demo", "--recipients", "0"),
        ("campaign", "create", "--name", "x"),
    ],
)
def test_wrong_usage_ends_with_2_and_with_json_still_says_so_in_one_object(
    call: Call, arguments: tuple[str, ...]
) -> None:
    assert call(*arguments).code == 2
    ended = call(*arguments, "--json")
    assert ended.code == 2
    assert ended.json["error"]["code"] == "usage"


def test_each_kind_of_refusal_has_its_exit_code() -> None:
    codes = {kind: failures.exit_code(kind("c", "m")) for kind in (BadInput, NotFound, Refused, Unavailable)}
    assert codes == {BadInput: 1, NotFound: 1, Refused: 4, Unavailable: 5}


def test_init_makes_what_is_missing_once(call: Call, tmp_path: Path) -> None:
    first = call("init", "--json")
    assert first.code == 0, first.err
    assert "/sign-in/" in first.json["link"]
    assert stat.S_IMODE((tmp_path / "home" / "keys.json").stat().st_mode) == 0o600
    again = call("init", "--json")
    assert again.code == 0
    assert again.json["link"] is None
    assert again.json["places"] == first.json["places"] == 13_014


def test_the_home_folder_may_be_named_before_or_after_the_verb(call: Call, tmp_path: Path) -> None:
    assert call("init", "--home", tmp_path / "a", "--json").json["home"] == str(tmp_path / "a")
    assert call("--home", tmp_path / "b", "init", "--json").json["home"] == str(tmp_path / "b")


def test_an_unknown_campaign_is_told_as_an_object_with_json(ready: Call) -> None:
    for verb in ("counts", "recount"):
        ended = ready(verb, 99, "--json")
        assert ended.code == 1
        assert ended.json["error"]["code"] == "campaign"
        assert "99" in ended.err
    assert ready("unreached", 99).code == 1


def test_a_setting_that_cannot_be_read_is_named(call: Call) -> None:
    ended = call("config", "show", "--json", BROADCASTER_PORT="many")
    assert ended.code == 1
    assert "BROADCASTER_PORT" in ended.json["error"]["message"]


def test_a_schema_of_another_version_ends_with_5(ready: Call, tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path / 'home' / 'broadcaster.db'}")
    with store.write() as conn:
        conn.execute(text("UPDATE alembic_version SET version_num = 'old'"))
    store.close()
    assert ready("counts", 1).code == 5


def test_a_fault_of_the_program_keeps_its_details_in_a_file_and_hides_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failures, "home_folder", lambda: tmp_path)
    file = failures.keep(RuntimeError("broken for +8613800002119"))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    kept = file.read_text()
    assert "RuntimeError" in kept
    assert "138****2119" in kept
    assert "13800002119" not in kept


def test_help_is_there_at_once(call: Call) -> None:
    """Half a second is the aim; the bound leaves room for a machine that is busy with other tests."""
    before = os.times()
    ended = call("--help", real=True)
    after = os.times()
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    assert ended.code == 0
    assert spent < 0.8, f"{spent:.2f} s of processor time"


def test_an_interrupted_verb_ends_with_130(spawn: Spawn) -> None:
    process = spawn("sms", "measure", "--jsonl")
    assert process.stdin and process.stdout
    process.stdin.write(b'"x"\n')
    process.stdin.flush()
    assert b"gsm7" in process.stdout.readline()
    time.sleep(0.1)
    process.send_signal(2)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert b"Traceback" not in err
