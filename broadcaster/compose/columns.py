"""Which column of a file is which: headers in Chinese, English and Korean."""

import re
import unicodedata
from collections.abc import Mapping, Sequence

# The earlier word wins where two columns could be the same field: a mobile before a phone, a code before a name of a place.
HEADERS: Mapping[str, tuple[str, ...]] = {
    "phone": (
        "手机号码", "手机号", "手机", "移动电话", "mobilephone", "mobilenumber", "mobile", "cellphone", "cell",
        "휴대폰번호", "휴대폰", "휴대전화번호", "휴대전화", "핸드폰",
        "联系电话", "责任人电话", "负责人电话", "电话号码", "电话", "联系方式",
        "phonenumber", "phone", "telephone", "tel", "전화번호", "전화", "연락처", "손전화"),
    "name": (
        "姓名", "责任人姓名", "消防安全责任人", "责任人", "负责人", "联系人姓名", "联系人", "名字", "收件人",
        "name", "fullname", "personname", "contactname", "contactperson", "contact", "responsibleperson", "person",
        "이름", "성명", "성함", "담당자", "책임자"),
    "premises": (
        "单位名称", "单位", "场所名称", "场所", "企业名称", "企业", "公司名称", "公司", "机构名称", "机构",
        "premises", "premisesname", "company", "companyname", "enterprise", "organisation", "organization", "institution",
        "단위명", "단위", "업체명", "업체", "회사명", "회사", "기관명", "기관", "사업장", "시설명", "시설"),
    "category": (
        "单位类别", "场所类别", "类别", "单位类型", "场所类型", "类型", "行业类别", "行业",
        "category", "premisescategory", "premisestype", "type", "kind", "분류", "유형", "업종", "종류"),
    "place": (
        "地区代码", "行政区划代码", "区划代码", "统计用区划代码", "areacode", "placecode", "regioncode", "divisioncode", "place",
        "지역코드", "행정구역코드",
        "行政区划", "所在地区", "所属地区", "地区", "区划", "所在地", "区域", "area", "region", "division", "행정구역", "지역"),
    "language": ("语言", "语种", "language", "languages", "lang", "언어"),
    "groups": ("分组", "组别", "群组", "小组", "组", "标签", "groups", "group", "tags", "그룹", "조"),
    "consent_at": (
        "同意时间", "同意日期", "授权时间", "授权日期", "consentat", "consentdate", "consenttime", "consent",
        "동의일시", "동의일", "동의"),
}  # fmt: skip
_FIELDS = {word: (field, rank) for field, words in HEADERS.items() for rank, word in enumerate(words)}
_ASIDE = re.compile(r"\(.*?\)|\[.*?\]|【.*?】")
_SIGNS = re.compile(r"[\s_\-*:：./]+")


def _word(header: str) -> str:
    return _SIGNS.sub("", _ASIDE.sub("", unicodedata.normalize("NFKC", header).lower()))


def columns(headers: Sequence[str]) -> dict[str, int]:
    """Position of each of our fields that the headers name; of two that fit, the one whose word stands earlier above."""
    found: dict[str, tuple[int, int]] = {}
    for position, header in enumerate(headers):
        field, rank = _FIELDS.get(_word(header), ("", 0))
        if field and (field not in found or rank < found[field][0]):
            found[field] = (rank, position)
    return {field: position for field, (_, position) in found.items()}
