"""What stands in the cells of a file of recipients: phones, languages, categories, groups, dates. Problems have stable codes."""

import re
import unicodedata
from collections.abc import Mapping

import phonenumbers

from broadcaster.model import BadInput, PremisesCategory
from broadcaster.store.clock import from_rfc3339


class CellProblem(Exception):
    """A cell that cannot be used: a stable code, and what is wrong and what to do."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


COUNTRIES = frozenset({86})  # country codes that may be written to

# Nearly every cell is one of these, and phonenumbers takes 27 times as long for it.
_MOBILE = re.compile(r"(?:(?:\+|00)?86[ -]?)?(1[3-9]\d)[ -]?(\d{4})[ -]?(\d{4})", re.ASCII)
_SCIENTIFIC = re.compile(r"\d(?:[.,]\d+)?[eE]\+?\d+", re.ASCII)
_DIGIT_RUN = re.compile(r"\d{11,}", re.ASCII)
# Blanks, hyphens and dashes, brackets, quotes, dots, and the marks of direction that phone books put around a number.
_NOISE = re.compile(r"[\s\-\u2010-\u2015\u2212()'\"`\u00b7.\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]")


def phone(written: str) -> str:
    """The number of a mobile as E.164: "+8613844112119". Raises CellProblem phone-*."""
    found = _MOBILE.fullmatch(written) or _MOBILE.fullmatch(_plain(written))
    return f"+86{found[1]}{found[2]}{found[3]}" if found else _other_phone(written)


def typed_phone(written: str) -> str:
    """The same for one number that a person typed by itself. Raises BadInput phone-*."""
    try:
        return phone(written)
    except CellProblem as problem:
        raise BadInput(problem.code, problem.message) from problem


def _plain(written: str) -> str:
    text = unicodedata.normalize("NFKC", written).strip()
    if text.endswith(".0"):  # a number that passed through a program which made it a fraction; no digit is lost
        text = text[:-2]
    return _NOISE.sub("", text)


def _other_phone(written: str) -> str:
    text = unicodedata.normalize("NFKC", written).strip()
    plain = _plain(written)
    if not plain:
        raise CellProblem("phone-missing", "there is no phone number")
    if _SCIENTIFIC.fullmatch(text):
        hint = "format the column as text or as a number without decimals, and save again"
        raise CellProblem("phone-scientific", f"written as a power of ten: its last digits are lost; {hint}")
    if len(_DIGIT_RUN.findall(text)) > 1:
        raise CellProblem("phone-several", "more than one number in the cell; give each a row of its own")
    return _parsed(plain)


def _parsed(plain: str) -> str:
    if re.search(r"[^\d+]", plain):
        raise CellProblem("phone-invalid", "there are other signs than digits in the number")
    try:
        number = phonenumbers.parse(plain, "CN")
    except phonenumbers.NumberParseException as error:
        raise CellProblem("phone-invalid", "not a phone number") from error
    if number.country_code not in COUNTRIES:
        raise CellProblem("phone-foreign", f"a number of country +{number.country_code}; only +86 is written to")
    kind = phonenumbers.number_type(number)
    if kind in (phonenumbers.PhoneNumberType.MOBILE, phonenumbers.PhoneNumberType.FIXED_LINE_OR_MOBILE):
        return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    digits = len(str(number.national_number))
    if str(number.national_number).startswith("1") and digits < 11:
        raise CellProblem(
            "phone-invalid", f"a mobile number of China has 11 digits, this one {digits}: is one missing?"
        )
    if kind == phonenumbers.PhoneNumberType.FIXED_LINE or digits in (7, 8):
        raise CellProblem("phone-landline", "a landline takes no SMS; give a mobile number")
    raise CellProblem(
        "phone-invalid", f"not a mobile number of China: it has {digits} digits, a mobile has 11 from 13 to 19"
    )


_LANGUAGES: Mapping[str, tuple[str, ...]] = {
    "zh-CN": ("zh-cn", "zh", "zh-hans", "chinese", "mandarin", "中文", "汉语", "汉文", "普通话", "简体中文", "중국어"),
    "ko": ("ko", "ko-kr", "ko-cn", "korean", "朝鲜语", "朝语", "朝鲜文", "朝文", "韩语", "韩文", "조선어", "한국어", "조선말"),
    "en": ("en", "en-us", "en-gb", "english", "英语", "英文", "영어"),
}  # fmt: skip
_LANGUAGE_WORDS = {word: tag for tag, words in _LANGUAGES.items() for word in words}
_BETWEEN = re.compile(r"[+,;/|、，；和\s]+")


def languages(written: str) -> str | None:
    """A language list in the order given, as "zh-CN+ko"; None for an empty cell. Raises CellProblem language-unknown."""
    words = [word for word in _BETWEEN.split(unicodedata.normalize("NFKC", written).lower()) if word]
    unknown = [word for word in words if word not in _LANGUAGE_WORDS]
    if unknown:
        raise CellProblem("language-unknown", f"no language is called {unknown[0]!r}; use zh-CN, ko or en, joined by +")
    return "+".join(dict.fromkeys(_LANGUAGE_WORDS[word] for word in words)) or None


_CATEGORIES: Mapping[PremisesCategory, tuple[str, ...]] = {
    PremisesCategory.MALL: (
        "商场", "商场市场", "商业综合体", "大型商业综合体", "综合体", "购物中心", "百货", "超市", "市场", "集贸市场",
        "shopping mall", "shopping centre", "shopping center", "department store", "supermarket", "market", "shop",
        "쇼핑몰", "백화점", "상가", "시장", "마트"),
    PremisesCategory.FACTORY: (
        "工厂", "工业企业", "工业", "厂房", "生产企业", "制造业", "制造企业", "劳动密集型企业",
        "industry", "industrial", "manufacturer", "plant", "공장", "공업기업", "산업체"),
    PremisesCategory.WAREHOUSE: (
        "仓库", "仓储", "仓储物流", "物流仓储", "物流", "仓储企业", "storage", "logistics", "창고", "물류창고", "물류"),
    PremisesCategory.HOSPITAL: (
        "医院", "医疗机构", "卫生院", "诊所", "医疗",
        "clinic", "medical", "health centre", "병원", "의원", "의료기관"),
    PremisesCategory.SCHOOL: (
        "学校", "中小学", "小学", "中学", "大学", "高校", "幼儿园", "培训机构", "教育机构", "托育机构",
        "kindergarten", "university", "college", "education", "학교", "유치원", "대학교", "학원"),
    PremisesCategory.HOTEL: (
        "宾馆", "酒店", "旅馆", "宾馆饭店", "宾馆酒店", "民宿", "招待所",
        "guesthouse", "guest house", "hostel", "inn", "호텔", "여관", "숙박시설", "모텔", "민박"),
    PremisesCategory.RESTAURANT: (
        "餐馆", "餐饮", "餐饮场所", "饭店", "饭馆", "餐厅", "catering", "canteen", "cafe", "식당", "음식점", "레스토랑"),
    PremisesCategory.ENTERTAINMENT: (
        "娱乐", "娱乐场所", "公共娱乐场所", "歌舞娱乐", "ktv", "网吧", "影院", "电影院", "影剧院", "洗浴", "洗浴中心",
        "cinema", "theatre", "theater", "karaoke", "nightclub", "internet cafe", "오락", "유흥업소", "노래방", "영화관"),
    PremisesCategory.OTHER: ("其他", "其它", "其他单位", "其他场所", "misc", "기타"),
}  # fmt: skip


def _word(written: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", written).lower().replace("_", " ").split())


_CATEGORY_WORDS = {
    _word(word): category.value
    for category, words in _CATEGORIES.items()
    for word in (category.value, f"{category.value}s", *words)
}


def category(written: str) -> str | None:
    """A word of PremisesCategory from a word in Chinese, English or Korean; None for an empty cell.

    Raises CellProblem category-unknown: a kind that were guessed wrong would miss the warnings meant for it.
    """
    word = _word(written)
    if not word:
        return None
    found = _CATEGORY_WORDS.get(word) or _CATEGORY_WORDS.get(word.replace(" ", ""))
    if found is None:
        known = ", ".join(PremisesCategory)
        raise CellProblem("category-unknown", f"no category is called {word!r}; use one of {known}")
    return found


_GROUPS = re.compile(r"[,;|、，；\n]+")


def groups(written: str) -> tuple[str, ...]:
    """Names of groups, separated by comma, semicolon, bar or their Chinese forms."""
    return tuple(dict.fromkeys(name for part in _GROUPS.split(written) if (name := " ".join(part.split()))))


_DATE = re.compile(r"(\d{4})\s*[-/.年]\s*(\d{1,2})\s*[-/.月]\s*(\d{1,2})\s*日?(?:[T\s]+(.+))?")


def moment(written: str, zone: str) -> int | None:
    """A date or time as milliseconds since the epoch, meant in `zone` where it has no offset; None for an empty cell.

    Raises CellProblem date-invalid.
    """
    text = unicodedata.normalize("NFKC", written).strip()
    if not text:
        return None
    found = _DATE.fullmatch(text)
    try:
        if found is None:
            raise ValueError(text)
        day = f"{found[1]}-{int(found[2]):02}-{int(found[3]):02}"
        return from_rfc3339(f"{day}T{found[4].zfill(5)}" if found[4] else day, zone)
    except (ValueError, OverflowError) as error:
        raise CellProblem("date-invalid", "not a date; write it as 2026-03-15 or 2026-03-15 09:30") from error
