"""What scripts/chaos runs: named scenarios on both back-ends, and a table of what became of each.

Options behind a name's own win over it: scripts/chaos broker --recipients 2000 --broker 1
"""

import argparse
import json
import signal
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import outside
from back_ends import NAMES, missing
from outside import FAR, HARM

Scenario = tuple[str, str, str]  # name, category, options
KILLS = "--recipients 20000 --worker 20"
SMALL = "--recipients 5000"
SCENARIOS: tuple[Scenario, ...] = (
    ("workers", "emergency", KILLS),
    ("workers", "notice", KILLS),
    ("fan-out", "notice", f"{SMALL} --fan-out 10 --chunk 50"),
    ("feed-servers", "notice", f"{SMALL} --devices 20 --feed-server 6 --fan-out 4"),
    ("broker", "emergency", f"{SMALL} --broker 3"),
    ("broker", "notice", f"{SMALL} --broker 3"),
    ("database", "emergency", f"{SMALL} --database 4 --lease 12"),
    ("database", "notice", f"{SMALL} --database 4 --lease 12"),
    ("records-repeated", "emergency", f"{SMALL} --replayed 3 --doubled 3 --reordered 3 --chunk 100"),
    ("records-poisoned", "notice", f"{SMALL} --poisoned 10 --chunk 100"),
    ("records-lost", "emergency", f"{SMALL} --lost 3 --chunk 50"),
    ("records-lost", "notice", f"{SMALL} --lost 1 --chunk 20"),
    ("replies-dropped", "emergency", f"{SMALL} --drops 100"),
    ("replies-dropped", "notice", f"{SMALL} --drops 100"),
    ("everything", "emergency", f"{KILLS} --drops 50 --devices 12 --feed-server 3 --fan-out 5 {{far}} "
     "--replayed 1 --doubled 1 --reordered 1 --poisoned 2 --lost 1 --lease 12 --chunk 100"),
    ("everything", "notice", f"{KILLS} --drops 50 --devices 12 --feed-server 3 --fan-out 5 {{far}} "
     "--replayed 1 --doubled 1 --reordered 1 --poisoned 2 --lost 1 --lease 12 --chunk 100"),
)  # fmt: skip
FAR_HARM = "--broker 2 --database 2"
COLUMNS = (
    "scenario", "back-end", "category", "deliveries", "faults", "copies too many", "bound", "unknown", "bound", "truly unsent",
    "lost silently", "dead letters", "seconds", "laws",
)  # fmt: skip


def wanted(name: str, back_ends: Iterable[str]) -> list[tuple[str, str, list[str]]]:
    """(scenario, back-end, options) of a name, or of all. A back-end is asked for nothing that it has not."""
    found = []
    for back_end in back_ends:
        for scenario, category, words in SCENARIOS:
            if name in (scenario, "all") and not (back_end == "embedded" and scenario in FAR):
                given = words.format(far=FAR_HARM if back_end == "scale" else "").split()
                found.append((scenario, back_end, ["--back-end", back_end, "--category", category, *given]))
    return found


def told_faults(report: dict[str, Any]) -> str:
    """Every fault by itself, with its number."""
    done = {kind: report["faults"].get(kind, 0) for kind in HARM}
    done["reply dropped"] = report["hidden_accepts"]
    return ", ".join(f"{n} {kind}" for kind, n in done.items() if n) or "none"


def row(report: dict[str, Any]) -> list[str]:
    """A report as a line of the table. The two bounds are one number, held against copies where a lane sends again, else unknown."""
    broken = [law for law, held in report["laws"].items() if not held]
    resends = report["category"] == "emergency"
    cells = [
        report["scenario"], report["back_end"], report["category"], report["planned"], told_faults(report),
        report["extra_copies"], report["bound"] if resends else 0, report["unknown"], 0 if resends else report["bound"],
        report["unknown_truly_unsent"], report["never_sent_outside_unknown"], report["dead_letters"], report["seconds"],
        "all hold" if not broken else f"BROKEN: {', '.join(broken)}",
    ]  # fmt: skip
    return [str(cell) for cell in cells]


def table(reports: Sequence[dict[str, Any]]) -> str:
    """Plain text, readable as Markdown too."""
    rows = [list(COLUMNS), *(row(report) for report in reports)]
    widths = [max(len(each[at]) for each in rows) for at in range(len(COLUMNS))]
    lines = [f"| {' | '.join(cell.ljust(width) for cell, width in zip(each, widths, strict=True))} |" for each in rows]
    return "\n".join([lines[0], f"|{'|'.join('-' * (width + 2) for width in widths)}|", *lines[1:]])


def main(words: Sequence[str]) -> int:
    """Runs what is named; 0 where every law held, 1 where one did not, 5 where a real server is missing."""
    names = [*dict.fromkeys(name for name, *_ in SCENARIOS), "all"]
    parser = argparse.ArgumentParser(prog="scripts/chaos", description=__doc__, allow_abbrev=False)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("scenario", choices=names)
    parser.add_argument("--back-end", choices=NAMES, action="append", help="one of them only")
    parser.add_argument(
        "--json", action="store_true", help="the whole reports, one JSON object a line, instead of the table"
    )
    options, more = parser.parse_known_args(words)
    reports = []
    for scenario, back_end, given in wanted(options.scenario, options.back_end or NAMES):
        if lacks := missing(back_end):
            outside.say(lacks)
            return 5
        chosen = outside.parse([*given, *more])
        print(
            f"{scenario}, {back_end}, {chosen.category}: {chosen.recipients:,} recipients", file=sys.stderr, flush=True
        )
        report = {"scenario": scenario, **outside.run(chosen)}
        outside.say("every law holds" if report["ok"] else f"BROKEN {report['laws']} {report['told']}")
        reports.append(report)
        if options.json:
            print(json.dumps(report, ensure_ascii=False), flush=True)
    if not options.json:
        print(table(reports))
    return 0 if reports and all(report["ok"] for report in reports) else 1


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, outside.end_well)
    sys.exit(main(sys.argv[1:]))
