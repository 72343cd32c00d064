"""Everything that the product runs on is killed while it sends; an outside ledger says what became of it. Long form: scripts/chaos."""

import argparse
import json
import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # the harness is a program of its own, not a package of the tests

import outside
import scenarios
from back_ends import Embedded, missing
from feed_watch import Feeds, Shown, Watch
from laws import Harm, answers, check
from ledger import Sink
from product import Product, approval, drafted, furnish

RECORDS = "--replayed 1 --doubled 1 --reordered 1 --poisoned 1"
EVERYTHING = (
    f"{RECORDS} --worker 2 --fan-out 1 --devices 8 --feed-server 2 --lost 1 --drops 4 --pause 0.1 0.4 --chunk 50"
)
SHORT = [
    ("embedded", "emergency", f"--recipients 600 {EVERYTHING} --lease 4"),
    ("embedded", "notice", "--recipients 2000 --worker 3 --drops 4 --lease 4 --pause 0.1 0.4"),
    ("scale", "emergency", f"--recipients 600 {EVERYTHING} --broker 1 --database 1 --lease 8"),
    (
        "scale",
        "notice",
        f"--recipients 2000 {RECORDS} --worker 2 --broker 1 --database 1 --drops 4 --lease 8 --pause 0.1 0.4",
    ),
]


# One worker of a parallel run has all that starts a broker.
@pytest.mark.parametrize(
    ("back_end", "category", "words"),
    [pytest.param(*run, marks=[pytest.mark.xdist_group("kafka")] if run[0] == "scale" else []) for run in SHORT],
    ids=[f"{run[0]}-{run[1]}" for run in SHORT],
)
def test_whatever_is_killed_nobody_is_lost_and_copies_stay_in_their_bound(
    back_end: str, category: str, words: str
) -> None:
    if lacks := missing(back_end):
        pytest.skip(lacks)
    options = outside.parse(["--back-end", back_end, "--category", category, *words.split()])
    found = outside.run(options)
    assert found["ok"], found
    assert found["never_sent_outside_unknown"] == 0
    done = {kind for kind in outside.HARM if found["faults"].get(kind)}
    assert done == {kind for kind in outside.HARM if getattr(options, kind.replace("-", "_").replace(" ", "_"))}


def test_the_short_runs_do_every_harm_on_each_back_end() -> None:
    for back_end, far in (("embedded", set()), ("scale", set(outside.FAR))):
        words = " ".join(run[2] for run in SHORT if run[0] == back_end)
        assert {kind for kind in outside.HARM if f"--{kind.replace(' ', '-')} " in words} == (
            set(outside.HARM) - set(outside.FAR) | far
        )


# The checker itself: a law that is broken must be found.


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Product, Sink, int]]:
    """A campaign sent without any harm, to be told lies about."""
    place = tmp_path_factory.mktemp("quiet")
    sink = Sink(place / "ledger.txt").start()
    product = Product(place, sink, Embedded(place), 5.0)
    furnish(product, place, 200, 0, "notice")
    campaign = drafted(product, ["sms"])
    product.ask(*approval(campaign))
    options = outside.parse(["--recipients", "200", "--pause", "0.1", "0.2"])
    torment = outside.Torment(product, sink, (campaign, 200), options)
    product.start_workers(1)
    torment.run()
    assert torment.harm.told == []
    yield product, sink, campaign
    product.stop()


@pytest.fixture(scope="module")
def said(quiet: Any) -> dict[str, Any]:
    """What the product says of itself while nobody has lied."""
    found: dict[str, Any] = answers(quiet[0], quiet[2])
    return found


@pytest.fixture
def laws(quiet: Any, said: dict[str, Any]) -> Callable[..., dict[str, bool]]:
    """`laws()`: which laws hold; `asked=` what the product was asked anew."""
    product, sink, campaign = quiet

    def held(planned: int = 200, harm: Harm | None = None, asked: dict[str, Any] | None = None) -> dict[str, bool]:
        found: dict[str, bool] = check(product, sink, (campaign, planned), harm or Harm(), {**said, **(asked or {})})[
            "laws"
        ]
        return found

    return held


def test_the_checker_is_content_with_a_quiet_run(laws: Any) -> None:
    assert all(laws().values())


@pytest.mark.parametrize("law", ["L2", "L3", "L4"])
def test_the_checker_finds_each_law_that_the_ledger_breaks(quiet: Any, laws: Any, law: str) -> None:
    sink = quiet[1]
    lines = sink.path.read_text().splitlines()
    lied = random.Random(1).choice(lines)
    broken = {
        "L2": [line for line in lines if line != lied],
        "L3": [*lines, lied],
        "L4": [*lines, f"{quiet[2]}-999999-stranger tel:+8613800000000"],
    }[law]
    sink.path.write_text("\n".join(broken) + "\n")
    try:
        assert not laws()[law]
    finally:
        sink.path.write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize(
    ("law", "lie", "truth"),
    [
        ("finished", "UPDATE campaign SET state = 'running'", "UPDATE campaign SET state = 'finished'"),
        ("L5", "UPDATE counter SET n = n + 1 WHERE word = 'accepted'", "UPDATE counter SET n = n - 1 WHERE word = 'accepted'"),
        ("L6", "UPDATE audit SET actor = 'x' || actor WHERE seq = 2", "UPDATE audit SET actor = substr(actor, 2) WHERE seq = 2"),
        ("dead letters", "INSERT INTO dead_letter (source, error, at) VALUES ('a', 'b', 1)", "DELETE FROM dead_letter"),
    ],
)  # fmt: skip
def test_the_checker_finds_each_law_that_the_rows_break(quiet: Any, laws: Any, law: str, lie: str, truth: str) -> None:
    product, _, campaign = quiet
    product.back_end.change(lie)
    try:
        asked = {
            "L5": lambda: {"recount": product.ask("recount", str(campaign), fine=(0, 1))},
            "L6": lambda: {"audit": product.ask("audit", "verify", fine=(0, 1))},
        }.get(law, dict)()
        assert not laws(asked=asked)[law]
    finally:
        product.back_end.change(truth)


def test_the_checker_finds_a_campaign_of_another_size_and_what_was_found_on_the_way(laws: Any) -> None:
    assert not laws(planned=201)["L1"]
    assert not laws(harm=Harm(told=["counters {} rows {}"]))["looks"]
    assert not laws(harm=Harm(feeds_right=False))["feeds"]


def test_a_copy_in_the_bound_that_no_attempt_of_its_own_explains_breaks_the_law(quiet: Any, laws: Any) -> None:
    product, sink, campaign = quiet
    lines = sink.path.read_text().splitlines()
    product.back_end.change("UPDATE campaign SET category = 'emergency'")
    sink.path.write_text("\n".join([*lines, lines[0]]) + "\n")
    n = lines[0].split("-")[1]
    killed = Harm()
    killed.done["worker"] = 1
    try:
        assert not laws(harm=killed)["L3"]
        product.back_end.change(
            "INSERT INTO attempt (campaign_id, n, attempt, at, answer) VALUES (?, ?, 1, 1, 'in-doubt')", campaign, n
        )
        assert laws(harm=killed)["L3"]
        assert not laws()["L3"], "nobody was killed"
    finally:
        product.back_end.change("DELETE FROM attempt")
        product.back_end.change("UPDATE campaign SET category = 'notice'")
        sink.path.write_text("\n".join(lines) + "\n")


def test_the_watch_finds_a_sequence_that_falls_at_one_server() -> None:
    watch = Watch([1, 2], {7: "/feeds/x"})
    for port, sequence in ((1, 3), (2, 2), (1, 3), (2, 4)):
        watch.note(port, 7, sequence)
    assert watch.found == []
    watch.note(2, 7, 3)
    watch.note(1, 7, 3)
    assert watch.found == ["the sequence of device 7 fell from 4 to 3"]


def test_the_watch_finds_feeds_that_lack_or_keep_a_campaign(quiet: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    feeds = Feeds(quiet[0], {1: "/one", 2: "/two"}, servers=0)
    monkeypatch.setattr(feeds, "expected", lambda: {1: frozenset({5}), 2: frozenset()})
    shown = {"/one": Shown(1, frozenset({5})), "/two": Shown(1, frozenset())}
    monkeypatch.setattr("feed_watch.fetch", lambda port, path: shown[path])
    assert feeds.wrong(8000) == []
    shown["/two"] = Shown(2, frozenset({5}))
    assert feeds.wrong(8000) == ["device 2 at 8000 shows [5], not []"]
    shown["/one"] = Shown(2, frozenset())
    assert len(feeds.wrong(8000)) == 2


# The command.


def test_every_scenario_runs_on_each_back_end_that_can_suffer_it() -> None:
    for back_end in ("embedded", "scale"):
        runs = scenarios.wanted("all", [back_end])
        assert {name for name, *_ in runs} >= {"workers", "fan-out", "feed-servers", "records-lost", "everything"}
        done = {kind for _, _, words in runs for kind in outside.HARM if f"--{kind.replace(' ', '-')}" in words}
        assert done == set(outside.HARM) - (set(outside.FAR) if back_end == "embedded" else set())
        for _, _, words in runs:
            assert isinstance(outside.parse(words), argparse.Namespace)


def test_the_table_tells_every_fault_by_itself_and_names_a_broken_law(capsys: pytest.CaptureFixture[str]) -> None:
    report = {
        "scenario": "workers", "back_end": "scale", "category": "emergency", "planned": 20, "faults": {"worker": 2, "lost": 1},
        "hidden_accepts": 3, "extra_copies": 5, "bound": 19, "unknown": 0, "unknown_truly_unsent": 0,
        "never_sent_outside_unknown": 0, "dead_letters": 0, "seconds": 1.5, "laws": {"L1": True, "L2": True},
    }  # fmt: skip
    head, _, line = scenarios.table([report]).splitlines()
    cells = dict(zip([c.strip() for c in head.split("|")], [c.strip() for c in line.split("|")], strict=True))
    assert cells["faults"] == "2 worker, 1 lost, 3 reply dropped"
    assert (cells["copies too many"], cells["laws"]) == ("5", "all hold")
    assert json.loads(json.dumps(report)) == report
    report["laws"] = {"L1": True, "L2": False}
    assert "BROKEN: L2" in scenarios.table([report])
    with pytest.raises(SystemExit):
        scenarios.main(["no-such-scenario"])
    assert "no-such-scenario" in capsys.readouterr().err
