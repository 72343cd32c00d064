"""Three full languages: the same words in each, every word that a page asks for, and the language that a browser wants."""

import ast
import re
from collections.abc import Callable
from pathlib import Path
from string import Formatter
from typing import Any

import pytest
from fastapi.testclient import TestClient
from jinja2 import nodes

import broadcaster
from broadcaster.compose.template_values import PREMISES_CATEGORIES
from broadcaster.deliver.reply_words import Kind
from broadcaster.model import CampaignState, Category, Level, Mode, Outcome, Proof, Role
from broadcaster.suppression import CLASSES
from broadcaster.web.languages import LANGUAGES, Words, by_language, catalogue, chosen
from broadcaster.web.rendering import PAGES, environment
from channels import CHANNELS
from channels.base import AnswerWord

WEB = Path(broadcaster.__file__).parent / "web"
# What a page joins to a word of ours: every value that can come must have its words.
FAMILIES: dict[str, list[str]] = {
    "state.": list(CampaignState),
    "mode.": list(Mode),
    "category.": list(Category),
    "level.": list(Level),
    "outcome.": list(Outcome),
    "proof.": list(Proof),
    "role.": list(Role),
    "premises.": list(PREMISES_CATEGORIES),
    "channel.": list(CHANNELS),
    "channel_count.": list(CHANNELS),
    "channel_noun.": list(CHANNELS),
    "language.": list(LANGUAGES),
    "cut.": ["channel", "place", "unit", "category", "language", "outcome"],
    "unreached.": ["name", "number", "place", "premises", "outcome", "reason"],
    "counts.no_": ["place", "unit"],
    "campaign.reason_": ["returned", "cancelled"],
    "follows.": ["correction", "update", "repeat"],
    "place_level.p": ["1", "2", "3", "4", "5"],
    "play.button_": ["loudspeaker", "billboard"],
    "play.done_": ["loudspeaker", "billboard"],
    "play.failed_": ["loudspeaker", "billboard"],
    "play.again_": ["loudspeaker", "billboard"],
    "provider.": ["spool", "http", "kannel", "twilio", "mas", "pull"],
    "provider_role.": ["first", "second", "unused"],
    "provider_state.": ["ok", "stopped", "busy", "ill", "waiting"],
    "trouble.": ["stopped", "ill", "balance-low", "silent", "busy"],
    "trouble_do.": ["stopped", "ill", "balance-low", "silent", "busy"],
    "failure.": [*(word for word in AnswerWord if word is not AnswerWord.ACCEPTED), "in-doubt", "expired"],
    "failure_source.": ["answer", "receipt"],
    "opt_out.": list(CLASSES),
    "reply_kind.": list(Kind),
    "status.": ["400", "401", "403", "404", "405", "409", "413", "415", "422", "500", "503"],
}
GUARDED = {"error.", "event."}  # pages ask whether there are words first; codes of errors are tested below


def asked_by_pages() -> set[tuple[str, bool]]:
    """(key, whether more is joined to it) of every call of `t` in a template."""
    found = set()
    for file in PAGES.glob("*.html"):
        tree = environment().parse(file.read_text(encoding="utf-8"))
        for call in tree.find_all(nodes.Call):
            if isinstance(call.node, nodes.Name) and call.node.name == "t":
                key = call.args[0]
                joined = isinstance(key, nodes.Concat)
                first = key.nodes[0] if joined else key
                if isinstance(first, nodes.Const):
                    found.add((str(first.value), joined))
    return found


def asked_by_code() -> set[str]:
    found = set()
    for file in WEB.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
                name = node.func.id if isinstance(node.func, ast.Name) else ""
                if name in {"t", "self"} and node.args and isinstance(node.args[0], ast.Constant):
                    found.add(str(node.args[0].value))
    return found


def test_the_three_catalogues_hold_the_same_words() -> None:
    keys = {language: set(catalogue(language)) for language in LANGUAGES}
    assert keys["zh-CN"] == keys["ko"] == keys["en"]


def test_a_word_takes_the_same_values_in_each_language() -> None:
    def gaps(language: str, key: str) -> set[str | None]:
        return {name for _, name, _, _ in Formatter().parse(catalogue(language)[key]) if name is not None}

    differing = [key for key in catalogue("en") if not gaps("zh-CN", key) == gaps("ko", key) == gaps("en", key)]
    assert differing == []


def test_no_translation_is_empty_or_left_in_another_language() -> None:
    assert [key for language in LANGUAGES for key, word in catalogue(language).items() if not word.strip(" ")] == []
    han = re.compile("[\u4e00-\u9fff]")
    examples = {"place.search_example"}
    for language in ("ko", "en"):
        left = [key for key, word in catalogue(language).items() if han.search(word) and key not in examples]
        assert left == []


def test_every_word_that_a_page_asks_for_exists() -> None:
    there = set(catalogue("en"))
    asked = asked_by_pages()
    assert len(asked) > 200
    plain = {key for key, joined in asked if not joined} | asked_by_code()
    assert plain - there == set()
    joined = {key for key, more in asked if more} - GUARDED
    assert joined <= set(FAMILIES)
    assert {f"{family}{value}" for family, values in FAMILIES.items() for value in values} - there == set()


def test_every_word_is_asked_for() -> None:
    pages = " ".join(file.read_text(encoding="utf-8") for file in PAGES.glob("*.html"))
    used = set(re.findall(r'"([a-z_]+\.[a-z_]+)"', pages)) | {key for key, _ in asked_by_pages()} | asked_by_code()
    families = (*FAMILIES, *GUARDED)
    idle = {key for key in catalogue("en") if key not in used and not key.startswith(families)}
    assert idle == set()


# Met by operators of the machine only: files of places, and bus records that a worker puts aside.
NOT_ON_PAGES = {
    "places-file",
    "units-file",
    "population-source",
    "record-damaged",
    "record-empty",
    "record-forged",
    "record-mode",
}


def error_codes() -> set[str]:
    """Codes of errors that can reach a page: raised in broadcaster/, outside the command line and what only it can meet."""
    rooms = ("compose", "deliver", "reach", "web", "people.py", "policy.py", "devices.py", "suppression.py", "audit.py")
    files = [
        f
        for room in rooms
        for f in (sorted((WEB.parent / room).rglob("*.py")) if not room.endswith("py") else [WEB.parent / room])
    ]
    names = {"BadInput", "Refused", "NotFound", "Unavailable", "Conflict"}
    found = set()
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names:
                first = node.args[0] if node.args else None
                if isinstance(first, ast.Constant):
                    found.add(str(first.value))
    return found


def test_every_error_that_a_person_can_meet_has_words() -> None:
    wanted = error_codes() - NOT_ON_PAGES
    assert {code for code in wanted if f"error.{code}" not in catalogue("en")} == set()


@pytest.mark.parametrize(
    ("asked", "kept", "accepted", "language"),
    [
        (None, None, "", "zh-CN"),
        (None, None, "en-GB,en;q=0.9", "en"),
        (None, None, "fr,ko-KR;q=0.8,en;q=0.5", "ko"),
        (None, None, "zh-TW", "zh-CN"),
        (None, None, "en;q=0,ko", "ko"),
        (None, None, "fr", "zh-CN"),
        (None, None, "en;q=x,;;,ko;q=0.1", "ko"),
        (None, "ko", "en", "ko"),
        ("en", "ko", "zh", "en"),
        ("xx", None, "en", "en"),
    ],
)
def test_a_browser_gets_the_language_it_wants(
    asked: str | None, kept: str | None, accepted: str, language: str
) -> None:
    assert chosen(asked, kept, accepted, "zh-CN") == language


def test_the_language_chosen_on_a_page_is_kept(signed_in: Callable[[str], Any], anybody: TestClient) -> None:
    browser = signed_in("wang")
    assert '<html lang="zh-CN"' in browser.see("/")
    assert '<html lang="ko"' in browser.see("/?lang=ko")
    assert '<html lang="ko"' in browser.see("/")
    assert '<html lang="en"' in browser.see("/?lang=en")
    assert "Waiting for approval" in browser.see("/")


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_page_can_be_made_in_every_language(
    signed_in: Callable[[str], Any], town: Any, draft: int, calls: Callable[..., Any], language: str
) -> None:
    calls("wang", "POST", f"/campaigns/{draft}/submit")
    admin, author, operator = signed_in("sun"), signed_in("wang"), signed_in("jin")
    for browser, paths in (
        (admin, ("/", "/users", "/audit", "/recipients", f"/campaigns/{draft}", f"/campaigns/{draft}/counts")),
        (author, ("/", "/campaigns/new", "/campaigns/new?set=forest-fire-ban", f"/campaigns/{draft}/edit")),
        (
            operator,
            ("/operator", f"/operator/devices/{town.speaker_id}", "/gateway", "/gateway/replies", "/gateway/in-doubt"),
        ),
    ):
        for path in paths:
            page = browser.see(path, **{"accept-language": language})
            assert f'<html lang="{language}"' in page


def test_times_and_figures_are_written_as_people_of_the_language_do() -> None:
    written = "2027-03-15T06:30:00+08:00"
    assert [Words(language, "Asia/Shanghai").time(written) for language in LANGUAGES] == [
        "2027年3月15日 06:30",
        "2027년 3월 15일 06:30",
        "15 March 2027, 06:30",
    ]
    t = Words("zh-CN", "Asia/Shanghai")
    assert (t.number(48213), t.number(None), t.time(None), t.money(1250)) == ("48,213", "–", "–", "1.25")
    assert (t.seconds(59.4), t.seconds(75)) == ("59 秒", "1 分 15 秒")


def test_a_text_in_two_languages_is_told_apart_by_its_letters() -> None:
    assert by_language("一\n\n二", "zh-CN") == [("zh-CN", "一\n\n二")]
    both = "一\n\n119\n\n둘\n\n셋 三"
    assert by_language(both, "zh-CN+ko") == [("zh-CN", "一\n\n119"), ("ko", "둘\n\n셋 三")]
    assert by_language("119\n\nFire", "zh-CN+en") == [("zh-CN", "119"), ("en", "Fire")]
