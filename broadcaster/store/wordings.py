"""Wordings as they lie in the database, and the place names they are made with."""

import json
from collections.abc import Sequence

from sqlalchemy import Connection

from broadcaster.model import Wording
from broadcaster.store.driver import run

_ADD = (
    "INSERT INTO wording (campaign_id, channel, format, languages, segment, pieces, slots, spoken, clip, size, digest, "
    "approved) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id"
)
_READ = (
    "SELECT id, channel, format, languages, segment, pieces, slots, spoken, clip, size, digest, approved "
    "FROM wording WHERE campaign_id = ? ORDER BY id"
)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def add(conn: Connection, campaign_id: int, wording: Wording, size: dict[str, object]) -> int:
    """Keeps a frozen wording; its id."""
    found = run(
        conn,
        _ADD,
        *(campaign_id, wording.channel, wording.format, wording.languages),
        *(_json(dict(wording.segment)), _json(wording.pieces), _json(wording.slots)),
        _json(wording.spoken) if wording.spoken else None,
        _json(dict(wording.clip_facts)) if wording.clip_facts else None,
        _json(size),
        wording.digest,
        _json(wording.approved) if wording.approved else None,
    )
    return int(found.scalar_one())


def of_campaign(conn: Connection, campaign_id: int) -> Sequence[tuple[int, Wording, dict[str, object]]]:
    """(id, wording, size) of every wording of a campaign, in the order in which they were sealed."""
    return [_wording(*found) for found in run(conn, _READ, campaign_id)]


def _wording(wording_id: int, *row: str) -> tuple[int, Wording, dict[str, object]]:
    channel, format_, languages, segment, pieces, slots, spoken, clip, size, digest, approved = row
    facts = json.loads(clip) if clip else {}
    wording = Wording(
        channel,
        format_,
        languages,
        json.loads(segment),
        tuple(json.loads(pieces)),
        tuple(json.loads(slots)),
        tuple((language, words) for language, words in json.loads(spoken or "[]")),
        clip_facts=facts,
        digest=digest,
        approved=tuple(json.loads(approved or "[]")),
    )
    return wording_id, wording, json.loads(size)


def place_names(conn: Connection) -> dict[str, str]:
    """Names of provinces, prefectures and counties by their 12-digit code: what segments are told by."""
    return {str(code): str(name) for code, name in run(conn, "SELECT code, name FROM place WHERE level <= 3")}
