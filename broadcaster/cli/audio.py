"""Speech: what will be said, and a clip of it."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from broadcaster.cli.lines import measured, text_of
from broadcaster.cli.measure import Text
from broadcaster.cli.session import Json, Jsonl

audio = typer.Typer(help="Speech: the words that will be said, and clips of them.", no_args_is_help=True)
Language = Annotated[str, typer.Option("--lang", metavar="L", help="zh-CN, ko or en.")]


def register(app: typer.Typer) -> None:
    """Adds the group audio."""
    app.add_typer(audio, name="audio")


@audio.command("spoken")
def audio_spoken(language: Language, text: Text = None, jsonl: Jsonl = False, as_json: Json = False) -> None:
    """Written text as the words that will be said: figures and signs resolved."""
    from audio.spoken import spoken

    def one(item: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"spoken": spoken(text_of(item), language)}

    measured(text, jsonl, as_json, one)
