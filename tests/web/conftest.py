"""A small town with its people, and browsers that are signed in as one of them."""

import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html import unescape
from typing import Any

import httpx2 as httpx
import pytest
from fastapi.testclient import TestClient

from broadcaster import devices, people
from broadcaster.compose.recipients import NewRecipient, add_recipients
from broadcaster.deliver.runner import run_workers
from broadcaster.installation import Installation
from broadcaster.store import places
from broadcaster.store.places import PlaceRow
from broadcaster.web.app import create_app

PROVINCE, NANGUAN, YANJI = "220000000000", "220102000000", "222401000000"
VILLAGE, KOREAN_VILLAGE = "220102001001", "222401001001"
TREE = [
    PlaceRow(PROVINCE, "吉林省", 1, None),
    PlaceRow("220100000000", "长春市", 2, PROVINCE),
    PlaceRow(NANGUAN, "南关区", 3, "220100000000"),
    PlaceRow("220102001000", "自强街道", 4, NANGUAN),
    PlaceRow(VILLAGE, "华阳社区", 5, "220102001000"),
    PlaceRow("222400000000", "延边朝鲜族自治州", 2, PROVINCE),
    PlaceRow(YANJI, "延吉市", 3, "222400000000"),
    PlaceRow("222401001000", "河南街道", 4, YANJI),
    PlaceRow(KOREAN_VILLAGE, "白玉社区", 5, "222401001000"),
]
AUTHOR, APPROVER, OPERATOR, MANAGER, ADMINISTRATOR, STRANGER = "wang", "li", "jin", "zhao", "sun", "nobody"
CAST = {
    AUTHOR: ("王作者", ["author"], None),
    APPROVER: ("李审批", ["approver"], None),
    OPERATOR: ("金播放", ["operator"], "village"),
    MANAGER: ("赵负责", ["manager"], None),
    ADMINISTRATOR: ("孙管理", ["administrator"], None),
    STRANGER: ("路人", [], None),
}
PHONES = 6
DRAFT: dict[str, Any] = {
    "name": "春节后开业检查",
    "template_set": "fire-safety-reopening",
    "mode": "live",
    "facts": {"holiday": {"zh-CN": "春节", "ko": "설 연휴", "en": "the Spring Festival"}},
    "selection": {"places": [PROVINCE]},
    "channels": ["sms", "loudspeaker", "billboard", "social"],
}


@dataclass
class Town:
    """An installation with people and recipients; the tokens of its devices."""

    inst: Installation
    speaker: str
    korean_speaker: str
    board: str
    speaker_id: int
    korean_speaker_id: int


def _recipients() -> Iterator[NewRecipient]:
    for n in range(PHONES):
        korean = n == 0
        yield NewRecipient(
            "sms",
            f"tel:+8617400000{n:03}",
            KOREAN_VILLAGE if korean else VILLAGE,
            "김영수" if korean else f"张{n}",
            "ko" if korean else "zh-CN",
            premises="欧亚商场",
            premises_category="mall",
        )
    yield NewRecipient("loudspeaker", "speaker:1", VILLAGE, "华阳广播", "zh-CN", people=800, people_source="村委会")
    yield NewRecipient("loudspeaker", "speaker:2", KOREAN_VILLAGE, "白玉广播", "zh-CN+ko", people=500)
    yield NewRecipient(
        "billboard", "board:1", VILLAGE, "华阳大屏", "zh-CN", format="128x32/16/gb18030/pages", people=2000
    )
    key = "11111111-2222-3333-4444-555555555555"
    yield NewRecipient("social", f"wecom:{key}", "220100000000", "长春群", "zh-CN", format="wecom")


@pytest.fixture
def town(inst: Installation) -> Town:
    with inst.store.write() as conn:
        places.put_places(conn, TREE)
        places.put_unit(conn, "corps", "吉林总队", None, ["22"])
        places.put_unit(conn, "village", "华阳社区", "corps", [VILLAGE])
    add_recipients(inst, list(_recipients()))
    for login, (name, roles, unit) in CAST.items():
        people.add_user(inst, "system", login, name, roles, unit)
    with inst.store.read() as conn:
        rows = conn.exec_driver_sql(
            "SELECT id, channel FROM recipient WHERE channel IN ('loudspeaker', 'billboard') ORDER BY id"
        )
        ids = [(int(who), channel) for who, channel in rows]
    tokens = devices.enrol(inst, "system", [who for who, _ in ids])
    first, second = [who for who, channel in ids if channel == "loudspeaker"]
    board = next(who for who, channel in ids if channel == "billboard")
    return Town(inst, tokens[first], tokens[second], tokens[board], first, second)


class Browser:
    """A person's browser: sends forms as a page of ours would, with the token that the page holds."""

    def __init__(self, client: TestClient) -> None:
        self.client = client
        self.csrf = ""

    def see(self, path: str, status: int = 200, **headers: str) -> str:
        """The text of a page."""
        answer = self.client.get(path, headers=headers)
        assert answer.status_code == status, answer.text[:3000]
        found = re.search(r'name="csrf" value="([^"]+)"', answer.text)
        self.csrf = found[1] if found else self.csrf
        return answer.text

    def send(self, path: str, fields: dict[str, Any] | None = None, **more: Any) -> httpx.Response:
        """Sends a form; redirects are shown, not followed."""
        data = {"csrf": self.csrf, **(fields or {})}
        return self.client.post(path, data=data, follow_redirects=False, **more)


@pytest.fixture
def app(town: Town) -> Any:
    return create_app(town.inst)


@pytest.fixture
def signed_in(app: Any, town: Town) -> Iterator[Callable[[str], Browser]]:
    """`signed_in("wang")`: a browser in which that person has used a one-time link."""
    with TestClient(app, base_url="http://127.0.0.1:8000") as running:
        assert running.get("/livez").status_code == 200

        def sign_in(login: str) -> Browser:
            browser = Browser(TestClient(app, base_url="http://127.0.0.1:8000"))
            path = people.one_time_link(town.inst, "system", login)
            assert browser.client.post(path, follow_redirects=False).status_code == 303
            return browser

        yield sign_in


@pytest.fixture
def anybody(app: Any) -> Iterator[TestClient]:
    """A client that is not signed in."""
    with TestClient(app, base_url="http://127.0.0.1:8000") as client:
        yield client


@pytest.fixture
def calls(town: Town, anybody: TestClient) -> Callable[..., httpx.Response]:
    """`calls("wang", "GET", path, json=...)`: one call of the API with a token of that person."""
    tokens: dict[str, str] = {}

    def call(login: str, method: str, path: str, **more: Any) -> httpx.Response:
        if login not in tokens:
            tokens[login] = people.new_api_token(town.inst, "system", login, "test")
        headers = {"authorization": f"Bearer {tokens[login]}", **more.pop("headers", {})}
        return anybody.request(method, f"/api/v1{path}", headers=headers, **more)

    return call


@pytest.fixture
def working(town: Town) -> Iterator[None]:
    """The workers run meanwhile."""
    stop = threading.Event()
    thread = threading.Thread(target=run_workers, args=(town.inst, stop, "test"))
    thread.start()
    yield
    stop.set()
    thread.join(30)


def text_of(html: str) -> str:
    """What a person reads: no tags, entities resolved, blanks folded."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())


@pytest.fixture
def draft(town: Town, calls: Callable[..., httpx.Response]) -> int:
    """The number of a draft of the author."""
    answer = calls(AUTHOR, "POST", "/campaigns", json=DRAFT)
    assert answer.status_code == 201, answer.text
    return int(answer.json()["campaign"])


@pytest.fixture
def new_draft() -> dict[str, Any]:
    """What an author sends to make one."""
    return {**DRAFT}
