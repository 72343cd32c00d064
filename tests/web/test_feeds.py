"""What devices fetch and say."""

import hashlib
import json
import re
import time
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

import pytest
from fastapi.testclient import TestClient

from broadcaster import people
from broadcaster.compose import campaigns
from broadcaster.deliver.folding import fold
from broadcaster.reach.counts import counts
from broadcaster.settings import Settings

FEEDS = ("/feeds/speakers/{speaker}/manifest.json", "/feeds/speakers/{speaker}/playlist.m3u", "/feeds/speakers/{speaker}/feed.rss",
         "/feeds/boards/{board}.txt", "/feeds/boards/{board}.json", "/feeds/boards/{board}.xml", "/feeds/boards/{board}.html")  # fmt: skip


@pytest.fixture
def sent(town: Any, calls: Callable[..., Any], draft: int, working: None) -> int:
    """A campaign that has reached every feed."""
    inst = town.inst
    digest = calls("wang", "POST", f"/campaigns/{draft}/submit").json()["digest"]
    campaigns.approve(inst, people.find_user(inst, "li"), draft, digest)
    ends = time.monotonic() + 20
    while campaigns.find(inst, draft).state != "finished":
        assert time.monotonic() < ends
        time.sleep(0.05)
    time.sleep(1.2)  # the server drops changed feeds once a second
    return draft


def url(path: str, town: Any) -> str:
    return path.format(speaker=town.speaker, board=town.board)


@pytest.mark.parametrize("path", FEEDS)
def test_a_feed_is_answered_304_until_it_changes(anybody: TestClient, town: Any, path: str) -> None:
    first = anybody.get(url(path, town))
    assert first.status_code == 200
    assert first.content, "never empty"
    etag = first.headers["etag"]
    for asked in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        again = anybody.get(url(path, town), headers={"if-none-match": asked})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
    other = anybody.get(url(path, town), headers={"if-none-match": '"other"'})
    assert other.status_code == 200
    head = anybody.head(url(path, town))
    assert (head.status_code, head.content, head.headers["etag"]) == (200, b"", etag)
    assert head.headers["content-length"] == str(len(first.content))
    assert head.headers["content-type"] == first.headers["content-type"]


@pytest.mark.parametrize("path", [*FEEDS, "/feeds/speakers/{speaker}/events"])
def test_an_unknown_token_is_not_found_without_a_hint(anybody: TestClient, town: Any, path: str) -> None:
    method = "POST" if path.endswith("events") else "GET"
    answers = [
        anybody.request(method, path.format(speaker=token, board=token))
        for token in ("x" * 43, "x", town.board if "{speaker}" in path else town.speaker)
    ]
    assert [answer.status_code for answer in answers] == [404, 404, 404]
    assert len({answer.text for answer in answers}) == 1


def test_the_manifest_names_the_clip_and_the_clip_is_there(anybody: TestClient, town: Any, sent: int) -> None:
    manifest = anybody.get(url(FEEDS[0], town)).json()
    (item,) = manifest["items"]
    assert item["campaign"] == sent
    path = item["audio"]["url"].removeprefix(town.inst.settings.base_url)
    clip = anybody.get(path)
    assert len(clip.content) == item["audio"]["bytes"]
    assert hashlib.sha256(clip.content).hexdigest() == item["audio"]["sha256"]
    assert path in anybody.get(url(FEEDS[1], town)).text
    enclosure = ElementTree.fromstring(anybody.get(url(FEEDS[2], town)).content).find("channel/item/enclosure")
    assert enclosure is not None
    assert enclosure.attrib["url"] == item["audio"]["url"]
    assert enclosure.attrib["length"] == str(item["audio"]["bytes"])


def test_a_board_gets_its_text_in_its_own_character_set(anybody: TestClient, town: Any, sent: int) -> None:
    text = anybody.get(url(FEEDS[3], town))
    assert "gb18030" in text.headers["content-type"]
    shown = text.content.decode("gb18030")
    pages = anybody.get(url(FEEDS[4], town)).json()["items"][0]["pages"]
    assert shown.splitlines() == [line for page in pages for line in page]
    root = ElementTree.fromstring(anybody.get(url(FEEDS[5], town)).content)
    assert [line.text or "" for line in root.iter("line")] == shown.splitlines()
    assert all(line in anybody.get(url(FEEDS[6], town)).text for line in shown.splitlines())


def test_a_clip_is_kept_for_ever_and_served_in_parts(anybody: TestClient, town: Any, sent: int) -> None:
    audio = anybody.get(url(FEEDS[0], town)).json()["items"][0]["audio"]
    path = f"/audio/{audio['sha256']}.mp3"
    whole = anybody.get(path)
    assert "immutable" in whole.headers["cache-control"]
    assert whole.headers["etag"] == f'"{audio["sha256"]}"'
    assert whole.headers["accept-ranges"] == "bytes"
    part = anybody.get(path, headers={"range": "bytes=100-199"})
    assert (part.status_code, part.content) == (206, whole.content[100:200])
    tail = anybody.get(path, headers={"range": "bytes=-50"})
    assert tail.content == whole.content[-50:]
    assert anybody.get(path, headers={"range": "bytes=99999999-"}).status_code == 416
    stale = anybody.get(path, headers={"range": "bytes=0-9", "if-range": '"other"'})
    assert stale.content == whole.content
    head = anybody.head(path)
    assert (head.content, head.headers["content-length"]) == (b"", str(len(whole.content)))
    assert anybody.get(path, headers={"if-none-match": f'"{audio["sha256"]}"'}).status_code == 304


def test_many_ranges_cost_nothing(anybody: TestClient, town: Any, sent: int) -> None:
    audio = anybody.get(url(FEEDS[0], town)).json()["items"][0]["audio"]
    ranges = ",".join(f"{n}-{n + 1}" for n in range(10_000))
    begun = time.monotonic()
    answer = anybody.get(f"/audio/{audio['sha256']}.mp3", headers={"range": f"bytes={ranges}"})
    assert time.monotonic() - begun < 0.5
    assert (answer.status_code, len(answer.content)) == (200, audio["bytes"])


@pytest.mark.parametrize(
    "name", ["x.mp3", "../keys.json", "..%2fkeys.json", "0" * 64 + ".exe", "0" * 64 + ".mp3", "A" * 64 + ".mp3"]
)
def test_nothing_but_clips_is_served(anybody: TestClient, name: str) -> None:
    assert anybody.get(f"/audio/{name}").status_code == 404


def test_events_become_proofs_once(anybody: TestClient, town: Any, sent: int) -> None:
    events = f"/feeds/speakers/{town.speaker}/events"
    for word in ("heartbeat", "fetched", "started", "finished", "finished"):
        event = {"campaign": sent, "revision": 1, "event": word, "at": "2027-03-15T08:30:00+08:00"}
        answer = anybody.post(events, json=event)
        assert (answer.status_code, answer.content) == (204, b"")
    board = anybody.post(f"/feeds/boards/{town.board}/events", json={"campaign": sent, "event": "showing"})
    assert board.status_code == 204
    while fold(town.inst):
        pass
    found = counts(town.inst, sent)
    assert (found["proofs"]["fetched"], found["proofs"]["played"], found["proofs"]["shown"]) == (1, 1, 1)
    assert found["outcomes"]["accepted"] == 10


@pytest.mark.parametrize(
    "body", [b"", b"x", b"[]", b'"x"', b"{}", b'{"event":"danced"}', b'{"event":"fetched","campaign":"1"}',
             b'{"event":"fetched","campaign":99}', b'{"event":"fetched","campaign":true}', b"[" * 9000, b"\xff"]
)  # fmt: skip
def test_a_bad_event_is_refused_and_says_why(anybody: TestClient, town: Any, body: bytes) -> None:
    answer = anybody.post(f"/feeds/speakers/{town.speaker}/events", content=body)
    assert answer.status_code == 422
    assert answer.json()["code"].startswith("event-")


def test_a_poll_asks_the_database_nothing(anybody: TestClient, town: Any) -> None:
    from sqlalchemy import event

    anybody.get(url(FEEDS[0], town))
    asked: list[str] = []

    def note(_conn: Any, _cursor: Any, statement: str, *_: Any) -> None:
        asked.append(statement)

    event.listen(town.inst.store.engine, "before_cursor_execute", note)
    try:
        for _ in range(50):
            anybody.get(url(FEEDS[0], town))
    finally:
        event.remove(town.inst.store.engine, "before_cursor_execute", note)
    assert [statement for statement in asked if "feed_version" not in statement and "changed >" not in statement] == []


def test_addresses_never_come_from_the_host_header(anybody: TestClient, town: Any, sent: int) -> None:
    for path in FEEDS[:3]:
        text = anybody.get(url(path, town), headers={"host": "evil.example"}).text
        assert "evil.example" not in text
    assert isinstance(town.inst.settings, Settings)


def test_the_public_page_is_there_once_it_is_approved_and_says_when_it_is_withdrawn(
    anybody: TestClient, town: Any, calls: Callable[..., Any], draft: int
) -> None:
    public = campaigns.find(town.inst, draft).public_id
    assert anybody.get(f"/c/{public}").status_code == 404
    digest = calls("wang", "POST", f"/campaigns/{draft}/submit").json()["digest"]
    assert anybody.get(f"/c/{public}").status_code == 404
    campaigns.approve(town.inst, people.find_user(town.inst, "li"), draft, digest)
    page = anybody.get(f"/c/{public}")
    assert page.status_code == 200
    assert "春节" in page.text
    assert "春节后开业检查" not in page.text, "the internal name stays inside"
    for name in ("张1", "김영수", "欧亚商场", "wang", "王作者"):
        assert name not in page.text
    assert re.search(r"<audio ", page.text)
    campaigns.cancel(town.inst, people.find_user(town.inst, "wang"), draft, "错了")
    page = anybody.get(f"/c/{public}")
    assert "撤回" in page.text
    assert "错了" not in page.text


def test_health(anybody: TestClient, town: Any, sent: int, monkeypatch: pytest.MonkeyPatch) -> None:
    assert anybody.get("/livez").json() == {"ok": True}
    assert anybody.get("/readyz").json() == {"ok": True, "failing": {}}
    text = anybody.get("/metrics").text
    assert 'broadcaster_deliveries_total{channel="sms",outcome="accepted"} 6.0' in text
    assert 'broadcaster_campaigns{state="finished"} 1.0' in text
    assert "broadcaster_outbox_pending 0.0" in text
    assert "broadcaster_build_info{" in text
    with town.inst.store.write() as conn:
        conn.exec_driver_sql("UPDATE alembic_version SET version_num = 'old'")
    not_ready = anybody.get("/readyz")
    assert not_ready.status_code == 503
    assert "broadcaster init" in json.dumps(not_ready.json()["failing"]["schema"])
