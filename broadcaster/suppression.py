"""Who chose not to hear from us, or must never: by class, so that an opt-out from promotions does not silence an emergency."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from broadcaster import audit
from broadcaster.installation import Installation
from broadcaster.logs import mask
from broadcaster.model import BadInput, Category
from broadcaster.store import suppression as stored
from broadcaster.store.clock import now_ms, rfc3339

CLASSES = ("promotion", "notice", "never")
_SILENCES: Mapping[str, tuple[str, ...]] = {
    Category.PROMOTION: ("promotion", "never"),
    Category.NOTICE: ("notice", "never"),
    Category.EMERGENCY: ("never",),
}


def classes_for(category: str) -> tuple[str, ...]:
    """The classes that silence a campaign of this category. Raises KeyError for a word that is no category."""
    return _SILENCES[category]


def suppress(inst: Installation, actor: str, address: str, class_: str, source: str) -> bool:
    """Silences an address (with scheme, "tel:+86...") in a class; `source` says why. False where it was silent already.

    Raises BadInput for an unknown class, an address without scheme, or no source.
    """
    key = _key(inst, address, class_)
    if not source.strip():
        raise BadInput("suppression-source", "say where the wish came from: a reply, a call, a letter")
    with inst.store.write() as conn:
        return suppress_known(conn, actor, key, class_, source.strip())


def suppress_known(conn: Connection, actor: str, address_key: bytes, class_: str, source: str) -> bool:
    """The same within a transaction that is open, for an address that is known by its keyed hash."""
    added = stored.add(conn, address_key, class_, source, now_ms(conn))
    if added:
        audit.record(conn, actor, "suppression.add", _subject(address_key), {"class": class_, "source": mask(source)})
    return added


def lift(inst: Installation, actor: str, address: str, class_: str, reason: str) -> bool:
    """Lets an address hear again in a class. False where it was not silent. Raises BadInput."""
    key = _key(inst, address, class_)
    if not reason.strip():
        raise BadInput("suppression-reason", "say why this address may be sent to again")
    with inst.store.write() as conn:
        gone = stored.drop(conn, key, class_)
        if gone:
            audit.record(
                conn, actor, "suppression.lift", _subject(key), {"class": class_, "reason": mask(reason.strip())}
            )
    return gone


def is_suppressed(inst: Installation, address: str, category: str) -> bool:
    """Whether a campaign of this category must not go to an address."""
    with inst.store.read() as conn:
        found = stored.classes_of(conn, inst.keys.address_key(address))
    return not set(found).isdisjoint(classes_for(category))


def suppressed(inst: Installation, limit: int = 1000, after: str = "") -> list[dict[str, Any]]:
    """{"address", "class", "since", "source", "after"} in order of the address's hash; the address masked, empty where no
    recipient has it. The last row's `after` gives the next page. Raises BadInput for an `after` that came from elsewhere.
    """
    with inst.store.read() as conn:
        rows = stored.page(conn, _after(after), limit)
    return [{**_shown(inst, row), "after": f"{row['address_key'].hex()}-{row['class']}"} for row in rows]


def newest(inst: Installation, class_: str | None = None, limit: int = 50) -> list[dict[str, Any]]:
    """{"address", "class", "since", "source"} of the newest, of one class or of all. Raises BadInput for an unknown class."""
    if class_ is not None:
        _known(class_)
    with inst.store.read() as conn:
        rows = stored.newest(conn, CLASSES if class_ is None else (class_,), limit)
    return [_shown(inst, row) for row in rows]


def _shown(inst: Installation, row: Any) -> dict[str, Any]:
    return {
        "address": _masked(inst, row["address_sealed"]),
        "class": row["class"],
        "since": rfc3339(row["since_at"], inst.settings.timezone),
        "source": mask(row["source"]),
    }


def _masked(inst: Installation, sealed: bytes | None) -> str:
    if sealed is None:
        return ""
    scheme, _, value = inst.keys.open_address(sealed).partition(":")
    return mask(value) if scheme == "tel" else f"{scheme}:***"


def _after(text: str) -> tuple[bytes, str]:
    key, _, class_ = text.partition("-")
    try:
        return bytes.fromhex(key), class_
    except ValueError as error:
        raise BadInput("after", "`after` is a value that an earlier page gave") from error


def _known(class_: str) -> None:
    if class_ not in CLASSES:
        raise BadInput("suppression-class", f"{class_!r}: the classes are {', '.join(CLASSES)}")


def _key(inst: Installation, address: str, class_: str) -> bytes:
    _known(class_)
    scheme, colon, value = address.partition(":")
    if not (scheme and colon and value):
        raise BadInput("address-scheme", "an address starts with its scheme, as tel:+8613... does")
    return inst.keys.address_key(address)


def _subject(key: bytes) -> str:
    """Names the address in the audit without telling it: the first bytes of its keyed hash."""
    return f"address/{key.hex()}"
