"""Recipients from files: checked, then stored, all or nothing."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from broadcaster.cli.session import ACTOR, Home, Json, opened, settings_for
from broadcaster.cli.show import emit, pairs, progress, say, table

if TYPE_CHECKING:
    from broadcaster.compose.recipients import Report

recipients = typer.Typer(help="Recipients: files of phones, checked and imported.", no_args_is_help=True)
File = Annotated[Path, typer.Argument(metavar="FILE", help="CSV, TSV, XLSX, XLS or ODS.")]
SHOWN_ERRORS = 50


def register(app: typer.Typer) -> None:
    """Adds the group recipients."""
    app.add_typer(recipients, name="recipients")


@recipients.command("check")
def check(file: File, as_json: Json = False, home: Home = None) -> None:
    """Says what an import of the file would do: row, column, reason. Stores nothing; ends with 1 where a row is rejected.

    Without an initialised home the shipped tree of places is looked in.
    """
    from broadcaster.compose import recipients as files

    with progress("rows") as tell:
        if settings_for(home).key_file.exists():
            with opened(home) as inst:
                report = files.check(file, inst, tell)
        else:
            report = files.check(file, None, tell)
    _show(report, as_json)
    raise typer.Exit(1 if report.rejected else 0)


@recipients.command("import")
def import_(
    file: File,
    skip_rejected: Annotated[
        bool, typer.Option("--skip-rejected", help="Store the good rows even if others are rejected.")
    ] = False,
    as_json: Json = False,
    home: Home = None,
) -> None:
    """Stores the recipients of a file: all of them, or none where a row is rejected (it ends with 1 then)."""
    from broadcaster.compose import recipients as files

    with opened(home) as inst, progress("rows") as tell:
        report = files.import_file(inst, ACTOR, file, skip_rejected, tell)
    _show(report, as_json)
    if report.rejected and not report.stored:
        say("broadcaster: nothing was stored; mend the rows above, or give --skip-rejected to store the others")
    raise typer.Exit(1 if report.rejected and not report.stored else 0)


def _show(report: "Report", as_json: bool) -> None:
    if as_json:
        emit(report.as_json())
        return
    pairs({**report.counts(), "columns": report.columns})
    shown = report.errors[:SHOWN_ERRORS]
    if shown:
        table(
            ("row", "column", "code", "message"), [(str(e.row), e.column, e.code, e.message) for e in shown], "Rejected"
        )
    if report.rejected > len(shown):
        say(f"{report.rejected - len(shown)} more rejected; --json lists up to 10,000")
    for note in report.notes:
        say(note)
