"""The API: the same acts as the pages, the same refusals, problem documents, and requests that are done once."""

import io
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from broadcaster import people
from broadcaster.compose import campaigns

Calls = Callable[..., Any]

OPERATIONS = {
    "approveCampaign", "cancelCampaign", "checkRecipients", "correctCampaign", "countAudience", "countCampaign",
    "createCampaign", "editCampaign", "findPlaces", "importRecipients", "listCampaignEvents", "listCampaignWordings",
    "listCampaigns", "listTemplateSets", "previewCampaign", "recountCampaign", "returnCampaign", "showCampaign",
    "showStatus", "showTemplateSet", "submitCampaign", "claimMessages", "reportMessages",
}  # fmt: skip


def api(browser: Any, method: str, path: str, **more: Any) -> Any:
    """A call from a page: the session's cookie and its token."""
    headers = {"x-csrf-token": browser.csrf, **more.pop("headers", {})}
    return browser.client.request(method, f"/api/v1{path}", headers=headers, **more)


def test_names_of_operations_stay(anybody: TestClient) -> None:
    document = anybody.get("/api/v1/openapi.json").json()
    found = [act["operationId"] for path in document["paths"].values() for act in path.values()]
    assert len(found) == len(set(found))
    assert set(found) >= OPERATIONS
    assert all(path.startswith("/api/v1/") for path in document["paths"])


def test_one_campaign_goes_from_create_to_counts(calls: Calls, signed_in: Any, draft: int) -> None:
    listed = calls("zhao", "GET", "/campaigns").json()["items"]
    assert [each["campaign"] for each in listed] == [draft]
    sent = calls("wang", "POST", f"/campaigns/{draft}/submit").json()
    assert (sent["state"], sent["planned"]) == ("submitted", 10)
    wordings = calls("zhao", "GET", f"/campaigns/{draft}/wordings").json()["items"]
    assert sum(each["deliveries"] for each in wordings) == 10
    assert {each["channel"] for each in wordings} == {"sms", "loudspeaker", "billboard", "social"}
    approver = signed_in("li")
    approver.see(f"/campaigns/{draft}")
    answer = api(approver, "POST", f"/campaigns/{draft}/approve", json={"digest": sent["digest"]})
    assert answer.json()["state"] == "approved"
    counts = calls("zhao", "GET", f"/campaigns/{draft}/counts?by=channel").json()
    assert counts["planned"] == counts["outcomes"]["waiting"] == 10
    assert {row["key"] for row in counts["by"]} == {"sms", "loudspeaker", "billboard", "social"}
    assert calls("zhao", "GET", f"/campaigns/{draft}/recount").json()["equal"]
    cancelled = calls("wang", "POST", f"/campaigns/{draft}/cancel", json={"reason": "test"}).json()
    assert cancelled["state"] == "cancelled"
    acts = [each["action"] for each in calls("zhao", "GET", f"/campaigns/{draft}/events").json()["items"]]
    assert acts == ["campaign.create", "campaign.submit", "campaign.approve", "campaign.cancel"]


def test_a_program_never_approves(calls: Calls, draft: int) -> None:
    digest = calls("wang", "POST", f"/campaigns/{draft}/submit").json()["digest"]
    for path, body in (("approve", {"digest": digest}), ("return", {"reason": "no"})):
        answer = calls("li", "POST", f"/campaigns/{draft}/{path}", json=body)
        assert (answer.status_code, answer.json()["code"]) == (403, "program")


def test_nobody_approves_their_own(signed_in: Any, town: Any) -> None:
    people.set_roles(town.inst, "system", "wang", ["author", "approver"])
    both = signed_in("wang")
    both.see("/")
    from_page = {"name": "x", "template_set": "correction", "mode": "live"}
    made = api(both, "POST", "/campaigns", json=from_page).json()["campaign"]
    answer = api(both, "POST", f"/campaigns/{made}/approve", json={"digest": "0" * 64})
    assert (answer.status_code, answer.json()["code"]) == (403, "own-campaign")


def test_errors_are_problem_documents(calls: Calls, anybody: TestClient, new_draft: dict[str, Any]) -> None:
    nobody = anybody.get("/api/v1/campaigns")
    assert (nobody.status_code, nobody.headers["www-authenticate"]) == (401, "Bearer")
    missing = calls("wang", "GET", "/campaigns/999")
    wrong = calls("wang", "POST", "/campaigns", json={**new_draft, "mode": "sometimes"})
    strange = calls("wang", "POST", "/campaigns", json={**new_draft, "colour": "red"})
    unknown = calls("wang", "GET", "/nothing")
    for answer, status, code in (
        (nobody, 401, "signed-out"),
        (missing, 404, "campaign"),
        (wrong, 422, "mode"),
        (strange, 422, "request"),
        (unknown, 404, "not-found"),
    ):
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"
        body = answer.json()
        assert (body["status"], body["code"]) == (status, code)
        assert body["title"]
        assert body["type"].endswith(f"/problems/{code}")
    assert strange.json()["errors"][0]["pointer"] == "/colour"
    assert anybody.get("/problems/mode").status_code == 200


def test_the_title_of_an_error_is_in_the_language_asked_for(calls: Calls) -> None:
    titles = {
        language: calls("wang", "GET", "/campaigns/999", headers={"accept-language": language}).json()["title"]
        for language in ("zh-CN", "ko", "en")
    }
    assert titles == {"zh-CN": "没有这次播发", "ko": "그런 방송이 없습니다", "en": "There is no such campaign"}


@pytest.mark.parametrize("login", ["nobody", "jin"])
def test_who_may_not_see_campaigns_gets_none_of_them(calls: Calls, draft: int, login: str) -> None:
    for path in ("", f"/{draft}", f"/{draft}/counts", f"/{draft}/recount", f"/{draft}/wordings", f"/{draft}/events"):
        assert calls(login, "GET", f"/campaigns{path}").status_code == 403
    for path, body in (
        ("/campaigns", {"name": "x", "template_set": "correction", "mode": "live"}),
        (f"/campaigns/{draft}/submit", None),
        (f"/campaigns/{draft}/cancel", {"reason": "x"}),
        ("/audiences/count", {"selection": {"places": ["22"]}}),
    ):
        assert calls(login, "POST", path, json=body).status_code == 403
    assert calls(login, "POST", "/recipients/check", files={"file": ("a.csv", b"x")}).status_code == 403


def test_the_same_request_twice_is_done_once(calls: Calls, town: Any, new_draft: dict[str, Any]) -> None:
    headers = {"idempotency-key": "monday"}
    first = calls("wang", "POST", "/campaigns", json=new_draft, headers=headers)
    second = calls("wang", "POST", "/campaigns", json=new_draft, headers=headers)
    assert (first.status_code, second.status_code) == (201, 201)
    assert second.json() == first.json()
    assert second.headers["idempotency-replayed"] == "true"
    other = calls("wang", "POST", "/campaigns", json={**new_draft, "name": "other"}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (409, "idempotency-key")
    assert len(campaigns.listed(town.inst, people.find_user(town.inst, "wang"))) == 1
    for bad in ("", "x" * 201):
        answer = calls("wang", "POST", "/campaigns", json=new_draft, headers={"idempotency-key": bad})
        assert answer.status_code == 422


def test_a_key_belongs_to_whoever_used_it(calls: Calls, town: Any, new_draft: dict[str, Any]) -> None:
    people.add_user(town.inst, "system", "second", "二", ["author"])
    for login in ("wang", "second"):
        answer = calls(login, "POST", "/campaigns", json=new_draft, headers={"idempotency-key": "k"})
        assert "idempotency-replayed" not in answer.headers


def test_a_refused_request_frees_its_key(calls: Calls, new_draft: dict[str, Any]) -> None:
    headers = {"idempotency-key": "k"}
    wrong = {**new_draft, "mode": "sometimes"}
    assert calls("wang", "POST", "/campaigns", json=wrong, headers=headers).status_code == 422
    assert calls("wang", "POST", "/campaigns", json=new_draft, headers=headers).status_code == 201


def test_a_request_under_way_is_not_begun_again(calls: Calls, town: Any, new_draft: dict[str, Any]) -> None:
    headers = {"idempotency-key": "k"}
    assert calls("wang", "POST", "/campaigns", json=new_draft, headers=headers).status_code == 201
    with town.inst.store.write() as conn:
        conn.exec_driver_sql("UPDATE idempotency SET status = NULL, body = NULL")
    answer = calls("wang", "POST", "/campaigns", json=new_draft, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (409, "idempotency-running")


def test_approving_twice_with_a_key_answers_the_same(calls: Calls, signed_in: Any, draft: int) -> None:
    digest = calls("wang", "POST", f"/campaigns/{draft}/submit").json()["digest"]
    approver = signed_in("li")
    approver.see(f"/campaigns/{draft}")
    headers = {"idempotency-key": "approve"}
    answers = [
        api(approver, "POST", f"/campaigns/{draft}/approve", json={"digest": digest}, headers=headers) for _ in range(2)
    ]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json() == answers[1].json()


def test_editing_an_old_version_is_refused(calls: Calls, draft: int, new_draft: dict[str, Any]) -> None:
    first = calls("wang", "PUT", f"/campaigns/{draft}", json={**new_draft, "name": "A", "version": 0})
    assert (first.status_code, first.json()["version"]) == (200, 1)
    late = calls("wang", "PUT", f"/campaigns/{draft}", json={**new_draft, "name": "B", "version": 0})
    assert (late.status_code, late.json()["code"]) == (403, "stale-page")


def test_preview_and_audience_count_keep_nothing(calls: Calls, new_draft: dict[str, Any], town: Any) -> None:
    preview = calls("wang", "POST", "/campaigns/preview", json=new_draft).json()["items"]
    assert [each["channel"] for each in preview] == new_draft["channels"]
    assert all(each["problems"] == [] for each in preview)
    counted = calls("zhao", "POST", "/audiences/count", json={"selection": {"places": ["220102000000"]}}).json()
    assert counted["by_channel"] == {"sms": 5, "loudspeaker": 1, "billboard": 1}
    empty = calls("zhao", "POST", "/audiences/count", json={"selection": {}})
    assert (empty.status_code, empty.json()["code"]) == (422, "audience-empty")
    assert campaigns.listed(town.inst, people.find_user(town.inst, "wang")) == []


CSV = "姓名,手机号,地区\n张三,13844112119,华阳社区\n李四,13844112120,华阳社区\n"


def test_recipients_are_checked_then_stored(calls: Calls, town: Any) -> None:
    file = {"file": ("名单.csv", io.BytesIO(CSV.encode()), "text/csv")}
    checked = calls("wang", "POST", "/recipients/check", files=file).json()
    assert (checked["rows"], checked["accepted"], checked["stored"]) == (2, 2, False)
    file = {"file": ("名单.csv", io.BytesIO(CSV.encode()), "text/csv")}
    stored = calls("wang", "POST", "/recipients/import", files=file).json()
    assert stored["stored"]
    counted = calls("wang", "POST", "/audiences/count", json={"selection": {"places": ["22"]}, "channels": ["sms"]})
    assert counted.json()["recipients"] == 8
    assert not any((town.inst.settings.folder / "uploads").iterdir()), "no upload stays behind"


def test_lists_tell_what_a_campaign_is_made_of(calls: Calls) -> None:
    sets = {each["id"]: each for each in calls("wang", "GET", "/template-sets").json()["items"]}
    assert {"correction", "fire-safety-reopening", "forest-fire-ban"} <= set(sets)
    facts = {fact["name"]: fact for fact in calls("wang", "GET", "/template-sets/forest-fire-ban").json()["facts"]}
    assert facts["starts"]["type"] == "date"
    assert calls("wang", "GET", "/template-sets/../../etc").status_code == 404
    assert calls("wang", "GET", "/template-sets/nothing").status_code == 404
    assert [each["name"] for each in calls("wang", "GET", "/places?search=延吉").json()["items"]] == ["延吉市"]
    under = calls("wang", "GET", "/places?under=220000000000").json()["items"]
    assert [each["name"] for each in under] == ["长春市", "延边朝鲜族自治州"]
    status = calls("wang", "GET", "/status").json()
    assert status["user"]["roles"] == ["author"]
    assert status["csrf"] is None
