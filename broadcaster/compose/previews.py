"""What would go out, while it is still being written: one text a channel, for a real recipient. Nothing is kept or spoken."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from audio.errors import SpokenError
from broadcaster.compose.audiences import require_known
from broadcaster.compose.drafts import Draft, columns, whole
from broadcaster.compose.submission import facts_of, set_called
from broadcaster.compose.templates import TemplateSet
from broadcaster.compose.wording import About, Key, Writer, examples, measured, problem_of, problems_of
from broadcaster.installation import Installation
from broadcaster.model import BadInput, Mode, Selection, Wording
from broadcaster.people import User, check
from broadcaster.store import audiences
from broadcaster.store import plan as stored_plan
from broadcaster.store import wordings as stored_wordings
from broadcaster.store.audiences import Selected
from channels import CHANNELS
from channels.base import Size
from channels.sms import SignatureError

COUNT_SECONDS = (
    30.0  # a count of a whole province takes longer than a preview may, and the audience is not what is typed
)


def preview(inst: Installation, user: User, draft: Draft) -> list[dict[str, Any]]:
    """For each channel of the draft: {"channel", "format", "languages", "segment", "sample", "text", "spoken", "size",
    "recipients", "parts", "cost", "problems"}.

    The text is that of the first recipient's segment with their own name in its slots; `sample` says whose, None where the
    audience has nobody on the channel. `recipients` may be half a minute old; `parts` and `cost` (thousandths) are the
    sample's times the recipients: submit reckons each. Problems are {"channel", "format", "language", "segment", "code",
    "message"}. Raises Refused; BadInput with a problem for each fact that is missing or wrong.
    """
    check(user, "campaign.create")
    templates = set_called(inst, draft.template_set)
    level = columns(draft)["level"]
    facts = facts_of(templates, None if level is None else str(level), draft.facts)
    about = About(Mode(draft.mode), templates.category, None if level is None else str(level), facts)
    chosen = [channel for channel in CHANNELS if channel in draft.channels]
    with inst.store.read() as conn:
        writer = Writer(templates, about, stored_wordings.place_names(conn))
        selection = whole(draft.selection)
        counted = _counted(conn, inst.settings.store_url, selection, chosen)
        samples = {channel: stored_plan.sample(conn, selection, channel) for channel in counted}
    price = inst.settings.sms_price
    return [_of_channel(templates, writer, (kind, samples.get(kind)), counted.get(kind, 0), price) for kind in chosen]


_counts: dict[tuple[str, Selection, tuple[str, ...]], tuple[float, Mapping[str, int]]] = {}


def _counted(conn: Connection, url: str, selection: Selection, channels: Sequence[str]) -> Mapping[str, int]:
    """Recipients by channel; a count is kept for COUNT_SECONDS. Nobody is counted while no place and no group is chosen."""
    if selection.empty:
        return {}
    key, now = (url, selection, tuple(channels)), time.monotonic()
    if key in _counts and now - _counts[key][0] < COUNT_SECONDS:
        return _counts[key][1]
    require_known(conn, selection)
    found: dict[str, int] = {}
    for row in audiences.tally(conn, selection, channels):
        found[row.channel] = found.get(row.channel, 0) + row.recipients
    if len(_counts) >= 256:
        _counts.clear()
    _counts[key] = (now, found)
    return found


def _of_channel(
    templates: TemplateSet, writer: Writer, at: tuple[str, Selected | None], recipients: int, price: int
) -> dict[str, Any]:
    channel, sample = at
    key = _key(templates, writer, channel, sample)
    told = _told(key, sample, recipients)
    try:
        wording = writer.write(key).wording
    except (BadInput, SignatureError, SpokenError) as error:
        told["problems"].append(problem_of(key, error.code, str(error)))
        return told
    size, text, missing = _filled(wording, sample)
    told["problems"] += [problem_of(key, "slot-missing", words) for words in missing] + problems_of(key, size)
    told["text"], told["size"] = text, size.as_json()
    told["spoken"] = [{"language": language, "words": words} for language, words in wording.spoken]
    if channel == "sms":
        told["parts"] = size.parts * recipients
        told["cost"] = told["parts"] * price
    return told


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
    own = {} if sample is None else {"name": sample.name, "premises": sample.premises_name}
    values = {slot: own.get(slot) for slot in wording.slots}
    missing = [f"this recipient has no {slot}" for slot, value in values.items() if sample is not None and not value]
    given = {slot: value for slot, value in values.items() if value}
    return measured(wording, given), wording.fill({**examples(wording), **given}), missing
