"""Signing in by a link, and out."""

from collections.abc import Callable
from typing import Any

from fastapi.testclient import TestClient

from broadcaster import people


def test_looking_at_a_link_does_not_use_it_up_and_pressing_does(town: Any, anybody: TestClient) -> None:
    path = people.one_time_link(town.inst, "system", "wang")
    for _ in range(3):  # a mail scanner, a chat preview, the person
        assert "<form method=" in anybody.get(path).text
        assert anybody.head(path).status_code in (200, 405)
    answer = anybody.post(path, follow_redirects=False)
    assert answer.status_code == 303
    assert answer.headers["location"] == "/"
    assert "王作者" in anybody.get("/").text
    again = TestClient(anybody.app)
    assert again.post(path).status_code == 403
    assert "<form method=" not in again.get(path).text
    assert again.get("/").status_code == 401


def test_a_link_cannot_be_pressed_by_another_site(town: Any, anybody: TestClient) -> None:
    path = people.one_time_link(town.inst, "system", "wang")
    answer = anybody.post(path, headers={"sec-fetch-site": "cross-site"})
    assert answer.status_code == 403
    assert people.link_open(town.inst, path.removeprefix("/sign-in/"))


def test_signing_out_ends_the_session_on_the_server(signed_in: Callable[[str], Any], town: Any) -> None:
    browser = signed_in("wang")
    browser.see("/")
    cookie = browser.client.cookies["session"]
    assert browser.send("/sign-out").status_code == 200
    thief = TestClient(browser.client.app, cookies={"session": cookie})
    assert thief.get("/").status_code == 401


def test_the_cookie_is_kept_from_scripts_and_other_sites(town: Any, anybody: TestClient) -> None:
    path = people.one_time_link(town.inst, "system", "wang")
    cookie = anybody.post(path, follow_redirects=False).headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie


def test_a_stranger_sees_no_campaigns(signed_in: Callable[[str], Any], draft: int) -> None:
    stranger = signed_in("nobody")
    assert "春节后开业检查" not in stranger.see("/")
    for path in (
        f"/campaigns/{draft}",
        f"/campaigns/{draft}/counts",
        f"/campaigns/{draft}/edit",
        "/users",
        "/audit",
        "/operator",
        "/recipients",
        "/campaigns/new",
    ):
        stranger.see(path, 403)


def test_an_administrator_adds_a_user_whose_link_works(signed_in: Callable[[str], Any], town: Any) -> None:
    admin = signed_in("sun")
    admin.see("/users")
    answer = admin.send("/users", {"login": "new.one", "name": "新人", "roles": ["author"], "unit": "village"})
    assert answer.status_code == 200
    link = answer.text.split('class="secret">')[1].split("<")[0]
    assert link.startswith(town.inst.settings.base_url + "/sign-in/")
    assert people.find_user(town.inst, "new.one").unit_code == "village"
    fresh = TestClient(admin.client.app)
    assert fresh.post(link.removeprefix(town.inst.settings.base_url), follow_redirects=False).status_code == 303
    admin.send("/users/new.one/off")
    assert fresh.get("/").status_code == 401


def test_a_manager_sees_users_and_changes_none(signed_in: Callable[[str], Any], town: Any) -> None:
    manager = signed_in("zhao")
    page = manager.see("/users")
    assert 'action="/users"' not in page
    assert manager.send("/users", {"login": "x", "name": "x", "roles": ["administrator"]}).status_code == 403
    assert manager.send("/users/wang/link").status_code == 403


def test_the_audit_page_verifies_the_chain(signed_in: Callable[[str], Any], town: Any) -> None:
    admin = signed_in("sun")
    assert "wang" in admin.see("/audit")
    assert "记录链完整" in admin.send("/audit/verify").text
    with town.inst.store.write() as conn:
        conn.exec_driver_sql("UPDATE audit SET actor = 'x' WHERE seq = 2")
    assert "第 2 条记录被改动过" in admin.send("/audit/verify").text
