"""HTTP requests to providers: many in flight from one event loop in its own thread, and what a missing reply means."""

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import CancelledError
from functools import lru_cache
from typing import TypeVar

from yarl import URL

from channels.base import Answer, AnswerWord, ChannelError, ChannelSettings
from channels.http1 import Client, Head, NotSent, Refused, TlsFault, head
from channels.http1_connection import Lost
from channels.replies import Reply

# Nothing is stuck longer than 15 s (T13 of the fact sheets): 3 s to find and reach the provider, 10 s for its reply. Not by
# timers of each request, which cost 8 µs of CPU: one look a second through the requests in flight does the same, and ends a
# reply that drips byte by byte as well.
CONNECT_S = 3.0
ANSWER_S = 13.0
LOOK_EVERY_S = 1.0
# Shorter than the idle limit of common servers (uvicorn 5 s): a request on a connection that its server is just closing
# would be `uncertain` for no reason.
KEEP_ALIVE_S = 4.0
MOST_CONNECTIONS = 2000
MOST_BODY = 65_536  # of a reply; more is not an answer to a message
NO_HEADERS: Mapping[str, str] = {}

T = TypeVar("T")  # a message, as a rule


class Unanswered(Exception):
    """No whole reply came; `answer` says what that means for the message."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.reason)
        self.answer = answer


class Wire:
    """One event loop in a thread, one HTTP client on it. Built at first use, so that a fork before it does no harm."""

    def __init__(self, connections: int = 100) -> None:
        """`connections`: requests in flight at most, of one call of `each`."""
        self._connections = connections
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._process = 0
        self._client: Client | None = None
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
        return await self.request("POST", url, NO_HEADERS, body)

    async def request(
        self, method: str, url: URL, headers: Mapping[str, str], body: bytes = b"", most: int = MOST_BODY
    ) -> Reply:
        """Any other request, with headers of its own, from the loop; no more than `most` bytes are read. Raises Unanswered."""
        client = self._client
        if client is None:
            raise Unanswered(Answer(AnswerWord.RETRY, reason="closed"))
        try:
            # Without a body the message stands in the address: each head is another, and none is worth keeping.
            asked = _head(method, url, tuple(headers.items())) if body else head(method, url, headers, body=False)
            return await client.ask(asked, body, most)
        except (NotSent, Lost) as error:
            raise Unanswered(_unanswered(error)) from None

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
        # No limit of connections in the client: there are as many runners, and a wait would count as time of a reply.
        self._client = Client(CONNECT_S, KEEP_ALIVE_S)
        self._watcher = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        """Ends requests that wait for their reply too long."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            oldest = asyncio.get_running_loop().time() - ANSWER_S
            for task in [task for task, since in self._since.items() if since < oldest]:
                del self._since[task]  # the sign for its runner that it was ended here
                task.cancel()
            if self._client is not None:
                self._client.tidy()

    async def _end(self) -> None:
        client, self._client = self._client, None
        if self._watcher is not None:
            self._watcher.cancel()
        if client is not None:
            client.close()
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
                    answers[at] = await ask(message)
                except Unanswered as error:
                    answers[at] = error.answer
                except asyncio.CancelledError:
                    if task in self._since:
                        raise
                    task.uncancel()
                    answers[at] = Answer(AnswerWord.UNCERTAIN, reason="timeout")
                except Exception as error:
                    # A fault of ours after the request may have left: its kind is kept, its text may hold an address.
                    answers[at] = Answer(AnswerWord.UNCERTAIN, reason="adapter-fault", detail=type(error).__name__)
            self._since.pop(task, None)

        await asyncio.gather(*[run() for _ in range(min(self._connections, len(messages)))])
        return [answers[at] for at in range(len(messages))]


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


@lru_cache(maxsize=256)  # a provider's address and headers are the same for every message
def _head(method: str, url: URL, headers: tuple[tuple[str, str], ...]) -> Head:
    return head(method, url, dict(headers))


def _unanswered(error: NotSent | Lost) -> Answer:
    if isinstance(error, Lost):
        return Answer(AnswerWord.UNCERTAIN, reason="connection-lost", detail=error.kind)
    word = AnswerWord.CONFIG_ERROR if isinstance(error, TlsFault | Refused) else AnswerWord.RETRY
    return Answer(word, reason=error.reason, detail=error.kind)


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop
