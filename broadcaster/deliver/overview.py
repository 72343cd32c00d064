"""What the operator of the SMS gateway watches, in one look: providers, queue, failures, receipts, doubt, replies, reminders."""

from typing import Any

from sqlalchemy import Connection

from broadcaster.deliver import providers
from broadcaster.deliver.outlets import providers_of
from broadcaster.installation import Installation
from broadcaster.model import Category, Mode
from broadcaster.settings import Settings
from broadcaster.store import overview as stored
from broadcaster.store import providers as standing
from broadcaster.store import receipts, replies
from broadcaster.store.clock import now_ms, rfc3339
from broadcaster.store.providers import RECEIPTS, WHOLE, ProviderRow
from channels.sms import reporting

DAY_MS = 86_400_000
READ_MOST = 50_000  # failures of either source that are read: 34 ms on SQLite; a wrong password makes more in a minute
REASONS_MOST = 50
REMINDERS_MOST = 20


def overview(inst: Installation) -> dict[str, Any]:
    """How SMS stand now. Times as RFC 3339; what nobody knows is None.

    {"at", "provider": the first one's name, "to_file": nothing leaves this machine, "troubles": [{"code", "provider", "lane",
    "since", "detail"}], "providers": [{"provider", "role": first | second | unused, "state", "since", "reason", "detail",
    "asked", "queued", "balance", "lanes": [{"lane", "state", "since", "reason", "detail", "seen"}], "receipts": None or {"state",
    "since"}}], "rates": {"emergency", "other"}: messages a second, 0 = no limit, "queue": [{"lane", "waiting", "sending",
    "oldest_due"}], "failures": {"since", "whole": False where there were too many to read, "rows": [{"source", "provider",
    "word", "reason", "n", "newest"}]}, "receipts": {"expected", "outstanding", "no_receipt", "campaigns", "open", "oldest_open",
    "forged": {provider: n}}, "in_doubt": {"deliveries", "campaigns"}, "opt_outs": [{"class", "n", "newest"}], "replies":
    {"waiting", "urgent"}, "reminders": [{"campaign", "name", "category", "due", "n"}]}.
    """
    found = providers.troubles(inst)
    zone = inst.settings.timezone
    with inst.store.report() as conn:
        now = now_ms(conn)
        return {
            "at": rfc3339(now, zone),
            "provider": inst.settings.sms_provider,
            "to_file": inst.settings.sms_provider == "spool",
            "troubles": [{**each._asdict(), "since": rfc3339(each.since_at, zone)} for each in found],
            "providers": _providers(inst.settings, standing.standing(conn)),
            "rates": {"emergency": inst.settings.sms_rate_emergency, "other": inst.settings.sms_rate},
            "queue": _queue(conn, now, zone),
            "failures": _failures(conn, inst.settings, now),
            "receipts": _receipts(conn, inst.settings),
            "in_doubt": dict(zip(("deliveries", "campaigns"), stored.in_doubt(conn), strict=True)),
            "opt_outs": _opt_outs(conn, zone),
            "replies": dict(zip(("waiting", "urgent"), replies.waiting(conn), strict=True)),
            "reminders": _reminders(conn, now, zone),
        }


def _providers(settings: Settings, rows: list[ProviderRow]) -> list[dict[str, Any]]:
    """Those of the settings first, then any other that was ever dealt with: its last words may explain an old campaign."""
    used = providers_of(settings, Mode.LIVE, "sms")
    names = [*used, *sorted({row.provider for row in rows} - set(used))]
    return [_provider(settings, name, [row for row in rows if row.provider == name]) for name in names]


def _provider(settings: Settings, name: str, rows: list[ProviderRow]) -> dict[str, Any]:
    zone, used = settings.timezone, providers_of(settings, Mode.LIVE, "sms")
    whole = next((row for row in rows if row.lane == WHOLE), None)
    heard = next((row for row in rows if row.lane == RECEIPTS), None)
    return {
        "provider": name,
        "role": ("first", "second")[used.index(name)] if name in used else "unused",
        "state": whole.state if whole else None,
        "since": rfc3339(whole.since_at, zone) if whole else None,
        "reason": whole.reason if whole else None,
        "detail": whole.detail if whole else None,
        "asked": rfc3339(whole.seen_at or None, zone) if whole else None,
        "queued": whole.queued if whole else None,
        "balance": whole.balance if whole else None,
        "lanes": [_lane(row, zone) for row in rows if row.lane not in (WHOLE, RECEIPTS)],
        "receipts": {"state": heard.state, "since": rfc3339(heard.since_at, zone)} if heard else None,
    }


def _lane(row: ProviderRow, zone: str) -> dict[str, Any]:
    told = {"lane": row.lane, "state": row.state, "reason": row.reason, "detail": row.detail}
    return {**told, "since": rfc3339(row.since_at, zone), "seen": rfc3339(row.seen_at or None, zone)}


def _queue(conn: Connection, now: int, zone: str) -> list[dict[str, Any]]:
    """A row for each lane, those that have nothing too: an empty queue is news."""
    counted, due = {row.lane: row for row in stored.queue(conn, now)}, stored.oldest_due(conn, now)
    return [
        {
            "lane": lane.value,
            "waiting": counted[lane].waiting if lane in counted else 0,
            "sending": counted[lane].sending if lane in counted else 0,
            "oldest_due": rfc3339(due.get(lane), zone),
        }
        for lane in Category
    ]


def _failures(conn: Connection, settings: Settings, now: int) -> dict[str, Any]:
    since, zone = now - DAY_MS, settings.timezone
    rows, whole = stored.failures(conn, providers_of(settings, Mode.LIVE, "sms"), since, READ_MOST)
    told = [{**row._asdict(), "newest": rfc3339(row.newest_at, zone)} for row in rows[:REASONS_MOST]]
    for each in told:
        del each["newest_at"]
    return {"since": rfc3339(since, zone), "whole": whole, "rows": told}


def _receipts(conn: Connection, settings: Settings) -> dict[str, Any]:
    accepted, silent, campaigns = stored.unheard(conn)
    expected = bool(settings.public_url and {settings.sms_provider, settings.sms_second} & set(reporting()))
    n, oldest = receipts.waiting(conn)
    forged = {provider: count for (provider, fate), count in receipts.came(conn).items() if fate == "forged"}
    return {
        "expected": expected,
        "outstanding": max(0, accepted - silent) if expected else 0,
        "no_receipt": silent,
        "campaigns": campaigns,
        "open": n,
        "oldest_open": rfc3339(oldest, settings.timezone),
        "forged": forged,
    }


def opt_outs(inst: Installation) -> list[dict[str, Any]]:
    """{"class", "n", "newest"} of each class that has any."""
    with inst.store.read() as conn:
        return _opt_outs(conn, inst.settings.timezone)


def _opt_outs(conn: Connection, zone: str) -> list[dict[str, Any]]:
    return [{"class": row.class_, "n": row.n, "newest": rfc3339(row.newest_at, zone)} for row in stored.opt_outs(conn)]


def _reminders(conn: Connection, now: int, zone: str) -> list[dict[str, Any]]:
    return [
        {
            "campaign": row.campaign_id,
            "name": row.name,
            "category": row.category,
            "due": rfc3339(row.due_at, zone),
            "n": row.n,
        }
        for row in stored.reminders(conn, now, REMINDERS_MOST)
    ]
