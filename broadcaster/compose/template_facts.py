"""Facts: what a template set declares, and the values a campaign or a segment gives for it."""

import datetime as dt
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from broadcaster.compose.template_text import forbidden, hint, shown
from broadcaster.compose.template_values import LANGUAGES, Day, Word, Words, clock
from broadcaster.model import BadInput

SEGMENT_FACTS = frozenset({"county", "prefecture", "premises_category", "language"})
MAX_TEXT = 500  # characters
MAX_ITEMS = 50
_ANY = "*"  # a text without Chinese or Korean letters serves every language


class FactType(StrEnum):
    """What a fact may be. `link` is https only; a `list` holds texts."""

    TEXT = "text"
    INTEGER = "integer"
    DATE = "date"
    TIME = "time"
    PHONE = "phone"
    CHOICE = "choice"
    LINK = "link"
    LIST = "list"


class FactProblem(Exception):
    """One value or declaration that cannot be used: a stable code and English words."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


@dataclass(frozen=True, slots=True)
class Fact:
    """A declared fact. `source`: who gives it, the campaign or the segment."""

    name: str
    type: FactType
    source: str = "campaign"
    required: bool = True
    label: Words = field(default_factory=dict)
    max_length: int = 200  # characters; of each item in a list
    example: object = None
    default: object = None
    choices: Mapping[str, Words] = field(default_factory=dict)
    not_before: str = ""  # name of a date that this one may not precede

    def read(self, raw: object) -> "FactValue":
        """The value of `raw`, as JSON or a form gives it. Raises FactProblem."""
        if raw is None or raw in ("", [], {}):
            if self.default is None and self.required:
                raise FactProblem("missing-fact", f'"{self.name}" is needed')
            raw = self.default
        return FactValue(self, None if raw is None else _READERS[self.type](self, raw))


@dataclass(frozen=True, slots=True)
class FactValue:
    """A checked value. Texts hold language -> text; `None` is an optional fact that was not given."""

    fact: Fact
    value: object

    def said(self, language: str) -> object:
        """What the template sees. Raises BadInput where a text is not there in `language`."""
        if self.value is None:
            return () if self.fact.type is FactType.LIST else ""
        if isinstance(self.value, Mapping):
            if (found := self.value.get(language, self.value.get(_ANY))) is None:
                raise BadInput("not-translated", f'"{self.fact.name}" has no text in {language}')
            return found
        if isinstance(self.value, dt.date):
            return Day(self.value, language)
        if isinstance(self.value, dt.time):
            return clock(self.value, language)
        if self.fact.type is FactType.CHOICE:
            return Word(str(self.value), self.fact.choices[str(self.value)][language])
        return self.value

    def as_json(self) -> object:
        """For the campaign's row: what `Fact.read` reads back to the same value."""
        if isinstance(self.value, dt.date | dt.time):
            return self.value.isoformat()
        if isinstance(self.value, Mapping):
            plain = {tag: list(text) if isinstance(text, tuple) else text for tag, text in self.value.items()}
            return plain.get(_ANY, plain)
        return self.value


def _wrong(fact: Fact, what: str) -> FactProblem:
    return FactProblem("wrong-type", f'"{fact.name}" must be {what}')


def _line(fact: Fact, raw: object) -> str:
    if not isinstance(raw, str):
        raise _wrong(fact, "a text")
    text = unicodedata.normalize("NFC", raw).strip()
    if (bad := forbidden(text)) is not None:
        raise FactProblem("forbidden-character", f'"{fact.name}": delete the character {shown(bad)}')
    if len(text) > fact.max_length:
        raise FactProblem("too-long", f'"{fact.name}" holds at most {fact.max_length} characters')
    return text


def _script(text: str) -> str:
    """Which language a text without a language serves: Korean letters, else Chinese characters, else any."""
    if re.search("[\u1100-\u11ff\u3130-\u318f\uac00-\ud7af]", text):
        return "ko"
    return "zh-CN" if re.search("[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]", text) else _ANY


def _by_language(fact: Fact, raw: object, read: Callable[[Fact, object], object]) -> Mapping[str, object]:
    if not isinstance(raw, Mapping):
        value = read(fact, raw)
        return {_script(str(value)): value}
    if strange := [tag for tag in raw if tag not in LANGUAGES]:
        raise FactProblem("wrong-type", f'"{fact.name}": the languages are {", ".join(LANGUAGES)}, not "{strange[0]}"')
    return {tag: read(fact, text) for tag, text in raw.items() if text not in (None, "", [])}


def _text(fact: Fact, raw: object) -> object:
    return _by_language(fact, raw, _line)


def _items(fact: Fact, raw: object) -> object:
    if not isinstance(raw, list | tuple):
        raise _wrong(fact, "a list of texts")
    if len(raw) > MAX_ITEMS:
        raise FactProblem("too-long", f'"{fact.name}" holds at most {MAX_ITEMS} items')
    return tuple(_line(fact, item) for item in raw)


def _list(fact: Fact, raw: object) -> object:
    return _by_language(fact, raw, _items)


def _plain(fact: Fact, raw: object, what: str) -> str:
    """Digits may come full-width from a Chinese keyboard."""
    if not isinstance(raw, str):
        raise _wrong(fact, what)
    return unicodedata.normalize("NFKC", raw).strip()


def _integer(fact: Fact, raw: object) -> object:
    if isinstance(raw, int) and not isinstance(raw, bool):
        raw = str(raw) if abs(raw) < 10**9 else "too big"
    text = _plain(fact, raw, "a whole number")
    if not re.fullmatch(r"-?[0-9]{1,9}", text):
        raise _wrong(fact, "a whole number of at most nine digits")
    return int(text)


def _date(fact: Fact, raw: object) -> object:
    if isinstance(raw, dt.date) and not isinstance(raw, dt.datetime):
        return raw
    what = "a date like 2027-03-15"
    text = _plain(fact, raw, what)
    try:
        if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
            raise ValueError(text)
        return dt.date.fromisoformat(text)
    except ValueError as error:
        raise _wrong(fact, what) from error


def _time(fact: Fact, raw: object) -> object:
    if isinstance(raw, dt.time):
        return raw
    what = "a time like 08:30"
    found = re.fullmatch(r"([0-9]{1,2}):([0-9]{2})(?::00)?", _plain(fact, raw, what))
    if found is None or int(found[1]) > 23 or int(found[2]) > 59:
        raise _wrong(fact, what)
    return dt.time(int(found[1]), int(found[2]))


def _phone(fact: Fact, raw: object) -> object:
    what = "a telephone number: digits, blanks, hyphens, at most one + in front"
    text = re.sub(r"\s+", "", _plain(fact, raw, what))
    if not re.fullmatch(r"\+?[0-9](?:-?[0-9]){2,18}", text):
        raise _wrong(fact, what)
    return text


def _choice(fact: Fact, raw: object) -> object:
    code = _plain(fact, raw, f"one of {', '.join(fact.choices)}")
    if code not in fact.choices:
        choices = ", ".join(fact.choices)
        raise FactProblem("unknown-choice", f'"{fact.name}" is one of {choices}{hint(code, fact.choices)}')
    return code


def _link(fact: Fact, raw: object) -> object:
    """ASCII only: a look-alike letter in a host name is how people are sent to a stranger's page."""
    text = _line(fact, raw)
    if not re.fullmatch(
        r"https://[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::[0-9]{1,5})?(?:[/?#][\x21-\x7e]*)?", text
    ):
        raise _wrong(fact, "a link that starts with https:// and holds plain letters only")
    return text


_READERS: Mapping[FactType, Callable[[Fact, object], object]] = {
    FactType.TEXT: _text,
    FactType.INTEGER: _integer,
    FactType.DATE: _date,
    FactType.TIME: _time,
    FactType.PHONE: _phone,
    FactType.CHOICE: _choice,
    FactType.LINK: _link,
    FactType.LIST: _list,
}
