"""What a campaign can be made of: template sets, places; and who asks, of which version."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from broadcaster import __version__
from broadcaster.compose import places
from broadcaster.compose.template_facts import Fact
from broadcaster.compose.templates import TemplateSet, load_set, template_sets
from broadcaster.people import check
from broadcaster.store.migrate import current
from broadcaster.web.api.shapes import Document
from broadcaster.web.who import Asks, Inst

router = APIRouter(tags=["lists"])


@router.get("/template-sets", operation_id="listTemplateSets")
def sets(inst: Inst, who: Asks) -> Document:
    """The template sets that can be used."""
    check(who.user, "templates.see")
    return {"items": [_set(each) for each in template_sets(inst.settings.templates)]}


@router.get("/template-sets/{set_id}", operation_id="showTemplateSet")
def one_set(inst: Inst, who: Asks, set_id: str) -> Document:
    """One template set with the facts that it asks for."""
    check(who.user, "templates.see")
    found = {each.id: each for each in template_sets(inst.settings.templates)}
    return _set(found[set_id] if set_id in found else load_set(set_id, inst.settings.templates))


@router.get("/places", operation_id="findPlaces")
def find(
    inst: Inst,
    who: Asks,
    search: Annotated[str, Query(max_length=100)] = "",
    under: Annotated[str | None, Query(pattern="^[0-9]{12}$")] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> Document:
    """Places by name or code; without words: the parts of a place, or the provinces."""
    check(who.user, "templates.see")
    rows = places.search(inst, search, limit) if search.strip() else places.children(inst, under)
    return {"items": [{"code": row.code, "name": row.name, "level": row.level, "parent": row.parent} for row in rows]}


@router.get("/status", operation_id="showStatus")
def status(inst: Inst, who: Asks) -> Document:
    """Who asks, and what answers. `csrf` is for a page's own requests; a token needs none."""
    user = who.user
    asks = {"login": user.login, "name": user.name, "unit": user.unit_code, "roles": sorted(user.roles)}
    return {"version": __version__, "schema": current(inst.store), "user": asks, "csrf": who.csrf or None}


def _set(found: TemplateSet) -> dict[str, Any]:
    return {
        "id": found.id,
        "title": dict(found.title),
        "category": found.category,
        "expires_hours": found.expires_hours,
        "channels": list(found.channels),
        "facts": [_fact(fact) for fact in found.facts.values() if fact.source == "campaign"],
    }


def _fact(fact: Fact) -> dict[str, Any]:
    return {
        "name": fact.name,
        "type": fact.type,
        "required": fact.required and fact.default is None,
        "label": dict(fact.label),
        "example": fact.example,
        "default": fact.default,
        "max_length": fact.max_length,
        "choices": {code: dict(words) for code, words in fact.choices.items()},
    }
