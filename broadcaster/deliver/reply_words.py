"""What a phone's answer means: a wish not to hear from us, a confirmation, or something that a person must read.

Only a whole message counts as a wish or a confirmation, so that "1 人受伤" or "不要停 R" is read by a person.
"""

import re
import unicodedata
from enum import StrEnum

LONGEST_WISH = 12  # characters of a message that may begin with a word of refusal


class Kind(StrEnum):
    """What becomes of a reply."""

    OPT_OUT = "opt-out"
    CONFIRMATION = "confirmation"
    OTHER = "other"


# TD, T, R, N and 退订 are what Chinese messages ask for; STOP and its kin are what carriers elsewhere honour by themselves.
OPT_OUT = frozenset(
    {"td", "t", "r", "n", "tdhf", "退订", "拒收", "退", "取消订阅"}
    | {"stop", "stopall", "unsubscribe", "cancel", "end", "quit", "optout", "arret"}
    | {"거부", "수신거부", "해지", "그만", "무료거부"}
)
BEGINS = ("退订", "拒收", "수신거부", "unsubscribe")
CONFIRMATION = frozenset(
    {"1", "收到", "已收到", "已阅", "知道了", "好的", "确认"}
    | {"확인", "확인했습니다", "확인하였습니다", "받았습니다", "네"}
    | {"ok", "received", "confirm", "confirmed", "yes"}
)
# 불 is a syllable of many harmless words; those are left out. One alarm too many costs a look.
URGENT = re.compile(
    "着火|起火|失火|火灾|火警|冒烟|浓烟|爆炸|燃气泄漏|救命|求救|被困|受伤"
    "|화재|연기|폭발|살려|가스\\s*누출|갇혔|불(?!편|가|참|만|법|러|량|필요|확실|구|안|능|신|평|통|교|합)"
    "|\\b(?:fire|smoke|explosion|trapped|injured|emergency)\\b|\\bhelp\\b"
)


def kind_of(text: str) -> Kind:
    """What a reply is. Width, case, blanks and marks at its ends do not matter."""
    word = _plain(text)
    if word in OPT_OUT or (len(word) <= LONGEST_WISH and word.startswith(BEGINS)):
        return Kind.OPT_OUT
    return Kind.CONFIRMATION if word in CONFIRMATION else Kind.OTHER


def is_urgent(text: str) -> bool:
    """Whether it may tell of a fire or of people in need."""
    return URGENT.search(unicodedata.normalize("NFKC", text).casefold()) is not None


def _plain(text: str) -> str:
    kept = unicodedata.normalize("NFKC", text).casefold()
    return "".join(c for c in kept if unicodedata.category(c)[0] not in "PSZC")
