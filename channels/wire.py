"""HTTP requests to providers: many in flight from one event loop in its own thread, and what a missing reply means."""

import asyncio
import os
import socket
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import CancelledError
from typing import TypeVar

import aiohttp
from aiohttp.abc import ResolveResult
from yarl import URL

from channels.base import Answer, AnswerWord, ChannelError, ChannelSettings
from channels.replies import Reply, retry_after

# Nothing is stuck longer than 15 s (T13 of the fact sheets): 3 s to find and reach the provider, 10 s for its reply. aiohttp
# could keep these times itself, with three timers a request: 8 of the 66 µs of CPU that a request took. One look a second
# through the requests in flight does the same, and ends a reply that drips byte by byte as well.
CONNECT_S = 3.0
ANSWER_S = 13.0
LOOK_EVERY_S = 1.0
# Shorter than the idle limit of common servers (uvicorn 5 s): a request on a connection that its server is just closing
# would be `uncertain` for no reason.
KEEP_ALIVE_S = 4.0
MOST_CONNECTIONS = 2000
MOST_BODY = 65_536  # of a reply; more is not an answer to a message

T = TypeVar("T")  # a message, as a rule


class Unanswered(Exception):
    """No whole reply came; `answer` says what that means for the message."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.reason)
        self.answer = answer


class Wire:
    """One event loop in a thread, one session on it. Built at first use, so that a fork before it does no harm."""

    def __init__(self, connections: int = 100) -> None:
        """`connections`: requests in flight at most, of one call of `each`."""
        self._connections = connections
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._process = 0
        self._session: aiohttp.ClientSession | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._since: dict[asyncio.Task[None], float] = {}  # requests in flight and when they began
        self._lock = threading.Lock()

    def each(self, ask: Callable[[T], Awaitable[Answer]], messages: Sequence[T]) -> list[Answer]:
        """`ask` for every message at once, within the limit. Same order; whatever ask raises becomes an answer."""
        if not messages:
            return []
        try:
            return asyncio.run_coroutine_threadsafe(self._each(ask, messages), self._running()).result()
        except CancelledError:  # closed by another thread meanwhile
            return [Answer(AnswerWord.UNCERTAIN, reason="closed")] * len(messages)

    def once(self, asking: Callable[[], Awaitable[T]]) -> T:
        """One question beside the messages, from a thread that may wait. Raises Unanswered, and what `asking` raises."""

        async def timed() -> T:
            async with asyncio.timeout(ANSWER_S):
                return await asking()

        try:
            return asyncio.run_coroutine_threadsafe(timed(), self._running()).result()
        except (TimeoutError, CancelledError) as error:  # closed by another thread meanwhile
            reason = "timeout" if isinstance(error, TimeoutError) else "closed"
            raise Unanswered(Answer(AnswerWord.UNCERTAIN, reason=reason)) from None

    async def post(self, url: URL, body: bytes) -> Reply:
        """POSTs JSON, from the loop; redirects are not followed. Raises Unanswered."""
        if self._session is None:
            raise Unanswered(Answer(AnswerWord.RETRY, reason="closed"))
        try:
            async with self._session.post(url, data=body, allow_redirects=False) as reply:
                told = await reply.read() if (reply.content_length or MOST_BODY) < MOST_BODY else await _bounded(reply)
                waits = reply.headers.get("Retry-After") if reply.status >= 300 else None
                return Reply(reply.status, told, retry_after(waits) if waits else None)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise Unanswered(_unanswered(error)) from None  # its text may hold the address, and that a key

    async def request(
        self, method: str, url: URL, headers: Mapping[str, str], body: bytes = b"", most: int = MOST_BODY
    ) -> Reply:
        """Any other request, with headers of its own, from the loop; no more than `most` bytes are read. Raises Unanswered."""
        if self._session is None:
            raise Unanswered(Answer(AnswerWord.RETRY, reason="closed"))
        try:
            async with self._session.request(
                method, url, data=body or None, headers=headers, allow_redirects=False
            ) as reply:
                waits = reply.headers.get("Retry-After") if reply.status >= 300 else None
                told = await reply.read() if (reply.content_length or most) < most else await _bounded(reply, most)
                return Reply(reply.status, told, retry_after(waits) if waits else None)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise Unanswered(_unanswered(error)) from None  # its text may hold the address, and that a key

    def close(self) -> None:
        """Ends the connections and the thread; what is in flight becomes uncertain. A later request starts them again."""
        with self._lock:
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
        if loop is None or thread is None or self._process != os.getpid():
            return
        asyncio.run_coroutine_threadsafe(self._end(), loop).result(timeout=10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(timeout=10)
        loop.close()

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None or self._process != os.getpid():
                self._process = os.getpid()
                self._loop = _new_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, name="wire", daemon=True)
                self._thread.start()
                asyncio.run_coroutine_threadsafe(self._begin(), self._loop).result()
            return self._loop

    async def _begin(self) -> None:
        self._session = aiohttp.ClientSession(
            # No limit in the connector: there are as many runners as connections, and a wait would count as time of a reply.
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE_S, resolver=_Resolver()),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"Content-Type": "application/json", "User-Agent": "public-alert-broadcaster"},
            skip_auto_headers=("Accept-Encoding",),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S),
        )
        # aiohttp sends a GET again by itself where a kept connection broke, since a GET is taken to change nothing. At Kannel it
        # is a message, and the first may have been taken. There is no public switch; a test sees whether this one still works.
        self._session._retry_connection = False
        self._watcher = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        """Ends requests that wait for their reply too long."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            oldest = asyncio.get_running_loop().time() - ANSWER_S
            for task in [task for task, since in self._since.items() if since < oldest]:
                del self._since[task]  # the sign for its runner that it was ended here
                task.cancel()

    async def _end(self) -> None:
        session, self._session = self._session, None
        if self._watcher is not None:
            self._watcher.cancel()
        if session is not None:
            await session.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        if others:
            await asyncio.wait(others, timeout=2)
        for task in others:
            task.cancel()

    async def _each(self, ask: Callable[[T], Awaitable[Answer]], messages: Sequence[T]) -> list[Answer]:
        """As many runners as connections, each taking the next message: cheaper than a task a message behind a semaphore."""
        answers: dict[int, Answer] = {}
        turns = iter(enumerate(messages))

        async def run() -> None:
            task = asyncio.current_task()
            assert task is not None
            clock = asyncio.get_running_loop().time
            for at, message in turns:
                self._since[task] = clock()
                try:
                    answers[at] = await _answer(ask, message)
                except asyncio.CancelledError:
                    if task in self._since:
                        raise
                    task.uncancel()
                    answers[at] = Answer(AnswerWord.UNCERTAIN, reason="timeout")
            self._since.pop(task, None)

        await asyncio.gather(*[run() for _ in range(min(self._connections, len(messages)))])
        return [answers[at] for at in range(len(messages))]


async def _answer(ask: Callable[[T], Awaitable[Answer]], message: T) -> Answer:
    try:
        return await ask(message)
    except Unanswered as error:
        return error.answer
    except Exception as error:
        # A fault of ours after the request may have left: its kind is kept, its text may hold an address.
        return Answer(AnswerWord.UNCERTAIN, reason="adapter-fault", detail=type(error).__name__)


def base_url(address: str) -> URL:
    """The address of a provider. Raises ChannelError where it is none of http or https."""
    try:
        url = URL(address)
    except ValueError:
        raise ChannelError("the provider's address cannot be read: write https://host/path") from None
    if url.scheme not in ("http", "https") or not url.host:
        raise ChannelError("the provider's address must begin with https:// or http:// and name a host")
    return url


def connections(settings: ChannelSettings) -> int:
    """Requests in flight at most: option `connections`, 100 where it is not set. Raises ChannelError."""
    told = settings.options.get("connections", "100")
    if not told.isascii() or not told.isdigit() or not 1 <= int(told) <= MOST_CONNECTIONS:
        raise ChannelError(f"the option connections is {told!r}: give a number from 1 to {MOST_CONNECTIONS}")
    return int(told)


def _unanswered(error: Exception) -> Answer:
    name = type(error).__name__
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return Answer(AnswerWord.RETRY, reason="connect-timeout", detail=name)
    if isinstance(error, aiohttp.ClientSSLError):
        return Answer(AnswerWord.CONFIG_ERROR, reason="tls", detail=name)
    if isinstance(error, aiohttp.ClientConnectorError):
        return Answer(AnswerWord.RETRY, reason="not-connected", detail=name)
    if isinstance(error, aiohttp.InvalidURL):
        return Answer(AnswerWord.CONFIG_ERROR, reason="address", detail=name)
    reason = "timeout" if isinstance(error, TimeoutError) else "connection-lost"
    return Answer(AnswerWord.UNCERTAIN, reason=reason, detail=name)


class _Resolver(aiohttp.ThreadedResolver):
    """A resolver that hangs has sent nothing: within its time it is `retry`, not a request without a reply."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Addresses of a host. Raises OSError: unknown, or not found in time."""
        try:
            async with asyncio.timeout(CONNECT_S):
                return await super().resolve(host, port, family)
        except TimeoutError:
            raise OSError("the name server did not answer in time") from None


async def _bounded(reply: aiohttp.ClientResponse, most: int = MOST_BODY) -> bytes:
    """The beginning of a reply of unknown or absurd length."""
    out = b""
    while len(out) < most and (more := await reply.content.readany()):
        out += more
    return out[:most]


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop
