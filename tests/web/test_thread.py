"""The whole thread through the pages, as people do it: write, submit, approve as another person, count, play."""

import re
import time
from collections.abc import Callable
from html import unescape
from typing import Any

from broadcaster.compose import campaigns
from broadcaster.installation import Installation
from broadcaster.reach.counts import counts, recount

SignIn = Callable[[str], Any]

FIELDS: dict[str, Any] = {
    "template_set": "fire-safety-reopening",
    "name": "春节后开业检查",
    "mode": "live",
    "level": "",
    "fact.holiday.zh-CN": "春节",
    "fact.holiday.ko": "설 연휴",
    "fact.holiday.en": "the Spring Festival",
    "places": ["220000000000"],
    "channels": ["sms", "loudspeaker", "billboard", "social"],
}


def submitted(author: Any) -> int:
    author.see("/campaigns/new?set=fire-safety-reopening")
    answer = author.send("/campaigns/new", {**FIELDS, "do": "submit"})
    assert answer.status_code == 303, unescape(re.sub(r"<[^>]+>", " ", answer.text))[:3000]
    return int(answer.headers["location"].rpartition("/")[2])


def until(true: Callable[[], bool], seconds: float = 20) -> None:
    ends = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < ends, "it did not come to that in time"
        time.sleep(0.05)


def test_one_campaign_goes_from_the_form_to_the_counts(signed_in: SignIn, town: Any, working: None) -> None:
    author, approver = signed_in("wang"), signed_in("li")
    number = submitted(author)

    own = author.see(f"/campaigns/{number}")
    assert f"/campaigns/{number}/approve" not in own, "the author is not offered the button"
    read = approver.see(f"/campaigns/{number}")
    assert "播发给 6 部手机、2 个喇叭、1 块屏幕、1 个群" in read
    assert len(re.findall(r"<audio ", read)) == 2, "each clip can be heard"
    assert f"/campaigns/{number}/boards/" in read
    digest = re.search(r'name="digest" value="([0-9a-f]{64})"', read)
    assert digest

    answer = approver.send(f"/campaigns/{number}/approve", {"digest": digest[1]})
    assert answer.headers["location"] == f"/campaigns/{number}/counts"
    until(lambda: campaigns.find(town.inst, number).state == "finished")
    found = counts(town.inst, number)
    assert found["outcomes"]["accepted"] == found["planned"] == 10
    assert recount(town.inst, number)["equal"]

    for cut in ("place", "unit", "category", "language"):
        page = approver.see(f"/campaigns/{number}/counts?by={cut}")
        assert "data-still" in page
    assert "南关区" in approver.see(f"/campaigns/{number}/counts?by=place")
    assert "吉林总队" in approver.see(f"/campaigns/{number}/counts?by=unit")


def _approve(inst: Installation, signed_in: SignIn, number: int) -> None:
    approver = signed_in("li")
    approver.see(f"/campaigns/{number}")
    sealed = campaigns.find(inst, number).sealed_digest
    assert approver.send(f"/campaigns/{number}/approve", {"digest": sealed}).status_code == 303
    until(lambda: campaigns.find(inst, number).state == "finished")


def test_the_author_cannot_approve_even_by_hand(signed_in: SignIn, town: Any) -> None:
    author = signed_in("wang")
    number = submitted(author)
    author.see(f"/campaigns/{number}")
    digest = campaigns.find(town.inst, number).sealed_digest
    answer = author.send(f"/campaigns/{number}/approve", {"digest": digest})
    assert answer.status_code == 403
    assert campaigns.find(town.inst, number).state == "submitted"


def test_what_the_approver_did_not_read_does_not_go(signed_in: SignIn, town: Any) -> None:
    number = submitted(signed_in("wang"))
    approver = signed_in("li")
    approver.see(f"/campaigns/{number}")
    for digest in ("", "0" * 64):
        answer = approver.send(f"/campaigns/{number}/approve", {"digest": digest})
        assert answer.status_code == 403
        assert "内容已经变了" in answer.text
    assert campaigns.find(town.inst, number).state == "submitted"


def test_a_return_needs_a_reason_and_the_author_reads_it(signed_in: SignIn, town: Any) -> None:
    author, approver = signed_in("wang"), signed_in("li")
    number = submitted(author)
    approver.see(f"/campaigns/{number}")
    assert approver.send(f"/campaigns/{number}/return", {"reason": " "}).status_code == 422
    assert approver.send(f"/campaigns/{number}/return", {"reason": "日期不对"}).status_code == 303
    assert "日期不对" in author.see("/")
    author.see(f"/campaigns/{number}/edit")
    again = author.send(
        f"/campaigns/{number}/edit",
        {**FIELDS, "version": str(campaigns.find(town.inst, number).version), "name": "改好的", "do": "submit"},
    )
    assert again.status_code == 303
    assert campaigns.find(town.inst, number).name == "改好的"


def test_a_stale_page_cannot_overwrite_what_somebody_else_wrote(signed_in: SignIn, town: Any) -> None:
    author = signed_in("wang")
    number = submitted(author)
    version = str(campaigns.find(town.inst, number).version)
    author.see(f"/campaigns/{number}/edit")
    assert author.send(f"/campaigns/{number}/edit", {**FIELDS, "version": version, "do": "save"}).status_code == 303
    stale = author.send(f"/campaigns/{number}/edit", {**FIELDS, "version": version, "name": "旧", "do": "save"})
    assert stale.status_code == 403
    assert 'value="旧"' in stale.text, "what was typed is not lost"
    assert campaigns.find(town.inst, number).name != "旧"


def test_cancel_stops_it_and_empties_the_feeds(signed_in: SignIn, town: Any, working: None) -> None:
    author = signed_in("wang")
    number = submitted(author)
    _approve(town.inst, signed_in, number)
    manifest = f"/feeds/speakers/{town.speaker}/manifest.json"
    until(lambda: len(author.client.get(manifest).json()["items"]) == 1, 5)
    author.see(f"/campaigns/{number}/counts")
    assert author.send(f"/campaigns/{number}/cancel", {"reason": ""}).status_code == 422
    assert author.send(f"/campaigns/{number}/cancel", {"reason": "发错了"}).status_code == 303
    until(lambda: author.client.get(manifest).json()["items"] == [], 5)
    assert "发错了" in author.see(f"/campaigns/{number}")


def test_a_correction_begins_as_a_draft_that_names_what_it_corrects(
    signed_in: SignIn, town: Any, working: None
) -> None:
    author = signed_in("wang")
    number = submitted(author)
    _approve(town.inst, signed_in, number)
    author.see(f"/campaigns/{number}")
    answer = author.send(f"/campaigns/{number}/correct")
    assert answer.status_code == 303
    assert "更正" in author.see(answer.headers["location"])
    made = int(answer.headers["location"].split("/")[2])
    assert f'href="/campaigns/{number}"' in author.see(f"/campaigns/{made}")


def test_preview_shows_each_channel_and_keeps_nothing(signed_in: SignIn, town: Any) -> None:
    author = signed_in("wang")
    author.see("/campaigns/new?set=fire-safety-reopening")
    answer = author.send("/campaigns/new", {**FIELDS, "do": "preview"})
    assert answer.status_code == 200
    for channel in FIELDS["channels"]:
        assert f'id="preview-{channel}"' in answer.text
    assert "【吉林消防】" in answer.text
    picture = re.search(r'src="(/preview/board\.png\?[^"]+)"', answer.text)
    assert picture
    shown = author.client.get(unescape(picture[1]))
    assert shown.headers["content-type"] == "image/png"
    assert shown.content.startswith(b"\x89PNG")
    assert campaigns.listed(town.inst, _user(town.inst, "wang")) == []


def test_a_picture_of_a_board_has_bounds(signed_in: SignIn) -> None:
    author = signed_in("wang")
    for format, status in (("128x32", 200), ("16384x16384", 422), ("x", 422), ("128x32/16/gb18030/dance", 422)):
        answer = author.client.get("/preview/board.png", params={"text": "火", "format": format})
        assert answer.status_code == status, format
    assert author.client.get("/preview/board.png", params={"text": "x" * 2000}).status_code == 422


def _user(inst: Installation, login: str) -> Any:
    from broadcaster.people import find_user

    return find_user(inst, login)


def test_what_is_wrong_leads_to_its_field_and_nothing_typed_is_lost(signed_in: SignIn, town: Any) -> None:
    author = signed_in("wang")
    author.see("/campaigns/new?set=forest-fire-ban")
    wrong = {
        **FIELDS,
        "template_set": "forest-fire-ban",
        "mode": "",
        "fact.starts": "2027-05-31",
        "fact.ends": "2027-03-15",
        "do": "preview",
    }
    answer = author.send("/campaigns/new", wrong)
    assert answer.status_code == 422
    assert 'href="#mode"' in answer.text
    answer = author.send("/campaigns/new", {**wrong, "mode": "live"})
    assert answer.status_code == 422
    assert '<a href="#fact-ends">到哪天止: 日期的先后不对</a>' in answer.text
    assert 'id="fact-ends"' in answer.text
    assert 'value="2027-05-31"' in answer.text
    assert 'value="春节后开业检查"' in answer.text


def test_places_are_picked_by_search_and_from_the_tree_without_script(signed_in: SignIn) -> None:
    author = signed_in("wang")
    fields = {**FIELDS, "places": []}
    author.see("/campaigns/new?set=fire-safety-reopening")
    found = author.send("/campaigns/new", {**fields, "search": "延吉", "do": "look"}).text
    assert 'value="add:222401000000"' in found
    opened = author.send("/campaigns/new", {**fields, "do": "open:220100000000"}).text
    assert 'value="add:220102000000"' in opened
    added = author.send("/campaigns/new", {**fields, "do": "add:220102000000"}).text
    assert '<input type="hidden" name="places" value="220102000000">' in added
    without = author.send("/campaigns/new", {**FIELDS, "do": "except:222401000000"}).text
    assert '<input type="hidden" name="exclude_places" value="222401000000">' in without
    dropped = author.send("/campaigns/new", {**FIELDS, "do": "drop:220000000000"}).text
    assert 'name="places"' not in dropped


def test_an_empty_form_is_told_all_at_once_in_the_language_of_the_page(signed_in: SignIn) -> None:
    author = signed_in("wang")
    author.see("/campaigns/new?set=forest-fire-ban")
    empty = {"template_set": "forest-fire-ban", "name": "", "mode": "", "channels": ["sms"]}
    for do in ("preview", "submit"):
        answer = author.send("/campaigns/new", {**empty, "do": do})
        assert answer.status_code == 422
        told = answer.text[answer.text.index('id="told"') : answer.text.index("</ul>", answer.text.index('id="told"'))]
        for field in ("name", "mode", "fact-starts", "fact-ends", "audience"):
            assert f'href="#{field}"' in told, (do, field)
        assert re.search("[a-z]{4,} [a-z]{2,}", re.sub("<[^>]+>", " ", told)) is None, "no English in a Chinese page"


def test_another_language_keeps_what_was_typed(signed_in: SignIn) -> None:
    author = signed_in("wang")
    author.see("/campaigns/new?set=fire-safety-reopening")
    shown = author.send("/campaigns/new", {**FIELDS, "do": "preview"}).text
    button = re.search(r'<button form="compose" name="do" value="(\w+)" formaction="([^"]+lang=ko)"', shown)
    assert button
    assert 'href="?lang=' not in shown
    korean = author.send(button[2], {**FIELDS, "do": button[1]}).text
    assert '<html lang="ko"' in korean
    assert 'value="春节后开业检查"' in korean
    assert 'id="preview-sms"' in korean, "nor is the preview lost"


def test_the_approver_reads_the_planned_parts_of_somebody_real(signed_in: SignIn, town: Any) -> None:
    with town.inst.store.write() as conn:
        conn.exec_driver_sql("UPDATE recipient SET name = '买买提江·吐尔逊江·阿卜杜热合曼' WHERE name = '张3'")
    number = submitted(signed_in("wang"))
    read = signed_in("li").see(f"/campaigns/{number}")
    with town.inst.store.read() as conn:
        [total, least, most] = conn.exec_driver_sql(
            "SELECT sum(d.parts), min(d.parts), max(d.parts) FROM delivery d JOIN wording w ON w.id = d.wording_id "
            "WHERE w.channel = 'sms' AND w.languages = 'zh-CN'"
        ).one()
    assert least < most
    assert f"每部 {least}–{most} 条，共 {total} 条" in read
    assert "阿卜杜热合曼" in read
    assert "张伟" not in read
    texts = read[: read.index("channel-loudspeaker")]
    assert texts.index("5 部手机") < texts.index("1 部手机"), "what most people get comes first"


def test_an_exercise_is_marked_on_each_of_its_pages(signed_in: SignIn, town: Any) -> None:
    author = signed_in("wang")
    author.see("/campaigns/new?set=fire-safety-reopening")
    fields = {**FIELDS, "mode": "exercise", "channels": ["sms"]}
    preview = author.send("/campaigns/new", {**fields, "do": "preview"}).text
    number = author.send("/campaigns/new", {**fields, "do": "submit"}).headers["location"].rpartition("/")[2]
    pages = [author.see(f"/campaigns/{number}{more}") for more in ("", "/edit", "/counts")]
    for page in [preview, *pages]:
        assert 'class="exercise"' in page
        assert 'class="watermark"' in page
    assert 'class="exercise"' not in author.see("/")


def test_the_operator_plays_it_and_says_so(signed_in: SignIn, town: Any, working: None) -> None:
    number = submitted(signed_in("wang"))
    _approve(town.inst, signed_in, number)
    operator = signed_in("jin")
    first = operator.client.get("/", follow_redirects=True)
    assert first.url.path == "/operator"
    here = f"/operator/devices/{town.speaker_id}"
    assert here in first.text
    page = operator.see(here)
    clip = re.search(r'<audio [^>]*src="([^"]+)"', page)
    assert clip
    assert operator.client.get(clip[1]).headers["content-type"] == "audio/mpeg"
    assert operator.send(f"{here}/said", {"campaign": str(number), "word": "done"}).status_code == 303
    assert "已播放 ✓" in operator.see(here)
    assert counts(town.inst, number)["proofs"]["played"] == 1
    operator.see(f"/operator/devices/{town.korean_speaker_id}", 404)


def test_a_device_page_needs_no_account(anybody: Any, signed_in: SignIn, town: Any, working: None) -> None:
    number = submitted(signed_in("wang"))
    _approve(town.inst, signed_in, number)
    page = anybody.get(f"/play/{town.korean_speaker}")
    assert 'lang="ko"' in page.text
    said = f"/play/{town.korean_speaker}/said"
    no_reason = anybody.post(said, data={"campaign": number, "word": "failed", "reason": ""})
    assert no_reason.status_code == 422
    told = anybody.post(said, data={"campaign": number, "word": "failed", "reason": "停电"}, follow_redirects=False)
    assert told.status_code == 303
    assert counts(town.inst, number)["outcomes"]["failed"] == 1
    assert anybody.get("/play/" + "x" * 43).status_code == 404
    assert anybody.post("/play/" + "x" * 43 + "/said", data={"campaign": number}).status_code == 404
