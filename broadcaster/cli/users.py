"""Users: added, listed, given a link to sign in with, or a token for a program."""

from typing import Annotated

import typer

from broadcaster.cli.session import ACTOR, Home, Json, opened
from broadcaster.cli.show import answer, emit, table

user = typer.Typer(help="Users, their one-time sign-in links and the tokens of programs.", no_args_is_help=True)
Login = Annotated[str, typer.Argument(metavar="LOGIN")]


def register(app: typer.Typer) -> None:
    """Adds the group user."""
    app.add_typer(user, name="user")


@user.command("add")
def add(  # noqa: PLR0913, PLR0917  a user is made of these
    login: Login,
    name: Annotated[str, typer.Option("--name", help="As others see them.")],
    role: Annotated[
        list[str], typer.Option("--role", help="author, approver, operator, manager, administrator or gateway.")
    ],
    unit: Annotated[str | None, typer.Option("--unit", metavar="CODE", help="The unit whose places they see.")] = None,
    as_json: Json = False,
    home: Home = None,
) -> None:
    """Adds a user and prints their one-time link."""
    from broadcaster import people

    with opened(home) as inst:
        made = people.add_user(inst, ACTOR, login, name, role, unit)
        link = inst.settings.base_url + people.one_time_link(inst, ACTOR, login)
    answer({**_row(made), "link": link}, as_json)


@user.command("list")
def listed(as_json: Json = False, home: Home = None) -> None:
    """Every active user."""
    from broadcaster import people

    with opened(home) as inst:
        rows = [_row(each) for each in people.users(inst)]
    if as_json:
        emit({"users": rows})
    else:
        columns = ("login", "name", "roles", "unit")
        table(columns, [[each[name] for name in columns] for each in rows])


@user.command("link")
def link(
    login: Login,
    minutes: Annotated[
        int | None, typer.Option("--minutes", help="How long the link is good. [default: a day]")
    ] = None,
    as_json: Json = False,
    home: Home = None,
) -> None:
    """A new one-time link for a user; it signs them in once."""
    from broadcaster import people

    with opened(home) as inst:
        path = people.one_time_link(inst, ACTOR, login, people.LINK_MINUTES if minutes is None else minutes)
        answer({"login": login, "link": inst.settings.base_url + path}, as_json)


@user.command("token")
def token(
    login: Login,
    name: Annotated[str, typer.Option("--name", help="Which program uses it; what it is revoked by.")],
    days: Annotated[int | None, typer.Option("--days", help="How long it is good. [default: a year]")] = None,
    as_json: Json = False,
    home: Home = None,
) -> None:
    """A token with which a program acts for a user over the API. It is shown this once."""
    from broadcaster import people

    with opened(home) as inst:
        made = people.new_api_token(inst, ACTOR, login, name, people.TOKEN_DAYS if days is None else days)
    answer({"login": login, "name": name, "token": made}, as_json)


@user.command("revoke")
def revoke(
    login: Login,
    name: Annotated[str, typer.Option("--name", help="The name that the token was made with.")],
    as_json: Json = False,
    home: Home = None,
) -> None:
    """Ends a user's tokens of a name at once."""
    from broadcaster import people

    with opened(home) as inst:
        ended = people.revoke_api_tokens(inst, ACTOR, login, name)
    answer({"login": login, "name": name, "revoked": ended}, as_json)


def _row(each: object) -> dict[str, object]:
    from broadcaster.policy import User

    assert isinstance(each, User)
    return {
        "login": each.login,
        "name": each.name,
        "roles": sorted(each.roles),
        "unit": each.unit_code,
        "unit_name": each.unit_name,
    }
