"""The command `broadcaster`. Each verb parses, calls one function and shows what it answered; no rule lives here."""

import sys
from typing import Annotated, NoReturn

import typer

from broadcaster import __version__
from broadcaster.cli import (
    audiences,
    audio,
    audit,
    campaigns,
    configure,
    counts,
    demo,
    devices,
    doctor,
    gateway,
    measure,
    places,
    recipients,
    reference,
    run,
    templates,
    users,
)
from broadcaster.cli.failures import FAILURE, INTERRUPTED, USAGE, exit_code, keep, known, tell
from broadcaster.cli.session import Home, remember_home
from broadcaster.cli.show import emit
from broadcaster.model import BadInput

app = typer.Typer(
    name="broadcaster",
    help="One campaign, every channel, every village, and every count true.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for module in (
    configure,
    demo,
    measure,
    audio,
    places,
    recipients,
    audiences,
    templates,
    campaigns,
    counts,
    audit,
    users,
    devices,
    gateway,
    run,
    doctor,
    reference,
):
    module.register(app)


def _version(wanted: bool) -> None:
    if wanted:
        print(__version__)
        raise typer.Exit


@app.callback()
def root(
    home: Home = None,
    _show_version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_version, help="Print the version and end.")
    ] = False,
) -> None:
    """One campaign, every channel, every village, and every count true.

    Exit codes: 0 fine, 1 failure, 2 wrong usage, 3 finished with failed deliveries, 4 refused by a rule, 5 a dependency is
    unavailable, 130 interrupted.
    """
    remember_home(home)


def main() -> NoReturn:
    """Runs the verb of the command line and ends the process with its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    sys.exit(_run("--json" in sys.argv))


def _run(as_object: bool) -> int:
    try:
        app(prog_name="broadcaster")
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else FAILURE
        if code == USAGE and as_object:
            why = getattr(ended.__context__, "message", "") or "see stderr"
            emit({"error": {"code": "usage", "message": str(why)}})
        return code
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:
        return _told(error, as_object)
    return 0


def _told(error: Exception, as_object: bool) -> int:
    told = known(error)
    if told is None:
        where = keep(error)
        told = BadInput("internal", f"a fault of the program ({type(error).__name__}); the details are in {where}")
    tell(told, as_object)
    return exit_code(told)
