"""How a message goes to Twilio cheapest: by its SDK, by its SDK over our connections, or as a form written by the adapter.

A sink on this machine gives replies of Twilio's shape, at once or after a while. Prints messages/s and CPU per message of each
way, in turns, beside a bare loop over as many connections that parses no reply. Ratios hold;
figures drift with the machine. Run: ./scripts/bench sms_twilio [--messages N] [--connections N] [--rounds N] [--wait-ms N]
"""

import argparse
import asyncio
import json
import multiprocessing
import statistics
import time
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlencode

from twilio.http import AsyncHttpClient
from twilio.http.async_http_client import AsyncTwilioHttpClient
from twilio.http.response import Response
from twilio.rest import Client
from yarl import URL

from channels.base import ChannelSettings, Message
from channels.sms.twilio import FORM, SID, Twilio
from channels.wire import Wire, _new_loop

ACCOUNT, TOKEN, SENDER, TO = "AC" + "a" * 32, "t" * 32, "+14155552345", "+8613812345678"
TEXT = "【吉林消防】林区火险红色预警，请勿用火。"
CALLBACK = "https://alerts.example.org/callbacks/sms/twilio/7-{}-AbCdEfGhIjKl/0123456789abcdef"
LEFT_S = 3600


def sink(port: Any, wait_s: float) -> None:
    """Answers every request with a new SID; tells its port."""
    said = {"account_sid": ACCOUNT, "body": TEXT, "date_created": "Thu, 24 Aug 2023 05:01:45 +0000", "date_sent": None}
    said |= {"date_updated": "Thu, 24 Aug 2023 05:01:45 +0000", "direction": "outbound-api", "error_code": None}
    said |= {"from": SENDER, "num_segments": "1", "price": None, "status": "queued", "to": TO, "uri": "/2010-04-01/x"}
    rest, numbers = json.dumps(said)[1:], iter(range(10**12))

    class Answers(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            self.transport, self.got = transport, b""

        def data_received(self, data: bytes) -> None:
            self.got += data
            while (end := self.got.find(b"\r\n\r\n")) >= 0:
                length = int(self.got[:end].lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
                if len(self.got) < end + 4 + length:
                    return
                self.got = self.got[end + 4 + length :]
                body = f'{{"sid":"SM{next(numbers):032x}",{rest}'.encode()
                reply = b"HTTP/1.1 201 CREATED\r\nContent-Type: application/json\r\n"
                reply += b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
                asyncio.get_running_loop().call_later(wait_s, self.transport.write, reply)

    async def serve() -> None:
        server = await asyncio.get_running_loop().create_server(Answers, "127.0.0.1", 0)
        port.put(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    _new_loop().run_until_complete(serve())


class OverWire(AsyncHttpClient):  # type: ignore[misc]
    """The SDK's request function replaced by ours."""

    def __init__(self, wire: Wire) -> None:
        super().__init__(None, True)
        self._wire = wire

    async def request(self, method: str, uri: str, params: Any = None, data: Any = None, **more: Any) -> Response:  # noqa: ARG002
        headers = {"Authorization": "Basic eA==", "Content-Type": FORM}
        reply = await self._wire.request(method, URL(uri, encoded=True), headers, urlencode(data).encode())
        return Response(reply.status, reply.body.decode())


def messages(count: int) -> list[Message]:
    ends = int((time.time() + LEFT_S) * 1000)
    named = [(f"7-{n}-x", CALLBACK.format(n)) for n in range(count)]
    return [Message(name, f"tel:{TO}", TEXT, 1, ends, "live", "notice", callback) for name, callback in named]


def by_adapter(url: str, count: int, connections: int) -> None:
    options = {"account": ACCOUNT, "token": TOKEN, "sender": SENDER, "connections": str(connections)}
    made = Twilio(ChannelSettings(provider="twilio", url=url, options=options))
    assert {answer.word for answer in made.send(messages(count))} == {"accepted"}
    made.close()


def client_over(url: str, carrier: Any) -> Callable[[Message], Awaitable[Any]]:
    """What sends one message by the SDK."""
    client = Client(ACCOUNT, TOKEN, http_client=carrier, environment={"TWILIO_EDGE": ""})
    client.api.base_url = url

    async def one(message: Message) -> Any:
        asked = {"to": TO, "from_": SENDER, "body": message.text, "validity_period": LEFT_S}
        return await client.messages.create_async(**asked, status_callback=message.callback)

    return one


def by_sdk(url: str, count: int, connections: int) -> None:
    async def send() -> None:
        carrier, turns = AsyncTwilioHttpClient(), iter(messages(count))
        one = client_over(url, carrier)

        async def run() -> None:
            for message in turns:
                assert (await one(message)).sid

        await asyncio.gather(*[run() for _ in range(connections)])
        await carrier.close()

    _new_loop().run_until_complete(send())


def by_sdk_over_wire(url: str, count: int, connections: int) -> None:
    wire = Wire(connections)
    told: list[Any] = wire.each(client_over(url, OverWire(wire)), messages(count))
    assert all(SID.fullmatch(one.sid) for one in told)
    wire.close()


def bare(url: str, count: int, connections: int) -> None:
    fields = {"To": TO, "From": SENDER, "Body": TEXT, "ValidityPeriod": LEFT_S, "StatusCallback": CALLBACK.format(1)}
    body = urlencode(fields).encode()
    request = b"POST /2010-04-01/x HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)

    async def send() -> None:
        places = [await asyncio.open_connection("127.0.0.1", URL(url).port) for _ in range(connections)]
        turns = iter(range(count))

        async def run(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            for _ in turns:
                writer.write(request)
                head = await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(int(head.partition(b"Content-Length: ")[2]))
            writer.close()

        await asyncio.gather(*[run(*place) for place in places])

    _new_loop().run_until_complete(send())


WAYS = {"bare loop": bare, "SDK": by_sdk, "SDK over our wire": by_sdk_over_wire, "adapter": by_adapter}


def main() -> None:
    told = argparse.ArgumentParser(description=__doc__)
    for name, usual in (("messages", 3000), ("connections", 100), ("rounds", 5), ("wait-ms", 0)):
        told.add_argument(f"--{name}", type=int, default=usual)
    args = told.parse_args()
    port: Any = multiprocessing.Queue()
    server = multiprocessing.Process(target=sink, args=(port, args.wait_ms / 1000), daemon=True)
    server.start()
    url = f"http://127.0.0.1:{port.get(timeout=10)}"
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in WAYS}
    for _ in range(args.rounds):
        for name, way in WAYS.items():
            begun, used = time.perf_counter(), time.process_time()
            way(url, args.messages, args.connections)
            rate = args.messages / (time.perf_counter() - begun)
            found[name].append((rate, (time.process_time() - used) / args.messages * 1e6))
    server.terminate()
    print(
        f"{args.messages} messages, {args.connections} in flight, replies after {args.wait_ms} ms, {args.rounds} rounds"
    )
    for name, rows in found.items():
        rate, used = (statistics.median(values) for values in zip(*rows, strict=True))
        print(f"{name:18} {rate:8,.0f} messages/s {used:6.0f} µs of CPU each")


if __name__ == "__main__":
    main()
