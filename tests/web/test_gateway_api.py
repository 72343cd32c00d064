"""The doors of a gateway that pulls, over HTTP with its token: claim, report, and who is turned away."""

from typing import Any

import pytest
from fastapi.testclient import TestClient

from broadcaster import people
from broadcaster.compose import campaigns
from broadcaster.installation import Installation
from broadcaster.people import find_user
from broadcaster.reach.counts import counts
from broadcaster.web.app import create_app

CLAIM, REPORT = "/api/v1/gateway/claim", "/api/v1/gateway/report"


@pytest.fixture
def box(town: Any, draft: int) -> Any:
    """A client of a released campaign's gateway, its token, and the campaign."""
    inst = town.inst
    campaigns.submit(inst, find_user(inst, "wang"), draft)
    sealed = campaigns.find(inst, draft).sealed_digest
    campaigns.approve(inst, find_user(inst, "li"), draft, sealed)
    people.add_user(inst, "system", "box", "Box", ["gateway"])
    token = people.new_api_token(inst, "system", "box", "modem")
    pulled = Installation(inst.settings.model_copy(update={"sms_provider": "pull"}), inst.store, inst.keys)
    with TestClient(create_app(pulled), base_url="http://127.0.0.1:8000") as client:
        yield client, {"authorization": f"Bearer {token}"}, draft


def test_a_gateway_claims_and_reports_until_nothing_is_due(box: Any, town: Any) -> None:
    client, token, campaign = box
    names: list[str] = []
    while (found := client.post(CLAIM, headers=token, json={"channel": "sms", "limit": 100}).json())["lease"]:
        assert set(found["messages"][0]) >= {"delivery", "to", "text", "parts", "expires"}
        told = [{"delivery": each["delivery"], "outcome": "accepted"} for each in found["messages"]]
        names += [each["delivery"] for each in found["messages"]]
        said = client.post(REPORT, headers=token, json={"lease": found["lease"], "results": told})
        assert said.json() == {"recorded": len(told), "ignored": 0, "open": 0}
    by = {row["key"]: row["outcomes"] for row in counts(town.inst, campaign, "channel")["by"]}
    assert by["sms"]["accepted"] == len(set(names)) == len(names) > 0
    assert by["sms"]["waiting"] == by["sms"]["sending"] == 0


def test_nobody_else_is_handed_a_number(box: Any, town: Any) -> None:
    client, _, _ = box
    asked = {"channel": "sms", "limit": 1}
    assert client.post(CLAIM, json=asked).status_code == 401
    person = people.new_api_token(town.inst, "system", "wang", "script")
    assert client.post(CLAIM, headers={"authorization": f"Bearer {person}"}, json=asked).status_code == 403


@pytest.mark.parametrize("body", [{"channel": "board", "limit": 1}, {"channel": "sms", "limit": 0}, {"surprise": 1}])
def test_a_claim_that_cannot_be_is_refused_in_words(box: Any, body: dict[str, Any]) -> None:
    client, token, _ = box
    answer = client.post(CLAIM, headers=token, json=body)
    assert answer.status_code == 422
    assert answer.headers["content-type"].startswith("application/problem+json")
