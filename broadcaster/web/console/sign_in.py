"""Signing in by a one-time link, and out. Looking at the link does not use it up: mail scanners look at every link."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from broadcaster import people
from broadcaster.model import Refused
from broadcaster.web.rendering import page, see
from broadcaster.web.who import Asks, Inst, cookie_name, from_here

router = APIRouter()
signed_in = APIRouter()


@router.get("/sign-in/{token}")
def ask(request: Request, inst: Inst, token: str) -> Response:
    """A page with a button. The token stays in the address; the page holds nothing else."""
    if not people.link_open(inst, token):
        return page(request, "sign_in.html", 403, usable=False)
    return page(request, "sign_in.html", usable=True)


@router.post("/sign-in/{token}")
def redeem(request: Request, inst: Inst, token: str) -> Response:
    """Uses the link up."""
    from_here(request)
    try:
        session = people.redeem(inst, token)
    except Refused:
        return page(request, "sign_in.html", 403, usable=False)
    answer = see("/")
    answer.set_cookie(
        cookie_name(inst),
        session.cookie,
        max_age=inst.settings.session_hours * 3600,
        httponly=True,
        secure=inst.settings.cookie_secure,
        samesite="lax",
    )
    return answer


@signed_in.post("/sign-out")
def sign_out(request: Request, inst: Inst, who: Asks) -> Response:
    """Ends the session here and in the browser."""
    people.end_session(inst, who.cookie)
    del request.state.who
    answer = page(request, "signed_out.html")
    answer.delete_cookie(cookie_name(inst), secure=inst.settings.cookie_secure, httponly=True, samesite="lax")
    return answer
