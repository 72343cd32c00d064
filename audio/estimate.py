"""The shape of an announcement in seconds, and how long words will take before anybody spoke them."""

import re
from collections.abc import Sequence

from audio.errors import SpokenError
from audio.spoken import syllables

CHIME = 2.5
AFTER_CHIME = 0.5
BETWEEN_LANGUAGES = 0.7
AFTER_WORDS = 1.5

ADVISED_CHARACTERS = 120  # of Chinese in one announcement: 45 s a time, which is as long as people listen to a horn

# Seconds per syllable, per comma and per full stop of espeak at its outdoor pace; measured over 113 announcements,
# within 6 % in Chinese and Korean and 15 % in English.
_PACE = {"zh-CN": (0.36, 0.0, 0.3), "ko": (0.245, 0.1, 0.2), "en": (0.25, 0.35, 0.3)}


def estimate_seconds(parts: Sequence[tuple[str, str]], repeat: int = 2, chime: bool = True) -> float:
    """Seconds that a clip of `parts` (language, words as said) will last with its pauses, repeats and chimes."""
    return clip_seconds([words_seconds(lang, words) for lang, words in parts], repeat, chime)


def clip_seconds(words: Sequence[float], repeat: int, chime: bool) -> float:
    """Seconds of the whole clip, from the seconds of the words of each language."""
    once = sum(words) + BETWEEN_LANGUAGES * max(0, len(words) - 1)
    if chime:
        return 2 * CHIME + AFTER_CHIME + repeat * (once + AFTER_WORDS)
    return repeat * once + (repeat - 1) * AFTER_WORDS


def words_seconds(lang: str, words: str) -> float:
    """Seconds that saying `words` once takes, without chime. Raises SpokenError for a language that nobody speaks here."""
    if lang not in _PACE:
        raise SpokenError("spoken-language", f"No speech in {lang!r}; languages: {', '.join(_PACE)}.", lang)
    syllable, comma, stop = _PACE[lang]
    commas = len(re.findall("[,，、]", words))
    stops = len(re.findall("[.。;；:：!！?？]", words))
    return syllable * syllables(words, lang) + comma * commas + stop * stops
