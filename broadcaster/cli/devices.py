"""Speakers and boards: given the token with which they fetch their feed."""

from typing import Annotated

import typer

from broadcaster.cli.session import ACTOR, Home, Json, opened
from broadcaster.cli.show import emit, table
from broadcaster.model import BadInput

device = typer.Typer(help="Speakers and boards: their feed tokens, and which of them are silent.", no_args_is_help=True)
FEEDS = {
    "loudspeaker": ("speakers", "/manifest.json"),
    "billboard": ("boards", ".txt"),
}


def register(app: typer.Typer) -> None:
    """Adds the group device."""
    app.add_typer(device, name="device")


@device.command("enrol")
def enrol(  # noqa: PLR0913, PLR0917  the flags of the door
    channel: Annotated[str, typer.Option("--channel", help="loudspeaker or billboard.")],
    place: Annotated[str, typer.Option("--place", metavar="CODE", help="Devices in this place and below it.")],
    again: Annotated[bool, typer.Option("--again", help="Replace the tokens of enrolled ones too.")] = False,
    mode: Annotated[str, typer.Option("--mode", help="What they play: live or exercise.")] = "live",
    as_json: Json = False,
    home: Home = None,
) -> None:
    """Gives each device of a place its token. It is shown this once, and replaces an older one at once."""
    from broadcaster import devices
    from broadcaster.store.enrolling import to_enrol

    if channel not in FEEDS:
        raise BadInput("channel", f"--channel {channel}: only {' and '.join(FEEDS)} fetch a feed")
    with opened(home) as inst:
        with inst.store.read() as conn:
            found = to_enrol(conn, channel, place, again)
        tokens = devices.enrol(inst, ACTOR, [row.id for row in found], mode)
        base = inst.settings.base_url
    rows = [
        {"recipient": row.id, "name": row.name, "place": row.place, "feed": feed(base, channel, tokens[row.id])}
        for row in found
    ]
    if as_json:
        emit({"devices": rows})
    else:
        columns = ("recipient", "name", "place", "feed")
        table(columns, [[str(row[name]) for name in columns] for row in rows])


@device.command("silent")
def silent(
    minutes: Annotated[int, typer.Option("--minutes", min=1, help="Not heard of for so long.")] = 60,
    as_json: Json = False,
    home: Home = None,
) -> None:
    """Devices that nobody has heard of lately; those never heard of first."""
    from broadcaster import devices
    from broadcaster.store.clock import rfc3339

    with opened(home) as inst:
        zone = inst.settings.timezone
        rows = [
            {
                "recipient": each.recipient_id,
                "channel": each.channel,
                "name": each.name,
                "place": each.place_name or each.place,
                "seen": rfc3339(each.seen_at, zone),
            }
            for each in devices.silent(inst, minutes)
        ]
    if as_json:
        emit({"devices": rows})
    else:
        columns = ("recipient", "channel", "name", "place", "seen")
        table(columns, [[str(row[name] or "") for name in columns] for row in rows])


def feed(base: str, channel: str, token: str) -> str:
    """The address of a device's feed."""
    kind, end = FEEDS[channel]
    return f"{base}/feeds/{kind}/{token}{end}"
