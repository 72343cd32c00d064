"""Idempotency-Key: the same request twice is done once and answered the same; another request with the key is refused."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Header, Request
from starlette.responses import JSONResponse

from broadcaster.model import BadInput, BroadcasterError
from broadcaster.store import idempotency as stored
from broadcaster.store.clock import now_ms
from broadcaster.web.errors import Conflict
from broadcaster.web.who import Inst

MOST_KEY = 200
KEEP_MS = 7 * 24 * 3_600_000


@dataclass(frozen=True, slots=True)
class Asked:
    """A request with its key; `digest` is of method, path and body."""

    key: str | None
    digest: str


async def asked(request: Request, idempotency_key: Annotated[str | None, Header()] = None) -> Asked:
    """Reads the key. Raises BadInput for one that is too long or empty."""
    if idempotency_key is not None and not 0 < len(idempotency_key) <= MOST_KEY:
        raise BadInput("idempotency-key", f"an Idempotency-Key has 1 to {MOST_KEY} characters")
    head = f"{request.method} {request.url.path}\n".encode()
    return Asked(idempotency_key, hashlib.sha256(head + await request.body()).hexdigest())


Once = Annotated[Asked, Depends(asked)]


def once(
    inst: Inst, user_id: int, request: Asked, act: Callable[[], dict[str, Any]], status: int = 200
) -> JSONResponse:
    """Does `act` at most once for a key. Raises Conflict; what was refused frees the key again, since it changed nothing."""
    if request.key is None:
        return JSONResponse(act(), status)
    actor, key = str(user_id), request.key
    with inst.store.write() as conn:
        now = now_ms(conn)
        stored.drop_before(conn, now - KEEP_MS)
        kept = stored.begin(conn, actor, key, request.digest, now)
    if kept is not None:
        return _again(kept, request)
    try:
        body = act()
    except BroadcasterError:
        with inst.store.write() as conn:
            stored.forget(conn, actor, key)
        raise
    with inst.store.write() as conn:
        stored.finish(conn, actor, key, status, json.dumps(body, ensure_ascii=False))
    return JSONResponse(body, status)


def _again(kept: stored.Kept, request: Asked) -> JSONResponse:
    if kept.request_hash != request.digest:
        raise Conflict("idempotency-key", "this Idempotency-Key came with another request: give each request its own")
    if kept.status is None or kept.body is None:
        raise Conflict(
            "idempotency-running", "the first request with this Idempotency-Key is not finished: ask again later"
        )
    return JSONResponse(json.loads(kept.body), kept.status, headers={"idempotency-replayed": "true"})
