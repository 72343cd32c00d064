"""What a fact becomes inside a template: values that print as the public says them, in the language of the text.

A day prints as 3月15日, 3월 15일 or 15 March and still compares as a day; a choice prints as its word and compares with its
code. A template can print, compare and filter them, and reach nothing else of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, time

from broadcaster.model import Level, PremisesCategory

LANGUAGES = ("zh-CN", "ko", "en")

Words = Mapping[str, str]  # language -> word


def _words(zh: str, ko: str, en: str) -> Words:
    return dict(zip(LANGUAGES, (zh, ko, en), strict=True))


PREMISES_CATEGORIES: Mapping[str, Words] = {
    PremisesCategory.MALL: _words("商场", "상가", "shopping mall"),
    PremisesCategory.FACTORY: _words("工厂", "공장", "factory"),
    PremisesCategory.WAREHOUSE: _words("仓库", "창고", "warehouse"),
    PremisesCategory.HOSPITAL: _words("医院", "병원", "hospital"),
    PremisesCategory.SCHOOL: _words("学校", "학교", "school"),
    PremisesCategory.HOTEL: _words("宾馆", "호텔", "hotel"),
    PremisesCategory.RESTAURANT: _words("饭店", "식당", "restaurant"),
    PremisesCategory.ENTERTAINMENT: _words("娱乐场所", "오락 시설", "entertainment venue"),
    PremisesCategory.OTHER: _words("单位", "업체", "business"),
}
LEVELS: Mapping[str, Words] = {
    Level.BLUE: _words("蓝色", "청색", "blue"),
    Level.YELLOW: _words("黄色", "황색", "yellow"),
    Level.ORANGE: _words("橙色", "주황색", "orange"),
    Level.RED: _words("红色", "적색", "red"),
}
LANGUAGE_NAMES: Mapping[str, Words] = {
    "zh-CN": _words("中文", "중국어", "Chinese"),
    "ko": _words("朝鲜语", "조선말", "Korean"),
    "en": _words("英语", "영어", "English"),
}
NAMED_CHOICES: Mapping[str, Mapping[str, Words]] = {
    "premises_category": PREMISES_CATEGORIES,
    "level": LEVELS,
    "language": LANGUAGE_NAMES,
}

_MONTHS = (
    "January February March April May June July August September October November December".split()  # noqa: SIM905
)
_WEEKDAYS: Mapping[str, tuple[str, ...]] = {
    "zh-CN": tuple(f"星期{day}" for day in "一二三四五六日"),
    "ko": tuple(f"{day}요일" for day in "월화수목금토일"),
    "en": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
}


@dataclass(frozen=True, slots=True, order=True)
class Day:
    """A date as said in `language`. Compares by date."""

    day: date
    language: str

    def __str__(self) -> str:
        month, day = self.day.month, self.day.day
        if self.language == "zh-CN":
            return f"{month}月{day}日"
        if self.language == "ko":
            return f"{month}월 {day}일"
        return f"{day} {_MONTHS[month - 1]}"


@dataclass(frozen=True, slots=True, eq=False)
class Word:
    """A choice: prints as the word of one language, compares with its code."""

    code: str
    word: str

    def __str__(self) -> str:
        return self.word

    def __eq__(self, other: object) -> bool:
        return other.code == self.code if isinstance(other, Word) else other == self.code

    def __hash__(self) -> int:
        return hash(self.code)


def clock(moment: time, language: str) -> str:
    """A time of day as said: 8点30分, 8시 30분, 8:30. Twenty-four hours, so that night and day cannot be mistaken."""
    hour, minute = moment.hour, moment.minute
    if language == "zh-CN":
        return f"{hour}点{minute:02d}分" if minute else f"{hour}点"
    if language == "ko":
        return f"{hour}시 {minute}분" if minute else f"{hour}시"
    return f"{hour}:{minute:02d}"


def with_year(value: Day) -> str:
    """Filter `year`: 2027年3月15日, 2027년 3월 15일, 15 March 2027."""
    if value.language == "zh-CN":
        return f"{value.day.year}年{value}"
    if value.language == "ko":
        return f"{value.day.year}년 {value}"
    return f"{value} {value.day.year}"


def short(value: Day) -> str:
    """Filter `short`, for boards: 3月15日, 3.15, 15 Mar."""
    if value.language == "ko":
        return f"{value.day.month}.{value.day.day}"
    return str(value) if value.language == "zh-CN" else f"{value.day.day} {_MONTHS[value.day.month - 1][:3]}"


def weekday(value: Day) -> str:
    """Filter `weekday`: 星期一, 월요일, Monday."""
    return _WEEKDAYS[value.language][value.day.weekday()]


def grouped(value: str) -> str:
    """Filter `grouped`: a mobile number as people read it, 138 4411 2119. Other numbers stay as they are."""
    digits = str(value)
    if len(digits) == 11 and digits.isascii() and digits.isdigit() and digits.startswith("1"):
        return f"{digits[:3]} {digits[3:7]} {digits[7:]}"
    return digits
