"""What people type into cells, and which columns they type it into."""

from datetime import UTC, datetime

import pytest

from broadcaster.compose import cells
from broadcaster.compose.cells import CellProblem
from broadcaster.compose.columns import HEADERS, columns


@pytest.mark.parametrize(
    "written",
    [
        "13844112119",
        "１３８４４１１２１１９",
        "＋８６ １３８４４１１２１１９",
        "+86 138-4411-2119",
        "+8613844112119",
        "8613844112119",
        "0086 138 4411 2119",
        "86-13844112119",
        "138 4411 2119",
        "138—4411—2119",
        "(+86)13844112119",
        "013844112119",
        "13844112119.0",
        "'13844112119",
        "\u202d13844112119\u202c",
        "\ufeff13844112119\u200b",
        "\t13844112119\xa0",
    ],
)
def test_a_mobile_is_understood_however_it_is_written(written: str) -> None:
    assert cells.phone(written) == "+8613844112119"


@pytest.mark.parametrize(
    ("written", "code"),
    [
        ("", "phone-missing"),
        (" - ", "phone-missing"),
        ("1.38E+10", "phone-scientific"),
        ("1.38441E10", "phone-scientific"),
        ("0431-88912345", "phone-landline"),
        ("(0431) 88912345", "phone-landline"),
        ("88912345", "phone-landline"),
        ("+86 431 8891 2345", "phone-landline"),
        ("+82 10-1234-5678", "phone-foreign"),
        ("0082 10 1234 5678", "phone-foreign"),
        ("+1 202 555 0123", "phone-foreign"),
        ("+852 6123 4567", "phone-foreign"),
        ("13844112119/13944112119", "phone-several"),
        ("13844112119、13944112119", "phone-several"),
        ("1384411211", "phone-invalid"),
        ("138441121199", "phone-invalid"),
        ("12844112119", "phone-invalid"),
        ("12119", "phone-invalid"),
        ("4008001234", "phone-invalid"),
        ("1064912345678", "phone-invalid"),
        ("138x4112119", "phone-invalid"),
        ("王芳", "phone-invalid"),
        ("+", "phone-invalid"),
    ],
)
def test_what_takes_no_sms_is_refused_with_its_reason(written: str, code: str) -> None:
    with pytest.raises(CellProblem) as error:
        cells.phone(written)
    assert error.value.code == code
    assert len(error.value.message) > 10
    assert not any(part.isdigit() and len(part) > 6 for part in error.value.message.split())  # no number in a message


def test_the_hint_for_lost_digits_says_what_to_do() -> None:
    with pytest.raises(CellProblem, match="format the column as text"):
        cells.phone("1.38E+10")


@pytest.mark.parametrize(
    ("written", "languages"),
    [
        ("", None),
        ("zh", "zh-CN"),
        ("中文", "zh-CN"),
        ("朝鲜语", "ko"),
        ("한국어", "ko"),
        ("English", "en"),
        ("中文+朝鲜语", "zh-CN+ko"),
        ("朝鲜语、中文", "ko+zh-CN"),
        ("ko; zh-CN; ko", "ko+zh-CN"),
        ("ＺＨ－ＣＮ", "zh-CN"),
    ],
)
def test_languages_keep_the_order_they_are_named_in(written: str, languages: str | None) -> None:
    assert cells.languages(written) == languages


@pytest.mark.parametrize(
    ("written", "category"),
    [
        ("", None),
        ("商场", "mall"),
        ("Shopping Mall", "mall"),
        ("쇼핑몰", "mall"),
        ("工业企业", "factory"),
        ("仓储 物流", "warehouse"),
        ("병원", "hospital"),
        ("中小学", "school"),
        ("HOTELS", "hotel"),
        ("음식점", "restaurant"),
        ("ＫＴＶ", "entertainment"),
        ("其他", "other"),
    ],
)
def test_a_category_is_understood_in_three_languages(written: str, category: str | None) -> None:
    assert cells.category(written) == category


@pytest.mark.parametrize(
    ("read", "written", "code"),
    [
        (cells.category, "宇宙飞船", "category-unknown"),
        (cells.languages, "zh-CN+法语", "language-unknown"),
        (lambda text: cells.moment(text, "Asia/Shanghai"), "3月15日", "date-invalid"),
        (lambda text: cells.moment(text, "Asia/Shanghai"), "2026-02-30", "date-invalid"),
        (lambda text: cells.moment(text, "Asia/Shanghai"), "2026-03-15 25:00", "date-invalid"),
    ],
)
def test_a_word_that_is_not_known_is_refused_and_not_guessed(read, written: str, code: str) -> None:
    with pytest.raises(CellProblem) as error:
        read(written)
    assert error.value.code == code


@pytest.mark.parametrize(
    ("written", "utc"),
    [
        ("2026-03-15", (2026, 3, 14, 16, 0)),
        ("2026/3/15", (2026, 3, 14, 16, 0)),
        ("2026年3月15日", (2026, 3, 14, 16, 0)),
        ("2026-03-15 09:30", (2026, 3, 15, 1, 30)),
        ("2026/3/15 9:30", (2026, 3, 15, 1, 30)),
        ("2026-03-15T09:30:00+09:00", (2026, 3, 15, 0, 30)),
    ],
)
def test_a_date_is_meant_in_our_zone_unless_it_says_otherwise(written: str, utc: tuple[int, ...]) -> None:
    year, month, day, hour, minute = utc
    expected = datetime(year, month, day, hour, minute, tzinfo=UTC)
    assert cells.moment(written, "Asia/Shanghai") == int(expected.timestamp() * 1000)


def test_groups_are_split_at_every_usual_sign() -> None:
    assert cells.groups("演练组、校长; 演练组,a  b ,") == ("演练组", "校长", "a b")
    assert cells.groups("") == ()


@pytest.mark.parametrize(
    "headers",
    [
        ["手机", "姓名", "单位名称", "类别", "地区代码", "语言", "分组", "同意时间"],
        ["Phone", "Name", "Premises", "Category", "area_code", "Language", "Groups", "consent_at"],
        ["휴대폰 번호", "이름", "업체명", "업종", "지역 코드", "언어", "그룹", "동의일"],
        ["手机号(必填)", " 姓 名 *", "企业名称：", "场所类别", "行政区划代码", "语种", "组别", "授权日期"],
    ],
)
def test_headers_are_understood_in_three_languages(headers: list[str]) -> None:
    assert columns(headers) == {field: at for at, field in enumerate(HEADERS)}


def test_of_two_columns_that_fit_the_more_telling_is_taken() -> None:
    assert columns(["联系电话", "手机号", "地区", "行政区划代码"]) == {"phone": 1, "place": 3}
    assert columns(["序号", "备注"]) == {}


def test_no_header_stands_for_two_fields() -> None:
    words = [word for listed in HEADERS.values() for word in listed]
    assert len(words) == len(set(words))
