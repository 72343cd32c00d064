"""A template set in memory: what it needs, what it uses, and its texts rendered."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from broadcaster.compose.template_approved import ApprovedText
from broadcaster.compose.template_declarations import Declared
from broadcaster.compose.template_facts import Fact, FactProblem, FactType, FactValue
from broadcaster.compose.template_language import Checked, Names, check
from broadcaster.compose.template_render import Compiled, Rendered
from broadcaster.compose.template_text import hint
from broadcaster.compose.template_values import LANGUAGES
from broadcaster.model import BadInput, Category

CAPS: Mapping[str, int] = {"sms": 1_000, "loudspeaker": 2_000, "billboard": 1_000, "social": 5_000}  # characters
DEFAULT_CAP = 5_000


@dataclass(frozen=True, eq=False)
class TemplateText:
    """One file of a set: `<channel>[.<format>].<language>.txt`."""

    file: str
    channel: str
    format: str
    language: str
    source: str
    names: Names

    @cached_property
    def checked(self) -> Checked:
        return check(self.source, self.names)

    @cached_property
    def compiled(self) -> Compiled:
        return Compiled(self.source, self.names)


@dataclass(frozen=True, eq=False)
class TemplateSet:
    """A folder of `templates/`: one event, told on every channel in every language."""

    declared: Declared
    texts: Mapping[tuple[str, str, str], TemplateText] = field(repr=False)  # channel, format, language

    @property
    def id(self) -> str:
        return self.declared.id

    @property
    def title(self) -> Mapping[str, str]:
        return self.declared.title

    @property
    def category(self) -> Category:
        """Default category of a campaign of this set: emergency, notice or promotion."""
        return self.declared.category

    @property
    def signature(self) -> Mapping[str, str]:
        """Language -> the words inside 【】 of an SMS. Not part of a rendered text: one place alone adds it."""
        return self.declared.signature

    @property
    def expires_hours(self) -> int:
        return self.declared.expires_hours

    @property
    def facts(self) -> Mapping[str, Fact]:
        """Name -> Fact, in the order of set.toml."""
        return self.declared.facts

    @cached_property
    def channels(self) -> tuple[str, ...]:
        return tuple(sorted({text.channel for text in self.texts.values()}))

    @cached_property
    def languages(self) -> tuple[str, ...]:
        """The languages every channel has, Chinese first."""
        spoken = [{t.language for t in self.texts.values() if t.channel == channel} for channel in self.channels]
        return tuple(language for language in LANGUAGES if spoken and all(language in s for s in spoken))

    def formats(self, channel: str) -> frozenset[str]:
        """Formats with a text of their own; "" is the text for all others."""
        return frozenset(text.format for text in self._of(channel))

    def facts_used(self, channel: str) -> frozenset[str]:
        """Facts which the texts of `channel` really name, whatever the format and language."""
        return frozenset().union(*(text.checked.facts for text in self._of(channel)))

    def segment_facts(self, channel: str) -> frozenset[str]:
        """Of these, the ones the segment gives. Recipients who share them share a wording, so fewer is cheaper."""
        return frozenset(n for n in self.facts_used(channel) if self.declared.facts[n].source == "segment")

    def slots(self, channel: str) -> frozenset[str]:
        """Slots which the texts of `channel` really leave open."""
        return frozenset().union(*(text.checked.slots for text in self._of(channel)))

    def _of(self, channel: str) -> Iterable[TemplateText]:
        return (text for text in self.texts.values() if text.channel == channel)

    def check_facts(self, values: Mapping[str, object]) -> dict[str, FactValue]:
        """Every campaign fact, checked; optional ones that were not given too.

        Shapes: texts are a string (Chinese letters serve zh-CN, Korean letters ko, others every language) or
        {language: string}; dates 2027-03-15, times 08:30, choices their code, lists of strings. Raises BadInput
        (`bad-facts`) with one problem per fact: {"fact", "code", "message"}.
        """
        found: dict[str, FactValue] = {}
        problems: list[Mapping[str, object]] = []
        for name, fact in self.declared.facts.items():
            if fact.source == "campaign":
                try:
                    found[name] = fact.read(values.get(name))
                except FactProblem as problem:
                    problems.append({"fact": name, "code": problem.code, "message": problem.message})
        problems += self._strangers(values) + self._wrong_order(found)
        if problems:
            raise BadInput("bad-facts", "; ".join(str(problem["message"]) for problem in problems), problems)
        return found

    def _strangers(self, values: Mapping[str, object]) -> list[Mapping[str, object]]:
        problems: list[Mapping[str, object]] = []
        campaign = [name for name, fact in self.declared.facts.items() if fact.source == "campaign"]
        for name in values:
            if name in self.declared.facts and name not in campaign:
                message = f'"{name}" comes from the segment, not from the campaign'
                problems.append({"fact": name, "code": "segment-fact", "message": message})
            elif name not in self.declared.facts:
                message = f'this set has no fact "{name}"{hint(name, campaign)}'
                problems.append({"fact": name, "code": "unknown-fact", "message": message})
        return problems

    def _wrong_order(self, found: Mapping[str, FactValue]) -> list[Mapping[str, object]]:
        problems: list[Mapping[str, object]] = []
        for name, value in found.items():
            earlier = found.get(value.fact.not_before)
            if earlier is None or value.value is None or earlier.value is None:
                continue
            if value.value < earlier.value:  # type: ignore[operator]  # both are dates: declarations say so
                message = f'"{name}" lies before "{earlier.fact.name}"'
                problems.append({"fact": name, "code": "wrong-order", "message": message})
        return problems

    def text(self, channel: str, format: str, language: str) -> TemplateText:
        """The file for a format: its own, one for its first part (128x32 of 128x32/16/...), else the channel's."""
        for wanted in (format, format.partition("/")[0], ""):
            if (found := self.texts.get((channel, wanted, language))) is not None:
                return found
        raise BadInput("no-template", f'"{self.id}" has no text for {channel} in {language}')

    def render(
        self, channel: str, format: str, language: str, facts: Mapping[str, FactValue], segment: Mapping[str, object]
    ) -> Rendered:
        """The text of one segment, its slots open, without signature. `facts` come from `check_facts`.

        `segment` holds codes (premises_category) and, for county and prefecture, the *name*: a string, or
        {language: string}. A name that is not there in `language` gives way to the fact's default. Raises BadInput:
        no-template, missing-fact, not-translated, place-code, output-too-long and what else the language refuses.
        """
        text = self.text(channel, format, language)
        context = {name: self._said(name, language, facts, segment) for name in text.checked.facts}
        pieces, slots = text.compiled.render(context, CAPS.get(channel, DEFAULT_CAP))
        return Rendered(pieces, slots)

    def approved(self, language: str) -> tuple[ApprovedText, ...]:
        """Templates approved by cloud providers that say the SMS of a language."""
        return tuple(one for (_, tag), one in self.declared.approved.items() if tag == language)

    def variables(
        self, approved: ApprovedText, facts: Mapping[str, FactValue], segment: Mapping[str, object]
    ) -> list[Rendered]:
        """The variables of an approved template, as `render` says them: each is one value, or one open slot. Raises BadInput."""
        names, language = self.text("sms", "", approved.language).names, approved.language
        needed = frozenset().union(*(checked.facts for checked in approved.checked(names)))
        context = {name: self._said(name, language, facts, segment) for name in needed}
        return [Rendered(*one.render(context, CAPS["sms"])) for one in approved.compiled(names)]

    def _said(self, name: str, language: str, facts: Mapping[str, FactValue], segment: Mapping[str, object]) -> object:
        if self.declared.facts[name].source == "segment":
            return self._of_segment(name, language, language if name == "language" else segment.get(name))
        if name not in facts:
            raise BadInput("missing-fact", f'"{name}" is needed')
        return facts[name].said(language)

    def _of_segment(self, name: str, language: str, raw: object) -> object:
        fact = self.declared.facts[name]
        if isinstance(raw, str) and raw.isdigit() and fact.type is FactType.TEXT:
            raise BadInput("place-code", f'"{name}" takes the name of the place, not its code {raw}')
        try:
            value = fact.read(raw)
            if isinstance(value.value, Mapping) and not {language, "*"} & set(value.value):
                value = fact.read(None)
        except FactProblem as problem:
            raise BadInput(problem.code, problem.message) from problem
        return value.said(language)
