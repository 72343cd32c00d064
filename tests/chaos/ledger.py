"""The outside ledger: an SMS gateway that writes down what it takes before it answers. The product never reads its file."""

import asyncio
import contextlib
import json
import math
import os
import random
import threading
from collections import Counter
from collections.abc import Iterable
from pathlib import Path


def chosen(drops: int, among: int, seed: int) -> set[int]:
    """Which of the messages that come in, by their number, are taken without a reply."""
    return set(random.Random(seed).sample(range(among), min(drops, among)))


SLOW_SECONDS = 1.5  # what an answer takes while the harm that is due has not been done


class Sink:
    """Takes messages over HTTP, one line each. `hide`: numbers of those that it takes and drops the reply of.

    Beyond `free` messages it is slow, so that on any machine the harm falls into the sending.
    """

    def __init__(self, path: Path, delay: float = 0.0, hide: Iterable[int] = ()) -> None:
        self.path, self.delay = path, delay
        self.hidden = 0
        self.free = math.inf
        self.port = 0
        self._hide = set(hide)
        self._taken = 0
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    def start(self) -> "Sink":
        self._thread.start()
        self._ready.wait(10)
        return self

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._talk, "127.0.0.1", 0, backlog=1000)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        async with server:
            await server.serve_forever()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while await self._answered(reader, writer):
                pass
        writer.close()

    async def _answered(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(int(x.split(b":")[1]) for x in head.split(b"\r\n") if x.lower().startswith(b"content-length"))
        body = json.loads(await reader.readexactly(length))
        os.write(self._file, f"{body['delivery']} {body['to']}\n".encode())
        number, self._taken = self._taken, self._taken + 1
        if delay := self.delay if self._taken <= self.free else SLOW_SECONDS:
            await asyncio.sleep(delay)
        if number in self._hide:
            self.hidden += 1
            return False
        writer.write(b"HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")
        await writer.drain()
        return True

    def copies(self) -> Counter[str]:
        """How often each delivery was taken, by its outside name."""
        return Counter(line.split()[0] for line in self.path.read_text().splitlines())
