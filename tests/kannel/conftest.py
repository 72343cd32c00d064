"""Real boxes of Kannel: `kannel` with fakesmsc, `smpp_kannel` with an SMS centre that also fails, `own_kannel` to kill."""

import itertools
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from real_kannel import Kannel, missing

from channels.base import Callback, Channel, ChannelSettings, Message
from channels.sms import Sms

_numbers = itertools.count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # One worker of a parallel run has them all, so that at most three sets of boxes live at a time.
    here = Path(__file__).parent
    for item in items:
        if item.path.parent == here:
            item.add_marker(pytest.mark.xdist_group("kannel"))


def _boxes(smpp: bool = False) -> Iterator[Kannel]:
    if lacks := missing(smpp=smpp):
        pytest.skip(lacks)
    made = Kannel(smpp=smpp)
    try:
        yield made.start()
    finally:
        made.stop()


@pytest.fixture(scope="session")
def kannel() -> Iterator[Kannel]:
    """Boxes with fakesmsc, which delivers everything. Shared: each test writes to a number of its own."""
    yield from _boxes()


@pytest.fixture(scope="session")
def smpp_kannel() -> Iterator[Kannel]:
    """Boxes with an SMPP centre: the last two digits of a number choose what becomes of its message."""
    yield from _boxes(smpp=True)


@pytest.fixture
def own_kannel() -> Iterator[Kannel]:
    """Boxes with fakesmsc of this test's own."""
    yield from _boxes()


def _channel(made: list[Channel], boxes: Kannel, **options: str) -> Channel:
    usual = {"user": "alert", "password": "change-me", "sender": "12379", "status_url": boxes.status_url}
    made.append(Sms(ChannelSettings(provider="kannel", url=boxes.url, options={**usual, **options})))
    return made[-1]


@pytest.fixture
def channel() -> Iterator[Callable[..., Channel]]:
    """`channel(boxes, charset="utf16be_raw")`: the SMS channel over these boxes."""
    made: list[Channel] = []
    yield partial(_channel, made)
    for one in made:
        one.close()


@pytest.fixture
def message() -> Callable[..., Message]:
    """`message("text", ends="22")`: to a number that nobody else writes to, with these last digits; valid for six hours."""

    def made(text: str = "林区火险红色预警", ends: str = "00", **changes: Any) -> Message:
        n = next(_numbers)
        usual = {"delivery": f"7-{n}-AbCdEfGhIjKl", "to": f"tel:+86138{n:06d}{ends}", "text": text, "parts": 1, "mode": "live",
                 "category": "notice", "expires_at": int(time.time() * 1000) + 6 * 3600 * 1000}  # fmt: skip
        return Message(**{**usual, **changes})

    return made


@pytest.fixture
def as_callback() -> Callable[..., Callback]:
    """`as_callback(path_and_query)`: a request of Kannel's as our door hands it on."""
    from urllib.parse import parse_qs, urlsplit

    def made(asked: str) -> Callback:
        query = {k: v[0] for k, v in parse_qs(urlsplit(asked).query, keep_blank_values=True).items()}
        return Callback("GET", f"https://alert.example{asked}", query, {}, {})

    return made
