"""Users, their one-time links, sessions and tokens. Secrets come in as hashes only."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, delete, insert, select, update

from broadcaster.store.schema import api_token, place, sign_in_link, unit, unit_place, user, web_session


def _users() -> Select[Any]:
    return select(
        user.c.id,
        user.c.login,
        user.c.name,
        user.c.roles,
        user.c.active,
        user.c.unit_id,
        unit.c.code.label("unit_code"),
        unit.c.name.label("unit_name"),
    ).outerjoin(unit, unit.c.id == user.c.unit_id)


def by_login(conn: Connection, login: str) -> RowMapping | None:
    """A user with the unit; None where there is none."""
    return conn.execute(_users().where(user.c.login == login)).mappings().first()


def by_id(conn: Connection, user_id: int) -> RowMapping | None:
    """A user with the unit, active ones only."""
    return conn.execute(_users().where(user.c.id == user_id, user.c.active)).mappings().first()


def everyone(conn: Connection) -> Sequence[RowMapping]:
    """All users by login."""
    return conn.execute(_users().order_by(user.c.login)).mappings().all()


def add(conn: Connection, **values: object) -> int:
    """A new user; its id."""
    return int(conn.execute(insert(user).values(**values).returning(user.c.id)).scalar_one())


def change(conn: Connection, user_id: int, **values: object) -> None:
    """Sets columns of a user."""
    conn.execute(update(user).where(user.c.id == user_id).values(**values))


def unit_by_code(conn: Connection, code: str) -> int | None:
    """Id of a unit."""
    found = conn.execute(select(unit.c.id).where(unit.c.code == code)).scalar()
    return None if found is None else int(found)


def units(conn: Connection) -> list[tuple[str, str]]:
    """(code, name) of every unit."""
    return [
        (str(code), str(name)) for code, name in conn.execute(select(unit.c.code, unit.c.name).order_by(unit.c.code))
    ]


def places_of_unit(conn: Connection, unit_id: int) -> list[str]:
    """Codes or prefixes of a unit's places."""
    wanted = select(unit_place.c.place).where(unit_place.c.unit_id == unit_id).order_by(unit_place.c.place)
    return [str(code) for code in conn.execute(wanted).scalars()]


def provinces(conn: Connection) -> list[str]:
    """Codes of the places that lie in no other."""
    return [str(code) for code in conn.execute(select(place.c.code).where(place.c.level == 1)).scalars()]


def add_link(conn: Connection, token_hash: bytes, user_id: int, expires_at: int) -> None:
    """A one-time link."""
    conn.execute(insert(sign_in_link).values(token_hash=token_hash, user_id=user_id, expires_at=expires_at))


def open_link(conn: Connection, token_hash: bytes, now: int) -> int | None:
    """User of a link that can still be redeemed."""
    wanted = select(sign_in_link.c.user_id).where(*_is_open(token_hash, now))
    found = conn.execute(wanted).scalar()
    return None if found is None else int(found)


def use_link(conn: Connection, token_hash: bytes, now: int) -> int | None:
    """Redeems in one statement, so that of two who use a link at once only one does. The user; None: used, late or unknown."""
    used = update(sign_in_link).where(*_is_open(token_hash, now)).values(used_at=now).returning(sign_in_link.c.user_id)
    found = conn.execute(used).scalar()
    return None if found is None else int(found)


def _is_open(token_hash: bytes, now: int) -> tuple[Any, ...]:
    link = sign_in_link.c
    return link.token_hash == token_hash, link.used_at.is_(None), link.expires_at > now


def add_session(conn: Connection, **values: object) -> None:
    """A session; sessions that are over go with it, so that the table stays small."""
    conn.execute(delete(web_session).where(web_session.c.expires_at <= values["created_at"]))
    conn.execute(insert(web_session).values(**values))


def session(conn: Connection, id_hash: bytes) -> RowMapping | None:
    """A session; None where there is none."""
    return conn.execute(select(web_session).where(web_session.c.id_hash == id_hash)).mappings().first()


def touch_session(conn: Connection, id_hash: bytes, now: int) -> None:
    """It was used just now."""
    conn.execute(update(web_session).where(web_session.c.id_hash == id_hash).values(seen_at=now))


def end_session(conn: Connection, id_hash: bytes) -> None:
    """It is over."""
    conn.execute(delete(web_session).where(web_session.c.id_hash == id_hash))


def end_sessions_of(conn: Connection, user_id: int) -> None:
    """All sessions and unused links of one user are over."""
    conn.execute(delete(web_session).where(web_session.c.user_id == user_id))
    conn.execute(delete(sign_in_link).where(sign_in_link.c.user_id == user_id, sign_in_link.c.used_at.is_(None)))


def add_token(conn: Connection, **values: object) -> None:
    """An API token."""
    conn.execute(insert(api_token).values(**values))


def user_of_token(conn: Connection, token_hash: bytes, now: int) -> int | None:
    """User of a token that is still good."""
    wanted = select(api_token.c.user_id).where(
        api_token.c.token_hash == token_hash, (api_token.c.expires_at.is_(None)) | (api_token.c.expires_at > now)
    )
    found = conn.execute(wanted).scalar()
    return None if found is None else int(found)


def drop_tokens(conn: Connection, user_id: int, name: str | None = None) -> int:
    """Revokes a user's tokens of one name, or all. Returns how many."""
    gone = delete(api_token).where(api_token.c.user_id == user_id)
    return int(conn.execute(gone if name is None else gone.where(api_token.c.name == name)).rowcount)
