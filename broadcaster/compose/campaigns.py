"""The life of a campaign: create, edit, submit, approve, return, cancel, correct. Every act is one audited transaction.

Pages, API and command line call these functions, so they cannot disagree about what is allowed.
"""

import json
import secrets
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection

from broadcaster import audit
from broadcaster.compose import plan_writing
from broadcaster.compose.drafts import NAME_MOST, Campaign, Draft, campaign_of, columns, draft_from
from broadcaster.compose.moves import found, held, move, subject
from broadcaster.compose.previews import preview
from broadcaster.compose.submission import approve, set_called, submit
from broadcaster.compose.templates import TemplateSet
from broadcaster.installation import Installation
from broadcaster.model import BadInput, CampaignState, Category, NotFound, Refused
from broadcaster.people import User, check
from broadcaster.store import campaigns as stored
from broadcaster.store import feeds
from broadcaster.store.clock import now_ms, rfc3339

__all__ = [
    "Campaign",
    "Draft",
    "approve",
    "cancel",
    "correct",
    "create",
    "draft_from",
    "edit",
    "events",
    "find",
    "listed",
    "move",
    "preview",
    "return_",
    "submit",
]

CORRECTION_SET = "correction"  # the prepared one: an alarm at night is no time to write a template
EDITABLE = (CampaignState.DRAFT, CampaignState.SUBMITTED, CampaignState.RETURNED)


def create(inst: Installation, user: User, draft: Draft) -> Campaign:
    """A new draft. It may be unfinished; submit wants it whole. Raises Refused; BadInput or NotFound for what it names."""
    check(user, "campaign.create")
    templates = set_called(inst, draft.template_set)
    with inst.store.write() as conn:
        return _add(conn, user, draft, templates.category)


def _add(conn: Connection, user: User, draft: Draft, category: Category, **more: object) -> Campaign:
    campaign_id = stored.add(
        conn,
        public_id=secrets.token_urlsafe(9),
        category=category,
        state=CampaignState.DRAFT,
        author_id=user.id,
        editor_id=user.id,
        created_at=now_ms(conn),
        **columns(draft),
        **more,
    )
    detail = {"name": draft.name.strip(), "template_set": draft.template_set, "mode": draft.mode, **more}
    audit.record(conn, user.login, "campaign.create", subject(campaign_id), detail)
    return found(conn, campaign_id)


def edit(inst: Installation, user: User, campaign_id: int, draft: Draft, version: int) -> Campaign:
    """Changes a campaign that is not approved yet; its plan and with it any submission is void, it is a draft again.

    `version` is that of the page which the user changed. Raises Refused: a stale page, approved already, no author; BadInput.
    """
    templates = set_called(inst, draft.template_set)
    with inst.store.write() as conn:
        campaign = held(conn, campaign_id)
        check(user, "campaign.edit", author_id=campaign.author_id, editor_id=campaign.editor_id)
        _may_edit(campaign, draft, version)
        if campaign.state is not CampaignState.DRAFT:
            move(conn, campaign, CampaignState.DRAFT)
        epoch = plan_writing.void(conn, campaign_id)
        category = templates.category if campaign.follows_id is None else campaign.category
        new = {**columns(draft), "category": category, "editor_id": user.id, "version": version + 1}
        stored.change(conn, campaign_id, **new)
        detail = {"version": version + 1, "before": campaign.state, "digest": campaign.sealed_digest}
        audit.record(conn, user.login, "campaign.edit", subject(campaign_id), detail)
        edited = found(conn, campaign_id)
    plan_writing.clear(inst, campaign_id, epoch)
    return edited


def _may_edit(campaign: Campaign, draft: Draft, version: int) -> None:
    if campaign.version != version:
        raise Refused("stale-page", f"campaign {campaign.id} was changed by {campaign.editor} meanwhile: load it again")
    if campaign.state not in EDITABLE:
        raise Refused(
            "campaign-state", f"campaign {campaign.id} is {campaign.state}: correct it instead of changing it"
        )
    if campaign.follows_id is not None and draft.mode != campaign.mode:
        raise Refused(
            "correction-mode", f"it follows a campaign of mode {campaign.mode}, and goes to those who got that one"
        )


def return_(inst: Installation, user: User, campaign_id: int, reason: str) -> Campaign:
    """Gives a submitted campaign back to its author. Raises Refused; BadInput without a reason."""
    why = _reason(reason)
    with inst.store.write() as conn:
        campaign = held(conn, campaign_id)
        check(user, "campaign.return", author_id=campaign.author_id, editor_id=campaign.editor_id)
        move(conn, campaign, CampaignState.RETURNED)
        stored.change(conn, campaign_id, reason=why)
        audit.record(conn, user.login, "campaign.return", subject(campaign_id), {"reason": why})
        return found(conn, campaign_id)


def cancel(inst: Installation, user: User, campaign_id: int, reason: str) -> Campaign:
    """Stops a campaign at once: one transaction, seen by every claim and every feed. What was sent stays sent.

    A finished one is taken out of the feeds that still hold it. Raises Refused; BadInput without a reason.
    """
    why = _reason(reason)
    with inst.store.write() as conn:
        campaign, now = held(conn, campaign_id), now_ms(conn)
        check(user, "campaign.cancel", author_id=campaign.author_id, editor_id=campaign.editor_id)
        move(conn, campaign, CampaignState.CANCELLED)
        stored.raise_epoch(conn, campaign_id)
        stored.change(conn, campaign_id, reason=why, cancelled_at=now)
        withdrawn = feeds.withdraw(conn, campaign_id, now)
        detail = {"reason": why, "before": campaign.state, "feeds": withdrawn}
        audit.record(conn, user.login, "campaign.cancel", subject(campaign_id), detail)
        stopped = found(conn, campaign_id)
    if stopped.planned is None:  # no chunk by which the sweep would find what a killed submit left
        plan_writing.clear(inst, campaign_id, stopped.epoch)
    return stopped


def _reason(reason: str) -> str:
    if not reason.strip():
        raise BadInput("reason", "say why: the reason is shown to those who worked on the campaign")
    return reason.strip()


def correct(
    inst: Installation,
    user: User,
    campaign_id: int,
    facts: Mapping[str, object] | None = None,
    template_set: str | None = None,
) -> Campaign:
    """A draft that corrects a campaign, on its channels, for those who got it or may have got it; to be submitted and approved.

    Without a template set the prepared `correction`. It keeps category and mode, so it goes in the same lane as what it
    corrects. `sent_on` and `subject` are filled in where the set has such facts and none are given. Raises Refused where
    nothing was sent yet.
    """
    check(user, "campaign.correct")
    templates = set_called(inst, template_set or CORRECTION_SET)
    with inst.store.write() as conn:
        before = held(conn, campaign_id)
        if before.started_at is None:
            raise Refused("nothing-sent", f"nobody has got campaign {campaign_id}: change it, or cancel it")
        known = {**_known(inst, before, templates), **(facts or {})}
        own: dict[str, Any] = {
            "name": f"更正：{before.name}"[:NAME_MOST],
            "template_set": templates.id,
            "level": None,
            "facts": known,
        }
        draft = replace(before.draft, **own, not_before_at=None, expires_at=None)
        more = {"follows_id": before.id, "follows_how": "correction", "revision": before.revision + 1}
        return _add(conn, user, draft, before.category, **more)


def _known(inst: Installation, before: Campaign, templates: TemplateSet) -> dict[str, object]:
    """What the campaign that is corrected tells of itself, as far as the correction has a fact for it in which it fits."""
    sent = rfc3339(before.started_at, inst.settings.timezone) or ""
    known: dict[str, object] = {"sent_on": sent[:10]} if "sent_on" in templates.facts else {}
    asked = templates.facts.get("subject")
    title = _title(inst, before.template_set)
    if asked is not None and title and all(len(words) <= asked.max_length for words in title.values()):
        known["subject"] = title
    return known


def _title(inst: Installation, template_set: str) -> dict[str, str]:
    """The title of a set; empty where it is there no more, which must not stop a correction."""
    try:
        return dict(set_called(inst, template_set).title)
    except (NotFound, BadInput):
        return {}


def find(inst: Installation, campaign_id: int) -> Campaign:
    """A campaign. Raises NotFound."""
    with inst.store.read() as conn:
        return found(conn, campaign_id)


def listed(inst: Installation, user: User, limit: int = 200) -> list[Campaign]:
    """Campaigns, the newest first. Raises Refused."""
    check(user, "campaign.see")
    with inst.store.read() as conn:
        return [campaign_of(dict(row)) for row in stored.newest(conn, limit)]


def events(inst: Installation, campaign_id: int) -> list[dict[str, Any]]:
    """What was done to a campaign, oldest first: {"seq", "at", "actor", "action", "detail"}. Raises NotFound."""
    with inst.store.read() as conn:
        found(conn, campaign_id)
        lines = stored.audit_lines(conn, subject(campaign_id))
    return [
        {**line, "at": rfc3339(line["at"], inst.settings.timezone), "detail": json.loads(line["detail"])}
        for line in lines
    ]
