"""Campaign rows: read, write, and the one statement by which a campaign's state moves."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, insert, select, update

from broadcaster.store.driver import run
from broadcaster.store.schema import audit, campaign, user

_author, _editor, _approver = user.alias("author"), user.alias("editor"), user.alias("approver")


def _rows() -> Select[Any]:
    return (
        select(
            campaign,
            _author.c.login.label("author"),
            _editor.c.login.label("editor"),
            _approver.c.login.label("approver"),
        )
        .join(_author, _author.c.id == campaign.c.author_id)
        .join(_editor, _editor.c.id == campaign.c.editor_id)
        .outerjoin(_approver, _approver.c.id == campaign.c.approver_id)
    )


def add(conn: Connection, **values: object) -> int:
    """A new campaign row; its id."""
    return int(conn.execute(insert(campaign).values(**values).returning(campaign.c.id)).scalar_one())


def row(conn: Connection, campaign_id: int) -> RowMapping | None:
    """A campaign with the logins of its author, last editor and approver; None where there is none."""
    return conn.execute(_rows().where(campaign.c.id == campaign_id)).mappings().first()


def lock(conn: Connection, campaign_id: int) -> None:
    """Makes other changes and claims of a campaign wait for this transaction (SQLite's writers are alone already)."""
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
    """What was done to one thing, oldest first."""
    wanted = select(audit.c.seq, audit.c.at, audit.c.actor, audit.c.action, audit.c.detail)
    return conn.execute(wanted.where(audit.c.object == subject).order_by(audit.c.seq)).mappings().all()


def by_public_id(conn: Connection, public_id: str) -> RowMapping | None:
    """The same by the name that the public knows; None where there is none."""
    return conn.execute(_rows().where(campaign.c.public_id == public_id)).mappings().first()
