"""A set tried out: every text rendered with the example facts and measured on its medium."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass

from broadcaster.compose.template_approved import ApprovedText, prove, unfit
from broadcaster.compose.template_declarations import SLOTS
from broadcaster.compose.template_facts import Fact, FactType, FactValue
from broadcaster.compose.template_set import TemplateSet, TemplateText
from broadcaster.compose.template_values import LANGUAGES
from broadcaster.model import BadInput
from channels import CHANNELS, channel_class
from channels.sms import SignatureError, opt_out_tail

DEFAULT_BOARD = "16/gb18030/pages"  # glyph, encoding, mode
DEFAULT_SIZE = "128x32"  # the common band: 8 x 2 Chinese characters


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing wrong with a set: file inside its folder, line and column from 1, a stable code, words."""

    file: str
    line: int
    column: int
    code: str
    message: str

    def as_json(self) -> dict[str, object]:
        """As `broadcaster template check --json` prints it."""
        return asdict(self)


def text_findings(made: TemplateSet) -> list[Finding]:
    """What the language refuses, in every text."""
    return [
        Finding(text.file, fault.line, fault.column, fault.code, fault.message)
        for text in made.texts.values()
        for fault in text.checked.faults
    ]


def approved_findings(made: TemplateSet, line: Callable[[str], int]) -> list[Finding]:
    """What keeps an approved template from being used at all. `line` finds a table of set.toml."""
    found: list[Finding] = []
    for one in made.declared.approved.values():
        text = made.texts.get(("sms", "", one.language))
        faults = ["the set has no SMS in this language"] if text is None else []
        for checked in () if text is None else one.checked(text.names):
            faults += [fault.message for fault in checked.faults]
        found += [Finding("set.toml", line(one.table), 1, "bad-set", f"{one.table}: {fault}") for fault in faults]
    return found


def approved_trials(made: TemplateSet, line: Callable[[str], int]) -> list[Finding]:
    """Approved templates that would not say the same as ours with the example facts, and where they part."""
    found: list[Finding] = []
    for one in made.declared.approved.values():
        try:
            why = _approved_fault(made, one)
        except (BadInput, SignatureError) as error:
            why = (error.code, str(error))
        if why:
            found.append(Finding("set.toml", line(one.table), 1, *why))
    return found


def _approved_fault(made: TemplateSet, one: ApprovedText) -> tuple[str, str] | None:
    facts = {name: fact.read(fact.example) for name, fact in made.declared.facts.items()}
    campaign, segment = _parted(facts)
    ours = made.render("sms", "", one.language, campaign, segment)
    values = made.variables(one, campaign, segment)
    prove(one, ours, values, (made.signature[one.language], opt_out_tail(made.category, one.language)))
    for slot in {slot for value in values for slot in value.slots}:
        if why := unfit(SLOTS[slot][one.language], one.max_length):
            return "approved-value", f"{one.provider}: the slot {slot}, as in the example, {why}"
    return None


def _parted(facts: Mapping[str, FactValue]) -> tuple[dict[str, FactValue], dict[str, object]]:
    """Facts of the campaign, and those of the segment by their words."""
    campaign = {name: value for name, value in facts.items() if value.fact.source == "campaign"}
    return campaign, {name: value.as_json() for name, value in facts.items() if name not in campaign}


def missing_languages(made: TemplateSet) -> list[Finding]:
    """A text in Chinese needs its Korean and English sisters: Yanbian reads both."""
    kinds = {(channel, format) for channel, format, _ in made.texts}
    missing = [
        (".".join(filter(None, (channel, format, language, "txt"))), language)
        for channel, format in sorted(kinds)
        for language in LANGUAGES
        if (channel, format, language) not in made.texts
    ]
    return [Finding(file, 1, 1, "missing-language", f"there is no text in {tag}") for file, tag in missing]


def trial_findings(made: TemplateSet) -> list[Finding]:
    """Each text in every form its facts can give it: each choice, each optional fact left out. Findings once each."""
    found: dict[tuple[str, str], Finding] = {}
    for text in made.texts.values():
        for facts in _trials(made, text):
            for code, message in _try(made, text, facts):
                found.setdefault((text.file, code), Finding(text.file, 1, 1, code, message))
    return list(found.values())


def _trials(made: TemplateSet, text: TemplateText) -> Iterator[Mapping[str, FactValue]]:
    base = {name: fact.read(fact.example) for name, fact in made.declared.facts.items()}
    yield base
    for name in sorted(text.checked.facts):
        fact = made.declared.facts[name]
        for other in _others(fact):
            yield {**base, name: other}


def _others(fact: Fact) -> Iterator[FactValue]:
    if fact.type is FactType.CHOICE:
        yield from (FactValue(fact, code) for code in fact.choices)
    if not fact.required:
        yield fact.read(None)


def _try(made: TemplateSet, text: TemplateText, facts: Mapping[str, FactValue]) -> Iterator[tuple[str, str]]:
    campaign, segment = _parted(facts)
    try:
        rendered = made.render(text.channel, text.format, text.language, campaign, segment)
    except BadInput as error:
        yield error.code, error.message
        return
    written = rendered.text({slot: SLOTS[slot][text.language] for slot in rendered.slots})
    if not written:
        yield "empty-text", "nothing is said with the example facts"
    elif text.channel in CHANNELS:
        signed = f"【{made.signature[text.language]}】{written}" if text.channel == "sms" else written
        size = channel_class(text.channel).measure(signed, measured_as(text))
        yield from ((problem.code, f"{problem.message} {problem.detail}".strip()) for problem in size.problems)


def measured_as(text: TemplateText) -> str:
    """The format a text is tried in: a band of 128 x 32 for boards, the language for speech, else its own."""
    if text.channel == "billboard":
        return f"{text.format or DEFAULT_SIZE}/{DEFAULT_BOARD}"
    return text.language if text.channel == "loudspeaker" else text.format
