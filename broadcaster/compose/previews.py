"""What would go out, while it is still being written: a text for each channel and language, as somebody real would get it.

Nothing is kept or spoken.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection

from audio.errors import SpokenError
from broadcaster.compose.audiences import require_known
from broadcaster.compose.drafts import Draft, columns, whole
from broadcaster.compose.submission import facts_of, set_called
from broadcaster.compose.templates import TemplateSet
from broadcaster.compose.wording import (
    ALL_LANGUAGES,
    About,
    Key,
    Writer,
    examples,
    measured,
    problem_of,
    problems_of,
)
from broadcaster.installation import Installation
from broadcaster.model import BadInput, Mode, Selection, Wording
from broadcaster.people import User, check
from broadcaster.store import plan as stored_plan
from broadcaster.store import wordings as stored_wordings
from broadcaster.store.audiences import Selected
from channels import CHANNELS
from channels.base import Size
from channels.sms import SignatureError
from channels.sms.segments import SlotMeter

COUNT_SECONDS = (
    30.0  # a count of a whole province takes longer than a preview may, and the audience is not what is typed
)
SOME = 40  # recipients of a language whose texts are measured: a message of one part and one of two differ by a name


class Share(NamedTuple):
    """Those of an audience who share a channel and a language list, and some of them by id."""

    recipients: int
    some: tuple[int, ...]


Shares = Mapping[tuple[str, str], Share]  # by channel and language list


def preview(inst: Installation, user: User, draft: Draft) -> list[dict[str, Any]]:
    """For each channel of the draft: {"channel", "format", "languages", "segment", "sample", "text", "spoken", "size",
    "recipients", "parts", "cost", "problems", "samples"}.

    `samples` holds the same for each language list in the audience, the one of most recipients first; the channel's own text
    is that of the first, its figures and problems are those of all. A text is that of one recipient's segment with their own
    name in its slots; `sample` says whose, None where the audience has nobody on the channel. `recipients` may be half a
    minute old; `parts` and `cost` (thousandths) go by up to 40 recipients of each language: submit reckons each.
    Problems are {"channel", "format", "language", "segment", "code", "message"}. Raises Refused; BadInput with a problem for
    each fact that is missing or wrong.
    """
    check(user, "campaign.create")
    templates = set_called(inst, draft.template_set)
    level = columns(draft)["level"]
    facts = facts_of(templates, None if level is None else str(level), draft.facts)
    about = About(Mode(draft.mode), templates.category, None if level is None else str(level), facts)
    chosen = [channel for channel in CHANNELS if channel in draft.channels]
    with inst.store.read() as conn:
        writer = Writer(templates, about, stored_wordings.place_names(conn))
        shares = _counted(conn, inst.settings.store_url, whole(draft.selection), chosen)
        known = stored_plan.people(conn, [one for share in shares.values() for one in share.some])
    desk = _Desk(templates, writer, inst.settings.sms_price, {one.recipient_id: one for one in known})
    return [_of_channel(desk, kind, shares) for kind in chosen]


class _Desk(NamedTuple):
    """What every text of one preview is made with."""

    templates: TemplateSet
    writer: Writer
    price: int
    people: Mapping[int, Selected]


_counts: dict[tuple[str, Selection, tuple[str, ...]], tuple[float, Shares]] = {}


def _counted(conn: Connection, url: str, selection: Selection, channels: Sequence[str]) -> Shares:
    """Recipients by channel and languages; kept for COUNT_SECONDS. Nobody is counted while no place and no group is chosen."""
    if selection.empty:
        return {}
    key, now = (url, selection, tuple(channels)), time.monotonic()
    if key in _counts and now - _counts[key][0] < COUNT_SECONDS:
        return _counts[key][1]
    require_known(conn, selection)
    found: dict[tuple[str, str], Share] = {}
    for channel, languages, n, first, last in stored_plan.spread(conn, selection, channels):
        said = languages.partition(ALL_LANGUAGES)[0] if channel == "sms" else languages
        before = found.get((channel, said), Share(0, ()))
        some = dict.fromkeys((*before.some, first, last)) if channel == "sms" else (before.some or (first,))
        found[channel, said] = Share(before.recipients + n, tuple(some)[:SOME])
    if len(_counts) >= 256:
        _counts.clear()
    _counts[key] = (now, found)
    return found


def _of_channel(desk: _Desk, channel: str, shares: Shares) -> dict[str, Any]:
    own = sorted((share for (kind, _), share in shares.items() if kind == channel), key=lambda share: -share.recipients)
    samples = [_of_language(desk, channel, share) for share in own or (Share(0, ()),)]
    sums = {figure: sum(one[figure] for one in samples) for figure in ("recipients", "parts", "cost")}
    problems: list[Mapping[str, object]] = []
    for one in samples:
        problems += [problem for problem in one["problems"] if problem not in problems]
    return {**samples[0], **sums, "problems": problems, "samples": samples}


def _of_language(desk: _Desk, channel: str, share: Share) -> dict[str, Any]:
    some = [desk.people[one] for one in share.some if one in desk.people]
    sample = some[0] if some else None
    key = _key(desk.templates, desk.writer, channel, sample)
    told = _told(key, sample, share.recipients)
    try:
        wording = desk.writer.write(key).wording
    except (BadInput, SignatureError, SpokenError) as error:
        told["problems"].append(problem_of(key, error.code, str(error)))
        return told
    size, text, missing = _filled(wording, sample)
    told["problems"] += [problem_of(key, "slot-missing", words) for words in missing] + problems_of(key, size)
    told["text"], told["size"] = text, size.as_json()
    told["spoken"] = [{"language": language, "words": words} for language, words in wording.spoken]
    if channel == "sms" and some:
        told["parts"] = round(_mean_parts(desk, {key: wording}, some) * share.recipients)
        told["cost"] = told["parts"] * desk.price
    return told


def _mean_parts(desk: _Desk, wordings: dict[Key, Wording], some: Sequence[Selected]) -> float:
    """Parts of a text message to one of these people, on average; a name makes it longer than the next one's."""
    found = []
    for one in some:
        key = _key(desk.templates, desk.writer, "sms", one)
        try:
            wording = wordings.get(key) or wordings.setdefault(key, desk.writer.write(key).wording)
        except (BadInput, SignatureError):
            continue
        values = {**examples(wording), **_own(wording, one)}
        found.append(SlotMeter(wording.pieces).parts([values[slot] for slot in wording.slots]))
    return sum(found) / len(found)


def _own(wording: Wording, sample: Selected) -> dict[str, str]:
    """A recipient's own values in a wording's slots, those that there are."""
    own = {"name": sample.name, "premises": sample.premises_name}
    return {slot: value for slot in wording.slots if (value := own.get(slot))}


def _told(key: Key, sample: Selected | None, recipients: int) -> dict[str, Any]:
    """All that is known of a channel before its text is."""
    nobody = [problem_of(key, "audience-empty", "nobody in the audience is on this channel")]
    return {
        "channel": key.channel,
        "format": key.format,
        "languages": key.languages,
        "segment": dict(key.segment),
        "sample": _sample(sample),
        "text": "",
        "spoken": [],
        "size": {},
        "recipients": recipients,
        "parts": 0,
        "cost": 0,
        "problems": [] if recipients else nobody,
    }


def _key(templates: TemplateSet, writer: Writer, channel: str, sample: Selected | None) -> Key:
    """The wording of the sample; where there is nobody, that of the set's own examples."""
    if sample is not None:
        county = sample.place[:6] + "000000"
        return writer.key(channel, sample.format, sample.languages, county, sample.premises_category)
    used = sorted(templates.segment_facts(channel) - {"language"}) if channel in templates.channels else []
    segment = tuple((fact, _example(templates, fact)) for fact in used)
    return Key(channel, "", "zh-CN", segment)


def _example(templates: TemplateSet, fact: str) -> str:
    example = templates.facts[fact].example
    return str(example.get("zh-CN", "")) if isinstance(example, Mapping) else str(example or "")


def _sample(sample: Selected | None) -> dict[str, Any] | None:
    if sample is None:
        return None
    return {"name": sample.name, "premises": sample.premises_name, "place": sample.place}


def _filled(wording: Wording, sample: Selected | None) -> tuple[Size, str, list[str]]:
    """(size, text, which slots the sample cannot fill) with the sample's own values, else with examples."""
    given = {} if sample is None else _own(wording, sample)
    unfilled = dict.fromkeys(slot for slot in wording.slots if slot not in given)
    missing = [] if sample is None else [f"this recipient has no {slot}" for slot in unfilled]
    return measured(wording, given), wording.fill({**examples(wording), **given}), missing
