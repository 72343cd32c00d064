"""Invented recipients over the real tree of places: the same ones for the same seed.

Every number, name and estimate here is made up. Phones lie in 1740 0-5, the range of satellite telephones: valid in form and
seldom in use; and the demo's providers write to a file, so that none of them is ever called.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from broadcaster.compose.recipients import NewRecipient
from broadcaster.model import BadInput, PremisesCategory

FIRST_NUMBER, NUMBERS = 17_400_000_000, 6_000_000
YANBIAN = "2224"
SOURCE = "demo estimate"

# Of the first user's 5,416 enterprises three kinds are known by number; how the rest divides is made up.
ENTERPRISES = 5_416
KNOWN = {PremisesCategory.MALL: 209, PremisesCategory.FACTORY: 78, PremisesCategory.WAREHOUSE: 79}
REST = {
    PremisesCategory.HOSPITAL: 300,
    PremisesCategory.SCHOOL: 900,
    PremisesCategory.HOTEL: 600,
    PremisesCategory.RESTAURANT: 1_800,
    PremisesCategory.ENTERTAINMENT: 350,
    PremisesCategory.OTHER: ENTERPRISES - sum(KNOWN.values()) - 3_950,
}
ENTERPRISES_PER_PHONE = ENTERPRISES / 20_000

BOARDS = 1_000
BOARD_FORMATS = (
    "128x32/16/gb18030/pages",
    "192x96/16/gb18030/pages",
    "256x64/16/gb18030/pages",
    "320x32/16/gb18030/scroll",
)

_KINDS = {
    PremisesCategory.MALL: ("商场", "百货", "购物中心"),
    PremisesCategory.FACTORY: ("木业厂", "机械厂", "食品厂"),
    PremisesCategory.WAREHOUSE: ("仓库", "冷库", "物流仓"),
    PremisesCategory.HOSPITAL: ("医院", "卫生院", "诊所"),
    PremisesCategory.SCHOOL: ("小学", "中学", "幼儿园"),
    PremisesCategory.HOTEL: ("宾馆", "旅店", "酒店"),
    PremisesCategory.RESTAURANT: ("饭店", "面馆", "烧烤店"),
    PremisesCategory.ENTERTAINMENT: ("影院", "网吧", "歌厅"),
    PremisesCategory.OTHER: ("超市", "药店", "理发店"),
}
_GOOD = "福祥瑞兴隆康泰和顺安吉庆丰盛源达广聚德宏"
_SURNAMES = "王李张刘陈杨赵黄周吴徐孙马朱胡郭何高林罗"
_GIVEN = "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀霞平刚桂英华玉兰建国春梅"
_KOREAN_SURNAMES = ("김", "이", "박", "최", "정", "강", "조", "윤", "장", "임")
_KOREAN_GIVEN = ("민준", "서연", "지훈", "영희", "철수", "미경", "성호", "은주", "동현", "순자", "광수", "혜란")


@dataclass(frozen=True, slots=True)
class Premises:
    """An invented enterprise."""

    name: str
    category: PremisesCategory
    place: str


def phones(villages: Sequence[str], number: int, seed: int) -> Iterator[NewRecipient]:
    """So many phones of people responsible for premises; a third of Yanbian's are written to in Korean."""
    choose = random.Random(f"phones {seed}")  # noqa: S311  invented people need no secrecy
    made = premises(villages, max(1, round(number * ENTERPRISES_PER_PHONE)), seed)
    addresses = numbers(number, seed)
    for i, address in enumerate(addresses):
        at = made[i % len(made)]
        korean = at.place.startswith(YANBIAN) and choose.random() < 1 / 3
        yield NewRecipient(
            channel="sms",
            address=f"tel:+86{address}",
            place=at.place,
            name=_korean(choose) if korean else _chinese(choose),
            languages="ko" if korean else "zh-CN",
            premises=at.name,
            premises_category=at.category,
        )


def numbers(number: int, seed: int) -> Iterator[int]:
    """Distinct mobile numbers without +86, scattered over the range. Raises BadInput where there are not so many."""
    if number > NUMBERS:
        raise BadInput("recipients", f"the demo has {NUMBERS:,} invented numbers, not {number:,}")
    start = random.Random(f"numbers {seed}").randrange(NUMBERS)  # noqa: S311
    step = 2_654_437  # shares no divisor with NUMBERS, so every number comes once before one comes again
    return (FIRST_NUMBER + (start + i * step) % NUMBERS for i in range(number))


def premises(villages: Sequence[str], number: int, seed: int) -> list[Premises]:
    """Enterprises by category in the first user's proportions, no two of one name in one place."""
    choose = random.Random(f"premises {seed}")  # noqa: S311
    weights = {**KNOWN, **REST}
    made: list[Premises] = []
    seen: dict[tuple[str, str], int] = {}
    for category in choose.choices(list(weights), list(weights.values()), k=number):
        place = choose.choice(villages)
        name = "".join(choose.choices(_GOOD, k=2)) + choose.choice(_KINDS[category])
        again = seen[name, place] = seen.get((name, place), 0) + 1
        made.append(Premises(name if again == 1 else f"{name}{again}店", category, place))
    return made


def speakers(villages: Sequence[tuple[str, str]], seed: int) -> Iterator[NewRecipient]:
    """One loudspeaker a village unit (code, name), with an estimate of the people who hear it; two languages in Yanbian."""
    choose = random.Random(f"speakers {seed}")  # noqa: S311
    for code, name in villages:
        yield NewRecipient(
            channel="loudspeaker",
            address=f"speaker:{code}",
            place=code,
            name=f"{name}广播",
            languages=_spoken_in(code),
            people=choose.randrange(120, 2_400),
            people_source=SOURCE,
        )


def boards(villages: Sequence[tuple[str, str]], number: int, seed: int) -> Iterator[NewRecipient]:
    """Billboards of a few sizes."""
    choose = random.Random(f"boards {seed}")  # noqa: S311
    for i in range(number):
        code, name = choose.choice(villages)
        yield NewRecipient(
            channel="billboard",
            address=f"board:{code}-{i + 1:04}",
            place=code,
            name=f"{name}大屏{i + 1}",
            languages=_spoken_in(code),
            format=choose.choice(BOARD_FORMATS),
            people=choose.randrange(300, 6_000),
            people_source=SOURCE,
        )


def robots(seed: int) -> Iterator[NewRecipient]:
    """Two group chats with a robot."""
    choose = random.Random(f"robots {seed}")  # noqa: S311
    for name, place in (("长春消防安全群", "220100000000"), ("延边消防安全群", "222400000000")):
        key = "-".join(f"{choose.getrandbits(4 * n):0{n}x}" for n in (8, 4, 4, 4, 12))
        yield NewRecipient(
            channel="social",
            address=f"wecom:{key}",
            place=place,
            name=name,
            languages=_spoken_in(place),
            format="wecom",
        )


def _spoken_in(place: str) -> str:
    return "zh-CN+ko" if place.startswith(YANBIAN) else "zh-CN"


def _chinese(choose: random.Random) -> str:
    return choose.choice(_SURNAMES) + "".join(choose.choices(_GIVEN, k=choose.randrange(1, 3)))


def _korean(choose: random.Random) -> str:
    return choose.choice(_KOREAN_SURNAMES) + choose.choice(_KOREAN_GIVEN)
