"""recipients check and import: what is wrong with a file is told by row, and nothing is stored by half."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Call = Callable[..., Any]

GOOD = "phone,name,place\n13800002119,王丽,220102000000\n13800002120,李明,220102000000\n"
BAD = GOOD + "12,短,220102000000\n"


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    good, bad = tmp_path / "good.csv", tmp_path / "bad.csv"
    good.write_text(GOOD, encoding="utf-8")
    bad.write_text(BAD, encoding="gb18030")
    return good, bad


def test_a_check_needs_no_home_and_says_row_and_reason(call: Call, files: tuple[Path, Path]) -> None:
    assert call("recipients", "check", files[0], "--json").code == 0
    ended = call("recipients", "check", files[1], "--json")
    assert ended.code == 1
    found = ended.json
    assert {name: found[name] for name in ("rows", "accepted", "duplicates", "rejected")} == {
        "rows": 3,
        "accepted": 2,
        "duplicates": 0,
        "rejected": 1,
    }
    assert found["errors"][0]["row"] == 4
    assert set(found["errors"][0]) >= {"row", "column", "code", "message"}


def test_an_import_stores_all_or_nothing(ready: Call, files: tuple[Path, Path]) -> None:
    count = ("audience", "count", "--place", "22", "--json")
    assert ready("recipients", "import", files[1], "--json").code == 1
    assert ready(*count).json["recipients"] == 0
    ended = ready("recipients", "import", files[1], "--skip-rejected", "--json")
    assert ended.code == 0, ended.err
    assert ended.json["accepted"] == 2
    found = ready(*count).json
    assert found["recipients"] == 2
    assert found["by_channel"]["sms"] == 2


@pytest.mark.parametrize("content", [b"", b"\x00\x01\x02", b"PK\x03\x04broken"])
def test_a_file_that_is_none_is_told_in_words(call: Call, tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "odd.xlsx"
    file.write_bytes(content)
    ended = call("recipients", "check", file, "--json")
    assert ended.code == 1
    assert ended.json
    assert ended.err


def test_a_file_that_is_not_there_is_named(call: Call) -> None:
    ended = call("recipients", "check", "missing.csv")
    assert ended.code == 1
    assert "missing.csv" in ended.err


def test_an_audience_of_nothing_is_an_error_and_never_everyone(ready: Call) -> None:
    ended = ready("audience", "count", "--json")
    assert ended.code == 1
    assert ended.json["error"]["code"] == "audience-empty"
