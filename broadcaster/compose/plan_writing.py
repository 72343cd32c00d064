"""A plan on its way into the database: in portions, so that nobody else waits for it long, seen by nobody before the last.

Until the last transaction the campaign is what it was, a draft or returned: it has no chunk, no counter and no seal, so nothing of
it can be approved, announced, claimed or counted. The epoch that `begin` raises says whose portions these are: a second submit, an
edit or a cancel raises it again, and the next portion of the first is refused. A plan of one portion is written in one transaction.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice

from sqlalchemy import Connection

from broadcaster.compose.drafts import Campaign
from broadcaster.compose.moves import found, held
from broadcaster.compose.plan import Cuts, Plan, Progress, WordingIds, add_head, rows_of
from broadcaster.installation import Installation
from broadcaster.model import CampaignState, Refused, Unavailable
from broadcaster.store import campaigns as stored_campaigns
from broadcaster.store import plan as stored

# SQLite gives its lock to whoever asks at the right moment: who waits sleeps up to 50 ms between tries in the first 200 ms. Costs
# 2.5 s of a submit of a million.
PAUSE = 0.05
UNPLANNED = ("sealed_digest", "planned", "parts", "cost", "submitted_at")


@dataclass(frozen=True, slots=True)
class Begun:
    """A plan under way: its campaign, the epoch that makes it ours, and what its deliveries refer to."""

    campaign_id: int
    epoch: int
    wordings: WordingIds
    cuts: Cuts


def void(conn: Connection, campaign_id: int) -> int:
    """The campaign has no plan any more, written or half written. Its deliveries lie there unseen until `clear` removes them.

    Returns the new epoch, which `clear` asks for.
    """
    stored.void(conn, campaign_id)
    stored_campaigns.raise_epoch(conn, campaign_id)
    stored_campaigns.change(conn, campaign_id, **dict.fromkeys(UNPLANNED))
    return found(conn, campaign_id).epoch


def clear(inst: Installation, campaign_id: int, epoch: int) -> None:
    """Removes what a voided plan left, in portions. Ends where somebody else has raised the epoch: then it is theirs to do."""
    more = True
    while more:
        with inst.store.write() as conn:
            more = held(conn, campaign_id).epoch == epoch and stored.remove_portion(conn, campaign_id)
        if more:
            _give_way(inst)


@contextmanager
def begin(inst: Installation, campaign: Campaign, plan: Plan) -> Iterator[Begun]:
    """Voids an earlier plan and writes the wordings and cuts of this one; what breaks off in the block leaves nothing.

    A killed process leaves rows that nobody sees; the next submit, edit or cancel of the campaign removes them. Raises Refused:
    it was changed since it was read.
    """
    with inst.store.write() as conn:
        if held(conn, campaign.id) != campaign:
            raise _changed(campaign.id)
        epoch = void(conn, campaign.id)
        wordings, cuts = add_head(conn, campaign.id, plan)
    try:
        clear(inst, campaign.id, epoch)
        yield Begun(campaign.id, epoch, wordings, cuts)
    except BaseException:
        with suppress(Unavailable):
            _abandon(inst, campaign.id, epoch)
        raise


def _abandon(inst: Installation, campaign_id: int, epoch: int) -> None:
    with inst.store.write() as conn:
        campaign = held(conn, campaign_id)
        # The last commit may have come through although its answer did not.
        if campaign.epoch != epoch or campaign.state is CampaignState.SUBMITTED:
            return
        epoch = void(conn, campaign_id)
    clear(inst, campaign_id, epoch)


def write(
    inst: Installation, begun: Begun, plan: Plan, finish: Callable[[Connection], None], progress: Progress | None = None
) -> None:
    """Writes all deliveries; `finish` makes the plan seen, in the transaction of the last portion.

    Raises Refused where the campaign was changed meanwhile.
    """
    rows = rows_of(plan, begun.wordings, begun.cuts)
    done = 0
    while portion := list(islice(rows, stored.PORTION)):
        if done:
            _give_way(inst)
        done += len(portion)
        with inst.store.write() as conn:
            if held(conn, begun.campaign_id).epoch != begun.epoch:
                raise _changed(begun.campaign_id)
            stored.add_deliveries(conn, begun.campaign_id, portion)
            if done == plan.planned:
                finish(conn)
        if progress:
            progress(done, plan.planned)


def _changed(campaign_id: int) -> Refused:
    return Refused("campaign-changed", f"campaign {campaign_id} was changed while it was submitted: submit it again")


def _give_way(inst: Installation) -> None:
    if inst.store.dialect == "sqlite":
        time.sleep(PAUSE)
