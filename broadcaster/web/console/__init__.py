"""The pages that people work with. Every page of `router` is behind the sign-in; `open_router` holds the few that cannot be."""

from fastapi import APIRouter, Depends

from broadcaster.web.console import (
    administration,
    boards,
    campaign,
    compose,
    device_page,
    gateway,
    home,
    operator,
    recipients,
    sign_in,
)
from broadcaster.web.who import console_guard

router = APIRouter(include_in_schema=False, dependencies=[Depends(console_guard)])
for part in (home, compose, campaign, boards, operator, gateway, recipients, administration):
    router.include_router(part.router)
router.include_router(sign_in.signed_in)

open_router = APIRouter(include_in_schema=False)
open_router.include_router(sign_in.router)
open_router.include_router(device_page.router)
