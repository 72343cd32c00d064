"""How much a request may carry, by what it is for. Counted while it arrives: a declared length can lie."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

KIB, MIB = 1024, 1024 * 1024
# Prefix of the path -> bytes. The first that fits counts.
MOST = (
    ("/recipients/check", 64 * MIB),
    ("/api/v1/recipients/", 64 * MIB),
    ("/callbacks/", 64 * KIB),
    ("/feeds/", 16 * KIB),
    ("/play/", 16 * KIB),
    ("/sign-in/", 16 * KIB),
    ("/", 1 * MIB),
)


class TooMuch(Exception):
    """The body is longer than this door takes."""


class Limits:
    """ASGI middleware that answers 413 to a body that is too long."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in {"GET", "HEAD"}:
            await self._app(scope, receive, send)
            return
        most = next(size for prefix, size in MOST if scope["path"].startswith(prefix))
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if not declared.isdigit() or int(declared) > most:
            await _refuse(send)
            return
        read, begun = 0, False

        async def counted() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > most:
                raise TooMuch
            return message

        async def watched(message: Message) -> None:
            nonlocal begun
            begun = begun or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, counted, watched)
        except TooMuch:
            if begun:
                raise
            await _refuse(send)


async def _refuse(send: Send) -> None:
    body = b'{"title":"The request is too long.","status":413,"code":"too-long"}'
    headers = [(b"content-type", b"application/problem+json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 413, "headers": [*headers, (b"connection", b"close")]})
    await send({"type": "http.response.body", "body": body})
