"""The call list: everyone not reached, nobody else, no number in clear, no cell that a spreadsheet would run."""

import csv
import io

import pytest

from broadcaster.installation import Installation
from broadcaster.model import BadInput, NotFound
from broadcaster.reach.counts import reasons
from broadcaster.reach.unreached import guarded, unreached, unreached_csv, unreached_page
from broadcaster.store import reach as stored


def test_it_lists_exactly_those_not_reached_with_masked_numbers(inst: Installation, campaign: int) -> None:
    rows = list(unreached(inst, campaign))
    assert [(r["n"], r["outcome"], r["number"]) for r in rows] == [
        (4, "cancelled", ""),
        (7, "failed", "138****2107"),
        (9, "unknown", "138****2109"),
        (10, "suppressed", "138****2110"),
    ]
    assert rows[1]["premises"] == "premises 1"
    assert rows[1]["reason"] == "no-such-number"
    assert rows[2]["unit"] == "延边支队"
    assert rows[2]["place_name"] == "延吉市"


def test_pages_join_without_loss_or_repeat(inst: Installation, campaign: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = [r["n"] for r in unreached(inst, campaign)]
    page = stored.unreached_page
    monkeypatch.setattr(stored, "unreached_page", lambda conn, c, after: page(conn, c, after)[:1])
    assert [r["n"] for r in unreached(inst, campaign)] == whole


def test_premises_count_as_missed_only_where_nobody_there_was_reached(inst: Installation, campaign: int) -> None:
    assert [(r["premises"], r["deliveries"]) for r in unreached(inst, campaign, "premises")] == [("premises 3", 1)]


def test_the_csv_opens_in_a_spreadsheet_and_runs_nothing(inst: Installation, campaign: int) -> None:
    lines = list(unreached_csv(inst, campaign))
    assert lines[0].startswith("\ufeff")
    table = list(csv.DictReader(io.StringIO("".join(lines)[1:])))
    assert len(table) == 4
    assert table[1]["name"] == "'=HYPERLINK(1)"


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_every_start_of_a_formula_is_guarded(start: str) -> None:
    assert guarded(f"{start}1") == f"'{start}1"
    assert guarded("1=1") == "1=1"


def test_an_unknown_campaign_or_kind_is_refused_before_a_line_is_written(inst: Installation, campaign: int) -> None:
    with pytest.raises(NotFound):
        unreached(inst, 99)
    with pytest.raises(BadInput):
        unreached_csv(inst, campaign, "weather")


def test_one_page_holds_so_many_and_goes_on_where_the_last_one_ended(inst: Installation, campaign: int) -> None:
    first = unreached_page(inst, campaign, 0, 3)
    assert [row["n"] for row in first] == [4, 7, 9]
    assert [row["n"] for row in unreached_page(inst, campaign, 9, 3)] == [10]
    assert unreached_page(inst, campaign, 10**30, 3) == []
    assert first[1]["number"] == "138****2107"
    with pytest.raises(NotFound):
        unreached_page(inst, 10**20, 0, 3)


def test_outcomes_come_with_their_reasons(inst: Installation, campaign: int) -> None:
    assert reasons(inst, campaign) == {"failed": [("no-such-number", 1)]}
    with pytest.raises(NotFound):
        reasons(inst, 10**20)
