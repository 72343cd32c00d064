"""The reference pages are complete: every setting, verb, option, channel, outcome and proof stands in them as it is."""

from pathlib import Path

import pytest
import typer

from broadcaster.cli.main import app
from broadcaster.cli.reference import settings_lines, verb_lines
from broadcaster.model import Category, Level, Mode, Outcome, PremisesCategory, Proof
from channels import CHANNELS

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.mark.parametrize("page", ["settings", "cli"])
def test_the_generated_part_is_what_the_code_says(page: str) -> None:
    made = settings_lines() if page == "settings" else verb_lines(typer.main.get_command(app))
    text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
    assert text.rstrip().endswith("\n".join(made).rstrip()), f"put in: broadcaster reference {page}"


def test_every_exit_code_is_in_the_page() -> None:
    text = (DOCS / "cli.md").read_text(encoding="utf-8")
    for code in (0, 1, 2, 3, 4, 5, 130):
        assert f"| {code} |" in text


@pytest.mark.parametrize(
    "words",
    [CHANNELS, Outcome, Proof, Mode, Category, Level, PremisesCategory],
    ids=["channels", "outcomes", "proofs", "modes", "categories", "levels", "premises categories"],
)
def test_every_word_of_a_kind_is_in_the_glossary(words: object) -> None:
    text = (DOCS / "glossary.md").read_text(encoding="utf-8")
    assert [str(word) for word in words if f"`{word}`" not in text] == []  # type: ignore[attr-defined]
