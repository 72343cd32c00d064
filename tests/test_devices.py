"""Speakers and boards: tokens and who is silent."""

import time

import pytest
from sqlalchemy import text

from broadcaster import audit, devices
from broadcaster.deliver import feeds as deliver_feeds
from broadcaster.deliver.feeds import FeedServer
from broadcaster.installation import Installation
from broadcaster.model import BadInput, NotFound
from broadcaster.store import feeds
from broadcaster.store.schema import recipient

VILLAGE = "220211100201"


def _recipients(inst: Installation, many: int, channel: str = "loudspeaker") -> list[int]:
    with inst.store.write() as conn:
        first = conn.execute(text("SELECT coalesce(max(id), 0) + 1 FROM recipient")).scalar_one()
        conn.execute(
            recipient.insert(),
            [
                {
                    "id": n,
                    "channel": channel,
                    "address_sealed": b"sealed",
                    "address_key": n.to_bytes(16, "big"),
                    "place": VILLAGE,
                    "languages": "zh-CN",
                    "created_at": 0,
                }
                for n in range(first, first + many)
            ],
        )
    return list(range(first, first + many))


def _device(inst: Installation, token: str) -> devices.DeviceRow | None:
    with inst.store.read() as conn:
        return devices.recipient_of(conn, token)


def test_all_devices_of_the_province_are_enrolled_in_seconds(inst: Installation) -> None:
    ids = _recipients(inst, 12_860)
    begun = time.perf_counter()
    tokens = devices.enrol(inst, "system", ids)
    assert time.perf_counter() - begun < 5
    assert sorted(tokens) == ids
    assert len(set(tokens.values())) == 12_860
    last = _device(inst, tokens[ids[-1]])
    assert last is not None
    assert last.recipient_id == ids[-1]
    assert audit.verify(inst)["entries"] == 1


def test_a_new_token_replaces_the_old_one_and_the_sequence_rises(inst: Installation) -> None:
    (speaker,) = _recipients(inst, 1)
    old = devices.enrol(inst, "a", [speaker])[speaker]
    before = _device(inst, old)
    new = devices.enrol(inst, "a", [speaker])[speaker]
    after = _device(inst, new)
    assert _device(inst, old) is None
    assert before is not None
    assert after is not None
    assert after.sequence > before.sequence


def test_a_replaced_token_stops_to_open_a_feed_that_is_in_memory(inst: Installation) -> None:
    (speaker,) = _recipients(inst, 1)
    with inst.store.write() as conn:
        conn.execute(recipient.update().values(address_sealed=inst.keys.seal_address("speaker:1")))
    server = FeedServer(inst)
    old = devices.enrol(inst, "a", [speaker])[speaker]
    server.refresh()
    assert server.feed(old, "loudspeaker") is not None
    new = devices.enrol(inst, "a", [speaker])[speaker]
    server.refresh()
    assert server.feed(old, "loudspeaker") is None
    assert server.held(old, "loudspeaker") is None
    assert server.held(new, "loudspeaker") is None, "it must be loaded first"
    assert server.feed(new, "loudspeaker") is not None
    assert server.held(new, "loudspeaker") is not None


def test_a_feed_that_changes_while_it_is_read_is_not_kept(inst: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    (speaker,) = _recipients(inst, 1)
    with inst.store.write() as conn:
        conn.execute(recipient.update().values(address_sealed=inst.keys.seal_address("speaker:1")))
    token = devices.enrol(inst, "a", [speaker])[speaker]
    server = FeedServer(inst)
    server.refresh()
    build = deliver_feeds.build

    def slow(*given: object) -> deliver_feeds.Feed:
        devices.revoke(inst, "a", speaker)
        server.refresh()
        return build(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(deliver_feeds, "build", slow)
    assert server.feed(token, "loudspeaker") is not None
    assert server.held(token, "loudspeaker") is None


def test_a_change_of_token_is_a_change_of_the_feed(inst: Installation) -> None:
    (speaker,) = _recipients(inst, 1)
    with inst.store.read() as conn:
        before = feeds.version(conn)
    devices.enrol(inst, "a", [speaker])
    with inst.store.read() as conn:
        assert feeds.version(conn) > before
        assert feeds.changed_since(conn, before) == [speaker]


def test_enrolment_is_all_or_nothing_and_for_devices_only(inst: Installation) -> None:
    (speaker,), (phone,) = _recipients(inst, 1), _recipients(inst, 1, "sms")
    for wrong in ([speaker, phone], [speaker, 999]):
        with pytest.raises(BadInput, match="loudspeaker or billboard"):
            devices.enrol(inst, "a", wrong)
    with pytest.raises(BadInput, match="live or exercise"):
        devices.enrol(inst, "a", [speaker], "sometimes")
    with inst.store.read() as conn:
        assert conn.execute(text("SELECT count(*) FROM device")).scalar() == 0
    assert devices.enrol(inst, "a", []) == {}


def test_a_revoked_token_is_unknown(inst: Installation) -> None:
    (board,) = _recipients(inst, 1, "billboard")
    token = devices.enrol(inst, "a", [board], "exercise")[board]
    found = _device(inst, token)
    assert found is not None
    assert found.mode == "exercise"
    devices.revoke(inst, "a", board)
    assert _device(inst, token) is None
    with pytest.raises(NotFound):
        devices.revoke(inst, "a", 999)


def test_silent_are_those_not_heard_of_in_time(inst: Installation) -> None:
    ids = _recipients(inst, 3)
    tokens = devices.enrol(inst, "a", ids)
    assert [row.recipient_id for row in devices.silent(inst, 60)] == ids, "never heard of is silent"
    for who in ids[:2]:
        devices.heartbeat(inst, tokens[who], "v1.2 " + "x" * 1000)
    assert [row.recipient_id for row in devices.silent(inst, 60)] == [ids[2]]
    with inst.store.write() as conn:
        conn.execute(text(f"UPDATE device SET seen_at = seen_at - 3600000 WHERE recipient_id = {ids[0]}"))
    assert [row.recipient_id for row in devices.silent(inst, 60)] == [ids[2], ids[0]]
    heard = _device(inst, tokens[ids[1]])
    assert heard is not None
    assert heard.detail is not None
    assert len(heard.detail) == devices.DETAIL_MOST
    with pytest.raises(NotFound):
        devices.heartbeat(inst, "forged")


def test_a_heartbeat_without_words_keeps_the_last_ones(inst: Installation) -> None:
    (speaker,) = _recipients(inst, 1)
    token = devices.enrol(inst, "a", [speaker])[speaker]
    devices.heartbeat(inst, token, "firmware 7")
    devices.heartbeat(inst, token)
    found = _device(inst, token)
    assert found is not None
    assert found.detail == "firmware 7"


def test_an_operator_finds_the_devices_of_their_places(inst: Installation) -> None:
    ids = _recipients(inst, 2)
    devices.enrol(inst, "a", ids)
    assert [row.recipient_id for row in devices.devices_under(inst, ("220211100",))] == ids
    assert devices.devices_under(inst, ("2224",)) == []
    assert devices.devices_under(inst, ()) == []
