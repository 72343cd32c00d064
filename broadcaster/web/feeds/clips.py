"""Clips, named by their own digest: what a name gives never changes, so it may be kept for ever."""

import re
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.types import Receive, Scope, Send

from broadcaster.web.feeds.answers import holds

_NAME = re.compile(r"([0-9a-f]{64})\.(mp3|wav)")
TYPES = {"mp3": "audio/mpeg", "wav": "audio/wav"}
FOR_EVER = "public, max-age=31536000, immutable"


class OneRange(FileResponse):
    """Answers one range. A request for several gets the whole file, as RFC 9110 §14.2 lets a server do: many are an attack."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(name, value) for name, value in scope["headers"] if not (name == b"range" and b"," in value)]
        await super().__call__({**scope, "headers": headers}, receive, send)


async def clip(request: Request) -> Response:
    """A clip as MP3 or WAV."""
    found = _NAME.fullmatch(request.path_params["name"])
    path = _path(request.app.state.inst.settings.audio_folder, found[0]) if found else None
    if found is None or path is None:
        raise HTTPException(404)
    etag = f'"{found[1]}"'
    headers = {"etag": etag, "cache-control": FOR_EVER, "cross-origin-resource-policy": "cross-origin"}
    if holds(request, etag):
        return Response(status_code=304, headers=headers)
    return OneRange(path, headers=headers, media_type=TYPES[found[2]])


def _path(folder: Path, name: str) -> Path | None:
    path = folder / name
    return path if path.is_file() else None
