"""The SMS gateway from the command line: how it stands, replies, messages in doubt, opt-outs, addresses, the link test."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from broadcaster.cli.failures import FAILED_DELIVERIES, UNAVAILABLE
from broadcaster.cli.session import As, Home, Json, opened
from broadcaster.cli.show import answer, emit, pairs, progress, say, table
from broadcaster.model import BadInput

if TYPE_CHECKING:
    from broadcaster.installation import Installation
    from broadcaster.people import User

gateway = typer.Typer(
    help="The SMS gateway: how it stands, replies, messages in doubt, opt-outs, addresses for providers, the link test.",
    no_args_is_help=True,
)
KINDS = ("other", "opt-out", "confirmation")
Campaign = Annotated[int, typer.Argument(metavar="CAMPAIGN", help="Number of the campaign.")]


def register(app: typer.Typer) -> None:
    """Adds the group gateway."""
    app.add_typer(gateway, name="gateway")


@gateway.command("status")
def status(as_json: Json = False, home: Home = None) -> None:
    """Providers, queue, failures of a day, receipts, doubt, opt-outs, replies, what goes out later, and what is wrong."""
    from broadcaster.deliver.overview import overview

    with opened(home) as inst:
        found = overview(inst)
    answer(found, as_json, lambda: _shown(found))


@gateway.command("replies")
def replies(
    as_user: As,
    kind: Annotated[
        str | None,
        typer.Option("--kind", help="The newest of a kind: other, opt-out, confirmation. [default: what waits]"),
    ] = None,
    as_json: Json = False,
    home: Home = None,
) -> None:
    """What phones answered and nobody has seen to yet, the urgent first; numbers are masked."""
    from broadcaster.deliver import replies as said
    from broadcaster.people import find_user

    if kind is not None and kind not in KINDS:
        raise BadInput("reply-kind", f"--kind {kind}: one of {', '.join(KINDS)}")
    with opened(home) as inst:
        rows = said.listed(inst, find_user(inst, as_user), kind)
    columns = ("id", "urgent", "received", "from", "name", "premises", "campaign", "text", "seen_by")
    _rows("replies", rows, columns, as_json)


@gateway.command("reply")
def reply(
    reply_id: Annotated[int, typer.Argument(metavar="ID", help="Number of the reply.")],
    as_user: As,
    done: Annotated[bool, typer.Option("--done", help="It was seen to; it no longer waits.")] = False,
    as_json: Json = False,
    home: Home = None,
) -> None:
    """One reply with its whole number, to call back: the audit keeps who looked. With --done it is off the list instead."""
    from broadcaster.deliver import replies as said
    from broadcaster.people import find_user

    with opened(home) as inst:
        user = find_user(inst, as_user)
        found = (
            {"id": reply_id, "done": True, "changed": said.seen(inst, user, reply_id)}
            if done
            else said.one(inst, user, reply_id)
        )
    answer(found, as_json)


@gateway.command("in-doubt")
def in_doubt(as_user: As, as_json: Json = False, home: Home = None) -> None:
    """Messages that may or may not have arrived, by campaign: send them again, or leave them."""
    from broadcaster.deliver import in_doubt as doubt
    from broadcaster.people import find_user

    with opened(home) as inst:
        rows = doubt.listed(inst, find_user(inst, as_user))
    columns = ("campaign", "name", "category", "channel", "provider", "reason", "n", "newest", "expires")
    _rows("in_doubt", rows, columns, as_json)


@gateway.command("send-again")
def send_again(campaign_id: Campaign, as_user: As, as_json: Json = False, home: Home = None) -> None:
    """Sends a campaign's messages in doubt once more: some people will get them twice."""
    from broadcaster.deliver import in_doubt as doubt

    _decided(home, as_user, as_json, campaign_id, doubt.send_again)


@gateway.command("leave")
def leave(campaign_id: Campaign, as_user: As, as_json: Json = False, home: Home = None) -> None:
    """Leaves a campaign's messages in doubt as they are: unknown."""
    from broadcaster.deliver import in_doubt as doubt

    _decided(home, as_user, as_json, campaign_id, doubt.leave)


@gateway.command("opt-outs")
def opt_outs(
    class_: Annotated[
        str | None, typer.Option("--class", help="promotion, notice or never. [default: all of them]")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=100_000, help="So many of the newest.")] = 50,
    as_json: Json = False,
    home: Home = None,
) -> None:
    """Who must not be sent to, by class, the newest first; numbers are masked."""
    from broadcaster import suppression
    from broadcaster.deliver.overview import opt_outs as by_class

    with opened(home) as inst:
        classes, rows = by_class(inst), suppression.newest(inst, class_, limit)
    if as_json:
        emit({"classes": classes, "newest": rows})
        return
    _table(("class", "n", "newest"), classes, "By class")
    _table(("since", "class", "address", "source"), rows, "Newest")


@gateway.command("addresses")
def addresses(as_json: Json = False, home: Home = None) -> None:
    """What to enter at each provider, for replies and for receipts in batches. The addresses are as good as a password."""
    from broadcaster.deliver.gateway_addresses import addresses as found

    with opened(home) as inst:
        told = found(inst)
    if as_json:
        emit(told)
        return
    if told["missing"]:
        say(f"broadcaster: {told['missing']}")
    _table(("provider", "replies", "receipts", "missing"), told["providers"])


@gateway.command("test")
def test(  # noqa: PLR0913, PLR0917  the flags of the door
    to: Annotated[str, typer.Option("--to", metavar="+86...", help="Your own phone.")],
    as_user: As,
    provider: Annotated[str, typer.Option("--provider", help="Which one carries it. [default: the first]")] = "",
    wait: Annotated[float, typer.Option("--wait", min=0, max=300, help="Seconds that its receipt is waited for.")] = 60,
    as_json: Json = False,
    home: Home = None,
) -> None:
    """Link test: one real message to your own phone, outside campaigns and their counts; five an hour.

    Ends with 3 where the provider or its receipt says that it does not arrive, with 5 where the provider could not take it.
    """
    from broadcaster.compose.cells import typed_phone
    from broadcaster.compose.templates import usual_signature
    from broadcaster.deliver import link_test
    from broadcaster.people import find_user

    try:
        number = typed_phone(to)
    except BadInput as problem:
        raise typer.BadParameter(problem.message, param_hint="--to") from problem
    with opened(home) as inst:
        user = find_user(inst, as_user)
        sent = link_test.send(inst, user, number, usual_signature(inst.settings.templates), provider)
        with progress("receipt"):
            heard = link_test.receipt(inst, sent, wait)
        found = link_test.as_json(inst, sent, heard)
    answer(found, as_json, lambda: _test_shown(found))
    raise typer.Exit(_test_code(found))


def _test_code(found: Mapping[str, Any]) -> int:
    word = found["answer"]["word"]
    if word in ("failed", "suppressed") or (found["receipt"] or {}).get("word") in ("failed", "expired"):
        return FAILED_DELIVERIES
    return 0 if word == "accepted" else UNAVAILABLE


def _test_shown(found: Mapping[str, Any]) -> None:
    pairs({name: found[name] for name in ("provider", "to", "code", "text", "parts", "sent", "answer")})
    if found["to_file"]:
        say(f"broadcaster: no provider is set: it was written to {found['to_file']} and goes to nobody")
    elif found["receipt"]:
        pairs(found["receipt"], "Receipt")
    elif found["receipt_expected"]:
        say("broadcaster: no receipt yet; look at the phone, and at: broadcaster gateway addresses")


def _decided(
    home: Path | None, login: str, as_json: bool, campaign_id: int, act: Callable[["Installation", "User", int], int]
) -> None:
    from broadcaster.people import find_user

    with opened(home) as inst:
        n = act(inst, find_user(inst, login), campaign_id)
    answer({"campaign": campaign_id, "deliveries": n}, as_json)


def _rows(name: str, rows: list[dict[str, Any]], columns: tuple[str, ...], as_json: bool) -> None:
    if as_json:
        emit({name: rows})
    else:
        _table(columns, rows)


def _table(columns: tuple[str, ...], rows: list[dict[str, Any]], title: str | None = None) -> None:
    table(columns, [[row[name] for name in columns] for row in rows], title)


def _shown(found: Mapping[str, Any]) -> None:
    for each in found["troubles"]:
        say(f"broadcaster: {each['code']}: {each['provider']} {each['lane']} since {each['since']} {each['detail']}")
    _table(("provider", "role", "state", "since", "queued", "balance", "detail"), found["providers"], "Providers")
    lanes = [{**lane, "provider": row["provider"]} for row in found["providers"] for lane in row["lanes"]]
    _table(("provider", "lane", "state", "since", "reason", "seen"), lanes, "Lanes")
    _table(("lane", "waiting", "sending", "oldest_due"), found["queue"], "Queue")
    _table(("provider", "source", "word", "reason", "n", "newest"), found["failures"]["rows"], "Failures of a day")
    _table(("class", "n", "newest"), found["opt_outs"], "Opt-outs")
    _table(("campaign", "name", "category", "due", "n"), found["reminders"], "Later")
    pairs({name: found[name] for name in ("rates", "receipts", "in_doubt", "replies")})
