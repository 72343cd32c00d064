"""A server that plays bytes to the HTTP client, on both kinds of event loop."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import uvloop
from yarl import URL

from channels.http1 import Client, head
from channels.replies import Reply

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
Run = Callable[[Callable[[], Awaitable[Any]]], Any]


def on(made: Callable[[], asyncio.AbstractEventLoop], what: Callable[[], Awaitable[Any]]) -> Any:
    async def timed() -> Any:
        async with asyncio.timeout(10):
            return await what()

    with asyncio.Runner(loop_factory=made) as runner:
        return runner.run(timed())


class Server:
    """`serve` gets each connection. `asked` are the requests that `request` read."""

    def __init__(
        self, serve: Callable[["Server", asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
    ) -> None:
        self.serve, self.asked, self.connections, self.port = serve, [], 0, 0  # type: ignore[var-annotated]
        self.client = Client(1.0, 4.0)

    async def request(self, reader: asyncio.StreamReader) -> bytes:
        got = await reader.readuntil(b"\r\n\r\n")
        length = got.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        got += await reader.readexactly(int(length or 0))
        self.asked.append(got)
        return got

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            await self.serve(self, reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def __aenter__(self) -> "Server":
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self.client.close()
        self._server.close()
        await asyncio.sleep(0.01)  # the ends of the connections

    async def post(self, path: str = "/", body: bytes = b"{}", most: int = 65_536) -> Reply:
        return await self.client.ask(head("POST", URL(f"http://127.0.0.1:{self.port}{path}"), {}), body, most)


def always(*parts: bytes, pause: float = 0.0, close: bool = False) -> Server:
    """A server that answers every request with these bytes, one part after the other."""

    async def serve(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await server.request(reader)
            for part in parts:
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(pause)
            if close:
                return

    return Server(serve)


def asked_twice(run: Run, *parts: bytes, close: bool = False, most: int = 65_536) -> tuple[list[Reply], int]:
    """Two requests, one after the other; their replies, and how many connections they took."""

    async def go() -> tuple[list[Reply], int]:
        async with always(*parts, close=close) as server:
            replies = [await server.post(most=most), await server.post(most=most)]
            return replies, server.connections

    found: tuple[list[Reply], int] = run(go)
    return found
