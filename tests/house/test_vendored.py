"""Files copied from elsewhere: each is entered in the VENDOR.toml beside it, unchanged, with its licence."""

import hashlib
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LISTS = [
    file
    for top in ("broadcaster", "channels", "audio", "tests", "templates")
    for file in (ROOT / top).rglob("VENDOR.toml")
]
KEYS = {"path", "package", "version", "from", "sha256", "licence", "licence_file", "copied"}


def faults(listing: Path) -> list[str]:
    """What is wrong in one folder of copied files; a list of sentences."""
    folder = listing.parent
    entries = tomllib.loads(listing.read_text(encoding="utf-8")).get("file", [])
    found = [
        f"{entry.get('path')}: lacks {', '.join(sorted(KEYS - set(entry)))}" for entry in entries if KEYS - set(entry)
    ]
    if found:
        return found
    entered = {folder / entry[key] for entry in entries for key in ("path", "licence_file")}
    there = {file for file in folder.rglob("*") if file.is_file() and file != listing}
    found += [f"{file.name}: entered, not there" for file in entered - there]
    found += [f"{file.name}: there, not entered" for file in there - entered]
    for entry in entries:
        file = folder / entry["path"]
        if file in there and hashlib.sha256(file.read_bytes()).hexdigest() != entry["sha256"]:
            found.append(f"{entry['path']}: changed since it was copied")
    return found


@pytest.mark.parametrize("listing", LISTS, ids=lambda file: str(file.parent.relative_to(ROOT)))
def test_copied_files_are_entered_and_unchanged(listing: Path) -> None:
    assert faults(listing) == []


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.js").write_text("1;\n")
    (tmp_path / "mit.txt").write_text("MIT\n")
    digest = hashlib.sha256(b"1;\n").hexdigest()
    (tmp_path / "VENDOR.toml").write_text(
        f'[[file]]\npath = "a.js"\npackage = "a"\nversion = "1"\nfrom = "dist/a.js"\nsha256 = "{digest}"\n'
        'licence = "MIT"\nlicence_file = "mit.txt"\ncopied = 2026-11-24\n'
    )
    return tmp_path


def test_a_changed_a_missing_and_an_unknown_file_are_found(folder: Path) -> None:
    listing = folder / "VENDOR.toml"
    assert faults(listing) == []
    (folder / "a.js").write_text("2;\n")
    assert faults(listing) == ["a.js: changed since it was copied"]
    (folder / "a.js").rename(folder / "b.js")
    assert faults(listing) == ["a.js: entered, not there", "b.js: there, not entered"]
    listing.write_text(listing.read_text().replace('licence = "MIT"\n', ""))
    assert faults(listing) == ["a.js: lacks licence"]
