"""One connection of the HTTP client: a request, its reply within bounds, the next request. Its pool: http1.py."""

import asyncio
import select
from typing import Any

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from channels.replies import Reply, retry_after

MOST_HEAD = 65_536  # bytes of a reply's head, and what framing may add to a body beside eight times its length


class Lost(Exception):
    """The connection broke, or what came is no HTTP: the request may have been taken. `kind` is the name of the error."""

    def __init__(self, error: BaseException | None = None) -> None:
        super().__init__()
        self.kind = type(error or self).__name__


class Connection(asyncio.Protocol):
    """One connection: a request, its reply, the next request."""

    def __init__(self, kept: "list[Connection]", every: "set[Connection]") -> None:
        self._kept, self._every = kept, every
        self._loop = asyncio.get_running_loop()
        self._waiting: asyncio.Future[Reply] | None = None
        self._found: Reply | None = None
        self._headers: dict[bytes, bytes] = {}
        self._body: list[bytes] = []
        # The parser calls these without a frame of Python. The first of several headers of one name counts.
        self.on_header, self.on_body = self._headers.setdefault, self._body.append
        self._parser: Any = HttpResponseParser(self)
        # What servers written by hand get wrong: aiohttp took it as well. One request at a time: nothing to smuggle.
        self._parser.set_dangerous_leniencies(
            lenient_headers=True, lenient_optional_cr_before_lf=True, lenient_spaces_after_chunk_size=True
        )
        self._status = self._heard = self._most = 0
        self._waits: float | None = None
        self._reusable = True
        self._since = 0.0

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._every.add(self)
        self._poll = select.poll() if hasattr(select, "poll") else None  # none on Windows
        if self._poll is not None:
            self._poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)

    def ready(self, oldest: float, look: bool = True) -> bool:
        """Whether a request may be written. Whatever there is to read is an end, or bytes nobody asked for.

        `look`: not right after a TLS handshake, when tickets for the next one are on their way.
        """
        if not self._reusable or self._since < oldest or self._transport.is_closing():
            return False
        # The loop may not have seen yet that the server closed. One system call against an `uncertain` message.
        return not look or self._poll is None or not self._poll.poll(0)

    def ask(self, request: bytes, most: int) -> asyncio.Future[Reply]:
        """Writes a request. Its reply; Lost."""
        self._headers.clear()
        self._body.clear()
        self._found, self._status, self._heard, self._most = None, 0, 0, most
        self._waiting = waiting = self._loop.create_future()
        self._transport.write(request)
        return waiting

    def fresh(self) -> None:
        """From now on it is kept for so long."""
        self._since = self._loop.time()

    def drop(self, error: BaseException | None = None) -> None:
        """Ends the connection; who waits for a reply has lost it."""
        self._reusable = False
        self._every.discard(self)
        # Nothing is left to say: a TLS farewell would only keep the connection waiting for the other one.
        self._transport.abort()
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.done():
            waiting.set_exception(Lost(error))

    def data_received(self, data: bytes) -> None:
        if self._waiting is None:  # nobody asked: the next request must not be answered by it
            self.drop()
            return
        self._heard += len(data)
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            self._reusable = False
            if self._found is None:
                self.drop(error)
                return
        if self._found is not None:
            self._answer(self._found)
        elif self._heard > min(self._most, MOST_HEAD):
            self._bound()

    def on_message_begin(self) -> None:
        if self._found is not None:  # a second reply to one request
            self._reusable = False

    def on_headers_complete(self) -> None:
        if self._found is None:
            self._status = status = self._parser.get_status_code()
            self._waits = self._retry_after() if status >= 300 else None

    def on_message_complete(self) -> None:
        if self._found is not None:
            return
        if self._status < 200:  # 100 Continue and its like: the reply is still to come
            self._status = 0
            self._headers.clear()
            return
        if not self._parser.should_keep_alive():
            self._reusable = False
        self._found = self._reply()

    def eof_received(self) -> None:
        self._ended(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended(exc)
        self._parser = self.on_header = self.on_body = None  # type: ignore[assignment]  # they hold one another

    def _ended(self, error: Exception | None) -> None:
        """The end is the end of a body only where nothing else tells its length."""
        self._reusable = False
        names = {name.lower() for name in self._headers}
        if (
            self._waiting
            and error is None
            and self._status >= 200
            and not names & {b"content-length", b"transfer-encoding"}
        ):
            self._answer(self._reply())
        self.drop(error)

    def _answer(self, reply: Reply) -> None:
        waiting, self._waiting = self._waiting, None
        # A reply before the whole request was written: the rest of it would be taken for the next.
        if self._reusable and not self._transport.get_write_buffer_size():
            self._since = self._loop.time()
            self._kept.append(self)
        else:
            self.drop()
        if waiting is not None and not waiting.done():
            waiting.set_result(reply)

    def _reply(self) -> Reply:
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        return Reply(self._status, body[: self._most], self._waits)

    def _bound(self) -> None:
        """Ends a reply of absurd length; of a long body the beginning is the reply."""
        if self._status >= 200 and sum(map(len, self._body)) >= self._most:
            self._reusable = False
            self._answer(self._reply())
        elif self._heard > MOST_HEAD + (8 * self._most if self._status else 0):
            self.drop()

    def _retry_after(self) -> float | None:
        for name, value in self._headers.items():
            if name.lower() == b"retry-after":
                return retry_after(value.decode("latin-1"))
        return None
