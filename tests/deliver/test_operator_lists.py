"""The lists of an operator and of home: on both databases the same words find the same devices."""

import pytest
from sqlalchemy import insert

from broadcaster import devices, people
from broadcaster.compose.recipients import NewRecipient, add_recipients
from broadcaster.deliver.on_air import on_air
from broadcaster.deliver.operators import PAGE, devices_of_operator
from broadcaster.installation import Installation
from broadcaster.people import User
from broadcaster.store import operating, places, schema
from broadcaster.store.clock import wall_ms
from broadcaster.store.places import PlaceRow

VILLAGES = ("220102001001", "222401001001")
TREE = [
    PlaceRow("220000000000", "吉林省", 1, None),
    PlaceRow("220102000000", "南关区", 3, "220000000000"),
    PlaceRow("222401000000", "延吉市", 3, "220000000000"),
    PlaceRow(VILLAGES[0], "华阳社区", 5, "220102000000"),
    PlaceRow(VILLAGES[1], "白玉社区", 5, "222401000000"),
]


@pytest.fixture
def operator(inst: Installation) -> User:
    """Of every place, with 60 speakers in two villages."""
    with inst.store.write() as conn:
        places.put_places(conn, TREE)
    rows = [NewRecipient("loudspeaker", f"speaker:{n}", VILLAGES[n % 2], f"Post {n:02}", "zh-CN") for n in range(60)]
    add_recipients(inst, rows)
    with inst.store.read() as conn:
        ids = [int(row[0]) for row in conn.exec_driver_sql("SELECT id FROM recipient ORDER BY id")]
    devices.enrol(inst, "system", ids)
    return people.add_user(inst, "system", "jin", "金播放", ["operator"])


def test_pages_search_and_county(inst: Installation, operator: User) -> None:
    whole = devices_of_operator(inst, operator)
    assert (whole.total, whole.pages, len(whole.lines)) == (60, 2, PAGE)
    assert whole.counties == [("220102000000", "南关区"), ("222401000000", "延吉市")]
    rest = devices_of_operator(inst, operator, page=99)
    assert rest.page == 2
    assert len({line.recipient_id for line in (*whole.lines, *rest.lines)}) == 60
    for words in ("延吉", "白玉", "222401", "post 延吉"):
        assert devices_of_operator(inst, operator, words).total == 30
    assert devices_of_operator(inst, operator, "POST 07").lines[0].name == "Post 07"
    assert devices_of_operator(inst, operator, county="220102000000").total == 30
    assert devices_of_operator(inst, operator, county="22' OR 1=1").total == 60
    assert devices_of_operator(inst, operator, "%").total == 0


def test_what_nobody_has_reported_on_comes_first(inst: Installation, operator: User) -> None:
    last = devices_of_operator(inst, operator, page=2).lines[-1].recipient_id
    now = wall_ms()
    item = {"recipient_id": last, "campaign_id": 7, "n": 1, "wording_id": 1, "priority": 2}
    row = {"campaign_id": 7, "n": 1, "recipient_id": last, "channel": "loudspeaker", "wording_id": 1, "cut_id": 1}
    with inst.store.write() as conn:
        conn.execute(insert(schema.feed_item), [{**item, "not_before_at": now, "expires_at": now + 60_000}])
        conn.execute(insert(schema.delivery), [{**row, "parts": 1, "token": "t", "outcome": "accepted"}])
    first = devices_of_operator(inst, operator).lines[0]
    assert (first.recipient_id, first.items, first.open) == (last, 1, 1)
    found = on_air(inst)
    assert [(each.campaign, each.devices, each.begun) for each in found] == [(7, {"loudspeaker": 1}, True)]
    key = f"{last}/7/finished/"
    kept = {"provider": "speaker", "dedupe_key": key, "campaign_id": 7, "n": 1, "word": "played"}
    with inst.store.write() as conn:
        conn.execute(insert(schema.receipt_inbox), [{**kept, "received_at": now, "raw": "{}"}])
    line = next(each for each in devices_of_operator(inst, operator, page=2).lines if each.recipient_id == last)
    assert (line.items, line.open) == (1, 0)
    with inst.store.read() as conn:
        assert operating.told(conn, [key, "none"]) == {key: (now, "{}")}
        assert operating.to_play(conn, last, now) == []
