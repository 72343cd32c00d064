"""What every file of the house keeps to: its name, its size, its first line, and nothing of one machine in it."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HOUSES = ("broadcaster", "channels", "audio")
LINES = 400

# A helper is filed under its noun; these names say nothing of what is inside.
NAMELESS = {"utils", "util", "helpers", "helper", "common", "misc", "tools", "stuff"}
IGNORED = {line.strip("/\n") for line in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()} | {".git"}
TEXT = {
    ".py",
    ".md",
    ".toml",
    ".txt",
    ".sh",
    ".yml",
    ".yaml",
    ".json",
    ".html",
    ".css",
    ".js",
    ".jinja",
    ".mako",
    ".csv",
}

# Where packages come from is each machine's own business (pip, npm and apt know it), and so is where a checkout lies.
# The brackets keep this file from being found by its own rule.
ADDRESSES = re.compile(
    r"pypi[.]org|pythonhosted[.]org|registry[.]npmjs|npm[m]irror|deb[.]debian|snapshot[.]debian|repo1?[.]maven|crates[.]io"
    r"|proxy[.]golang|mirrors?[.][a-z]+[.](?:com|cn|edu)|artifact[o]ry|--(?:extra-)?index[-]url|--find[-]links"
)
MACHINE_PATHS = re.compile(r"(?<![\w.:/}-])/(?:work|root|home/\w+|Users/\w+|var/folders)/\w")


def house_files() -> list[Path]:
    return [file for house in HOUSES for file in sorted((ROOT / house).rglob("*.py"))]


def kept_files(root: Path = ROOT) -> Iterator[Path]:
    """Every text file that git would take. Works without git, which a fresh machine lacks."""
    for path in sorted(root.iterdir()):
        if path.name in IGNORED or any(path.match(pattern) for pattern in IGNORED if "*" in pattern):
            continue
        if path.is_dir():
            yield from kept_files(path)
        elif path.suffix in TEXT or not path.suffix:
            yield path


def foreign(text: str) -> list[str]:
    """Registry addresses and paths of one machine."""
    return [found.group() for rule in (ADDRESSES, MACHINE_PATHS) for found in rule.finditer(text)]


def nameless(files: list[Path]) -> list[Path]:
    return [file for file in files if file.stem.strip("_") in NAMELESS or file.parent.name in NAMELESS]


def without_docstring(text: str) -> bool:
    return not (ast.get_docstring(ast.parse(text)) or "").strip()


def test_no_file_has_a_name_that_says_nothing() -> None:
    assert nameless(house_files()) == []
    assert nameless([Path("broadcaster/utils.py"), Path("channels/helpers/text.py"), Path("audio/_common.py")]) != []


def test_every_file_of_the_packages_says_what_it_is_for() -> None:
    files = [file for file in house_files() if "migrations" not in file.parts]
    assert [file for file in files if without_docstring(file.read_text(encoding="utf-8"))] == []
    assert without_docstring("import os\n")
    assert without_docstring('"""  """\n')


def test_no_file_of_the_packages_is_long() -> None:
    lines = {file.relative_to(ROOT): file.read_text(encoding="utf-8").count("\n") for file in house_files()}
    assert {file: n for file, n in lines.items() if n > LINES and "migrations" not in file.parts} == {}


def test_the_tests_are_no_packages() -> None:
    assert list((ROOT / "tests").rglob("__init__.py")) == []


def test_no_file_holds_a_registry_or_a_path_of_one_machine() -> None:
    found = {file.relative_to(ROOT): foreign(file.read_text(encoding="utf-8")) for file in kept_files()}
    assert {file: words for file, words in found.items() if words} == {}


@pytest.mark.parametrize(
    "text",
    [
        "--index" + "-url x",
        "https://files.python" + "hosted.org/packages/a",
        "see py" + "pi.org/project/a",
        "https://mirrors." + "aliyun.com/x",
        'Path("/ro' + 'ot/checkout")',
        "cd /ho" + "me/anna/main",
    ],
)
def test_a_registry_or_a_path_of_one_machine_is_found(text: str) -> None:
    assert foreign(text) != []


@pytest.mark.parametrize(
    "text", ["/livez and /readyz", "a/work/b", "https://example.org/home/x", "~/.local/share", "$root/x"]
)
def test_other_paths_are_let_through(text: str) -> None:
    assert foreign(text) == []


def test_no_lock_file_with_addresses_is_kept() -> None:
    names = {"uv.lock", "poetry.lock", "package-lock.json", "npm-shrinkwrap.json", "yarn.lock", "Pipfile.lock"}
    assert [file for file in kept_files() if file.name in names] == []
