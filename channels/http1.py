"""A small HTTP/1.1 client for replies that fit in memory: connections kept by origin, one request at a time on each.

It does what a message to a provider needs and nothing behind the caller's back: no second try, no redirect, no cookie, no
decompression, no proxy from the environment. What it raises tells whether anything of the request may have left. Its
predecessor, aiohttp, took 50 µs of CPU for a request; docs/why.md has the figures.
"""

import asyncio
import re
import socket
import ssl
from base64 import b64encode
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from aiohappyeyeballs import start_connection
from yarl import URL

from channels.http1_connection import Connection
from channels.replies import Reply

NAMES_KNOWN_S = 10.0  # a window opens a hundred connections to one name: one look-up
# An address that does not answer, IPv6 as a rule, does not use up the time of the others (RFC 8305).
NEXT_ADDRESS_S = 0.25
OUR_HEADERS = {
    "Accept": "*/*",
    "Accept-Encoding": "identity",
    "User-Agent": "public-alert-broadcaster",
    "Content-Type": "application/json",
}
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_FORBIDDEN = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")  # in a header's value: a line end would begin another header
_TARGET = re.compile(r"[!-~]+")
_OF_THE_CLIENT = frozenset({"host", "content-length", "transfer-encoding", "connection", "expect", "upgrade"})


class NotSent(Exception):
    """Surely nothing of the request has left. `reason` is a short code, `kind` the name of the error; no text of an address."""

    def __init__(self, reason: str, error: BaseException | None = None) -> None:
        super().__init__(reason)
        self.reason, self.kind = reason, type(error or self).__name__


class TlsFault(NotSent):
    """No trusted connection: the certificate, its name, or the protocol."""


class Refused(NotSent):
    """The address or a header cannot be sent."""


class Head(NamedTuple):
    """Where a request goes, and its beginning up to Content-Length."""

    origin: tuple[bool, str, int]  # TLS, host, port
    text: bytes
    lengthless: bool  # a GET without a body has no Content-Length


def head(method: str, url: URL, headers: Mapping[str, str], body: bool = True) -> Head:
    """The beginning of a request. Raises Refused: a part of it would end its line, or is none that HTTP knows."""
    host, target, port = url.host_port_subcomponent, url.raw_path_qs, url.port
    # A reply to HEAD has the length of a body that does not come.
    if not host or not port or method in ("HEAD", "CONNECT") or not _TOKEN.fullmatch(method):
        raise Refused("address")
    if not _TARGET.fullmatch(target) or not _TARGET.fullmatch(host):
        raise Refused("address")
    account = f"{url.user or ''}:{url.password or ''}" if url.raw_user or url.raw_password else ""
    lines = _lines(tuple(headers.items()), account, body)
    text = f"{method} {target} HTTP/1.1\r\nHost: {host}\r\n".encode() + lines
    return Head((url.scheme == "https", (url.raw_host or "").rstrip("."), port), text, not body and method == "GET")


@lru_cache(maxsize=256)  # the same for every message of a channel
def _lines(headers: tuple[tuple[str, str], ...], account: str, body: bool) -> bytes:
    """Headers, the caller's own and those that he did not give; an account in the address becomes one."""
    given = {name.lower() for name, _ in headers}
    told = {name: value for name, value in OUR_HEADERS.items() if name.lower() not in given}
    if not body:
        told.pop("Content-Type", None)
    if account and "authorization" not in given:
        told["Authorization"] = "Basic " + b64encode(account.encode()).decode()
    lines = []
    for name, value in [*told.items(), *headers]:
        if not _TOKEN.fullmatch(name) or _FORBIDDEN.search(value) or name.lower() in _OF_THE_CLIENT:
            raise Refused("header")
        lines.append(f"{name}: {value}\r\n")
    try:
        return "".join(lines).encode()
    except UnicodeEncodeError:  # half of a pair
        raise Refused("header") from None


class Client:
    """The connections of one event loop. `connect_s`: to find and reach a server; `keep_s`: how long an idle one is kept."""

    def __init__(self, connect_s: float, keep_s: float) -> None:
        self._connect_s, self._keep_s = connect_s, keep_s
        self._loop = asyncio.get_running_loop()
        self._kept: dict[tuple[bool, str, int], list[Connection]] = {}
        self._every: set[Connection] = set()
        self._names: dict[tuple[str, int], tuple[float, asyncio.Task[list[Any]]]] = {}
        self._tls: ssl.SSLContext | None = None

    async def ask(self, asked: Head, body: bytes, most: int) -> Reply:
        """One request and at most `most` bytes of its reply's body. Raises NotSent, Lost; a cancel ends the connection."""
        kept = self._kept.setdefault(asked.origin, [])
        oldest = self._loop.time() - self._keep_s
        while kept:
            connection = kept.pop()
            if connection.ready(oldest):
                break
            connection.drop()
        else:
            connection = await self._open(asked.origin, kept)
        length = b"\r\n" if asked.lengthless else b"Content-Length: %d\r\n\r\n" % len(body)
        try:
            return await connection.ask(b"".join((asked.text, length, body)), most)
        except asyncio.CancelledError:
            connection.drop()
            raise

    def tidy(self) -> None:
        """Ends what was idle for too long."""
        oldest = self._loop.time() - self._keep_s
        for kept in self._kept.values():
            for connection in [one for one in kept if not one.ready(oldest)]:
                kept.remove(connection)
                connection.drop()

    def close(self) -> None:
        """Ends every connection; requests in flight are Lost."""
        for connection in list(self._every):
            connection.drop()
        self._kept.clear()

    async def _open(self, origin: tuple[bool, str, int], kept: list[Connection]) -> Connection:
        tls, host, port = origin
        addresses: list[Any] = []
        try:
            async with asyncio.timeout(self._connect_s):
                addresses = await self._look_up(host, port)
                raw = await start_connection(addresses, happy_eyeballs_delay=NEXT_ADDRESS_S, interleave=1)
                _, made = await self._loop.create_connection(
                    lambda: Connection(kept, self._every),
                    sock=raw,
                    ssl=self._context() if tls else None,
                    server_hostname=host if tls else None,
                )
        except ssl.SSLError as error:
            raise TlsFault("tls", error) from None
        except TimeoutError as error:
            raise NotSent("connect-timeout" if addresses else "not-connected", error) from None
        except OSError as error:
            raise NotSent("not-connected", error) from None
        except UnicodeError as error:  # a name that no name server can be asked for
            raise Refused("address", error) from None
        made.fresh()
        if not made.ready(0.0, look=not tls):  # closed or talking before it was asked anything
            made.drop()
            raise NotSent("not-connected")
        return made

    async def _look_up(self, host: str, port: int) -> list[Any]:
        now = self._loop.time()
        until, task = self._names.get((host, port), (0.0, None))
        if task is None or until < now:
            task = self._loop.create_task(look_up(host, port))
            self._names[host, port] = (now + NAMES_KNOWN_S, task)
            task.add_done_callback(lambda done: self._forget(host, port, done))
        return await asyncio.shield(task)  # others wait for it too

    def _forget(self, host: str, port: int, done: asyncio.Task[list[Any]]) -> None:
        if (
            done.cancelled() or done.exception() is not None
        ):  # asked again at once; a name that is not found is not kept
            self._names.pop((host, port), None)

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:  # reading the authorities takes some 20 ms
            self._tls = ssl.create_default_context()
            self._tls.set_alpn_protocols(["http/1.1"])
        return self._tls


async def look_up(host: str, port: int) -> list[Any]:
    """Addresses of a host, as getaddrinfo gives them. Raises OSError, UnicodeError."""
    return await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
