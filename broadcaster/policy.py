"""Who may do what: the one policy function that every door asks."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from broadcaster.model import Refused, Role

_AUTHOR, _APPROVER, _OPERATOR = Role.AUTHOR, Role.APPROVER, Role.OPERATOR
_MANAGER, _ADMINISTRATOR, _GATEWAY = Role.MANAGER, Role.ADMINISTRATOR, Role.GATEWAY

# What each role may do. An act that is not named here is refused to everyone.
POLICY: Mapping[str, frozenset[Role]] = {
    "campaign.create": frozenset({_AUTHOR}),
    "campaign.edit": frozenset({_AUTHOR}),
    "campaign.submit": frozenset({_AUTHOR}),
    "campaign.correct": frozenset({_AUTHOR}),
    "campaign.approve": frozenset({_APPROVER}),
    "campaign.return": frozenset({_APPROVER}),
    "campaign.cancel": frozenset({_AUTHOR, _APPROVER, _ADMINISTRATOR}),  # stopping needs no second person
    "campaign.see": frozenset({_AUTHOR, _APPROVER, _MANAGER, _ADMINISTRATOR}),
    "reach.see": frozenset({_AUTHOR, _APPROVER, _MANAGER, _ADMINISTRATOR}),
    "reach.export": frozenset({_MANAGER, _ADMINISTRATOR}),
    "audience.count": frozenset({_AUTHOR, _APPROVER, _MANAGER, _ADMINISTRATOR}),
    "audience.save": frozenset({_AUTHOR}),
    "templates.see": frozenset({_AUTHOR, _APPROVER, _MANAGER, _ADMINISTRATOR}),
    "recipients.import": frozenset({_AUTHOR, _ADMINISTRATOR}),
    "recipients.see": frozenset({_AUTHOR, _MANAGER, _ADMINISTRATOR}),
    "suppression.manage": frozenset({_AUTHOR, _ADMINISTRATOR}),
    "suppression.see": frozenset({_AUTHOR, _MANAGER, _ADMINISTRATOR}),
    "devices.manage": frozenset({_ADMINISTRATOR}),
    "devices.see": frozenset({_OPERATOR, _MANAGER, _ADMINISTRATOR}),
    "operator.play": frozenset({_OPERATOR}),
    "gateway.see": frozenset({_OPERATOR, _MANAGER, _ADMINISTRATOR}),
    "gateway.claim": frozenset({_GATEWAY}),
    "gateway.test": frozenset({_OPERATOR, _ADMINISTRATOR}),
    "replies.see": frozenset({_OPERATOR, _MANAGER, _ADMINISTRATOR}),
    "replies.answer": frozenset({_OPERATOR, _ADMINISTRATOR}),
    "doubt.see": frozenset({_OPERATOR, _APPROVER, _MANAGER, _ADMINISTRATOR}),
    "doubt.decide": frozenset({_APPROVER, _ADMINISTRATOR}),  # sending again may double what a second person approved
    "users.manage": frozenset({_ADMINISTRATOR}),
    "users.see": frozenset({_MANAGER, _ADMINISTRATOR}),
    "tokens.manage": frozenset({_ADMINISTRATOR}),
    "audit.see": frozenset({_MANAGER, _ADMINISTRATOR}),
}
# Acts of the second person: never by who wrote the campaign or changed it last, and never by a program.
SECOND_PERSON = frozenset({"campaign.approve", "campaign.return"})


@dataclass(frozen=True, slots=True)
class User:
    """A person who works with the program. `program` is True where an API token acts for them."""

    id: int
    login: str
    name: str
    unit_id: int | None
    unit_code: str | None
    unit_name: str | None
    roles: frozenset[Role]
    program: bool = False


def check(user: User, action: str, *, author_id: int | None = None, editor_id: int | None = None) -> None:
    """Raises Refused where this user may not do this. The acts in SECOND_PERSON need the campaign's author and last editor."""
    allowed = POLICY.get(action)
    if allowed is None:
        raise Refused("action-unknown", f"no rule allows {action!r}, so it is refused")
    if not allowed & user.roles:
        wanted = " or ".join(sorted(allowed))
        raise Refused("role", f"{action} needs the role {wanted}; {user.login} has {role_words(user.roles) or 'none'}")
    if action not in SECOND_PERSON:
        return
    if user.program:
        raise Refused("program", f"{action} is for a person who has seen it; an API token cannot do it")
    if author_id is None or editor_id is None:
        raise Refused("author-unknown", f"{action} needs to know who wrote the campaign and who changed it last")
    if user.id in (author_id, editor_id):
        raise Refused("own-campaign", f"{user.login} wrote or changed this campaign: {action} is for a second person")


def may(user: User, action: str, *, author_id: int | None = None, editor_id: int | None = None) -> bool:
    """Whether `check` lets it pass: what a page offers is what a door allows."""
    try:
        check(user, action, author_id=author_id, editor_id=editor_id)
    except Refused:
        return False
    return True


def role_words(roles: Iterable[Role]) -> str:
    """Roles as they are stored and shown: blank separated, in alphabetical order."""
    return " ".join(sorted(roles))
