"""Importing recipients through the page: first it is read and shown, then it is stored."""

import io
import re
from collections.abc import Callable
from typing import Any

import pytest

from broadcaster.compose import audiences
from broadcaster.model import Selection
from broadcaster.web import uploads

GOOD = "姓名,手机号,地区\n张三,13844112119,华阳社区\n李四,13844112120,华阳社区\n"
MIXED = GOOD + "王五,123,华阳社区\n李四,13844112120,华阳社区\n"


def phones(town: Any) -> int:
    counted = audiences.count(town.inst, Selection(places=("22",)), ["sms"])
    return int(str(counted["recipients"]))


def check(browser: Any, text: str, name: str = "名单.csv") -> Any:
    browser.see("/recipients")
    return browser.send("/recipients/check", files={"file": (name, io.BytesIO(text.encode()), "text/csv")})


def upload_of(html: str) -> str:
    found = re.search(r'name="upload" value="([^"]+)"', html)
    assert found
    return found[1]


def test_checking_stores_nothing_and_storing_stores_it_once(signed_in: Callable[[str], Any], town: Any) -> None:
    author, before = signed_in("wang"), phones(town)
    checked = check(author, GOOD)
    assert checked.status_code == 200
    assert phones(town) == before
    assert 'href="/recipients?lang=ko"' in checked.text, "the address of a form cannot be opened again"
    author.see("/recipients?lang=zh-CN")
    upload = upload_of(checked.text)
    stored = author.send("/recipients/store", {"upload": upload})
    assert "已导入" in stored.text
    assert phones(town) == before + 2
    assert author.send("/recipients/store", {"upload": upload}).status_code == 404, "the file is gone"


def test_bad_rows_are_named_and_left_out_only_when_that_is_said(signed_in: Callable[[str], Any], town: Any) -> None:
    author, before = signed_in("wang"), phones(town)
    checked = check(author, MIXED)
    assert '<td class="n">4</td>' in checked.text, "the row as the spreadsheet numbers it"
    upload = upload_of(checked.text)
    refused = author.send("/recipients/store", {"upload": upload})
    assert "已导入" not in refused.text
    assert phones(town) == before
    stored = author.send("/recipients/store", {"upload": upload, "skip_rejected": "yes"})
    assert "已导入" in stored.text
    assert phones(town) == before + 2


@pytest.mark.parametrize("text", ["", "<html></html>", "%PDF-1.4", "\x00\x01\x02\x03"])
def test_what_is_no_table_is_refused_in_words(signed_in: Callable[[str], Any], town: Any, text: str) -> None:
    answer = check(signed_in("wang"), text)
    assert answer.status_code == 422
    assert 'class="told bad"' in answer.text
    assert str(town.inst.settings.folder) not in answer.text, "no path of the server is shown"
    assert list((town.inst.settings.folder / "uploads").iterdir()) == []


def test_without_a_file_the_page_asks_for_one(signed_in: Callable[[str], Any]) -> None:
    author = signed_in("wang")
    author.see("/recipients")
    assert author.send("/recipients/check").status_code == 422


@pytest.mark.parametrize(
    "name", ["../../../evil.csv", "..\\..\\evil.csv", "/etc/passwd", ".hidden", "a" * 300 + ".csv", "x\x00y.csv"]
)
def test_the_name_of_an_upload_leads_nowhere(signed_in: Callable[[str], Any], town: Any, name: str) -> None:
    answer = check(signed_in("wang"), GOOD, name)
    assert answer.status_code == 200
    path = uploads.find(town.inst, _id(town, "wang"), upload_of(answer.text))
    assert path.parent.parent == town.inst.settings.folder / "uploads"
    assert path.stat().st_mode & 0o077 == 0
    assert path.parent.stat().st_mode & 0o077 == 0


def _id(town: Any, login: str) -> int:
    from broadcaster.people import find_user

    return find_user(town.inst, login).id


def test_an_upload_belongs_to_who_sent_it(signed_in: Callable[[str], Any], town: Any) -> None:
    upload = upload_of(check(signed_in("wang"), GOOD).text)
    admin = signed_in("sun")
    admin.see("/recipients")
    assert admin.send("/recipients/store", {"upload": upload}).status_code == 404
    for wrong in ("", "..", "../x", "x" * 22):
        assert admin.send("/recipients/store", {"upload": wrong}).status_code == 404


def test_numbers_are_never_shown_in_full(signed_in: Callable[[str], Any]) -> None:
    page = check(signed_in("wang"), MIXED).text
    assert "13844112119" not in page
    assert "13844112120" not in page
