"""The API, version 1: the same functions as the pages, as JSON. Errors are problem documents (RFC 9457)."""

from fastapi import APIRouter, Depends

from broadcaster.web.api import campaigns, counts, gateway, lists, recipients
from broadcaster.web.who import api_guard

PROBLEM: dict[str, object] = {"content": {"application/problem+json": {}}}
ERRORS: dict[int | str, dict[str, object]] = {
    401: {"description": "Nobody is signed in", **PROBLEM},
    403: {"description": "A rule forbids it", **PROBLEM},
    404: {"description": "There is no such thing", **PROBLEM},
    409: {"description": "The Idempotency-Key came with another request", **PROBLEM},
    422: {"description": "The input cannot be used as it is", **PROBLEM},
    503: {"description": "A dependency is not there now", **PROBLEM},
}

router = APIRouter(prefix="/api/v1", dependencies=[Depends(api_guard)], responses=ERRORS)
for part in (campaigns.router, counts.router, recipients.router, lists.router, gateway.router):
    router.include_router(part)
