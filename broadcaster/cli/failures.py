"""How a verb ends: exit codes, one clear line, and never a traceback on the screen."""

import os
import tempfile
import traceback
from datetime import UTC, datetime
from pathlib import Path

from audio.errors import AudioError, VoiceUnavailable
from broadcaster.cli.session import home_folder
from broadcaster.cli.show import emit, say
from broadcaster.logs import mask
from broadcaster.model import BadInput, BroadcasterError, Refused, Unavailable
from channels.base import ChannelError

FINE, FAILURE, USAGE, FAILED_DELIVERIES, REFUSED, UNAVAILABLE, INTERRUPTED = 0, 1, 2, 3, 4, 5, 130
SHOWN_PROBLEMS = 20
# Refusals of a word that stands on the command line itself; what a file or the database holds is a failure.
WRONG_WORDS = frozenset(
    {"cut", "role-unknown", "channel", "unreached-of", "link-test-provider", "suppression-class", "reply-kind"}
)


def known(error: Exception) -> BroadcasterError | None:
    """What stands behind an error that we know how to tell, also one of the rooms that import nothing of ours."""
    if isinstance(error, BroadcasterError):
        return error
    if isinstance(error, AudioError):
        kind = Unavailable if isinstance(error, VoiceUnavailable) else BadInput
        return kind(error.code, error.message)
    if isinstance(error, OSError) and error.filename is not None:
        return BadInput("file", f"{error.filename}: {error.strerror}")
    return Unavailable("channel", str(error)) if isinstance(error, ChannelError) else None


def exit_code(error: BroadcasterError) -> int:
    """The exit code that stands for a refusal."""
    if isinstance(error, Refused):
        return REFUSED
    if error.code in WRONG_WORDS:
        return USAGE
    return UNAVAILABLE if isinstance(error, Unavailable) else FAILURE


def error_object(error: BroadcasterError) -> dict[str, object]:
    """What a script reads of a refusal."""
    told: dict[str, object] = {"code": error.code, "message": error.message}
    if isinstance(error, BadInput) and error.problems:
        told["problems"] = error.problems
    return {"error": told}


def tell(error: BroadcasterError, as_object: bool) -> None:
    """What, where and what to do, on stderr; with --json the object too."""
    say(f"broadcaster: {error.message}")
    problems = error.problems if isinstance(error, BadInput) else []
    for problem in problems[:SHOWN_PROBLEMS]:
        say("  " + ", ".join(f"{key} {value}" for key, value in problem.items() if value not in (None, "")))
    if len(problems) > SHOWN_PROBLEMS:
        say(f"  and {len(problems) - SHOWN_PROBLEMS} more; --json lists them all")
    if as_object:
        emit(error_object(error))


def keep(error: BaseException) -> Path:
    """Writes the details of a fault of the program, numbers masked, to a file of mode 0600. Returns the file."""
    stamp = datetime.now(UTC).isoformat(timespec="seconds")
    details = mask("".join(traceback.format_exception(error)))
    folder = home_folder()
    file = (folder if folder.is_dir() and os.access(folder, os.W_OK) else Path(tempfile.mkdtemp())) / "errors.log"
    handle = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as out:
        out.write(f"{stamp}\n{details}\n")
    return file
