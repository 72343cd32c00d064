"""A campaign by hand: each move by a named user, refused with 4 and a reason where a rule forbids it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Call = Callable[..., Any]
Furnished = tuple[Call, Path, dict[str, Any]]
CREATE = (
    "--name",
    "by hand",
    "--template-set",
    "fire-safety-reopening",
    "--mode",
    "exercise",
    "--place",
    "2224",
    "--as",
    "author",
)


@pytest.fixture
def draft(furnished: Furnished) -> tuple[Call, int]:
    call, _, _ = furnished
    ended = call("campaign", "create", *CREATE, "--channel", "sms", "--fact", "contact=0433-1234567", "--json")
    assert ended.code == 0, ended.err
    return call, ended.json["campaign"]


def test_create_takes_every_flag(furnished: Furnished, tmp_path: Path) -> None:
    call, _, _ = furnished
    facts = tmp_path / "facts.json"
    facts.write_text('{"contact": "12345", "holiday": "五一"}', encoding="utf-8")
    ended = call(
        *("campaign", "create", *CREATE, "--channel", "sms", "--channel", "billboard"),
        *("--facts", facts, "--fact", "contact=119", "--fact", 'holiday={"zh-CN": "国庆", "ko": "국경절"}'),
        *("--category", "mall", "--category", "hospital", "--language", "ko", "--exclude-place", "222401"),
        *("--expires", "2099-01-01T00:00:00+08:00", "--level", "red", "--json"),
    )
    found = ended.json
    assert ended.code == 0, ended.err
    assert found["state"] == "draft"
    assert found["facts"] == {"contact": "119", "holiday": {"zh-CN": "国庆", "ko": "국경절"}}
    assert set(found["selection"]["premises_categories"]) == {"mall", "hospital"}
    assert found["selection"]["exclude_places"][0].startswith("222401")
    assert found["channels"] == ["sms", "billboard"]
    assert (found["mode"], found["level"]) == ("exercise", "red")


def test_an_edit_changes_what_is_named_and_leaves_the_rest(draft: tuple[Call, int]) -> None:
    call, number = draft
    ended = call("campaign", "edit", number, "--name", "renamed", "--fact", "contact=110", "--as", "author", "--json")
    assert ended.code == 0, ended.err
    assert ended.json["name"] == "renamed"
    assert ended.json["facts"]["contact"] == "110"
    assert ended.json["channels"] == ["sms"]
    assert ended.json["selection"]["places"][0].startswith("2224")
    stale = call("campaign", "edit", number, "--name", "late", "--version", "0", "--as", "author", "--json")
    assert stale.code == 4


def test_submit_review_approve_by_two_people(draft: tuple[Call, int]) -> None:
    call, number = draft
    submitted = call("campaign", "submit", number, "--as", "author", "--json")
    assert submitted.code == 0, submitted.err
    assert submitted.json["state"] == "submitted"
    texts = call("campaign", "review", number, "--as", "approver", "--json").json["wordings"]
    assert sum(line["deliveries"] for line in texts) == submitted.json["planned"]
    own = call("campaign", "approve", number, "--as", "author", "--json")
    assert own.code == 4
    assert own.json["error"]["message"]
    assert own.err
    other = call("campaign", "approve", number, "--digest", "0" * 64, "--as", "approver", "--json")
    assert other.code == 4
    approved = call("campaign", "approve", number, "--digest", submitted.json["digest"], "--as", "approver", "--json")
    assert approved.code == 0, approved.err
    assert approved.json["approver"] == "approver"
    cancelled = call("campaign", "cancel", number, "--reason", "a test", "--as", "approver", "--json")
    assert cancelled.json["state"] == "cancelled"
    assert call("campaign", "approve", number, "--as", "approver").code == 4


def test_return_needs_a_reason_and_gives_it_back(draft: tuple[Call, int]) -> None:
    call, number = draft
    assert call("campaign", "return", number, "--as", "approver").code == 2
    call("campaign", "submit", number, "--as", "author")
    ended = call("campaign", "return", number, "--reason", "too long", "--as", "approver", "--json")
    assert (ended.json["state"], ended.json["reason"]) == ("returned", "too long")


def test_a_correction_names_what_it_follows(furnished: Furnished) -> None:
    call, _, found = furnished
    ended = call("campaign", "correct", found["campaign"], "--as", "author", "--json")
    assert ended.code == 0, ended.err
    assert ended.json["follows_id"] == found["campaign"]
    assert ended.json["revision"] == 2


@pytest.mark.parametrize(
    ("flags", "code"),
    [
        (("--as", "nobody"), 1),
        (("--as", "manager"), 4),
        (("--as", "author", "--mode", "maybe"), 1),
        (("--as", "author", "--fact", "no equals sign"), 1),
        (("--as", "author", "--facts", "missing.json"), 1),
        (("--as", "author", "--expires", "tomorrow"), 1),
        (("--as", "author", "--template-set", "no-such-set"), 1),
        (("--as", "author", "--channel", "pigeon"), 2),
    ],
)
def test_a_draft_that_cannot_be_is_told_in_one_object(furnished: Furnished, flags: tuple[str, ...], code: int) -> None:
    call, _, _ = furnished
    ended = call("campaign", "create", *CREATE[:-2], *flags, "--json")
    assert ended.code == code, ended.err
    assert ended.json["error"]["code"]
    assert ended.err


def test_listing_shows_the_newest_first(furnished: Furnished, draft: tuple[Call, int]) -> None:
    call, number = draft
    listed = [row["campaign"] for row in call("campaign", "list", "--as", "author", "--json").json["campaigns"]]
    assert listed == sorted(listed, reverse=True)
    assert number in listed
