"""The arrows of the house: who may import whom, and which room alone may import what (docs/where-things-go.md)."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HOUSES = ("broadcaster", "channels", "audio")

# From the ground up: a room imports from its own floor and from those below it. A new room is entered here.
FLOORS = (
    {"model", "settings", "keys", "logs", "quiet_hours"},
    {"store"},
    {"installation", "bus"},
    {"people", "policy", "sign_in", "devices", "suppression", "audit"},
    {"compose", "deliver", "reach"},
    {"schedule"},
    {"web"},
    {"cli"},
)
# Neighbours on one floor that meet in the store and nowhere else.
STRANGERS = {"compose", "deliver", "reach"}

# What one room alone may import. A folder ends with a slash. The type of an open connection may be named anywhere: rooms hand
# it down to the store. What they may not do is call its methods (SPEAKS_SQL).
ROOM_OF = {
    "sqlalchemy": ["broadcaster/store/"],
    "sqlite3": ["broadcaster/store/"],
    "pysqlite3": ["broadcaster/store/"],
    "alembic": ["broadcaster/store/"],
    "psycopg": ["broadcaster/store/"],
    "kafka": [f"broadcaster/bus/{name}.py" for name in ("kafka", "kafka_client", "kafka_faults", "kafka_reader")],
    "twilio": ["channels/sms/twilio.py"],
    "gtts": ["audio/"],
    "pydub": ["audio/"],
    "miniaudio": ["audio/"],
    "lameenc": ["audio/"],
    "espeakng_loader": ["audio/"],
    "jinja2": ["broadcaster/compose/templates.py", "broadcaster/compose/template_language.py", "broadcaster/web/"],
    "fastapi": ["broadcaster/web/"],
    "starlette": ["broadcaster/web/"],
    "typer": ["broadcaster/cli/"],
}
FREE = {"sqlalchemy.Connection"}
SPEAKS_SQL = {"execute", "executemany", "exec_driver_sql", "scalar", "scalars"}
ENVIRONMENT = {"environ", "environb", "getenv", "getenvb", "putenv", "unsetenv"}
READS_ENVIRONMENT = "broadcaster/settings.py"


@dataclass(frozen=True)
class Import:
    """One import: the file and line that has it, and the dotted name that it reaches for."""

    file: str
    line: int
    name: str
    late: bool  # inside a function: done when the function runs

    @property
    def where(self) -> str:
        return f"{self.file}:{self.line} imports {self.name}"


Sources = dict[str, str]  # path from the root → text


def house_sources() -> Sources:
    files = [file for house in HOUSES for file in sorted((ROOT / house).rglob("*.py"))]
    return {file.relative_to(ROOT).as_posix(): file.read_text(encoding="utf-8") for file in files}


def dotted(file: str) -> str:
    """broadcaster/store/engine.py → broadcaster.store.engine; a package is named by its folder."""
    return file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def imported(file: str, text: str) -> Iterator[Import]:
    """Every import anywhere in the file: at the top, in a function, for types only, or by import_module("name")."""
    package = dotted(file) if file.endswith("__init__.py") else dotted(file).rpartition(".")[0]
    tree = ast.parse(text, file)
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    late = {id(node) for function in functions for node in ast.walk(function)}
    for node in ast.walk(tree):
        for name in names_in(node, package):
            yield Import(file, getattr(node, "lineno", 0), name, id(node) in late)


def names_in(node: ast.AST, package: str) -> Iterator[str]:
    """The dotted names that one statement or call imports."""
    if isinstance(node, ast.Import):
        yield from (name.name for name in node.names)
    elif isinstance(node, ast.ImportFrom):
        above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
        base = ".".join([*above, *([node.module] if node.module else [])])
        yield from (f"{base}.{name.name}" for name in node.names)
    elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if called in {"import_module", "__import__"} and isinstance(node.args[0].value, str):
            yield node.args[0].value


def all_imports(sources: Sources) -> list[Import]:
    return [found for file, text in sources.items() for found in imported(file, text)]


def floor(room: str) -> int | None:
    return next((height for height, rooms in enumerate(FLOORS) if room in rooms), None)


def house_of(name: str) -> str:
    return name.partition(".")[0]


def room_of(name: str) -> str:
    """The room of a dotted name: broadcaster.store.engine → store; empty for the house itself."""
    return name.partition(".")[2].partition(".")[0]


def wrong_arrows(sources: Sources) -> list[str]:
    return [found.where for found in all_imports(sources) if not may_import(dotted(found.file), found.name)]


def may_import(importer: str, name: str) -> bool:
    house, target = house_of(importer), house_of(name)
    if target not in HOUSES:
        return True
    if house != "broadcaster" or target != "broadcaster":
        return HOUSES.index(house) <= HOUSES.index(target)
    here, there = room_of(importer), room_of(name)
    if there in {"", "__version__"} or here == there:
        return True
    if {here, there} <= STRANGERS:
        return False
    low, high = floor(there), floor(here)
    return low is not None and high is not None and low <= high


def wrong_rooms(sources: Sources) -> list[str]:
    return [
        found.where
        for found in all_imports(sources)
        if found.name not in FREE
        and not any(within(found.file, room) for room in ROOM_OF.get(house_of(found.name), [found.file]))
    ]


def within(file: str, room: str) -> bool:
    return file.startswith(room) if room.endswith("/") else file == room


def sql_speakers(sources: Sources) -> list[str]:
    return [
        f"{file}:{node.lineno} calls .{node.func.attr}()"
        for file, text in sources.items()
        if not within(file, "broadcaster/store/")
        for node in ast.walk(ast.parse(text, file))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in SPEAKS_SQL
    ]


def environment_readers(sources: Sources) -> list[str]:
    found = [
        f"{file}:{node.lineno} uses os.{node.attr}"
        for file, text in sources.items()
        if file != READS_ENVIRONMENT
        for node in ast.walk(ast.parse(text, file))
        if isinstance(node, ast.Attribute) and node.attr in ENVIRONMENT and getattr(node.value, "id", "") == "os"
    ]
    names = {f"os.{name}" for name in ENVIRONMENT}
    return found + [i.where for i in all_imports(sources) if i.name in names and i.file != READS_ENVIRONMENT]


def cycle(sources: Sources) -> list[str]:
    """The modules of one import cycle, in order; empty where there is none.

    An import inside a function counts, except where a package hands out what lies inside itself: its parts may know it.
    """
    modules = {dotted(file) for file in sources}
    arrows: dict[str, set[str]] = {module: set() for module in modules}
    for found in all_imports(sources):
        here, target = dotted(found.file), found.name if found.name in modules else found.name.rpartition(".")[0]
        if target in modules and target != here and not (found.late and target.startswith(f"{here}.")):
            arrows[here].add(target)
    try:
        TopologicalSorter(arrows).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


@pytest.fixture(scope="module")
def sources() -> Sources:
    return house_sources()


def test_arrows_between_rooms_go_one_way(sources: Sources) -> None:
    assert wrong_arrows(sources) == []


def test_a_library_is_imported_by_its_own_room_alone(sources: Sources) -> None:
    assert wrong_rooms(sources) == []


def test_the_store_alone_speaks_sql(sources: Sources) -> None:
    assert sql_speakers(sources) == []


def test_the_settings_alone_read_the_environment(sources: Sources) -> None:
    assert environment_readers(sources) == []


def test_no_import_cycle(sources: Sources) -> None:
    assert cycle(sources) == []


def test_every_room_has_a_floor(sources: Sources) -> None:
    rooms = {room_of(dotted(file)) for file in sources if file.startswith("broadcaster/")} - {""}
    assert {room for room in rooms if floor(room) is None} == set()


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("broadcaster/store/engine.py", "from broadcaster.compose import plan"),
        ("broadcaster/store/engine.py", "def late():\n    import broadcaster.bus.local"),
        ("broadcaster/store/engine.py", "from importlib import import_module\nimport_module('broadcaster.web.app')"),
        ("broadcaster/compose/plan.py", "from broadcaster.deliver.worker import run"),
        ("broadcaster/compose/plan.py", "from ..reach import counts"),
        ("broadcaster/reach/__init__.py", "from ..compose import plan"),
        ("broadcaster/web/app.py", "import broadcaster.cli.main"),
        ("broadcaster/people.py", "from broadcaster.schedule import due"),
        ("broadcaster/people.py", "from broadcaster.attic import box"),
        ("channels/billboard.py", "from broadcaster.model import Refused"),
        ("audio/mix.py", "from channels.base import Size"),
        ("audio/mix.py", "import broadcaster"),
    ],
)
def test_a_wrong_arrow_is_found(file: str, text: str) -> None:
    assert len(wrong_arrows({file: text})) == 1


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("broadcaster/compose/plan.py", "from broadcaster.store import campaigns\nfrom . import wording"),
        ("broadcaster/people.py", "from broadcaster import __version__, audit"),
        ("broadcaster/cli/main.py", "from broadcaster.web.app import create_app\nimport channels.base, audio.mix"),
        ("channels/loudspeaker.py", "from audio.clip import make_clip\nfrom .base import Channel"),
    ],
)
def test_a_right_arrow_is_let_through(file: str, text: str) -> None:
    assert wrong_arrows({file: text}) == []


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("broadcaster/people.py", "from sqlalchemy import select"),
        ("broadcaster/compose/plan.py", "def f():\n    import sqlite3"),
        ("broadcaster/bus/local.py", "from kafka import KafkaProducer"),
        ("channels/sms/kannel.py", "from twilio.rest import Client"),
        ("channels/loudspeaker.py", "from pydub import AudioSegment"),
        ("broadcaster/compose/wording.py", "from jinja2.sandbox import SandboxedEnvironment"),
    ],
)
def test_a_library_in_the_wrong_room_is_found(file: str, text: str) -> None:
    assert len(wrong_rooms({file: text})) == 1


@pytest.mark.parametrize(
    "text", ["import os\nos.environ['A']", "import os\nos.getenv('A')", "from os import environ as e"]
)
def test_a_second_reader_of_the_environment_is_found(text: str) -> None:
    assert len(environment_readers({"channels/base.py": text})) == 1
    assert environment_readers({READS_ENVIRONMENT: text}) == []


def test_a_cycle_is_found() -> None:
    made_up = {
        "broadcaster/people.py": "from broadcaster import audit",
        "broadcaster/audit.py": "def late():\n    from broadcaster.devices import enrol",
        "broadcaster/devices.py": "from broadcaster.people import User",
    }
    assert set(cycle(made_up)) == {"broadcaster.people", "broadcaster.audit", "broadcaster.devices"}


def test_a_package_may_hand_out_its_parts_late_but_not_at_once() -> None:
    part = "from broadcaster.bus import Record"
    late = {
        "broadcaster/bus/__init__.py": "def open_bus():\n    from broadcaster.bus.local import L",
        "broadcaster/bus/local.py": part,
    }
    assert cycle(late) == []
    assert cycle({**late, "broadcaster/bus/__init__.py": "from broadcaster.bus.local import L"}) != []
