"""Template sets on disk: where they lie, how they are read, how a folder is checked. The only reader of `templates/`.

A set is one folder: set.toml and a file per channel and language, `<channel>[.<format>].<language>.txt`.
"""

import re
import tomllib
from collections import Counter
from collections.abc import Mapping
from functools import lru_cache, partial
from pathlib import Path

import broadcaster
from broadcaster.compose.template_check import (
    Finding,
    approved_findings,
    approved_trials,
    missing_languages,
    text_findings,
    trial_findings,
)
from broadcaster.compose.template_declarations import Declared, read_declarations
from broadcaster.compose.template_facts import Fact, FactType, FactValue
from broadcaster.compose.template_language import MAX_SOURCE, Names
from broadcaster.compose.template_render import Rendered
from broadcaster.compose.template_set import TemplateSet, TemplateText
from broadcaster.compose.template_text import forbidden, hint, shown
from broadcaster.compose.template_values import LANGUAGES
from broadcaster.model import BadInput, NotFound
from channels import CHANNELS

__all__ = [
    "LANGUAGES",
    "Fact",
    "FactType",
    "FactValue",
    "Finding",
    "Rendered",
    "TemplateSet",
    "check_set",
    "fill_slots",
    "load_set",
    "render_open",
    "render_with_slots",
    "shipped_folder",
    "template_sets",
]

MAX_SET_TOML = 64 * 1024  # bytes
MAX_FILES = 200
MAX_SLOT = 200  # characters
_NAME = re.compile(r"([a-z]+)(?:\.([A-Za-z0-9_-]+))?\.(" + "|".join(LANGUAGES) + r")\.txt")


def shipped_folder(package: Path | None = None) -> Path:
    """Where the shipped sets lie: inside the package where it was installed, else beside it in a checkout.

    An editable install imports from the checkout, while the files that the wheel carries were copied elsewhere.
    """
    package = package or Path(broadcaster.__file__).parent
    inside = package / "templates"
    return inside if any(inside.glob("*/set.toml")) else package.parent / "templates"


def template_sets(extra: Path | None = None) -> list[TemplateSet]:
    """Every shipped set and those in the folder `extra`, by id; a set of `extra` stands in for a shipped one of its id.

    Raises BadInput (`bad-template-set`) on the first set that cannot be used.
    """
    return [load_set(folder) for _, folder in sorted(_folders(extra).items())]


def usual_signature(extra: Path | None = None, language: str = "zh-CN") -> str:
    """The signature that most sets put before their SMS in a language; "" where none has one. Raises BadInput."""
    found = Counter(made.signature[language] for made in template_sets(extra) if language in made.signature)
    return found.most_common(1)[0][0] if found else ""


def load_set(path_or_id: str | Path, extra: Path | None = None) -> TemplateSet:
    """A set by its folder or by its id. Raises NotFound; BadInput (`bad-template-set`) with its findings as problems."""
    folder = Path(path_or_id)
    if not (folder / "set.toml").is_file():
        known = _folders(extra)
        if str(path_or_id) not in known:
            raise NotFound("no-template-set", f'no template set "{path_or_id}"{hint(str(path_or_id), known)}')
        folder = known[str(path_or_id)]
    folder = folder.resolve()
    made, findings = _read(folder, _stamp(folder))
    if made is None or findings:
        first = findings[0]
        raise BadInput(
            "bad-template-set",
            f"{folder.name}/{first.file}, line {first.line}, column {first.column}: {first.message}",
            [finding.as_json() for finding in findings],
        )
    return made


def check_set(path: str | Path) -> list[Finding]:
    """Everything wrong with the set in the folder `path`; empty where it can go out. Never raises for its content."""
    folder = Path(path).resolve()
    if not (folder / "set.toml").is_file():
        return [Finding("set.toml", 1, 1, "no-set", f"{path} is not a template set: it holds no set.toml")]
    made, findings = _read(folder, _stamp(folder))
    if made is None:
        return list(findings)
    found = [*findings, *missing_languages(made)]
    if findings:
        return found
    source, _ = _source(folder / "set.toml", MAX_SET_TOML)
    return found + trial_findings(made) + approved_trials(made, partial(_line, source or ""))


def render_with_slots(
    folder: str | Path, channel: str, language: str, facts: Mapping[str, object], slots: Mapping[str, object]
) -> str:
    """One text with everything filled in, without signature. For many recipients: `render_open` once, then `fill_slots`."""
    return fill_slots(render_open(folder, channel, language, facts), slots)


def render_open(folder: str | Path, channel: str, language: str, facts: Mapping[str, object]) -> Rendered:
    """The text of one channel and language, its slots open, for the door `template render`.

    `facts` holds campaign facts and segment facts together; `channel` may carry a format (`social.wecom`). Raises NotFound,
    BadInput.
    """
    made = load_set(folder)
    given = {name: value for name, value in facts.items() if not _is_segment(made, name)}
    segment = {name: value for name, value in facts.items() if _is_segment(made, name)}
    kind, _, format = channel.partition(".")
    return made.render(kind, format, language, made.check_facts(given), segment)


def fill_slots(rendered: Rendered, slots: Mapping[str, object]) -> str:
    """One recipient's values, checked, in their places; others are left aside. Raises BadInput."""
    return rendered.text({slot: _slot(slot, slots[slot]) for slot in rendered.slots if slot in slots})


def _is_segment(made: TemplateSet, name: str) -> bool:
    return name in made.declared.facts and made.declared.facts[name].source == "segment"


def _slot(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise BadInput("bad-slot", f'the slot "{name}" takes a text')
    if len(value) > MAX_SLOT:
        raise BadInput("bad-slot", f'the slot "{name}" holds at most {MAX_SLOT} characters')
    if (bad := forbidden(value)) is not None:
        raise BadInput("forbidden-character", f'the slot "{name}": delete the character {shown(bad)}')
    return value


def _folders(extra: Path | None) -> dict[str, Path]:
    roots = [shipped_folder(), *([extra] if extra is not None else [])]
    return {file.parent.name: file.parent for root in roots for file in sorted(root.glob("*/set.toml"))}


# ---- reading ---------------------------------------------------------------------------------------------------------

_Stamp = tuple[tuple[str, int, int], ...]


def _stamp(folder: Path) -> _Stamp:
    """Names, times and sizes: a set is read and compiled again only when one of them changes."""
    stats = [(file.name, file.stat()) for file in folder.iterdir() if file.is_file()]
    return tuple(sorted((name, stat.st_mtime_ns, stat.st_size) for name, stat in stats))


@lru_cache(maxsize=64)
def _read(folder: Path, stamp: _Stamp) -> tuple[TemplateSet | None, tuple[Finding, ...]]:
    """The set, and what keeps it from being used. None where not even set.toml can be read."""
    if len(stamp) > MAX_FILES:
        return None, (Finding("set.toml", 1, 1, "too-many-files", f"a set holds at most {MAX_FILES} files"),)
    source, findings = _source(folder / "set.toml", MAX_SET_TOML)
    if source is None:
        return None, tuple(findings)
    try:
        data = tomllib.loads(source)
    except tomllib.TOMLDecodeError as error:
        return None, (_toml_finding(str(error)),)
    declared = read_declarations(data, folder.name)
    if declared.problems:
        return None, tuple(
            Finding("set.toml", _line(source, problem.table), 1, "bad-set", problem.message)
            for problem in declared.problems
        )
    texts, findings = _texts(folder, declared)
    made = TemplateSet(declared, texts)
    if not texts:
        findings.append(Finding("set.toml", 1, 1, "no-texts", "the set holds no text: add sms.zh-CN.txt"))
    return made, (*findings, *text_findings(made), *approved_findings(made, partial(_line, source)))


def _texts(folder: Path, declared: Declared) -> tuple[dict[tuple[str, str, str], TemplateText], list[Finding]]:
    texts: dict[tuple[str, str, str], TemplateText] = {}
    findings: list[Finding] = []
    for file in sorted(folder.iterdir()):
        if file.name.startswith(".") or file.name in ("set.toml", "README.md"):
            continue
        found = _NAME.fullmatch(file.name)
        if found is None or found[1] not in CHANNELS:
            message = f"the name must be <{'|'.join(CHANNELS)}>[.<format>].<{'|'.join(LANGUAGES)}>.txt"
            findings.append(Finding(file.name, 1, 1, "file-name", message))
            continue
        source, problems = _source(file, MAX_SOURCE)
        findings += problems
        if source is not None:
            channel, format, language = found[1], found[2] or "", found[3]
            names = _names(declared, channel)
            texts[channel, format, language] = TemplateText(file.name, channel, format, language, source, names)
    return texts, findings


def _names(declared: Declared, channel: str) -> Names:
    slots = declared.slots.get(channel, ())
    elsewhere = {slot for names in declared.slots.values() for slot in names} - set(slots)
    return Names(
        types={name: fact.type.value for name, fact in declared.facts.items()},
        choices={name: frozenset(fact.choices) for name, fact in declared.facts.items() if fact.choices},
        slots=slots,
        slots_elsewhere=frozenset(elsewhere),
    )


def _source(file: Path, most: int) -> tuple[str | None, list[Finding]]:
    """A text file as UTF-8 with \\n, whatever an editor on Windows made of it."""
    try:
        with file.open("rb") as opened:
            raw = opened.read(most + 1)
    except OSError as error:
        return None, [Finding(file.name, 1, 1, "unreadable", f"cannot be read: {error.strerror}")]
    if len(raw) > most:
        return None, [Finding(file.name, 1, 1, "too-long", f"holds more than {most} bytes")]
    try:
        return raw.decode("utf-8-sig").replace("\r\n", "\n"), []
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        return None, [Finding(file.name, line, 1, "not-utf8", "not UTF-8: save the file as UTF-8")]


def _toml_finding(message: str) -> Finding:
    found = re.search(r"\(at line (\d+), column (\d+)\)", message)
    line, column = (int(found[1]), int(found[2])) if found else (1, 1)
    return Finding("set.toml", line, column, "bad-toml", message)


def _line(source: str, table: str) -> int:
    """Where `[table]` or `table = ` begins; 1 where it does not."""
    pattern = rf"^\s*(?:\[{re.escape(table)}\]|{re.escape(table)}\s*=)" if table else r"^"
    found = re.search(pattern, source, re.MULTILINE)
    return source.count("\n", 0, found.end()) + 1 if found else 1
