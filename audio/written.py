"""What written texts of every language share: forms of signs, links, signatures, telephone numbers, calendar dates."""

import re
import unicodedata
from collections.abc import Callable

# Chinese service numbers; in a text they are names, not amounts.
HOTLINES = frozenset((
    "110", "119", "120", "122", "12110", "12119", "12122", "12123", "12306", "12315", "12316", "12319", "12320", "12328",
    "12333", "12338", "12345", "12348", "12350", "12355", "12369", "12379", "12380", "12388", "12389", "12395", "95598", "96119",
))  # fmt: skip
NUMBER = r"\d+(?:\.\d+)?"
RANGE = "[-–—~]"

_FULL_WIDTH = {code: code - 0xFEE0 for code in (*range(0xFF10, 0xFF1A), *range(0xFF21, 0xFF3B), *range(0xFF41, 0xFF5B))}
_SIGNS = {
    **dict.fromkeys("～〜∼˜", "~"),
    **dict.fromkeys("－﹣−‐‑‒", "-"),
    **dict.fromkeys("·・•‧∙", "·"),
    **dict(zip("％＋＜＞＝／＠＃＆＿＊．＄￥′″”“‘’＇＂\u00a0\u3000", "%+<>=/@#&_*.$¥'\"\"\"'''\"  ", strict=True)),
    **{"㎡": "m²", "㎥": "m³", "㎢": "km²", "㎞": "km", "㎝": "cm", "㎜": "mm", "㎏": "kg", "㎎": "mg", "―": "—"},
    # invisible: joiners, marks of direction, variation selectors, soft hyphen
    **dict.fromkeys("\u200b\u200c\u200d\u200e\u200f\u2060\ufeff\u00ad\ufe0e\ufe0f", ""),
}
_SIGN_TABLE = str.maketrans({**_FULL_WIDTH, **_SIGNS})
_ROMAN = {chr(0x2160 + n): str(n + 1) for n in range(12)}
_CIRCLED = {chr(0x2460 + n): f"\n{n + 1}、" for n in range(20)}
_ROMAN_TABLE = str.maketrans({**_ROMAN, **_CIRCLED})

_LINK = re.compile(
    r"(?:[:：]\s*)?[(（<]?\b(?:(?:https?|ftp)://|www\.)[^\s\u3000-\u303f\u4e00-\u9fff\uac00-\ud7a3，。；：！？（）<>\"']+[)）>]?"
    r"|(?:[:：]\s*)?(?<![a-z0-9.@-])(?:[a-z0-9-]{1,63}\.){1,6}(?:cn|com|net|org|gov|edu|kr|io|info|top|vip|cc|me)\b(?:/[\w./?%&=+#-]*)?",
    re.IGNORECASE | re.ASCII,
)
# A heading in the same brackets must be heard: the mark of an exercise above all.
_HEADING = re.compile(
    "预警|警报|警告|通知|通告|公告|提示|提醒|紧急|注意|演练|演习|测试|试验|解除|更正|훈련|경보|주의|exercise|test|warning",
    re.I,
)
_SIGNATURE = re.compile(r"^\s*【[^【】]{1,30}】|【[^【】]{1,30}】\s*$")
_GROUPED = re.compile(r"(?<![\d.,])\d{1,3}(?:,\d{3})+(?![\d,])")
_DATE = re.compile(r"(?<![\d.])((?:19|20)\d\d)([-/.])(\d{1,2})\2(\d{1,2})(?!\d|[-/.]\d)(?:T(?=\d))?")
_MONTH = re.compile(r"(?<![\d.-])((?:19|20)\d\d)-(0[1-9])(?![\d-])")
_PHONES = (
    re.compile(r"(?<![\d.-])(?:\+?86[- ]?)?1[3-9]\d([- ]?)\d{4}\1\d{4}(?![\d-])"),  # mobile, China
    re.compile(r"(?<![\d.-])01[016789][- ]?\d{3,4}[- ]?\d{4}(?![\d-])"),  # mobile, Korea
    re.compile(r"(?<![\d.-])[48]00[- ]\d{3,4}[- ]\d{3,4}(?![\d-])"),
    re.compile(r"(?<![\d.-])[(（]?0[1-9]\d{1,2}[)） -]{1,2}\d{3,4}[- ]?\d{4}(?:-\d{1,4})?(?![\d-])"),  # land line
)


def hotline(*more: str) -> str:
    """The pattern of a hotline that stands alone; `more`: those of another country that a language's readers know."""
    return f"(?<![\\d.])(?:{'|'.join(sorted({*HOTLINES, *more}, key=len, reverse=True))})(?![\\d%‰]|[.:]\\d)"


def normalise(text: str) -> str:
    """`text` in one form of each sign: composed, half-width figures and letters, one dash, no invisible characters."""
    text = unicodedata.normalize("NFC", text).replace("° C", "℃").replace("°C", "℃")
    text = text.translate(_ROMAN_TABLE).translate(_SIGN_TABLE).replace("\r\n", "\n").replace("\r", "\n")
    text = re.sub(r"[\v\f\x85\u2028\u2029]", "\n", text)
    return re.sub(r"(?<=\d)[ \t]*[：﹕][ \t]*(?=\d)", ":", re.sub(r"[^\S\n]", " ", text))


def without_links(text: str) -> str:
    """`text` without web addresses, the colon before them and the brackets around them."""
    return _LINK.sub("", text)


def without_signature(text: str) -> str:
    """`text` without the 【sender】 that opens or closes an SMS. Headings in the same brackets stay."""
    return _SIGNATURE.sub(lambda m: m[0] if _HEADING.search(m[0]) else "", text)


def without_separators(text: str) -> str:
    """`text` with 5,416 written 5416. A list of hotlines (119,120) stays a list."""

    def join(found: re.Match[str]) -> str:
        groups = found[0].split(",")
        return found[0] if all(g in HOTLINES for g in groups) else "".join(groups)

    return _GROUPED.sub(join, text)


def with_dates(text: str, say: Callable[[int, int, int], str]) -> str:
    """`text` with each calendar date (2027-03-15, 2027/3/15, 2027.3.15, 2027-03) put as `say(year, month, day)`; day 0: none."""

    def date(found: re.Match[str]) -> str:
        year, month, day = int(found[1]), int(found[3]), int(found[4])
        return say(year, month, day) if 1 <= month <= 12 and 1 <= day <= 31 else found[0]

    text = _DATE.sub(date, text)
    return _MONTH.sub(lambda m: say(int(m[1]), int(m[2]), 0), text)


def with_phones(text: str, say: Callable[[list[str]], str], *more: re.Pattern[str]) -> str:
    """`text` with each telephone number put as `say(groups of figures as written)`; `more`: forms that only one language has."""

    def groups(found: re.Match[str]) -> str:
        return say(re.findall(r"\d+", found[0]))

    for pattern in (*_PHONES, *more):
        text = pattern.sub(groups, text)
    return text


def is_clock(hour: str, minute: str) -> bool:
    """Whether hour:minute is a time of day and not a score or a ratio. 24:00 counts."""
    return len(minute) == 2 and int(minute) < 60 and (int(hour) < 24 or (int(hour) == 24 and int(minute) == 0))
