"""Uploaded files between the two steps of an import: kept for an hour, for who sent them, readable by nobody else."""

import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from starlette.datastructures import UploadFile

from broadcaster.installation import Installation
from broadcaster.model import BadInput, NotFound

KEEP_S = 3600
NAME_MOST = 80
BLOCK = 1024 * 1024
_ID = re.compile(r"[A-Za-z0-9_-]{22}")


def keep(inst: Installation, user_id: int, upload: object) -> str:
    """Keeps an upload; its id. Raises BadInput where there is no file."""
    if not isinstance(upload, UploadFile) or not upload.filename:
        raise BadInput("file-missing", "choose a file first")
    _sweep(_folder(inst))
    found = secrets.token_urlsafe(16)
    folder = _folder(inst) / f"{user_id}-{found}"
    folder.mkdir(mode=0o700, parents=True)
    _copy(upload, folder / _named(upload.filename))
    return found


def find(inst: Installation, user_id: int, upload_id: str) -> Path:
    """The kept file. Raises NotFound: never kept, of somebody else, or too long ago."""
    folder = _folder(inst) / f"{user_id}-{upload_id}"
    if _ID.fullmatch(upload_id) and folder.is_dir():
        for path in folder.iterdir():
            return path
    raise NotFound("upload", "this file is no longer kept: send it again")


def drop(inst: Installation, user_id: int, upload_id: str) -> None:
    """It is no longer needed."""
    shutil.rmtree(find(inst, user_id, upload_id).parent, ignore_errors=True)


@contextmanager
def held(inst: Installation, user_id: int, upload: object) -> Iterator[Path]:
    """The upload as a file for the time of one request. Raises BadInput."""
    kept = keep(inst, user_id, upload)
    try:
        yield find(inst, user_id, kept)
    finally:
        drop(inst, user_id, kept)


def _folder(inst: Installation) -> Path:
    return inst.settings.folder / "uploads"


def _named(name: str) -> str:
    """The name as messages show it; only letters, figures, points and hyphens of it reach the disk."""
    safe = re.sub(r"[^\w.-]", "_", Path(name.replace("\\", "/")).name)[-NAME_MOST:].lstrip(".")
    return safe or "file"


def _copy(upload: UploadFile, path: Path) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        while block := upload.file.read(BLOCK):
            file.write(block)


def _sweep(folder: Path) -> None:
    old = time.time() - KEEP_S
    for each in folder.iterdir() if folder.is_dir() else ():
        if each.stat().st_mtime < old:
            shutil.rmtree(each, ignore_errors=True)
