"""What every verb shares: which home folder, the open installation, who acts."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from broadcaster.model import BroadcasterError

if TYPE_CHECKING:  # the verbs that only measure open nothing, and --help must not wait for a database library
    from broadcaster.installation import Installation
    from broadcaster.settings import Settings

ACTOR = "cli"  # who did it, in the audit chain, where nobody was named: whoever can read the home folder's keys

Home = Annotated[
    Path | None, typer.Option("--home", help="Folder of database, keys, spool, audio. [default: BROADCASTER_HOME]")
]
Json = Annotated[bool, typer.Option("--json", help="Print exactly one JSON object.")]
Jsonl = Annotated[
    bool, typer.Option("--jsonl", help="Read a JSON string or object a line from stdin; answer one object a line.")
]
As = Annotated[str, typer.Option("--as", metavar="USER", help="Login of the user who does it.")]

_home: ContextVar[Path | None] = ContextVar("home", default=None)


def remember_home(home: Path | None) -> None:
    """The folder named before the verb; one named after it wins."""
    _home.set(home)


def home_folder() -> Path:
    """The home folder as far as it can be known; the present folder where the settings cannot be read."""
    from broadcaster.settings import load_settings

    try:
        return load_settings(home=_home.get()).folder
    except BroadcasterError:
        return Path.cwd()


def settings_for(home: Path | None, **given: Any) -> "Settings":
    """Settings of this call; also sends the log to stderr in the configured form."""
    from broadcaster import logs
    from broadcaster.settings import load_settings

    if home is not None:
        _home.set(home)
    settings = load_settings(home=_home.get(), **given)
    logs.configure(settings)
    return settings


@contextmanager
def opened(home: Path | None, **given: Any) -> Iterator["Installation"]:
    """An initialised installation, closed with the block. Raises BadInput where it was never initialised."""
    from broadcaster.installation import open_installation

    settings_for(home, **given)
    inst = open_installation(home=_home.get(), **given)
    try:
        yield inst
    finally:
        inst.close()


@contextmanager
def made(home: Path | None, **given: Any) -> Iterator["Installation"]:
    """The same, made or brought up to the newest schema where it is not."""
    from broadcaster.installation import initialise

    settings_for(home, **given)
    inst = initialise(home=_home.get(), **given)
    try:
        yield inst
    finally:
        inst.close()
