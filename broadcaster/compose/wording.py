"""Template and facts become wordings: one per segment, channel, format and language list; measured, spoken, hashed.

Two decisions. An SMS goes out in the first language of a recipient's list only: a second one would double its price.
Every other channel says all of them, in their order. And a text that is not there in a language stops the draft: leaving
that language out would be silence for those who read nothing else.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from audio.clip import make_clip
from audio.errors import AudioError, SpokenError, VoiceUnavailable
from audio.spoken import spoken
from broadcaster.compose.seal import wording_digest
from broadcaster.compose.template_approved import prove
from broadcaster.compose.template_declarations import SLOTS
from broadcaster.compose.templates import FactValue, Rendered, TemplateSet
from broadcaster.model import BadInput, Category, Mode, Unavailable, Wording
from broadcaster.settings import Settings
from channels import channel_class
from channels.base import Problem, Size
from channels.billboard.levels import with_level
from channels.sms import SignatureError, decorate, opt_out_tail

# An exercise says so in its first word, whatever cuts the message short behind it (test text on live channels, 2014 and 2018).
EXERCISE = {"zh-CN": "【演练】", "ko": "[훈련] ", "en": "[EXERCISE] "}
EXERCISE_SAID = {"zh-CN": "演练。", "ko": "훈련입니다. ", "en": "This is an exercise. "}
_SLOT = "\ue000"  # private use: no template and no fact may hold it
ALL_LANGUAGES = "+"


class Key(NamedTuple):
    """What recipients share who share a wording. `segment`: (fact, value) of the facts that the set's texts really use."""

    channel: str
    format: str
    languages: str
    segment: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Written:
    """A wording and what it takes on its medium. Open slots are measured with an example of each."""

    wording: Wording
    size: Size


@dataclass(frozen=True, slots=True)
class About:
    """What all wordings of a campaign have in common. `facts` come from TemplateSet.check_facts."""

    mode: Mode
    category: Category
    level: str | None
    facts: Mapping[str, FactValue]


class Writer:
    """Writes one campaign's wordings. `names` are place names by 12-digit code."""

    def __init__(self, templates: TemplateSet, about: About, names: Mapping[str, str]) -> None:
        self._set, self._about, self._names = templates, about, names
        self._used = {channel: templates.segment_facts(channel) - {"language"} for channel in templates.channels}

    def key(self, channel: str, format: str, languages: str, county: str, premises_category: str) -> Key:
        """The wording that a recipient gets: as few as the facts that the texts use allow."""
        said = {
            "county": self._names.get(county, ""),
            "prefecture": self._names.get(f"{county[:4]}00000000", ""),
            "premises_category": premises_category,
        }
        segment = tuple((fact, said[fact]) for fact in sorted(self._used.get(channel, ())) if said[fact])
        if channel == "sms":
            languages = languages.partition(ALL_LANGUAGES)[0]
        return Key(channel, format, languages, segment)

    def write(self, key: Key) -> Written:
        """One wording, measured, without its clip. What does not fit stands in its size.

        Raises BadInput where a fact or a text is missing, SignatureError, SpokenError.
        """
        rendered = [(language, self._render(key, language)) for language in key.languages.split(ALL_LANGUAGES)]
        texts = [self._told(key.channel, language, one) for language, one in rendered]
        slots = tuple(slot for _, one in rendered for slot in one.slots)
        said: tuple[tuple[str, str], ...] = ()
        if key.channel == "loudspeaker":
            said = tuple((language, self._said(language, one)) for language, one in rendered)
        pieces = tuple("\n\n".join(texts).split(_SLOT))
        wording = Wording(key.channel, key.format, key.languages, dict(key.segment), pieces, slots, said)
        wording = replace(wording, approved=self._approved(key, rendered))
        return Written(wording, measured(wording))

    def _render(self, key: Key, language: str) -> Rendered:
        return self._set.render(key.channel, key.format, language, self._about.facts, dict(key.segment))

    def _approved(self, key: Key, rendered: Sequence[tuple[str, Rendered]]) -> tuple[Mapping[str, object], ...]:
        """Templates of cloud providers that say this, letter by letter. Raises BadInput where one says something else."""
        if key.channel != "sms" or self._about.mode is not Mode.LIVE:  # an exercise goes to no provider
            return ()
        ((language, ours),) = rendered
        signed = (self._set.signature.get(language, ""), opt_out_tail(self._about.category, language))
        return tuple(
            prove(one, ours, self._set.variables(one, self._about.facts, dict(key.segment)), signed)
            for one in self._set.approved(language)
        )

    def _told(self, channel: str, language: str, rendered: Rendered) -> str:
        text = _SLOT.join(rendered.pieces)
        if channel == "sms":
            tail = opt_out_tail(self._about.category, language)
            text = decorate(text, self._set.signature.get(language, ""), tail)
        elif channel == "billboard":
            text = with_level(text, self._about.level, language)
        return EXERCISE[language] + text if self._about.mode is Mode.EXERCISE else text

    def _said(self, language: str, rendered: Rendered) -> str:
        mark = EXERCISE_SAID[language] if self._about.mode is Mode.EXERCISE else ""
        return spoken(mark + rendered.pieces[0], language)


def examples(wording: Wording) -> dict[str, str]:
    """An example for each open slot, in the wording's first language."""
    language = wording.languages.partition(ALL_LANGUAGES)[0]
    return {slot: SLOTS[slot].get(language, SLOTS[slot]["en"]) for slot in wording.slots}


def measured(wording: Wording, values: Mapping[str, str] | None = None) -> Size:
    """What a wording takes on its medium, with these slot values or an example of each."""
    # To say a text, its languages are what a speaker's format is for the others: they decide how much there is.
    format = wording.languages if wording.channel == "loudspeaker" else wording.format
    return channel_class(wording.channel).measure(wording.fill({**examples(wording), **(values or {})}), format)


def written(writer: Writer, keys: Iterable[Key]) -> list[Written]:
    """Every wording, measured. Raises BadInput "wording" with a problem for each that cannot go out as it is."""
    found: list[Written] = []
    problems: list[Mapping[str, object]] = []
    for key in keys:
        try:
            one = writer.write(key)
        except (BadInput, SignatureError, SpokenError) as error:
            problems.append(problem_of(key, error.code, str(error)))
            continue
        found.append(one)
        problems += problems_of(key, one.size)
    if problems:
        raise BadInput("wording", _summary(problems), problems)
    return found


def problem_of(key: Key, code: str, message: str) -> Mapping[str, object]:
    """A problem of one wording, for the list that a person mends."""
    return {
        "channel": key.channel,
        "format": key.format,
        "language": key.languages,
        "segment": dict(key.segment),
        "code": code,
        "message": message,
    }


def problems_of(key: Key, size: Size) -> list[Mapping[str, object]]:
    """What a channel finds wrong with a wording."""
    return [problem_of(key, problem.code, _words(problem)) for problem in size.problems]


def _words(problem: Problem) -> str:
    return f"{problem.message}: {problem.detail}" if problem.detail else problem.message


def _summary(problems: Sequence[Mapping[str, object]]) -> str:
    first = problems[0]
    more = f", and {len(problems) - 1} more" if len(problems) > 1 else ""
    return f"{first['channel']} in {first['language']}: {first['message']}{more}"


def spoken_and_sealed(settings: Settings, found: Sequence[Written]) -> list[Written]:
    """Clips made, one for all wordings that say the same, and every wording's digest taken.

    Raises BadInput where words cannot become a clip, Unavailable where no voice can be had now.
    """
    clips = {said: _clip(settings, said) for said in dict.fromkeys(one.wording.spoken for one in found) if said}
    done: list[Written] = []
    for one in found:
        clip = clips.get(one.wording.spoken, {})
        wording = replace(one.wording, clip=str(clip.get("digest", "")), clip_facts=clip)
        done.append(replace(one, wording=replace(wording, digest=wording_digest(wording))))
    return done


def _clip(settings: Settings, said: tuple[tuple[str, str], ...]) -> Mapping[str, object]:
    engines = [name.strip() for name in settings.speech_engines.split(",") if name.strip()]
    try:
        clip = make_clip(said, settings.audio_folder, chime=True, repeat=settings.audio_repeat, engines=engines)
    except VoiceUnavailable as error:
        raise Unavailable(error.code, error.message) from error
    except AudioError as error:
        raise BadInput(error.code, f"the loudspeaker's words become no clip: {error.message}") from error
    return clip.as_json()
