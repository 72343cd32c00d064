"""Log lines: to stderr, for people on a terminal and as JSON elsewhere, with phone numbers and device tokens masked."""

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # who only masks does not wait for the settings' library
    from broadcaster.settings import Settings

# Mobile (+86 or bare, blanks and hyphens inside), landline with area code, any other number with a plus sign. A place code
# (12 digits), a time in milliseconds (13) and a digest (letters beside it) are none of these.
_GAP = r"[ \-]?"
_PHONE = re.compile(
    rf"(?<![0-9A-Za-z])(?:\+?86{_GAP})?[1１][3-9３-９]\d{_GAP}\d{{4}}{_GAP}\d{{4}}(?![0-9A-Za-z])"
    rf"|(?<![0-9A-Za-z])0\d{{2,3}}{_GAP}\d{{7,8}}(?![0-9A-Za-z])"
    r"|(?<![0-9A-Za-z])\+\d{7,15}(?![0-9A-Za-z])"
)
_TOKEN = re.compile(r"(?<=/)[A-Za-z0-9_-]{43}(?![A-Za-z0-9_-])")


def mask(text: str) -> str:
    """The text with every phone number as 138****2119 and every device or sign-in token in a path as ***."""
    return _TOKEN.sub("***", _PHONE.sub(_masked, text))


def _masked(found: re.Match[str]) -> str:
    digits = "".join(c for c in found.group() if c.isdigit())
    if len(digits) == 13 and digits.startswith("86"):
        digits = digits[2:]
    return f"{digits[:3]}****{digits[-4:]}"


def masked(value: Any) -> Any:
    """A logged value with what `mask` hides hidden, in mappings and lists too; a number that reads as a phone counts."""
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, int) and not isinstance(value, bool):
        hidden = mask(str(value))
        return hidden if hidden != str(value) else value
    if isinstance(value, dict):
        return {key: masked(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [masked(each) for each in value]
    return value if value is None or isinstance(value, bool | float) else mask(str(value))


def _mask_event(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {key: value if key.startswith("_") else masked(value) for key, value in event.items()}


def configure(settings: "Settings") -> None:
    """Sends the log of this program and of its libraries to stderr. Call once a process, before the first line."""
    import structlog  # a fifth of a second: paid by the verbs that log, not by --help

    plain = settings.log_format == "console" or (settings.log_format == "auto" and sys.stderr.isatty())
    stamp: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
    ]
    form: Any = structlog.processors.JSONRenderer(ensure_ascii=False)
    if plain:
        form = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    last = [structlog.stdlib.ProcessorFormatter.remove_processors_meta, _mask_event, form]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=stamp, processors=last))
    logging.basicConfig(handlers=[handler], level=settings.log_level.upper(), force=True)
    for noisy in ("alembic", "sqlalchemy", "asyncio", "httpx", "urllib3"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *stamp,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
