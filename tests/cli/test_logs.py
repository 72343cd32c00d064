"""Log lines: JSON off a terminal, to stderr, and no phone number or token in clear, wherever it stands."""

import io
import json
import logging
import sys

import pytest

from broadcaster import logs
from broadcaster.settings import load_settings


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("13800002119", "138****2119"),
        ("+8613800002119", "138****2119"),
        ("tel:+86 138-0000-2119 done", "tel:138****2119 done"),
        ("电话１３８００００２１１９。", "电话１３８****２１１９。"),
        ("0431-88889999", "043****9999"),
        ("+447700900123", "447****0123"),
    ],
)
def test_what_reads_as_a_number_is_masked(written: str, shown: str) -> None:
    assert logs.mask(written) == shown


@pytest.mark.parametrize(
    "kept", ["220102001001", "1767225600123", "campaign 7", "a13800002119b", "9f13800002119", "119", "10086"]
)
def test_place_codes_times_digests_and_short_numbers_stay(kept: str) -> None:
    assert logs.mask(kept) == kept


def test_a_token_in_a_path_is_masked() -> None:
    token = "A" * 43
    assert logs.mask(f"GET /feeds/boards/{token}.txt") == "GET /feeds/boards/***.txt"


@pytest.fixture
def stderr(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    before = logging.getLogger().handlers[:]
    logs.configure(load_settings(log_format="json"))
    yield stream
    logging.getLogger().handlers[:] = before


def test_every_field_of_a_line_is_masked_also_inside_and_as_a_number(stderr: io.StringIO) -> None:
    import structlog

    structlog.get_logger("t").warning(
        "to 13800002119", to="tel:+8613800002119", n=13800002119, rows=[{"a": "13800002119"}]
    )
    line = json.loads(stderr.getvalue())
    assert line["level"] == "warning"
    assert line["logger"] == "t"
    assert line["timestamp"].endswith("Z")
    assert "13800002119" not in stderr.getvalue()
    assert line["rows"] == [{"a": "138****2119"}]


def test_a_library_and_a_traceback_are_masked_too(stderr: io.StringIO) -> None:
    try:
        raise ValueError("13800002119")
    except ValueError:
        logging.getLogger("somebody.else").exception("failed for %s", "13800002119")
    line = json.loads(stderr.getvalue())
    assert "ValueError: 138****2119" in line["exception"]
    assert "13800002119" not in stderr.getvalue()
