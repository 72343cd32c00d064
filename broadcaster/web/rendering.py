"""Pages from templates: always escaped, in the language of the reader, with what every page shows."""

from functools import lru_cache, partial
from pathlib import Path
from urllib.parse import urlencode

from fastapi import Request
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse, RedirectResponse
from starlette.routing import Match

from broadcaster import __version__
from broadcaster.people import may
from broadcaster.web.languages import COOKIE, LANGUAGES, NAMES, Words, by_language, chosen
from broadcaster.web.who import Who

PAGES = Path(__file__).parent / "pages"
YEAR_S = 365 * 24 * 3600


@lru_cache(maxsize=1)
def environment() -> Environment:
    """The templates of the pages."""
    made = Environment(
        loader=FileSystemLoader(PAGES), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    made.globals.update(LANGUAGES=LANGUAGES, NAMES=NAMES, VERSION=__version__, by_language=by_language)
    return made


def words_of(request: Request) -> Words:
    """The words in the language of whoever asks."""
    settings = request.app.state.inst.settings
    accepted = request.headers.get("accept-language", "")
    language = chosen(request.query_params.get(COOKIE), request.cookies.get(COOKIE), accepted, settings.language)
    return Words(language, settings.timezone)


def page(request: Request, name: str, status: int = 200, /, **values: object) -> HTMLResponse:
    """One page. `values` are what its template shows."""
    t = words_of(request)
    asks: Who | None = getattr(request.state, "who", None)
    shown = {
        "t": t,
        "who": asks,
        "path": request.url.path,
        "may": partial(may, asks.user) if asks else lambda _action: False,
        "exercise": False,
        "language_link": partial(_language_link, request),
        **values,
    }
    answer = HTMLResponse(environment().get_template(name).render(shown), status)
    answer.headers["content-language"] = t.language
    answer.headers["vary"] = "Accept-Language, Cookie"
    if request.query_params.get(COOKIE) == t.language:
        answer.set_cookie(
            COOKIE, t.language, max_age=YEAR_S, samesite="lax", secure=request.app.state.inst.settings.cookie_secure
        )
    return answer


def _language_link(request: Request, tag: str) -> str:
    """Where the page is to be had in another language: its own address, or for the answer to a form the one above it."""
    if request.method in {"GET", "HEAD"}:
        return "?" + urlencode({**request.query_params, COOKIE: tag})
    path = request.url.path
    while path.strip("/") and not _can_be_opened(request, path):
        path = path.rpartition("/")[0]
    return f"{path or '/'}?{urlencode({COOKIE: tag})}"


def _can_be_opened(request: Request, path: str) -> bool:
    asked = {"type": "http", "method": "GET", "path": path, "root_path": "", "headers": []}
    return any(route.matches(asked)[0] is Match.FULL for route in request.app.routes)


def see(path: str) -> RedirectResponse:
    """After a form was taken: a page of its own, so that loading it again sends nothing twice."""
    return RedirectResponse(path, status_code=303)
