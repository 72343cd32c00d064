"""The SMS gateway from the command line."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from broadcaster.deliver import replies
from broadcaster.installation import open_installation
from channels.base import PhoneReply

Call = Callable[..., Any]
KANNEL = {
    "BROADCASTER_SMS_PROVIDER": "kannel",
    "BROADCASTER_KANNEL_URL": "http://127.0.0.1:9/cgi-bin/sendsms",
    "BROADCASTER_KANNEL_USER": "u",
    "BROADCASTER_KANNEL_PASSWORD": "p",
}


@pytest.fixture
def staffed(ready: Call) -> Call:
    for login, role in (("op", "operator"), ("boss", "approver"), ("zhao", "manager")):
        assert ready("user", "add", login, "--name", login, "--role", role, "--json").code == 0
    return ready


def test_status_is_one_object_with_every_part(ready: Call) -> None:
    ended = ready("gateway", "status", "--json")
    assert ended.code == 0, ended.err
    assert set(ended.json) == {
        *("at", "provider", "to_file", "troubles", "providers", "rates", "queue", "failures"),
        *("receipts", "in_doubt", "opt_outs", "replies", "reminders"),
    }
    assert "emergency" in ready("gateway", "status").out


def test_replies_are_listed_masked_and_one_is_shown_whole_or_seen_to(staffed: Call, tmp_path: Path) -> None:
    inst = open_installation(home=tmp_path / "home")
    replies.take(inst, "kannel", PhoneReply("tel:+8617400000001", "着火了", "r1"))
    replies.take(inst, "kannel", PhoneReply("tel:+8617400000002", "退订", "r2"))
    inst.close()
    (row,) = staffed("gateway", "replies", "--as", "op", "--json").json["replies"]
    assert (row["urgent"], row["text"], row["from"]) == (True, "着火了", "174****0001")
    assert len(staffed("gateway", "replies", "--kind", "opt-out", "--as", "op", "--json").json["replies"]) == 1
    assert staffed("gateway", "replies", "--kind", "odd", "--as", "op", "--json").code == 2
    assert staffed("gateway", "reply", row["id"], "--as", "op", "--json").json["from"] == "+8617400000001"
    assert staffed("gateway", "reply", row["id"], "--as", "zhao", "--json").code == 4
    done = ("gateway", "reply", row["id"], "--done", "--as", "op", "--json")
    assert [staffed(*done).json["changed"] for _ in range(2)] == [True, False]
    assert staffed("gateway", "replies", "--as", "op", "--json").json == {"replies": []}
    assert staffed("gateway", "reply", 99, "--as", "op", "--json").code == 1
    shown = staffed("gateway", "opt-outs", "--json").json
    assert [(each["class"], each["n"]) for each in shown["classes"]] == [("promotion", 1)]
    assert shown["newest"][0]["class"] == "promotion"
    assert staffed("gateway", "opt-outs", "--class", "odd", "--json").code == 2


def test_doubt_is_decided_by_an_approver_only(staffed: Call) -> None:
    assert staffed("gateway", "in-doubt", "--as", "op", "--json").json == {"in_doubt": []}
    assert staffed("gateway", "send-again", 1, "--as", "op", "--json").code == 4
    assert staffed("gateway", "leave", 1, "--as", "boss", "--json").code == 1


def test_addresses_tell_what_to_enter_and_what_is_missing(ready: Call) -> None:
    told = ready("gateway", "addresses", "--json", **KANNEL).json
    assert "BROADCASTER_PUBLIC_URL" in told["missing"]
    assert told["providers"][0]["replies"] is None
    told = ready("gateway", "addresses", "--json", **KANNEL, BROADCASTER_PUBLIC_URL="https://sms.example").json
    assert told["missing"] == ""
    (row,) = told["providers"]
    assert row["replies"].startswith("https://sms.example/callbacks/sms/kannel/inbound?key=")
    assert row["receipts"] is None
    unset = ready("gateway", "addresses", "--json", BROADCASTER_SMS_PROVIDER="kannel").json["providers"][0]
    assert "BROADCASTER_KANNEL_USER" in unset["missing"]


def test_a_link_test_without_a_provider_says_where_it_was_written(staffed: Call, tmp_path: Path) -> None:
    ended = staffed("gateway", "test", "--to", "+86 174 0000 0001", "--as", "op", "--json")
    assert ended.code == 0, ended.err
    assert ended.json["code"] in ended.json["text"] and ended.json["text"].startswith("【")
    written = json.loads(Path(ended.json["to_file"]).read_text(encoding="utf-8"))
    assert (written["to"], written["delivery"]) == ("tel:+8617400000001", ended.json["test"])
    assert "goes to nobody" in staffed("gateway", "test", "--to", "17400000001", "--as", "op").err


def test_a_link_test_over_a_dead_provider_ends_with_5_and_a_bad_one_with_2_or_4(staffed: Call) -> None:
    ended = staffed("gateway", "test", "--to", "17400000001", "--as", "op", "--json", **KANNEL)
    assert ended.code == 5, ended.err
    assert ended.json["answer"]["reason"] == "not-connected"
    assert staffed("gateway", "test", "--to", "12", "--as", "op", "--json").code == 2
    flags = ("gateway", "test", "--to", "17400000001", "--json")
    assert staffed(*flags, "--as", "op", "--provider", "twilio").code == 2
    assert staffed(*flags, "--as", "boss").code == 4
    pulled = staffed(*flags, "--as", "op", BROADCASTER_SMS_PROVIDER="pull")
    assert (pulled.code, pulled.json["error"]["code"]) == (4, "link-test-pull")


def test_doctor_builds_the_providers_and_names_the_setting_that_is_wrong(ready: Call) -> None:
    def sms(**given: str) -> Any:
        return next(check for check in ready("doctor", "--json", **given).json["checks"] if check["name"] == "sms")

    assert sms()["ok"] and "spool" in sms()["detail"]
    wrong = sms(BROADCASTER_SMS_PROVIDER="kannel")
    assert not wrong["ok"] and "BROADCASTER_KANNEL_USER" in wrong["detail"] and wrong["fix"]
    assert sms(**KANNEL)["ok"]
    dead = sms(**KANNEL, BROADCASTER_KANNEL_STATUS_URL="http://127.0.0.1:9/status.xml?password=x")
    assert not dead["ok"] and "password" not in dead["detail"]
