"""What set.toml declares, read strictly: a misspelt key is an error, never a setting without effect."""

import keyword
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from broadcaster.compose.template_approved import ApprovedText
from broadcaster.compose.template_approved import declare as declare_approved
from broadcaster.compose.template_facts import MAX_TEXT, SEGMENT_FACTS, Fact, FactProblem, FactType
from broadcaster.compose.template_text import forbidden, hint, shown
from broadcaster.compose.template_values import LANGUAGES, NAMED_CHOICES, Words
from broadcaster.model import BadInput, Category

SLOTS: Mapping[str, Mapping[str, str]] = {  # the slots there are, with an example per language
    "name": {"zh-CN": "张伟", "ko": "김영수", "en": "Zhang Wei"},
    "premises": {"zh-CN": "欧亚商场", "ko": "연길백화점", "en": "Ouya Mall"},
}
SLOT_CHANNELS = frozenset({"sms"})  # every other channel says the same to many
MAX_EXPIRES_HOURS = 24 * 60
_SET_KEYS = frozenset({"id", "title", "category", "signature", "expires_hours", "facts", "slots", "approved"})
_FACT_KEYS = frozenset(
    {"type", "source", "required", "default", "label", "max_length", "example", "choices", "not_before"}
)


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong in set.toml; `table` is the table it stands in, so that its line can be found."""

    table: str
    message: str


@dataclass(slots=True)
class Declared:
    """What set.toml says. Not to be used where `problems` is not empty."""

    id: str = ""
    title: Words = field(default_factory=dict)
    category: Category = Category.NOTICE
    signature: Words = field(default_factory=dict)
    expires_hours: int = 24
    facts: dict[str, Fact] = field(default_factory=dict)
    slots: dict[str, tuple[str, ...]] = field(default_factory=dict)
    approved: dict[tuple[str, str], ApprovedText] = field(default_factory=dict)  # provider, language
    problems: list[Problem] = field(default_factory=list)


def read_declarations(data: Mapping[str, object], folder: str) -> Declared:
    """Everything set.toml of `folder` declares, with every problem found."""
    made = Declared(id=folder)

    def part(table: str, read: Callable[..., None], *given: object) -> None:
        try:
            read(made, *given)
        except FactProblem as problem:
            made.problems.append(Problem(table, problem.message))

    part("", _head, data, folder)
    part("title", _words, "title", data.get("title"))
    part("signature", _words, "signature", data.get("signature"))
    part("slots", _slots, data.get("slots", {}))
    tables = data.get("facts", {})
    if not isinstance(tables, Mapping):
        made.problems.append(Problem("facts", "facts must be tables: [facts.<name>]"))
        return made
    for name, table in tables.items():
        part(f"facts.{name}", _fact, name, table)
    part("facts", _orders)
    part("approved", _approved_tables, data.get("approved", {}))
    return made


def _words(made: Declared, key: str, raw: object) -> None:
    setattr(made, key, words(key, raw))


def _head(made: Declared, data: Mapping[str, object], folder: str) -> None:
    for key in data:
        if key not in _SET_KEYS:
            raise FactProblem("bad-set", f'there is no "{key}"{hint(key, _SET_KEYS)}')
    if data.get("id") != folder or not re.fullmatch(r"[a-z][a-z0-9-]{1,63}", folder):
        raise FactProblem("bad-set", f'id must be the name of the folder, in small letters, digits and -: "{folder}"')
    try:
        made.category = Category(str(data.get("category")))
    except ValueError as error:
        raise FactProblem("bad-set", f"category is one of {', '.join(Category)}") from error
    hours = data.get("expires_hours")
    if type(hours) is not int or not 0 < hours <= MAX_EXPIRES_HOURS:
        raise FactProblem("bad-set", f"expires_hours is a number of hours up to {MAX_EXPIRES_HOURS}")
    made.expires_hours = hours


def _slots(made: Declared, raw: object) -> None:
    if not isinstance(raw, Mapping):
        raise FactProblem("bad-set", "slots is a table: channel = [names]")
    for channel, names in raw.items():
        if channel not in SLOT_CHANNELS:
            raise FactProblem("bad-set", f"slots: {channel} speaks to many; only {', '.join(SLOT_CHANNELS)} has slots")
        if not isinstance(names, list) or not set(map(str, names)) <= set(SLOTS):
            raise FactProblem("bad-set", f"slots.{channel} holds some of {', '.join(SLOTS)}")
        made.slots[channel] = tuple(dict.fromkeys(names))


def _approved_tables(made: Declared, raw: object) -> None:
    if not isinstance(raw, Mapping) or not all(isinstance(tables, Mapping) for tables in raw.values()):
        raise FactProblem("bad-set", 'approved holds tables: [approved.<provider>."<language>"]')
    for provider, tables in raw.items():
        for language, table in tables.items():
            try:
                made.approved[provider, language] = declare_approved(provider, language, table)
            except FactProblem as problem:
                made.problems.append(Problem(f'approved.{provider}."{language}"', problem.message))


def _fact(made: Declared, name: str, table: object) -> None:
    if name in SLOTS:
        raise FactProblem("bad-set", f'"{name}" is the name of a slot')
    made.facts[name] = declare(name, table)


def _orders(made: Declared) -> None:
    for fact in made.facts.values():
        other = made.facts.get(fact.not_before)
        if fact.not_before and (other is None or not other.type is fact.type is FactType.DATE):
            raise FactProblem("bad-set", f"facts.{fact.name}: not_before names another date")


def declare(name: str, table: object) -> Fact:
    """The fact of `[facts.<name>]` in set.toml. Raises FactProblem (code `bad-set`)."""
    if not isinstance(table, Mapping):
        raise FactProblem("bad-set", f"facts.{name} must be a table")
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,39}", name) or keyword.iskeyword(name) or name in {"loop", "true", "false"}:
        raise FactProblem(
            "bad-set", f'"{name}" cannot name a fact: small letters, digits and _, not a word of the language'
        )
    for key in table:
        if key not in _FACT_KEYS:
            raise FactProblem("bad-set", f'facts.{name}: there is no "{key}"{hint(key, _FACT_KEYS)}')
    fact = Fact(
        name=name,
        type=_type(name, table.get("type")),
        source=_source(name, table.get("source", "campaign")),
        required=table.get("required", True) is True,
        label=words(f"facts.{name}.label", table.get("label")),
        max_length=_length(name, table.get("max_length", 200)),
        example=table.get("example"),
        default=table.get("default"),
        choices=_choices(name, table),
        not_before=str(table.get("not_before", "")),
    )
    _try(fact)
    return fact


def _try(fact: Fact) -> None:
    """Default and example are values like any other, and there in every language."""
    for what, raw in (("default", fact.default), ("example", fact.example)):
        if raw is None and what == "example":
            raise FactProblem("bad-set", f"facts.{fact.name} needs an example, with which the set is tried")
        if raw is None:
            continue
        try:
            value = fact.read(raw)
            for language in LANGUAGES:
                value.said(language)
        except (FactProblem, BadInput) as error:
            raise FactProblem("bad-set", f"facts.{fact.name}: {what}: {error.message}") from error


def words(where: str, raw: object) -> Words:
    """A word per language, all three of them. Raises FactProblem (code `bad-set`)."""
    if (
        not isinstance(raw, Mapping)
        or set(raw) != set(LANGUAGES)
        or not all(isinstance(w, str) and w for w in raw.values())
    ):
        raise FactProblem("bad-set", f"{where} needs a text for each of {', '.join(LANGUAGES)}")
    if bad := next(filter(None, map(forbidden, raw.values())), None):
        raise FactProblem("bad-set", f"{where}: delete the character {shown(bad)}")
    return dict(raw)


def _type(name: str, raw: object) -> FactType:
    try:
        return FactType(str(raw))
    except ValueError as error:
        types = ", ".join(FactType)
        raise FactProblem("bad-set", f"facts.{name}: type is one of {types}{hint(str(raw), FactType)}") from error


def _source(name: str, raw: object) -> str:
    if raw not in ("campaign", "segment") or (raw == "segment") != (name in SEGMENT_FACTS):
        known = ", ".join(sorted(SEGMENT_FACTS))
        raise FactProblem("bad-set", f'facts.{name}: source is "campaign", or "segment" for {known} and for no other')
    return str(raw)


def _length(name: str, raw: object) -> int:
    if not isinstance(raw, int) or not 0 < raw <= MAX_TEXT:
        raise FactProblem("bad-set", f"facts.{name}: max_length is a number up to {MAX_TEXT}")
    return raw


def _choices(name: str, table: Mapping[str, object]) -> Mapping[str, Words]:
    raw = table.get("choices", name if name in SEGMENT_FACTS else None)
    if table.get("type") != FactType.CHOICE:
        return {}
    if isinstance(raw, str) and raw in NAMED_CHOICES:
        return NAMED_CHOICES[raw]
    if isinstance(raw, Mapping) and raw:
        return {code: words(f"facts.{name}.choices.{code}", text) for code, text in raw.items()}
    named = ", ".join(NAMED_CHOICES)
    raise FactProblem("bad-set", f"facts.{name}: choices is one of {named}, or a table code = words per language")
