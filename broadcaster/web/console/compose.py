"""Writing a campaign: one form that needs no script. Each button sends the whole form; only save and submit keep anything."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fastapi import APIRouter, Request
from starlette.datastructures import FormData
from starlette.responses import Response

from broadcaster.compose import audiences, campaigns, places, recipients
from broadcaster.compose.campaigns import Campaign
from broadcaster.compose.templates import TemplateSet, load_set, template_sets
from broadcaster.compose.whole import lacks
from broadcaster.installation import Installation
from broadcaster.model import BadInput, BroadcasterError, Level, Mode, PremisesCategory, Refused
from broadcaster.people import check, places_of
from broadcaster.store.places import PlaceRow
from broadcaster.web.console import forms
from broadcaster.web.console.findings import PARTICULAR, findings_of
from broadcaster.web.console.forms import ComposeForm, asked_facts
from broadcaster.web.console.naming import channels_of, place_names
from broadcaster.web.errors import status_of
from broadcaster.web.rendering import page, see
from broadcaster.web.who import Asks, Form, Inst, Who

router = APIRouter()
FOUND = 30


@dataclass(frozen=True, slots=True)
class Desk:
    """What one form is about."""

    request: Request
    inst: Installation
    who: Who
    templates: TemplateSet
    campaign: Campaign | None = None


@router.get("/campaigns/new")
def new(request: Request, inst: Inst, who: Asks, set: str = "") -> Response:
    """First which template set, then the form for it."""
    check(who.user, "campaign.create")
    if not set:
        sets = [(each, channels_of(each)) for each in template_sets(inst.settings.templates)]
        return page(request, "sets.html", sets=sets)
    templates = load_set(set, inst.settings.templates)
    return _form(Desk(request, inst, who, templates), ComposeForm(channels=channels_of(templates)))


@router.post("/campaigns/new")
def create(request: Request, inst: Inst, who: Asks, form: Form) -> Response:
    """A button of the form of a campaign that is not kept yet."""
    check(who.user, "campaign.create")
    templates = load_set(str(form.get("template_set", "")), inst.settings.templates)
    return _pressed(Desk(request, inst, who, templates), form)


@router.get("/campaigns/{campaign_id}/edit")
def edit(request: Request, inst: Inst, who: Asks, campaign_id: int) -> Response:
    """The form of a campaign."""
    desk, campaign = _of_campaign(request, inst, who, campaign_id)
    return _form(desk, forms.of_campaign(campaign, desk.templates, inst.settings.timezone))


@router.post("/campaigns/{campaign_id}/edit")
def change(request: Request, inst: Inst, who: Asks, form: Form, campaign_id: int) -> Response:
    """A button of the form of a campaign that is kept."""
    return _pressed(_of_campaign(request, inst, who, campaign_id)[0], form)


def _of_campaign(request: Request, inst: Installation, who: Who, campaign_id: int) -> tuple[Desk, Campaign]:
    check(who.user, "campaign.edit")
    campaign = campaigns.find(inst, campaign_id)
    templates = load_set(campaign.template_set, inst.settings.templates)
    return Desk(request, inst, who, templates, campaign), campaign


def _pressed(desk: Desk, form: FormData) -> Response:
    shown = forms.read(form, desk.templates)
    do, _, code = str(form.get("do", "")).partition(":")
    if do not in {"preview", "save", "submit"}:
        _picked(shown, do, code)
        return _form(desk, shown)
    try:
        if do == "preview":
            previews = campaigns.preview(desk.inst, desk.who.user, shown.draft(desk.inst, desk.templates))
            return _form(desk, shown, previews=previews)
        kept = _kept(desk, shown)
    except (BadInput, Refused) as error:
        return _form(desk, shown, error=error, lacking=() if do == "save" else _lacking(desk, shown))
    return see(f"/campaigns/{kept.id}") if do == "save" else _submitted(replace(desk, campaign=kept), kept)


def _submitted(desk: Desk, kept: Campaign) -> Response:
    """The draft is kept already: what submit finds wrong is shown on its form."""
    try:
        campaigns.submit(desk.inst, desk.who.user, kept.id)
    except (BadInput, Refused) as error:
        shown = forms.of_campaign(kept, desk.templates, desk.inst.settings.timezone)
        return _form(desk, shown, error=error, lacking=_lacking(desk, shown))
    return see(f"/campaigns/{kept.id}")


def _lacking(desk: Desk, shown: ComposeForm) -> Sequence[Mapping[str, object]]:
    """What else there is to mend; nothing where the fields make no draft, which the error says already."""
    try:
        return lacks(desk.inst, shown.draft(desk.inst, desk.templates))
    except BadInput:
        return ()


def _kept(desk: Desk, shown: ComposeForm) -> Campaign:
    draft = shown.draft(desk.inst, desk.templates)
    if desk.campaign is None:
        return campaigns.create(desk.inst, desk.who.user, draft)
    version = int(shown.version) if shown.version.isascii() and shown.version.isdigit() else -1
    return campaigns.edit(desk.inst, desk.who.user, desk.campaign.id, draft, version)


def _picked(shown: ComposeForm, do: str, code: str) -> None:
    """What a button of the place picker changes in the form."""
    if do == "add" and code not in shown.places:
        shown.places.append(code)
        shown.exclude_places = [each for each in shown.exclude_places if each != code]
    elif do == "except" and code not in shown.exclude_places:
        shown.exclude_places.append(code)
        shown.places = [each for each in shown.places if each != code]
    elif do == "drop":
        shown.places = [each for each in shown.places if each != code]
        shown.exclude_places = [each for each in shown.exclude_places if each != code]
    elif do == "open":
        shown.open, shown.search = code, ""


def _form(
    desk: Desk,
    shown: ComposeForm,
    *,
    error: BadInput | Refused | None = None,
    previews: Sequence[Mapping[str, Any]] = (),
    lacking: Sequence[Mapping[str, object]] = (),
) -> Response:
    inst = desk.inst
    return page(
        desk.request,
        "compose.html",
        200 if error is None else status_of(error),
        exercise=shown.mode == Mode.EXERCISE,
        campaign=desk.campaign,
        templates=desk.templates,
        facts=asked_facts(desk.templates),
        channels=channels_of(desk.templates),
        form=shown,
        levels=list(Level),
        modes=list(Mode),
        premises_categories=list(PremisesCategory),
        groups=recipients.groups(inst),
        places=place_names(inst, shown.places),
        excluded=place_names(inst, shown.exclude_places),
        found=_found(inst, desk.who, shown),
        above=_above(inst, shown.open),
        audience=_counted(inst, shown),
        previews=previews,
        PARTICULAR=PARTICULAR,
        findings=findings_of(error, previews, lacking),
        error=error,
    )


def _found(inst: Installation, who: Who, shown: ComposeForm) -> list[PlaceRow]:
    """The places to choose from: found by words, else the parts of the opened one, else the top of what the user sees."""
    if shown.search.strip():
        return places.search(inst, shown.search, FOUND)
    if shown.open:
        return places.children(inst, shown.open)
    tops = []
    for prefix in places_of(inst, who.user):
        try:
            tops.append(places.place(inst, prefix.ljust(12, "0")))
        except BroadcasterError:
            continue
    return tops if len(tops) != 1 else [*tops, *places.children(inst, tops[0].code)]


def _above(inst: Installation, code: str) -> list[tuple[str, str]]:
    """The opened place and those above it, for the way back."""
    if not code:
        return []
    codes = [code[:width].ljust(12, "0") for width in places.WIDTHS if width <= len(places.prefix_of(code))]
    return [(each, places.place(inst, each).name) for each in codes]


def _counted(inst: Installation, shown: ComposeForm) -> Mapping[str, Any] | None:
    """How many it would be; None while nobody is chosen."""
    try:
        return audiences.count(inst, audiences.selection_from(shown.selection()), shown.channels or None)
    except BadInput:
        return None
