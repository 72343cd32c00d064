"""What the public may read: the page of a campaign that was approved, and what an error's code means."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from broadcaster.compose import notices
from broadcaster.model import Mode, NotFound
from broadcaster.web.console.naming import title_of
from broadcaster.web.languages import LANGUAGES, by_language
from broadcaster.web.rendering import page, words_of
from broadcaster.web.who import Inst

router = APIRouter(include_in_schema=False)


@router.api_route("/c/{public_id}", methods=["GET", "HEAD"])
def campaign(request: Request, inst: Inst, public_id: str) -> Response:
    """A campaign as the public reads it."""
    notice = notices.notice(inst, public_id)
    # Each language once: a county with two says the first one's words again.
    texts = {
        (language, where, part): None
        for languages, where, text in notice.texts
        for language, part in by_language(text, languages)
    }
    answer = page(
        request,
        "public.html",
        exercise=notice.mode == Mode.EXERCISE,
        notice=notice,
        texts=sorted(texts, key=lambda each: LANGUAGES.index(each[0]) if each[0] in LANGUAGES else len(LANGUAGES)),
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
