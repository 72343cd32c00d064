"""The demo: one command, one campaign, every count equal to what the ledger file holds."""

import json
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import phonenumbers
import pytest

from broadcaster.cli import demo_data
from broadcaster.cli.demo import ending
from broadcaster.model import BadInput, Outcome, PremisesCategory
from channels import CHANNELS

Call = Callable[..., Any]
Furnished = tuple[Call, Path, dict[str, Any]]
Spawn = Callable[..., subprocess.Popen[bytes]]
KEYS = {"campaign", "planned", "outcomes", "channels", "parts", "ledger", "ledger_lines", "seconds", "per_second"}
VILLAGES = [
    f"22{county}{township:03}{village:03}"
    for county in ("0102", "2401")
    for township in (1, 2)
    for village in range(1, 9)
]


def until(true: Callable[[], Any], seconds: float = 60) -> Any:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := true():
            return found
        time.sleep(0.02)
    raise AssertionError(f"not within {seconds} s")


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def words(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def test_the_answer_has_the_keys_of_the_door(furnished: Furnished) -> None:
    _, _, found = furnished
    assert set(found) == KEYS
    assert set(found["seconds"]) >= {"import", "submit", "fan_out", "send", "total"}
    assert set(found["outcomes"]) == {str(word) for word in Outcome}
    assert set(found["channels"]) == set(CHANNELS)
    assert found["planned"] == 200 + 60 + 20 + 2
    assert found["outcomes"]["accepted"] == found["planned"]
    for word in Outcome:
        assert sum(channel[word] for channel in found["channels"].values()) == found["outcomes"][word]


def test_the_ledger_holds_one_line_for_each_accepted_sms_and_post(furnished: Furnished) -> None:
    _, _, found = furnished
    lines = [json.loads(line) for line in Path(found["ledger"]).read_text(encoding="utf-8").splitlines()]
    mine = [line for line in lines if line["delivery"].startswith(f"{found['campaign']}-")]
    pushed = found["channels"]["sms"]["accepted"] + found["channels"]["social"]["accepted"]
    assert len(mine) == found["ledger_lines"] == pushed == 202
    assert all(set(line) == {"delivery", "to", "text", "parts", "at"} for line in mine)
    assert len({line["delivery"] for line in mine}) == len(mine)
    assert Counter(line["to"].partition(":")[0] for line in mine) == {"tel": 200, "wecom": 2}
    sms_parts = sum(line["parts"] for line in mine if line["to"].startswith("tel:"))
    assert found["parts"] == sms_parts


def test_counters_equal_rows_and_the_audit_chain_holds(furnished: Furnished) -> None:
    call, _, found = furnished
    assert call("recount", found["campaign"], "--json").json == {"equal": True, "differences": []}
    assert call("audit", "verify", "--json").json["ok"] is True
    for by in ("channel", "place", "unit", "category", "language", "outcome"):
        counted = call("counts", found["campaign"], "--by", by, "--json").json
        assert sum(row["planned"] for row in counted["by"]) == counted["planned"] == found["planned"]


def test_the_campaign_is_finished_and_two_people_made_it(furnished: Furnished) -> None:
    call, _, found = furnished
    shown = call("campaign", "show", found["campaign"], "--json").json
    assert shown["state"] == "finished"
    assert shown["author"] != shown["approver"]


def test_a_second_run_makes_a_new_campaign_for_the_same_recipients(furnished: Furnished) -> None:
    call, _, found = furnished
    ended = call("demo", "--once", "--recipients", 200, "--speakers", 60, "--boards", 20, "--json", timeout=200)
    assert ended.code == 0, ended.err
    assert ended.json["campaign"] > found["campaign"]
    assert ended.json["planned"] == found["planned"]
    assert ended.json["ledger_lines"] == 202
    assert call("recount", ended.json["campaign"], "--json").json["equal"] is True


def test_a_home_with_somebodys_own_recipients_is_refused(ready: Call, tmp_path: Path) -> None:
    file = tmp_path / "mine.csv"
    file.write_text("phone,name\n13800002119,王丽\n", encoding="utf-8")
    assert ready("recipients", "import", file).code == 0
    ended = ready("demo", "--once", "--recipients", 5, "--json")
    assert ended.code == 4
    assert ended.json["error"]["code"] == "not-a-demo"


def test_a_killed_worker_is_started_again_and_every_delivery_counted(spawn: Spawn, ready: Call) -> None:
    process = spawn("demo", "--once", "--recipients", 4000, "--speakers", 40, "--boards", 4, "--json")
    workers = until(lambda: [pid for pid in children(process.pid) if b"\0work\0" in words(pid)])
    os.kill(workers[0], signal.SIGKILL)
    out, err = process.communicate(timeout=200)
    found = json.loads(out)
    assert process.returncode == 0, err
    assert b"started again" in err
    outcomes = found["outcomes"]
    assert outcomes["accepted"] + outcomes["unknown"] == found["planned"] == 4046
    assert outcomes["unknown"] <= 2 * 100  # one window of each thread that sends
    assert ready("recount", found["campaign"], "--json").json["equal"] is True


def test_failed_deliveries_end_with_3() -> None:
    assert ending({"outcomes": {"failed": 1}}) == 3
    assert ending({"outcomes": {"failed": 0}}) == 0


def test_phones_are_distinct_valid_and_the_same_for_a_seed() -> None:
    made = [row.address for row in demo_data.phones(VILLAGES, 3000, 1)]
    assert made == [row.address for row in demo_data.phones(VILLAGES, 3000, 1)]
    assert made != [row.address for row in demo_data.phones(VILLAGES, 3000, 2)]
    assert len(set(made)) == 3000
    for address in made:
        assert phonenumbers.is_valid_number(phonenumbers.parse(address.removeprefix("tel:")))


def test_more_phones_than_there_are_invented_numbers_is_refused() -> None:
    with pytest.raises(BadInput):
        demo_data.numbers(demo_data.NUMBERS + 1, 0)


def test_a_longer_run_keeps_the_numbers_of_a_shorter_one() -> None:
    assert list(islice(demo_data.numbers(500, 7), 100)) == list(demo_data.numbers(100, 7))


def test_premises_come_in_the_first_users_proportions() -> None:
    made = Counter(each.category for each in demo_data.premises(VILLAGES, demo_data.ENTERPRISES * 4, 1))
    weights = {**demo_data.KNOWN, **demo_data.REST}
    assert set(made) == set(PremisesCategory) == set(weights)
    assert sum(weights.values()) == demo_data.ENTERPRISES
    for category, weight in demo_data.KNOWN.items():
        assert made[category] == pytest.approx(4 * weight, rel=0.25)


def test_no_two_premises_share_name_and_place() -> None:
    made = demo_data.premises(VILLAGES, 5000, 3)
    assert len({(each.name, each.place) for each in made}) == 5000


def test_yanbian_alone_is_addressed_in_korean() -> None:
    phones = list(demo_data.phones(VILLAGES, 2000, 1))
    assert {row.place[:4] for row in phones if row.languages == "ko"} == {demo_data.YANBIAN}
    spoken = {row.place[:4]: row.languages for row in demo_data.speakers([(code, "村") for code in VILLAGES], 1)}
    assert spoken == {"2201": "zh-CN", "2224": "zh-CN+ko"}
