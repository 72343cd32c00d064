"""What a new user found: a corrected notice is void, every device can be reached, a word once said is seen, what is on air."""

import json
import re
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from broadcaster import audit, devices, people
from broadcaster.compose import campaigns
from broadcaster.compose.campaigns import Campaign
from broadcaster.compose.recipients import NewRecipient, add_recipients
from broadcaster.deliver import operators
from broadcaster.deliver.runner import run_workers
from broadcaster.installation import Installation
from broadcaster.model import NotFound
from broadcaster.reach.counts import counts, recount
from broadcaster.reach.unreached import unreached

SignIn = Callable[[str], Any]
HUGE = 99999999999999999999


def run(inst: Installation) -> None:
    stop = threading.Event()
    thread = threading.Thread(target=run_workers, args=(inst, stop, "trial"))
    thread.start()
    ends = time.monotonic() + 30
    try:
        while any(each.state in {"approved", "running"} for each in campaigns.listed(inst, author(inst))):
            assert time.monotonic() < ends
            time.sleep(0.05)
    finally:
        stop.set()
        thread.join(30)


def author(inst: Installation) -> people.User:
    return people.find_user(inst, "wang")


def let_go(inst: Installation, number: int) -> Campaign:
    """Submitted by its author, approved by another person."""
    digest = campaigns.submit(inst, author(inst), number).sealed_digest
    return campaigns.approve(inst, people.find_user(inst, "li"), number, digest)


@pytest.fixture
def sent(town: Any, draft: int) -> int:
    let_go(town.inst, draft)
    run(town.inst)
    return draft


def corrected(inst: Installation, number: int) -> int:
    return campaigns.correct(inst, author(inst), number, None, "fire-safety-reopening").id


def test_a_corrected_notice_is_void_and_leads_to_its_correction(
    anybody: TestClient, signed_in: SignIn, calls: Callable[..., Any], town: Any, sent: int
) -> None:
    before = campaigns.find(town.inst, sent)
    facts = dict(before.facts)
    made = campaigns.correct(town.inst, author(town.inst), sent, facts, before.template_set)
    page = anybody.get(f"/c/{before.public_id}").text
    assert "已作废" not in page, "a draft corrects nothing yet"
    assert calls("wang", "GET", f"/campaigns/{sent}").json()["corrected_by"] is None
    let_go(town.inst, made.id)
    after = campaigns.find(town.inst, made.id)
    page = anybody.get(f"/c/{before.public_id}").text
    assert "已作废" in page
    assert f'href="/c/{after.public_id}"' in page
    assert "<audio" not in page
    outside = re.sub(r"<details>.*?</details>", "", page, flags=re.DOTALL)
    assert "<s>" in page
    assert 'class="text"' not in outside
    assert "有效到" not in page
    assert "已作废" not in anybody.get(f"/c/{after.public_id}").text
    assert calls("wang", "GET", f"/campaigns/{sent}").json()["corrected_by"] == made.id
    assert calls("wang", "GET", "/campaigns").json()["items"][1]["corrected_by"] == made.id
    browser = signed_in("wang")
    for path in (f"/campaigns/{sent}", f"/campaigns/{sent}/counts", "/"):
        assert f"已作废：由第 {made.id} 号播发更正" in browser.see(path)


def test_a_correction_that_was_stopped_corrects_nothing(anybody: TestClient, town: Any, sent: int) -> None:
    made = corrected(town.inst, sent)
    let_go(town.inst, made)
    assert campaigns.find(town.inst, sent).corrected_by == made
    campaigns.cancel(town.inst, author(town.inst), made, "又错了")
    assert campaigns.find(town.inst, sent).corrected_by is None
    assert "已作废" not in anybody.get(f"/c/{campaigns.find(town.inst, sent).public_id}").text


@pytest.fixture
def many(town: Any) -> list[int]:
    """120 more speakers in one village, and an operator whose unit has all places."""
    rows = [
        NewRecipient("loudspeaker", f"speaker:many-{n}", "222401001001", f"喇叭{n:03}", "zh-CN+ko") for n in range(120)
    ]
    add_recipients(town.inst, rows)
    with town.inst.store.read() as conn:
        found = conn.exec_driver_sql("SELECT id FROM recipient WHERE name LIKE '喇叭%' ORDER BY id")
        ids = [int(row[0]) for row in found]
    devices.enrol(town.inst, "system", ids)
    people.add_user(town.inst, "system", "pu", "朴播放", ["operator"], "corps")
    return ids


def test_an_operator_of_many_devices_reaches_each(signed_in: SignIn, many: list[int]) -> None:
    browser, seen, path, pages = signed_in("pu"), set(), "/operator", 0
    while path:
        page = browser.see(path)
        assert "共 123 台设备" in page
        seen |= {int(number) for number in re.findall(r"/operator/devices/(\d+)", page)}
        following = re.search(r'rel="next" href="([^"]+)"', page)
        path = "/operator" + following[1].replace("&amp;", "&") if following else ""
        pages += 1
    assert pages == 3
    assert seen >= set(many)
    assert len(seen) == 123
    assert 'rel="prev"' in page


def test_devices_are_found_by_name_place_code_and_county(signed_in: SignIn, town: Any, many: list[int]) -> None:
    browser = signed_in("pu")

    def found(**asked: str) -> set[int]:
        page = browser.client.get("/operator", params=asked).text
        return {int(number) for number in re.findall(r"/operator/devices/(\d+)", page)}

    assert found(q="喇叭007") == {many[7]}
    assert found(q="白玉 喇叭119") == {many[119]}
    assert town.speaker_id in found(q="220102")
    assert found(q="长春") == found(county="220102000000") == found(q="华阳")
    assert many[5] in found(q=str(many[5])), "its number"
    assert found(q="%") == set()
    assert "没有找到设备" in browser.client.get("/operator", params={"q": "无此"}).text
    assert len(found(county="222401000000", page="3")) == 21


def test_an_operator_does_not_find_devices_of_other_places(signed_in: SignIn, town: Any, many: list[int]) -> None:
    page = signed_in("jin").see("/operator?county=222401000000")
    assert f"/operator/devices/{many[0]}" not in page
    assert f"/operator/devices/{town.speaker_id}" in page


def test_devices_with_something_to_play_come_first_and_count_down(
    signed_in: SignIn, town: Any, sent: int, many: list[int]
) -> None:
    browser = signed_in("pu")
    page = browser.see("/operator")
    first = re.findall(r"/operator/devices/(\d+)", page)[:3]
    assert set(map(int, first)) >= {town.speaker_id, town.korean_speaker_id}
    assert page.count("1 条要播放") == 3
    here = f"/operator/devices/{town.speaker_id}"
    browser.see(here)
    browser.send(f"{here}/said", {"campaign": str(sent), "word": "done"})
    page = browser.see("/operator")
    assert page.count("1 条要播放") == 2
    assert page.count("都已报告") == 1


@pytest.mark.parametrize(
    ("word", "shown"), [("done", "已播放 ✓ 20"), ("failed", "没有播放：停电")], ids=["played", "not-played"]
)
def test_a_word_is_seen_at_once_though_nobody_has_folded_it(
    signed_in: SignIn, town: Any, sent: int, monkeypatch: pytest.MonkeyPatch, word: str, shown: str
) -> None:
    monkeypatch.setattr(operators, "fold", lambda *_, **__: 0)
    browser, here = signed_in("jin"), f"/operator/devices/{town.speaker_id}"
    assert 'class="main-act big"' in browser.see(here)
    browser.send(f"{here}/said", {"campaign": str(sent), "word": word, "reason": "停电"})
    page = browser.see(here)
    assert shown in page
    assert ("再次播放" in page) == (word == "done")
    assert ('class="main-act big"' in page) == (word == "failed")
    assert browser.see("/operator").count("1 条要播放") == 1, "the board alone"


def test_what_an_operator_says_is_in_the_audit_with_their_name(signed_in: SignIn, town: Any, sent: int) -> None:
    browser, here = signed_in("jin"), f"/operator/devices/{town.speaker_id}"
    browser.see(here)
    browser.send(f"{here}/said", {"campaign": str(sent), "word": "failed", "reason": "停电"})
    browser.send(f"{here}/said", {"campaign": str(sent), "word": "done"})
    with town.inst.store.read() as conn:
        rows = conn.exec_driver_sql(
            "SELECT actor, action, object, detail FROM audit WHERE action LIKE 'play.%' ORDER BY seq"
        ).all()
    device = town.speaker_id
    assert [(who, act, what, json.loads(detail)) for who, act, what, detail in rows] == [
        ("jin", "play.failed", f"campaign/{sent}", {"device": device, "event": "failed"}),
        ("jin", "play.done", f"campaign/{sent}", {"device": device, "event": "finished"}),
    ]
    assert "报告没有播放" in signed_in("sun").see("/audit")


def test_a_word_that_cannot_be_audited_is_not_kept(town: Any, sent: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("no audit")

    monkeypatch.setattr(audit, "record", broken)
    device = devices.find(town.inst, town.speaker_id)
    with pytest.raises(RuntimeError):
        operators.said(town.inst, device, sent, "", "jin")
    assert not operators.to_play(town.inst, device)[0].done


def test_home_says_what_is_on_air_until_it_is_stopped(signed_in: SignIn, town: Any, sent: int) -> None:
    assert campaigns.find(town.inst, sent).state == "finished"
    browser = signed_in("wang")
    page = browser.see("/")
    section = page[page.index('id="on-air"') : page.index('id="running"')]
    assert "2 个喇叭、1 块屏幕" in " ".join(section.split()).replace("</span>", "").replace('<span class="number">', "")
    assert "为止" in section
    link = re.search(r'href="(/campaigns/\d+\?stop=1)#stop"', section)
    assert link
    assert 'id="stop" open' in browser.see(link[1])
    assert "?stop=1" not in signed_in("zhao").see("/"), "a manager may not stop it"
    browser.send(f"/campaigns/{sent}/cancel", {"reason": "错了"})
    assert 'id="on-air"' not in browser.see("/")


def test_a_manager_sees_who_was_not_reached_and_takes_the_list_along(signed_in: SignIn, town: Any, sent: int) -> None:
    with town.inst.store.write() as conn:
        conn.exec_driver_sql(
            "UPDATE delivery SET outcome = 'failed', reason = 'no-such-number' WHERE channel = 'sms' AND n % 2 = 0"
        )
        missed = conn.exec_driver_sql("SELECT count(*) FROM delivery WHERE outcome = 'failed'").scalar_one()
    manager = signed_in("zhao")
    page = manager.see(f"/campaigns/{sent}/counts")
    listed = page[page.index('id="unreached"') :]
    assert listed.count("no-such-number") == missed > 0
    assert "欧亚商场" in listed
    assert "1740000" not in listed
    by_outcome = manager.see(f"/campaigns/{sent}/counts?by=outcome")
    cuts = by_outcome[by_outcome.index('id="cuts"') : by_outcome.index('id="unreached"')]
    assert f"no-such-number: {missed}" in cuts
    assert "南关区" not in cuts
    file = manager.client.get(f"/campaigns/{sent}/unreached.csv")
    assert file.headers["content-type"].startswith("text/csv")
    assert len(file.text.splitlines()) == missed + 1
    assert signed_in("jin").client.get(f"/campaigns/{sent}/unreached.csv").status_code == 403
    assert signed_in("jin").client.get(f"/campaigns/{sent}/counts").status_code == 403


def test_those_not_reached_are_paged(signed_in: SignIn, town: Any, sent: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with town.inst.store.write() as conn:
        conn.exec_driver_sql("UPDATE delivery SET outcome = 'failed', reason = 'gone'")
    monkeypatch.setattr("broadcaster.web.console.campaign.UNREACHED_PAGE", 4)
    manager, path, sizes = signed_in("zhao"), f"/campaigns/{sent}/counts?by=unit", []
    while path:
        page = manager.see(path)
        sizes.append(page[page.index('id="unreached"') :].count(">gone<"))
        following = re.search(r'rel="next" href="([^"#]+)', page)
        path = f"/campaigns/{sent}/counts" + following[1].replace("&amp;", "&") if following else ""
    assert sizes == [4, 4, 2]


@pytest.mark.parametrize("number", [0, -1, 2**31, HUGE])
def test_a_number_that_no_campaign_can_have_is_not_found(
    signed_in: SignIn, calls: Callable[..., Any], town: Any, number: int
) -> None:
    browser = signed_in("sun")
    for more in ("", "/counts", "/unreached.csv"):
        browser.see(f"/campaigns/{number}{more}", 404)
    for act in ("submit", "approve", "cancel"):
        answer = browser.send(f"/campaigns/{number}/{act}", {"reason": "x"})
        assert answer.status_code in {403, 404}
    for more in ("", "/counts", "/recount", "/events", "/wordings"):
        assert calls("sun", "GET", f"/campaigns/{number}{more}").status_code == 404
    for look in (campaigns.find, counts, recount, unreached):
        with pytest.raises(NotFound):
            look(town.inst, number)
    with pytest.raises(NotFound):
        campaigns.cancel(town.inst, author(town.inst), number, "x")


def test_other_numbers_that_are_too_large_are_no_fault_of_the_program(signed_in: SignIn) -> None:
    signed_in("jin").see(f"/operator/devices/{HUGE}", 404)
    signed_in("sun").see(f"/audit?before={HUGE}", 422)


def test_a_name_has_a_length(calls: Callable[..., Any], new_draft: dict[str, Any]) -> None:
    assert calls("wang", "POST", "/campaigns", json={**new_draft, "name": "长" * 120}).status_code == 201
    answer = calls("wang", "POST", "/campaigns", json={**new_draft, "name": "长" * 121})
    assert answer.status_code == 422
    assert answer.json()["code"] == "name-too-long"


def test_a_correction_of_a_long_name_keeps_within_it(calls: Callable[..., Any], town: Any, sent: int) -> None:
    with town.inst.store.write() as conn:
        conn.exec_driver_sql(f"UPDATE campaign SET name = '{'长' * 120}' WHERE id = {sent}")
    answer = calls("wang", "POST", f"/campaigns/{sent}/correct", json={})
    assert answer.status_code == 201
    assert answer.json()["name"].startswith("更正：长")
