"""Village loudspeakers: a speaker fetches a sound file. What counts is what is said, not what is written.

An announcement should be 120 Chinese characters at most, about a minute: people outdoors remember no more, and old 4G devices take
files of 6 MB only (loudspeaker.md §1, §8). Refused is what lasts longer than LONGEST_S, 400 Chinese characters.
"""

import re
from collections.abc import Iterator, Sequence
from typing import ClassVar

from audio.errors import SpokenError
from audio.estimate import words_seconds
from audio.spoken import LANGUAGES, spoken
from channels.base import Answer, AnswerWord, Channel, Message, Problem, Size

LONGEST_S = 144.0

_HANGUL = re.compile("[\u3130-\u318f\uac00-\ud7a3]")
_HAN = re.compile("[\u3400-\u9fff]")


class Loudspeaker(Channel):
    """Loudspeakers. Address: `speaker:…`; format: the languages of the text ("zh-CN", "zh-CN+ko"); others are seen from it."""

    kind: ClassVar[str] = "loudspeaker"
    pull: ClassVar[bool] = True

    @classmethod
    def measure(cls, text: str, format: str = "") -> Size:
        """Seconds that saying it once takes (estimated, without chime and repeats) and its characters.

        Problems: `empty`, `too-long` and the codes of audio.spoken: what cannot be said is named.
        """
        named = tuple(format.split("+"))
        wanted = named if set(named) <= set(LANGUAGES) else LANGUAGES
        if not text.strip():
            return Size(seconds=0.0, characters=0, problems=(Problem("empty", "the text is empty"),))
        seconds, problems = 0.0, []
        for language, block in _blocks(text, wanted):
            try:
                seconds += words_seconds(language, spoken(block, language))
            except SpokenError as error:
                problems.append(Problem(error.code, error.message, error.where))
        if seconds > LONGEST_S:
            problems.append(
                Problem("too-long", f"{seconds:.1f} s, {LONGEST_S:.0f} s at most: shorten it", f"{seconds:.1f}")
            )
        return Size(seconds=round(seconds, 1), characters=len(text), problems=tuple(problems))

    def send(self, messages: Sequence[Message]) -> list[Answer]:
        """Nothing is pushed to a speaker: the worker hands its messages to the feeds."""
        return [Answer(AnswerWord.CONFIG_ERROR, reason="pull-channel", detail="speakers fetch")] * len(messages)


def _blocks(text: str, languages: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Paragraphs with their language: the only one there is, or the one whose letters stand in it."""
    if len(languages) == 1:
        yield languages[0], text
        return
    for block in re.split("\n\\s*\n", text.strip()):
        seen = "ko" if _HANGUL.search(block) else "zh-CN" if _HAN.search(block) else "en"
        yield (seen if seen in languages else languages[0]), block
