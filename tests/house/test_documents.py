"""The documents keep up with the code: rooms, links, and the commands that the README promises."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "README.zh-CN.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
PLAN = (ROOT / "docs" / "where-things-go.md").read_text(encoding="utf-8")


def rooms() -> set[str]:
    here = [path for path in (ROOT / "broadcaster").iterdir() if not path.name.startswith("_")]
    return {p.stem for p in here if p.suffix == ".py"} | {f"{p.name}/" for p in here if (p / "__init__.py").is_file()}


def undescribed(names: set[str], plan: str) -> set[str]:
    return {
        name
        for name in names
        if not re.search(rf"(?<![\w/]){re.escape(name)}" + ("" if name.endswith("/") else r"\.py"), plan)
    }


def broken_links(document: Path, text: str) -> list[str]:
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text) + re.findall(r"(?:src|href)=\"([^\"#]+)\"", text)
    return [target for target in targets if "://" not in target and not (document.parent / target).exists()]


def test_every_room_is_on_the_plan() -> None:
    assert undescribed(rooms(), PLAN) == set()
    assert undescribed({"attic/", "cellar"}, PLAN) == {"attic/", "cellar"}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_between_documents_lead_somewhere(document: Path) -> None:
    assert broken_links(document, document.read_text(encoding="utf-8")) == []
    assert broken_links(document, "[a](no-such.md) [b](https://example.org/)") == ["no-such.md"]


@pytest.mark.parametrize("name", ["README.md", "README.zh-CN.md"])
def test_the_readme_starts_with_two_commands_that_exist(name: str) -> None:
    commands = re.findall(r"^\./(scripts/\w+)", (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE)
    assert commands[:2] == ["scripts/demo", "scripts/test"]
    assert [command for command in commands if not (ROOT / command).is_file()] == []


def test_both_readmes_have_the_same_parts() -> None:
    english, chinese = ((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "README.zh-CN.md"))
    assert [line.count("#") for line in english.splitlines() if line.startswith("#")] == [
        line.count("#") for line in chinese.splitlines() if line.startswith("#")
    ]
    assert english.count("\n|") == chinese.count("\n|")
    assert english.count("```") == chinese.count("```")
