"""Submit and approve: what is frozen, what it is bound to, and that nothing else can be let go.

The audience cannot grow between the two: recipients are planned one by one at submit, and approving releases exactly those
rows. So the rule "a count that doubles needs a new approval" (Kenneth fire, 2025) has nothing left to catch here; whoever
is imported after submit is not in the campaign.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from audio.files import sha256
from broadcaster import audit
from broadcaster.compose import plan as planning
from broadcaster.compose import plan_writing, timing
from broadcaster.compose.audiences import require_known
from broadcaster.compose.drafts import Campaign
from broadcaster.compose.moves import found, held, move, require, subject
from broadcaster.compose.places import unit_of_places
from broadcaster.compose.plan import Plan, Progress
from broadcaster.compose.plan_writing import Begun
from broadcaster.compose.seal import Line, deliveries_digest, sealed_digest, wording_digest
from broadcaster.compose.templates import FactValue, TemplateSet, load_set
from broadcaster.compose.wording import About, Writer, spoken_and_sealed, written
from broadcaster.installation import Installation
from broadcaster.model import BadInput, CampaignState, NotFound, Refused, Role, Wording
from broadcaster.people import User, check, places_of
from broadcaster.store import audiences, feeds
from broadcaster.store import campaigns as stored
from broadcaster.store import plan as stored_plan
from broadcaster.store import wordings as stored_wordings
from broadcaster.store.audiences import Selected
from broadcaster.store.clock import now_ms

SET_ID = re.compile("[a-z][a-z0-9-]{1,63}")
STILL_SENDING = (CampaignState.APPROVED, CampaignState.RUNNING)


def submit(inst: Installation, user: User, campaign_id: int, progress: Progress | None = None) -> Campaign:
    """Renders, measures, speaks, plans and seals a draft, and asks for its approval.

    Everything that takes time happens before rows are written, and those are written in portions between which others have
    their turn; what breaks off leaves a draft without a plan, a killed process rows that nobody sees (`plan_writing`).
    `progress` is told (deliveries written, planned). Raises Refused: not the author's or last editor's, not in a state to
    submit, changed meanwhile, promotion outside its hours; BadInput: empty audience, missing facts, wordings that do not fit,
    times that are past.
    """
    with inst.store.read() as conn:
        campaign, now = found(conn, campaign_id), now_ms(conn)
    _may_submit(user, campaign)
    templates = templates_of(inst, campaign)
    times = times_of(inst, templates, campaign, now)
    plan = _planned(inst, user, campaign, templates)
    with plan_writing.begin(inst, campaign, plan) as begun:
        plan_writing.write(
            inst, begun, plan, lambda conn: _finish(conn, (inst, user), campaign, (begun, plan, times)), progress
        )
    with inst.store.read() as conn:
        return found(conn, campaign_id)


def _finish(
    conn: Connection, who: tuple[Installation, User], campaign: Campaign, what: tuple[Begun, Plan, tuple[int, int]]
) -> None:
    """With the last portion of its deliveries the campaign is submitted: its chunks and counters are there, and its seal."""
    (inst, user), (begun, plan, times) = who, what
    move(conn, campaign, CampaignState.SUBMITTED)
    planning.add_end(conn, plan, begun.cuts, (campaign.id, campaign.category, times[1]), inst.settings.chunk_size)
    sealed = _seal(conn, campaign, plan, times, now_ms(conn))
    detail = {"digest": sealed, "planned": plan.planned, "cost": plan.cost, "mode": campaign.mode}
    audit.record(conn, user.login, "campaign.submit", subject(campaign.id), detail)


def _may_submit(user: User, campaign: Campaign) -> None:
    check(user, "campaign.submit")
    require(campaign, CampaignState.SUBMITTED)
    if user.id not in (campaign.author_id, campaign.editor_id):
        raise Refused("not-yours", f"campaign {campaign.id} is submitted by {campaign.author} or {campaign.editor}")


def set_called(inst: Installation, name: str) -> TemplateSet:
    """The template set of that id; never a path, which another process might read differently. Raises NotFound, BadInput."""
    if not SET_ID.fullmatch(name):
        raise NotFound(
            "no-template-set",
            f"{name!r} is no id of a template set; a folder of your own goes by BROADCASTER_TEMPLATES",
        )
    return load_set(name, inst.settings.templates)


def templates_of(inst: Installation, campaign: Campaign) -> TemplateSet:
    """The set of a campaign, with a text for each of its channels. Raises NotFound, BadInput."""
    templates = set_called(inst, campaign.template_set)
    if not campaign.channels:
        raise BadInput("channels", "choose at least one channel")
    if missing := [kind for kind in campaign.channels if kind not in templates.channels]:
        raise BadInput("no-template", f"{campaign.template_set} has no text for {', '.join(missing)}: leave them out")
    return templates


def times_of(inst: Installation, templates: TemplateSet, campaign: Campaign, now: int) -> tuple[int, int]:
    """(not before, expires) in ms, decided. Raises BadInput, and Refused where a promotion would end before its hours."""
    given = (campaign.not_before_at, campaign.expires_at)
    times = timing.life(campaign.category, given, templates.expires_hours, now, inst.settings.timezone)
    timing.release_at(inst.settings, campaign.category, times, now)
    return times


def facts_of(templates: TemplateSet, level: str | None, facts: Mapping[str, object]) -> dict[str, FactValue]:
    """The campaign's facts, checked; a fact `level` is the campaign's own level. Raises BadInput with a problem per fact."""
    given = dict(facts)
    if level and "level" in templates.facts and not given.get("level"):
        given["level"] = level
    if given.get("level") not in (None, "", level):
        raise BadInput("level", f"the campaign's level is {level}, but its texts would say {given['level']}")
    return templates.check_facts(given)


def _planned(inst: Installation, user: User, campaign: Campaign, templates: TemplateSet) -> Plan:
    facts = facts_of(templates, campaign.level, campaign.facts)
    within = bounds_of(inst, user) if campaign.follows_id is None else ()
    with inst.store.read() as conn:
        about = About(campaign.mode, campaign.category, campaign.level, facts)
        writer = Writer(templates, about, stored_wordings.place_names(conn))
        groups = planning.gather(_people(conn, campaign), writer, unit_of_places(conn), within)
    keys = planning.keys(groups)
    ready = spoken_and_sealed(inst.settings, written(writer, keys))
    return planning.fill(inst.settings, groups, dict(zip(keys, ready, strict=True)))


def bounds_of(inst: Installation, user: User) -> tuple[str, ...]:
    """The places that a user may send to: those of their unit; () = everywhere, for administrators and users of no unit.

    Raises Refused for a unit without places: no places must never read as everywhere.
    """
    if user.unit_id is None or Role.ADMINISTRATOR in user.roles:
        return ()
    if not (places := places_of(inst, user)):
        raise Refused("unit-without-places", f"your unit {user.unit_name} has no places: ask an administrator")
    return places


def _people(conn: Connection, campaign: Campaign) -> Iterable[Selected]:
    """Who it goes to. A correction goes to those who got the corrected campaign or may have got it, whatever they are now."""
    if campaign.follows_id is None or campaign.follows_how != "correction":
        require_known(conn, campaign.selection)
        return audiences.selected(conn, campaign.selection, campaign.channels)
    before = found(conn, campaign.follows_id)
    if before.state in STILL_SENDING:
        raise Refused(
            "still-sending",
            f"campaign {before.id} is still being sent: cancel it, so that nobody gets it after its correction",
        )
    return stored_plan.may_have_it(conn, before.id, campaign.channels)


def _seal(conn: Connection, campaign: Campaign, plan: Plan, times: tuple[int, int], now: int) -> str:
    words = [one.wording.digest for one in plan.wordings.values()]
    sealed = sealed_digest(_head(campaign, times), words, plan.deliveries, plan.planned)
    stored.change(
        conn,
        campaign.id,
        not_before_at=times[0],
        expires_at=times[1],
        sealed_digest=sealed,
        planned=plan.planned,
        parts=plan.parts,
        cost=plan.cost,
        submitted_at=now,
        reason=None,
    )
    return sealed


def _head(campaign: Campaign, times: tuple[int, int]) -> Mapping[str, object]:
    return {
        "id": campaign.id,
        "revision": campaign.revision,
        "mode": campaign.mode,
        "category": campaign.category,
        "level": campaign.level,
        "channels": campaign.channels,
        "not_before_at": times[0],
        "expires_at": times[1],
    }


def approve(inst: Installation, user: User, campaign_id: int, digest: str | None = None) -> Campaign:
    """Lets exactly what was submitted go: the seal is taken again over the rows.

    It is taken before the write transaction: over a million rows it takes three seconds, for which an emergency would wait on
    SQLite. Whatever changes a submitted plan raises the campaign's epoch, so that the seal holds as long as that stands.
    `digest` is the seal that the approver saw; where it is given it must be the one that stands now. Raises Refused: own
    campaign or no approver, not submitted, another seal, rows or clips that no longer fit it, its time past, no promotion
    hours left.
    """
    with inst.store.read() as conn:
        read, now = found(conn, campaign_id), now_ms(conn)
        _may_approve(inst, user, read, digest, now)
        sealed = sealed_again(conn, inst, read)
    with inst.store.write() as conn:
        campaign, now = held(conn, campaign_id), now_ms(conn)
        due = _may_approve(inst, user, campaign, digest, now)
        if campaign != read:
            raise Refused("other-digest", f"campaign {campaign_id} was changed just now: read it again")
        if sealed != campaign.sealed_digest:
            raise Refused(
                "seal-broken", f"the plan of campaign {campaign_id} is not what was submitted: submit it again"
            )
        move(conn, campaign, CampaignState.APPROVED)
        stored.change(conn, campaign_id, approver_id=user.id, approved_at=now)
        stored_plan.release_chunks(conn, campaign_id, due)
        _silence_corrected(conn, campaign, now)
        audit.record(conn, user.login, "campaign.approve", subject(campaign_id), {"digest": campaign.sealed_digest})
        return found(conn, campaign_id)


def _may_approve(inst: Installation, user: User, campaign: Campaign, digest: str | None, now: int) -> int:
    """When its chunks are due."""
    check(user, "campaign.approve", author_id=campaign.author_id, editor_id=campaign.editor_id)
    require(campaign, CampaignState.APPROVED)
    if digest is not None and digest != campaign.sealed_digest:
        raise Refused("other-digest", f"campaign {campaign.id} is not what you read any more: read it again")
    return _due(inst, campaign, now)


def _due(inst: Installation, campaign: Campaign, now: int) -> int:
    start, end = campaign.not_before_at or now, campaign.expires_at or 0
    if end <= now:
        raise Refused(
            "expired", f"the time of campaign {campaign.id} ran out before it was approved: give it a later end"
        )
    return timing.release_at(inst.settings, campaign.category, (start, end), now)


def _silence_corrected(conn: Connection, campaign: Campaign, now: int) -> None:
    """What a correction corrects must not go on playing beside it, nor come back."""
    if campaign.follows_id is not None and campaign.follows_how == "correction":
        feeds.withdraw(conn, campaign.follows_id, now)
        stored.raise_epoch(conn, campaign.follows_id)


def sealed_again(conn: Connection, inst: Installation, campaign: Campaign) -> str:
    """The seal over what lies in the database and the audio folder now."""
    rows = stored_wordings.of_campaign(conn, campaign.id)
    words = {wording_id: wording_digest(wording) for wording_id, wording, _ in rows}
    _clips_there(inst, (wording for _, wording, _ in rows))
    deliveries = deliveries_digest(_lines(conn, campaign.id, words))
    times = (campaign.not_before_at or 0, campaign.expires_at or 0)
    return sealed_digest(_head(campaign, times), words.values(), deliveries, campaign.planned or 0)


def _clips_there(inst: Installation, wordings: Iterable[Wording]) -> None:
    """What was heard before approving lies on disk still, byte for byte: an alarm needs its sound before it is let go."""
    files: list[Any] = [
        wording.clip_facts[kind] for wording in wordings if wording.clip_facts for kind in ("mp3", "wav")
    ]
    for name, digest in {(Path(file["path"]).name, file["sha256"]) for file in files}:
        path = inst.settings.audio_folder / name
        if not path.is_file() or sha256(path.read_bytes()) != digest:
            raise Refused("clip-missing", f"the clip {name} is not there as it was heard: submit the campaign again")


def _lines(conn: Connection, campaign_id: int, words: Mapping[int, str]) -> Iterable[Line]:
    for n, channel, key, wording, slots, parts in stored_plan.sealed_lines(conn, campaign_id):
        yield n, channel, key, words.get(wording, ""), slots, parts
