"""Audiences: how many a selection holds."""

import typer

from broadcaster.cli.drafts import (
    Category,
    Channel,
    ExcludeGroup,
    ExcludePlace,
    Group,
    Language,
    Place,
    given_selection,
)
from broadcaster.cli.session import Home, Json, opened
from broadcaster.cli.show import answer

audience = typer.Typer(help="Audiences: selections of recipients.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Adds the group audience."""
    app.add_typer(audience, name="audience")


@audience.command("count")
def count(  # noqa: PLR0913, PLR0917  a selection is made of these
    place: Place = None,
    category: Category = None,
    language: Language = None,
    group: Group = None,
    exclude_place: ExcludePlace = None,
    exclude_group: ExcludeGroup = None,
    channel: Channel = None,
    as_json: Json = False,
    home: Home = None,
) -> None:
    """Recipients and people of a selection, by channel. Naming nothing selects nobody and is refused."""
    from broadcaster.compose import audiences

    selection = given_selection(place, category, language, group, exclude_place, exclude_group)
    with opened(home) as inst:
        found = audiences.count(inst, audiences.selection_from(selection), channel or None)
    answer(found, as_json)
