"""Written Korean into the words of an announcer: Sino-Korean numbers, native ones before hours and counters, 6월 as 유월."""

import re

from audio.written import NUMBER, RANGE, hotline, is_clock, with_dates, with_phones

FIGURES = "영일이삼사오육칠팔구"
_ONES = ("", "한", "두", "세", "네", "다섯", "여섯", "일곱", "여덟", "아홉")
_TENS = ("", "열", "스물")
UNITS = {
    "km²": "제곱킬로미터", "m²": "제곱미터", "m2": "제곱미터", "m³": "세제곱미터", "m3": "세제곱미터",
    "km": "킬로미터", "cm": "센티미터", "mm": "밀리미터", "m": "미터", "kg": "킬로그램", "g": "그램", "t": "톤",
    "ml": "밀리리터", "mL": "밀리리터", "L": "리터", "kV": "킬로볼트", "kW": "킬로와트", "V": "볼트", "W": "와트",
    "hPa": "헥토파스칼", "dB": "데시벨", "ha": "헥타르", "°": "도",
}  # fmt: skip
# Counted with native numbers; above 20 announcers change to Sino-Korean ones.
_COUNTERS = "시간|명|개(?!월|년)|대(?!로|피)|곳|마리|가지|군데|채|그루|사람|살|건(?!물|강)|송이|병(?!원)"
_AMOUNT = (
    "(?:만|억|천|여|원|층|호|동|일|월|년|분|초|주|도|회|차|급|위안|미터|킬로|제곱|퍼센트|세대|가구|[%‰℃°]"
    f"|{_COUNTERS}|k?m|cm|mm|k?g)"
)
_CUE = "(?:전화|번호|연락처|핫라인|팩스)(?:번호)?(?:[:은는]|\\s)*"
_HOTLINE = hotline("112")
_PHONES = (
    re.compile(r"(?<![\d.-])02[)-]\d{3,4}-\d{4}(?![\d-])"),  # Seoul
    re.compile(r"(?<![\d.-])1[568]\d\d-\d{4}(?![\d-])"),  # service numbers
)
_MOMENT = "(?:시|분|일|월|년)"


def cardinal(n: int) -> str:
    """`n` (0 <= n < 10**16) in Sino-Korean words: 5416 -> 오천사백십육, 10000 -> 만."""
    if n == 0:
        return FIGURES[0]
    return re.sub("^일(?=만)", "", _cardinal(n))


def _cardinal(n: int) -> str:
    for unit, size in (("억", 10**8), ("만", 10**4), ("천", 1000), ("백", 100), ("십", 10)):
        if n >= size:
            high, low = divmod(n, size)
            one = high == 1 and size < 10**4  # 천, 백, 십 without 일; 일억 and an inner 일만 with it
            return ("" if one else _cardinal(high)) + unit + (_cardinal(low) if low else "")
    return FIGURES[n]


def native(n: int) -> str:
    """1..20 in native words as they stand before a counter: 3 -> 세, 20 -> 스무."""
    return "스무" if n == 20 else _TENS[n // 10] + _ONES[n % 10]


def dialled(text: str) -> str:
    """Digit by digit, 0 as 공: 010 -> 공일공."""
    return "".join({"0": "공", "-": ", "}.get(c) or FIGURES[int(c)] for c in text)


def number(text: str) -> str:
    """A figure without sign: whole, decimal, or with leading zeros (then digit by digit)."""
    whole, _, part = text.partition(".")
    spelt = len(whole) > 16 or (len(whole) > 1 and whole[0] == "0")
    said = dialled(whole) if spelt else cardinal(int(whole))
    return said + ("점" + "".join(FIGURES[int(c)] for c in part) if part else "")


def say(text: str) -> str:
    """Written Korean, normalised, into words. What no rule knows is left as it is, for the caller to refuse."""
    text = re.sub(r"\[Web발신\]", "", text)
    text = with_dates(text, lambda y, m, d: f"{y}년 {m}월 {d}일" if d else f"{y}년 {m}월")
    text = with_phones(text, lambda groups: ", ".join(map(dialled, groups)), *_PHONES)
    for step in (_numbered, _clock, _spans, _rates, _moments, _remaining):
        text = step(text)
    return _marks(text)


def _numbered(text: str) -> str:
    """Hotlines, telephone numbers, list marks."""
    text = re.sub(
        f"({_CUE})(\\d{{3,13}}(?:-\\d{{3,8}})*)(?![\\d-]|\\.\\d)(?!\\s?(?:통|{_AMOUNT}))",
        lambda m: m[1] + dialled(m[2]),
        text,
    )
    span = f"(?<!\\d{RANGE})"
    text = re.sub(f"{span}(?<![제약총]){_HOTLINE}(?!\\s?(?:{_AMOUNT}|{RANGE}\\s?\\d))", lambda m: dialled(m[0]), text)
    text = re.sub(r"(?<!\d)(\d{1,2})·(\d{1,2})(?!\d)", lambda m: dialled(m[1] + m[2]), text)
    text = re.sub(r"(^|[.;:,\s])[(]?(\d{1,2})\s?[.、)](?=\s*[^\d\s])", lambda m: f"{m[1]}{number(m[2])}, ", text)
    return re.sub(f"(?<![\\d.])\\d{{7,}}(?!\\d|\\.\\d)(?!\\s?{_AMOUNT})", _long, text)


def _long(found: re.Match[str]) -> str:
    """Seven figures and more without a unit are a telephone number, unless they are round."""
    return number(found[0]) if found[0].endswith("0000") else dialled(found[0])


def _clock(text: str) -> str:
    """6:30 -> 6시 30분, 18:00 -> 18시; 3:1 -> 3 대 1."""
    text = re.sub(r"(?<![\d:.])(\d{1,2}):(\d\d)(?::(\d\d))?(?![\d:])", _time, text)
    text = re.sub(r"(?<![\d:.])(\d{1,3}):(\d{1,3})(?![\d:])", r"\1 대 \2", text)
    return re.sub(r"(?<=\d)시\s?00분", "시", text)


def _time(found: re.Match[str]) -> str:
    if not is_clock(found[1], found[2]):
        return found[0]
    minutes = "" if found[2] == "00" else f" {int(found[2])}분"
    seconds = f" {int(found[3])}초" if found[3] and found[3] != "00" else ""
    return f"{int(found[1])}시{minutes}{seconds}"


def _spans(text: str) -> str:
    """8~10급 -> 8에서 10급; between moments (9시~18시) 9시부터 18시까지. A chain (3-2-501) stays."""
    moment = f"\\d+{_MOMENT}(?:\\s\\d+{_MOMENT})*"
    day = "(?:(?:오전|오후|다음 날|익일)\\s?)?"
    until = "(?P<till>\\s?까지)?(?P<particle>[가-힣])?"
    span = f"({moment})\\s*{RANGE}\\s*({day}{moment}){until}"
    text = re.sub(span, _until, text)
    left = f"(?<!\\d{RANGE})(?<![\\d.])({NUMBER}\\s?(?:[%‰℃°]|km|cm|mm|m|{_MOMENT}|도|명|개)?)"
    right = f"(-?{NUMBER})(?!\\d|[.]\\d|\\s?{RANGE}\\d)"
    text = re.sub(f"{left}\\s*{RANGE}\\s*{right}", r"\1에서 \2", text)
    return re.sub(r"(?<=[\uac00-\ud7a3])\s*~\s*(?=[\uac00-\ud7a3])", "에서 ", text)


def _until(found: re.Match[str]) -> str:
    first, last, till, particle = found[1], found[2], found["till"], found["particle"] or ""
    if particle and not till:
        return f"{first}에서 {last}{particle}"  # 에서 takes any particle after it; 부터 wants 까지
    return f"{first}부터 {last}까지{particle}"


def _rates(text: str) -> str:
    """60km/h -> 시속 60킬로미터, 35℃ -> 섭씨 35도, 50% -> 50 퍼센트."""
    value = f"({NUMBER}(?:에서 {NUMBER})?)\\s?"
    text = re.sub(f"(?:시속\\s?)?{value}(?:km/h|킬로미터/시간?)", r"시속 \1km", text)
    text = re.sub(f"(?:초속\\s?)?{value}(?:m/s|미터/초)", r"초속 \1m", text)
    text = re.sub(f"(?<![\\dA-Za-z])-(?={NUMBER}\\s?(?:에서 -?{NUMBER}\\s?)?(?:℃|도))", "영하 ", text)
    text = re.sub(f"(?<!섭씨)(?<!섭씨 )(?<![\\d.])(?<!영하 )(?<!에서 ){value}℃", r"섭씨 \1℃", text)
    text = re.sub(r"(?<=\d)\s?℃", "도", text)
    signs = "|".join(re.escape(u) for u in sorted(UNITS, key=len, reverse=True))
    text = re.sub(f"(?<=\\d)\\s?({signs})(?![A-Za-z0-9/])", lambda m: " " + UNITS[m[1]], text)
    text = re.sub(r"(?<=\d)\s?%", " 퍼센트", text)
    text = re.sub(f"[¥￥]\\s?({NUMBER}[만억]?)", r"\1위안", text)
    return re.sub(r"(^|[\s,.(])-(?=\d)", r"\1마이너스 ", text)


def _moments(text: str) -> str:
    """Hours and counters in native words, June and October by their own names."""
    hour = r"(?<![\d.])(\d{1,2})\s?시(?!간)\s?"
    text = re.sub(hour, lambda m: f"{_hour(int(m[1]))} 시" + (" " if m[0][-1] != "시" else ""), text)
    text = re.sub(r"(?<![\d.])0?6\s?월", "유월", text)
    text = re.sub(r"(?<![\d.])10\s?월", "시월", text)
    span = f"(?<![\\d.])(\\d+)에서 (\\d+)\\s?({_COUNTERS})"
    text = re.sub(span, lambda m: f"{_count(int(m[1]))} {m[3]}에서 {_count(int(m[2]))} {m[3]}", text)
    count = f"(?<![\\d.])(?<!제)(?<!제 )(\\d+)\\s?(?=(?:{_COUNTERS}))"
    text = re.sub(count, lambda m: _count(int(m[1])) + " ", text)
    text = re.sub(r"(?<![\d.])1\s?(?=만)", "", text)
    return re.sub(r"(?<![\d.])0(?=\d\s?[월일분초])", "", text)


def _hour(hour: int) -> str:
    return native(hour) if 1 <= hour <= 12 else cardinal(hour)


def _count(n: int) -> str:
    return native(n) if 1 <= n <= 20 else cardinal(n)


def _remaining(text: str) -> str:
    """Every figure that is left is a Sino-Korean number."""
    return re.sub(f"(?<![\\d.]){NUMBER}", lambda m: number(m[0]), text)


def _marks(text: str) -> str:
    """Signs that are pauses or nothing; line ends are pauses."""
    text = re.sub(r"[\"'《》〈〉「」『』]", "", text)
    text = text.translate(str.maketrans("，。！？；：、", ",.!?;:,"))
    text = re.sub(r"(?<=[\uac00-\ud7a3])·(?=[\uac00-\ud7a3])", ", ", text)
    return re.sub(r"\s[-–—]\s|[—–]{1,2}|…+|[()（）\[\]【】〔〕]|\n+", ", ", text)
