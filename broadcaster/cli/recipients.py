"""Recipients from files: checked, then stored, all or nothing."""

from pathlib import Path
from typing import Annotated

import typer

from broadcaster.cli.session import Home, Json

recipients = typer.Typer(help="Recipients: files of phones, checked and imported.", no_args_is_help=True)
File = Annotated[Path, typer.Argument(metavar="FILE", help="CSV, TSV or a spreadsheet.")]
SHOWN_ERRORS = 50


def register(app: typer.Typer) -> None:
    """Adds the group recipients."""
    app.add_typer(recipients, name="recipients")


@recipients.command("check")
def check(file: File, as_json: Json = False, home: Home = None) -> None:
    """Reads a file and says what is wrong in it: row, column, reason. Stores nothing; ends with 1 where a row is rejected."""
