"""Verbs that measure: the same functions that the editor, the API and the worker ask."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from broadcaster.cli.lines import measured, text_of
from broadcaster.cli.session import Json, Jsonl
from broadcaster.model import BadInput

Text = Annotated[str | None, typer.Argument(metavar="[TEXT]", help="One text; without it give --jsonl.")]

sms = typer.Typer(help="SMS arithmetic.", no_args_is_help=True)
billboard = typer.Typer(help="Billboard layout.", no_args_is_help=True)
SMS_KEYS = ("encoding", "units", "parts", "left", "problems")


def register(app: typer.Typer) -> None:
    """Adds the groups sms and billboard."""
    app.add_typer(sms, name="sms")
    app.add_typer(billboard, name="billboard")


@sms.command("measure")
def sms_measure(text: Text = None, jsonl: Jsonl = False, as_json: Json = False) -> None:
    """Encoding, units, parts and units left in the last part of a text as given."""
    from channels.sms.segments import measure

    def one(item: Mapping[str, Any]) -> Mapping[str, Any]:
        size = measure(text_of(item)).as_json()
        return {key: size[key] for key in SMS_KEYS if key in size}

    measured(text, jsonl, as_json, one)


@billboard.command("fit")
def billboard_fit(  # noqa: PLR0913, PLR0917  the flags of doors.md
    size: Annotated[str, typer.Option("--size", metavar="WxH", help="Pixels of the screen, as 192x96.")],
    text: Text = None,
    glyph: Annotated[int, typer.Option("--glyph", help="Height of a character in pixels.")] = 16,
    encoding: Annotated[str, typer.Option("--encoding", help="Character set of the controller.")] = "gb18030",
    mode: Annotated[str, typer.Option("--mode", help="pages or scroll.")] = "pages",
    jsonl: Jsonl = False,
    as_json: Json = False,
) -> None:
    """How a text lies on a screen: pages of lines, and the seconds that one showing takes."""
    from channels.billboard import BoardFormat, FitError

    def one(item: Mapping[str, Any]) -> Mapping[str, Any]:
        try:
            return board.fit(text_of(item)).as_json()
        except FitError as error:
            found = [{"code": error.code, "characters": error.characters}] if error.characters else []
            raise BadInput(error.code, str(error), found) from error

    try:
        board = BoardFormat.parse(f"{size}/{glyph}/{encoding}/{mode}")
        board.fit("0")
    except FitError as error:
        raise BadInput(
            error.code, f"--size {size} --glyph {glyph} --encoding {encoding} --mode {mode}: {error}"
        ) from error
    measured(text, jsonl, as_json, one)
