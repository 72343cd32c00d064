"""Template sets: checked as a whole, rendered text by text."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from broadcaster.cli.drafts import json_file
from broadcaster.cli.lines import each_line
from broadcaster.cli.session import Home, Json, Jsonl, settings_for
from broadcaster.cli.show import answer, emit, table
from broadcaster.model import BadInput

template = typer.Typer(help="Template sets.", no_args_is_help=True)
Folder = Annotated[str, typer.Argument(metavar="DIR", help="Folder of a template set, or the id of a shipped one.")]


def register(app: typer.Typer) -> None:
    """Adds the group template."""
    app.add_typer(template, name="template")


@template.command("check")
def check(folder: Folder, as_json: Json = False) -> None:
    """Everything wrong with a set: file, line, column, what to do. Ends with 1 where there is anything."""
    from broadcaster.compose.templates import check_set, shipped_folder

    path = Path(folder)
    if not path.exists() and (shipped_folder() / folder / "set.toml").is_file():
        path = shipped_folder() / folder
    problems = [finding.as_json() for finding in check_set(path)]
    if as_json:
        emit({"ok": not problems, "problems": problems})
    elif problems:
        columns = ("file", "line", "column", "code", "message")
        table(columns, [[str(problem.get(name, "")) for name in columns] for problem in problems], title=str(path))
    else:
        answer({"ok": True}, False)
    raise typer.Exit(1 if problems else 0)


@template.command("list")
def listed(as_json: Json = False, home: Home = None) -> None:
    """The sets that a campaign can use."""
    from broadcaster.compose.templates import template_sets

    sets = template_sets(settings_for(home).templates)
    rows = [{"id": each.id, "category": str(each.category), "title": dict(each.title)} for each in sets]
    if as_json:
        emit({"template_sets": rows})
    else:
        table(("id", "category", "title"), [[row["id"], row["category"], row["title"]] for row in rows])


@template.command("render")
def render(  # noqa: PLR0913, PLR0917  the flags of doors.md
    folder: Folder,
    channel: Annotated[
        str, typer.Option("--channel", metavar="C", help="sms, loudspeaker, billboard, social[.format].")
    ],
    language: Annotated[str, typer.Option("--lang", metavar="L", help="zh-CN, ko or en.")],
    facts: Annotated[
        Path | None, typer.Option("--facts", metavar="FILE.json", help="Campaign and segment facts.")
    ] = None,
    jsonl: Jsonl = False,
    as_json: Json = False,
) -> None:
    """One text with facts and slots filled in, and what it takes; with --jsonl a line of slots per text."""
    from broadcaster.compose.templates import render_with_slots
    from channels import CHANNELS, channel_class

    kind, _, format = channel.partition(".")
    if kind not in CHANNELS:
        raise BadInput("channel", f"--channel {channel}: the channels are {', '.join(CHANNELS)}")
    given = json_file(facts) if facts else {}

    def one(item: Mapping[str, Any]) -> Mapping[str, Any]:
        text = render_with_slots(folder, channel, language, given, item)
        return {"text": text, "size": channel_class(kind).measure(text, format).as_json()}

    if jsonl:
        raise typer.Exit(each_line(one, texts=False))
    answer(one({}), as_json)
