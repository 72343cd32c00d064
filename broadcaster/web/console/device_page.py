"""The page of one device by its own token: for who plays it without an account. The token in the path is the secret."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.datastructures import FormData
from starlette.responses import Response

from broadcaster.deliver import operators
from broadcaster.web.console.playing import play_page, take_word
from broadcaster.web.who import Inst, from_here

router = APIRouter()


async def _form(request: Request) -> FormData:
    from_here(request)
    return await request.form(max_files=0, max_fields=10, max_part_size=4096)


@router.get("/play/{token}")
def device(request: Request, inst: Inst, token: str) -> Response:
    """What the device has to play or show now."""
    return play_page(request, inst, operators.device_of_token(inst, token), "")


@router.post("/play/{token}/said")
def said(request: Request, inst: Inst, token: str, form: Annotated[FormData, Depends(_form)]) -> Response:
    """It was played, or why it was not."""
    return take_word(request, inst, operators.device_of_token(inst, token), form, "")
