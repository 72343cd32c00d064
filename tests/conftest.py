"""What every test may ask for, and the rule that a continuous-integration run skips nothing."""

import itertools
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from postgresql_server import TEMPLATE, NoServer, Server

from broadcaster.installation import Installation, initialise
from broadcaster.settings import in_ci
from broadcaster.store.engine import open_store
from broadcaster.store.migrate import migrate

TEST_DATA = "BROADCASTER_TEST_DATA"
# Folders whose tests run on both databases; the others stay on SQLite, for time.
ON_BOTH = {"store", "deliver", "compose", "reach", "bus"}
DATABASES = ("sqlite", "postgresql")
_numbers = itertools.count(1)


class NothingIsSkipped:
    """Fails a run in which a test was skipped. An expected failure has run, so it does not count."""

    def __init__(self) -> None:
        self.skipped: list[str] = []

    def _note(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if report.skipped and not hasattr(report, "wasxfail"):
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
            self.skipped.append(f"{report.nodeid}: {reason}")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._note(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._note(report)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.skipped:
            terminalreporter.section("skipped, which fails a run with CI=true", sep="=", red=True)
            for line in self.skipped:
                terminalreporter.line(line)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.skipped and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_configure(config: pytest.Config) -> None:
    # The settings of whoever runs the tests must not change what they prove.
    for name in [n for n in os.environ if n.startswith("BROADCASTER_") and n != TEST_DATA]:
        del os.environ[name]
    # Workers of a parallel run hand their reports to the process that counts.
    if in_ci() and not hasattr(config, "workerinput"):
        config.pluginmanager.register(NothingIsSkipped(), "nothing-is-skipped")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # One worker of a parallel run has all tests of the broker, so that there is one broker: names of topics are fixed, and
    # 280 MB and two cores are better not shared with a second.
    for item in items:
        if {"kafka", "own_kafka"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.xdist_group("kafka"))


def _broker() -> Iterator[Any]:
    from real_kafka import Broker, missing  # tests/broker: not on the path of a single folder of tests

    if lacks := missing():
        pytest.skip(lacks)
    made = Broker()
    try:
        yield made.start()
    finally:
        made.stop()


@pytest.fixture(scope="session")
def kafka() -> Iterator[Any]:
    """A real Kafka broker, one for the run. Each test makes topics of its own on it."""
    yield from _broker()


@pytest.fixture
def own_kafka() -> Iterator[Any]:
    """A real Kafka broker of this test's own: to kill it, or to have the product's topics, whose names are fixed, to itself."""
    yield from _broker()


@pytest.fixture(scope="session")
def at_broker() -> Callable[..., Installation]:
    """`at_broker(inst, broker)`: the installation with its bus on a broker; members are missed after 2 s."""

    def made(inst: Installation, broker: Any, **settings: object) -> Installation:
        given = {"bus_url": broker.url, "kafka_session_ms": 2000, "kafka_partitions": 2, **settings}
        return Installation(inst.settings.model_copy(update=given), inst.store, inst.keys)

    return made


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Whoever works on an installation does so on every database; @pytest.mark.database("sqlite") names the only one."""
    if "database" not in metafunc.fixturenames:
        return
    named = [name for mark in metafunc.definition.iter_markers("database") for name in mark.args]
    both = metafunc.definition.path.parent.name in ON_BOTH
    metafunc.parametrize("database", named or (DATABASES if both else DATABASES[:1]), indirect=True)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Server]:
    """A real PostgreSQL server, with a database of the newest schema that others are copied from."""
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    try:
        server = Server()
    except NoServer as error:
        pytest.skip(str(error))
    try:
        server.execute(f"CREATE DATABASE {TEMPLATE}")
        store = open_store(server.url(TEMPLATE))
        migrate(store)
        store.close()
        yield server
    finally:
        server.stop()


@pytest.fixture
def database(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of an empty database of the newest schema; "" = the SQLite file of the home folder."""
    if request.param == "sqlite":
        yield ""
        return
    with _copied(request.getfixturevalue("postgresql")) as url:
        yield url


@contextmanager
def _copied(server: Server) -> Iterator[str]:
    name = f"t{next(_numbers)}"
    server.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
    yield server.url(name)
    server.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def on_postgresql(postgresql: Server) -> Iterator[str]:
    """The address of an empty database on PostgreSQL, for a test that holds both beside each other."""
    with _copied(postgresql) as url:
        yield url


@pytest.fixture
def inst(tmp_path: Path, database: str) -> Iterator[Installation]:
    """A fresh installation in a folder of its own."""
    made = initialise(home=tmp_path / "home", database_url=database)
    yield made
    made.close()


@pytest.fixture(scope="session")
def program() -> Callable[[str], str]:
    """`program("mpg123")`: the path of a program of the system; skips the test where it is not installed."""

    def find(name: str) -> str:
        return shutil.which(name) or pytest.skip(f"{name} is not installed; as root: apt-get install {name}")

    return find


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder of public schemas that BROADCASTER_TEST_DATA names; skips the test where it is not set."""
    folder = os.environ.get(TEST_DATA)
    if not folder:
        pytest.skip(f"{TEST_DATA} names no folder of public schemas")
    return Path(folder)
