"""What an author writes down, and a campaign as it stands: the two shapes that pages, API and command line pass about."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from broadcaster.compose.seal import canonical
from broadcaster.model import BadInput, CampaignState, Category, Level, Mode, Selection
from broadcaster.settings import Settings
from broadcaster.store.clock import from_rfc3339, rfc3339
from channels import CHANNELS

NAME_MOST = 120  # characters: it must fit a line of a list


@dataclass(frozen=True, slots=True)
class Draft:
    """What an author decides. Times in ms; None: from approval on, and as long as the template set says."""

    name: str
    template_set: str
    mode: str
    level: str | None
    facts: Mapping[str, object]
    selection: Selection
    channels: tuple[str, ...]
    not_before_at: int | None = None
    expires_at: int | None = None


@dataclass(frozen=True, slots=True)
class Campaign:
    """A campaign row with the logins of those who worked on it. Times in ms; cost in thousandths of the currency unit."""

    id: int
    public_id: str
    name: str
    template_set: str
    category: Category
    mode: Mode
    level: str | None
    state: CampaignState
    revision: int
    follows_id: int | None
    follows_how: str | None
    facts: Mapping[str, object]
    selection: Selection
    channels: tuple[str, ...]
    not_before_at: int | None
    expires_at: int | None
    epoch: int
    version: int
    sealed_digest: str | None
    planned: int | None
    parts: int | None
    cost: int | None
    author_id: int
    author: str
    editor_id: int
    editor: str
    approver_id: int | None
    approver: str | None
    reason: str | None
    created_at: int
    submitted_at: int | None
    approved_at: int | None
    started_at: int | None
    finished_at: int | None
    cancelled_at: int | None
    corrected_by: int | None  # the newest correction of it that was approved: it is not to be followed any more

    @property
    def draft(self) -> Draft:
        """The author's decisions in it, to be changed and given to `edit`, or copied."""
        return Draft(**{f.name: getattr(self, f.name) for f in fields(Draft)})

    def as_json(self, zone: str = "UTC") -> dict[str, Any]:
        """For the API and `--json`; times RFC 3339 or None."""
        names = "public_id name state mode category level revision template_set facts".split()  # noqa: SIM905
        plain = "planned parts cost author editor approver reason version follows_id follows_how corrected_by".split()  # noqa: SIM905
        times = "created submitted approved started finished cancelled not_before expires".split()  # noqa: SIM905
        return {
            "campaign": self.id,
            **{name: getattr(self, name) for name in names},
            "selection": asdict(self.selection),
            "channels": list(self.channels),
            "digest": self.sealed_digest,
            **{name: getattr(self, name) for name in plain},
            **{name: rfc3339(getattr(self, f"{name}_at"), zone) for name in times},
        }


def campaign_of(row: Mapping[str, Any]) -> Campaign:
    """A campaign from its row."""
    given = {f.name: row[f.name] for f in fields(Campaign)}
    given["category"], given["mode"] = Category(row["category"]), Mode(row["mode"])
    given["state"] = CampaignState(row["state"])
    given["facts"] = json.loads(row["facts"])
    given["selection"] = Selection(**{name: tuple(codes) for name, codes in json.loads(row["selection"]).items()})
    given["channels"] = tuple(json.loads(row["channels"]))
    for name in ("not_before_at", "expires_at"):
        given[name] = row[name] or None
    return Campaign(**given)


def columns(draft: Draft) -> dict[str, object]:
    """A draft as columns of its row. 0 stands for a time that is not decided yet; submit decides it.

    Raises BadInput: no name, unknown or missing mode, unknown level or channel, facts that are no JSON.
    """
    _check(draft)
    return {
        "name": draft.name.strip(),
        "template_set": draft.template_set,
        "mode": draft.mode,
        "level": draft.level or _level_told(draft.facts),
        "facts": canonical(dict(draft.facts)),
        "selection": canonical(asdict(whole(draft.selection))),
        "channels": canonical([kind for kind in CHANNELS if kind in draft.channels]),
        "not_before_at": draft.not_before_at or 0,
        "expires_at": draft.expires_at or 0,
    }


def whole(selection: Selection) -> Selection:
    """The selection with 12-digit codes in place of prefixes."""
    places, without = (
        tuple(code.ljust(12, "0") for code in codes) for codes in (selection.places, selection.exclude_places)
    )
    return replace(selection, places=places, exclude_places=without)


def _level_told(facts: Mapping[str, object]) -> str | None:
    """The level that the texts will say: what devices and colours go by must not be another."""
    told = facts.get("level")
    return str(told) if told in list(Level) else None


def _check(draft: Draft) -> None:
    wrong = list(_wrong(draft))
    if len(wrong) > 1:
        problems = [{"code": each.code, "message": each.message} for each in wrong]
        raise BadInput(wrong[0].code, "; ".join(each.message for each in wrong), problems)
    if wrong:
        raise wrong[0]
    try:
        canonical(dict(draft.facts))
    except (TypeError, ValueError) as error:
        raise BadInput("bad-facts", f"the facts cannot be kept: {error}") from error


def _wrong(draft: Draft) -> Iterator[BadInput]:
    if not draft.name.strip():
        yield BadInput("name", "a campaign needs a name; the public does not see it")
    if len(draft.name.strip()) > NAME_MOST:
        yield BadInput("name-too-long", f"a name has at most {NAME_MOST} characters, not {len(draft.name.strip())}")
    if draft.mode not in list(Mode):
        yield BadInput("mode", f"the mode is {' or '.join(Mode)}, not {draft.mode!r}: say which")
    if draft.level and draft.level not in list(Level):
        yield BadInput("level", f"the level is one of {', '.join(Level)}, not {draft.level!r}")
    if strange := [kind for kind in draft.channels if kind not in CHANNELS]:
        yield BadInput("channel", f"the channels are {', '.join(CHANNELS)}, not {strange[0]!r}")


_TEXTS = ("name", "template_set", "mode")
_KEYS = frozenset({*_TEXTS, "level", "facts", "selection", "channels", "not_before", "expires"})


def draft_from(given: Mapping[str, Any], selection: Selection, settings: Settings) -> Draft:
    """A draft from JSON as the API and the command line take it; `selection` is already read (audiences.selection_from).

    Raises BadInput: a key that there is not, a value of another type, a time that cannot be read.
    """
    if strange := sorted(set(given) - _KEYS):
        raise BadInput("key", f"a campaign has no {strange[0]!r}; its keys are {', '.join(sorted(_KEYS))}")
    for name in _TEXTS:
        if not isinstance(given.get(name), str):
            raise BadInput(name.replace("_", "-"), f"{name} is missing, or no text")
    facts, channels, level = given.get("facts", {}), given.get("channels", []), given.get("level")
    if not isinstance(facts, Mapping):
        raise BadInput("facts", 'facts are an object: {"name": value}')
    if not isinstance(channels, list | tuple) or not all(isinstance(kind, str) for kind in channels):
        raise BadInput("channels", f"channels are a list of some of {', '.join(CHANNELS)}")
    if level is not None and not isinstance(level, str):
        raise BadInput("level", f"the level is one of {', '.join(Level)}")
    texts = tuple(str(given[name]) for name in _TEXTS)
    times = (_time(given, name, settings.timezone) for name in ("not_before", "expires"))
    return Draft(*texts, level, dict(facts), selection, tuple(channels), *times)  # type: ignore[call-arg, arg-type]


def _time(given: Mapping[str, Any], name: str, zone: str) -> int | None:
    written = given.get(name)
    if written in (None, ""):
        return None
    try:
        return from_rfc3339(str(written), zone)
    except (ValueError, OverflowError) as error:
        raise BadInput(
            name.replace("_", "-"), f"{name}: {written!r} is no time; write 2027-03-15T08:30+08:00"
        ) from error
