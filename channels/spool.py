"""Writes what would be sent into a file, one JSON line a message: the ledger of a demo, an exercise, a test.

The file holds addresses and texts in clear; it is kept at mode 0600. It is of POSIX systems only (flock).
"""

import errno
import fcntl
import os
import re
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from json.encoder import encode_basestring
from pathlib import Path

from channels.base import ACCEPTED, Answer, AnswerWord, ChannelError, ChannelSettings, Message

_FLAGS = os.O_RDWR | os.O_APPEND | os.O_CREAT
# JSON lets these through, but a reader that splits lines as Unicode does would see two halves.
_LINE_ENDS = (("\u0085", "\\u0085"), ("\u2028", "\\u2028"), ("\u2029", "\\u2029"))
_LONE = re.compile("[\ud800-\udfff]")
_BLOCK = 65_536
_sync = getattr(os, "fdatasync", os.fsync)  # macOS has no fdatasync


class Spool:
    """Appends windows of messages to one file. Several processes and threads may append to the same one."""

    def __init__(self, settings: ChannelSettings) -> None:
        """Raises ChannelError: no path is set."""
        if not settings.spool:
            raise ChannelError("the spool provider needs the path of its file")
        self._path = Path(settings.spool)
        self._file: tuple[int, int] | None = None  # process id, descriptor: a fork would share the lock of its parent
        self._lock = threading.Lock()

    def send(self, messages: Sequence[Message]) -> list[Answer]:
        """Accepted means: in the file and synced.

        A disk that is full: the lines that are in are accepted, the others config_error (they were cut off again) or, where
        that failed too, uncertain. A sync that fails leaves the whole window uncertain.
        """
        if not messages:
            return []
        with self._lock:
            try:
                return self._append(_encoded(messages), len(messages))
            except OSError as error:
                return [_stopped(error)] * len(messages)

    def close(self) -> None:
        """Closes the file; a later send opens it again."""
        with self._lock:
            self._release()

    def _append(self, data: bytes, count: int) -> list[Answer]:
        file = self._opened()
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            end = _cut_half_line(file)
            written = os.write(file, data)
            rest = None if written == len(data) else _roll_back(file, end, data[:written])
        finally:
            fcntl.flock(file, fcntl.LOCK_UN)
        inside = count if rest is None else data.count(b"\n", 0, written)
        try:
            _sync(file)
        except OSError as error:
            lost = Answer(AnswerWord.UNCERTAIN, reason="spool-not-synced", detail=_name(error))
            return [lost] * inside + [rest or lost] * (count - inside)
        return [ACCEPTED] * inside + [rest or ACCEPTED] * (count - inside)

    def _opened(self) -> int:
        process = os.getpid()
        if self._file and self._file[0] == process and os.fstat(self._file[1]).st_nlink:
            return self._file[1]
        self._release()
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = os.open(self._path, _FLAGS, 0o600)
        self._file = (process, file)
        if os.fstat(file).st_mode & 0o177:
            os.fchmod(file, 0o600)
        return file

    def _release(self) -> None:
        if self._file:
            os.close(self._file[1])
            self._file = None


def _encoded(messages: Sequence[Message]) -> bytes:
    """The window's lines. By hand: 0.6 µs a line; json.dumps of a dict took 2.6."""
    e = encode_basestring
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    end = f',"at":"{now}"}}\n'
    text = "".join(
        [f'{{"delivery":{e(m.delivery)},"to":{e(m.to)},"text":{e(m.text)},"parts":{m.parts}{end}' for m in messages]
    )
    for character, escape in _LINE_ENDS:
        text = text.replace(character, escape)
    try:
        return text.encode()
    except UnicodeEncodeError:  # half a character: measure refuses it, a slot may still bring one; JSON can write it
        return _LONE.sub(lambda half: f"\\u{ord(half.group()):04x}", text).encode()


def _cut_half_line(file: int) -> int:
    """Cuts what a killed writer left behind the last line end: it was told to nobody. Returns where the file ends then."""
    size = os.fstat(file).st_size
    if size == 0 or os.pread(file, 1, size - 1) == b"\n":
        return size
    at = size
    while at > 0:
        start = max(0, at - _BLOCK)
        found = os.pread(file, at - start, start).rfind(b"\n")
        if found >= 0:
            at = start + found + 1
            break
        at = start
    os.ftruncate(file, at)
    return at


def _roll_back(file: int, end: int, written: bytes) -> Answer:
    """Cuts the line over which the disk ran full. Returns the answer of all lines that are not in."""
    try:
        os.ftruncate(file, end + written.rfind(b"\n") + 1)
    except OSError as error:
        return Answer(AnswerWord.UNCERTAIN, reason="spool-cut", detail=_name(error))
    return Answer(AnswerWord.CONFIG_ERROR, reason="spool-full", detail="the file could not take the whole window")


def _stopped(error: OSError) -> Answer:
    return Answer(AnswerWord.CONFIG_ERROR, reason="spool-not-written", detail=_name(error))


def _name(error: OSError) -> str:
    return f"{errno.errorcode.get(error.errno or 0, 'error')}: {error.strerror}"
