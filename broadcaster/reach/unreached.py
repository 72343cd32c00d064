"""Who was not reached: a list to work through by telephone or on foot."""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from broadcaster.installation import Installation
from broadcaster.logs import mask
from broadcaster.model import BadInput, NotFound
from broadcaster.store import reach as stored
from broadcaster.store.campaigns import MOST_ID

RECIPIENT_COLUMNS = (
    "n",
    "channel",
    "outcome",
    "reason",
    "name",
    "number",
    "premises",
    "category",
    "place",
    "place_name",
    "unit",
)
PREMISES_COLUMNS = ("premises", "category", "place", "place_name", "deliveries")
OF = ("recipients", "premises")
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def unreached(inst: Installation, campaign_id: int, of: str = "recipients") -> Iterator[dict[str, Any]]:
    """Recipients (or premises with no recipient) that no delivery reached, one mapping each, in order of n (of place).

    A recipient's row has RECIPIENT_COLUMNS: every outcome other than accepted and delivered, waiting and sending among them,
    since they are not reached yet; `number` is masked and empty for devices. Premises have PREMISES_COLUMNS. Read page
    by page, so that a long list holds neither memory nor a transaction. Raises NotFound, BadInput.
    """
    if of not in OF:
        raise BadInput("unreached-of", f"who was not reached is listed by {' or '.join(OF)}, not {of!r}")
    with inst.store.report() as conn:
        if stored.planned(conn, campaign_id) is None:
            raise NotFound("campaign", f"there is no campaign {campaign_id}; type: broadcaster campaign list")
    return _recipients(inst, campaign_id) if of == "recipients" else _premises(inst, campaign_id)


def unreached_csv(inst: Installation, campaign_id: int, of: str = "recipients") -> Iterator[str]:
    """The same as CSV text, line by line: RFC 4180, with a byte order mark for spreadsheets, and no cell that is a formula."""
    rows = unreached(inst, campaign_id, of)
    return _csv(rows, RECIPIENT_COLUMNS if of == "recipients" else PREMISES_COLUMNS)


def _recipients(inst: Installation, campaign_id: int) -> Iterator[dict[str, Any]]:
    after = 0
    while True:
        with inst.store.report() as conn:
            page = stored.unreached_page(conn, campaign_id, after)
        if not page:
            return
        yield from (_row(inst, row) for row in page)
        after = page[-1].n


def unreached_page(inst: Installation, campaign_id: int, after: int, most: int) -> list[dict[str, Any]]:
    """The same as `unreached` for one page of recipients: so many at most, beyond n = `after`. Raises NotFound."""
    with inst.store.report() as conn:
        if stored.planned(conn, campaign_id) is None:
            raise NotFound("campaign", f"there is no campaign {campaign_id}; type: broadcaster campaign list")
        page = stored.unreached_page(conn, campaign_id, min(max(after, 0), MOST_ID), most)
    return [_row(inst, row) for row in page]


def _row(inst: Installation, row: Any) -> dict[str, Any]:
    found = dict(row._mapping)
    address = inst.keys.open_address(found.pop("address_sealed"))
    found["number"] = mask(address.removeprefix("tel:")) if address.startswith("tel:") else ""
    return found


def _premises(inst: Installation, campaign_id: int) -> Iterator[dict[str, Any]]:
    with inst.store.report() as conn:
        for row in stored.unreached_premises(conn, campaign_id):
            found = dict(row._mapping)
            found["premises"] = found.pop("name")
            yield found


def guarded(value: object) -> str:
    """A cell that a spreadsheet reads as text: one that would start a formula gets an apostrophe before it."""
    written = str(value)
    return f"'{written}" if written.startswith(_FORMULA) else written


def _csv(rows: Iterable[Mapping[str, Any]], columns: tuple[str, ...]) -> Iterator[str]:
    line = io.StringIO()
    writer = csv.writer(line)
    writer.writerow(columns)
    yield "\ufeff" + line.getvalue()
    for row in rows:
        line.seek(0)
        line.truncate()
        writer.writerow([guarded(row[name]) for name in columns])
        yield line.getvalue()
