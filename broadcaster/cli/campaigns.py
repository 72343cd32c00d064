"""The life of a campaign from the command line: each verb is one move, made by a named user."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from broadcaster.cli.drafts import (
    Category,
    Channel,
    ExcludeGroup,
    ExcludePlace,
    Expires,
    Fact,
    Facts,
    Group,
    Language,
    Level,
    Mode,
    Name,
    NotBefore,
    Place,
    TemplateSet,
    facts_of,
    given_draft,
    given_selection,
)
from broadcaster.cli.session import As, Home, Json, opened
from broadcaster.cli.show import answer, emit, pairs, progress, table

if TYPE_CHECKING:
    from broadcaster.compose.drafts import Campaign
    from broadcaster.installation import Installation
    from broadcaster.people import User

campaign = typer.Typer(
    help="Campaigns: create, edit, submit, approve, return, cancel, correct, show, list.", no_args_is_help=True
)
Id = Annotated[int, typer.Argument(metavar="CAMPAIGN", help="Number of the campaign.")]
Reason = Annotated[str, typer.Option("--reason", help="Shown to those who worked on it.")]


def register(app: typer.Typer) -> None:
    """Adds the group campaign."""
    app.add_typer(campaign, name="campaign")


@campaign.command("create")
def create(  # noqa: PLR0913, PLR0917  a draft is made of these
    name: Name,
    template_set: TemplateSet,
    mode: Mode,
    as_user: As,
    facts: Facts = None,
    fact: Fact = None,
    place: Place = None,
    category: Category = None,
    language: Language = None,
    group: Group = None,
    exclude_place: ExcludePlace = None,
    exclude_group: ExcludeGroup = None,
    channel: Channel = None,
    level: Level = None,
    not_before: NotBefore = None,
    expires: Expires = None,
    as_json: Json = False,
    home: Home = None,
) -> None:
    """Makes a draft. It may be unfinished; submit wants it whole."""
    from broadcaster.compose import campaigns
    from broadcaster.compose.audiences import selection_from

    selection = given_selection(place, category, language, group, exclude_place, exclude_group)
    texts = {"name": name, "template_set": template_set, "mode": mode, "level": level}
    given = given_draft({**texts, "not_before": not_before, "expires": expires}, facts_of(facts, fact), channel)

    def one(inst: "Installation", user: "User") -> "Campaign":
        return campaigns.create(inst, user, campaigns.draft_from(given, selection_from(selection), inst.settings))

    _moved(home, as_user, as_json, one)


@campaign.command("edit")
def edit(  # noqa: PLR0913, PLR0917  a draft is made of these
    campaign_id: Id,
    as_user: As,
    name: Annotated[str | None, typer.Option("--name")] = None,
    template_set: Annotated[str | None, typer.Option("--template-set")] = None,
    mode: Annotated[str | None, typer.Option("--mode")] = None,
    facts: Facts = None,
    fact: Fact = None,
    place: Place = None,
    category: Category = None,
    language: Language = None,
    group: Group = None,
    exclude_place: ExcludePlace = None,
    exclude_group: ExcludeGroup = None,
    channel: Channel = None,
    level: Level = None,
    not_before: NotBefore = None,
    expires: Expires = None,
    version: Annotated[
        int | None, typer.Option("--version", help="The version you read; another one is refused.")
    ] = None,
    as_json: Json = False,
    home: Home = None,
) -> None:
    """Changes what is named and leaves the rest; whatever was submitted is void then."""
    from broadcaster.compose import campaigns
    from broadcaster.compose.audiences import selection_from

    selection = given_selection(place, category, language, group, exclude_place, exclude_group)
    texts = {"name": name, "template_set": template_set, "mode": mode, "level": level}
    given = given_draft({**texts, "not_before": not_before, "expires": expires}, facts_of(facts, fact), channel)

    def one(inst: "Installation", user: "User") -> "Campaign":
        before = campaigns.find(inst, campaign_id)
        shown = before.as_json(inst.settings.timezone)
        kept = {
            key: shown[key] for key in ("name", "template_set", "mode", "level", "channels", "not_before", "expires")
        }
        merged = {**kept, **given, "facts": {**before.facts, **given["facts"]}}
        chosen = selection_from({**shown["selection"], **selection})
        draft = campaigns.draft_from(merged, chosen, inst.settings)
        return campaigns.edit(inst, user, campaign_id, draft, before.version if version is None else version)

    _moved(home, as_user, as_json, one)


@campaign.command("submit")
def submit(campaign_id: Id, as_user: As, as_json: Json = False, home: Home = None) -> None:
    """Renders, measures, speaks and plans a draft, seals it and asks for its approval."""
    from broadcaster.compose import campaigns

    with progress("wordings, speech, plan") as tell:
        _moved(home, as_user, as_json, lambda inst, user: campaigns.submit(inst, user, campaign_id, tell))


@campaign.command("review")
def review(campaign_id: Id, as_user: As, as_json: Json = False, home: Home = None) -> None:
    """Every wording as it was frozen at submit, and how many get it: what an approver reads."""
    from broadcaster.compose.review import review as reviewed
    from broadcaster.people import find_user

    with opened(home) as inst:
        rows = [line.as_json() for line in reviewed(inst, find_user(inst, as_user), campaign_id)]
    if as_json:
        emit({"campaign": campaign_id, "wordings": rows})
    else:
        columns = ("channel", "format", "languages", "segment", "deliveries", "parts", "parts_each", "text")
        table(columns, [[row[column] for column in columns] for row in rows])


@campaign.command("approve")
def approve(
    campaign_id: Id,
    as_user: As,
    digest: Annotated[str | None, typer.Option("--digest", help="The seal you read; another one is refused.")] = None,
    as_json: Json = False,
    home: Home = None,
) -> None:
    """Lets exactly what was submitted go. Never by its author or last editor."""
    from broadcaster.compose import campaigns

    _moved(home, as_user, as_json, lambda inst, user: campaigns.approve(inst, user, campaign_id, digest))


@campaign.command("return")
def return_(campaign_id: Id, as_user: As, reason: Reason, as_json: Json = False, home: Home = None) -> None:
    """Gives a submitted campaign back to its author."""
    from broadcaster.compose import campaigns

    _moved(home, as_user, as_json, lambda inst, user: campaigns.return_(inst, user, campaign_id, reason))


@campaign.command("cancel")
def cancel(campaign_id: Id, as_user: As, reason: Reason, as_json: Json = False, home: Home = None) -> None:
    """Stops a campaign: nothing more is sent, and speakers and boards drop it."""
    from broadcaster.compose import campaigns

    _moved(home, as_user, as_json, lambda inst, user: campaigns.cancel(inst, user, campaign_id, reason))


@campaign.command("correct")
def correct(  # noqa: PLR0913, PLR0917  the flags of the door
    campaign_id: Id,
    as_user: As,
    template_set: Annotated[str | None, typer.Option("--template-set", help="[default: correction]")] = None,
    facts: Facts = None,
    fact: Fact = None,
    as_json: Json = False,
    home: Home = None,
) -> None:
    """Makes a draft that corrects a campaign, for those who got it; to be submitted and approved."""
    from broadcaster.compose import campaigns

    given = facts_of(facts, fact)
    _moved(home, as_user, as_json, lambda inst, user: campaigns.correct(inst, user, campaign_id, given, template_set))


@campaign.command("show")
def show(campaign_id: Id, as_json: Json = False, home: Home = None) -> None:
    """A campaign as it stands."""
    from broadcaster.compose import campaigns

    with opened(home) as inst:
        found = campaigns.find(inst, campaign_id).as_json(inst.settings.timezone)
    answer(found, as_json)


@campaign.command("list")
def listed(as_user: As, as_json: Json = False, home: Home = None) -> None:
    """Campaigns, the newest first."""
    from broadcaster.compose import campaigns
    from broadcaster.people import find_user

    with opened(home) as inst:
        zone = inst.settings.timezone
        rows = [each.as_json(zone) for each in campaigns.listed(inst, find_user(inst, as_user))]
    if as_json:
        emit({"campaigns": rows})
    else:
        columns = ("campaign", "name", "state", "mode", "category", "planned", "author", "created")
        table(columns, [[str(row[column] or "") for column in columns] for row in rows])


def _moved(home: "Home", login: str, as_json: bool, move: Callable[["Installation", "User"], "Campaign"]) -> None:
    from broadcaster.people import find_user

    with opened(home) as inst:
        found = move(inst, find_user(inst, login)).as_json(inst.settings.timezone)
    answer(found, as_json, lambda: pairs({key: value for key, value in found.items() if value not in (None, "", [])}))
