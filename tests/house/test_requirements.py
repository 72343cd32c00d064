"""The pinned requirements: complete, hashed, of one mind with pyproject.toml, and silent about where packages come from."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
FILES = ("requirements.txt", "requirements-dev.txt")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def entries(text: str) -> list[str]:
    """The file's logical lines, without comments."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    return "\n".join(lines).replace("\\\n", " ").splitlines()


def faults(text: str) -> list[str]:
    """Entries that are not `name==version [; marker] --hash=sha256:...`."""
    pin = re.compile(
        r"[a-z0-9._-]+(?:\[[a-z0-9,_-]+\])?==\S+(?: ; [^-]+?)?(?:\s+--hash=sha256:[0-9a-f]{64})+", re.IGNORECASE
    )
    return [entry for entry in entries(text) if not pin.fullmatch(entry.strip())]


def pins(file: str) -> dict[str, str]:
    """Name → version."""
    found = [Requirement(entry.split(" --hash")[0]) for entry in entries((ROOT / file).read_text(encoding="utf-8"))]
    return {canonicalize_name(one.name): next(iter(one.specifier)).version for one in found}


def unmet(wanted: list[str], pinned: dict[str, str]) -> list[str]:
    """Requirements of pyproject.toml that no pin fulfils."""
    return [
        text
        for text, one in ((text, Requirement(text)) for text in wanted)
        if canonicalize_name(one.name) not in pinned or pinned[canonicalize_name(one.name)] not in one.specifier
    ]


@pytest.mark.parametrize("file", FILES)
def test_every_entry_is_one_version_with_hashes(file: str) -> None:
    assert faults((ROOT / file).read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "entry",
    [
        "rich>=15 --hash=sha256:" + 64 * "0",
        "rich==15.0.0",
        "--index" + "-url x",
        "rich @ https://example.org/rich.whl --hash=sha256:" + 64 * "0",
        "-e .",
    ],
)
def test_another_entry_is_found(entry: str) -> None:
    good = "rich==15.0.0 ; sys_platform != 'win32' \\\n    --hash=sha256:" + 64 * "0"
    assert faults(good) == []
    assert faults(f"{good}\n{entry}") == [entry]


def test_the_pins_fulfil_the_manifest() -> None:
    project, groups = PROJECT["project"], PROJECT["dependency-groups"]
    base = [*project["dependencies"], *project["optional-dependencies"]["espeak"]]
    assert unmet(base, pins("requirements.txt")) == []
    assert unmet([*base, *groups["test"], *groups["lint"]], pins("requirements-dev.txt")) == []
    assert unmet(["rich>=99", "no-such-package"], pins("requirements.txt")) == ["rich>=99", "no-such-package"]


def test_developers_run_the_versions_that_users_run() -> None:
    base, dev = pins("requirements.txt"), pins("requirements-dev.txt")
    assert {name: dev.get(name) for name in base} == base
