"""A checked template with its facts put in and its slots left open."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from broadcaster.compose.template_language import ENVIRONMENT, Names, TemplateRuntimeError, UndefinedError, check
from broadcaster.compose.template_text import forbidden, shown, tidy
from broadcaster.model import BadInput

_FIRST_MARK = 0xE000  # private use; refused in templates and facts, so a mark in an output is a slot and nothing else


class Compiled:
    """A template that passed the check, compiled once. Raises BadInput where it did not pass."""

    def __init__(self, source: str, names: Names) -> None:
        checked = check(source, names)
        if checked.faults:
            first = checked.faults[0]
            raise BadInput(first.code, f"line {first.line}, column {first.column}: {first.message}")
        self._slots = {name: chr(_FIRST_MARK + i) for i, name in enumerate(names.slots)}
        self._marks = {mark: name for name, mark in self._slots.items()}
        self._template = ENVIRONMENT.from_string(source)

    def render(self, context: Mapping[str, object], cap: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Pieces and slots, alternating. Raises BadInput: a fact is missing, cannot be compared, or the text is too long."""
        text = tidy(self._run(context, cap))
        if (bad := forbidden(text, allowed="\n" + "".join(self._marks))) is not None:
            raise BadInput("forbidden-character", f"the text holds the character {shown(bad)}")
        parts = re.split(f"([{''.join(self._marks)}])", text) if self._marks else [text]
        return tuple(parts[::2]), tuple(self._marks[mark] for mark in parts[1::2])

    def _run(self, context: Mapping[str, object], cap: int) -> str:
        out: list[str] = []
        size = 0
        try:
            for piece in self._template.generate({**context, **self._slots}):
                size += len(piece)
                if size > cap:
                    raise BadInput("output-too-long", f"the text grows past {cap} characters")
                out.append(piece)
        except UndefinedError as error:
            raise BadInput("missing-fact", str(error)) from error
        except (TemplateRuntimeError, TypeError, ValueError, AttributeError, ArithmeticError, AssertionError) as error:
            raise BadInput("render-failed", f"the template cannot be rendered with these facts: {error}") from error
        return "".join(out)


@dataclass(frozen=True, slots=True)
class Rendered:
    """Pieces and slots alternate: pieces[0] slots[0] pieces[1] ... pieces[-1]."""

    pieces: tuple[str, ...]
    slots: tuple[str, ...]

    def text(self, values: Mapping[str, str]) -> str:
        """The slots put in as they are: nothing in a name is ever read as a template. Raises BadInput on a missing one."""
        missing = [slot for slot in self.slots if slot not in values]
        if missing:
            raise BadInput("missing-slot", f"no value for the slot {', '.join(sorted(set(missing)))}")
        filled = [piece + values[slot] for piece, slot in zip(self.pieces, self.slots, strict=False)]
        return "".join(filled) + self.pieces[-1]
