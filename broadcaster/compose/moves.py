"""Finding a campaign, and moving it from state to state: the only place where a person's act changes the state."""

from sqlalchemy import Connection

from broadcaster.compose.drafts import Campaign, campaign_of
from broadcaster.model import CAMPAIGN_MOVES, CampaignState, NotFound, Refused
from broadcaster.store import campaigns as stored


def found(conn: Connection, campaign_id: int) -> Campaign:
    """The campaign. Raises NotFound."""
    row = stored.row(conn, campaign_id)
    if row is None:
        raise NotFound("campaign", f"there is no campaign {campaign_id}; type: broadcaster campaign list")
    return campaign_of(dict(row))


def held(conn: Connection, campaign_id: int) -> Campaign:
    """The campaign, with every other change and claim of it waiting until this transaction ends. Raises NotFound."""
    stored.lock(conn, campaign_id)
    return found(conn, campaign_id)


def require(campaign: Campaign, to: CampaignState) -> None:
    """Raises Refused where a campaign in this state may not become `to`."""
    if to not in CAMPAIGN_MOVES[campaign.state]:
        raise Refused("campaign-state", f"campaign {campaign.id} is {campaign.state}: it cannot become {to}")


def move(conn: Connection, campaign: Campaign, to: CampaignState) -> None:
    """Moves a campaign that was read as `campaign`. Raises Refused: not allowed, or another person moved it in between."""
    require(campaign, to)
    if not stored.set_state(conn, campaign.id, campaign.state, to):
        raise Refused("campaign-moved", f"campaign {campaign.id} was moved by somebody else just now: look at it again")


def subject(campaign_id: int) -> str:
    """What the audit calls a campaign."""
    return f"campaign/{campaign_id}"
