"""Users, their units and places, and how they show who they are: one-time links, sessions, API tokens.

Links, sessions and tokens are random, stored hashed and shown once. Who may do what is in policy.py; `check` is its door.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from broadcaster import audit
from broadcaster.installation import Installation
from broadcaster.keys import fingerprint, new_token
from broadcaster.model import BadInput, NotFound, Refused, Role
from broadcaster.policy import POLICY, SECOND_PERSON, User, check, may, role_words
from broadcaster.store import people as stored
from broadcaster.store.clock import now_ms

__all__ = ["POLICY", "SECOND_PERSON", "User", "check", "may"]

_LOGIN = re.compile(r"[a-z0-9][a-z0-9._@-]{0,63}")
MINUTE_MS = 60_000
LINK_MINUTES = 24 * 60
LONGEST_LINK_MINUTES = 30 * 24 * 60
TOKEN_DAYS = 365


@dataclass(frozen=True, slots=True)
class Session:
    """A sign-in: what the browser keeps, what its forms carry, and who it is."""

    cookie: str
    csrf: str
    user: User


def find_user(inst: Installation, login: str) -> User:
    """An active user. Raises NotFound, and Refused for one who was taken off."""
    with inst.store.read() as conn:
        row = stored.by_login(conn, login)
    if row is None:
        raise NotFound("user", f"there is no user {login!r}; type: broadcaster user list")
    if not row["active"]:
        raise Refused("user-inactive", f"the user {login!r} was taken off")
    return _user_from(row)


def users(inst: Installation) -> list[User]:
    """Active users by login."""
    with inst.store.read() as conn:
        return [_user_from(row) for row in stored.everyone(conn) if row["active"]]


def names(inst: Installation) -> dict[str, str]:
    """login -> name of everybody, also of those who were taken off: what they did stays theirs."""
    with inst.store.read() as conn:
        return {str(row["login"]): str(row["name"]) for row in stored.everyone(conn)}


def units(inst: Installation) -> list[tuple[str, str]]:
    """(code, name) of every unit, by code."""
    with inst.store.read() as conn:
        return stored.units(conn)


def add_user(  # noqa: PLR0913, PLR0917
    inst: Installation, actor: str, login: str, name: str, roles: Iterable[str], unit_code: str | None = None
) -> User:
    """A new user, of a unit where one is named. Raises BadInput: login taken or malformed, unknown role or unit."""
    if not _LOGIN.fullmatch(login):
        raise BadInput("login", f"{login!r}: a login is 1-64 small letters, digits and . _ @ -, letter or digit first")
    if not name.strip():
        raise BadInput("user-name", f"the user {login} needs a name that others see")
    words = role_words(_roles(roles))
    with inst.store.write() as conn:
        if stored.by_login(conn, login) is not None:
            raise BadInput("login-taken", f"there is a user {login} already; choose another login")
        unit_id = None if unit_code is None else stored.unit_by_code(conn, unit_code)
        if unit_code is not None and unit_id is None:
            raise BadInput(
                "unit",
                f"there is no unit {unit_code!r}; a unit is named by its place code, 22 or 2224",
            )
        values = {"login": login, "name": name.strip(), "unit_id": unit_id, "roles": words}
        stored.add(conn, **values, created_at=now_ms(conn))
        audit.record(conn, actor, "user.add", f"user/{login}", {"roles": words, "unit": unit_code})
    return find_user(inst, login)


def set_roles(inst: Installation, actor: str, login: str, roles: Iterable[str]) -> User:
    """Replaces a user's roles. Raises NotFound, BadInput, and Refused for one's own roles."""
    if actor == login:
        raise Refused("own-roles", "nobody changes their own roles; ask another administrator")
    before, words = find_user(inst, login), role_words(_roles(roles))
    with inst.store.write() as conn:
        stored.change(conn, before.id, roles=words)
        audit.record(conn, actor, "user.roles", f"user/{login}", {"before": role_words(before.roles), "after": words})
    return find_user(inst, login)


def take_off(inst: Installation, actor: str, login: str) -> None:
    """Ends a user's access at once: sessions, links and tokens go with it. What they did stays theirs. Raises NotFound, Refused."""
    if actor == login:
        raise Refused("own-account", "nobody takes off their own account; ask another administrator")
    found = find_user(inst, login)
    with inst.store.write() as conn:
        stored.change(conn, found.id, active=False)
        stored.end_sessions_of(conn, found.id)
        stored.drop_tokens(conn, found.id)
        audit.record(conn, actor, "user.take-off", f"user/{login}", {})


def places_of(inst: Installation, user: User) -> tuple[str, ...]:
    """Place prefixes that a user sees: those of the unit; everything for administrators and for users of no unit."""
    with inst.store.read() as conn:
        if user.unit_id is None or Role.ADMINISTRATOR in user.roles:
            codes = stored.provinces(conn)
        else:
            codes = stored.places_of_unit(conn, user.unit_id)
    return tuple(dict.fromkeys(prefix(code) for code in codes))


def prefix(code: str) -> str:
    """The meaningful part of a place code: 2 digits of a province, 4 of a prefecture, 6, 9 or 12."""
    for length, zeros in ((2, 10), (4, 8), (6, 6), (9, 3)):
        if len(code) == 12 and code.endswith("0" * zeros):
            return code[:length]
    return code


def one_time_link(inst: Installation, actor: str, login: str, minutes: int = LINK_MINUTES) -> str:
    """The path "/sign-in/<token>" that signs a user in once, within so many minutes. Raises NotFound, Refused, BadInput."""
    if not 1 <= minutes <= LONGEST_LINK_MINUTES:
        raise BadInput("link-minutes", f"a link lives 1 to {LONGEST_LINK_MINUTES} minutes, not {minutes}")
    user, token = find_user(inst, login), new_token()
    with inst.store.write() as conn:
        stored.add_link(conn, fingerprint(token), user.id, now_ms(conn) + minutes * MINUTE_MS)
        audit.record(conn, actor, "sign-in.link", f"user/{login}", {"minutes": minutes})
    return f"/sign-in/{token}"


def link_open(inst: Installation, token: str) -> bool:
    """Whether a link can still be redeemed. Looking does not use it up."""
    with inst.store.read() as conn:
        return stored.open_link(conn, fingerprint(token), now_ms(conn)) is not None


def redeem(inst: Installation, token: str) -> Session:
    """Uses a one-time link up for a new session. Raises Refused, with one answer for used, late and unknown."""
    cookie, csrf = new_token(), new_token()
    with inst.store.write() as conn:
        now = now_ms(conn)
        user_id = stored.use_link(conn, fingerprint(token), now)
        user = None if user_id is None else _user(conn, user_id)
        if user is None:
            raise Refused("link", "this sign-in link was used, is too old or never existed; ask for a new one")
        ends = now + inst.settings.session_hours * 60 * MINUTE_MS
        values = {"id_hash": fingerprint(cookie), "user_id": user.id, "csrf": csrf}
        stored.add_session(conn, **values, created_at=now, seen_at=now, expires_at=ends)
        audit.record(conn, user.login, "sign-in", f"user/{user.login}", {})
    return Session(cookie, csrf, user)


def session_of(inst: Installation, cookie: str) -> Session | None:
    """The session of a cookie; None where it never was, was idle for too long, is too old, or its user was taken off."""
    with inst.store.read() as conn:
        row, now = stored.session(conn, fingerprint(cookie)), now_ms(conn)
        if row is None:
            return None
        idle = now - row["seen_at"]
        over = now >= row["expires_at"] or idle >= inst.settings.session_idle_minutes * MINUTE_MS
        user = _user(conn, row["user_id"])
    if over or user is None:
        end_session(inst, cookie)
        return None
    if idle >= MINUTE_MS:  # once a minute is exact enough, and a click then costs no write
        with inst.store.write() as conn:
            stored.touch_session(conn, fingerprint(cookie), now)
    return Session(cookie, row["csrf"], user)


def end_session(inst: Installation, cookie: str) -> None:
    """Signs out. Nothing happens for an unknown cookie."""
    with inst.store.write() as conn:
        stored.end_session(conn, fingerprint(cookie))


def new_api_token(inst: Installation, actor: str, login: str, name: str, days: int = TOKEN_DAYS) -> str:
    """A token with which a program acts for a user. Several may be good at once. Raises NotFound, Refused, BadInput."""
    if not name.strip() or days < 1:
        raise BadInput("token", "a token needs a name that says which program uses it, and at least one day of life")
    user, token = find_user(inst, login), new_token()
    with inst.store.write() as conn:
        now = now_ms(conn)
        ends = now + days * 24 * 60 * MINUTE_MS
        values = {"token_hash": fingerprint(token), "user_id": user.id, "name": name.strip()}
        stored.add_token(conn, **values, created_at=now, expires_at=ends)
        audit.record(conn, actor, "token.add", f"user/{login}", {"name": name.strip(), "days": days})
    return token


def user_of_token(inst: Installation, token: str) -> User | None:
    """For whom a program acts; None for a token that is unknown, too old or revoked."""
    with inst.store.read() as conn:
        user_id = stored.user_of_token(conn, fingerprint(token), now_ms(conn))
        return None if user_id is None else _user(conn, user_id, program=True)


def revoke_api_tokens(inst: Installation, actor: str, login: str, name: str) -> int:
    """Ends a user's tokens of that name. Returns how many. Raises NotFound, Refused."""
    user = find_user(inst, login)
    with inst.store.write() as conn:
        gone = stored.drop_tokens(conn, user.id, name)
        audit.record(conn, actor, "token.revoke", f"user/{login}", {"name": name, "tokens": gone})
    return gone


def _user(conn: Connection, user_id: int, program: bool = False) -> User | None:
    row = stored.by_id(conn, user_id)
    return None if row is None else _user_from(row, program)


def _user_from(row: Any, program: bool = False) -> User:
    roles = frozenset(Role(word) for word in str(row["roles"]).split())
    who, unit = (row["id"], row["login"], row["name"]), (row["unit_id"], row["unit_code"], row["unit_name"])
    return User(*who, *unit, roles, program)


def _roles(words: Iterable[str]) -> frozenset[Role]:
    try:
        return frozenset(Role(word) for word in words)
    except ValueError as error:
        raise BadInput("role-unknown", f"{error}; the roles are {', '.join(Role)}") from error
