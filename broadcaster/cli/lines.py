"""Measuring verbs over many texts: one JSON value a line in, one object a line out, no line lost."""

import json
import sys
from collections.abc import Callable, Mapping
from typing import Any

import typer

from broadcaster.cli.failures import error_object, keep, known
from broadcaster.cli.show import answer, emit
from broadcaster.model import BadInput

Measure = Callable[[Mapping[str, Any]], Mapping[str, Any]]


def measured(text: str | None, jsonl: bool, as_object: bool, measure: Measure) -> None:
    """Runs `measure` over the text of the command line, or over every line of stdin with --jsonl."""
    if jsonl:
        raise typer.Exit(each_line(measure))
    if text is None:
        raise typer.BadParameter("name a TEXT, or give --jsonl and one JSON string a line on stdin")
    answer(measure({"text": text}), as_object)


def each_line(measure: Measure, texts: bool = True) -> int:
    """Answers every line of stdin in order. A refused one answers {"error": {"code", "message"}} and the run goes on.

    With `texts` a line may be a string, which stands for {"text": string}.

    Returns 0, or 1 where a line met a fault of the program (kept in the error log, as for any verb).
    """
    worst = 0
    for line in sys.stdin.buffer:
        try:
            emit(measure(_item(line, texts)))
        except Exception as error:
            told = known(error)
            if told is None:
                worst = 1
                told = BadInput(
                    "internal", f"a fault of the program ({type(error).__name__}); details in {keep(error)}"
                )
            emit(error_object(told))
    return worst


def _item(line: bytes, texts: bool) -> Mapping[str, Any]:
    try:
        value = json.loads(line.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise BadInput("bad-json", f"the line is not JSON in UTF-8: {error}") from error
    if texts and isinstance(value, str):
        return {"text": value}
    if isinstance(value, dict):
        return value
    raise BadInput("bad-line", f"a line is a JSON {'string or ' if texts else ''}object, not {type(value).__name__}")


def text_of(item: Mapping[str, Any]) -> str:
    """The text of a line. Raises BadInput where an object has none."""
    text = item.get("text")
    if not isinstance(text, str):
        raise BadInput("no-text", 'an object needs a "text" that is a string')
    return text
