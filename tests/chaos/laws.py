"""The laws, from outside: the sink's ledger against the product's rows. Each is told by its number; docs/faults.md names them."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ledger import Sink
from product import Product

WORDS = ("waiting", "sending", "accepted", "delivered", "failed", "suppressed", "expired", "cancelled", "unknown")
WINDOW = {"emergency": 8, "notice": 100, "promotion": 100}
REACHED = {"accepted", "delivered"}
LOOK = (
    "SELECT 'counter', word, sum(n) FROM counter WHERE campaign_id = ? AND word IN ('waiting', 'sending', 'accepted', "
    "'delivered', 'failed', 'suppressed', 'expired', 'cancelled', 'unknown') GROUP BY word HAVING sum(n) <> 0 "
    "UNION ALL SELECT 'row', outcome, count(*) FROM delivery WHERE campaign_id = ? GROUP BY outcome"
)


@dataclass
class Harm:
    """What was done, by kind, and what of it the laws must know."""

    done: Counter[str] = field(default_factory=Counter)
    garbage: int = 0  # records that nobody can read
    told: list[str] = field(default_factory=list)  # what was found broken on the way
    feeds_right: bool = True
    log_cut: bool = (
        False  # a broker's log that was cut may have lost the garbage too, or give its place to another record
    )


def conserved(product: Product, campaign: int, planned: int) -> str | None:
    """L1 and L5 in one statement, so at one moment: the counters are the rows, and their sum is what was planned."""
    counters, rows = {}, {}
    for kind, word, n in product.rows(LOOK, campaign, campaign):
        (counters if kind == "counter" else rows)[word] = int(n)
    if counters != rows:
        return f"counters {counters} rows {rows}"
    total = sum(rows.values())
    return None if total == planned else f"sum {total} planned {planned}"


def bound(category: str, harm: Harm, sink: Sink) -> int:
    """L3: a window for each killed worker, and the replies that the sink dropped.

    Nothing for anybody else that died. A fan-out repeats a record; a feed server only reads; and a worker whose database or
    broker went away keeps the answers of its window and records them when it is back.
    """
    return harm.done["worker"] * WINDOW[category] + sink.hidden


def answers(product: Product, campaign: int) -> dict[str, dict[str, Any]]:
    """What the product says of itself."""
    return {
        "recount": product.ask("recount", str(campaign), fine=(0, 1)),
        "counts": product.ask("counts", str(campaign), fine=(0, 3)),
        "audit": product.ask("audit", "verify", fine=(0, 1)),
    }


def check(
    product: Product, sink: Sink, order: tuple[int, int], harm: Harm, said: dict[str, dict[str, Any]]
) -> dict[str, Any]:
    """All laws at the end. `order`: the campaign and how many deliveries it must have; `said`: what `answers` gave."""
    campaign, planned = order
    recount, counts, audit = said["recount"], said["counts"], said["audit"]
    rows = product.rows("SELECT n, token, channel, outcome FROM delivery WHERE campaign_id = ?", campaign)
    state, category = product.rows("SELECT state, category FROM campaign WHERE id = ?", campaign)[0]
    copies = Counter({d: n for d, n in sink.copies().items() if d.split("-")[0] == str(campaign)})
    outcome = {f"{campaign}-{n}-{token}": word for n, token, channel, word in rows if channel == "sms"}
    words = Counter(word for *_, word in rows)
    most = bound(category, harm, sink)
    extra = sum(n - 1 for n in copies.values() if n > 1)
    never = Counter(word for delivery, word in outcome.items() if not copies[delivery])
    unknown = sum(1 for word in outcome.values() if word == "unknown")
    buried = int(product.rows("SELECT count(*) FROM dead_letter")[0][0])
    bounded = (
        extra <= most and unknown == 0 and not _unexplained(product, campaign, copies)
        if category == "emergency"
        else extra == 0 and unknown <= most
    )
    laws = {
        "finished": state == "finished",
        "L1": len(rows) == planned == counts["planned"] == sum(counts["outcomes"].values()),
        "L2": not set(never) & (REACHED | {"waiting", "sending"}),
        "L3": bounded,
        "L4": not set(copies) - set(outcome),
        "L5": bool(recount["equal"]) and all(words[word] == counts["outcomes"][word] for word in WORDS),
        "L6": bool(audit["ok"]) and _two_people(product),
        "dead letters": buried <= harm.garbage if harm.log_cut else buried == harm.garbage,
        "feeds": harm.feeds_right,
        "looks": not harm.told,
    }
    return {
        "laws": laws, "category": category, "planned": len(rows), "faults": dict(harm.done), "hidden_accepts": sink.hidden,
        "copies": sum(copies.values()), "extra_copies": extra, "bound": most, "unknown": unknown,
        "unknown_truly_unsent": never["unknown"], "never_sent_outside_unknown": sum(never.values()) - never["unknown"],
        "outcomes": {word: words[word] for word in WORDS if words[word]}, "dead_letters": buried, "told": harm.told[:20],
    }  # fmt: skip


def _two_people(product: Product) -> bool:
    """Whoever wrote a campaign did not approve it."""
    alone = "SELECT count(*) FROM campaign WHERE state IN ('running', 'finished') AND (approver_id IS NULL OR approver_id = author_id)"
    return int(product.rows(alone)[0][0]) == 0


def _unexplained(product: Product, campaign: int, copies: Mapping[str, int]) -> list[str]:
    """Deliveries with more copies than their own doubtful attempts account for."""
    doubts = dict(
        product.rows(
            "SELECT n, count(*) FROM attempt WHERE campaign_id = ? AND answer IN ('in-doubt', 'uncertain') GROUP BY n",
            campaign,
        )
    )
    return [d for d, sent in copies.items() if sent > 1 + doubts.get(int(d.split("-")[1]), 0)]
