"""A campaign over MAS: sent one by one, its receipts pushed many at once to the door for batches, matched and folded."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from fastapi.testclient import TestClient
from mas_platform import Platform
from sqlalchemy import text

from broadcaster.deliver.folding import fold
from broadcaster.deliver.gateway_addresses import addresses
from broadcaster.installation import Installation
from broadcaster.store import matching
from broadcaster.store.clock import now_ms
from broadcaster.web.app import create_app


@pytest.fixture
def platform() -> Iterator[Platform]:
    made = Platform().start()
    yield made
    made.stop()


@pytest.fixture
def over_mas(inst: Installation, platform: Platform) -> Installation:
    settings = inst.settings.model_copy(
        update={
            "public_url": "https://alerts.example.org",
            "sms_provider": "mas",
            "mas_url": platform.url,
            "mas_company": platform.company,
            "mas_account": platform.account,
            "mas_secret": type(inst.settings.mas_secret)(platform.secret),
            "mas_signature": "zHsmzt",
        }
    )
    return Installation(settings, inst.store, inst.keys)


@pytest.fixture
def doors(over_mas: Installation) -> Iterator[Any]:
    """The two addresses as a person enters them at the platform, and who pushes to them."""
    (told,) = addresses(over_mas)["providers"]
    with TestClient(create_app(over_mas), base_url="http://127.0.0.1:8000") as client:

        def push(what: str, body: Any) -> int:
            parts = urlsplit(told[what])
            assert (parts.scheme, parts.netloc) == ("https", "alerts.example.org")
            return int(client.post(f"{parts.path}?{parts.query}", json=body).status_code)

        yield push


def test_what_the_platform_pushes_ends_at_the_right_messages(
    over_mas: Installation, plan: Any, platform: Platform, doors: Any
) -> None:
    planned = plan(60, install=over_mas)
    planned.carry_out("sms")
    assert planned.outcomes() == {"accepted": 60}
    # The text on the phone is the approved one, with the signature once.
    assert {shown for _, shown, _ in platform.shown} == {f"【吉林消防】金{n}：请检查灭火器。" for n in range(60)}
    reports = [platform.report(n) for n in range(57)]
    reports.append(platform.report(57, "UNDELIV", "DB:0140"))
    reports.append(platform.report(58, "EXPIRED", "EXPIRED"))
    strangers = [{**platform.report(0), "msgGroup": "9" * 22}, {**platform.report(0), "mobile": "13999999999"}]
    # Neither the number nor the reference alone is enough.
    crossed = {**platform.report(59), "msgGroup": platform.shown[0][2], "reportStatus": "UNDELIV"}
    for batch in (reports[:20], reports[10:], [*strangers, crossed]):
        assert doors("receipts", batch) == 200
    fold(over_mas)
    assert planned.outcomes() == {"accepted": 1, "delivered": 57, "failed": 1, "expired": 1}
    assert planned.counters() == planned.outcomes()
    with over_mas.store.read() as conn:
        ended = conn.execute(
            text(
                "SELECT d.outcome, d.reason, d.provider_ref, r.address_sealed FROM delivery d "
                "JOIN recipient r ON r.id = d.recipient_id"
            )
        ).all()
    by_number = {over_mas.keys.open_address(row.address_sealed)[7:]: row for row in ended}
    for at, (number, _, group) in enumerate(platform.shown):
        outcome = {57: "failed", 58: "expired", 59: "accepted"}.get(at, "delivered")
        assert (by_number[number].outcome, by_number[number].provider_ref) == (outcome, group)
    assert by_number[platform.shown[57][0]].reason == "db:0140"


def test_a_report_before_the_answer_is_recorded_waits_for_it(
    over_mas: Installation, plan: Any, platform: Platform, doors: Any
) -> None:
    planned = plan(1, install=over_mas)
    number = over_mas.keys.open_address(_sealed(over_mas)).removeprefix("tel:+86")
    platform.shown.append((number, "", "0" * 22))
    early = {**platform.report(0), "msgGroup": f"{1:022d}"}  # the reference that the next message gets
    assert doors("receipts", early) == 200
    assert fold(over_mas) == 0
    planned.carry_out("sms")
    fold(over_mas)
    assert planned.outcomes() == {"delivered": 1}


def _sealed(inst: Installation) -> bytes:
    with inst.store.read() as conn:
        return bytes(conn.execute(text("SELECT address_sealed FROM recipient")).scalar_one())


def now_ms_of(inst: Installation) -> int:
    with inst.store.read() as conn:
        return now_ms(conn)


def test_replies_come_several_in_a_push_and_once_each(
    over_mas: Installation, plan: Any, platform: Platform, doors: Any
) -> None:
    planned = plan(2, install=over_mas)
    planned.set(approved_at=now_ms_of(over_mas))
    planned.carry_out("sms")
    first, second = (number for number, _, _ in platform.shown)
    sent = [
        {"mobile": first, "smsContent": "退订", "sendTime": "2026-11-24 10:30:00", "addSerial": ""},
        {"mobile": second, "smsContent": "收到", "sendTime": "2026-11-24 10:30:00", "addSerial": ""},
        {"mobile": second, "smsContent": "三楼起火", "sendTime": "2026-11-24 10:31:00", "addSerial": ""},
    ]
    assert [doors("replies", sent) for _ in range(2)] == [200, 200]
    with over_mas.store.read() as conn:
        kept = conn.execute(text("SELECT kind, urgent, n FROM reply ORDER BY id")).all()
    assert [(row.kind, row.urgent) for row in kept] == [("opt-out", 0), ("confirmation", 0), ("other", 1)]
    assert {row.n for row in kept} == {1, 2}


def test_without_the_key_there_is_no_door(over_mas: Installation, plan: Any, doors: Any) -> None:
    with TestClient(create_app(over_mas), base_url="http://127.0.0.1:8000") as client:
        for door in ("receipts", "inbound"):
            for key in ("", "?key=", "?key=" + "0" * 32):
                assert client.post(f"/callbacks/sms/mas/{door}{key}", json=[]).status_code == 404


def test_no_delivery_is_looked_for_through_the_whole_table(
    over_mas: Installation, plan: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked of the database itself, with tables large enough that it has reason to choose an index."""
    for _ in range(3):
        plan(3000, install=over_mas).set(state="running", started_at=now_ms_of(over_mas))
    asked: list[tuple[str, tuple[Any, ...]]] = []
    really = matching.run
    monkeypatch.setattr(
        matching, "run", lambda conn, sql, *given: (asked.append((sql, given)), really(conn, sql, *given))[1]
    )
    lite = over_mas.store.engine.dialect.name == "sqlite"
    with over_mas.store.write() as conn:
        conn.execute(text("ANALYZE"))
        conn.execute(text("UPDATE delivery SET provider_ref = 'ref' || n"))
    with over_mas.store.read() as conn:
        keys = [
            bytes(row[0]).hex() for row in conn.execute(text("SELECT address_key FROM recipient ORDER BY id LIMIT 20"))
        ]
        found = matching.by_reference(conn, [(key, f"ref{n}") for n, key in enumerate(keys, 1)], now_ms(conn))
        assert len(found) == 20
        sql, given = asked[-1]
        explained = [tuple(row) for row in really(conn, ("EXPLAIN QUERY PLAN " if lite else "EXPLAIN ") + sql, *given)]
    lines = [str(row[-1]) for row in explained]
    assert lines
    for line in lines:
        assert not line.startswith("SCAN"), lines  # SQLite
        assert "Seq Scan on delivery" not in line, lines  # PostgreSQL
