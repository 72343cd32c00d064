"""What became of a campaign: outcomes and proofs by cut, who was reached, and the proof that the counters are true."""

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Connection

from broadcaster.installation import Installation
from broadcaster.model import NO_RECEIPT, PROOF_BITS, BadInput, NotFound, Outcome, Proof
from broadcaster.store import reach as stored
from channels.sms import reporting

BY = (*stored.CUTS, "outcome")
REASONS = 200  # a person's own words are reasons too


def counts(inst: Installation, campaign_id: int, by: str | None = None, with_reach: bool = True) -> dict[str, Any]:
    """How a campaign stands.

    {"planned", "outcomes": {every outcome: n}, "proofs": {every proof: n}, "no_receipt", "receipts_outstanding", "reach": see
    `reach`, "by": rows}. A row of `by` is {"key", "name", "planned", "outcomes", "proofs", "no_receipt",
    "receipts_outstanding"}; cut by outcome it has no proofs, because a proof is counted beside the outcomes and not within one.
    `no_receipt` are accepted SMS that nothing was heard of by the deadline, `receipts_outstanding` those that may still be heard
    of: both are counted within `accepted`, the second only where the providers of this installation report. `outcomes` and `by`
    come from the counters alone, at the same price for ten deliveries and two million; `reach` reads the deliveries: a page that
    refreshes leaves it out by `with_reach=False`.
    Raises BadInput for an unknown cut, NotFound for an unknown campaign.
    """
    if by is not None and by not in BY:
        raise BadInput("cut", f"counts cannot be cut by {by!r}; one of: {', '.join(BY)}")
    with inst.store.report() as conn:
        planned = _planned(conn, campaign_id)
        words = stored.by_word(conn, campaign_id)
        awaited = _awaited(inst, conn, campaign_id, by)
        found: dict[str, Any] = {"planned": planned, "outcomes": _outcomes(words), "proofs": _proofs(words)}
        found |= _unheard(words, sum(awaited.values()))
        if with_reach:
            found["reach"] = _reach(conn, campaign_id)
        found["by"] = [
            {**row, **_unheard({NO_RECEIPT: row["no_receipt"]}, awaited.get(row["key"], 0))}
            for row in _by(conn, campaign_id, by, words)
        ]
    return found


def _awaited(inst: Installation, conn: Connection, campaign_id: int, by: str | None) -> Mapping[str, int]:
    """Key of the cut -> accepted SMS of providers that report. By outcome, all of them are in one."""
    settings = inst.settings
    report = settings.public_url and {settings.sms_provider, settings.sms_second} & set(reporting())
    if not report or stored.is_exercise(conn, campaign_id):
        return {}
    cut = by if by in stored.CUTS else "channel"
    found = stored.accepted_sms(conn, campaign_id, cut)
    return {str(Outcome.ACCEPTED): sum(found.values())} if by == "outcome" else found


def _unheard(words: Mapping[str, int], awaited: int) -> dict[str, int]:
    silent = words.get(NO_RECEIPT, 0)
    return {"no_receipt": silent, "receipts_outstanding": max(0, awaited - silent)}


def reach(inst: Installation, campaign_id: int) -> dict[str, Any]:
    """Who was reached, each kind named and none added to another.

    {"exercise", "messages": {channel: accepted or delivered}, "people": {"phones": {"planned", "reached"}},
    "premises": {"planned", "reached"}, "estimates": [{"channel", "source", "devices", "planned", "reached", "proved"}]}.
    A phone is one SMS delivery. Premises are reached by at least one delivery on any channel. Estimates are people behind
    speakers and boards: `reached` where the device's feed holds the campaign, `proved` where it was played, shown or confirmed;
    source None counts devices of which nobody has estimated the people. An exercise reaches nobody: its people, premises and
    estimates stay 0 reached and 0 proved, whatever its devices did. Raises NotFound.
    """
    with inst.store.report() as conn:
        _planned(conn, campaign_id)
        return _reach(conn, campaign_id)


def reasons(inst: Installation, campaign_id: int) -> dict[str, list[tuple[str, int]]]:
    """outcome -> (reason, how many), the most frequent first, REASONS in all. Raises NotFound."""
    with inst.store.report() as conn:
        _planned(conn, campaign_id)
        rows = stored.reasons(conn, campaign_id, REASONS)
    found: dict[str, list[tuple[str, int]]] = {}
    for outcome, reason, n in rows:
        found.setdefault(outcome, []).append((reason, int(n)))
    return found


def recount(inst: Installation, campaign_id: int) -> dict[str, Any]:
    """The counters against the rows they count, read in one moment.

    {"equal", "differences": [{"cut", "word", "counter", "rows"}]}. Also checks that the outcomes add up to what was
    planned: such a difference has cut None and word "planned". Raises NotFound.
    """
    with inst.store.report() as conn:
        planned = _planned(conn, campaign_id)
        counter, rows = _tallies(stored.counters_and_rows(conn, campaign_id))
    differences: list[dict[str, Any]] = [
        {"cut": cut, "word": word, "counter": counter.get((cut, word), 0), "rows": rows.get((cut, word), 0)}
        for cut, word in sorted(counter.keys() | rows.keys())
        if counter.get((cut, word), 0) != rows.get((cut, word), 0)
    ]
    for name, tally in (("counter", counter), ("rows", rows)):
        total = sum(n for (_, word), n in tally.items() if word in list(Outcome))
        if total != planned:
            other = "rows" if name == "counter" else "counter"
            differences.append({"cut": None, "word": "planned", name: total, other: planned})
    return {"equal": not differences, "differences": differences}


def _planned(conn: Connection, campaign_id: int) -> int:
    found = stored.planned(conn, campaign_id)
    if found is None:
        raise NotFound("campaign", f"there is no campaign {campaign_id}; type: broadcaster campaign list")
    return found[0]


def _outcomes(words: Mapping[str, int]) -> dict[str, int]:
    return {str(word): words.get(word, 0) for word in Outcome}


def _proofs(words: Mapping[str, int]) -> dict[str, int]:
    return {str(word): words.get(word, 0) for word in Proof}


def _row(key: str, name: str, words: Mapping[str, int]) -> dict[str, Any]:
    outcomes = _outcomes(words)
    planned = sum(outcomes.values())
    told = {"outcomes": outcomes, "proofs": _proofs(words), "no_receipt": words.get(NO_RECEIPT, 0)}
    return {"key": key, "name": name, "planned": planned, **told}


def _by(conn: Connection, campaign_id: int, by: str | None, words: Mapping[str, int]) -> list[dict[str, Any]]:
    if by is None:
        return []
    if by == "outcome":
        return [{**_row(word, word, _of_outcome(word, words)), "proofs": {}} for word in map(str, Outcome)]
    found: dict[tuple[str, str], dict[str, int]] = {}
    for key, name, word, n in stored.by_cut(conn, campaign_id, by):
        found.setdefault((key, name), {})[word] = int(n)
    return [_row(key, name, tally) for (key, name), tally in found.items()]


def _of_outcome(word: str, words: Mapping[str, int]) -> dict[str, int]:
    """What is counted of one outcome; only accepted ones can carry the mark."""
    silent = {NO_RECEIPT: words.get(NO_RECEIPT, 0)} if word == Outcome.ACCEPTED else {}
    return {word: words.get(word, 0), **silent}


def _reach(conn: Connection, campaign_id: int) -> dict[str, Any]:
    exercise = stored.is_exercise(conn, campaign_id)
    channels = {row["key"]: row for row in _by(conn, campaign_id, "channel", {})}
    messages = {kind: sum(row["outcomes"][word] for word in stored.REACHED) for kind, row in channels.items()}
    phones_reached = 0 if exercise else messages.get("sms", 0)
    phones = {"planned": channels["sms"]["planned"] if "sms" in channels else 0, "reached": phones_reached}
    premises_planned, premises_reached = stored.premises(conn, campaign_id)
    return {
        "exercise": exercise,
        "messages": messages,
        "people": {"phones": phones},
        "premises": {"planned": premises_planned, "reached": 0 if exercise else premises_reached},
        "estimates": [_estimate(row, exercise) for row in stored.estimates(conn, campaign_id)],
    }


def _estimate(row: Any, exercise: bool) -> dict[str, Any]:
    reached, proved = (0, 0) if exercise else (int(row.reached), int(row.proved))
    numbers = {"planned": int(row.people), "reached": reached, "proved": proved}
    return {"channel": row.channel, "source": row.source, "devices": int(row.devices), **numbers}


Tally = dict[tuple[int, str], int]


def _tallies(found: Iterable[Any]) -> tuple[Tally, Tally]:
    """(cut, word) -> n of the counters and of the rows; a row counts for its outcome, its mark and each of its proofs."""
    counter: Tally = {}
    rows: Tally = {}
    for source, cut, word, proof, silent, n in found:
        tally = counter if source == "counter" else rows
        proofs = [p for p, bit in PROOF_BITS.items() if proof & bit]
        for each in (word, *([NO_RECEIPT] if silent else []), *map(str, proofs)):
            tally[cut, each] = tally.get((cut, each), 0) + int(n)
    return counter, rows
