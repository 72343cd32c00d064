"""What a person says of a draft on the command line, turned into the JSON that every door takes."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from broadcaster.model import BadInput

Name = Annotated[str, typer.Option("--name", help="Name of the campaign; the public does not see it.")]
TemplateSet = Annotated[str, typer.Option("--template-set", help="Id or folder of a template set.")]
Mode = Annotated[str, typer.Option("--mode", help="live or exercise.")]
Facts = Annotated[Path | None, typer.Option("--facts", metavar="FILE.json", help="Facts as one JSON object.")]
Fact = Annotated[list[str] | None, typer.Option("--fact", metavar="NAME=VALUE", help="One fact; wins over the file.")]
Place = Annotated[list[str] | None, typer.Option("--place", metavar="CODE", help="Place code or its first digits.")]
Category = Annotated[
    list[str] | None, typer.Option("--category", "--premises-category", metavar="C", help="Premises category.")
]
Language = Annotated[list[str] | None, typer.Option("--language", metavar="L", help="zh-CN, ko or en.")]
Group = Annotated[list[str] | None, typer.Option("--group", metavar="G", help="Group of recipients.")]
ExcludePlace = Annotated[list[str] | None, typer.Option("--exclude-place", metavar="CODE", help="Leave a place out.")]
ExcludeGroup = Annotated[list[str] | None, typer.Option("--exclude-group", metavar="G", help="Leave a group out.")]
Channel = Annotated[
    list[str] | None, typer.Option("--channel", metavar="C", help="sms, loudspeaker, billboard, social.")
]
Level = Annotated[str | None, typer.Option("--level", help="Of a warning: blue, yellow, orange, red.")]
NotBefore = Annotated[str | None, typer.Option("--not-before", metavar="TIME", help="Not before this time, RFC 3339.")]
Expires = Annotated[str | None, typer.Option("--expires", metavar="TIME", help="Not sent and not shown from then on.")]


def given_selection(  # noqa: PLR0913, PLR0917  a selection is made of these
    places: list[str] | None = None,
    categories: list[str] | None = None,
    languages: list[str] | None = None,
    groups: list[str] | None = None,
    exclude_places: list[str] | None = None,
    exclude_groups: list[str] | None = None,
) -> dict[str, list[str]]:
    """A selection as JSON: only what was named."""
    given = {
        "places": places,
        "premises_categories": categories,
        "languages": languages,
        "groups": groups,
        "exclude_places": exclude_places,
        "exclude_groups": exclude_groups,
    }
    return {key: value for key, value in given.items() if value}


def given_draft(
    texts: Mapping[str, str | None], facts: Mapping[str, Any], channels: list[str] | None
) -> dict[str, Any]:
    """A draft as JSON, without its selection: only what was named."""
    given: dict[str, Any] = {key: value for key, value in texts.items() if value is not None}
    if channels:
        given["channels"] = channels
    return {**given, "facts": dict(facts)}


def facts_of(file: Path | None, each: list[str] | None) -> dict[str, Any]:
    """Facts of the file, then those named one by one. Raises BadInput with the place of the fault."""
    return {**(json_file(file) if file else {}), **dict(_fact(written) for written in each or [])}


def _fact(written: str) -> tuple[str, Any]:
    name, equals, value = written.partition("=")
    if not equals or not name.strip():
        raise BadInput("fact", f"--fact {written!r}: write NAME=VALUE")
    if value[:1] in ("{", "["):  # a text per language, or a list
        try:
            return name.strip(), json.loads(value)
        except ValueError as error:
            raise BadInput("fact", f"--fact {name}: starts like JSON but is none: {error}") from error
    return name.strip(), value


def json_file(file: Path) -> dict[str, Any]:
    """One JSON object from a file ('-' = stdin). Raises BadInput that says what, where and what to do."""
    try:
        text = typer.get_text_stream("stdin").read() if str(file) == "-" else file.read_text(encoding="utf-8-sig")
        value = json.loads(text)
    except OSError as error:
        raise BadInput("file", f"{file}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise BadInput("file-encoding", f"{file}: not UTF-8 at byte {error.start}") from error
    except json.JSONDecodeError as error:
        raise BadInput("file-json", f"{file}, line {error.lineno}, column {error.colno}: {error.msg}") from error
    except RecursionError as error:
        raise BadInput("file-json", f"{file}: nested too deeply") from error
    if not isinstance(value, dict):
        raise BadInput("file-json", f"{file}: holds {type(value).__name__}, not an object")
    return value
