"""The doors for receipts: what passes, what does not, and what is in the database once the provider is answered."""

import sys
from collections.abc import Callable, Iterator
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

import channels.sms
from broadcaster.deliver import callbacks
from broadcaster.deliver.folding import fold
from broadcaster.installation import Installation
from broadcaster.model import Unavailable
from broadcaster.store.engine import Store
from broadcaster.web.app import create_app
from channels.base import Callback, ChannelSettings, Forged, Receipt, ReceiptWord

DELIVERY = "7-3-t0ken_of-it"
PUBLIC = "https://alerts.example.org/base"
seen: list[Callback] = []


class Signed:
    """A provider that signs what it sends, answers with 200 and pushes several receipts at once."""

    receipt_status: ClassVar[int] = 200

    def __init__(self, settings: ChannelSettings) -> None:
        pass

    def send(self, messages: Any) -> Any:
        raise AssertionError("nobody sends here")

    def close(self) -> None:
        pass

    def read_receipts(self, callback: Callback) -> list[Receipt]:
        seen.append(callback)
        if callback.headers.get("x-signature") != "right":
            raise Forged("the signature does not fit")
        words = callback.form.get("words", "").split()
        to = callback.form.get("to", "")
        return [Receipt(ReceiptWord(word), word, ref="r1", detail=f"to {to}", to=to) for word in words]


@pytest.fixture
def doors(inst: Installation, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    module = ModuleType("signed_provider")
    module.Signed = Signed  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "signed_provider", module)
    monkeypatch.setitem(channels.sms.PROVIDERS, "signed", "signed_provider:Signed")
    seen.clear()
    settings = inst.settings.model_copy(update={"public_url": PUBLIC, "sms_url": "http://127.0.0.1:9/"})
    used = Installation(settings, inst.store, inst.keys)
    with TestClient(create_app(used), base_url="http://127.0.0.1:8000") as client:
        yield SimpleNamespace(inst=used, client=client)


@pytest.fixture
def rows(inst: Installation) -> Callable[[], list[Any]]:
    def read() -> list[Any]:
        with inst.store.read() as conn:
            return list(conn.execute(text("SELECT * FROM receipt_inbox ORDER BY id")).all())

    return read


def path(inst: Installation, provider: str, delivery: str = DELIVERY) -> str:
    return callbacks.receipt_path(inst.keys, provider, delivery)


def test_a_receipt_is_kept_before_it_is_answered(doors: Any, rows: Callable[[], list[Any]]) -> None:
    said = {"word": "failed", "id": "g-1", "reason": "absent", "at": "2026-11-24T10:00:00+08:00"}
    answer = doors.client.post(path(doors.inst, "http"), json=said)
    assert (answer.status_code, answer.content) == (204, b"")
    [row] = rows()
    assert (row.provider, row.campaign_id, row.n, row.word) == ("http", 7, 3, "failed")
    assert (row.ref, row.reason, row.at, row.folded_at) == ("g-1", "absent", 1_795_485_600_000, None)


def test_the_same_by_get(doors: Any, rows: Callable[[], list[Any]]) -> None:
    assert doors.client.get(path(doors.inst, "http"), params={"word": "delivered", "id": "g-1"}).status_code == 204
    assert [(row.word, row.ref) for row in rows()] == [("delivered", "g-1")]


def test_asking_whether_the_door_is_there_says_nothing(doors: Any, rows: Callable[[], list[Any]]) -> None:
    assert doors.client.head(path(doors.inst, "http"), params={"word": "delivered"}).status_code == 204
    assert rows() == []


def test_five_times_is_once_and_every_time_is_answered_alike(doors: Any, rows: Callable[[], list[Any]]) -> None:
    answers = {
        doors.client.post(path(doors.inst, "http"), json={"word": "delivered"}).status_code for _ in range(5)
    }  # fmt: skip
    assert (answers, len(rows())) == ({204}, 1)


@pytest.mark.parametrize("spoilt", ["hmac", "delivery", "provider", "short", "letters"])
def test_an_address_that_is_not_ours_is_no_door(doors: Any, rows: Callable[[], list[Any]], spoilt: str) -> None:
    good = path(doors.inst, "http")
    bad = {
        "hmac": good[:-1] + ("0" if good[-1] != "0" else "1"),
        "delivery": good.replace("7-3-", "7-4-"),
        "provider": good.replace("/http/", "/signed/"),
        "short": good[:-10],
        "letters": good[:-2] + "吉林",
    }[spoilt]
    answer = doors.client.post(bad, json={"word": "delivered"}, headers={"x-signature": "right"})
    unknown = doors.client.post("/callbacks/sms/nothing", json={})
    assert (answer.status_code, answer.json()) == (404, unknown.json())
    assert (rows(), seen) == ([], [])


def test_a_forged_signature_is_refused_and_counted(doors: Any, rows: Callable[[], list[Any]]) -> None:
    for _ in range(3):
        answer = doors.client.post(
            path(doors.inst, "signed"), data={"words": "delivered"}, headers={"x-signature": "wrong"}
        )
        assert answer.status_code == 403
    assert rows() == []
    # The next commit takes the count with it, and is waited for.
    assert doors.client.post(path(doors.inst, "http"), json={"word": "delivered"}).status_code == 204
    with doors.inst.store.read() as conn:
        counted = conn.execute(text("SELECT word, sum(n) FROM counter WHERE campaign_id = 0 GROUP BY word")).all()
    assert [tuple(row) for row in counted] == [("signed/forged", 3)]


def test_the_provider_is_shown_the_address_that_we_gave_it(doors: Any) -> None:
    answer = doors.client.post(
        path(doors.inst, "signed") + "?a=1&b=%E5%90%89&a=2",
        data={"words": "accepted delivered", "MessageStatus": ""},
        headers={"x-signature": "right", "host": "evil.example.com", "x-forwarded-host": "evil.example.com"},
    )
    assert answer.status_code == 200
    [callback] = seen
    assert callback.url == PUBLIC + path(doors.inst, "signed") + "?a=1&b=%E5%90%89&a=2"
    assert (callback.query, callback.method) == ({"a": "1", "b": "吉"}, "POST")
    assert callback.form == {"words": "accepted delivered", "MessageStatus": ""}


def test_receipts_in_a_batch_name_their_messages_and_no_number_is_kept(
    doors: Any, rows: Callable[[], list[Any]]
) -> None:
    to = "tel:+8617400000001"
    batch = callbacks.batch_path(doors.inst.keys, "signed")
    given = {"data": {"words": "accepted delivered", "to": to}, "headers": {"x-signature": "right"}}
    assert doors.client.post(batch, **given).status_code == 200
    found = rows()
    assert [(row.word, row.campaign_id, row.ref) for row in found] == [
        ("accepted", None, "r1"),
        ("delivered", None, "r1"),
    ]
    assert {row.dedupe_key.split("/")[0] for row in found} == {f"@{doors.inst.keys.address_key(to).hex()}"}
    assert not [row for row in found if "17400000001" in str(tuple(row))]
    assert doors.client.post(batch[:-1] + "x", **given).status_code == 404
    assert doors.client.post(batch.partition("?")[0], **given).status_code == 404


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b'{"word": 7.5}', b"\xff\xfe", b"8617400000001"])
def test_what_cannot_be_read_is_kept_and_answered_as_usual(
    doors: Any, rows: Callable[[], list[Any]], body: bytes
) -> None:
    for _ in range(2):
        assert doors.client.post(path(doors.inst, "http"), content=body).status_code == 204
    [row] = rows()
    assert (row.word, row.reason, row.campaign_id) == ("unknown", "unreadable", 7)
    assert "17400000001" not in row.raw


def test_a_body_that_is_too_long_is_not_read(doors: Any, rows: Callable[[], list[Any]]) -> None:
    assert doors.client.post(path(doors.inst, "http"), content=b" " * 65_537).status_code == 413
    assert rows() == []


def test_while_the_database_is_away_the_provider_is_asked_to_come_again(
    doors: Any, rows: Callable[[], list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(self: Store, work: Any) -> Any:
        raise Unavailable("database", "away")

    with monkeypatch.context() as patched:
        patched.setattr(Store, "transact", away)
        answer = doors.client.post(path(doors.inst, "http"), json={"word": "delivered"})
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert rows() == []
    assert doors.client.post(path(doors.inst, "http"), json={"word": "delivered"}).status_code == 204
    assert len(rows()) == 1


def test_a_provider_that_is_not_configured_is_asked_to_come_again(doors: Any, inst: Installation) -> None:
    with TestClient(create_app(inst)) as client:  # its settings name no gateway
        assert client.post(path(inst, "http"), json={"word": "delivered"}).status_code == 503


def test_one_that_never_reports_has_no_door(doors: Any) -> None:
    assert doors.client.post(path(doors.inst, "spool"), json={"word": "delivered"}).status_code == 404


def test_metrics_tell_what_became_of_receipts(doors: Any) -> None:
    for delivery in ("7-3-a", "7-4-b"):
        assert doors.client.post(path(doors.inst, "http", delivery), json={"word": "delivered"}).status_code == 204
    waiting = doors.client.get("/metrics").text
    assert "broadcaster_receipts_open 2.0" in waiting
    fold(doors.inst)
    doors.client.post(path(doors.inst, "signed"), headers={"x-signature": "wrong"})
    assert doors.client.post(path(doors.inst, "http"), json={"word": "odd"}).status_code == 204
    told = doors.client.get("/metrics").text
    assert 'broadcaster_receipts_total{fate="unmatched",provider="http"} 2.0' in told
    assert 'broadcaster_callbacks_forged_total{provider="signed"} 1.0' in told
    assert "broadcaster_receipts_open 1.0" in told


def test_the_page_shows_what_was_not_heard_of_in_columns_of_its_own(
    signed_in: Callable[[str], Any], draft: int, inst: Installation
) -> None:
    with inst.store.write() as conn:
        cut = conn.execute(
            text("INSERT INTO cut (campaign_id, channel, place, premises_category, languages) "
                 "VALUES (:c, 'sms', '220102000000', '', 'zh-CN') RETURNING id"), {"c": draft}
        ).scalar_one()  # fmt: skip
        for word, n in (("accepted", 41), ("no_receipt", 17)):
            conn.execute(
                text("INSERT INTO counter (campaign_id, cut_id, word, shard, n) VALUES (:c, :k, :w, 0, :n)"),
                {"c": draft, "k": cut, "w": word, "n": n},
            )
        conn.execute(
            text("UPDATE campaign SET state = 'finished', planned = 41, started_at = 1, finished_at = 2 WHERE id = :c"),
            {"c": draft},
        )
    page = signed_in("wang").see(f"/campaigns/{draft}/counts", **{"accept-language": "en"})
    assert 'class="figure good"><b>41</b> accepted' in page
    assert 'class="figure warn"><b>17</b> no receipt' in page
    assert "<b>0</b> delivered" in page
