"""What each wording of a campaign comes to, as it was planned, and whom it costs most."""

import json
from typing import NamedTuple

from sqlalchemy import Connection

from broadcaster.store.driver import run

_ABOVE_N = 10**10  # more than any n: a delivery's parts and its n go into one number


class Share(NamedTuple):
    """What one wording comes to: deliveries, their parts, the fewest and most parts of one, and which has the most."""

    deliveries: int
    parts: int
    least: int
    most: int
    largest: int


def shares(conn: Connection, campaign_id: int) -> dict[int, Share]:
    """What every wording comes to. `largest` is the first n of those with the most parts: found in the same walk over the
    deliveries, where a second one would cost as much again."""
    rows = run(
        conn,
        "SELECT wording_id, count(*), sum(parts), min(parts), max(parts), max(parts * CAST(? AS BIGINT) - n) "
        "FROM delivery WHERE campaign_id = ? GROUP BY wording_id",
        *(_ABOVE_N, campaign_id),
    )
    return {
        int(wording): Share(int(n), int(parts), int(least), int(most), int(most) * _ABOVE_N - int(key))
        for wording, n, parts, least, most, key in rows
    }


def own_values(conn: Connection, campaign_id: int, n: int) -> list[str]:
    """The values that a delivery has in its wording's slots, in their order; none where it has no slots."""
    found = run(conn, "SELECT slots FROM delivery WHERE campaign_id = ? AND n = ?", campaign_id, n).scalar()
    return [str(value) for value in json.loads(found)] if found else []
