"""Users, their links and tokens, and the audit: what an administrator looks after."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from broadcaster import audit, people
from broadcaster.installation import Installation
from broadcaster.model import BadInput, Refused, Role
from broadcaster.people import check
from broadcaster.web.errors import status_of
from broadcaster.web.rendering import page
from broadcaster.web.who import Asks, Form, Inst

router = APIRouter()
AUDIT_PAGE = 100
MOST_SEQ = 2**63 - 1  # what the column holds


@router.get("/users")
def users(request: Request, inst: Inst, who: Asks) -> Response:
    """Who may do what."""
    check(who.user, "users.see")
    return _users(request, inst)


@router.post("/users")
def add(request: Request, inst: Inst, who: Asks, form: Form) -> Response:
    """A new user, and the link with which they sign in for the first time."""
    check(who.user, "users.manage")
    login, unit = str(form.get("login", "")).strip(), str(form.get("unit", "")).strip()
    roles = [str(word) for word in form.getlist("roles")]
    try:
        people.add_user(inst, who.user.login, login, str(form.get("name", "")), roles, unit or None)
        return _link(request, inst, who.user.login, login)
    except (BadInput, Refused) as error:
        return _users(request, inst, error=error)


@router.post("/users/{login}/link")
def link(request: Request, inst: Inst, who: Asks, login: str) -> Response:
    """A new one-time link, shown this once."""
    check(who.user, "users.manage")
    return _link(request, inst, who.user.login, login)


@router.post("/users/{login}/roles")
def roles(request: Request, inst: Inst, who: Asks, form: Form, login: str) -> Response:
    """Other roles for a user."""
    check(who.user, "users.manage")
    try:
        people.set_roles(inst, who.user.login, login, [str(word) for word in form.getlist("roles")])
    except (BadInput, Refused) as error:
        return _users(request, inst, error=error)
    return _users(request, inst)


@router.post("/users/{login}/off")
def off(request: Request, inst: Inst, who: Asks, login: str) -> Response:
    """Ends a user's access at once."""
    check(who.user, "users.manage")
    try:
        people.take_off(inst, who.user.login, login)
    except (BadInput, Refused) as error:
        return _users(request, inst, error=error)
    return _users(request, inst)


@router.get("/audit")
def entries(
    request: Request, inst: Inst, who: Asks, before: Annotated[int | None, Query(ge=1, le=MOST_SEQ)] = None
) -> Response:
    """Who did what, newest first."""
    check(who.user, "audit.see")
    return page(request, "audit.html", entries=audit.entries(inst, AUDIT_PAGE, before), verified=None)


@router.post("/audit/verify")
def verify(request: Request, inst: Inst, who: Asks) -> Response:
    """Walks the whole chain. A POST, because on a long chain it is work."""
    check(who.user, "audit.see")
    return page(request, "audit.html", entries=audit.entries(inst, AUDIT_PAGE), verified=audit.verify(inst))


def _users(request: Request, inst: Installation, error: BadInput | Refused | None = None) -> Response:
    return page(
        request,
        "users.html",
        200 if error is None else status_of(error),
        users=people.users(inst),
        units=people.units(inst),
        roles=list(Role),
        error=error,
        link="",
        link_for="",
    )


def _link(request: Request, inst: Installation, actor: str, login: str) -> Response:
    made = people.one_time_link(inst, actor, login)
    return page(
        request,
        "users.html",
        users=people.users(inst),
        units=people.units(inst),
        roles=list(Role),
        error=None,
        link=inst.settings.base_url + made,
        link_for=login,
    )
