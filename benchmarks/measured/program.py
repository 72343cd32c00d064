"""The program itself on a fresh home: its processes, its bus, its provider; from the approval to the last count."""

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from measured.machine import Timed, settle
from measured.servers import Servers

from broadcaster.bus import prepare_bus
from broadcaster.cli import demo
from broadcaster.cli.children import Children
from broadcaster.cli.demo_home import furnish
from broadcaster.cli.run import start_workers
from broadcaster.compose import campaigns
from broadcaster.installation import Installation, initialise
from broadcaster.model import Outcome
from broadcaster.people import find_user
from broadcaster.reach.counts import counts

DATABASE = "bench_ours"


@dataclass(frozen=True)
class Row:
    """What one measurement came to."""

    rate: float  # recipients a second
    cpu_us: float  # microseconds of processor a recipient, of everything but the sink and the watcher
    submit: float = 0.0  # seconds


def of(timed: Timed, number: int, submit: float = 0.0) -> Row:
    """The row of so many recipients in this time."""
    return Row(number / timed.seconds, 1e6 * timed.cpu / number, submit)


@contextmanager
def _home(servers: Servers, scale: bool, http: bool) -> Iterator[tuple[Installation, dict[str, str]]]:
    """An installation and the settings that its processes need besides the folder."""
    given: dict[str, Any] = {"sms_provider": "spool", "social_provider": "spool"}
    if http:
        given |= {"sms_provider": "http", "sms_url": servers.sink.url}
    if scale:
        given |= {"bus_url": servers.bus(), "database_url": servers.database(DATABASE)}
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        inst = initialise(home=Path(folder), **given)
        try:
            prepare_bus(inst)
            yield inst, {f"BROADCASTER_{name.upper()}": value for name, value in given.items()}
        finally:
            inst.close()
            if scale:
                servers.end_bus()
                servers.drop(DATABASE)


def carry_out(servers: Servers, phones: int, workers: int, scale: bool, http: bool) -> Row:
    """One campaign to so many phones, everything counted. Raises Absent; AssertionError where a count is not whole."""
    with _home(servers, scale, http) as (inst, environment):
        furnish(inst, (phones, 0, 0), 1)
        author, approver = find_user(inst, "author"), find_user(inst, "approver")
        made = campaigns.create(inst, author, demo._draft())
        with Children(inst.settings.folder, BROADCASTER_LOG_LEVEL="error", **environment) as children:
            start_workers(children, workers)
            began = time.monotonic()
            submitted = campaigns.submit(inst, author, made.id)
            submit = time.monotonic() - began
            settle()
            before = servers.sink.taken()
            with Timed(servers.cpu) as timed:
                approved = campaigns.approve(inst, approver, made.id, submitted.sealed_digest)
                demo._wait(inst, children, approved)
            _whole(inst, made.id, phones, servers.sink.taken() - before if http else phones)
    return of(timed, phones, submit)


def _whole(inst: Installation, campaign: int, phones: int, taken: int) -> None:
    found = counts(inst, campaign, with_reach=False)
    assert found["outcomes"][Outcome.ACCEPTED] == found["planned"] >= phones, found
    assert taken == phones, f"the sink took {taken} of {phones}"
