"""Importing recipients in two steps: read the file and see what it holds, then store it."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from broadcaster.compose import recipients
from broadcaster.compose.recipients import Report
from broadcaster.installation import Installation
from broadcaster.model import BadInput
from broadcaster.people import check
from broadcaster.web import uploads
from broadcaster.web.errors import status_of
from broadcaster.web.rendering import page
from broadcaster.web.who import Asks, Form, Inst

router = APIRouter()
SHOWN = 200  # findings that the page lists; the rest are counted


@router.get("/recipients")
def ask(request: Request, inst: Inst, who: Asks) -> Response:
    """Which file."""
    check(who.user, "recipients.import")
    return _page(request, inst)


@router.post("/recipients/check")
def checked(request: Request, inst: Inst, who: Asks, form: Form) -> Response:
    """What the file holds; nothing is stored."""
    check(who.user, "recipients.import")
    kept = ""
    try:
        kept = uploads.keep(inst, who.user.id, form.get("file"))
        report = recipients.check(uploads.find(inst, who.user.id, kept), inst)
    except BadInput as error:
        if kept:
            uploads.drop(inst, who.user.id, kept)
        return _page(request, inst, error=error)
    return _page(request, inst, report=report, upload=kept)


@router.post("/recipients/store")
def store(request: Request, inst: Inst, who: Asks, form: Form) -> Response:
    """Stores what was checked: all of it, or only the good rows where that was asked for."""
    check(who.user, "recipients.import")
    kept = str(form.get("upload", ""))
    path = uploads.find(inst, who.user.id, kept)
    try:
        report = recipients.import_file(inst, who.user.login, path, skip_rejected=form.get("skip_rejected") == "yes")
    except BadInput as error:
        return _page(request, inst, error=error)
    if not report.stored:
        return _page(request, inst, report=report, upload=kept)
    uploads.drop(inst, who.user.id, kept)
    return _page(request, inst, report=report)


def _page(
    request: Request,
    inst: Installation,
    *,
    report: Report | None = None,
    upload: str = "",
    error: BadInput | None = None,
) -> Response:
    return page(
        request,
        "recipients.html",
        200 if error is None else status_of(error),
        report=report.as_json() if report else None,
        upload=upload,
        error=error,
        groups=recipients.groups(inst),
        shown=SHOWN,
    )
