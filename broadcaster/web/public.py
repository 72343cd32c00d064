"""What the public may read: the page of a campaign that was approved, and what an error's code means."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from broadcaster.compose import notices
from broadcaster.model import Mode, NotFound
from broadcaster.web.console.naming import title_of
from broadcaster.web.rendering import page, words_of
from broadcaster.web.who import Inst

router = APIRouter(include_in_schema=False)


@router.api_route("/c/{public_id}", methods=["GET", "HEAD"])
def campaign(request: Request, inst: Inst, public_id: str) -> Response:
    """A campaign as the public reads it."""
    notice = notices.notice(inst, public_id)
    answer = page(
        request,
        "public.html",
        exercise=notice.mode == Mode.EXERCISE,
        notice=notice,
        title=title_of(inst, notice.template_set, words_of(request).language),
    )
    answer.headers["cache-control"] = "public, max-age=30"
    return answer


@router.get("/problems/{code}")
def problem(request: Request, code: str) -> Response:
    """What an error's code means: where the `type` of a problem document leads."""
    if not words_of(request).has(f"error.{code}"):
        raise NotFound("not-found", "there is no such error")
    return page(request, "problem.html", code=code)
