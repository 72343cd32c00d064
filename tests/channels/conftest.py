"""A provider on this machine that answers as it is told, well or badly, and keeps what it was sent."""

import asyncio
import json
import socket
import struct
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
from http1_server import LOOPS, Run, on

from channels.base import Message


@dataclass
class Asked:
    """One request as it came in."""

    target: str
    headers: Mapping[str, str]
    body: bytes
    connection: int
    method: str = ""

    @property
    def json(self) -> dict[str, Any]:
        found = json.loads(self.body)
        assert isinstance(found, dict)
        return found


@dataclass
class Provider:
    """`plays` gets each request and returns the bytes to answer, or None: the connection is closed without a word.

    `cut` closes after whatever was answered; `reset` does so with a RST; `wait` seconds pass before the answer.
    """

    plays: Callable[[Asked], bytes | None] = lambda asked: Provider.reply()
    asked: list[Asked] = field(default_factory=list)
    wait: float = 0.0
    drip: float = 0.0  # seconds between the bytes of an answer
    cut: bool = False
    reset: bool = False
    port: int = 0
    connections: int = 0
    open_now: int = 0
    most_open: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @staticmethod
    def reply(status: int = 200, body: str | bytes = "{}", **headers: str) -> bytes:
        """A whole HTTP reply."""
        data = body.encode() if isinstance(body, str) else body
        lines = [f"HTTP/1.1 {status} Said", f"Content-Length: {len(data)}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + data

    def says(self, status: int = 200, body: str | bytes = "{}", **headers: str) -> None:
        """From now on every request gets this reply."""
        whole = self.reply(status, body, **headers)
        self.plays = lambda asked: whole

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        number = self.connections
        try:
            while await self._one(reader, writer, number):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            if self.reset:
                raw = writer.get_extra_info("socket")
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        first, *rest = head.strip().split("\r\n")
        headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in rest)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        asked = Asked(first.split()[1], headers, body, number, first.split()[0])
        self.asked.append(asked)
        self.open_now += 1
        self.most_open = max(self.most_open, self.open_now)
        await asyncio.sleep(self.wait)
        answer = self.plays(asked)
        self.open_now -= 1
        for part in [answer or b""] if not self.drip else [bytes([b]) for b in answer or b""]:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(self.drip)
        return answer is not None and not self.cut and not self.reset


@pytest.fixture
def provider() -> Iterator[Provider]:
    """A running Provider; ended with its test."""
    made, ready = Provider(), threading.Event()
    ends: list[Callable[[], object]] = []

    async def run() -> None:
        ended = asyncio.Event()
        server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
        made.port = server.sockets[0].getsockname()[1]
        ends.append(partial(asyncio.get_running_loop().call_soon_threadsafe, ended.set))
        ready.set()
        await ended.wait()
        server.close()

    thread = threading.Thread(target=lambda: asyncio.run(run()), daemon=True)
    thread.start()
    assert ready.wait(5)
    yield made
    ends[0]()
    thread.join(5)


@pytest.fixture
def messages() -> Callable[..., list[Message]]:
    """`messages(3, to="tel:+8613800000001", text=…)`: messages that differ in their name."""

    def made(count: int = 1, **changes: Any) -> list[Message]:
        usual = {
            "to": "tel:+8613812345678",
            "text": "【吉林消防】林区火险红色预警，请勿用火。",
            "parts": 1,
            "expires_at": 1_795_500_000_123,
            "mode": "live",
            "category": "notice",
        }
        return [Message(delivery=f"7-{n}-AbCdEfGhIjKl", **{**usual, **changes}) for n in range(1, count + 1)]

    return made


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Run:
    """Runs what is given on each kind of loop, for ten seconds at most."""

    def go(what: Callable[[], Awaitable[Any]]) -> Any:
        return on(LOOPS[request.param], what)

    return go
