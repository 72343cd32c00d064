"""Replies to the HTTP client from servers of these tests, byte by byte, and what becomes of their connections."""

import asyncio
import struct
import threading
from collections.abc import Callable
from itertools import pairwise
from socket import SO_LINGER, SOL_SOCKET, create_server

import pytest
from http1_server import LOOPS, OK, Run, Server, always, asked_twice, on
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from channels.http1 import Client, head
from channels.http1_connection import MOST_HEAD, Lost
from channels.replies import Reply

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
REPLIES = {
    "with a length": (OK, Reply(200, b"ok"), 1),
    "in chunks": (CHUNKED + b"1\r\no\r\n1;x=y\r\nk\r\n0\r\n\r\n", Reply(200, b"ok"), 1),
    "names of headers in any case": (b"HTTP/1.1 200 OK\r\ncONTENT-lENGTH: 2\r\n\r\nok", Reply(200, b"ok"), 1),
    "lines that end with LF alone": (b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", Reply(200, b"ok"), 1),
    "204 has no body": (b"HTTP/1.1 204 No\r\n\r\n", Reply(204, b""), 1),
    "304 has no body": (b"HTTP/1.1 304 No\r\nContent-Length: 5\r\n\r\n", Reply(304, b""), 1),
    "100 first": (b"HTTP/1.1 100 Continue\r\nRetry-After: 3\r\n\r\n" + OK, Reply(200, b"ok"), 1),
    "no Retry-After of a 100": (
        b"HTTP/1.1 100 Continue\r\nRetry-After: 3\r\n\r\nHTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n",
        Reply(503, b""),
        1,
    ),
    "several early hints": (b"HTTP/1.1 103 Early\r\nLink: <a>\r\n\r\n" * 3 + OK, Reply(200, b"ok"), 1),
    "the first Retry-After": (
        b"HTTP/1.1 503 No\r\nretry-after: 7\r\nRetry-After: 9\r\nContent-Length: 0\r\n\r\n",
        Reply(503, b"", 7.0),
        1,
    ),
    "no Retry-After of a trailer": (
        CHUNKED.replace(b"200 OK", b"429 No") + b"0\r\nRetry-After: 9\r\n\r\n",
        Reply(429, b""),
        1,
    ),
    "no Retry-After of a success": (OK.replace(b"\r\n", b"\r\nRetry-After: 9\r\n", 1), Reply(200, b"ok"), 1),
    "close is obeyed": (OK.replace(b"\r\n", b"\r\nConnection: close\r\n", 1), Reply(200, b"ok"), 2),
    "HTTP/1.0 is not kept": (OK.replace(b"1.1", b"1.0"), Reply(200, b"ok"), 2),
    "two replies to one request": (OK + OK.replace(b"ok", b"no"), Reply(200, b"ok"), 2),
    "the beginning of another reply": (OK + b"HTTP/1.1 2", Reply(200, b"ok"), 2),
    "garbage behind the reply": (OK + b"\x00\x01", Reply(200, b"ok"), 2),
    "compressed stays so": (
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nzz",
        Reply(200, b"zz"),
        1,
    ),
}


@pytest.mark.parametrize("name", REPLIES)
def test_a_reply_is_read_and_its_connection_kept_or_not(run: Run, name: str) -> None:
    said, reply, connections = REPLIES[name]
    assert asked_twice(run, said) == ([reply, reply], connections)


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
def test_a_body_without_a_length_ends_with_its_connection(run: Run, version: bytes) -> None:
    said = b"HTTP/%b 200 OK\r\n\r\n" % version
    assert asked_twice(run, said, b"a", b"b", close=True) == ([Reply(200, b"ab")] * 2, 2)


LOST = {
    "nothing": b"",
    "half a head": b"HTTP/1.1 200 OK\r\nContent-Le",
    "only 100": b"HTTP/1.1 100 Continue\r\n\r\n",
    "a body too short": OK[:-1],
    "chunks without their end": CHUNKED + b"2\r\nok\r\n",
    "a coding that is not chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nok",
    "not HTTP": b"SSH-2.0-OpenSSH\r\n\r\n",
    "a status that is none": b"HTTP/1.1 2x0 OK\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok!",
    "a chunk of no size": CHUNKED + b"zz\r\nok\r\n0\r\n\r\n",
    "another protocol": b"HTTP/1.1 101 Go\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\nok",
    "a head without an end": b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * MOST_HEAD,
    "framing without an end": CHUNKED + b"1;" + b"x" * (9 * 65_536 + MOST_HEAD) + b"\r\n",
}


@pytest.mark.parametrize("name", LOST)
def test_what_is_no_whole_reply_is_lost_and_asked_once(run: Run, name: str) -> None:
    async def go() -> int:
        async with always(LOST[name], close="without an end" not in name) as server:
            with pytest.raises(Lost):
                await server.post()
            return len(server.asked)

    assert run(go) == 1


def test_a_reset_is_lost_also_for_a_get(run: Run) -> None:
    async def serve(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.request(reader)
        if len(server.asked) == 1:
            writer.write(OK)
            await server.request(reader)
        writer.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))

    async def go() -> list[bytes]:
        async with Server(serve) as server:
            asked = head("GET", URL(f"http://127.0.0.1:{server.port}/?to=1"), {}, body=False)
            assert await server.client.ask(asked, b"", 100) == Reply(200, b"ok")
            with pytest.raises(Lost):  # on a kept connection: sent again it would be a second message
                await server.client.ask(asked, b"", 100)
            return server.asked

    assert len(run(go)) == 2


def test_a_kept_connection_that_the_server_closed_is_not_written_to(run: Run) -> None:
    async def serve(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.request(reader)
        writer.write(OK)

    async def go() -> tuple[int, int]:
        async with Server(serve) as server:
            for _ in range(20):
                assert await server.post() == Reply(200, b"ok")
                await asyncio.sleep(0.005)
            return len(server.asked), server.connections

    assert run(go) == (20, 20)


def test_an_end_that_the_loop_has_not_seen_yet_is_seen(run: Run) -> None:
    """The end lies in the kernel while the loop is busy with something else: the next request asks the kernel."""
    ends = threading.Event()

    async def go() -> tuple[Reply, int]:
        listening = create_server(("127.0.0.1", 0))
        taken: list[bytes] = []

        def serve() -> None:
            for n in range(2):
                connection, _ = listening.accept()
                with connection:
                    taken.append(connection.recv(65_536))
                    connection.sendall(OK)
                    ends.wait(5) if n == 0 else None
                if n == 0:
                    closed.set()

        closed = threading.Event()
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        client = Client(1.0, 4.0)
        asked = head("POST", URL(f"http://127.0.0.1:{listening.getsockname()[1]}/"), {})
        await client.ask(asked, b"1", 100)
        ends.set()
        assert closed.wait(5)  # the loop stands still meanwhile
        reply = await client.ask(asked, b"2", 100)
        client.close()
        await asyncio.to_thread(thread.join)
        listening.close()
        return reply, len(taken)

    assert run(go) == (Reply(200, b"ok"), 2)


def test_bytes_that_nobody_asked_for_answer_no_request(run: Run) -> None:
    async def serve(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await server.request(reader)
            writer.write(OK)
            await asyncio.sleep(0.02)
            writer.write(OK.replace(b"ok", b"no"))

    async def go() -> list[Reply]:
        async with Server(serve) as server:
            first = await server.post()
            await asyncio.sleep(0.05)
            return [first, await server.post()]

    assert run(go) == [Reply(200, b"ok")] * 2


def test_an_idle_connection_is_ended_after_its_time(run: Run) -> None:
    async def serve(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.request(reader)
        writer.write(OK)
        assert await reader.read(1) == b""
        ended.append(True)

    ended: list[bool] = []

    async def go() -> int:
        async with Server(serve) as server:
            server.client = Client(1.0, 0.05)
            await server.post()
            server.client.tidy()
            await asyncio.sleep(0.02)
            assert ended == []
            await asyncio.sleep(0.06)
            server.client.tidy()
            await asyncio.sleep(0.02)
            assert ended == [True]
            await server.post()
            return server.connections

    assert run(go) == 2


@pytest.mark.parametrize(
    "said", [b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n", CHUNKED]
)
def test_of_a_long_body_the_beginning_is_the_reply(run: Run, said: bytes) -> None:
    body = b"x" * 300_000
    more = b"%x\r\n%b" % (10**9, body) if said is CHUNKED else body
    replies, connections = asked_twice(run, said + more, most=1000)
    assert (replies, connections) == ([Reply(200, b"x" * 1000)] * 2, 2)


def test_a_reply_before_the_whole_request_was_written_is_one(run: Run) -> None:
    async def serve(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK.replace(b"200 OK", b"413 No"))
        await asyncio.sleep(1)

    async def go() -> tuple[list[Reply], int]:
        async with Server(serve) as server:
            replies = [await server.post(body=b"x" * 30_000_000), await server.post(body=b"x" * 30_000_000)]
            return replies, server.connections

    assert run(go) == ([Reply(413, b"ok")] * 2, 2)


def test_a_cancelled_request_takes_its_connection_with_it(run: Run) -> None:
    async def serve(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.request(reader)
        await asyncio.sleep(0.1)
        writer.write(OK.replace(b"ok", b"%02d" % len(server.asked)))
        await server.request(reader)

    async def go() -> Reply:
        async with Server(serve) as server:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await server.post()
            return await server.post()

    assert run(go) == Reply(200, b"02")


def test_closing_loses_what_is_in_flight(run: Run) -> None:
    async def go() -> None:
        async with always(pause=0) as server:
            waiting = asyncio.ensure_future(server.post())
            while not server.asked:
                await asyncio.sleep(0.01)
            server.client.close()
            with pytest.raises(Lost):
                await waiting

    run(go)


def test_many_at_once_each_get_their_own_reply(run: Run) -> None:
    async def serve(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            body = (await server.request(reader)).rpartition(b"\r\n\r\n")[2]
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    async def go() -> None:
        async with Server(serve) as server:
            for _ in range(5):
                wanted = [b"%d" % n for n in range(100)]
                replies = await asyncio.gather(*[server.post(body=body) for body in wanted])
                assert [reply.body for reply in replies] == wanted
            assert server.connections == 100

    run(go)


@pytest.mark.parametrize(
    "name", ["with a length", "in chunks", "100 first", "the first Retry-After", "several early hints"]
)
def test_a_reply_split_anywhere_is_the_same(run: Run, name: str) -> None:
    said, reply, _ = REPLIES[name]

    async def go() -> None:
        for at in range(1, len(said)):
            async with always(said[:at], said[at:], pause=0.001) as server:
                assert await server.post() == reply, at

    run(go)


@given(
    name=st.sampled_from(sorted(REPLIES)),
    cuts=st.lists(st.integers(1, 120), max_size=6),
    made=st.sampled_from(list(LOOPS.values())),
)
def test_a_reply_in_any_pieces_is_the_same(
    name: str, cuts: list[int], made: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    said, reply, _ = REPLIES[name]
    borders = [0, *sorted({cut for cut in cuts if cut < len(said)}), len(said)]
    parts = [said[a:b] for a, b in pairwise(borders)]

    async def go() -> Reply:
        async with always(*parts, pause=0.0005) as server:
            return await server.post()

    assert on(made, go) == reply


@given(noise=st.binary(max_size=200), made=st.sampled_from(list(LOOPS.values())))
def test_noise_is_a_reply_or_lost_and_nothing_else(noise: bytes, made: Callable[[], asyncio.AbstractEventLoop]) -> None:
    async def go() -> tuple[bool, int]:
        async with always(b"HTTP/1.1 200 OK\r\n" + noise, close=True) as server:
            try:
                await server.post()
            except Lost:
                pass
            return True, len(server.asked)

    assert on(made, go) == (True, 1)
