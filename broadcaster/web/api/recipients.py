"""Recipients from files, and audiences counted."""

from typing import Annotated

from fastapi import APIRouter, File, Form, UploadFile

from broadcaster.compose import audiences, recipients
from broadcaster.people import check
from broadcaster.web import uploads
from broadcaster.web.api.shapes import CountIn, Document
from broadcaster.web.who import Asks, Inst

router = APIRouter(tags=["recipients"])
Sheet = Annotated[UploadFile, File(description="CSV, TSV, XLSX, XLS or ODS")]


@router.post("/recipients/check", operation_id="checkRecipients")
def checked(inst: Inst, who: Asks, file: Sheet) -> Document:
    """What an import of the file would do. Nothing is stored."""
    check(who.user, "recipients.import")
    with uploads.held(inst, who.user.id, file) as path:
        return recipients.check(path, inst).as_json()


@router.post("/recipients/import", operation_id="importRecipients")
def imported(inst: Inst, who: Asks, file: Sheet, skip_rejected: Annotated[bool, Form()] = False) -> Document:
    """Stores a file's recipients: one rejected row and nothing is stored, unless skip_rejected. `stored` says which."""
    check(who.user, "recipients.import")
    with uploads.held(inst, who.user.id, file) as path:
        return recipients.import_file(inst, who.user.login, path, skip_rejected).as_json()


@router.post("/audiences/count", operation_id="countAudience")
def count(inst: Inst, who: Asks, body: CountIn) -> Document:
    """An audience as it is now."""
    check(who.user, "audience.count")
    selection = audiences.selection_from(body.selection.model_dump())
    return audiences.count(inst, selection, body.channels)
