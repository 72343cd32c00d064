"""What a release holds: the wheel works away from the checkout, the source archive has no stray files."""

import importlib.metadata
import os
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

from broadcaster import __version__

ROOT = Path(__file__).resolve().parents[2]
HOUSES = ("broadcaster", "channels", "audio")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def build(kind: str, folder: Path) -> Path:
    command = [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return next(folder.iterdir())


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel's files, as an installation lays them out."""
    folder = tmp_path_factory.mktemp("installed")
    with zipfile.ZipFile(build("wheel", tmp_path_factory.mktemp("wheel"))) as wheel:
        wheel.extractall(folder)
    return folder


def away(unpacked: Path, code: str) -> str:
    """Runs code against the unpacked wheel in a folder that is not the checkout."""
    environment = {**os.environ, "PYTHONPATH": str(unpacked)}
    ended = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=unpacked, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip()


def files_of(folder: Path) -> set[str]:
    return {f.relative_to(folder).as_posix() for f in folder.rglob("*") if f.is_file() and "__pycache__" not in f.parts}


def test_the_wheel_holds_every_file_of_the_packages_and_every_template(unpacked: Path) -> None:
    for house in HOUSES:
        assert files_of(ROOT / house) - files_of(unpacked / house) == set()
    assert files_of(unpacked / "broadcaster" / "templates") == files_of(ROOT / "templates")
    assert {path.name.partition("-")[0] for path in unpacked.iterdir()} == {*HOUSES, "public_alert_broadcaster"}


def test_the_wheel_runs_away_from_the_checkout(unpacked: Path, tmp_path: Path) -> None:
    where = away(unpacked, "import broadcaster; print(broadcaster.__file__)")
    assert Path(where).is_relative_to(unpacked)
    made = away(
        unpacked,
        "from pathlib import Path\n"
        "from broadcaster.installation import initialise\n"
        f"inst = initialise(home=Path({str(tmp_path)!r}) / 'home')\n"
        "print(inst.settings.spool_file.parents[1].name)\n",
    )
    assert made == "home"


def test_the_wheel_finds_the_shipped_templates(unpacked: Path) -> None:
    names = away(
        unpacked, "from broadcaster.compose.templates import template_sets; print([s.id for s in template_sets()])"
    )
    assert names == str(sorted(path.parent.name for path in (ROOT / "templates").glob("*/*.toml")))


def test_the_source_archive_has_no_stray_files(tmp_path: Path) -> None:
    with tarfile.open(build("sdist", tmp_path)) as archive:
        tops = {name.split("/")[1] for name in archive.getnames() if "/" in name}
    meant = {"templates", "docs", "README.md", "README.zh-CN.md", "CHANGELOG.md", "LICENSE", "NOTICE"}
    made = {"PKG-INFO", "pyproject.toml", ".gitignore"}
    assert tops - made == {*HOUSES, *meant}


def test_there_is_one_version() -> None:
    command = [sys.executable, str(ROOT / "scripts" / "lib" / "broadcaster"), "--version"]
    assert subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() == __version__
    assert PROJECT["version"] == __version__
    assert f"## [{__version__}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_no_installed_package_owns_one_of_our_names() -> None:
    owners = importlib.metadata.packages_distributions()
    assert {house: owners[house] for house in HOUSES if set(owners.get(house, [])) - {PROJECT["name"]}} == {}
