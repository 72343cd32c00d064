"""Is this machine fit to run it: each check says what it found and, where it is not fine, what to do."""

import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import typer

from broadcaster.cli.failures import known
from broadcaster.cli.session import Home, Json, settings_for
from broadcaster.cli.show import emit, table
from broadcaster.model import BadInput, Unavailable

if TYPE_CHECKING:
    from broadcaster.settings import Settings

LEAST_FREE = 1_000_000_000  # bytes: a campaign of 200,000 takes some 100 MB of database, spool and log of changes
Check = Callable[["Settings"], str]


def register(app: typer.Typer) -> None:
    """Adds the verb doctor."""
    app.command("doctor")(doctor)


def doctor(as_json: Json = False, home: Home = None) -> None:
    """Checks what the program needs on this machine. Ends with 1 where something is not fine."""
    settings = settings_for(home)
    checks = list(checked(settings))
    ok = all(check["ok"] for check in checks)
    if as_json:
        emit({"ok": ok, "checks": checks})
    else:
        columns = ("name", "ok", "detail", "fix")
        table(columns, [[check[name] for name in columns] for check in checks], title="Doctor")
    raise typer.Exit(0 if ok else 1)


def checked(settings: "Settings", only: Sequence[str] = ()) -> Iterator[dict[str, Any]]:
    """Every check in order, or those of some names: {"name", "ok", "detail", "fix"}; fix is empty where it is fine."""
    for name, check, fix in CHECKS:
        if only and name not in only:
            continue
        try:
            yield {"name": name, "ok": True, "detail": check(settings), "fix": ""}
        except Exception as error:  # a broken machine breaks in ways nobody listed; a check must still answer
            told = known(error)
            detail = told.message if told else f"{type(error).__name__}: {error}"
            yield {"name": name, "ok": False, "detail": detail, "fix": fix}


def _python(_settings: "Settings") -> str:
    return f"Python {sys.version.split()[0]}"


def _sqlite(settings: "Settings") -> str:
    from broadcaster.cli.run import refuse_unsafe
    from broadcaster.store.engine import sqlite_module

    refuse_unsafe(settings)
    module = sqlite_module()
    return f"SQLite {module.sqlite_version} ({module.__name__})"


def _keys(settings: "Settings") -> str:
    from broadcaster.keys import read_key_file

    read_key_file(settings.key_file)
    return f"{settings.key_file}, mode {settings.key_file.stat().st_mode & 0o777:04o}"


def _schema(settings: "Settings") -> str:
    from broadcaster.store.engine import open_store
    from broadcaster.store.migrate import current, require_current

    if settings.store_url.startswith("sqlite") and not (settings.folder / "broadcaster.db").exists():
        raise BadInput("not-initialised", "there is no database yet")
    store = open_store(settings.store_url)
    try:
        require_current(store)
        return f"schema {current(store)}, {store.dialect}"
    finally:
        store.close()


def _database(settings: "Settings") -> str:
    from broadcaster.store import standing
    from broadcaster.store.engine import open_store

    if settings.store_url.startswith("sqlite"):
        return "a file in the home folder"
    store = open_store(settings.store_url)
    try:
        with store.read() as conn:
            standing.alive(conn)
        return f"{store.dialect} answers"
    finally:
        store.close()


def _bus(settings: "Settings") -> str:
    if not settings.bus_url.startswith("kafka://"):
        return f"{settings.bus_url} tables in the database"
    from broadcaster.bus.kafka_client import all_topics, standing

    there, wanted = {each.topic for each in standing(settings)}, set(all_topics(settings))
    if wanted - there:
        raise BadInput("bus-topics", f"Kafka answers and lacks {len(wanted - there)} of {len(wanted)} topics")
    return f"Kafka answers, {len(wanted)} topics"


def _spool(settings: "Settings") -> str:
    folder = settings.spool_file.parent
    there = folder if folder.is_dir() else settings.folder
    if not os.access(there, os.W_OK):
        raise BadInput("spool", f"cannot write to {there}")
    if settings.spool_file.exists() and not os.access(settings.spool_file, os.W_OK):
        raise BadInput("spool", f"cannot write to {settings.spool_file}")
    return str(settings.spool_file)


def _sms(settings: "Settings") -> str:
    """The providers of the settings are built, and a live one is asked how it stands; nothing is sent."""
    from broadcaster.deliver.outlets import PULL_GATEWAY, providers_of
    from broadcaster.model import Mode

    names = providers_of(settings, Mode.LIVE, "sms")
    return "; ".join(f"{name}: {_provider(settings, name)}" for name in names if name != PULL_GATEWAY) or (
        "a gateway fetches them from /api/v1/gateway"
    )


def _provider(settings: "Settings", name: str) -> str:
    from broadcaster.deliver.outlets import outlet_of
    from broadcaster.model import Mode
    from channels.providers import Telling
    from channels.sms import Sms

    channel = outlet_of(settings, Mode.LIVE, "sms", name)
    try:
        provider = channel.provider if isinstance(channel, Sms) else None
        if name == "spool":
            return "SMS are written to a file, nobody gets one"
        if not isinstance(provider, Telling):
            return "its settings fit; it cannot be asked how it stands"
        health = provider.health()
        if not health.ok:
            raise Unavailable("sms-provider", f"{name}: {health.detail}")
        told = [health.detail] if health.detail else []
        told += [f"balance {health.balance:.2f} {health.currency}".strip()] if health.balance is not None else []
        told += [f"{health.queued} queued"] if health.queued is not None else []
        return ", ".join(told) or "fine"
    finally:
        channel.close()


def _speech(settings: "Settings") -> str:
    from audio.clip import make_clip
    from audio.spoken import spoken

    engines = [name.strip() for name in settings.speech_engines.split(",")]
    began = time.monotonic()
    with TemporaryDirectory(prefix="broadcaster-") as folder:
        clip = make_clip([("zh-CN", spoken("消防提示：火警119", "zh-CN"))], Path(folder), repeat=1, engines=engines)
    return f"{clip.engine} said {clip.seconds:.1f} s in {time.monotonic() - began:.1f} s"


def _fonts(_settings: "Settings") -> str:
    from channels.billboard.fitting import fit
    from channels.billboard.png import FONT, render_png

    picture = render_png(fit("消防 소방 119", 128, 32), 128, 32)
    return f"{FONT.name} drew a board, {len(picture):,} bytes"


def _disk(settings: "Settings") -> str:
    there = next(folder for folder in (settings.folder, *settings.folder.parents) if folder.exists())
    free = shutil.disk_usage(there).free
    if free < LEAST_FREE:
        raise BadInput("disk", f"{free / 1e9:.1f} GB free at {there}")
    return f"{free / 1e9:.1f} GB free at {there}"


def _port(settings: "Settings") -> str:
    from broadcaster.cli.run import refuse_busy_port

    if _serves(settings):
        return f"{settings.host}:{settings.port} is served by this program"
    refuse_busy_port(settings)
    return f"{settings.host}:{settings.port} is free"


def _serves(settings: "Settings") -> bool:
    """Whether what listens on our port is ourselves: a running service must not be called broken."""
    from http.client import HTTPConnection

    connection = HTTPConnection(settings.host, settings.port, timeout=2)
    try:
        connection.request("GET", "/api/v1/openapi.json")
        return b'"Broadcaster"' in connection.getresponse().read(4096)
    except OSError:
        return False
    finally:
        connection.close()


CHECKS: tuple[tuple[str, Check, str], ...] = (
    ("python", _python, "install Python 3.11 or newer"),
    ("sqlite", _sqlite, "pip install pysqlite3, or set BROADCASTER_DATABASE_URL to a PostgreSQL database"),
    ("keys", _keys, "broadcaster init; where the file is open to others: chmod 600 on it"),
    (
        "database",
        _database,
        "start the server, or set BROADCASTER_DATABASE_URL to its address, user, password and sslmode",
    ),
    ("schema", _schema, "broadcaster init"),
    ("bus", _bus, "look at BROADCASTER_BUS_URL and at what detail names; missing topics: broadcaster init"),
    ("spool", _spool, "let this user write to the home folder, or set BROADCASTER_HOME to another"),
    ("sms", _sms, "look at the setting that detail names, and at the provider; then: broadcaster gateway status"),
    ("speech", _speech, "pip install espeakng-loader, or set BROADCASTER_SPEECH_ENGINES to an engine that is there"),
    (
        "fonts",
        _fonts,
        "pip install --force-reinstall pillow; where the font file itself is missing, install the program again",
    ),
    ("disk", _disk, "make room, or set BROADCASTER_HOME to a folder on another disk"),
    ("port", _port, "end what listens there, or set BROADCASTER_PORT to a free one"),
)
