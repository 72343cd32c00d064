"""What a device is served."""

import base64
import json
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from sqlalchemy import event, text

from broadcaster.deliver.feeds import FeedServer, board_text, canonical, playlist
from broadcaster.deliver.sweep import sweep
from broadcaster.installation import Installation
from broadcaster.store.clock import wall_ms


def _first(planned: Any) -> str:
    return str(next(iter(planned.tokens.values())))


def test_a_manifest_is_signed_over_its_canonical_json(plan: Any, inst: Installation) -> None:
    planned = plan(1, channel="loudspeaker")
    planned.carry_out()
    manifest = json.loads(FeedServer(inst).feed(_first(planned), "loudspeaker").manifest)  # type: ignore[union-attr]
    signature = manifest.pop("signature")
    assert signature["alg"] == "Ed25519"
    assert signature["key"] == inst.keys.device_public
    public = Ed25519PublicKey.from_public_bytes(base64.b64decode(signature["key"]))
    public.verify(base64.b64decode(signature["value"]), canonical(manifest))
    assert set(manifest) == {"device", "sequence", "mode", "issued", "items"}
    assert set(manifest["items"][0]) == {"campaign", "revision", "audio", "not_before", "expires", "play", "priority"}


def test_canonical_json_sorts_and_keeps_chinese() -> None:
    assert canonical({"b": 1, "a": ["村", True]}) == '{"a":["村",true],"b":1}'.encode()


def test_a_poll_asks_the_database_nothing(plan: Any, inst: Installation) -> None:
    planned = plan(2, channel="loudspeaker")
    planned.carry_out()
    server = FeedServer(inst)
    server.refresh()
    server.feed(_first(planned), "loudspeaker")
    asked: list[str] = []
    event.listen(inst.store.engine, "before_cursor_execute", lambda *a: asked.append(a[2]))
    for _ in range(5):
        assert server.feed(_first(planned), "loudspeaker") is not None
    server.feed("nobody", "loudspeaker")
    before = len(asked)
    server.feed("nobody", "loudspeaker")
    assert before > 0  # the unknown token was looked up once
    assert len(asked) == before


def test_a_token_of_another_kind_of_device_is_unknown(plan: Any, inst: Installation) -> None:
    planned = plan(1, channel="billboard")
    assert FeedServer(inst).feed(_first(planned), "loudspeaker") is None


def test_the_playlist_names_what_plays_now_and_is_valid_when_empty(plan: Any, inst: Installation) -> None:
    planned = plan(1, channel="loudspeaker")
    server = FeedServer(inst)
    assert playlist(inst, server.feed(_first(planned), "loudspeaker"), wall_ms()) == "#EXTM3U\n"  # type: ignore[arg-type]
    planned.carry_out()
    server.refresh()
    lines = playlist(inst, server.feed(_first(planned), "loudspeaker"), wall_ms()).splitlines()  # type: ignore[arg-type]
    assert lines[0] == "#EXTM3U"
    assert lines[-1] == f"{inst.settings.base_url}/audio/{'ab' * 32}.mp3"


def test_a_board_shows_the_most_urgent_and_falls_back_to_idle(plan: Any, inst: Installation) -> None:
    notice = plan(1, channel="billboard")
    notice.carry_out()
    token = _first(notice)
    server = FeedServer(inst)
    assert board_text(server.feed(token, "billboard"), "idle", wall_ms()) == "森林防火\n禁止用火"  # type: ignore[arg-type]
    with inst.store.write() as conn:
        conn.execute(text("UPDATE feed_item SET expires_at = 1"))
    sweep(inst)
    server.refresh()
    feed = server.feed(token, "billboard")
    assert feed is not None
    assert board_text(feed, "idle", wall_ms()) == "idle"
    assert json.loads(feed.manifest)["idle"] == inst.settings.board_idle


def test_content_never_changes_without_its_sequence(plan: Any, inst: Installation) -> None:
    planned = plan(1, channel="loudspeaker")
    planned.carry_out()
    server = FeedServer(inst)
    first = server.feed(_first(planned), "loudspeaker")
    with inst.store.write() as conn:
        conn.execute(text("UPDATE feed_item SET expires_at = 1"))
    sweep(inst)
    server.refresh()
    later = server.feed(_first(planned), "loudspeaker")
    assert first is not None
    assert later is not None
    assert later.sequence > first.sequence
    assert later.etag != first.etag


def test_polls_are_remembered_and_written_together(plan: Any, inst: Installation) -> None:
    planned = plan(3, channel="loudspeaker")
    planned.carry_out()
    server = FeedServer(inst)
    for token in planned.tokens.values():
        server.feed(token, "loudspeaker")
    server.write_heartbeats()
    with inst.store.read() as conn:
        assert conn.execute(text("SELECT count(*) FROM device WHERE seen_at > 0")).scalar() == 3
