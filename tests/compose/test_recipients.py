"""Files of recipients checked and imported; recipients that a program names."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from sqlalchemy import text

from broadcaster.compose import recipient_rows
from broadcaster.compose.places import load_places
from broadcaster.compose.recipients import NewRecipient, add_recipients, check, groups, import_file
from broadcaster.installation import Installation
from broadcaster.model import BadInput

HEADERS = "手机,姓名,单位名称,类别,地区代码,语言,分组,同意时间"
GOOD = f"""{HEADERS}
13844112119,王芳,南湖商场,商场,220102001001,中文,演练组,2026-03-15
１３９４４１１２１１９,김 서연,연길학교,学校,222401,朝鲜语+中文,演练组、校长,
+86 137-4411-2119,李,,,吉林省长春市南关区,,,
"""


@pytest.fixture
def jilin(inst: Installation) -> Installation:
    load_places(inst)
    return inst


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "list.csv"


def write(file: Path, content: str, encoding: str = "utf-8") -> Path:
    file.write_text(content, encoding=encoding)
    return file


def rows(inst: Installation, query: str) -> list[Any]:
    with inst.store.read() as conn:
        return [tuple(row) for row in conn.execute(text(query))]


def stored(inst: Installation) -> list[Any]:
    """Address in clear, name, place, premises, category, languages, consent."""
    found = rows(
        inst,
        "SELECT r.address_sealed, r.name, r.place, p.name, p.category, r.languages, r.consent_at FROM recipient r "
        "LEFT JOIN premises p ON p.id = r.premises_id ORDER BY r.id",
    )
    return [(inst.keys.open_address(row[0]), *row[1:]) for row in found]


EXPECTED = [
    ("tel:+8613844112119", "王芳", "220102001001", "南湖商场", "mall", "zh-CN", 1_773_504_000_000),
    ("tel:+8613944112119", "김 서연", "222401000000", "연길학교", "school", "ko+zh-CN", None),
    ("tel:+8613744112119", "李", "220102000000", None, None, "zh-CN", None),
]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_a_list_is_imported_whole_with_premises_and_groups(jilin: Installation, file: Path, encoding: str) -> None:
    report = import_file(jilin, "wang", write(file, GOOD, encoding))
    assert report.stored
    assert report.counts() == {"rows": 3, "accepted": 3, "duplicates": 0, "rejected": 0}
    assert stored(jilin) == EXPECTED
    assert groups(jilin) == [("校长", 1), ("演练组", 2)]


def test_a_spreadsheet_says_the_same_as_its_csv(jilin: Installation, file: Path, tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    for line in GOOD.splitlines():
        book.active.append([int(cell) if cell.isascii() and cell.isdigit() else cell for cell in line.split(",")])
    book.save(tmp_path / "list.xlsx")
    report = import_file(jilin, "wang", tmp_path / "list.xlsx")
    assert report.counts() == {"rows": 3, "accepted": 3, "duplicates": 0, "rejected": 0}
    assert stored(jilin) == EXPECTED


@pytest.mark.database("sqlite")  # looks into the database's file
def test_numbers_lie_sealed_and_nowhere_in_clear(jilin: Installation, file: Path) -> None:
    import_file(jilin, "wang", write(file, GOOD))
    sealed = rows(jilin, "SELECT address_sealed, address_key FROM recipient")
    assert all(b"44112119" not in cell for row in sealed for cell in row)
    jilin.close()  # everything into the file
    everything = b"".join(path.read_bytes() for path in jilin.settings.folder.rglob("*") if path.is_file())
    assert "南湖商场".encode() in everything
    for number in (b"13844112119", b"13944112119", b"13744112119"):
        assert number not in everything


BAD = f"""{HEADERS}
1.38E+10,a,,,220102,,,
13844112119,b,南湖商场,飞船,220102,,,

13944112119,c,,,朝阳镇,法语,,x
13744112119,d,,,220102,,,
"""


def test_every_bad_cell_is_named_by_row_column_and_code(jilin: Installation, file: Path) -> None:
    report = check(write(file, BAD), jilin)
    assert report.counts() == {"rows": 4, "accepted": 1, "duplicates": 0, "rejected": 3}
    assert [(e.row, e.column, e.code) for e in report.errors] == [
        (2, "手机", "phone-scientific"),
        (3, "类别", "category-unknown"),
        (5, "地区代码", "place-ambiguous"),
        (5, "语言", "language-unknown"),
        (5, "同意时间", "date-invalid"),
    ]
    assert "舒兰市" in report.errors[2].message


def test_one_bad_row_stores_nothing_at_all(jilin: Installation, file: Path) -> None:
    report = import_file(jilin, "wang", write(file, BAD))
    assert not report.stored
    assert report.rejected == 3
    for table in ("recipient", "premises", "recipient_group", "audit"):
        assert rows(jilin, f"SELECT count(*) FROM {table}") == [(0,)]


def test_skipping_stores_the_good_rows(jilin: Installation, file: Path) -> None:
    report = import_file(jilin, "wang", write(file, BAD), skip_rejected=True)
    assert report.stored
    assert [row[1] for row in stored(jilin)] == ["d"]
    assert report.rejected == 3


def test_a_check_stores_nothing_and_promises_what_the_import_does(jilin: Installation, file: Path) -> None:
    write(file, GOOD)
    promised = check(file, jilin).as_json()
    assert rows(jilin, "SELECT count(*) FROM recipient") == [(0,)]
    kept = import_file(jilin, "wang", file).as_json()
    assert {**promised, "stored": True} == kept
    assert check(file).as_json() == promised  # without an installation: over the shipped tree


def test_the_report_has_the_shape_of_the_doors(jilin: Installation, file: Path) -> None:
    found = json.loads(json.dumps(check(write(file, BAD), jilin).as_json()))
    assert {"rows", "accepted", "duplicates", "rejected", "columns", "errors"} <= set(found)
    assert found["columns"]["手机"] == "phone"
    assert found["columns"]["地区代码"] == "place"
    assert set(found["errors"][0]) == {"row", "column", "code", "message"}


def test_doubles_are_folded_into_the_first_and_keep_their_groups(jilin: Installation, file: Path) -> None:
    content = (
        "phone,name,premises,category,place,groups\n"
        "13844112119,first,A,mall,220102,one\n"
        "+86 138 4411 2119,second,B,school,220103,two\n"
        "１３８４４１１２１１９,third,A,,220102,one\n"
    )
    report = import_file(jilin, "wang", write(file, content))
    assert report.counts() == {"rows": 3, "accepted": 1, "duplicates": 2, "rejected": 0}
    assert report.as_json()["duplicate_rows"] == [{"row": 3, "same_as": 2}, {"row": 4, "same_as": 2}]
    assert [row[1:5] for row in stored(jilin)] == [("first", "220102000000", "A", "mall")]
    assert groups(jilin) == [("one", 1), ("two", 1)]
    assert rows(jilin, "SELECT name, category FROM premises ORDER BY name") == [("A", "mall"), ("B", "school")]
    assert any("stands for other premises" in note for note in report.notes)


def test_importing_again_changes_what_the_file_says_and_keeps_the_rest(jilin: Installation, file: Path) -> None:
    import_file(jilin, "wang", write(file, GOOD))
    with jilin.store.write() as conn:
        conn.execute(text("UPDATE recipient SET active = false"))
    again = "手机,姓名,单位名称,地区代码,语言,分组\n13844112119,,新商场,220103,ko,新组\n13644112119,新,,220103,,\n"
    report = import_file(jilin, "wang", write(file, again))
    assert report.counts() == {"rows": 2, "accepted": 2, "duplicates": 0, "rejected": 0}
    found = {row[0]: row[1:] for row in stored(jilin)}
    assert len(found) == 4
    assert found["tel:+8613844112119"] == ("王芳", "220103000000", "新商场", "other", "ko", 1_773_504_000_000)
    assert groups(jilin) == [("新组", 1), ("校长", 1), ("演练组", 2)]
    assert rows(jilin, "SELECT count(*) FROM recipient WHERE active") == [(2,)]
    assert rows(jilin, "SELECT category FROM premises WHERE name = '南湖商场'") == [("mall",)]


def test_premises_keep_their_category_where_a_later_file_names_none(jilin: Installation, file: Path) -> None:
    import_file(jilin, "wang", write(file, "phone,premises,category,place\n13844112119,A,mall,220102\n"))
    import_file(jilin, "wang", write(file, "phone,premises,place\n13944112119,A,220102\n"))
    assert rows(jilin, "SELECT name, category FROM premises") == [("A", "mall")]
    import_file(jilin, "wang", write(file, "phone,premises,category,place\n13944112119,A,hotel,220102\n"))
    assert rows(jilin, "SELECT name, category FROM premises") == [("A", "hotel")]


def test_without_a_column_of_places_people_stand_at_the_province_and_known_ones_stay(
    jilin: Installation, file: Path
) -> None:
    import_file(jilin, "wang", write(file, GOOD))
    report = import_file(jilin, "wang", write(file, "手机,姓名\n13844112119,王\n13644112119,新\n"))
    assert any("no column of places" in note for note in report.notes)
    found = {row[1]: row[2] for row in stored(jilin)}
    assert (found["王"], found["新"]) == ("220102001001", "220000000000")


def test_a_blank_place_in_a_file_with_places_is_an_error(jilin: Installation, file: Path) -> None:
    report = check(write(file, "phone,place\n13844112119,\n"), jilin)
    assert [(e.row, e.column, e.code) for e in report.errors] == [(2, "place", "place-missing")]


def test_a_title_above_the_headers_keeps_row_numbers(jilin: Installation, file: Path) -> None:
    report = check(write(file, "负责人名单,,\n,,\n序号,手机,地区代码\n1,13844112119,220102\n2,x,220102\n"), jilin)
    assert report.counts() == {"rows": 2, "accepted": 1, "duplicates": 0, "rejected": 1}
    assert report.errors[0].row == 5
    assert "columns not used: 序号" in report.notes


def test_a_file_without_phones_is_rejected_whole_and_says_why(jilin: Installation, file: Path) -> None:
    report = check(write(file, "序号,姓名\n1,王\n2,李\n"), jilin)
    assert report.counts() == {"rows": 2, "accepted": 0, "duplicates": 0, "rejected": 2}
    assert [(e.row, e.code) for e in report.errors] == [(1, "column-missing")]
    assert not import_file(jilin, "wang", file, skip_rejected=True).stored


def test_blank_rows_are_no_rows(jilin: Installation, file: Path) -> None:
    report = check(write(file, "phone,place\n\n,\n  , \n13844112119,220102\n"), jilin)
    assert report.counts() == {"rows": 1, "accepted": 1, "duplicates": 0, "rejected": 0}


def test_hidden_rows_are_rejected_by_their_number_and_not_imported(jilin: Installation, tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    for row in (["手机", "地区代码"], ["13844112119", "220102"], ["13944112119", "220102"]):
        book.active.append(row)
    book.active.row_dimensions[2].hidden = True
    book.save(tmp_path / "list.xlsx")
    report = import_file(jilin, "wang", tmp_path / "list.xlsx", skip_rejected=True)
    assert [(e.row, e.code) for e in report.errors] == [(2, "row-hidden")]
    assert [row[0] for row in stored(jilin)] == ["tel:+8613944112119"]


def test_errors_are_counted_beyond_those_that_are_listed(
    jilin: Installation, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recipient_rows, "ERRORS", 3)
    report = check(write(file, "phone,place\n" + "x,220102\n" * 10), jilin)
    assert (report.rejected, len(report.errors)) == (10, 3)
    assert "only the first 3 errors are listed" in report.notes


def test_an_import_is_audited_with_counts_and_without_numbers(jilin: Installation, tmp_path: Path) -> None:
    import_file(jilin, "wang", write(tmp_path / "13844112119 名单.csv", GOOD))
    ((actor, action, subject, detail),) = rows(jilin, "SELECT actor, action, object, detail FROM audit")
    assert (actor, action, subject) == ("wang", "recipients.import", "recipients/* 名单.csv")
    assert json.loads(detail) == {"rows": 3, "accepted": 3, "added": 3, "duplicates": 0, "rejected": 0}


def test_progress_only_rises_and_ends_at_the_whole(
    jilin: Installation, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("broadcaster.compose.recipients.BATCH", 100)
    content = "phone,place\n" + "".join(f"138{n:08},220102\n" for n in range(1_000))
    told: list[tuple[int, int]] = []
    import_file(jilin, "wang", write(file, content), progress=lambda done, total: told.append((done, total)))
    done = [at for at, _ in told]
    assert done == sorted(done)
    assert len(set(done)) > 10
    assert told[-1][0] == told[-1][1]


def test_an_import_without_a_loaded_tree_says_what_to_do(inst: Installation, file: Path) -> None:
    with pytest.raises(BadInput, match="broadcaster init"):
        import_file(inst, "wang", write(file, GOOD))


def test_twenty_thousand_rows_keep_every_recipient(jilin: Installation, file: Path) -> None:
    content = "phone,name,premises,place\n" + "".join(
        f"138{n:08},n{n},P{n // 4},{'220102001001' if n % 2 else '222401'}\n" for n in range(20_000)
    )
    assert import_file(jilin, "wang", write(file, content)).accepted == 20_000
    assert rows(jilin, "SELECT count(*), count(DISTINCT address_key), count(premises_id) FROM recipient") == [
        (20_000, 20_000, 20_000)
    ]


# --- recipients that a program names


def devices() -> Iterator[NewRecipient]:
    yield NewRecipient("loudspeaker", "speaker:1", "220102001001", people=900, people_source="demo estimate")
    yield NewRecipient("billboard", "board:1", "220102001001", format="128x32", languages="zh-CN+ko", groups=("屏",))
    yield NewRecipient("social", "wecom:abc", "220000000000", name="群")


def test_devices_and_accounts_are_added_in_bulk_and_once(jilin: Installation) -> None:
    assert add_recipients(jilin, devices()) == 3
    told: list[tuple[int, int]] = []
    assert add_recipients(jilin, list(devices()), lambda done, total: told.append((done, total))) == 3
    assert told == [(3, 3)]
    found = rows(jilin, "SELECT channel, place, format, languages, people, people_source FROM recipient ORDER BY id")
    assert found == [
        ("loudspeaker", "220102001001", "", "zh-CN", 900, "demo estimate"),
        ("billboard", "220102001001", "128x32", "zh-CN+ko", None, None),
        ("social", "220000000000", "", "zh-CN", None, None),
    ]
    assert groups(jilin) == [("屏", 1)]


def test_the_same_address_in_two_channels_is_two_recipients(jilin: Installation) -> None:
    add_recipients(
        jilin,
        [
            NewRecipient("sms", "tel:+8613844112119", "220102000000"),
            NewRecipient("manual", "tel:+8613844112119", "220102000000"),
            NewRecipient("sms", "tel:+8613844112119", "220103000000"),
        ],
    )
    assert rows(jilin, "SELECT channel, place FROM recipient ORDER BY channel") == [
        ("manual", "220102000000"),
        ("sms", "220103000000"),
    ]


def test_batches_are_committed_as_they_come(jilin: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("broadcaster.compose.recipients.BATCH", 2)

    def breaking() -> Iterator[NewRecipient]:
        yield from devices()
        raise RuntimeError("the list broke off")

    with pytest.raises(RuntimeError):
        add_recipients(jilin, breaking())
    assert rows(jilin, "SELECT count(*) FROM recipient") == [(2,)]
    assert add_recipients(jilin, devices()) == 3
    assert rows(jilin, "SELECT count(*) FROM recipient") == [(3,)]
