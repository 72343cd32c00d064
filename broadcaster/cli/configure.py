"""Setting up and describing an installation: init, config show, openapi."""

from pathlib import Path

import typer

from broadcaster.cli.session import ACTOR, Home, Json, made, settings_for
from broadcaster.cli.show import answer, emit, say, table

ADMINISTRATOR = "administrator"
NOWHERE = {"database_url": "", "bus_url": "local:"}  # whatever the machine is set to
config = typer.Typer(help="The settings in force.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Adds init, openapi and the group config."""
    app.command("init")(init)
    app.command("openapi")(openapi)
    app.add_typer(config, name="config")


def init(home: Home = None, as_json: Json = False) -> None:
    """Makes the home folder, the database, the key file and the first administrator's one-time link. Idempotent.

    Where the bus is Kafka it also makes the topics that are missing. A second call brings an old schema up and makes no second
    administrator.
    """
    from broadcaster import people
    from broadcaster.bus import prepare_bus
    from broadcaster.compose import places
    from broadcaster.model import Role

    with made(home) as inst:
        loaded = {"places": places.load_places(inst), "units": places.load_units(inst)}
        known = {user.login for user in people.users(inst)}
        link = None
        if not known:
            people.add_user(inst, ACTOR, ADMINISTRATOR, "Administrator", [Role.ADMINISTRATOR])
            link = inst.settings.base_url + people.one_time_link(inst, ACTOR, ADMINISTRATOR)
        found = {
            "home": str(inst.settings.folder),
            "database": inst.store.dialect,
            "topics": len(prepare_bus(inst)),
            "key_file": str(inst.settings.key_file),
            **loaded,
            "administrator": ADMINISTRATOR if link else None,
            "link": link,
        }
    answer(found, as_json)
    if not link:
        say(f"users are there already; a new sign-in link: broadcaster user link {ADMINISTRATOR}")


@config.command("show")
def config_show(as_json: Json = False, home: Home = None) -> None:
    """Every setting, its value (secrets masked) and where it came from."""
    from broadcaster.settings import described

    rows = described(settings_for(home))
    if as_json:
        emit({"settings": rows})
        return
    columns = ("name", "value", "source", "description")
    table(columns, [[row[name] for name in columns] for row in rows], title="Settings")


def openapi() -> None:
    """The OpenAPI document of /api/v1. Needs no home folder: it is the same for every installation."""
    from tempfile import TemporaryDirectory

    from broadcaster.web.app import create_app

    with TemporaryDirectory(prefix="broadcaster-") as folder, made(Path(folder), **NOWHERE) as inst:
        emit(create_app(inst).openapi())
