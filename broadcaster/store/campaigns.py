"""Campaign rows: read, write, and the one statement by which a campaign's state moves."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, func, insert, select, update

from broadcaster.store.driver import run
from broadcaster.store.schema import audit, campaign, user

_author, _editor, _approver = user.alias("author"), user.alias("editor"), user.alias("approver")
MOST_ID = 2**31 - 1  # what the column holds; a larger number is an error of the driver, not an empty answer

# The newest correction of each campaign that somebody has approved and nobody has stopped.
_corrections = (
    select(campaign.c.follows_id, func.max(campaign.c.id).label("corrected_by"))
    .where(campaign.c.follows_how == "correction", campaign.c.state.in_(("approved", "running", "finished")))
    .group_by(campaign.c.follows_id)
    .subquery()
)


def _rows() -> Select[Any]:
    return (
        select(
            campaign,
            _author.c.login.label("author"),
            _editor.c.login.label("editor"),
            _approver.c.login.label("approver"),
            _corrections.c.corrected_by,
        )
        .join(_author, _author.c.id == campaign.c.author_id)
        .join(_editor, _editor.c.id == campaign.c.editor_id)
        .outerjoin(_approver, _approver.c.id == campaign.c.approver_id)
        .outerjoin(_corrections, _corrections.c.follows_id == campaign.c.id)
    )


def can_be(campaign_id: int) -> bool:
    """Whether a campaign can have this number at all."""
    return 1 <= campaign_id <= MOST_ID


def add(conn: Connection, **values: object) -> int:
    """A new campaign row; its id."""
    return int(conn.execute(insert(campaign).values(**values).returning(campaign.c.id)).scalar_one())


def row(conn: Connection, campaign_id: int) -> RowMapping | None:
    """A campaign with the logins of its author, last editor and approver; None where there is none.

    `corrected_by` is the newest correction of it that was approved and not stopped.
    """
    if not can_be(campaign_id):
        return None
    return conn.execute(_rows().where(campaign.c.id == campaign_id)).mappings().first()


def lock(conn: Connection, campaign_id: int) -> None:
    """Makes other changes and claims of a campaign wait for this transaction (SQLite's writers are alone already)."""
    if can_be(campaign_id):
        conn.execute(select(campaign.c.id).where(campaign.c.id == campaign_id).with_for_update())


def newest(conn: Connection, limit: int) -> Sequence[RowMapping]:
    """Campaigns, the newest first."""
    return conn.execute(_rows().order_by(campaign.c.id.desc()).limit(limit)).mappings().all()


def change(conn: Connection, campaign_id: int, **values: object) -> None:
    """Sets columns of a campaign; never its state."""
    conn.execute(update(campaign).where(campaign.c.id == campaign_id).values(**values))


def set_state(conn: Connection, campaign_id: int, before: str, after: str) -> bool:
    """Compares and sets in one statement, so that of two who move a campaign at once only one does. False: it had moved."""
    return (
        run(conn, "UPDATE campaign SET state = ? WHERE id = ? AND state = ?", after, campaign_id, before).rowcount == 1
    )


def raise_epoch(conn: Connection, campaign_id: int) -> None:
    """Every claim under way sees that the campaign is no longer what it was."""
    run(conn, "UPDATE campaign SET epoch = epoch + 1 WHERE id = ?", campaign_id)


def audit_lines(conn: Connection, subject: str) -> Sequence[RowMapping]:
    """What was done to one thing, oldest first. What operators say of each device is left out: there may be thousands."""
    wanted = select(audit.c.seq, audit.c.at, audit.c.actor, audit.c.action, audit.c.detail)
    of_it = wanted.where(audit.c.object == subject, audit.c.action.not_like("play.%"))
    return conn.execute(of_it.order_by(audit.c.seq)).mappings().all()


def by_public_id(conn: Connection, public_id: str) -> RowMapping | None:
    """The same by the name that the public knows; None where there is none."""
    return conn.execute(_rows().where(campaign.c.public_id == public_id)).mappings().first()
