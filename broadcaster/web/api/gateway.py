"""A gateway that pulls its SMS and reports what came of them."""

from typing import Any

from fastapi import APIRouter
from pydantic import Field

from broadcaster.deliver import gateway
from broadcaster.web.api.shapes import Document, Shape
from broadcaster.web.who import Asks, Inst

router = APIRouter(tags=["gateway"])


class ClaimIn(Shape):
    """What a gateway asks for."""

    channel: str = "sms"
    limit: int = Field(100, description="At most so many messages; the lane's window may be less")


class ResultIn(Shape):
    """What came of one message."""

    delivery: str
    outcome: str = Field(description="accepted, retry, uncertain, failed or suppressed; later delivered or expired")
    ref: str | None = Field(None, description="The gateway's own id of the message")
    reason: str | None = None


class ReportIn(Shape):
    """Results of a lease; may come in portions."""

    lease: str
    results: list[ResultIn]


@router.post("/gateway/claim", operation_id="claimMessages")
def claim(inst: Inst, who: Asks, body: ClaimIn) -> Document:
    """The next window, under a lease: what is not reported until it ends is in doubt. An empty one: nothing is due now."""
    return gateway.claim(inst, who.user, body.channel, body.limit)


@router.post("/gateway/report", operation_id="reportMessages")
def report(inst: Inst, who: Asks, body: ReportIn) -> Document:
    """What came of messages of a lease. The same report twice changes nothing."""
    found: list[dict[str, Any]] = [each.model_dump() for each in body.results]
    return gateway.report(inst, who.user, body.lease, found)
