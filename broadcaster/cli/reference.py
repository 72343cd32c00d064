"""The reference pages docs/settings.md and docs/cli.md, made from the code; a test keeps them so."""

from collections.abc import Iterator
from typing import Annotated, Any

import typer

from broadcaster.cli.failures import FINE
from broadcaster.model import BadInput

PAGES = ("settings", "cli")


def register(app: typer.Typer) -> None:
    """Adds the hidden verb reference."""
    app.command("reference", hidden=True)(reference)


def reference(
    context: typer.Context, page: Annotated[str, typer.Argument(metavar="PAGE", help="settings or cli.")]
) -> None:
    """Prints the generated part of a reference page."""
    if page not in PAGES:
        raise BadInput("page", f"the pages are {', '.join(PAGES)}, not {page!r}")
    print("\n".join(settings_lines() if page == "settings" else verb_lines(context.find_root().command)))
    raise typer.Exit(FINE)


def settings_lines() -> Iterator[str]:
    """A table of every setting: variable, default, what it is for."""
    from broadcaster.settings import Settings, described

    yield "| variable | default | what it is for |"
    yield "|---|---|---|"
    for row in described(Settings.model_construct()):
        default = "" if row["default"] in (None, "") else f"`{row['default']}`"
        yield f"| `{row['name']}` | {default} | {row['description']} |"


def verb_lines(command: Any) -> Iterator[str]:
    """Every verb below a command, with its arguments and options."""
    yield from _group(command, "broadcaster")


def _group(group: Any, path: str) -> Iterator[str]:
    for name, command in group.commands.items():
        if command.hidden:
            continue
        if hasattr(command, "commands"):
            yield from _group(command, f"{path} {name}")
        else:
            yield from _verb(command, f"{path} {name}")


def _verb(command: Any, path: str) -> Iterator[str]:
    shown = [param for param in command.params if not getattr(param, "hidden", False) and param.name != "help"]
    arguments = [param for param in shown if param.param_type_name == "argument"]
    usage = " ".join([path, *(param.metavar or param.name.upper() for param in arguments)])
    yield f"### `{usage}`"
    yield ""
    yield " ".join(command.help.split())
    yield ""
    options = [param for param in shown if param.param_type_name == "option"]
    for param in options:
        names = ", ".join(f"`{name}`" for name in param.opts)
        need = " Required." if param.required else ""
        yield f"- {names}: {' '.join((param.help or '').split())}{need}"
    if options:
        yield ""
