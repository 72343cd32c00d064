"""The demo's folder: places, invented recipients and users, made once and used again."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from broadcaster import devices, people
from broadcaster.cli import demo_data
from broadcaster.cli.show import Progress, progress
from broadcaster.compose import places
from broadcaster.compose.recipients import NewRecipient, add_recipients
from broadcaster.installation import Installation
from broadcaster.model import BadInput, Refused, Role
from broadcaster.store import enrolling
from broadcaster.store.places import PlaceRow

ACTOR = "demo"
PROVINCE, VILLAGE = "22", 5
OPERATED = "2224"
USERS = (
    ("author", "王敏", Role.AUTHOR, PROVINCE),
    ("approver", "李国强", Role.APPROVER, PROVINCE),
    ("operator", "金英子", Role.OPERATOR, OPERATED),
    ("manager", "赵磊", Role.MANAGER, PROVINCE),
    ("administrator", "陈静", Role.ADMINISTRATOR, None),
)
MARK = "demo.json"


def furnish(inst: Installation, size: tuple[int, int | None, int], seed: int | None) -> None:
    """Brings the home to so many (phones, speakers, boards), speakers None = one a village; two robots; users.

    What is there is used again. Raises Refused where the home holds recipients that no demo made.
    """
    seed = _seed(inst, seed)
    with inst.store.read() as conn:
        known = enrolling.by_channel(conn)
    places.load_places(inst)
    places.load_units(inst)
    _add_users(inst)
    villages = _villages()
    phones, speakers, boards = size
    named = [(place.code, place.name) for place in villages]
    ears = named if speakers is None else _spread(named, speakers)
    wanted: dict[str, tuple[int, Iterable[NewRecipient]]] = {
        "sms": (phones, demo_data.phones([place.code for place in villages], phones, seed)),
        "loudspeaker": (len(ears), demo_data.speakers(ears, seed)),
        "billboard": (boards, demo_data.boards(named, boards, seed)),
        "social": (2, demo_data.robots(seed)),
    }
    for channel, (number, rows) in wanted.items():
        if known.get(channel, 0) < number:
            with progress(f"{number:,} recipients, {channel}") as tell:
                add_recipients(inst, rows, _of(tell, number))
    for channel in devices.CHANNELS:
        with inst.store.read() as conn:
            fresh = enrolling.to_enrol(conn, channel, PROVINCE)
        devices.enrol(inst, ACTOR, [row.id for row in fresh])


def token(inst: Installation, channel: str) -> str | None:
    """A new feed token for one device of a channel, in the operator's places where there is one; None where there is none."""
    with inst.store.read() as conn:
        found = enrolling.to_enrol(conn, channel, OPERATED, again=True) or enrolling.to_enrol(
            conn, channel, PROVINCE, again=True
        )
    if not found:
        return None
    return devices.enrol(inst, ACTOR, [found[0].id])[found[0].id]


def _spread(named: Sequence[tuple[str, str]], number: int) -> list[tuple[str, str]]:
    """So many of them, from all over the province."""
    wanted = min(number, len(named))
    return [named[i * len(named) // wanted] for i in range(wanted)]


def _seed(inst: Installation, seed: int | None) -> int:
    mark: Path = inst.settings.folder / MARK
    if mark.exists():
        try:
            kept = int(json.loads(mark.read_text(encoding="utf-8"))["seed"])
        except (ValueError, KeyError, TypeError) as error:
            raise BadInput("demo-mark", f"{mark} cannot be read: {error}; name another --home") from error
        return kept if seed is None else seed
    with inst.store.read() as conn:
        if enrolling.by_channel(conn):
            raise Refused(
                "not-a-demo",
                f"{inst.settings.folder} holds recipients that no demo made; name another --home, so that nothing invented "
                "gets among them",
            )
    mark.write_text(json.dumps({"seed": seed or 0}), encoding="utf-8")
    return seed or 0


def _add_users(inst: Installation) -> None:
    known = {user.login for user in people.users(inst)}
    for login, name, role, unit in USERS:
        if login not in known:
            people.add_user(inst, ACTOR, login, name, [role], unit)


def _villages() -> list[PlaceRow]:
    return [place for place in places.read_places() if place.level == VILLAGE]


def _of(tell: Progress, number: int) -> Progress:
    return lambda done, _total: tell(done, number)
