"""One walk in a real browser, as people do it: write, submit, approve as another person, count, play. Screenshots are kept."""

import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from broadcaster import people
from broadcaster.reach.counts import counts
from broadcaster.web.app import create_app

RESULTS = Path(__file__).resolve().parents[2] / "test-results"
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
DESK, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


@pytest.fixture
def served(town: Any) -> Iterator[str]:
    """The application on a free port of this machine; its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    inst = town.inst
    object.__setattr__(inst, "settings", inst.settings.model_copy(update={"port": port}))
    server = uvicorn.Server(uvicorn.Config(create_app(inst), host="127.0.0.1", port=port, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    ends = time.monotonic() + 20
    while not server.started:
        assert time.monotonic() < ends
        time.sleep(0.05)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(20)


@pytest.fixture
def chromium(program: Any) -> Iterator[Any]:
    sync_playwright = pytest.importorskip("playwright.sync_api").sync_playwright
    # A proxy of the environment must not stand between the browser and this machine.
    clean = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program("chromium"), args=ARGUMENTS, env=clean)
        yield browser
        browser.close()


class Walker:
    """One person's window. What the policy blocks or a script breaks is kept in `complaints`."""

    def __init__(self, chromium: Any, address: str, size: dict[str, int]) -> None:
        self.context = chromium.new_context(viewport=size, locale="zh-CN", base_url=address)
        self.page = self.context.new_page()
        self.complaints: list[str] = []
        self.page.on("console", lambda m: self.complaints.append(m.text) if m.type == "error" else None)
        self.page.on("pageerror", lambda e: self.complaints.append(str(e)))

    def sign_in(self, inst: Any, login: str) -> "Walker":
        self.page.goto(people.one_time_link(inst, "system", login))
        self.page.get_by_role("button", name="登录").click()
        return self

    def shot(self, name: str) -> None:
        RESULTS.mkdir(exist_ok=True)
        self.page.screenshot(path=RESULTS / f"{name}.png", full_page=True)


def until(walker: Walker, true: str, seconds: float = 15) -> None:
    """Waits for an expression in the page. Playwright's own wait would need eval, which the policy forbids."""
    ends = time.monotonic() + seconds
    while not walker.page.evaluate(true):
        assert time.monotonic() < ends, true
        time.sleep(0.05)


PICTURES = "[...document.images].every(i => i.complete && i.naturalWidth > 0)"


def no_sideways(walker: Walker) -> None:
    """A page that is wider than the window cannot be read on a phone."""
    wide = walker.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide <= 0, f"{walker.page.url} is {wide} px too wide"


def write_and_submit(author: Walker) -> str:
    page = author.page
    author.shot("01-now")
    page.get_by_role("link", name="新建播发").first.click()
    author.shot("02-sets")
    page.get_by_role("link", name="节后开门前消防自查").click()
    page.get_by_label("名称", exact=True).fill("春节后开业检查")
    page.get_by_role("radio", name="真实").check()
    holiday = page.get_by_role("group", name="什么假期之后")
    holiday.get_by_label("中文").fill("春节")
    holiday.get_by_label("朝鲜语").fill("설 연휴")
    holiday.get_by_label("英语").fill("the Spring Festival")
    page.get_by_label("查找地区").fill("吉林")
    page.get_by_role("button", name="查找").click()
    page.get_by_role("button", name="选 吉林省").click()
    author.shot("03-compose")
    page.get_by_role("button", name="预览全部渠道").click()
    page.locator("#preview-sms").wait_for()
    until(author, PICTURES)
    author.shot("04-preview")
    page.get_by_role("button", name="保存并申请审批").click()
    page.wait_for_url("**/campaigns/*", timeout=60_000)
    author.shot("05-submitted")
    return str(page.url)


def approve(approver: Walker, address: str) -> None:
    page = approver.page
    page.goto("/")
    approver.shot("06-waiting")
    page.get_by_role("link", name="阅读并决定").click()
    page.evaluate("document.querySelectorAll('img').forEach(i => i.loading = 'eager')")
    until(approver, PICTURES)
    approver.shot("07-approve")
    page.get_by_role("button", name="播发给 6 部手机、2 个喇叭、1 块屏幕、1 个群").click()
    page.wait_for_url(f"{address}/counts")
    approver.shot("08-counts-running")
    page.locator("[data-still]").wait_for(timeout=30_000)  # the page's own script keeps it fresh
    page.get_by_text("覆盖").first.wait_for()
    approver.shot("09-counts-finished")


def play(operator: Walker) -> None:
    page = operator.page
    page.get_by_role("link", name="华阳广播").click()
    clip = page.locator("audio").first
    clip.focus()
    page.keyboard.press("Space")
    until(operator, "document.querySelector('audio').currentTime > 0.5")
    operator.shot("10-play")
    with page.expect_download() as download:
        page.get_by_role("link", name="MP3").first.click()
    assert download.value.path().stat().st_size > 10_000
    page.get_by_role("button", name="已播放").click()
    page.get_by_text("已播放 ✓").wait_for()
    operator.shot("11-played")


def test_a_campaign_in_a_real_browser(town: Any, served: str, chromium: Any, working: None) -> None:
    author = Walker(chromium, served, DESK).sign_in(town.inst, "wang")
    approver = Walker(chromium, served, DESK).sign_in(town.inst, "li")
    operator = Walker(chromium, served, PHONE).sign_in(town.inst, "jin")
    address = write_and_submit(author)
    approve(approver, address)
    operator.page.reload()
    play(operator)
    number = int(address.rpartition("/")[2])
    found = counts(town.inst, number)
    assert found["outcomes"]["accepted"] == 10
    assert found["proofs"]["played"] == 1
    for walker in (author, approver, operator):
        assert walker.complaints == []


def test_every_page_fits_a_phone_and_works_without_script(town: Any, served: str, chromium: Any, draft: int) -> None:
    walker = Walker(chromium, served, PHONE).sign_in(town.inst, "wang")
    admin = Walker(chromium, served, PHONE).sign_in(town.inst, "sun")
    for who, paths in (
        (
            walker,
            ("/", "/campaigns/new", f"/campaigns/{draft}", f"/campaigns/{draft}/edit", f"/campaigns/{draft}/counts"),
        ),
        (admin, ("/users", "/audit", "/recipients")),
    ):
        for path in paths:
            who.page.goto(path)
            no_sideways(who)
            who.shot("phone" + path.replace("/", "-").replace(f"-{draft}", ""))
    plain = chromium.new_context(viewport=PHONE, java_script_enabled=False, base_url=served, locale="zh-CN")
    plain.add_cookies(walker.context.cookies())
    page = plain.new_page()
    page.goto(f"/campaigns/{draft}/edit")
    page.get_by_role("button", name="预览全部渠道").click()
    assert page.locator("#preview-sms").count() == 1
    page.goto(f"/campaigns/{draft}/counts")
    assert page.locator('meta[http-equiv="refresh"]').count() == 1


def test_the_form_is_filled_by_keyboard_alone(town: Any, served: str, chromium: Any) -> None:
    walker = Walker(chromium, served, DESK).sign_in(town.inst, "wang")
    page = walker.page
    page.goto("/campaigns/new?set=correction")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.getAttribute('href')") == "#main", "first the way past the menu"
    page.get_by_label("名称", exact=True).focus()
    page.keyboard.type("更正")
    with page.expect_navigation():
        page.keyboard.press("Enter")  # must not keep or send anything: the first button of the form only looks
    assert page.get_by_label("名称", exact=True).input_value() == "更正"
    with town.inst.store.read() as conn:
        assert conn.exec_driver_sql("SELECT count(*) FROM campaign").scalar() == 0
    seen = set()
    for _ in range(200):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement === document.body"):
            continue  # between the end of the page and its beginning
        seen.add(page.evaluate("document.activeElement.value || document.activeElement.textContent.trim()"))
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none", page.evaluate("document.activeElement.outerHTML.slice(0, 300)")
        if "submit" in seen:
            break
    assert {"preview", "save", "submit"} <= seen
