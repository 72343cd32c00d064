"""What is wrong with a draft, as a list whose entries lead to the field that mends it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from broadcaster.model import BadInput, BroadcasterError

# Code of an error -> the field of the form.
FIELDS: Mapping[str, str] = {
    "name": "name",
    "mode": "mode",
    "level": "level",
    "channels": "channels",
    "channel": "channels",
    "no-template": "channels",
    "expired": "expires",
    "expires": "expires",
    "expires-before-start": "expires",
    "expires-too-late": "expires",
    "quiet-hours": "expires",
    "not-before": "not_before",
}

# Errors whose message names what no catalogue can: the character, the code. The others' words say all that there is to mend.
PARTICULAR = frozenset(
    {
        "forbidden-character",
        "group-unknown",
        "not-in-encoding",
        "picture",
        "place-unknown",
        "unknown-fact",
        "unprintable",
    }
)


@dataclass(frozen=True, slots=True)
class FindingLine:
    """One thing to mend. `field` is the id of what the link leads to."""

    code: str
    message: str
    field: str
    channel: str = ""
    fact: str = ""

    @property
    def particular(self) -> bool:
        """Whether the message says more than our words for its code do."""
        return self.code in PARTICULAR


def findings_of(
    error: BroadcasterError | None, previews: Sequence[Mapping[str, Any]], lacking: Sequence[Mapping[str, Any]] = ()
) -> list[FindingLine]:
    """Everything that keeps the draft from going out, each named once, in the order of the form."""
    found = [_line(problem) for problem in lacking]
    if error is not None:
        problems = error.problems if isinstance(error, BadInput) else []
        found += [_line(problem) for problem in problems]
        if not problems and error.code not in {line.code for line in found}:
            found.append(FindingLine(error.code, error.message, _field(error.code)))
    for preview in previews:
        channel = str(preview.get("channel", ""))
        found += [_line({"channel": channel, **problem}) for problem in preview.get("problems", ())]
    return list(dict.fromkeys(found))


def _line(problem: Mapping[str, Any]) -> FindingLine:
    code, channel = str(problem.get("code", "")), str(problem.get("channel", ""))
    fact = problem.get("fact")
    field = f"fact-{fact}" if fact else f"preview-{channel}" if channel else _field(code)
    return FindingLine(code, str(problem.get("message", "")), field, channel, str(fact or ""))


def _field(code: str) -> str:
    return FIELDS.get(code, "audience" if code.startswith(("audience", "place", "group")) else "name")
