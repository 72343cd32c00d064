"""Who may do what, and how they show who they are. Standing characters: author, approver, operator, manager, a stranger."""

import time
from itertools import product

import pytest
from sqlalchemy import text

from broadcaster import people
from broadcaster.installation import Installation
from broadcaster.model import BadInput, NotFound, Refused, Role
from broadcaster.people import User

AUTHOR, APPROVER, OPERATOR, MANAGER, ADMINISTRATOR, BOX, STRANGER = (
    "wang.author",
    "li.approver",
    "jin.operator",
    "zhao.manager",
    "sun.admin",
    "box.gateway",
    "stranger",
)
ROLES = {
    AUTHOR: [Role.AUTHOR],
    APPROVER: [Role.APPROVER],
    OPERATOR: [Role.OPERATOR],
    MANAGER: [Role.MANAGER],
    ADMINISTRATOR: [Role.ADMINISTRATOR],
    BOX: [Role.GATEWAY],
    STRANGER: [],
}
# Written out by hand from what the design says each person does; not read from the policy.
MAY = {
    AUTHOR: {
        *("campaign.create", "campaign.edit", "campaign.submit", "campaign.correct", "campaign.cancel", "campaign.see"),
        *("reach.see", "audience.count", "audience.save", "templates.see", "recipients.import", "recipients.see"),
        *("suppression.manage", "suppression.see"),
    },
    APPROVER: {
        *("campaign.approve", "campaign.return", "campaign.cancel", "campaign.see"),
        *("reach.see", "audience.count", "templates.see", "doubt.see", "doubt.decide"),
    },
    OPERATOR: {
        *("operator.play", "devices.see", "gateway.see", "gateway.test", "replies.see", "replies.answer", "doubt.see"),
    },
    MANAGER: {
        *("campaign.see", "reach.see", "reach.export", "audience.count", "templates.see", "recipients.see"),
        *("suppression.see", "devices.see", "users.see", "audit.see", "gateway.see", "replies.see", "doubt.see"),
    },
    ADMINISTRATOR: {
        *("campaign.cancel", "campaign.see", "reach.see", "reach.export", "audience.count", "templates.see"),
        *("recipients.import", "recipients.see", "suppression.manage", "suppression.see"),
        *("devices.manage", "devices.see", "users.manage", "users.see", "tokens.manage", "audit.see"),
        *("gateway.see", "gateway.test", "replies.see", "replies.answer", "doubt.see", "doubt.decide"),
    },
    BOX: {"gateway.claim"},
    STRANGER: set(),
}


@pytest.fixture
def cast(inst: Installation) -> dict[str, User]:
    return {login: people.add_user(inst, "system", login, login, roles) for login, roles in ROLES.items()}


@pytest.mark.parametrize(("login", "action"), list(product(ROLES, people.POLICY)))
def test_each_person_may_do_what_the_design_says_and_nothing_else(login: str, action: str) -> None:
    user = User(1, login, login, None, None, None, frozenset(ROLES[login]))
    if action in MAY[login]:
        people.check(user, action, author_id=7, editor_id=8)
    else:
        with pytest.raises(Refused):
            people.check(user, action, author_id=7, editor_id=8)


def test_an_act_without_a_rule_is_refused_to_everyone() -> None:
    almighty = User(1, "a", "a", None, None, None, frozenset(Role))
    with pytest.raises(Refused) as refused:
        people.check(almighty, "campaign.delete")
    assert refused.value.code == "action-unknown"


@pytest.mark.parametrize("action", sorted(people.SECOND_PERSON))
@pytest.mark.parametrize(
    ("author", "editor", "code"),
    [
        (1, 2, "own-campaign"),
        (2, 1, "own-campaign"),
        (1, 1, "own-campaign"),
        (None, 2, "author-unknown"),
        (2, None, "author-unknown"),
    ],
)
def test_the_second_person_is_never_the_author_nor_the_last_editor(
    action: str, author: int | None, editor: int | None, code: str
) -> None:
    both = User(1, "both", "both", None, None, None, frozenset(Role))
    with pytest.raises(Refused) as refused:
        people.check(both, action, author_id=author, editor_id=editor)
    assert refused.value.code == code
    assert not people.may(both, action, author_id=author, editor_id=editor)
    people.check(both, action, author_id=2, editor_id=3)


def test_a_program_cannot_be_the_second_person(inst: Installation, cast: dict[str, User]) -> None:
    token = people.new_api_token(inst, ADMINISTRATOR, APPROVER, "desk")
    program = people.user_of_token(inst, token)
    assert program is not None
    assert program.id == cast[APPROVER].id
    people.check(program, "campaign.see")
    with pytest.raises(Refused) as refused:
        people.check(program, "campaign.approve", author_id=77, editor_id=77)
    assert refused.value.code == "program"


def test_users_are_found_listed_and_never_doubled(inst: Installation, cast: dict[str, User]) -> None:
    assert people.find_user(inst, AUTHOR) == cast[AUTHOR]
    assert [user.login for user in people.users(inst)] == sorted(ROLES)
    with pytest.raises(NotFound):
        people.find_user(inst, "nobody")
    with pytest.raises(BadInput, match="already"):
        people.add_user(inst, "system", AUTHOR, "again", [Role.AUTHOR])


@pytest.mark.parametrize(
    ("given", "code"),
    [
        (("", "x", ["author"], None), "login"),
        (("Wang Author", "x", ["author"], None), "login"),
        (("a" * 65, "x", ["author"], None), "login"),
        (("ok", "  ", ["author"], None), "user-name"),
        (("ok", "x", ["king"], None), "role-unknown"),
        (("ok", "x", ["author"], "no-such-unit"), "unit"),
    ],
)
def test_a_malformed_user_is_refused_with_a_code(
    inst: Installation, given: tuple[str, str, list[str], str | None], code: str
) -> None:
    with pytest.raises(BadInput) as refused:
        people.add_user(inst, "system", *given)
    assert refused.value.code == code
    assert people.users(inst) == []


def test_a_link_signs_in_once(inst: Installation, cast: dict[str, User]) -> None:
    path = people.one_time_link(inst, ADMINISTRATOR, AUTHOR)
    token = path.removeprefix("/sign-in/")
    assert len(token) == 43
    assert people.link_open(inst, token)
    assert people.link_open(inst, token), "looking must not use it up"
    session = people.redeem(inst, token)
    assert session.user == cast[AUTHOR]
    assert not people.link_open(inst, token)
    for wrong in (token, "unknown", ""):
        with pytest.raises(Refused, match="link"):
            people.redeem(inst, wrong)


def _later(inst: Installation, table: str, column: str, minutes: float) -> None:
    with inst.store.write() as conn:
        conn.execute(text(f"UPDATE {table} SET {column} = {column} - {int(minutes * 60_000)}"))


def test_a_link_expires(inst: Installation, cast: dict[str, User]) -> None:
    token = people.one_time_link(inst, ADMINISTRATOR, AUTHOR, minutes=10).removeprefix("/sign-in/")
    _later(inst, "sign_in_link", "expires_at", 10)
    assert not people.link_open(inst, token)
    with pytest.raises(Refused):
        people.redeem(inst, token)


def test_a_session_lives_until_idle_too_long_too_old_or_ended(inst: Installation, cast: dict[str, User]) -> None:
    def fresh() -> str:
        return people.redeem(inst, people.one_time_link(inst, "system", AUTHOR).removeprefix("/sign-in/")).cookie

    cookie = fresh()
    found = people.session_of(inst, cookie)
    assert found is not None
    assert found.user == cast[AUTHOR]
    assert people.session_of(inst, "forged") is None
    _later(inst, "web_session", "seen_at", inst.settings.session_idle_minutes - 1)
    assert people.session_of(inst, cookie) is not None
    _later(inst, "web_session", "seen_at", inst.settings.session_idle_minutes - 1)
    assert people.session_of(inst, cookie) is not None, "the click before must have been counted"
    _later(inst, "web_session", "seen_at", inst.settings.session_idle_minutes)
    assert people.session_of(inst, cookie) is None
    cookie = fresh()
    _later(inst, "web_session", "expires_at", inst.settings.session_hours * 60)
    assert people.session_of(inst, cookie) is None
    cookie = fresh()
    people.end_session(inst, cookie)
    assert people.session_of(inst, cookie) is None


def test_secrets_lie_hashed_in_the_database(inst: Installation, cast: dict[str, User]) -> None:
    link = people.one_time_link(inst, "system", AUTHOR).removeprefix("/sign-in/")
    session = people.redeem(inst, link)
    token = people.new_api_token(inst, ADMINISTRATOR, AUTHOR, "gateway")
    with inst.store.write() as conn:
        conn.execute(text("SELECT 1"))
    inst.close()
    stored = b"".join(path.read_bytes() for path in inst.settings.folder.glob("broadcaster.db*"))
    for secret in (link, session.cookie, token):
        assert secret.encode() not in stored
    assert b"wang.author" in stored


def test_a_token_is_good_until_it_expires_or_is_revoked(inst: Installation, cast: dict[str, User]) -> None:
    first = people.new_api_token(inst, ADMINISTRATOR, AUTHOR, "gateway")
    second = people.new_api_token(inst, ADMINISTRATOR, AUTHOR, "reports")
    assert people.user_of_token(inst, "forged") is None
    assert people.revoke_api_tokens(inst, ADMINISTRATOR, AUTHOR, "gateway") == 1
    assert people.user_of_token(inst, first) is None
    assert people.user_of_token(inst, second) is not None
    _later(inst, "api_token", "expires_at", people.TOKEN_DAYS * 24 * 60)
    assert people.user_of_token(inst, second) is None


def test_who_is_taken_off_is_out_at_once(inst: Installation, cast: dict[str, User]) -> None:
    session = people.redeem(inst, people.one_time_link(inst, "system", AUTHOR).removeprefix("/sign-in/"))
    link = people.one_time_link(inst, "system", AUTHOR).removeprefix("/sign-in/")
    token = people.new_api_token(inst, ADMINISTRATOR, AUTHOR, "gateway")
    people.take_off(inst, ADMINISTRATOR, AUTHOR)
    assert people.session_of(inst, session.cookie) is None
    assert people.user_of_token(inst, token) is None
    assert not people.link_open(inst, link)
    with pytest.raises(Refused, match="taken off"):
        people.find_user(inst, AUTHOR)
    with pytest.raises(Refused):
        people.take_off(inst, ADMINISTRATOR, ADMINISTRATOR)


def test_nobody_gives_themselves_a_role(inst: Installation, cast: dict[str, User]) -> None:
    with pytest.raises(Refused):
        people.set_roles(inst, ADMINISTRATOR, ADMINISTRATOR, ["administrator", "approver"])
    assert people.set_roles(inst, ADMINISTRATOR, STRANGER, ["operator"]).roles == {Role.OPERATOR}


def test_places_are_those_of_the_unit(inst: Installation) -> None:
    with inst.store.write() as conn:
        conn.execute(text("INSERT INTO place (code, name, level) VALUES ('220000000000', '吉林省', 1)"))
        conn.execute(text("INSERT INTO unit (id, code, name) VALUES (1, 'ybz', '延边支队'), (2, 'zd', '总队')"))
        conn.execute(
            text(
                "INSERT INTO unit_place (place, unit_id) VALUES ('222400000000', 1), ('2206210', 1), ('222426104000', 1), ('22', 2)"
            )
        )
    author = people.add_user(inst, "system", "a", "a", ["author"], "ybz")
    assert set(people.places_of(inst, author)) == {"2224", "2206210", "222426104"}
    assert author.unit_name == "延边支队"
    assert people.places_of(inst, people.add_user(inst, "system", "p", "p", ["author"], "zd")) == ("22",)
    assert people.places_of(inst, people.add_user(inst, "system", "b", "b", ["administrator"])) == ("22",)
    assert people.places_of(inst, people.add_user(inst, "system", "c", "c", ["author"])) == ("22",)


def test_a_prefix_is_what_means_something() -> None:
    cases = {
        "220000000000": "22",
        "220200000000": "2202",
        "220211000000": "220211",
        "220211100000": "220211100",
        "220211100201": "220211100201",
        "2224": "2224",
    }
    assert {code: people.prefix(code) for code in cases} == cases


def test_a_click_costs_no_write_within_a_minute(inst: Installation, cast: dict[str, User]) -> None:
    session = people.redeem(inst, people.one_time_link(inst, "system", AUTHOR).removeprefix("/sign-in/"))
    with inst.store.read() as conn:
        before = conn.execute(text("SELECT seen_at FROM web_session")).scalar()
    time.sleep(0.01)
    people.session_of(inst, session.cookie)
    with inst.store.read() as conn:
        assert conn.execute(text("SELECT seen_at FROM web_session")).scalar() == before
