"""Who asks, and whether the request is theirs: session or token, same origin, and the form's own token."""

import secrets
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Request
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData

from broadcaster import people
from broadcaster.installation import Installation
from broadcaster.model import Refused
from broadcaster.people import User

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
FORM_FIELD, HEADER = "csrf", "x-csrf-token"
MOST_FIELDS, MOST_FIELD_BYTES = 2000, 256 * 1024


class SignedOut(Exception):
    """Nobody is signed in, and this door is for those who are."""


@dataclass(frozen=True, slots=True)
class Who:
    """Who asks. `csrf` is empty where a token stands for them."""

    user: User
    csrf: str = ""
    cookie: str = ""


def installation(request: Request) -> Installation:
    """The installation that this server runs."""
    found: Installation = request.app.state.inst
    return found


def cookie_name(inst: Installation) -> str:
    """__Host- ties the cookie to this host and to HTTPS; browsers refuse it on plain HTTP."""
    return "__Host-session" if inst.settings.cookie_secure else "session"


async def session(request: Request) -> Who | None:
    """Who is signed in by the cookie."""
    inst = installation(request)
    cookie = request.cookies.get(cookie_name(inst))
    if not cookie:
        return None
    found = await run_in_threadpool(people.session_of, inst, cookie)
    return Who(found.user, found.csrf, found.cookie) if found else None


async def console_guard(request: Request) -> None:
    """Stands before every page of the console: signed in, and an unsafe request came from a form of this session."""
    who = await session(request)
    if who is None:
        raise SignedOut
    request.state.who = who
    if request.method in SAFE:
        return
    from_here(request)
    form = await request.form(max_files=1, max_fields=MOST_FIELDS, max_part_size=MOST_FIELD_BYTES)
    given = form.get(FORM_FIELD)
    if not isinstance(given, str) or not secrets.compare_digest(given.encode(), who.csrf.encode()):
        raise Refused("csrf", "this form is not from your sign-in: open the page again and repeat")
    request.state.form = form


async def api_guard(request: Request) -> None:
    """Stands before the API: a bearer token, or the session of a page with its token in X-CSRF-Token."""
    inst = installation(request)
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token:
        user = await run_in_threadpool(people.user_of_token, inst, token.strip())
        if user is None:
            raise SignedOut
        request.state.who = Who(user)
        return
    who = await session(request)
    if who is None:
        raise SignedOut
    request.state.who = who
    if request.method not in SAFE:
        from_here(request)
        if not secrets.compare_digest(request.headers.get(HEADER, "").encode(), who.csrf.encode()):
            raise Refused("csrf", f"a request with the session's cookie needs its token in the header {HEADER}")


def from_here(request: Request) -> None:
    """Raises Refused for a request that another site made a browser send.

    Browsers send no Sec-Fetch-Site over plain HTTP, and a null Origin from pages without referrer: then the form's token decides.
    """
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin", "null")
    here = {request.headers.get("host", ""), urlsplit(installation(request).settings.base_url).netloc}
    cross = site not in {"same-origin", "none"} if site else origin != "null" and urlsplit(origin).netloc not in here
    if cross:
        raise Refused("cross-site", "this request came from another site")


def who(request: Request) -> Who:
    """Who asks; the guard has found out."""
    found: Who = request.state.who
    return found


def form_of(request: Request) -> FormData:
    """The form, its token already checked."""
    found: FormData = request.state.form
    return found


Inst = Annotated[Installation, Depends(installation)]
Asks = Annotated[Who, Depends(who)]
Form = Annotated[FormData, Depends(form_of)]
