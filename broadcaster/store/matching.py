"""Which delivery a receipt is about that names only a number and the provider's reference."""

from collections.abc import Collection, Sequence

from sqlalchemy import Connection

from broadcaster.store.driver import run

LATELY_MS = 7 * 86_400_000  # campaigns that ended longer ago are not looked at
PORTION = 200  # numbers in one statement

Named = tuple[str, str]  # keyed hash of the number (hex), reference


def by_reference(conn: Connection, wanted: Collection[Named], now: int) -> dict[Named, tuple[int, int]]:
    """(number, reference) -> (campaign, n), for those that are known. Asked by index: the number's recipient, its deliveries."""
    asked = sorted({named for named in wanted if all(named)})
    if not asked:
        return {}
    campaigns = _lately(conn, now)
    found: dict[Named, tuple[int, int]] = {}
    for start in range(0, len(asked), PORTION):
        portion = asked[start : start + PORTION]
        for number, ref, campaign_id, n in _deliveries(conn, sorted({key for key, _ in portion}), campaigns):
            if (number, ref) not in found or campaign_id > found[number, ref][0]:
                found[number, ref] = (campaign_id, n)
    return {named: found[named] for named in asked if named in found}


def _lately(conn: Connection, now: int) -> list[int]:
    rows = run(
        conn,
        "SELECT id FROM campaign WHERE started_at IS NOT NULL AND (finished_at IS NULL OR finished_at > ?) "
        "AND expires_at > ? ORDER BY id",
        *(now - LATELY_MS, now - LATELY_MS),
    )
    return [int(row[0]) for row in rows]


def _deliveries(
    conn: Connection, numbers: Sequence[str], campaigns: Sequence[int]
) -> list[tuple[str, str, int, int]]:  # fmt: skip
    if not campaigns:
        return []
    # Which deliveries have a reference is asked of the rows, not of the database: PostgreSQL's figures are from the submit, when
    # none had one, and it would look for those few through the whole table.
    keys, ids = ", ".join("?" for _ in numbers), ", ".join("?" for _ in campaigns)
    rows = run(
        conn,
        "SELECT r.address_key, d.provider_ref, d.campaign_id, d.n FROM recipient r "
        f"JOIN delivery d ON d.campaign_id IN ({ids}) AND d.recipient_id = r.id AND d.channel = 'sms' "
        f"WHERE r.channel = 'sms' AND r.address_key IN ({keys})",
        *(*campaigns, *(bytes.fromhex(number) for number in numbers)),
    )
    return [(bytes(key).hex(), str(ref), int(campaign), int(n)) for key, ref, campaign, n in rows if ref]
