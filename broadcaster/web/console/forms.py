"""The compose form: what its fields hold, read from a request or a campaign, shown again, and made a draft of."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from starlette.datastructures import FormData

from broadcaster.compose.audiences import selection_from
from broadcaster.compose.campaigns import Campaign, Draft, draft_from
from broadcaster.compose.template_facts import Fact, FactProblem, FactType
from broadcaster.compose.templates import LANGUAGES, TemplateSet
from broadcaster.installation import Installation
from broadcaster.store.clock import rfc3339

BY_LANGUAGE = (FactType.TEXT, FactType.LIST)
WHO = ("places", "exclude_places", "premises_categories", "languages", "groups", "exclude_groups")
LISTS = (*WHO, "channels")
TEXTS = ("name", "mode", "level", "not_before", "expires", "search", "open", "version")


@dataclass
class ComposeForm:
    """The fields as text. `facts`: name -> language ("" where the fact has none) -> what was typed."""

    name: str = ""
    mode: str = ""
    level: str = ""
    not_before: str = ""
    expires: str = ""
    search: str = ""
    open: str = ""  # the place whose parts are listed
    version: str = ""
    places: list[str] = field(default_factory=list)
    exclude_places: list[str] = field(default_factory=list)
    premises_categories: list[str] = field(default_factory=list)
    languages: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    exclude_groups: list[str] = field(default_factory=list)
    channels: list[str] = field(default_factory=list)
    facts: dict[str, dict[str, str]] = field(default_factory=dict)

    def selection(self) -> dict[str, list[str]]:
        """Who, as selection_from takes it."""
        return {name: getattr(self, name) for name in WHO}

    def draft(self, inst: Installation, templates: TemplateSet) -> Draft:
        """The draft that the fields make. Raises BadInput."""
        given = {
            "name": self.name,
            "template_set": templates.id,
            "mode": self.mode,
            "level": self.level or None,
            "facts": {
                name: value for name, fact in asked_facts(templates).items() if (value := self._fact(fact)) is not None
            },
            "channels": self.channels,
            "not_before": self.not_before or None,
            "expires": self.expires or None,
        }
        return draft_from(given, selection_from(self.selection(), unfinished=True), inst.settings)

    def _fact(self, fact: Fact) -> object:
        typed = {language: text.strip() for language, text in self.facts.get(fact.name, {}).items() if text.strip()}
        if not typed:
            return None
        if fact.type not in BY_LANGUAGE:
            return typed.get("")
        if fact.type is FactType.LIST:
            return {language: [line for line in text.splitlines() if line.strip()] for language, text in typed.items()}
        return typed


def asked_facts(templates: TemplateSet) -> Mapping[str, Fact]:
    """The facts that an author gives; those of the segment come by themselves, and level has a field of its own."""
    return {name: fact for name, fact in templates.facts.items() if fact.source == "campaign" and name != "level"}


def read(form: FormData, templates: TemplateSet) -> ComposeForm:
    """The fields of a request."""
    made = ComposeForm()
    for name in TEXTS:
        setattr(made, name, _text(form, name))
    for name in LISTS:
        setattr(made, name, list(dict.fromkeys(str(value) for value in form.getlist(name))))
    for name, fact in asked_facts(templates).items():
        tags = LANGUAGES if fact.type in BY_LANGUAGE else ("",)
        made.facts[name] = {tag: _text(form, f"fact.{name}.{tag}" if tag else f"fact.{name}") for tag in tags}
    return made


def of_campaign(campaign: Campaign, templates: TemplateSet, zone: str) -> ComposeForm:
    """The fields of a campaign that is to be changed."""
    made = ComposeForm(
        name=campaign.name,
        mode=campaign.mode,
        level=campaign.level or "",
        not_before=_local(campaign.not_before_at, zone),
        expires=_local(campaign.expires_at, zone),
        version=str(campaign.version),
        channels=list(campaign.channels),
    )
    for name in WHO:
        setattr(made, name, list(getattr(campaign.selection, name)))
    for name, fact in asked_facts(templates).items():
        made.facts[name] = _typed(fact, campaign.facts.get(name))
    return made


def _typed(fact: Fact, raw: object) -> dict[str, str]:
    if raw is None:
        return {}
    if fact.type not in BY_LANGUAGE:
        return {"": str(raw)}
    try:
        value = fact.read(raw).value
    except FactProblem:
        value = raw  # it was kept unfinished; the page says what is wrong with it
    if not isinstance(value, Mapping):
        return {LANGUAGES[0]: str(value)}
    anyones = value.get("*")
    by_language = {tag: value.get(tag, anyones) for tag in LANGUAGES}
    return {tag: _shown(text) for tag, text in by_language.items() if text is not None}


def _shown(value: object) -> str:
    return "\n".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _text(form: FormData, name: str) -> str:
    value = form.get(name, "")
    return value if isinstance(value, str) else ""


def _local(at_ms: int | None, zone: str) -> str:
    """As an input of type datetime-local takes it: without offset, in the zone of the installation."""
    return (rfc3339(at_ms, zone) or "")[:16]
