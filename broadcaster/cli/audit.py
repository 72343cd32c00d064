"""The audit chain, proved from its first entry to its last."""

from typing import Annotated

import typer

from broadcaster.cli.session import Home, Json, opened
from broadcaster.cli.show import answer

audit = typer.Typer(help="The audit chain.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Adds the group audit."""
    app.add_typer(audit, name="audit")


@audit.command("verify")
def verify(
    head: Annotated[
        str | None,
        typer.Option("--head", help="Hash of the last entry, kept elsewhere: shows a chain whose end was cut off."),
    ] = None,
    as_json: Json = False,
    home: Home = None,
) -> None:
    """Checks that no entry was altered, deleted, inserted or moved. Ends with 1 where one was."""
    from broadcaster import audit as chain

    with opened(home) as inst:
        found = chain.verify(inst, head)
    answer(found, as_json)
    raise typer.Exit(0 if found["ok"] else 1)
