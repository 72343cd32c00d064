"""The web server: pages for people, the API for programs, feeds for devices, in one application."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import structlog
from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.staticfiles import StaticFiles

from broadcaster import __version__
from broadcaster.bus import open_bus
from broadcaster.deliver.bus_feeds import feed_source
from broadcaster.deliver.feeds import FeedServer
from broadcaster.installation import Installation
from broadcaster.model import BroadcasterError
from broadcaster.web import callbacks, console, errors, feeds, health, public
from broadcaster.web.api import router as api
from broadcaster.web.callbacks import Doors
from broadcaster.web.headers import Headers
from broadcaster.web.limits import Limits

log = structlog.get_logger(__name__)

STATIC = Path(__file__).parent / "static"
REFRESH_S = 1.0
HEARTBEATS_S = 60.0


class Static(StaticFiles):
    """Our own stylesheet and script: asked for again with each version, answered 304 between."""

    def file_response(self, *args, **kwargs):  # type: ignore[no-untyped-def]
        answer = super().file_response(*args, **kwargs)
        answer.headers["cache-control"] = "public, no-cache"
        return answer


def create_app(inst: Installation) -> FastAPI:
    """The application over an installation, which stays the caller's to close."""
    app = FastAPI(
        title="Broadcaster",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/v1/openapi.json",
        lifespan=_life,
    )
    app.state.inst = inst
    app.state.bus = open_bus(inst)
    app.state.feeds = FeedServer(inst, feed_source(inst, app.state.bus))
    app.state.callbacks = Doors(inst)
    errors.install(app)
    app.router.routes.extend(callbacks.routes)  # first, because each route before them costs every receipt a look
    app.include_router(api)
    app.include_router(console.open_router)
    app.include_router(console.router)
    app.include_router(public.router)
    app.include_router(health.router)
    app.router.routes.extend(feeds.routes)
    app.mount("/static", Static(directory=STATIC), name="static")
    app.add_middleware(Limits)
    app.add_middleware(Headers, secure=inst.settings.cookie_secure)  # outermost: every answer carries them
    return app


@contextlib.asynccontextmanager
async def _life(app: FastAPI) -> AsyncIterator[None]:
    server: FeedServer = app.state.feeds
    # Threads of their own: a cancel must reach the feeds while every thread of the requests waits for the database.
    threads = ThreadPoolExecutor(2, "feeds")
    tasks = [
        asyncio.create_task(_every(threads, REFRESH_S, server.refresh)),
        asyncio.create_task(_every(threads, HEARTBEATS_S, server.write_heartbeats)),
    ]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await run_in_threadpool(_said, server.write_heartbeats)
        await run_in_threadpool(server.close)
        await run_in_threadpool(app.state.bus.close)
        await run_in_threadpool(app.state.callbacks.close)
        threads.shutdown(wait=False, cancel_futures=True)


async def _every(threads: ThreadPoolExecutor, seconds: float, work: Callable[[], None]) -> None:
    while True:
        await asyncio.get_running_loop().run_in_executor(threads, _said, work)
        await asyncio.sleep(seconds)


def _said(work: Callable[[], None]) -> None:
    """Nothing may end the loop: feeds are served from memory until the database is back, and then must change again."""
    try:
        work()
    except BroadcasterError as error:
        log.warning("feed_server", code=error.code, error=error.message)
    except Exception:
        log.exception("feed_server")
