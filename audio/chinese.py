"""Written Chinese into the words of a Mandarin announcer. The order of the steps matters: each leaves fewer figures to the next."""

import re

from audio.written import NUMBER, RANGE, hotline, is_clock, with_dates, with_phones

FIGURES = "零一二三四五六七八九"
# Latin signs of units, and what is said for them.
UNITS = {
    "km/h": "公里每小时", "KM/H": "公里每小时", "m/s": "米每秒", "km²": "平方公里", "m²": "平方米", "m2": "平方米",
    "m³": "立方米", "m3": "立方米", "km": "公里", "KM": "公里", "cm": "厘米", "mm": "毫米", "m": "米", "kg": "公斤",
    "KG": "公斤", "mg": "毫克", "g": "克", "t": "吨", "ml": "毫升", "mL": "毫升", "L": "升", "h": "小时",
    "min": "分钟", "s": "秒", "kV": "千伏", "KV": "千伏", "kW": "千瓦", "KW": "千瓦", "V": "伏", "W": "瓦",
    "MPa": "兆帕", "hPa": "百帕", "dB": "分贝", "ha": "公顷", "°": "度",
}  # fmt: skip
# Words after which a figure is an amount, not a hotline or a telephone number.
_AMOUNT = (
    "(?:余|多|几)?(?:[个名人位辆台户家起次条件项只支座处所间层栋幢套张把块种类天年周秒米克吨升倍元角度级号"
    "岁批艘架万亿千百场具瓶桶袋箱份页节步头匹棵株亩盏根片遍趟分月日时点楼室℃%‰°]|小时|公里|千米|平方|立方|厘米|毫米|公斤"
    "|千克|毫升|公顷|摄氏度|千伏|千瓦|伏|瓦|分贝|兆帕|百帕|(?:k?m|cm|mm|k?g|h|min|kv|kw|m[23²³])(?![a-z]))"
)
# Words before which a lone 2 is said 两. Words that also number things (2号, 2级, 2楼, 2层, 2组, 2月) keep 二.
_TWO = (
    "(?:[个名人位辆台户家起次条件项只支座处所间套张把块种天周秒米克吨升倍元角岁批队艘架万亿千场部门具瓶桶袋箱份页节步口头匹棵株亩盏根片遍趟]"
    "|年(?![级度])|小时|点|分钟|公里|厘米|毫米|平方|立方|公斤|毫升|公顷)"
)
_CUE = "(?:电话|热线|拨打|[请可即直速]拨|致电|手机|传真|号码)(?:号码|号)?(?:[:：是为]|\\s)*"
_CALLS = "(?:余|多)?[个次条部台通万]"  # 报警电话200个: counted, not dialled
_NOT_AFTER = "(?<![共约近超过达第满另增减¥])(?<!\\d[到至])"
_SPAN_UNIT = "(?:[%‰℃°年月日号时点分秒级米元人岁层楼]|公里|小时|km/h|m/s|km|mm|cm|m)"
_HOTLINE = hotline()
_ROMAN = {"I": 1, "II": 2, "III": 3, "IV": 4, "V": 5}
_WEEK = "一二三四五六日天末"
_DAY = "(?:上午|下午|凌晨|中午|晚上|早上|傍晚|夜间|次日|当日|当天|今天|今日|明天|明日|周|星期)"
_NEGATIVE = "(?:(?<![\\dA-Za-z])-)?"
_PER_WHAT = "公里|千米|米|元|次|人|毫米|吨|公斤|升|立方米|件|户|辆"
_PER_TIME = "小时|时|分钟|分|秒|天|日|周|月|年|人|次|户|平方米|立方米|公里|升|吨"


def cardinal(n: int) -> str:
    """`n` (0 <= n < 10**16) in words: 5416 -> 五千四百一十六, 2000 -> 两千, 10 -> 十."""
    if n == 0:
        return "零"
    said = re.sub("^一(?=十)", "", _cardinal(n))
    return re.sub("^二(?=[千万亿])", "两", said)


def _cardinal(n: int) -> str:
    for unit, size in (("亿", 10**8), ("万", 10**4), ("千", 1000), ("百", 100), ("十", 10)):
        if n >= size:
            high, low = divmod(n, size)
            rest = ("零" if low < size // 10 else "") + _cardinal(low) if low else ""
            return _cardinal(high) + unit + rest
    return FIGURES[n]


def figures(text: str, one: str = "一") -> str:
    """Digit by digit. Telephone numbers say 1 as 幺, years as 一."""
    return "".join(one if c == "1" else FIGURES[int(c)] for c in text if c.isdigit())


def number(text: str) -> str:
    """A figure without sign: whole, decimal, or with leading zeros (then digit by digit)."""
    whole, _, part = text.partition(".")
    spelt = len(whole) > 16 or (len(whole) > 1 and whole[0] == "0")
    said = figures(whole) if spelt else cardinal(int(whole))
    return said + ("点" + figures(part) if part else "")


def say(text: str) -> str:
    """Written Chinese, normalised, into words. What no rule knows is left as it is, for the caller to refuse."""
    text = with_dates(text, lambda y, m, d: f"{y}年{m}月{d}日" if d else f"{y}年{m}月")
    text = with_phones(text, lambda groups: "，".join(map(_dialled, groups)))
    cued = f"({_CUE})(\\d{{3,13}}(?:-\\d{{3,8}})*)(?![\\d-]|\\.\\d|\\s?{_CALLS})"
    text = re.sub(cued, lambda m: m[1] + _dialled(m[2]), text)
    text = re.sub("(?<![A-Za-z])(I{1,3}|IV|V)(?=级)", lambda m: str(_ROMAN[m[1]]), text)
    for step in (_spans, _numbered, _clock, _rates, _amounts, _remaining):
        text = step(text)
    return _marks(text)


def _spans(text: str) -> str:
    """a-b -> a到b. A chain (3-2-501) is no span and stays."""
    left = f"(?<!\\d{RANGE})(?<![\\d.])({NUMBER}(?::\\d\\d)?\\s?{_SPAN_UNIT}?)"
    right = f"(-?\\d+(?:[.:]\\d+)?)(?!\\d|[.:]\\d|\\s?{RANGE}\\d)"
    text = re.sub(f"{left}\\s*{RANGE}\\s*{right}", r"\1到\2", text)
    text = re.sub(f"(\\d{_SPAN_UNIT}?)\\s*{RANGE}\\s*(?={_DAY})", r"\1到", text)
    text = re.sub(f"((?:周|星期)[{_WEEK}])\\s*{RANGE}+\\s*(?=(?:周|星期)?[{_WEEK}])", r"\1到", text)
    return re.sub(r"(?<=[\u4e00-\u9fff])\s*~\s*(?=[\u4e00-\u9fff\d])|(?<=\d)\s*~\s*(?=[\u4e00-\u9fff])", "到", text)


def _numbered(text: str) -> str:
    """Numbers that are names: hotlines, years, rooms, roads, days of remembrance, list marks."""
    text = re.sub(f"{_NOT_AFTER}{_HOTLINE}(?!\\s?(?:{_AMOUNT}|[到至]-?\\d))", lambda m: _dialled(m[0]), text)
    text = re.sub(r"(?<![\d.])([12]\d{3})(?=\s?年|[、和及与到至][12]\d{3}\s?年)", lambda m: figures(m[1]), text)
    room = r"(?<![\d.])(\d{3,4})\s?(?=室|房间|国道|省道|县道|路公交|路车|次列车|次航班)"
    text = re.sub(room, lambda m: _dialled(m[1]), text)
    text = re.sub(r"(?<!\d)11\s?·\s?9(?!\d)", "幺幺九", text)
    text = re.sub(r"(?<!\d)(\d{1,2})\s?·\s?(\d{1,2})(?!\d)", lambda m: figures(m[1] + m[2]), text)
    mark = r"(^|[。；：，\s])[(（]?(\d{1,2})\s?[.、)）](?=\s*[^\d\s])"
    text = re.sub(mark, lambda m: f"{m[1].strip() or '，'}{number(m[2])}，", text)
    return re.sub(f"(?<![\\d.])\\d{{7,}}(?!\\d|\\.\\d)(?!\\s?{_AMOUNT})", _long, text)


def _dialled(text: str) -> str:
    return "，".join(figures(group, one="幺") for group in text.split("-"))


def _long(found: re.Match[str]) -> str:
    """Seven figures and more without a unit are a telephone number, unless they are round."""
    return number(found[0]) if found[0].endswith("0000") else _dialled(found[0])


def _rates(text: str) -> str:
    """公里/小时 -> 公里每小时, 60km/h -> 60公里每小时, 3m -> 3米; 30% -> 百分之三十."""
    text = re.sub(f"(?<=\\d)\\s?({_PER_WHAT})/({_PER_TIME})", r"\1每\2", text)
    signs = "|".join(re.escape(u) for u in sorted(UNITS, key=len, reverse=True))
    text = re.sub(f"(?<=\\d)\\s?({signs})(?![A-Za-z0-9/])", lambda m: UNITS[m[1]], text)
    for sign, said in (("%", "百分之"), ("‰", "千分之")):
        span = f"({_NEGATIVE})({NUMBER}){sign}?到({NUMBER}){sign}"
        text = re.sub(span, lambda m, s=said: f"{_minus(m[1])}{s}{number(m[2])}到{s}{number(m[3])}", text)  # type: ignore[misc]
        one = f"({_NEGATIVE})({NUMBER})\\s?{sign}"
        text = re.sub(one, lambda m, s=said: f"{_minus(m[1])}{s}{number(m[2])}", text)  # type: ignore[misc]
    return text


def _minus(sign: str) -> str:
    return "负" if sign else ""


def _amounts(text: str) -> str:
    """Temperatures, money, comparisons, negative numbers, and 2 before a measure word."""
    text = re.sub(
        f"(?<![\\dA-Za-z])-({NUMBER})(?=(?:到-?{NUMBER})?\\s?(?:℃|摄氏度|度))", r"零下\1", text.replace("零下-", "零下")
    )
    text = re.sub(f"到-({NUMBER})(?=\\s?(?:℃|摄氏度|度))", r"到零下\1", text)
    text = re.sub(r"(?<=\d)\s?℃", "摄氏度", text)
    text = re.sub(f"¥\\s?({NUMBER})(万|亿)?元?", r"\1\2元", text)
    for sign, said in (("≥", "大于等于"), ("≤", "小于等于"), (">", "大于"), ("<", "小于"), ("±", "正负")):
        text = re.sub(f"{sign}\\s?(?=\\d)", said, text)
    text = re.sub(r"(?<=\d)\s?[×xX]\s?(?=\d)", "乘", text)
    text = re.sub(r"(^|[\s，。；：（(至到为达约是降])-(?=\d)", r"\1负", text)
    return re.sub(f"(?<![\\d.第:])2(?=\\s?{_TWO}|[到至]{NUMBER}\\s?{_TWO})", "两", text)


def _clock(text: str) -> str:
    """6:30 -> 六点三十分, 18:00 -> 十八点, 3:1 -> 三比一; 18时00分 -> 十八时."""
    text = re.sub(r"(?<![\d:.])(\d{1,2}):(\d\d)(?::(\d\d))?(?![\d:])", _time, text)
    text = re.sub(r"(?<![\d:.])(\d{1,3}):(\d{1,3})(?![\d:])", lambda m: f"{number(m[1])}比{number(m[2])}", text)
    return re.sub(r"(?<!\d)(\d{1,2})\s?([时点])\s?(\d\d)\s?分", lambda m: _hour(m[1], m[2]) + _minutes(m[3]), text)


def _time(found: re.Match[str]) -> str:
    if not is_clock(found[1], found[2]):
        return found[0]
    seconds = found[3] or "00"
    if seconds == "00":
        return _hour(found[1], "点") + _minutes(found[2])
    return _hour(found[1], "点") + (_minutes(found[2]) or "零分") + f"{_two_figures(seconds)}秒"


def _hour(figure: str, word: str) -> str:
    return ("两" if int(figure) == 2 and word == "点" else cardinal(int(figure))) + word


def _minutes(figure: str) -> str:
    return "" if figure == "00" else f"{_two_figures(figure)}分"


def _two_figures(figure: str) -> str:
    return ("零" if figure[0] == "0" else "") + cardinal(int(figure))


def _remaining(text: str) -> str:
    """Every figure that is left is a number. 06时 and 03月 lose their leading zero."""
    text = re.sub(r"(?<![\d.])0(?=\d\s?[月日时点])", "", text)
    return re.sub(f"(?<![\\d.]){NUMBER}", lambda m: number(m[0]), text)


def _marks(text: str) -> str:
    """Signs that are pauses or nothing; line ends are pauses. Blanks carry no sound between Chinese characters."""
    text = re.sub(r"(?<=[\u4e00-\u9fff])[○〇](?=[\u4e00-\u9fff○〇])", "零", text)
    text = re.sub(r"[\"《》〈〉「」『』]", "", text)
    text = re.sub(r"(?<=[\u4e00-\u9fff])·(?=[\u4e00-\u9fff])|(?<=[\u4e00-\u9fff])'|'(?=[\u4e00-\u9fff])", "", text)
    text = text.translate(str.maketrans(",.!?;:", "，。！？；："))
    return re.sub(
        r"[—–]{1,2}|…+|[()（）\[\]【】〔〕]|\n+|(?<=[零一二三四五六七八九幺]) +(?=[零一二三四五六七八九幺])", "，", text
    ).replace(" ", "")
