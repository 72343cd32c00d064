"""The same job as Celery tasks, in the peers' own environment: nothing of ours is imported.

A chunk of rows is read, rendered by templates compiled once, posted, and its states are written in one statement. `each`: one task
per recipient. Settings come from the environment: BENCH_REDIS, BENCH_DATABASE, BENCH_URL.
"""

import asyncio
import json
import os
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

import aiohttp
import jinja2
import psycopg
import urllib3
import uvloop
from celery import Celery

IN_FLIGHT = 50
URL = os.environ["BENCH_URL"]
app = Celery("bench", broker=os.environ["BENCH_REDIS"])
app.conf.update(task_ignore_result=True, worker_prefetch_multiplier=4, worker_send_task_events=False)

# One row of a table is one recipient; state and ref are what is kept of its delivery.
READ = (
    "SELECT id, delivery, address, parts, expires, wording, slots FROM recipient WHERE id BETWEEN %s AND %s ORDER BY id"
)
WRITE = (
    "UPDATE recipient SET state = r.state, ref = r.ref, changed_at = now() "
    "FROM unnest(%s::bigint[], %s::text[], %s::text[]) AS r(id, state, ref) WHERE recipient.id = r.id"
)
Post = Callable[[list[bytes]], list[tuple[str, str | None]]]


@cache
def database() -> psycopg.Connection[Any]:
    """One connection per process, opened after the fork."""
    return psycopg.connect(os.environ["BENCH_DATABASE"])


@cache
def templates() -> dict[int, jinja2.Template]:
    """Compiled once per process."""
    rows = database().execute("SELECT id, source FROM template").fetchall()
    return {number: jinja2.Environment(autoescape=False).from_string(source) for number, source in rows}


@cache
def pool() -> urllib3.PoolManager:
    """Connections that stay open."""
    return urllib3.PoolManager(maxsize=4)


@cache
def loop() -> asyncio.AbstractEventLoop:
    """One event loop per process."""
    return uvloop.new_event_loop()


@cache
def session() -> aiohttp.ClientSession:
    """The HTTP client that our own program uses, set up as there."""
    timeout = aiohttp.ClientTimeout(total=None)
    connector = aiohttp.TCPConnector(limit=0)
    jar, skip = aiohttp.DummyCookieJar(), ("Accept-Encoding",)
    return aiohttp.ClientSession(connector=connector, cookie_jar=jar, skip_auto_headers=skip, timeout=timeout)


def bodies(rows: Iterable[tuple[Any, ...]]) -> list[bytes]:
    """Rendered and encoded."""
    made = []
    for _, delivery, address, parts, expires, wording, slots in rows:
        text = templates()[wording].render({f"v{i}": value for i, value in enumerate(json.loads(slots))})
        body = {"delivery": delivery, "to": address, "text": text, "parts": parts, "expires": expires}
        made.append(json.dumps(body, separators=(",", ":")).encode())
    return made


def one_after_another(made: list[bytes]) -> list[tuple[str, str | None]]:
    """By urllib3: the quickest of the blocking clients."""
    found: list[tuple[str, str | None]] = []
    for body in made:
        reply = pool().request("POST", URL, body=body, headers={"Content-Type": "application/json"}, retries=False)
        found.append(("accepted", str(reply.json()["id"])) if reply.status == 202 else ("failed", None))
    return found


def at_once(made: list[bytes]) -> list[tuple[str, str | None]]:
    """By aiohttp, many in flight."""
    return loop().run_until_complete(_at_once(made))


async def _at_once(made: list[bytes]) -> list[tuple[str, str | None]]:
    found: dict[int, tuple[str, str | None]] = {}
    turns = iter(enumerate(made))

    async def run() -> None:
        for at, body in turns:
            async with session().post(URL, data=body, headers={"Content-Type": "application/json"}) as reply:
                told = json.loads(await reply.read())
                found[at] = ("accepted", str(told["id"])) if reply.status == 202 else ("failed", None)

    await asyncio.gather(*[run() for _ in range(min(IN_FLIGHT, len(made)))])
    return [found[at] for at in range(len(made))]


def _send(first: int, last: int, post: Post) -> None:
    connection = database()
    rows = connection.execute(READ, (first, last)).fetchall()
    connection.commit()  # not held open while the provider is spoken to
    told = post(bodies(rows))
    connection.execute(WRITE, ([row[0] for row in rows], [word for word, _ in told], [ref for _, ref in told]))
    connection.commit()


@app.task
def chunk(first: int, last: int) -> None:
    """A chunk, the ordinary way."""
    _send(first, last, one_after_another)


@app.task
def chunk_aiohttp(first: int, last: int) -> None:
    """A chunk with the HTTP client of our own program."""
    _send(first, last, at_once)


@app.task
def each(number: int) -> None:
    """One recipient."""
    _send(number, number, one_after_another)
