"""Every door, walked one by one: who may not pass, what each answer carries, and that looking changes nothing."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi.routing import iter_route_contexts
from fastapi.testclient import TestClient
from sqlalchemy import event

from broadcaster import people
from broadcaster.deliver import replies
from broadcaster.web.app import create_app
from broadcaster.web.headers import CSP
from broadcaster.web.who import cookie_name
from channels.base import PhoneReply

UNSAFE = {"POST", "PUT", "PATCH", "DELETE"}
# Doors whose secret stands in the path; they know nobody else. 404 and 403 are the same answer: nothing is told.
BY_TOKEN = ("/feeds/", "/play/", "/sign-in/", "/callbacks/")


def routes(app: Any) -> Iterator[tuple[str, str]]:
    for route in iter_route_contexts(app.routes):
        for method in sorted(getattr(route, "methods", None) or ()):
            yield method, str(route.path)


def filled(path: str, **values: object) -> str:
    for name, value in values.items():
        path = path.replace("{" + name + "}", str(value))
    return path.replace("{token}", "x" * 43).replace("{login}", "wang").replace("{public_id}", "x").replace(
        "{name}", "0" * 64 + ".mp3"
    ).replace("{campaign_id}", "1").replace("{wording_id}", "1").replace("{recipient_id}", "1").replace(
        "{set_id}", "correction"
    ).replace("{code}", "name")  # fmt: skip


def test_no_unsafe_door_opens_to_nobody(app: Any, anybody: TestClient) -> None:
    walked = [(method, path) for method, path in routes(app) if method in UNSAFE]
    assert len(walked) >= 25
    for method, path in walked:
        answer = anybody.request(method, filled(path))
        allowed = {401, 403, 404} if path.startswith(BY_TOKEN) else {401}
        assert answer.status_code in allowed, f"{method} {path} answered {answer.status_code}"


def test_no_unsafe_door_of_a_session_opens_without_the_forms_token(app: Any, signed_in: Callable[[str], Any]) -> None:
    client = signed_in("sun").client
    for method, path in routes(app):
        if method not in UNSAFE or path.startswith(BY_TOKEN):
            continue
        for token in ({}, {"csrf": "forged"}, {"csrf": ""}):
            headers = {"x-csrf-token": token.get("csrf", "")}
            given = {"data": token} if not path.startswith("/api/") else {"json": {}}
            answer = client.request(method, filled(path), headers=headers, **given)
            assert answer.status_code == 403, f"{method} {path} with {token} answered {answer.status_code}"
            assert answer.json()["code"] == "csrf" if path.startswith("/api/") else "csrf" in answer.text


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 303),
        ({"sec-fetch-site": "same-origin"}, 303),
        ({"sec-fetch-site": "none"}, 303),
        ({"origin": "http://127.0.0.1:8000"}, 303),
        ({"origin": "null"}, 303),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "http://127.0.0.1:9999"}, 403),
        ({"origin": "http://127.0.0.1:8000.evil.example"}, 403),
        ({"sec-fetch-site": "cross-site", "origin": "http://127.0.0.1:8000"}, 403),
    ],
)
def test_a_request_that_another_site_made_is_refused_even_with_the_token(
    signed_in: Callable[[str], Any], headers: dict[str, str], status: int
) -> None:
    browser = signed_in("wang")
    browser.see("/campaigns/new?set=correction")
    fields = {"template_set": "correction", "name": "x", "mode": "live", "do": "save"}
    assert browser.send("/campaigns/new", fields, headers=headers).status_code == status


def test_a_form_of_another_session_is_refused(signed_in: Callable[[str], Any]) -> None:
    first, second = signed_in("wang"), signed_in("wang")
    first.see("/")
    second.csrf = first.csrf
    fields = {"template_set": "correction", "name": "x", "mode": "live", "do": "save"}
    assert second.send("/campaigns/new", fields).status_code == 403


@pytest.fixture
def writes(town: Any) -> Iterator[list[str]]:
    """Statements that changed the database; heartbeats and the session's own clock are no acts of anybody."""
    found: list[str] = []

    def note(_conn: Any, _cursor: Any, statement: str, *_: Any) -> None:
        head = statement.split(None, 1)[0].upper()
        if head in {"INSERT", "UPDATE", "DELETE", "REPLACE"} and "web_session" not in statement:
            found.append(statement)

    event.listen(town.inst.store.engine, "before_cursor_execute", note)
    yield found
    event.remove(town.inst.store.engine, "before_cursor_execute", note)


def test_looking_writes_nothing(
    app: Any, town: Any, signed_in: Callable[[str], Any], draft: int, writes: list[str]
) -> None:
    browsers = [signed_in(login).client for login in ("wang", "li", "jin", "sun")]
    link = people.one_time_link(town.inst, "system", "wang").removeprefix("/sign-in/")
    replies.take(town.inst, "kannel", PhoneReply("tel:+8617400000001", "什么时候？", "r1"))
    writes.clear()
    seen = set()
    for method, path in routes(app):
        if method not in {"GET", "HEAD"}:
            continue
        for token in (town.speaker, town.board, link):
            for client in browsers:
                url = filled(path, token=token, campaign_id=draft, recipient_id=town.speaker_id, reply_id=1)
                answer = client.request(method, url, follow_redirects=False)
                assert answer.status_code != 500, url
                if answer.status_code < 400:
                    seen.add(path)
    assert writes == []
    assert people.link_open(town.inst, link), "a link that was looked at still signs in"
    unseen = {path for method, path in routes(app) if method == "GET"} - seen
    assert unseen == {
        "/audio/{name}",
        "/c/{public_id}",
        "/callbacks/sms/{provider}/inbound",
        "/callbacks/sms/{provider}/{delivery}/{signature}",
        "/campaigns/{campaign_id}/boards/{wording_id}.png",
        "/preview/board.png",
    }


def test_every_answer_carries_the_headers(
    app: Any, town: Any, anybody: TestClient, signed_in: Callable[[str], Any], draft: int
) -> None:
    client = signed_in("sun").client
    for asks in (client, anybody):
        for method, path in [*routes(app), ("GET", "/static/app.css"), ("GET", "/nothing"), ("POST", "/nothing")]:
            url = filled(path, token=town.speaker, campaign_id=draft)
            headers = asks.request(method, url, follow_redirects=False).headers
            assert headers["content-security-policy"] == CSP, url
            assert headers["x-content-type-options"] == "nosniff", url
            assert headers["referrer-policy"] == "no-referrer", url
            assert headers["cross-origin-opener-policy"] == "same-origin", url
            public = url.startswith(("/feeds/", "/audio/", "/static/", "/c/"))
            assert public or headers["cache-control"] == "no-store", url


def test_a_mistake_of_ours_is_a_page_with_the_headers_and_no_trace(
    app: Any, town: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(people, "link_open", broken)
    client = TestClient(app, raise_server_exceptions=False)
    answer = client.get("/sign-in/abc")
    assert answer.status_code == 500
    assert "secret detail" not in answer.text
    assert answer.headers["content-security-policy"] == CSP
    assert answer.headers["cache-control"] == "no-store"


def test_pages_hold_nothing_that_the_policy_would_block(signed_in: Callable[[str], Any], draft: int) -> None:
    browser = signed_in("sun")
    for path in ("/", "/recipients", "/users", "/audit", f"/campaigns/{draft}", f"/campaigns/{draft}/counts"):
        page = browser.see(path)
        assert " style=" not in page, path
        assert "<style" not in page, path
        assert " on" + "click=" not in page, path
        for script in page.split("<script")[1:]:
            assert script.lstrip().startswith('src="/static/'), path


def test_there_are_no_generated_docs_pages_from_elsewhere(anybody: TestClient) -> None:
    for path in ("/docs", "/redoc", "/openapi.json"):
        assert anybody.get(path).status_code == 404


def test_a_long_body_is_refused_before_it_is_read(anybody: TestClient, town: Any) -> None:
    events = f"/feeds/speakers/{town.speaker}/events"
    assert anybody.post(events, content=b"x" * 20_000).status_code == 413

    def endless() -> Iterator[bytes]:
        for _ in range(40):
            yield b"x" * 1000

    assert anybody.post(events, content=endless()).status_code == 413
    assert anybody.post("/campaigns/new", content=b"x" * 2_000_000).status_code == 413


def test_behind_tls_the_cookie_is_bound_to_the_host(town: Any) -> None:
    from dataclasses import replace

    secure = replace(town.inst, settings=town.inst.settings.model_copy(update={"cookie_secure": True}))
    client = TestClient(create_app(secure), base_url="https://alerts.example")
    path = people.one_time_link(town.inst, "system", "wang")
    answer = client.post(path, follow_redirects=False)
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-session=")
    assert cookie_name(secure) == "__Host-session"
    for word in ("HttpOnly", "Secure", "SameSite=lax", "Path=/"):
        assert word in cookie
    assert "Domain" not in cookie
    assert answer.headers["strict-transport-security"]
