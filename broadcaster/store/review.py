"""How many get each wording of a campaign, as it was planned."""

from typing import NamedTuple

from sqlalchemy import Connection

from broadcaster.store.driver import run


class Share(NamedTuple):
    """What one wording comes to."""

    deliveries: int
    parts: int


def shares(conn: Connection, campaign_id: int) -> dict[int, Share]:
    """Deliveries and parts of each wording."""
    rows = run(
        conn,
        "SELECT wording_id, count(*), sum(parts) FROM delivery WHERE campaign_id = ? GROUP BY wording_id",
        campaign_id,
    )
    return {int(wording): Share(int(n), int(parts)) for wording, n, parts in rows}
