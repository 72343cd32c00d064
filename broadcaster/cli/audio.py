"""Speech: what will be said, and a clip of it."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer

from broadcaster.cli.lines import measured, text_of
from broadcaster.cli.measure import Text
from broadcaster.cli.session import Home, Json, Jsonl, settings_for
from broadcaster.cli.show import answer
from broadcaster.model import BadInput

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


@audio.command("make")
def audio_make(  # noqa: PLR0913, PLR0917  the flags of doors.md
    language: Language,
    text: Annotated[str, typer.Option("--text", metavar="T", help="As written; it is resolved before it is said.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Ends in .mp3 or .wav.")],
    chime: Annotated[bool, typer.Option("--chime", help="A chime before the words.")] = False,
    repeat: Annotated[int, typer.Option("--repeat", min=1, max=5, help="How often the words are said.")] = 1,
    engine: Annotated[
        str | None, typer.Option("--engine", metavar="E", help="espeak, gtts or recording:PATH. [default: the setting]")
    ] = None,
    as_json: Json = False,
    home: Home = None,
) -> None:
    """Speaks a text into a file."""
    from audio.clip import make_clip
    from audio.spoken import spoken

    if out.suffix not in (".mp3", ".wav"):
        raise BadInput("suffix", f"--out {out}: must end in .mp3 or .wav")
    engines = [engine] if engine else settings_for(home).speech_engines.split(",")
    with TemporaryDirectory(prefix="broadcaster-") as folder:
        said = [(language, spoken(text, language))]
        clip = make_clip(said, Path(folder), chime=chime, repeat=repeat, engines=[name.strip() for name in engines])
        made = clip.mp3 if out.suffix == ".mp3" else clip.wav
        shutil.copyfile(Path(folder) / made.path, out)
    found = {
        "file": str(out),
        "seconds": clip.seconds,
        "bytes": made.bytes,
        "engine": clip.engine,
        "loudness": clip.loudness,
    }
    answer(found, as_json)
