"""Workers are killed while they send; an outside ledger says what became of it. The long form: tests/chaos/outside.py."""

import argparse
import importlib.util
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from real_kafka import missing


def _load() -> ModuleType:
    path = Path(__file__).with_name("outside.py")
    spec = importlib.util.spec_from_file_location("outside", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["outside"] = module
    spec.loader.exec_module(module)
    return module


outside = _load()


def _options(*words: str) -> argparse.Namespace:
    options: argparse.Namespace = outside.parse(list(words))
    return options


# Slow enough that the wanted kills fall into the sending, whatever the machine.
@pytest.mark.parametrize(("category", "recipients", "delay"), [("notice", 3000, 0.3), ("emergency", 600, 0.1)])
def test_killed_workers_lose_nobody_and_copy_no_more_than_their_windows(
    category: str, recipients: int, delay: float
) -> None:
    found = outside.run(
        _options(
            *("--recipients", str(recipients), "--kills", "4", "--category", category),
            *("--drop", "0.005", "--delay", str(delay), "--pause", "0.3", "0.9"),
        )
    )
    assert found["ok"], found
    assert found["never_sent_outside_unknown"] == 0


@pytest.mark.xdist_group("kafka")
@pytest.mark.parametrize(("category", "recipients", "delay"), [("notice", 3000, 0.3), ("emergency", 500, 0.1)])
def test_killed_workers_and_a_killed_broker_lose_nobody_and_replays_change_nothing(
    category: str, recipients: int, delay: float
) -> None:
    if lacks := missing():
        pytest.skip(lacks)
    found = outside.run(
        _options(
            *("--recipients", str(recipients), "--kills", "2", "--category", category, "--delay", str(delay)),
            *("--bus", "kafka", "--broker-kills", "1", "--stir", "--drop", "0.005", "--pause", "0.3", "0.9"),
        )
    )
    assert found["ok"], found
    assert found["never_sent_outside_unknown"] == 0
    assert found["dead_letters"] == 3


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, Any, int, argparse.Namespace]]:
    """A campaign sent without any harm, to be told lies about."""
    place = tmp_path_factory.mktemp("quiet")
    options = _options("--recipients", "200", "--kills", "0")
    sink = outside.Sink(place / "ledger.txt", 0.0, 0.0, 1).start()
    product = outside.Product(place / "home", sink, 5.0)
    outside.write_recipients(place / "people.csv", 200)
    outside.write_set(place / "sets", "notice")
    campaign = outside.prepare(product, place / "people.csv")
    outside.torment(product, campaign, options)
    yield product, sink, campaign, options


def test_the_checker_is_content_with_a_quiet_run(quiet: Any) -> None:
    product, sink, campaign, options = quiet
    assert all(outside.check(product, sink, campaign, options, 0)["laws"].values())


@pytest.mark.parametrize("law", ["L2", "L3", "L4", "L5"])
def test_the_checker_finds_each_broken_law(quiet: Any, law: str) -> None:
    product, sink, campaign, options = quiet
    lines = sink.path.read_text().splitlines()
    lied = random.Random(1).choice(lines)
    broken = {
        "L2": [x for x in lines if x != lied],
        "L3": [*lines, lied],
        "L4": [*lines, "1-999999-stranger tel:+8613800000000"],
        "L5": lines,
    }[law]
    sink.path.write_text("\n".join(broken) + "\n")
    if law == "L5":
        _write(product, "UPDATE counter SET n = n + 1 WHERE word = 'accepted'")
    try:
        assert not outside.check(product, sink, campaign, options, 0)["laws"][law]
    finally:
        sink.path.write_text("\n".join(lines) + "\n")
        if law == "L5":
            _write(product, "UPDATE counter SET n = n - 1 WHERE word = 'accepted'")


def _write(product: Any, statement: str) -> None:
    connection = outside.sqlite3.connect(product.home / "broadcaster.db")
    connection.execute(statement)
    connection.commit()
    connection.close()
