"""A small town of recipients, users and template sets, in which a whole campaign can be made."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from audio.clip import AudioFile, Clip
from broadcaster import people
from broadcaster.compose import campaigns, wording
from broadcaster.compose.campaigns import Campaign, Draft
from broadcaster.compose.recipients import NewRecipient, add_recipients
from broadcaster.installation import Installation, initialise
from broadcaster.model import Selection
from broadcaster.people import User
from broadcaster.store import places
from broadcaster.store.places import PlaceRow

PROVINCE, CHANGCHUN, YANBIAN = "220000000000", "220100000000", "222400000000"
NANGUAN, YANJI = "220102000000", "222401000000"
VILLAGE, KOREAN_VILLAGE = "220102001001", "222401001001"
TREE = [
    PlaceRow(PROVINCE, "吉林省", 1, None),
    PlaceRow(CHANGCHUN, "长春市", 2, PROVINCE),
    PlaceRow(NANGUAN, "南关区", 3, CHANGCHUN),
    PlaceRow("220102001000", "自强街道", 4, NANGUAN),
    PlaceRow(VILLAGE, "华阳社区", 5, "220102001000"),
    PlaceRow(YANBIAN, "延边朝鲜族自治州", 2, PROVINCE),
    PlaceRow(YANJI, "延吉市", 3, YANBIAN),
    PlaceRow("222401001000", "河南街道", 4, YANJI),
    PlaceRow(KOREAN_VILLAGE, "白玉社区", 5, "222401001000"),
]
PAGES = "128x32/16/gb18030/pages"
WIDE = "320x32/16/gb18030/scroll"
LANGUAGES = ("zh-CN", "ko", "en")

SETS: Mapping[str, Mapping[str, str]] = {
    "alarm": {
        "set.toml": """id = "alarm"
category = "emergency"
expires_hours = 1
title = { zh-CN = "紧急撤离", ko = "긴급 대피", en = "Leave now" }
signature = { zh-CN = "吉林消防", ko = "길림소방", en = "Jilin Fire" }
""",
        "sms.zh-CN.txt": "马上离开，往高处走。",
        "sms.ko.txt": "지금 바로 대피하십시오.",
        "loudspeaker.zh-CN.txt": "马上离开，往高处走。",
        "loudspeaker.ko.txt": "지금 바로 대피하십시오.",
        "billboard.zh-CN.txt": "马上离开",
        "social.zh-CN.txt": "马上离开，往高处走。",
    },
    "fair": {
        "set.toml": """id = "fair"
category = "promotion"
expires_hours = 48
title = { zh-CN = "消防开放日", ko = "소방 체험일", en = "Fire station open day" }
signature = { zh-CN = "吉林消防", ko = "길림소방", en = "Jilin Fire" }
[slots]
sms = ["name"]
[facts.day]
type = "date"
example = "2027-03-15"
label = { zh-CN = "哪天", ko = "날", en = "Day" }
[facts.county]
type = "text"
source = "segment"
default = { zh-CN = "本地", ko = "우리 고장", en = "this county" }
example = { zh-CN = "南关区", ko = "난관구", en = "Nanguan" }
label = { zh-CN = "县", ko = "현", en = "County" }
""",
        "sms.zh-CN.txt": "{{ name }}，{{ day }}{{ county }}消防站开放。",
        "sms.ko.txt": "{{ name }} 님, {{ day }} 소방서를 엽니다.",
        "social.zh-CN.txt": "{{ day }}消防站开放。",
    },
}


def _write_sets(folder: Path) -> None:
    for name, files in SETS.items():
        (folder / name).mkdir(parents=True)
        for file, content in files.items():
            (folder / name / file).write_text(content, encoding="utf-8")


def _recipients() -> Iterator[NewRecipient]:
    for i in range(8):
        category = "mall" if i % 2 else "school"
        yield NewRecipient(
            "sms", f"tel:+861380000{i:04d}", VILLAGE, f"张{i}", "zh-CN", premises=f"单位{i}", premises_category=category
        )
    for i in range(4):
        yield NewRecipient(
            "sms", f"tel:+861390000{i:04d}", KOREAN_VILLAGE, f"김{i}", "ko+zh-CN" if i else "ko",
            premises=f"백화점{i}", premises_category="mall",
        )  # fmt: skip
    yield NewRecipient("loudspeaker", "speaker:1", VILLAGE, languages="zh-CN", people=800, people_source="test")
    yield NewRecipient(
        "loudspeaker", "speaker:2", KOREAN_VILLAGE, languages="zh-CN+ko", people=300, people_source="test"
    )
    yield NewRecipient("billboard", "board:1", VILLAGE, format=PAGES, languages="zh-CN")
    yield NewRecipient("billboard", "board:2", VILLAGE, format=WIDE, languages="zh-CN")
    yield NewRecipient("billboard", "board:3", KOREAN_VILLAGE, format=PAGES, languages="zh-CN")
    yield NewRecipient("social", "wecom:1", CHANGCHUN, format="wecom", languages="zh-CN")


PLANNED = {"sms": 12, "loudspeaker": 2, "billboard": 3, "social": 1}


@dataclass
class Town:
    """An installation with recipients and the standing characters."""

    inst: Installation
    author: User
    approver: User
    both: User  # author and approver
    villager: User  # author of the unit of Yanbian
    stranger: User  # operator: may play, and nothing of this
    administrator: User

    def draft(self, **changes: Any) -> Draft:
        made = Draft(
            name="节后检查",
            template_set="fire-safety-reopening",
            mode="live",
            level=None,
            facts={"holiday": {"zh-CN": "春节", "ko": "설 연휴", "en": "the Spring Festival"}},
            selection=Selection(places=("22",)),
            channels=tuple(PLANNED),
        )
        return replace(made, **changes)

    def created(self, **changes: Any) -> Campaign:
        return campaigns.create(self.inst, self.author, self.draft(**changes))

    def submitted(self, **changes: Any) -> Campaign:
        return campaigns.submit(self.inst, self.author, self.created(**changes).id)

    def approved(self, **changes: Any) -> Campaign:
        return campaigns.approve(self.inst, self.approver, self.submitted(**changes).id)

    def rows(self, statement: str, **values: Any) -> list[tuple[Any, ...]]:
        with self.inst.store.read() as conn:
            return [tuple(row) for row in conn.execute(text(statement), values)]

    def do(self, statement: str, **values: Any) -> None:
        with self.inst.store.write() as conn:
            conn.execute(text(statement), values)


def fast_clip(parts: Any, folder: Path, *, chime: bool, repeat: int, engines: Any) -> Clip:
    """Files and digests as make_clip has them, without a voice: what is spoken is the audio room's to prove."""
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for suffix, kind in ((".mp3", "audio/mpeg"), (".wav", "audio/wav")):
        content = f"{list(parts)} {chime} {repeat} {suffix}".encode()
        digest = hashlib.sha256(content).hexdigest()
        (folder / f"{digest}{suffix}").write_bytes(content)
        made.append(AudioFile(digest, len(content), kind, f"{digest}{suffix}"))
    return Clip(made[0].sha256, *made, 12.5, "test", -20.0)


@pytest.fixture
def town_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Town]]:
    """`town_at(url)`: the town on a database, "" = its own SQLite file; its clips are made without a voice."""
    monkeypatch.setattr(wording, "make_clip", fast_clip)
    _write_sets(tmp_path / "sets")
    made: list[Installation] = []

    def town(url: str) -> Town:
        inst = initialise(home=tmp_path / "home", templates=tmp_path / "sets", database_url=url)
        made.append(inst)
        with inst.store.write() as conn:
            places.put_places(conn, TREE)
            places.put_unit(conn, "22", "总队", None, ["22"])
            for code, name in (("2201", "长春支队"), ("2224", "延边支队")):
                places.put_unit(conn, code, name, "22", [code])
        add_recipients(inst, _recipients())
        return Town(inst, **{name: _user(inst, name, *rest) for name, *rest in USERS})

    yield town
    for inst in made:
        inst.close()


@pytest.fixture
def town(town_at: Callable[[str], Town]) -> Town:
    """The town on SQLite."""
    return town_at("")


USERS = (
    ("author", ["author"], None),
    ("approver", ["approver"], None),
    ("both", ["author", "approver"], None),
    ("villager", ["author"], "2224"),
    ("stranger", ["operator"], "2224"),
    ("administrator", ["administrator"], None),
)


def _user(inst: Installation, login: str, roles: list[str], unit: str | None) -> User:
    return people.add_user(inst, "test", login, login.title(), roles, unit)
