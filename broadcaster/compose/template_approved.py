"""Texts that a cloud provider has approved beforehand: declared in a set, and proven to say what our own template says.

Such a provider (Aliyun, Tencent) is sent no text but the id of a template and its variables. What the public then reads is the
provider's copy of the words, so that ours would be a preview and no more: it is compared letter by letter before anybody is
asked to approve it. Source: sms.md §4.3, §4.4, §5 of the fact sheets. No provider of this kind is built in yet.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from broadcaster.compose.template_facts import FactProblem
from broadcaster.compose.template_language import Checked, Names, check
from broadcaster.compose.template_render import Compiled, Rendered
from broadcaster.compose.template_text import forbidden, hint, shown
from broadcaster.compose.template_values import LANGUAGES
from broadcaster.model import BadInput
from channels.sms import decorate

# ${name} is Aliyun's way to write a variable, {1} is Tencent's.
PLACEHOLDER = re.compile(r"\$\{([A-Za-z][A-Za-z0-9_]*)\}|\{([1-9][0-9]?)\}")
_LINK = re.compile(r"://|www\.|[a-z0-9-]+\.(?:com|cn|net|org|gov|edu|io|top|xyz)\b", re.IGNORECASE)
_KEYS = frozenset({"id", "text", "variables", "max_length", "adds_tail"})
MOST_VARIABLES = 40
AROUND = 12  # characters shown where two texts part
_FIRST_MARK = 0xE000  # private use: no template and no fact may hold it


@dataclass(frozen=True)
class ApprovedText:
    """One template at one provider. `variables` are ours, in the order of the provider's placeholders."""

    provider: str
    language: str
    id: str
    text: str
    variables: tuple[str, ...]  # a slot, or a fact with its filters: what could stand in {{ }}
    max_length: int  # characters of a value
    adds_tail: bool  # whether the provider adds the way out of a promotion; the signature it always adds

    @property
    def table(self) -> str:
        """Where it stands in set.toml."""
        return f'approved.{self.provider}."{self.language}"'

    @cached_property
    def placeholders(self) -> tuple[str, ...]:
        """Names in the order of their first appearance; numbers in their own."""
        found = list(dict.fromkeys(named or number for named, number in PLACEHOLDER.findall(self.text)))
        return tuple(sorted(found, key=int) if found and found[0].isdigit() else found)

    def source(self, variable: str) -> str:
        """A variable as the template that prints it."""
        return f"{{{{ {variable} }}}}"

    def checked(self, names: Names) -> tuple[Checked, ...]:
        """What the language says of each variable."""
        return tuple(check(self.source(variable), names) for variable in self.variables)

    def compiled(self, names: Names) -> tuple[Compiled, ...]:
        """Each variable, ready to be rendered. Raises BadInput where one did not pass."""
        return tuple(Compiled(self.source(variable), names) for variable in self.variables)


def declare(provider: str, language: str, raw: object) -> ApprovedText:
    """The template of `[approved.<provider>."<language>"]` in set.toml. Raises FactProblem (code `bad-set`)."""
    where = f"approved.{provider}.{language}"
    if (
        not isinstance(raw, Mapping)
        or not re.fullmatch(r"[a-z][a-z0-9_-]{0,39}", provider)
        or language not in LANGUAGES
    ):
        raise FactProblem("bad-set", f'{where}: write a table [approved.<provider>."<{"|".join(LANGUAGES)}>"]')
    for key in raw:
        if key not in _KEYS:
            raise FactProblem("bad-set", f'{where}: there is no "{key}"{hint(key, _KEYS)}')
    variables, longest = raw.get("variables"), raw.get("max_length")
    if not isinstance(variables, list) or len(variables) > MOST_VARIABLES or not all(map(_is_variable, variables)):
        raise FactProblem("bad-set", f"{where}: variables lists slots and facts, as they would stand inside {{{{ }}}}")
    if type(longest) is not int or longest < 1:
        raise FactProblem("bad-set", f"{where}: max_length is the number of characters that the provider takes in one")
    if not isinstance(raw.get("adds_tail", False), bool):
        raise FactProblem("bad-set", f"{where}: adds_tail is true or false")
    made = ApprovedText(
        provider,
        language,
        _plain(where, "id", raw.get("id")),
        _plain(where, "text", raw.get("text")),
        tuple(variables),
        longest,
        raw.get("adds_tail", False),
    )
    _fits(where, made)
    return made


def _is_variable(one: object) -> bool:
    return isinstance(one, str) and bool(one.strip()) and not set("{}\n") & set(one)


def _plain(where: str, key: str, raw: object) -> str:
    if not isinstance(raw, str) or not raw or raw != raw.strip():
        raise FactProblem("bad-set", f"{where}: {key} is a text without blanks at its ends")
    if bad := forbidden(raw, allowed="\n"):
        raise FactProblem("bad-set", f"{where}: {key}: delete the character {shown(bad)}")
    return raw


def _fits(where: str, made: ApprovedText) -> None:
    if made.text.startswith("【"):
        raise FactProblem("bad-set", f"{where}: the provider adds the signature: leave it out of text")
    styles = {bool(named) for named, _ in PLACEHOLDER.findall(made.text)}
    if len(styles) > 1:
        raise FactProblem("bad-set", f"{where}: text holds ${{name}} and {{1}} alike: it can be of one provider only")
    holes = made.placeholders
    if len(holes) != len(made.variables):
        raise FactProblem(
            "bad-set", f"{where}: text has {len(holes)} placeholders, variables has {len(made.variables)}"
        )
    if holes and holes[0].isdigit() and holes != tuple(str(n) for n in range(1, len(holes) + 1)):
        raise FactProblem("bad-set", f"{where}: placeholders must count from {{1}} without a gap")


def prove(
    approved: ApprovedText, ours: Rendered, values: Sequence[Rendered], signed: tuple[str, str]
) -> dict[str, object]:
    """What the wording keeps: {"provider", "id", "variables": [[placeholder, value or number of a slot]], "longest"}.

    `signed` = signature and way out, as our own text gets them. With slots left open it holds for every recipient alike.
    Raises BadInput: `approved-differs`, `approved-value`; SignatureError.
    """
    signature, tail = signed
    slots = sorted({*ours.slots, *(slot for value in values for slot in value.slots)})
    marks = {slot: chr(_FIRST_MARK + at) for at, slot in enumerate(slots)}
    said = dict(zip(approved.placeholders, (value.text(marks) for value in values), strict=True))
    theirs = PLACEHOLDER.sub(lambda found: said[found[1] or found[2]], approved.text)
    wanted = decorate(ours.text(marks), signature, tail)
    # The provider puts its signature in front of whatever stands there, and adds the way out or does not.
    got = f"【{signature.strip().strip('【】')}】{theirs}"
    got = decorate(got, signature, tail) if approved.adds_tail else got
    if wanted != got:
        where = _parting(wanted, got, {mark: slot for slot, mark in marks.items()})
        raise BadInput("approved-differs", f"{approved.provider} would say something else with {approved.id}: {where}")
    variables: list[list[object]] = []
    for hole, value in zip(approved.placeholders, values, strict=True):
        if not value.slots and (why := unfit(value.pieces[0], approved.max_length)):
            raise BadInput("approved-value", f"{approved.provider}: the variable {hole} {why}")
        variables.append([hole, ours.slots.index(value.slots[0]) if value.slots else value.pieces[0]])
    return {"provider": approved.provider, "id": approved.id, "variables": variables, "longest": approved.max_length}


def unfit(value: str, longest: int) -> str:
    """Why a provider would not take a value; "" where it would."""
    if not value:
        return "is empty"
    if len(value) > longest:
        return f"has {len(value)} characters, {longest} at most"
    return "holds a link" if _LINK.search(value) else ""


def _parting(ours: str, theirs: str, slots: Mapping[str, str]) -> str:
    at = next((i for i, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), min(len(ours), len(theirs)))

    def seen(text: str) -> str:
        cut = text[max(0, at - AROUND) : at + AROUND]
        return "".join(f"{{{slots[c]}}}" if c in slots else c for c in cut)

    return f'from character {at + 1}, our text has "{seen(ours)}" and the provider\'s "{seen(theirs)}"'
