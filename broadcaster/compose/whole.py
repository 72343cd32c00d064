"""What a draft still lacks, all of it at once: whoever mends one thing should not be told of the next only then."""

from collections.abc import Callable, Mapping

from broadcaster.compose import timing
from broadcaster.compose.audiences import require_known
from broadcaster.compose.drafts import Draft, columns, whole
from broadcaster.compose.submission import facts_of, set_called
from broadcaster.compose.templates import TemplateSet
from broadcaster.installation import Installation
from broadcaster.model import BadInput, Refused
from broadcaster.store.clock import wall_ms

Problem = Mapping[str, object]


def lacks(inst: Installation, draft: Draft) -> list[Problem]:
    """{"code", "message"} of everything that keeps a draft from its submit and can be seen without its texts; a fact's has
    "fact" too. Raises NotFound, BadInput for a template set that cannot be read."""
    templates = set_called(inst, draft.template_set)
    return [
        problem
        for act in (
            lambda: columns(draft),
            lambda: facts_of(templates, draft.level, draft.facts),
            lambda: _audience(inst, draft),
            lambda: _channels(templates, draft),
            lambda: _times(inst, templates, draft),
        )
        for problem in _problems(act)
    ]


def _problems(act: Callable[[], object]) -> list[Problem]:
    try:
        act()
    except BadInput as error:
        return [*error.problems] or [{"code": error.code, "message": error.message}]
    except Refused as error:
        return [{"code": error.code, "message": error.message}]
    return []


def _audience(inst: Installation, draft: Draft) -> None:
    if draft.selection.empty:
        raise BadInput("audience-empty", "choose a place or a group: nobody is chosen yet")
    with inst.store.read() as conn:
        require_known(conn, whole(draft.selection))


def _channels(templates: TemplateSet, draft: Draft) -> None:
    if not draft.channels:
        raise BadInput("channels", "choose at least one channel")
    if missing := [kind for kind in draft.channels if kind not in templates.channels]:
        raise BadInput("no-template", f"{draft.template_set} has no text for {', '.join(missing)}: leave them out")


def _times(inst: Installation, templates: TemplateSet, draft: Draft) -> None:
    now, given = wall_ms(), (draft.not_before_at, draft.expires_at)
    times = timing.life(templates.category, given, templates.expires_hours, now, inst.settings.timezone)
    timing.release_at(inst.settings, templates.category, times, now)
