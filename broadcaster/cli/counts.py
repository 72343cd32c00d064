"""What became of a campaign: counts, their proof, and who was not reached."""

import sys
from typing import Annotated, Any

import typer

from broadcaster.cli.session import Home, Json, opened
from broadcaster.cli.show import answer, emit, pairs, table

Campaign = Annotated[int, typer.Argument(metavar="CAMPAIGN", help="Number of the campaign.")]


def register(app: typer.Typer) -> None:
    """Adds the verbs counts, recount and unreached."""
    app.command("counts")(counts)
    app.command("recount")(recount)
    app.command("unreached")(unreached)


def counts(
    campaign: Campaign,
    by: Annotated[
        str | None, typer.Option("--by", help="Cut by channel, place, unit, category (premises), language or outcome.")
    ] = None,
    as_json: Json = False,
    home: Home = None,
) -> None:
    """How many deliveries of a campaign stand where, and who was reached."""
    from broadcaster.reach import counts as reach

    with opened(home) as inst:
        found = reach.counts(inst, campaign, by)
    answer(found, as_json, lambda: show_counts(found))


def show_counts(found: dict[str, Any]) -> None:
    """The counts as tables: outcomes and proofs (by cut, where there is one), then reach."""
    rows = found["by"] or [{"name": "all", "key": "", **found}]
    words = [word for word, n in _figures(found).items() if n]
    lines = [
        [row["name"] or row["key"] or "(none)", row["planned"]] + [_figures(row).get(word, "") for word in words]
        for row in rows
    ]
    table(("", "planned", *words), lines, title="Deliveries")
    if "reach" in found:
        columns = ("reach", "planned", "reached (device: in its feed)", "played, shown or confirmed")
        title = "Reach (an exercise reaches nobody)" if found["reach"]["exercise"] else "Reach"
        table(columns, list(_reach_lines(found["reach"])), title=title)


def _figures(row: dict[str, Any]) -> dict[str, int]:
    """What is counted of a row, each in a column of its own; the two of receipts are within `accepted`."""
    unheard = {"no receipt": row["no_receipt"], "receipts outstanding": row["receipts_outstanding"]}
    return {**row["outcomes"], **unheard, **row["proofs"]}


def _reach_lines(reach: dict[str, Any]) -> list[tuple[str, object, object, object]]:
    phones = reach["people"]["phones"]
    lines: list[tuple[str, object, object, object]] = [
        (f"messages, {kind}", "", n, "") for kind, n in reach["messages"].items()
    ]
    lines.append(("people by phone", phones["planned"], phones["reached"], ""))
    lines.append(("premises", reach["premises"]["planned"], reach["premises"]["reached"], ""))
    for row in reach["estimates"]:
        source = row["source"] or "no estimate"
        lines.append((f"people near a {row['channel']} ({source})", row["planned"], row["reached"], row["proved"]))
    return lines


def recount(campaign: Campaign, as_json: Json = False, home: Home = None) -> None:
    """Compares the counters with the rows they count. Ends with 1 where they differ."""
    from broadcaster.reach import counts as reach

    with opened(home) as inst:
        found = reach.recount(inst, campaign)
    if as_json:
        emit(found)
    elif found["equal"]:
        pairs({"equal": True})
    else:
        columns = ("cut", "word", "counter", "rows")
        table(columns, [[row[name] for name in columns] for row in found["differences"]], title="Differences")
    raise typer.Exit(0 if found["equal"] else 1)


def unreached(
    campaign: Campaign,
    of: Annotated[str, typer.Option("--of", help="List recipients, or premises with nobody reached.")] = "recipients",
    home: Home = None,
) -> None:
    """Who was not reached, as CSV on stdout: a list to call. Numbers are masked."""
    from broadcaster.reach.unreached import unreached_csv

    with opened(home) as inst:
        for line in unreached_csv(inst, campaign, of):
            sys.stdout.write(line)
