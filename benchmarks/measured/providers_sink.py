"""Answers every request as a provider would, at once or after a while: what an adapter costs, without the provider's own time.

Run: python providers_sink.py PROVIDER SECONDS. Prints its port.
"""

import asyncio
import json
import sys
from collections.abc import Callable, Iterator
from typing import Any

ACCOUNT, TO = "AC" + "a" * 32, "+8613812345678"
TEXT = "【吉林消防】金永浩：延吉市国贸商场消防自查截止本月底，请检查灭火器、安全出口和自动喷水系统，详询12345。"
_TWILIO = {
    "account_sid": ACCOUNT,
    "body": TEXT,
    "to": TO,
    "date_created": "Thu, 24 Aug 2023 05:01:45 +0000",
    "direction": "outbound-api",
    "error_code": None,
    "status": "queued",
}


def _http(n: int) -> tuple[str, bytes]:
    return "202 Accepted", b'{"id":"%d"}' % n


def _kannel(_n: int) -> tuple[str, bytes]:
    return "202 Accepted", b"0: Accepted for delivery"


def _twilio(n: int) -> tuple[str, bytes]:
    return "201 Created", json.dumps({"sid": f"SM{n:032x}", **_TWILIO}).encode()


def _mas(n: int) -> tuple[str, bytes]:
    return "200 OK", json.dumps({"success": True, "rspcod": "success", "msgGroup": f"{n:022d}"}).encode()


REPLIES: dict[str, Callable[[int], tuple[str, bytes]]] = {
    "http": _http,
    "kannel": _kannel,
    "twilio": _twilio,
    "mas": _mas,
}


def answers(reply: Callable[[int], tuple[str, bytes]], wait_s: float, numbers: Iterator[int]) -> type[asyncio.Protocol]:
    """One connection of such a provider."""

    class Answers(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            self._transport, self._read = transport, b""

        def data_received(self, data: bytes) -> None:
            self._read += data
            while (end := self._read.find(b"\r\n\r\n")) >= 0:
                told = self._read[:end].lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
                length = int(told or 0)
                if len(self._read) < end + 4 + length:
                    return
                self._read = self._read[end + 4 + length :]
                self._answer()

        def _answer(self) -> None:
            status, body = reply(next(numbers))
            head = (
                f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            )
            if wait_s:
                asyncio.get_running_loop().call_later(wait_s, self._transport.write, head + body)
            else:
                self._transport.write(head + body)

    return Answers


async def serve(provider: str, wait_s: float) -> None:
    """Until it is ended."""
    made = answers(REPLIES[provider], wait_s, iter(range(1, 10**12)))
    server = await asyncio.get_running_loop().create_server(made, "127.0.0.1", 0, backlog=2048)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    try:
        import uvloop
    except ImportError:
        asyncio.run(serve(sys.argv[1], float(sys.argv[2])))
    else:
        uvloop.run(serve(sys.argv[1], float(sys.argv[2])))
