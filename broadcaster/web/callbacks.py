"""Where SMS providers report. A signature in the address comes before everything else: without it, there is no such door."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import NoReturn, cast
from urllib.parse import parse_qsl

import structlog
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from broadcaster.deliver import callbacks, replies
from broadcaster.deliver.outlets import outlet
from broadcaster.installation import Installation
from broadcaster.model import Mode, Unavailable
from broadcaster.store.receipts import Receipt
from broadcaster.web.inbox import Inbox
from channels.base import Callback, ChannelError, Forged
from channels.providers import Answerable, Reporting
from channels.sms import PROVIDERS, Sms

log = structlog.get_logger(__name__)

FORM = "application/x-www-form-urlencoded"


class Doors:
    """What the doors of one process share: the inbox, and the providers whose words they read."""

    def __init__(self, inst: Installation) -> None:
        self.inst = inst
        self._channels: dict[str, Sms] = {}
        self._reporting: dict[str, Reporting] = {}

    @cached_property
    def inbox(self) -> Inbox:
        """The way into the database."""
        return Inbox(self.inst)

    def reporting(self, name: str) -> Reporting:
        """The provider, built as this installation has configured it. Raises Unavailable where it is not."""
        if name not in self._reporting:  # asked once: comparing with a protocol costs as much as reading a receipt
            provider = self._built(name).provider
            if not isinstance(provider, Reporting):
                _nothing_here()
            self._reporting[name] = provider
        return self._reporting[name]

    def answerable(self, name: str) -> Answerable:
        """The provider that hands over replies. Raises as `reporting`."""
        provider = self._built(name).provider
        if not isinstance(provider, Answerable):
            _nothing_here()
        return provider

    def _built(self, name: str) -> Sms:
        if name not in PROVIDERS:
            _nothing_here()
        if name not in self._channels:
            try:
                self._channels[name] = cast(Sms, outlet(self.inst, Mode.LIVE, "sms", name))
            except ChannelError as error:
                raise Unavailable("provider-unset", f"{name} reports to us and is not configured: {error}") from error
        return self._channels[name]

    def close(self) -> None:
        """Ends the writer, and what the providers keep open."""
        self.inbox.close()
        for channel in self._channels.values():
            channel.close()


async def receipt(request: Request) -> Response:
    """What became of one message: its name and our signature are in the path."""
    given = request.path_params
    doors: Doors = request.app.state.callbacks
    provider, delivery = given["provider"], given["delivery"]
    if not callbacks.fits(doors.inst.keys, given["signature"], provider, delivery):
        _nothing_here()
    return await _taken(request, provider, delivery)


async def batch(request: Request) -> Response:
    """What became of many messages, which the provider names itself; our signature is in the query."""
    provider = request.path_params["provider"]
    doors: Doors = request.app.state.callbacks
    if not callbacks.fits(doors.inst.keys, request.query_params.get("key", ""), provider):
        _nothing_here()
    return await _taken(request, provider, "")


async def _taken(request: Request, provider: str, delivery: str) -> Response:
    doors: Doors = request.app.state.callbacks
    reporting = doors.reporting(provider)
    if request.method != "HEAD":  # it asks whether the door is there, and says nothing
        callback = await callback_of(request, doors.inst.settings.base_url)
        await doors.inbox.keep(_rows(doors, reporting, callback, (provider, delivery)))
    return Response(status_code=reporting.receipt_status)


async def inbound(request: Request) -> Response:
    """What a phone answered. A provider that signs nothing has our signature in the query."""
    provider = request.path_params["provider"]
    doors: Doors = request.app.state.callbacks
    answerable = doors.answerable(provider)
    if not answerable.inbound_signed and not callbacks.fits(
        doors.inst.keys, request.query_params.get("key", ""), provider, callbacks.INBOUND
    ):
        _nothing_here()
    if request.method == "HEAD":
        return Response(status_code=204)
    callback = await callback_of(request, doors.inst.settings.base_url)
    try:
        found = answerable.read_replies(callback)
    except Forged as error:
        log.warning("reply_forged", provider=provider, error=str(error))
        doors.inbox.forged(provider)
        raise HTTPException(403) from error
    except ValueError as error:  # kept by nobody: a provider that repeats it would change nothing
        log.warning("reply_unreadable", provider=provider, error=str(error))
        found = []
    for reply in found:  # a push that breaks off in the middle is repeated whole; what was kept is kept once
        await run_in_threadpool(replies.take, doors.inst, provider, reply)
    # Kannel sends a body back to the phone as an answer of ours; an empty one is none.
    return Response(status_code=answerable.receipt_status)


def _rows(doors: Doors, reporting: Reporting, callback: Callback, about: tuple[str, str]) -> Sequence[Receipt]:
    provider, delivery = about
    try:
        found = reporting.read_receipts(callback)
    except Forged as error:
        log.warning("callback_forged", provider=provider, error=str(error))
        doors.inbox.forged(provider)
        raise HTTPException(403) from error
    except ValueError as error:
        log.warning("callback_unreadable", provider=provider, error=str(error))
        return [callbacks.unreadable(provider, delivery, callback, str(error))]
    if delivery:
        return callbacks.on_path(provider, delivery, found)
    return callbacks.in_batch(doors.inst.keys, provider, found)


async def callback_of(request: Request, base_url: str) -> Callback:
    """A provider's request as its adapter reads it. Its address is the one we gave, whatever Host the request names."""
    query = request.scope["query_string"].decode("latin-1")
    path = (request.scope.get("raw_path") or request.url.path.encode()).decode("latin-1")
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in request.scope["headers"]}
    body = await request.body() if request.method == "POST" else b""
    form = headers.get("content-type", "").partition(";")[0].strip().lower() == FORM
    return Callback(
        method=request.method,
        url=f"{base_url}{path}?{query}" if query else base_url + path,
        query=_first(query),
        form=_first(body.decode("utf-8", "replace")) if form else {},
        headers=headers,
        body=body,
    )


def _first(encoded: str) -> Mapping[str, str]:
    """Fields by name, the first of each. Raises nothing: what is no form has no fields."""
    try:
        pairs = parse_qsl(encoded, keep_blank_values=True, max_num_fields=200)
    except ValueError:
        return {}
    return dict(reversed(pairs))


def _nothing_here() -> NoReturn:
    raise HTTPException(404)


routes = [
    Route(f"{callbacks.DOOR}/{{provider}}/inbound", inbound, methods=["GET", "POST"]),
    Route(f"{callbacks.DOOR}/{{provider}}/receipts", batch, methods=["POST"]),
    Route(f"{callbacks.DOOR}/{{provider}}/{{delivery}}/{{signature}}", receipt, methods=["GET", "POST"]),
]
