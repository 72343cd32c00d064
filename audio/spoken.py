"""Written text into the words that will be said, for Chinese, Korean and English.

Engines read figures, units and links badly (119 as a hundred and nineteen, ℃ not at all), so rules of our own come first,
the approver reads what they made, and what no rule knows is refused instead of mumbled.
"""

import re
from collections.abc import Callable, Mapping

from audio import chinese, english, korean
from audio.errors import SpokenError
from audio.written import normalise, without_links, without_separators, without_signature

LANGUAGES = ("zh-CN", "ko", "en")
_RULES: Mapping[str, Callable[[str], str]] = {"zh-CN": chinese.say, "ko": korean.say, "en": english.say}
# One letter of what can be said, and what may stand between: pauses.
_LETTER = {
    "zh-CN": "\u3007\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U000323af",
    "ko": "\uac00-\ud7a3",
    "en": "A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f",
}
_PAUSES = {"zh-CN": "，。！？；：、", "ko": ",.!?;:", "en": ",.!?;:"}
_INSIDE = {"zh-CN": "", "ko": " ", "en": r" '\-"}
_STRENGTH = "?？!！.。;；:：,，、"  # of several pauses in a row the first in this order stays


def spoken(text: str, lang: str) -> str:
    """The words of `text` as they will be said in `lang` (zh-CN, ko, en); no figure and no sign is left in them.

    Raises SpokenError: `spoken-language` (no rules for `lang`), `spoken-characters` (`where` names what cannot be said),
    `spoken-empty` (nothing to say).
    """
    if lang not in _RULES:
        raise SpokenError("spoken-language", f"No speech in {lang!r}; languages: {', '.join(LANGUAGES)}.", lang)
    written = without_separators(without_signature(without_links(normalise(text))))
    words = _tidy(_RULES[lang](written), lang)
    check_words(words, lang)
    return words


def check_words(words: str, lang: str) -> None:
    """Refuse words that a voice of `lang` cannot say: signs, figures, letters of another script, or nothing at all.

    espeak-ng answers such text with silence or nonsense and no error (facts measured), so it must not get that far.
    """
    if lang not in _LETTER:
        raise SpokenError("spoken-language", f"No speech in {lang!r}; languages: {', '.join(LANGUAGES)}.", lang)
    allowed = f"[{_LETTER[lang]}{re.escape(_PAUSES[lang])}{_INSIDE[lang]}]"
    runs = re.findall(r"\w+|\S", re.sub(allowed, "\n", words))
    left = list(dict.fromkeys(runs))
    if left:
        where = " ".join(left[:20])
        raise SpokenError(
            "spoken-characters",
            f"Cannot be said in {lang}: {where}. Write it in words, or leave it out of the spoken text.",
            where,
        )
    if not re.search(f"[{_LETTER[lang]}]", words):
        raise SpokenError("spoken-empty", "Nothing is left to be said in this text.")


def syllables(words: str, lang: str) -> int:
    """How much there is to say: Chinese characters, Korean syllables, groups of English vowels without a silent e."""
    if lang == "en":
        vowels = "aeiouyà-æè-ïò-öø-ü"
        return len(re.findall(f"\\b[^\\W{vowels}]{{1,2}}e\\b|(?<=l)e\\b|(?!e[sd]?\\b)[{vowels}]+", words.lower()))
    return len(re.findall(f"[{_LETTER[lang]}]", words))


def _tidy(words: str, lang: str) -> str:
    """One pause where several meet, none at the start, blanks where the language has them."""
    pauses = re.escape(_PAUSES[lang])
    words = re.sub(r"[ \t\n]+", " ", words)
    words = re.sub(f"\\s*([{pauses}](?:\\s*[{pauses}])*)\\s*", lambda m: _strongest(m[1], lang), words)
    return words.strip().lstrip(_PAUSES[lang]).rstrip(",，、;；:： ").strip()


def _strongest(run: str, lang: str) -> str:
    mark = min((c for c in run if not c.isspace()), key=_STRENGTH.index)
    return mark if lang == "zh-CN" else mark + " "
