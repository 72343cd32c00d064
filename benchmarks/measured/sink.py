"""An SMS gateway that takes everything at once, in a process of its own, and the client that finds out how much it can take.

Run: python sink.py            serves; prints its port; GET / answers how many messages it took
     python sink.py PORT N     posts N messages to it over 50 connections without an HTTP library, and prints the rate
"""

import asyncio
import contextlib
import sys
import time
from collections.abc import Coroutine
from typing import Any, cast

# An id in every reply, as gateways give: what counts then keeps it.
REPLY = b'HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nContent-Length: 19\r\n\r\n{"id":"%010d"}'
COUNT = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
CONNECTIONS = 50
BODY = (
    b'{"delivery":"1-1-abcdefghijklmnop","to":"tel:+8617400000000","text":"'
    + b"\\u6d88" * 130
    + b'","parts":3,"expires":"2026-01-01T00:00:00.000+00:00"}'
)
POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (
    len(BODY),
    BODY,
)


class Gateway(asyncio.Protocol):
    """One connection. Reads just enough of HTTP/1.1 to know where a request ends."""

    taken = 0  # of all connections

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begins with nothing read."""
        self._transport, self._read = cast(asyncio.WriteTransport, transport), b""  # uvloop's is no subclass

    def data_received(self, data: bytes) -> None:
        """Answers every whole request there is."""
        self._read += data
        while (end := self._read.find(b"\r\n\r\n")) >= 0:
            length = _length(self._read[:end])
            if len(self._read) < end + 4 + length:
                return
            get = self._read.startswith(b"GET")
            self._read = self._read[end + 4 + length :]
            self._answer(get)

    def _answer(self, get: bool) -> None:
        if get:
            told = b'{"taken":%d}' % Gateway.taken
            self._transport.write(COUNT % (len(told), told))
            return
        Gateway.taken += 1
        self._transport.write(REPLY % Gateway.taken)


def _length(head: bytes) -> int:
    at = head.lower().find(b"\r\ncontent-length:")
    return int(head[at + 17 :].split(b"\r\n", 1)[0]) if at >= 0 else 0


async def serve() -> None:
    """Until it is ended. The first line of stdout is the port."""
    server = await asyncio.get_running_loop().create_server(Gateway, "127.0.0.1", 0, backlog=2048)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


async def _talk(port: int, number: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(number):
        writer.write(POST)
        await reader.readuntil(b"}")
    writer.close()


async def ceiling(port: int, number: int) -> float:
    """Messages a second that it takes from a client that costs next to nothing."""
    begun = time.perf_counter()
    await asyncio.gather(*[_talk(port, number // CONNECTIONS) for _ in range(CONNECTIONS)])
    return number // CONNECTIONS * CONNECTIONS / (time.perf_counter() - begun)


def _run(job: Coroutine[Any, Any, Any]) -> Any:
    import uvloop

    return uvloop.run(job)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        if len(sys.argv) > 1:
            print(_run(ceiling(int(sys.argv[1]), int(sys.argv[2]))))
        else:
            _run(serve())
