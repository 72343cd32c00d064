"""A small campaign whose every row is written by hand, so that the sums can be done on paper."""

from dataclasses import dataclass

import pytest
from sqlalchemy import insert

from broadcaster.installation import Installation
from broadcaster.model import PROOF_BITS, Outcome, Proof
from broadcaster.store import schema
from broadcaster.store.counters import Tally

CHANGCHUN, YANJI = "220102000000", "222401000000"
SHOWN, PLAYED = PROOF_BITS[Proof.SHOWN], PROOF_BITS[Proof.PLAYED]


@dataclass
class Row:
    n: int
    channel: str
    cut: int
    outcome: Outcome
    premises: int | None = None
    proof: int = 0
    people: int | None = None
    name: str = ""
    reason: str | None = None


ROWS = [
    Row(1, "billboard", 4, Outcome.ACCEPTED, proof=SHOWN, people=900),
    Row(2, "loudspeaker", 3, Outcome.ACCEPTED, proof=PLAYED | PROOF_BITS[Proof.FETCHED], people=500),
    Row(3, "loudspeaker", 3, Outcome.ACCEPTED, people=300),
    Row(4, "loudspeaker", 3, Outcome.CANCELLED, people=200),
    Row(5, "loudspeaker", 3, Outcome.ACCEPTED),
    Row(6, "sms", 1, Outcome.ACCEPTED, premises=1, name="王丽"),
    Row(7, "sms", 1, Outcome.FAILED, premises=1, name="=HYPERLINK(1)", reason="no-such-number"),
    Row(8, "sms", 2, Outcome.DELIVERED, premises=2),
    Row(9, "sms", 2, Outcome.UNKNOWN, premises=3, name="金英"),
    Row(10, "sms", 2, Outcome.SUPPRESSED),
    Row(11, "sms", 2, Outcome.ACCEPTED),
]


@pytest.fixture
def campaign(inst: Installation) -> int:
    """Campaign 1: eleven deliveries in four cuts, three premises, counters that fit."""
    tally = Tally()
    for row in ROWS:
        tally.add(row.cut, row.outcome)
        for proof, bit in PROOF_BITS.items():
            if row.proof & bit:
                tally.add(row.cut, proof)
    with inst.store.write() as conn:
        conn.execute(
            insert(schema.place),
            [
                {"code": CHANGCHUN, "name": "南关区", "level": 3, "parent": "220100000000"},
                {"code": YANJI, "name": "延吉市", "level": 3, "parent": "222400000000"},
            ],
        )
        conn.execute(insert(schema.unit), [{"id": 7, "code": "yanbian", "name": "延边支队"}])
        conn.execute(
            insert(schema.user), [{"id": 1, "login": "author", "name": "A", "roles": "author", "created_at": 0}]
        )
        conn.execute(
            insert(schema.campaign),
            [
                {
                    "id": 1,
                    "public_id": "p1",
                    "name": "drill",
                    "template_set": "t",
                    "category": "notice",
                    "mode": "live",
                    "state": "running",
                    "facts": "{}",
                    "selection": "{}",
                    "channels": "[]",
                    "not_before_at": 0,
                    "expires_at": 1,
                    "planned": len(ROWS),
                    "author_id": 1,
                    "editor_id": 1,
                    "created_at": 0,
                }
            ],
        )
        cuts = [
            (1, "sms", CHANGCHUN, None, "mall", "zh-CN"),
            (2, "sms", YANJI, 7, "", "ko"),
            (3, "loudspeaker", YANJI, 7, "", "zh-CN+ko"),
            (4, "billboard", CHANGCHUN, None, "", "zh-CN"),
        ]
        names = ("id", "channel", "place", "unit_id", "premises_category", "languages")
        conn.execute(insert(schema.cut), [{**dict(zip(names, c, strict=True)), "campaign_id": 1} for c in cuts])
        conn.execute(
            insert(schema.premises),
            [{"id": i, "name": f"premises {i}", "category": "mall", "place": CHANGCHUN} for i in (1, 2, 3)],
        )
        conn.execute(
            insert(schema.recipient),
            [
                {
                    "id": row.n,
                    "channel": row.channel,
                    "address_sealed": inst.keys.seal_address(
                        f"tel:+86138000021{row.n:02}" if row.channel == "sms" else f"speaker:{row.n}"
                    ),
                    "address_key": inst.keys.address_key(str(row.n)),
                    "name": row.name,
                    "place": YANJI if row.cut in (2, 3) else CHANGCHUN,
                    "premises_id": row.premises,
                    "languages": "zh-CN",
                    "people": row.people,
                    "people_source": "census of a test" if row.people else None,
                    "created_at": 0,
                }
                for row in ROWS
            ],
        )
        conn.execute(
            insert(schema.delivery),
            [
                {
                    "campaign_id": 1,
                    "n": row.n,
                    "recipient_id": row.n,
                    "channel": row.channel,
                    "premises_id": row.premises,
                    "wording_id": 1,
                    "cut_id": row.cut,
                    "parts": 1,
                    "token": "t",
                    "outcome": row.outcome,
                    "proof": row.proof,
                    "reason": row.reason,
                }
                for row in ROWS
            ],
        )
        ranges = {"billboard": (1, 1), "loudspeaker": (2, 5), "sms": (6, 11)}
        conn.execute(
            insert(schema.chunk),
            [
                {
                    "campaign_id": 1,
                    "channel": channel,
                    "lane": "notice",
                    "first": first,
                    "last": last,
                    "expires_at": 1,
                    "digest": "d",
                }
                for channel, (first, last) in ranges.items()
            ],
        )
        tally.write(conn, 1)
    return 1
