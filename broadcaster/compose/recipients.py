"""Recipients: files of phones, and devices and accounts in bulk."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from broadcaster.installation import Installation

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class NewRecipient:
    """One end to be reached, before it has a row. `address` carries its scheme: tel: speaker: board: wecom:.

    `place` is a 12-digit code; `languages` as "zh-CN+ko"; `people` an estimate whose `people_source` must be named.
    Premises are found by name and place, or made.
    """

    channel: str
    address: str
    place: str
    name: str | None = None
    languages: str = "zh-CN"
    format: str = ""
    people: int | None = None
    people_source: str | None = None
    premises: str | None = None
    premises_category: str = ""
    groups: tuple[str, ...] = ()
    consent_at: int | None = None
