"""Written English into words: numbers, dates, times of day, units."""

import re

from audio.written import NUMBER, RANGE, hotline, is_clock, with_dates, with_phones

_ONES = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
_TENS = ("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_ORDINALS = {
    "one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth", "nine": "ninth", "twelve": "twelfth",
}  # fmt: skip
MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
UNITS = {
    "km/h": "kilometers per hour", "m/s": "meters per second", "km²": "square kilometers", "m²": "square meters",
    "m2": "square meters", "m³": "cubic meters", "m3": "cubic meters", "km": "kilometers", "cm": "centimeters",
    "mm": "millimeters", "m": "meters", "kg": "kilograms", "g": "grams", "t": "tons", "ml": "milliliters",
    "mL": "milliliters", "L": "liters", "h": "hours", "min": "minutes", "s": "seconds", "kV": "kilovolts",
    "kW": "kilowatts", "V": "volts", "W": "watts", "hPa": "hectopascals", "dB": "decibels", "ha": "hectares",
    "℃": "degrees Celsius", "°": "degrees", "%": "percent",
}  # fmt: skip
_MONTH = "(" + "|".join(f"{m}|{m[:3]}\\.?" for m in MONTHS) + ")"
_AMOUNT = (
    "(?:people|persons|men|women|children|percent|million|thousand|hundred|(?!always|as|is|was|this|us)[a-z]+s\\b"
    "|(?:k?m|cm|mm|k?g|h|min)\\b|[%℃°])"
)
_CUE = "(?i:\\b(?:call|dial|ring|phone|telephone|hotline|tel|fax|number)\\b\\.?)[:\\s]*"
_HOTLINE = hotline("112", "911")
_YEAR = "(?:19|20)\\d\\d"
_IN = "(?i:\\b(?:in|of|since|by|until|till|from|year|to|through|and))"
_HALF = "\\s?([AaPp])(?:[Mm]\\b|\\.\\s?[Mm](?:\\.(?!\\s+[A-Z]|\\s*$))?)"


def cardinal(n: int) -> str:
    """`n` (0 <= n < 10**15) in words: 5416 -> five thousand four hundred sixteen."""
    if n < 20:
        return _ONES[n]
    if n < 100:
        return _TENS[n // 10] + (f"-{_ONES[n % 10]}" if n % 10 else "")
    sizes = (("trillion", 10**12), ("billion", 10**9), ("million", 10**6), ("thousand", 1000), ("hundred", 100))
    word, size = next(s for s in sizes if n >= s[1])
    high, low = divmod(n, size)
    return f"{cardinal(high)} {word}" + (f" {cardinal(low)}" if low else "")


def ordinal(n: int) -> str:
    """1 -> first, 22 -> twenty-second."""
    head, mark, last = re.fullmatch(r"(?:(.*)([- ]))?(\w+)", cardinal(n)).groups("")  # type: ignore[union-attr]
    said = _ORDINALS.get(last) or (f"{last[:-1]}ieth" if last.endswith("y") else f"{last}th")
    return f"{head}{mark}{said}"


def year(n: int) -> str:
    """1998 -> nineteen ninety-eight, 2005 -> two thousand five, 2027 -> twenty twenty-seven."""
    high, low = divmod(n, 100)
    if low == 0 or n // 10 == 200:
        return cardinal(n) if n // 10 == 200 else f"{cardinal(high)} hundred"
    return f"{cardinal(high)} " + (f"oh {_ONES[low]}" if low < 10 else cardinal(low))


def figures(text: str) -> str:
    """Digit by digit."""
    return " ".join(_ONES[int(c)] for c in text if c.isdigit())


def _dialled(text: str) -> str:
    return ", ".join(figures(group) for group in text.split("-"))


def number(text: str) -> str:
    """A figure without sign: whole, decimal, or with leading zeros (then digit by digit)."""
    whole, _, part = text.partition(".")
    said = figures(whole) if len(whole) > 15 or (len(whole) > 1 and whole[0] == "0") else cardinal(int(whole))
    return said + (f" point {figures(part)}" if part else "")


def say(text: str) -> str:
    """Written English, normalised, into words. What no rule knows is left as it is, for the caller to refuse."""
    text = with_dates(text, lambda y, m, d: f"{MONTHS[m - 1]} {d}, {y}" if d else f"{MONTHS[m - 1]} {y}")
    text = with_phones(text, lambda groups: ", ".join(map(figures, groups)))
    text = re.sub(f"(?<= {_YEAR}) (?=\\d{{1,2}}:\\d\\d)", " at ", text)
    for step in (_clock, _dates, _numbered, _spans, _amounts, _remaining):
        text = step(text)
    return _marks(text)


def _clock(text: str) -> str:
    """6:30 -> six thirty, 6:00 -> six o'clock, 18:00 -> eighteen hundred, 6 pm -> six PM."""
    text = re.sub("\\b24/7\\b", "twenty-four seven", text)
    times = f"(?<![\\d:.])(\\d{{1,2}}):(\\d\\d)(?![\\d:])(?:{_HALF})?"
    text = re.sub(f"({times})\\s*{RANGE}\\s*(?=\\d{{1,2}}:\\d\\d)", r"\1 to ", text)
    text = re.sub(times, _time, text)
    text = re.sub(r"(?<![\d:.])(\d{1,3}):(\d{1,3})(?![\d:])", r"\1 to \2", text)
    text = re.sub(f"\\b(\\d{{1,2}})\\s?{RANGE}\\s?(?=\\d{{1,2}}{_HALF})", r"\1 to ", text)
    return re.sub(f"\\b(\\d{{1,2}}){_HALF}", lambda m: f"{cardinal(int(m[1]))} {m[2].upper()}M", text)


def _time(found: re.Match[str]) -> str:
    hour, minute, half = found[1], found[2], found[3]
    if not is_clock(hour, minute):
        return found[0]
    h, m = int(hour), int(minute)
    if m:
        said = f"{cardinal(h)} " + (f"oh {_ONES[m]}" if m < 10 else cardinal(m))
    elif half:
        said = cardinal(h)
    elif h in (0, 24):
        said = "midnight"
    else:
        said = f"{cardinal(h)} o'clock" if h <= 12 else f"{cardinal(h)} hundred"
    return f"{said} {half.upper()}M" if half else said


def _dates(text: str) -> str:
    """March 15, 2027 -> March fifteenth, twenty twenty-seven; 15 March -> the fifteenth of March; in 2027; 3rd -> third."""
    day = "(\\d{1,2})(?:st|nd|rd|th)?(?![\\d:.]\\d|\\d)"
    span = f"\\b{_MONTH} {day}\\s*(?:{RANGE}|to|until)\\s*(?:{_MONTH} )?{day}"
    text = re.sub(
        span, lambda m: f"{m[1]} {ordinal(int(m[2]))} to {m[3] + ' ' if m[3] else ''}{ordinal(int(m[4]))}", text
    )
    text = re.sub(f"\\b{_MONTH} {day}", lambda m: f"{_month(m[1])} {ordinal(int(m[2]))}", text)
    span = f"\\b(?:the )?{day}\\s?(?:{RANGE}|to)\\s?{day} (?:of )?{_MONTH}\\b"
    text = re.sub(span, lambda m: f"the {ordinal(int(m[1]))} to the {ordinal(int(m[2]))} of {_month(m[3])}", text)
    turned = f"\\b(?:the )?{day} (?:of )?{_MONTH}\\b"
    text = re.sub(turned, lambda m: f"the {ordinal(int(m[1]))} of {_month(m[2])}", text)
    text = re.sub(r"\b(\d{1,3})(?:st|nd|rd|th)\b", lambda m: ordinal(int(m[1])), text)
    after = f"((?:\\b{_MONTH}|[a-z](?:st|nd|rd|th)),? |{_IN} )({_YEAR})(?![\\d.:]\\d|\\d|\\s?{_AMOUNT})"
    text = re.sub(after, lambda m: m[1] + year(int(m[m.lastindex or 0])), text)
    years = f"(?<![\\d.-])({_YEAR})\\s?{RANGE}\\s?({_YEAR})(?![\\d-]|\\s?{_AMOUNT})"
    return re.sub(years, lambda m: f"{year(int(m[1]))} to {year(int(m[2]))}", text)


def _month(name: str) -> str:
    return next(m for m in MONTHS if m.startswith(name[:3]))


def _numbered(text: str) -> str:
    """Hotlines, telephone numbers after their cue, list marks, long runs of figures."""
    text = re.sub(f"({_CUE})(\\d{{3,13}}(?:-\\d{{3,8}})*)(?![\\d-]|\\.\\d)", lambda m: f"{m[1]}{_dialled(m[2])}", text)
    local = f"(?<![\\d.-])(?:\\d{{3}}-)?\\d{{3}}-\\d{{4}}(?![\\d-]|\\s?{_AMOUNT})"
    text = re.sub(local, lambda m: _dialled(m[0]), text)
    text = re.sub(f"(?<!\\d{RANGE}){_HOTLINE}(?!\\s?(?:{_AMOUNT}|{RANGE}\\s?\\d))", lambda m: figures(m[0]), text)
    text = re.sub(r"\bNo\.\s?(?=\d)", "number ", text)
    text = re.sub(r"(?m)(^|[.;:]\s+)[(]?(\d{1,2})[.)、](?=\s*[^\d\s])", lambda m: f"{m[1]}{number(m[2])}, ", text)
    return re.sub(
        "(?<![\\d.])\\d{7,}(?!\\d|\\.\\d)", lambda m: number(m[0]) if m[0].endswith("0000") else figures(m[0]), text
    )


def _spans(text: str) -> str:
    """8-10 -> 8 to 10. A chain (3-2-501) stays."""
    left = f"(?<!\\d{RANGE})(?<![\\d.])({NUMBER}\\s?(?:[%℃°]|km|cm|mm|m)?)"
    return re.sub(f"{left}\\s*{RANGE}\\s*(-?{NUMBER})(?!\\d|\\.\\d|\\s?{RANGE}\\d)", r"\1 to \2", text)


def _amounts(text: str) -> str:
    """Units in full, singular after 1; money; minus."""
    signs = "|".join(re.escape(u) for u in sorted(UNITS, key=len, reverse=True))
    text = re.sub(f"(?<![\\d.])({NUMBER})\\s?({signs})(?![A-Za-z0-9/²³])", _unit, text)
    for sign, said in (("\\$", "dollars"), ("¥|(?:RMB|CNY) ?", "yuan")):
        text = re.sub(f"(?:{sign})({NUMBER})( (?:hundred|thousand|million|billion))?", f"\\1\\2 {said}", text)
    for sign, said in (
        ("≥", "at least"),
        ("≤", "at most"),
        (">", "more than"),
        ("<", "less than"),
        ("±", "plus or minus"),
    ):
        text = re.sub(f"{sign}\\s?(?=\\d)", f"{said} ", text)
    text = re.sub(r"(?<=\d)\s?×\s?(?=\d)", " by ", text)
    return re.sub(r"(^|[\s,(])-(?=\d)", r"\1minus ", text)


def _unit(found: re.Match[str]) -> str:
    said = UNITS[found[2]]
    if found[1] == "1":
        said = (
            re.sub(r"\b(\w+)s\b(?! per)", r"\1", said, count=1)
            if " per " not in said
            else re.sub("s(?= per)", "", said)
        )
    return f"{found[1]} {said}"


def _remaining(text: str) -> str:
    """Every figure that is left is a number; letters beside it (3B, G12) stay apart from it."""
    text = re.sub(r"(?<=[A-Za-z])(?=\d)|(?<=\d)(?=[A-Za-z])", " ", text)
    return re.sub(f"(?<![\\d.]){NUMBER}", lambda m: number(m[0]), text)


def _marks(text: str) -> str:
    """Signs that are pauses or nothing; line ends are pauses. Apostrophes and hyphens stay inside words only."""
    text = text.replace('"', "").replace("&", " and ")
    text = re.sub(r"(^|\s)-+\s|[—–]{1,2}|-{2,}|…+|[()（）\[\]【】]|\n+", ", ", text)
    text = re.sub(r"(?<![A-Za-zÀ-ɏ])['-]|['-](?![A-Za-zÀ-ɏ])", "", text)
    return text.translate(str.maketrans("，。！？；：、", ",.!?;:,"))
