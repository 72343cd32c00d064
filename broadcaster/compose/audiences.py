"""Audiences: selections of recipients, counted while they are being made and kept under a name.

What a selection selects:
- A recipient is active, and its channel is among those asked for.
- Places: it stands at one of them or below. Groups alone select their members; with places, those members who stand there.
- Premises categories narrow phones (channel sms): only the people of such premises. Speakers, boards and accounts belong to no
  premises; they are chosen by place or group, and a category does not drop them.
- Languages: one of its languages is among them.
- Exclusions are taken away from all that: by place whoever stands there, by group its members.
- Without a place or a group a selection is empty: an error, never everyone.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields

from sqlalchemy import Connection

from broadcaster.compose import cells
from broadcaster.compose.cells import CellProblem
from broadcaster.compose.places import WIDTHS
from broadcaster.installation import Installation
from broadcaster.model import BadInput, NotFound, Selection
from broadcaster.store import audiences as stored
from broadcaster.store import places, recipients
from broadcaster.store.clock import now_ms, rfc3339

KEYS = frozenset(field.name for field in fields(Selection))
PHONES = "sms"
_TAG = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*")


def selection_from(given: Mapping[str, object], unfinished: bool = False) -> Selection:
    """A selection from JSON: lists under the names of model.Selection's fields; sorted and without doubles, so that equal ones
    have equal digests. Places become 12-digit codes; categories and languages may be named in Chinese or Korean as well.
    `unfinished`: nobody need be chosen yet, for a draft that is kept on the way; counting and submitting refuse it.

    Raises BadInput audience-key, audience-list, place-unknown, category-unknown, language-unknown, audience-empty.
    """
    unknown = sorted(set(given) - KEYS)
    if unknown:
        raise BadInput("audience-key", f"a selection has no {unknown[0]}; it has {', '.join(sorted(KEYS))}")
    named = {key: _words(key, value) for key, value in given.items()}
    selection = Selection(
        places=_each(named, "places", _place),
        premises_categories=_each(named, "premises_categories", _category),
        languages=_each(named, "languages", _language),
        groups=_each(named, "groups", str),
        exclude_places=_each(named, "exclude_places", _place),
        exclude_groups=_each(named, "exclude_groups", str),
    )
    if not unfinished:
        _require_bounded(selection)
    return selection


def _words(key: str, value: object) -> list[str]:
    if value is None:
        return []
    if isinstance(value, str) or not isinstance(value, Sequence) or not all(isinstance(one, str) for one in value):
        raise BadInput("audience-list", f"{key} is a list of words")
    return [one.strip() for one in value]


def _each(named: Mapping[str, list[str]], key: str, read: Callable[[str], str]) -> tuple[str, ...]:
    try:
        return tuple(sorted({read(word) for word in named.get(key, []) if word}))
    except CellProblem as problem:
        raise BadInput(problem.code, f"{key}: {problem.message}") from problem


def _place(written: str) -> str:
    if not (written.isascii() and written.isdigit() and len(written) in WIDTHS):
        raise CellProblem("place-unknown", f"{written[:20]} is no code of a place; codes have 2, 4, 6, 9 or 12 digits")
    return written.ljust(12, "0")


def _category(written: str) -> str:
    return cells.category(written) or ""


def _language(written: str) -> str:
    try:
        found = cells.languages(written) or ""
        if "+" in found:
            raise CellProblem("language-unknown", f"name each language by itself, not {written!r}")
        return found
    except CellProblem:
        if _TAG.fullmatch(written):
            return written
        raise


def _require_bounded(selection: Selection) -> None:
    if selection.empty:
        raise BadInput(
            "audience-empty", "name at least one place or group: an empty audience is nobody, never everyone"
        )


def require_known(conn: Connection, selection: Selection) -> None:
    """Raises BadInput place-unknown or group-unknown: a slip of the pen would else quietly select nobody there."""
    named = (*selection.places, *selection.exclude_places)
    unknown = places.unknown_places(conn, [place.ljust(12, "0") for place in named])
    if unknown:
        raise BadInput("place-unknown", f"no place has the code {unknown[0]}")
    unknown = recipients.unknown_groups(conn, [*selection.groups, *selection.exclude_groups])
    if unknown:
        raise BadInput("group-unknown", f"no group is called {unknown[0]}")


def count(inst: Installation, selection: Selection, channels: Sequence[str] | None = None) -> dict[str, object]:
    """The audience as it is now. Kinds of people are never added together:

    recipients: phones, speakers, boards and accounts · people: distinct persons reachable by phone · people_estimated: behind
    speakers and boards, of whom some are counted at both, by the named sources in people_by_source · by_channel: recipients ·
    places_without_channel: village units under the selected places at which no recipient of the audience stands (one that
    stands at a county or township covers no village); 0 where no places are selected.
    `channels` None = every channel. Raises BadInput audience-empty, audience-too-many-places, place-unknown, group-unknown.
    """
    _require_bounded(selection)
    with inst.store.read() as conn:
        require_known(conn, selection)
        rows = stored.tally(conn, selection, channels)
        bare = stored.uncovered(conn, selection, channels)
    by_channel: Counter[str] = Counter()
    by_source: Counter[str] = Counter()
    for row in rows:
        by_channel[row.channel] += row.recipients
        if row.people_source:
            by_source[row.people_source] += row.people
    return {
        "recipients": by_channel.total(),
        "people": by_channel[PHONES],
        "people_estimated": by_source.total(),
        "people_by_source": dict(by_source),
        "by_channel": dict(by_channel),
        "places_without_channel": bare,
    }


@dataclass(frozen=True, slots=True)
class SavedAudience:
    """A selection kept under a name. `created_by` is a login; `created` RFC 3339."""

    id: int
    name: str
    selection: Selection
    created_by: str
    created: str

    def as_json(self) -> dict[str, object]:
        """For the API and the command line."""
        return asdict(self)


def save(inst: Installation, user_id: int, name: str, selection: Selection) -> int:
    """Keeps a selection under a name, in place of an older one; campaigns keep the one they were made with. Returns its id.

    Raises BadInput audience-name, audience-empty, place-unknown, group-unknown.
    """
    called = " ".join(name.split())
    if not called:
        raise BadInput("audience-name", "an audience needs a name")
    _require_bounded(selection)
    with inst.store.write() as conn:
        require_known(conn, selection)
        return stored.save(conn, called, json.dumps(asdict(selection), sort_keys=True), user_id, now_ms(conn))


def saved(inst: Installation) -> list[SavedAudience]:
    """Every kept audience, by name."""
    with inst.store.read() as conn:
        return [_opened(inst, row) for row in stored.saved(conn)]


def load(inst: Installation, name: str) -> SavedAudience:
    """The audience kept under a name. Raises NotFound audience-unknown."""
    with inst.store.read() as conn:
        row = stored.find_saved(conn, " ".join(name.split()))
    if row is None:
        raise NotFound("audience-unknown", f"no audience is called {name}")
    return _opened(inst, row)


def _opened(inst: Installation, row: stored.Saved) -> SavedAudience:
    created = rfc3339(row.created_at, inst.settings.timezone) or ""
    return SavedAudience(row.id, row.name, selection_from(json.loads(row.selection)), row.created_by, created)
