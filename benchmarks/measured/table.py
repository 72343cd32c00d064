"""Figures of several rounds as medians with their ranges, and ratios taken within each round."""

import statistics
from collections.abc import Sequence

from measured.program import Row

Rounds = dict[str, list[Row]]

LABELS = {
    "embedded-spool": "embedded, spool file",
    "scale-spool": "Kafka + PostgreSQL, spool file",
    "bare-1": "bare loop of the HTTP client, 1 process",
    "bare-2": "bare loop of the HTTP client, 2 processes",
    "embedded-http": "embedded, HTTP sink",
    "scale-http": "Kafka + PostgreSQL, HTTP sink",
    "celery-chunked": "Celery, chunks of 100, urllib3",
    "celery-aiohttp": "Celery, chunks of 100, aiohttp",
    "celery-each": "Celery, one task per recipient",
}
RATIOS = [
    ("scale-spool", "embedded-spool"),
    ("scale-http", "embedded-http"),
    ("embedded-http", "bare-2"),
    ("embedded-http", "bare-1"),
    ("scale-http", "bare-2"),
    ("embedded-http", "celery-chunked"),
    ("embedded-http", "celery-aiohttp"),
    ("embedded-http", "celery-each"),
    ("scale-http", "celery-chunked"),
    ("scale-http", "celery-aiohttp"),
    ("scale-http", "celery-each"),
]


def line(label: str, values: Sequence[float], unit: str, width: int = 58) -> str:
    """The median and the range."""
    spread = f"({min(values):,.2f} - {max(values):,.2f})"
    return f"{label:{width}} {statistics.median(values):>10,.2f} {unit:13} {spread}"


def side_by_side(rounds: Rounds) -> list[str]:
    """Rates, processor time, ratios of what was measured."""
    there = [name for name in LABELS if rounds.get(name)]
    lines = [line(LABELS[name], [row.rate for row in rounds[name]], "recipients/s") for name in there]
    lines.append("processor time of all processes but the sink; idle threads take theirs for as long as a row lasts:")
    lines += [line(f"  {LABELS[name]}", [row.cpu_us for row in rounds[name]], "us/recipient") for name in there]
    pairs = [(above, below) for above, below in RATIOS if above in there and below in there]
    lines += _ratios("ratios of rates, each within one round:", rounds, pairs, "rate")
    return lines + _ratios("ratios of processor time a recipient:", rounds, pairs, "cpu_us")


def _ratios(title: str, rounds: Rounds, pairs: Sequence[tuple[str, str]], what: str) -> list[str]:
    lines = [title] if pairs else []
    for above, below in pairs:
        both = zip(rounds[above], rounds[below], strict=True)
        values = [getattr(a, what) / getattr(b, what) for a, b in both]
        lines.append(line(f"  {LABELS[above]} / {LABELS[below]}", values, "x", 76))
    return lines


def inside(found: dict[str, list[float]], embedded: Sequence[Row]) -> list[str]:
    """What one process does, beside claims and outcomes alone; and the whole program where it was measured."""
    lines = []
    if embedded:
        lines.append(line("submit: render, measure, plan, seal, write", [row.submit for row in embedded], "s"))
        lines.append(line("whole program, approve -> all counted", [row.rate for row in embedded], "deliveries/s"))
    lines += [
        line("one process, fan-out and worker in turn", found["rate"], "deliveries/s"),
        line("claims and outcomes alone, window 100", found["claims"], "deliveries/s"),
        line("claims and outcomes one by one", found["each"], "deliveries/s"),
    ]
    for label, name in (("claims and outcomes alone", "claims"), ("one by one", "each")):
        if embedded:
            values = [row.rate / other for row, other in zip(embedded, found[name], strict=True)]
            lines.append(line(f"ratio: whole program / {label}", values, "x"))
    lines.append("where the time of one process goes:")
    lines.append(line("  addresses opened, wordings filled", [100 * v for v in found["filling"]], "%"))
    lines.append(line("  spool: written and synced", [100 * v for v in found["sending"]], "%"))
    rest = [100 * (1 - a - b) for a, b in zip(found["filling"], found["sending"], strict=True)]
    return [*lines, line("  claims, outcomes, counters, bus", rest, "%")]
