"""What went wrong, told to a program as problem+json (RFC 9457) and to a person as a page, with the same code."""

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from broadcaster.model import BadInput, BroadcasterError, NotFound, Refused, Unavailable
from broadcaster.web.headers import FIXED
from broadcaster.web.rendering import page, words_of
from broadcaster.web.who import SignedOut

log = structlog.get_logger(__name__)

STATUS: tuple[tuple[type[BroadcasterError], int], ...] = (
    (BadInput, 422),
    (NotFound, 404),
    (Refused, 403),
    (Unavailable, 503),
)
PROGRAMS = ("/api/", "/callbacks/", "/feeds/", "/audio/")
# Codes of our own for what HTTP itself refuses.
HTTP_CODES = {404: "not-found", 405: "method", 413: "too-long", 415: "type"}


class Conflict(BroadcasterError):
    """The same key came with another request, or its first request is still under way."""


def status_of(error: BroadcasterError) -> int:
    """The HTTP status of an error of ours."""
    if isinstance(error, Conflict):
        return 409
    return next((status for kind, status in STATUS if isinstance(error, kind)), 500)


def for_program(request: Request) -> bool:
    """Whether a program asked, and not a person with a browser."""
    return request.url.path.startswith(PROGRAMS)


def problem(request: Request, status: int, error: BroadcasterError) -> JSONResponse:
    """The error as a problem document; `errors` has one entry for each finding."""
    t = words_of(request)
    base = request.app.state.inst.settings.base_url
    title = t(f"error.{error.code}") if t.has(f"error.{error.code}") else t(f"status.{status}")
    body: dict[str, object] = {
        "type": f"{base}/problems/{error.code}",
        "title": title,
        "status": status,
        "detail": error.message,
        "code": error.code,
    }
    if isinstance(error, BadInput) and error.problems:
        body["errors"] = error.problems
    return JSONResponse(body, status, headers=_headers(status), media_type="application/problem+json")


def shown(request: Request, status: int, error: BroadcasterError) -> Response:
    """The error in the form that the asker reads."""
    if for_program(request):
        return problem(request, status, error)
    return page(request, "error.html", status, error=error, status=status)


def _headers(status: int) -> dict[str, str]:
    return {"www-authenticate": "Bearer"} if status == 401 else {"retry-after": "5"} if status == 503 else {}


def install(app: FastAPI) -> None:
    """Makes every error of ours, of HTTP and of our own making an answer that says what and what to do."""

    @app.exception_handler(BroadcasterError)
    async def ours(request: Request, error: BroadcasterError) -> Response:
        return shown(request, status_of(error), error)

    @app.exception_handler(SignedOut)
    async def signed_out(request: Request, _error: SignedOut) -> Response:
        told = Refused("signed-out", "sign in with a one-time link, or send Authorization: Bearer <token>")
        if for_program(request):
            return problem(request, 401, told)
        return page(request, "signed_out.html", 401)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        found = [
            {"pointer": _pointer(each["loc"]), "code": each["type"], "message": each["msg"]} for each in error.errors()
        ]
        return shown(
            request, 422, BadInput("request", "the request does not have the form that this door takes", found)
        )

    @app.exception_handler(HTTPException)
    async def of_http(request: Request, error: HTTPException) -> Response:
        told = BroadcasterError(HTTP_CODES.get(error.status_code, "http"), str(error.detail))
        answer = shown(request, error.status_code, told)
        answer.headers.update(error.headers or {})
        return answer

    @app.exception_handler(Exception)
    async def unexpected(request: Request, error: Exception) -> Response:
        log.error("request_failed", method=request.method, path=request.url.path, exc_info=error)
        answer = shown(request, 500, BroadcasterError("internal", "the program made a mistake; it is in its log"))
        answer.headers.update({**FIXED, "cache-control": "no-store"})  # this answer passes our middleware by
        return answer


def _pointer(location: tuple[int | str, ...]) -> str:
    """A JSON Pointer into the body; other places by their kind, "query/limit"."""
    kind, *path = location
    parts = [str(part).replace("~", "~0").replace("/", "~1") for part in path]
    return "/" + "/".join(parts) if kind == "body" else "/".join([str(kind), *parts])
