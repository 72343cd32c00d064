"""The long-running verbs: serve, work, up. SIGTERM drains and ends with 0, at the latest after 20 seconds."""

import os
import signal
import socket
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from broadcaster.cli.failures import INTERRUPTED
from broadcaster.cli.session import Home, opened, settings_for
from broadcaster.cli.show import say
from broadcaster.model import Unavailable

if TYPE_CHECKING:
    from broadcaster.cli.children import Children
    from broadcaster.settings import Settings

ALSO = ("fan-out", "sweep")
DRAIN_SECONDS = 18  # below the 20 that are promised: leaving the interpreter takes its time too

Host = Annotated[str | None, typer.Option("--host", help="Address to listen on. [default: BROADCASTER_HOST]")]
Port = Annotated[int | None, typer.Option("--port", help="Port to listen on. [default: BROADCASTER_PORT]")]
UntilEof = Annotated[bool, typer.Option("--until-eof", hidden=True, help="End when stdin closes: the parent is gone.")]


def register(app: typer.Typer) -> None:
    """Adds serve, work and up."""
    app.command("serve")(serve)
    app.command("work")(work)
    app.command("up")(up)


def serve(host: Host = None, port: Port = None, until_eof: UntilEof = False, home: Home = None) -> None:
    """Runs the web server: pages, API, device feeds."""
    stop = threading.Event()
    server: list[Any] = []

    def close() -> None:
        for each in server:
            each.should_exit = True

    interrupted = drain_on_signals(stop, on_told=close)
    _end_with_parent(until_eof)
    import uvicorn

    from broadcaster.web.app import create_app

    with opened(home, host=host, port=port) as inst:
        listening = _listen(inst.settings)
        say(f"listening on http://{inst.settings.host}:{listening.getsockname()[1]}")
        # access_log off: a device's token is part of the path
        config = uvicorn.Config(
            create_app(inst),
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=DRAIN_SECONDS,
        )
        server.append(uvicorn.Server(config))
        if not stop.is_set():
            server[0].run(sockets=[listening])
    raise typer.Exit(INTERRUPTED if interrupted.is_set() else 0)


def work(
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="PART", help="Run these parts only: sms, feeds, fan-out, sweep, ..."),
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="Name of this worker. [default: host and process]")] = None,
    until_eof: UntilEof = False,
    home: Home = None,
) -> None:
    """Runs workers, fan-out and sweep."""
    stop = threading.Event()
    interrupted = drain_on_signals(stop, DRAIN_SECONDS)  # before the imports, which take a second
    _end_with_parent(until_eof)
    from broadcaster.deliver.runner import GROUPS, run_workers

    parts = only or [*GROUPS, *ALSO]
    wrong = [part for part in parts if part not in GROUPS and part not in ALSO]
    if wrong:
        raise typer.BadParameter(f"no such part: {', '.join(wrong)}; one of: {', '.join([*GROUPS, *ALSO])}")
    with opened(home) as inst:
        groups = [part for part in GROUPS if part in parts]
        run_workers(inst, stop, name or _name(), groups, [part for part in ALSO if part in parts])
    raise typer.Exit(INTERRUPTED if interrupted.is_set() else 0)


def up(
    workers: Annotated[int, typer.Option("--workers", min=1, max=64, help="Worker processes.")] = 1,
    host: Host = None,
    port: Port = None,
    home: Home = None,
) -> None:
    """Runs everything: the web server and worker processes, each started again should it die."""
    from broadcaster.cli.children import Children

    stop = threading.Event()
    settings = settings_for(home, host=host, port=port)
    refuse_unsafe(settings)
    with opened(home):  # says what is missing before a child would say it again and again
        pass
    with Children(settings.folder) as children:
        children.start("serve", "serve", "--host", settings.host, "--port", str(settings.port))
        start_workers(children, workers)
        addresses(settings)
        say("sign in    broadcaster user link LOGIN")
        interrupted = drain_on_signals(stop)
        children.watch(stop)
    raise typer.Exit(INTERRUPTED if interrupted.is_set() else 0)


def start_workers(children: "Children", workers: int) -> None:
    """One process with every part; the others without fan-out and sweep, of which one is enough."""
    from broadcaster.deliver.runner import GROUPS

    children.start("work 1", "work", "--name", f"{_name()}-1")
    only = [word for group in GROUPS for word in ("--only", group)]
    for i in range(2, workers + 1):
        children.start(f"work {i}", "work", "--name", f"{_name()}-{i}", *only)


def refuse_unsafe(settings: "Settings") -> None:
    """Raises Unavailable where several processes would write to one SQLite file through a version that loses commits."""
    from broadcaster.store.engine import SQLITE_FLOOR, sqlite_is_safe, sqlite_module

    if settings.store_url.startswith("sqlite") and not sqlite_is_safe():
        raise Unavailable(
            "sqlite-version",
            f"SQLite {sqlite_module().sqlite_version} may lose a commit where several processes write; "
            f"it must be {'.'.join(map(str, SQLITE_FLOOR))} or newer: install pysqlite3, or set BROADCASTER_DATABASE_URL",
        )


def addresses(settings: "Settings") -> None:
    """Where people and devices find us."""
    say(f"pages      {settings.base_url}/")
    say(f"API        {settings.base_url}/api/v1")
    say(f"health     {settings.base_url}/readyz")


def refuse_busy_port(settings: "Settings") -> None:
    """Raises Unavailable where another program listens already: told before a minute's work, not after it."""
    _listen(settings).close()


def _listen(settings: "Settings") -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        return socket.create_server((settings.host, settings.port), family=family, backlog=2048)
    except OSError as error:
        raise Unavailable(
            "port",
            f"cannot listen on {settings.host}:{settings.port}: {error.strerror or error}; set BROADCASTER_PORT to a free one",
        ) from error


def _name() -> str:
    return f"{socket.gethostname()}-{os.getpid()}"


def _end_with_parent(until_eof: bool) -> None:
    if not until_eof:
        return

    def wait() -> None:
        while os.read(0, 1024):  # not sys.stdin: its lock would be held when the interpreter ends
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, daemon=True, name="until-eof").start()


def drain_on_signals(
    stop: threading.Event, cut_after: float | None = None, on_told: Callable[[], None] | None = None
) -> threading.Event:
    """Sets `stop` at SIGTERM and SIGINT and calls `on_told`; the process is cut off so long after.

    Returns what is set at SIGINT.
    """
    interrupted = threading.Event()

    def told(number: int, _frame: object) -> None:
        if number == signal.SIGINT:
            interrupted.set()
        if cut_after and not stop.is_set():
            cut = threading.Timer(cut_after, _cut, (INTERRUPTED if interrupted.is_set() else 0,))
            cut.daemon = True
            cut.start()
        stop.set()
        if on_told:
            on_told()

    signal.signal(signal.SIGTERM, told)
    signal.signal(signal.SIGINT, told)
    return interrupted


def _cut(code: int) -> None:
    # What still hangs in a provider's reply is judged when its lease runs out, as after any crash.
    say("the drain took too long: what was under way is judged when its lease runs out")
    os._exit(code)
