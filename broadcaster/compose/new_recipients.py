"""Recipients that have no row yet: sealed, gathered and written in bulk, whether a file or a program names them."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from sqlalchemy import Connection

from broadcaster.installation import Installation
from broadcaster.store import recipients as stored
from broadcaster.store.clock import wall_ms
from broadcaster.store.recipients import Member, PremisesRow, RecipientRow, RecipientValues, values_of


@dataclass(frozen=True, slots=True)
class NewRecipient:
    """One end to be reached. `address` carries its scheme: tel: speaker: board: wecom:. `place` has 12 digits.

    What is None stays as it was where the channel has the address already; a new recipient gets zh-CN, no name, no premises.
    `people` is an estimate, and `people_source` says whose. Premises are found by name and place, or made.
    """

    channel: str
    address: str
    place: str
    name: str | None = None
    languages: str | None = None  # in the order spoken, as "zh-CN+ko"
    format: str | None = None
    people: int | None = None
    people_source: str | None = None
    premises: str | None = None
    premises_category: str | None = None
    groups: tuple[str, ...] = ()
    consent_at: int | None = None
    place_given: bool = True  # False: a stand-in, used only where the recipient is new


@dataclass(slots=True)
class Prepared:
    """Rows ready to be written: sealed before the write lock is taken, because sealing is a quarter of the work."""

    premises: dict[tuple[str, str], str | None] = field(default_factory=dict)
    recipients: list[RecipientValues] = field(default_factory=list)
    groups: dict[str, None] = field(default_factory=dict)
    members: list[Member] = field(default_factory=list)


def prepare(inst: Installation, rows: Iterable[NewRecipient]) -> Prepared:
    """Seals addresses and gathers premises and groups. Writes nothing."""
    made = Prepared()
    seal, look_up = inst.keys.seal_address, inst.keys.address_key
    now = wall_ms()
    for row in rows:
        if row.premises:
            key = (row.premises, row.place)
            made.premises[key] = made.premises.get(key) or row.premises_category
        address_key = look_up(row.address)
        made.recipients.append(values_of(_row(row, seal(row.address), address_key), now))
        for group in row.groups:
            made.groups[group] = None
            made.members.append((group, row.channel, address_key))
    return made


def _row(new: NewRecipient, sealed: bytes, key: bytes) -> RecipientRow:
    return RecipientRow(
        new.channel,
        sealed,
        key,
        new.name,
        new.place,
        new.place_given,
        new.premises,
        new.languages,
        new.format,
        new.people,
        new.people_source,
        new.consent_at,
    )


def write(conn: Connection, ready: Prepared) -> None:
    """Premises, then recipients, then groups and their members."""
    stored.put_premises(
        conn, [PremisesRow(name, place, category) for (name, place), category in ready.premises.items()]
    )
    stored.put_recipients(conn, ready.recipients)
    stored.put_groups(conn, list(ready.groups))
    stored.put_members(conn, ready.members)
