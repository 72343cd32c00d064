"""The tree of places, looked up."""

from typing import Annotated

import typer

from broadcaster.cli.session import Home, Json, opened
from broadcaster.cli.show import emit, table

place = typer.Typer(help="Places: province, prefecture, county, township, village.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Adds the group place."""
    app.add_typer(place, name="place")


@place.command("list")
def listed(
    under: Annotated[str | None, typer.Option("--under", metavar="CODE", help="Places right below this one.")] = None,
    search: Annotated[
        str | None, typer.Option("--search", metavar="WORDS", help="Places whose name holds this.")
    ] = None,
    as_json: Json = False,
    home: Home = None,
) -> None:
    """Places below a place (the provinces where none is named), or those found by name."""
    from broadcaster.compose import places

    with opened(home) as inst:
        found = places.search(inst, search) if search else places.children(inst, under)
    rows = [{"code": each.code, "name": each.name, "level": each.level} for each in found]
    if as_json:
        emit({"places": rows})
    else:
        table(("code", "name", "level"), [[row["code"], row["name"], row["level"]] for row in rows])
