"""How pages name things: sets by their title, places by their path, an act by what it does to how many."""

from collections.abc import Mapping, Sequence

from broadcaster.compose import places
from broadcaster.compose.templates import TemplateSet, load_set
from broadcaster.installation import Installation
from broadcaster.model import BadInput, Mode, NotFound
from broadcaster.web.languages import Words
from channels import CHANNELS


def title_of(inst: Installation, template_set: str, language: str) -> str:
    """The title of a set in a language; its id where the set can no longer be read."""
    try:
        title = load_set(template_set, inst.settings.templates).title
    except (BadInput, NotFound):
        return template_set
    return title.get(language, template_set)


def place_names(inst: Installation, codes: Sequence[str]) -> list[tuple[str, str]]:
    """(code, name with what it lies in) of each code; the code stands for a place that is not known."""
    return [(code, place_name(inst, code)) for code in codes]


def place_name(inst: Installation, code: str) -> str:
    """ "长春市 南关区": a place with the places above it, the province left out where anything is below it."""
    wanted = [code[:width] for width in places.WIDTHS if width <= len(places.prefix_of(code.ljust(12, "0")))]
    names = []
    for prefix in wanted:
        try:
            names.append(places.place(inst, prefix.ljust(12, "0")).name)
        except NotFound:
            continue
    return " ".join(names[1:] if len(names) > 1 else names) or code


def act_words(t: Words, deliveries: Mapping[str, int], mode: Mode) -> str:
    """The act of the second person in words: to how many of what it goes, and whether it is the real thing."""
    counted = [t(f"channel_count.{kind}", n=t.number(n)) for kind, n in deliveries.items() if n]
    if not counted:
        return ""
    to = t("act.and").join(counted)
    return t("act.exercise", to=to) if mode is Mode.EXERCISE else t("act.send", to=to)


def channels_of(templates: TemplateSet) -> list[str]:
    """The channels of a set, in the order in which every page names channels."""
    return [kind for kind in CHANNELS if kind in templates.channels]
