"""Files of rows as people and attackers make them."""

import struct
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import openpyxl
import pytest

from broadcaster.compose import spreadsheet_child as child
from broadcaster.compose import spreadsheets
from broadcaster.compose.spreadsheets import open_table
from broadcaster.model import BadInput

ROWS = [["手机", "姓名"], ["13844112119", "王，芳"], ["13944112119", "김 서연"]]


def read(path: Path) -> list[list[str]]:
    with open_table(path) as table:
        return list(table.rows)


def refused(path: Path) -> str:
    with pytest.raises(BadInput) as error, open_table(path) as table:
        list(table.rows)
    assert path.name in error.value.message
    return error.value.code


def text(rows: list[list[str]], sign: str = ",") -> str:
    return "".join(sign.join(row) + "\r\n" for row in rows)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
@pytest.mark.parametrize("sign", [",", "\t", ";"])
def test_text_is_read_in_every_encoding_and_with_every_separator(tmp_path: Path, encoding: str, sign: str) -> None:
    file = tmp_path / "list.csv"
    file.write_bytes(text(ROWS, sign).encode(encoding))
    assert read(file) == ROWS


def test_a_blank_line_keeps_its_row_number_and_a_cell_may_hold_lines(tmp_path: Path) -> None:
    file = tmp_path / "list.csv"
    file.write_text('手机,姓名\r\n\r\n13844112119,"王\r\n芳"\r\n', encoding="utf-8", newline="")
    with open_table(file) as table:
        assert list(table.rows) == [["手机", "姓名"], [], ["13844112119", "王\r\n芳"]]
        assert table.expected >= 3


def test_a_title_with_a_comma_does_not_hide_the_separator(tmp_path: Path) -> None:
    file = tmp_path / "list.txt"
    file.write_text("负责人，名单，2026\n手机\t姓名\n13844112119\t王，芳\n13944112119\t李\n", encoding="utf-8")
    assert read(file)[1] == ["手机", "姓名"]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "file-empty"),
        (b"\r\n  \n", "file-empty"),
        (b"\xff\xfe\xfd\xff\x00", "file-encoding"),
        ("手机\n".encode("gb18030") + b"\xff\xff\n", "file-encoding"),
        (b"phone\n138\x0044112119\n", "file-kind"),
        (b"<html><table><tr><td>phone</td></tr></table></html>", "file-kind"),
        (b"\xef\xbb\xbf<?xml version='1.0'?><Workbook/>", "file-kind"),
        (b"%PDF-1.7 ...", "file-kind"),
        (b"PK\x03\x04" + b"x" * 500, "file-kind"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"x" * 5000, "file-kind"),
        (b'phone,name\n"13844112119,' + b"x" * 200_000, "file-kind"),
    ],
)
def test_what_is_no_table_is_refused_whatever_its_name(tmp_path: Path, content: bytes, code: str) -> None:
    for name in ("list.csv", "list.xlsx"):
        file = tmp_path / name
        file.write_bytes(content)
        assert refused(file) == code


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert refused(tmp_path / "nothing.csv") == "file-missing"


def test_a_file_is_refused_by_its_size_before_it_is_read(tmp_path: Path) -> None:
    file = tmp_path / "list.csv"
    with file.open("wb") as out:
        out.truncate(spreadsheets.BYTES + 1)
    began = time.monotonic()
    assert refused(file) == "file-size"
    assert time.monotonic() - began < 1


def test_more_rows_columns_or_characters_than_a_list_needs_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "list.csv"
    file.write_text("phone\n13844112119" + "," * 63 + "x\n")
    assert len(read(file)[1]) == 64
    file.write_text("phone\n13844112119" + "," * 64 + "x\n")
    assert refused(file) == "file-columns"
    file.write_text("phone\n13844112119" + "," * 100 + "\n")  # only separators: no column is used
    assert len(read(file)) == 2
    file.write_text("phone\n" + "1" * 1_025 + "\n")
    assert refused(file) == "file-cell"
    monkeypatch.setattr(child, "ROWS", 3)
    file.write_text("phone\n1\n2\n")
    assert len(read(file)) == 3
    file.write_text("phone\n1\n2\n3\n")
    assert refused(file) == "file-rows"


# --- spreadsheets as people make them


def workbook(path: Path, change: Callable[[openpyxl.Workbook], None]) -> Path:
    book = openpyxl.Workbook()
    change(book)
    book.save(path)
    return path


def test_numbers_dates_and_formulas_become_what_the_person_saw(tmp_path: Path) -> None:
    def fill(book: openpyxl.Workbook) -> None:
        sheet = book.active
        sheet.append(["手机", "代码", "同意时间", "数", "公式", "空"])
        sheet.append([13844112119, "220102001001", datetime(2026, 3, 15, 9, 30), 1.5, "=1+1", None])

    rows = read(workbook(tmp_path / "list.xlsx", fill))
    # openpyxl stores no value beside a formula, and none is worked out
    assert rows[1] == ["13844112119", "220102001001", "2026-03-15 09:30:00", "1.5", "", ""]


def test_rows_keep_their_numbers_where_the_sheet_starts_lower_and_further_right(tmp_path: Path) -> None:
    def fill(book: openpyxl.Workbook) -> None:
        book.active["C3"], book.active["C5"] = "手机", "13844112119"

    rows = read(workbook(tmp_path / "list.xlsx", fill))
    assert [row[2] if len(row) > 2 else "" for row in rows] == ["", "", "手机", "", "13844112119"]


def test_merged_cells_are_unfolded(tmp_path: Path) -> None:
    def fill(book: openpyxl.Workbook) -> None:
        sheet = book.active
        sheet["B2"], sheet["C2"] = "单位名称", "手机"
        sheet["B3"] = "南湖商场"
        sheet.merge_cells("B3:B5")
        for row, phone in enumerate(("13844112119", "13944112119", "13744112119"), 3):
            sheet[f"C{row}"] = phone
        sheet["B6"], sheet["C6"] = "别的", "13644112119"

    rows = read(workbook(tmp_path / "list.xlsx", fill))
    assert [row[1] for row in rows[2:]] == ["南湖商场", "南湖商场", "南湖商场", "别的"]


def test_hidden_rows_are_named_and_hidden_sheets_are_not_read(tmp_path: Path) -> None:
    def fill(book: openpyxl.Workbook) -> None:
        book.active.title = "旧 & <名单>"
        book.active["A1"] = "secret"
        book.active.sheet_state = "hidden"
        book.create_sheet("empty")
        shown = book.create_sheet("名单 & <新>")
        for row in (["手机"], ["13844112119"], ["13944112119"]):
            shown.append(row)
        shown.row_dimensions[3].hidden = True
        book.create_sheet("third")["A1"] = "x"
        book.active = 2

    with open_table(workbook(tmp_path / "list.xlsx", fill)) as table:
        assert next(table.rows) == ["手机"]
        assert table.hidden == {3}
        assert table.expected == 3
        assert any("旧 & <名单> is hidden" in note for note in table.notes)
        assert any("third was not read" in note for note in table.notes)


def test_a_workbook_without_anything_in_it_is_refused(tmp_path: Path) -> None:
    assert refused(workbook(tmp_path / "list.xlsx", lambda book: None)) == "file-empty"


ODS = (
    '<?xml version="1.0" encoding="UTF-8"?><office:document-content '
    'xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" '
    'xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0" '
    'xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0"><office:body><office:spreadsheet>'
    '<table:table table:name="S">{}</table:table></office:spreadsheet></office:body></office:document-content>'
)


def test_an_ods_is_read(tmp_path: Path) -> None:
    def cell(value: str) -> str:
        return f'<table:table-cell office:value-type="string"><text:p>{value}</text:p></table:table-cell>'

    rows = "".join(f"<table:table-row>{''.join(map(cell, row))}</table:table-row>" for row in ROWS)
    file = tmp_path / "list.ods"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        archive.writestr("META-INF/manifest.xml", "<manifest/>")
        archive.writestr("content.xml", ODS.format(rows))
    assert read(file) == ROWS


# --- spreadsheets as attackers make them

TYPES = (
    '<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="xml" ContentType="application/xml"/></Types>'
)
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
LINKS = (
    '<?xml version="1.0"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
    '<Relationship Id="r1" Type="{}" Target="{}"/></Relationships>'
)
BOOK = (
    '<?xml version="1.0"?><workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" '
    f'xmlns:r="{OFFICE}"><sheets><sheet name="S" sheetId="1" r:id="r1"/></sheets></workbook>'
)
SHEET = (
    '<?xml version="1.0"?>{}<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">'
    "<sheetData>{}</sheetData></worksheet>"
)
ONE = '<row r="1"><c r="A1"><v>13844112119</v></c></row>'


def made(path: Path, sheet: str = SHEET.format("", ONE), extra: dict[str, bytes] | None = None) -> Path:
    parts: dict[str, str | bytes] = {
        "[Content_Types].xml": TYPES,
        "_rels/.rels": LINKS.format(f"{OFFICE}/officeDocument", "xl/workbook.xml"),
        "xl/workbook.xml": BOOK,
        "xl/_rels/workbook.xml.rels": LINKS.format(f"{OFFICE}/worksheet", "worksheets/sheet1.xml"),
        "xl/worksheets/sheet1.xml": sheet,
        **(extra or {}),
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    return path


def test_the_hand_made_sheet_is_a_sheet(tmp_path: Path) -> None:
    assert read(made(tmp_path / "list.xlsx")) == [["13844112119"]]


@pytest.mark.parametrize(
    ("extra", "code"),
    [
        ({f"x/{n}": b"x" for n in range(96)}, "file-members"),
        ({f"x/{n}": b"x" for n in range(100_000)}, "file-members"),
        ({"x": b"0" * 40_000_000}, "file-bomb"),
        ({"../../etc/x": b"x"}, "file-names"),
        ({"xl\\..\\x": b"x"}, "file-names"),
        ({"/etc/x": b"x"}, "file-names"),
        ({"C:/x": b"x"}, "file-names"),
        ({"xl/inner.ZIP": b"x"}, "file-nested"),
        ({"xl/embeddings/inner.xlsx": b"x"}, "file-nested"),
    ],
    ids=lambda value: value if isinstance(value, str) else f"{len(value)} parts",
)
def test_an_archive_that_no_spreadsheet_program_makes_is_refused(
    tmp_path: Path, extra: dict[str, bytes], code: str
) -> None:
    assert refused(made(tmp_path / "list.xlsx", extra=extra)) == code


def test_a_hundred_times_its_size_is_the_most_a_part_unpacks_to(tmp_path: Path) -> None:
    steady = bytes(range(256)) * 8_000  # packs well, but not like a bomb
    bomb = b"0" * 2_000_000
    assert read(made(tmp_path / "fine.xlsx", extra={"x": steady[: len(steady) // 2]}))
    assert refused(made(tmp_path / "bomb.xlsx", extra={"x": bomb})) == "file-bomb"


def _lie(path: Path, name: str, size: int, crc: int) -> None:
    """Writes another unpacked size and checksum of a member into both of its headers."""
    with zipfile.ZipFile(path) as archive:
        member = archive.getinfo(name)
    data = bytearray(path.read_bytes())
    struct.pack_into("<L", data, member.header_offset + 14, crc)
    struct.pack_into("<L", data, member.header_offset + 22, size)
    central = data.rindex(name.encode()) - 46
    assert data[central : central + 4] == b"PK\x01\x02"
    struct.pack_into("<L", data, central + 16, crc)
    struct.pack_into("<L", data, central + 24, size)
    path.write_bytes(data)


def test_a_header_that_lies_about_the_size_is_found_by_counting(tmp_path: Path) -> None:
    file = made(tmp_path / "list.xlsx", extra={"xl/zz.xml": b"0" * 30_000_000})
    _lie(file, "xl/zz.xml", 1_000, zipfile.crc32(b"0" * 1_000))
    with zipfile.ZipFile(file) as archive:
        assert archive.read("xl/zz.xml") == b"0" * 1_000  # Python's own reader believes the header
    assert refused(file) == "file-bomb"


@pytest.mark.parametrize("corner", ["XFD1048576", "BL1048576"])
def test_two_cells_far_apart_end_the_child_and_not_us(tmp_path: Path, corner: str) -> None:
    rows = f'{ONE}<row r="1048576"><c r="{corner}"><v>1</v></c></row>'
    assert refused(made(tmp_path / "list.xlsx", SHEET.format("", rows))) == "file-too-hard"


def test_entities_that_double_are_not_unfolded(tmp_path: Path) -> None:
    bomb = "<!DOCTYPE x [<!ENTITY a 'aaaaaaaaaa'>" + "".join(
        f"<!ENTITY {chr(98 + n)} '{f'&{chr(97 + n)};' * 10}'>" for n in range(12)
    )
    rows = '<row r="1"><c r="A1" t="inlineStr"><is><t>&m;</t></is></c></row>'
    file = made(tmp_path / "list.xlsx", SHEET.format(bomb + "]>", rows))
    began = time.monotonic()
    try:
        found = read(file)
    except BadInput as error:
        assert error.code in {"file-kind", "file-too-hard", "file-cell"}
    else:
        assert max(len(cell) for row in found for cell in row) < 100
    assert time.monotonic() - began < 10


def test_an_areas_worth_of_merged_cells_stays_within_the_sheet(tmp_path: Path) -> None:
    merges = '<mergeCells count="1"><mergeCell ref="A1:XFD1048576"/></mergeCells>'
    sheet = SHEET.format("", ONE).replace("</sheetData>", f"</sheetData>{merges}")
    assert read(made(tmp_path / "list.xlsx", sheet)) == [["13844112119"]]


def test_too_many_merged_areas_are_refused(tmp_path: Path) -> None:
    areas = "".join(f'<mergeCell ref="B{n}:C{n}"/>' for n in range(1, child.MERGES + 2))
    sheet = SHEET.format("", ONE).replace("</sheetData>", f"</sheetData><mergeCells>{areas}</mergeCells>")
    assert refused(made(tmp_path / "list.xlsx", sheet)) == "file-merges"


def test_a_long_cell_or_a_wide_row_of_a_spreadsheet_is_refused(tmp_path: Path) -> None:
    long = workbook(tmp_path / "long.xlsx", lambda book: book.active.append(["x" * 1_025]))
    wide = workbook(tmp_path / "wide.xlsx", lambda book: book.active.append(["x"] * 65))
    assert (refused(long), refused(wide)) == ("file-cell", "file-columns")


def test_a_child_that_dies_midway_is_an_error_and_never_a_shorter_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dying = tmp_path / "dying.py"
    head = '{"notes": [], "hidden": [], "rows": 3}'
    dying.write_text(f"import os\nprint('{head}\\nphone\\n13844112119', flush=True)\nos.kill(os.getpid(), 9)\n")
    monkeypatch.setattr(child, "__file__", str(dying))
    assert refused(made(tmp_path / "list.xlsx")) == "file-too-hard"


def test_the_child_is_gone_when_reading_is_given_up(tmp_path: Path) -> None:
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet()
    for n in range(20_000):
        sheet.append([f"{n}", "x"])
    book.save(tmp_path / "list.xlsx")
    began = time.monotonic()
    with open_table(tmp_path / "list.xlsx") as table:
        assert next(table.rows) == ["0", "x"]
    assert time.monotonic() - began < 20  # not waiting for a pipe that nobody reads


def test_the_childs_limits_hold(tmp_path: Path) -> None:
    """The limits are taken by the process itself, before it looks at the file."""
    program = (
        "import resource, sys\n"
        f"sys.path.insert(0, {str(Path(child.__file__).parent)!r})\n"
        "import spreadsheet_child as child\n"
        "child.limit()\n"
        "print(resource.getrlimit(resource.RLIMIT_AS)[0], resource.getrlimit(resource.RLIMIT_CPU)[0])\n"
        "try:\n    bytearray(3 * 1024 ** 3)\nexcept MemoryError:\n    print('refused')\n"
    )
    out = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True).stdout
    assert out.split() == [str(child.MEMORY), str(child.SECONDS), "refused"]


def test_rows_pass_from_child_to_us_unchanged(tmp_path: Path) -> None:
    odd = ['"quoted"', "a,b", "two\nlines", "", "+1", "  blank ", "🔥森林"]
    assert read(workbook(tmp_path / "list.xlsx", lambda book: book.active.append(odd))) == [odd]
