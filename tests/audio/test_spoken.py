"""The words that will be said: a golden file, and what holds for any text."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audio import chinese, english, korean
from audio.errors import SpokenError
from audio.spoken import LANGUAGES, check_words, spoken, syllables

GOLDEN = [
    line.split("\t") for line in Path(__file__).with_name("spoken.tsv").read_text(encoding="utf-8").splitlines() if line
]
WRITTEN = st.text(
    alphabet=st.sampled_from(
        "0123456789:-–~.,/%℃ 年月日时点分个米第共到119120至周一시월명℃amPMMay【】（）()'\"\n电话Tel：，。、!km²㎡·±≥"
    )
)


@pytest.mark.parametrize(("lang", "written", "expected"), GOLDEN, ids=[f"{i}-{g[0]}" for i, g in enumerate(GOLDEN, 1)])
def test_golden(lang: str, written: str, expected: str) -> None:
    written = written.replace("\\n", "\n")
    if not expected.startswith("!"):
        assert spoken(written, lang) == expected
        return
    with pytest.raises(SpokenError) as caught:
        spoken(written, lang)
    assert f"!{caught.value.code} {caught.value.where}".strip() == expected


def test_the_golden_file_covers_three_languages() -> None:
    count = {lang: sum(g[0] == lang for g in GOLDEN) for lang in LANGUAGES}
    assert len(GOLDEN) >= 60
    assert min(count.values()) >= 20


@pytest.mark.parametrize("lang", LANGUAGES)
@settings(max_examples=300, deadline=None)
@given(written=WRITTEN)
def test_any_text_is_said_in_full_or_refused_with_a_reason(lang: str, written: str) -> None:
    try:
        words = spoken(written, lang)
    except SpokenError as error:
        assert error.code in {"spoken-characters", "spoken-empty"}
        assert error.code == "spoken-empty" or error.where
    else:
        assert not any(c.isdigit() for c in words)
        check_words(words, lang)


@pytest.mark.parametrize("lang", LANGUAGES)
@given(written=st.text(max_size=200))
def test_no_text_breaks_the_rules(lang: str, written: str) -> None:
    try:
        assert spoken(written, lang).strip()
    except SpokenError as error:
        assert error.message


@pytest.mark.parametrize(("lang", "written"), [(g[0], g[2]) for g in GOLDEN if not g[2].startswith("!")])
def test_what_is_said_is_said_the_same_when_asked_again(lang: str, written: str) -> None:
    assert spoken(written, lang) == written


@pytest.mark.parametrize("unit", ["1", "1-", "1:", "1.", "a.", "3月15日-", "http://a", "(1)", "0,", "【", "1 시 "])
@pytest.mark.timeout(10)
def test_a_long_strange_text_takes_no_long_time(unit: str) -> None:
    for lang in LANGUAGES:
        with pytest.raises(SpokenError):
            spoken(unit * (20_000 // len(unit)) + "@", lang)


def test_an_unknown_language_is_refused() -> None:
    with pytest.raises(SpokenError) as caught:
        spoken("пожар", "ru")
    assert caught.value.code == "spoken-language"


def test_a_refusal_names_every_character_that_is_in_the_way() -> None:
    with pytest.raises(SpokenError) as caught:
        spoken("LED屏/A座@", "zh-CN")
    assert caught.value.where == "LED / A @"
    assert "LED / A @" in caught.value.message


def test_words_of_another_script_are_no_words_of_a_language() -> None:
    for words, lang in (("火情", "ko"), ("산불", "zh-CN"), ("火", "en"), ("119", "zh-CN"), ("", "en"), ("，", "zh-CN")):
        with pytest.raises(SpokenError):
            check_words(words, lang)


@pytest.mark.parametrize(
    ("n", "said"),
    [(0, "零"), (10, "十"), (110, "一百一十"), (1005, "一千零五"), (10010, "一万零一十"), (100500, "十万零五百"), (101000, "十万一千"),
     (20_000_000, "两千万"), (120_000_000, "一亿二千万"), (100_000_005, "一亿零五"), (1_000_100_000_000, "一万零一亿")],
)  # fmt: skip
def test_chinese_numbers(n: int, said: str) -> None:
    assert chinese.cardinal(n) == said


@pytest.mark.parametrize(
    ("n", "said"),
    [(0, "영"), (10, "십"), (11, "십일"), (110, "백십"), (1000, "천"), (10000, "만"), (11111, "만천백십일"), (110000, "십일만"),
     (100_000_000, "일억"), (100_010_000, "일억일만")],
)  # fmt: skip
def test_korean_numbers(n: int, said: str) -> None:
    assert korean.cardinal(n) == said


@pytest.mark.parametrize(
    ("n", "said"),
    [(0, "zero"), (15, "fifteen"), (40, "forty"), (101, "one hundred one"), (1_000_000, "one million"),
     (2_000_021, "two million twenty-one")],
)  # fmt: skip
def test_english_numbers(n: int, said: str) -> None:
    assert english.cardinal(n) == said


@pytest.mark.parametrize(
    ("n", "said"),
    [(1, "first"), (5, "fifth"), (12, "twelfth"), (20, "twentieth"), (22, "twenty-second"), (100, "one hundredth")],
)
def test_english_ordinals(n: int, said: str) -> None:
    assert english.ordinal(n) == said


@pytest.mark.parametrize(
    ("n", "said"),
    [(1900, "nineteen hundred"), (1998, "nineteen ninety-eight"), (2000, "two thousand"), (2005, "two thousand five"),
     (2027, "twenty twenty-seven"), (1905, "nineteen oh five")],
)  # fmt: skip
def test_english_years(n: int, said: str) -> None:
    assert english.year(n) == said


def test_syllables_are_counted_in_each_language() -> None:
    assert syllables("火情，请拨打幺幺九。", "zh-CN") == 8
    assert syllables("산불, 조심!", "ko") == 4
    assert syllables("Close the gate, please.", "en") == 4
