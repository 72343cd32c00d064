"""Every move that is not in the two tables is refused; every writer of an outcome keeps to its table."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import pytest
from sqlalchemy import Connection, insert, text

from broadcaster.compose.moves import found, move
from broadcaster.deliver.folding import fold
from broadcaster.installation import Installation
from broadcaster.model import CAMPAIGN_MOVES, OUTCOME_MOVES, CampaignState, Outcome, Refused
from broadcaster.reach.counts import recount
from broadcaster.store import delivering, receipts, schema, sweeping, windows
from broadcaster.store.counters import Turn, counting
from broadcaster.store.recording import Held, Result, record_results

NOW = 2_000_000_000_000


@pytest.fixture
def people(inst: Installation) -> Installation:
    with inst.store.write() as conn:
        who = [{"login": name, "name": name, "roles": "author", "created_at": 1} for name in ("ann", "bob")]
        conn.execute(insert(schema.user), who)
    return inst


def campaign_in(conn: Connection, state: CampaignState, category: str = "notice") -> int:
    number = conn.execute(text("SELECT count(*) FROM campaign")).scalar_one()
    made = conn.execute(
        insert(schema.campaign).values(
            public_id=f"p{number}", name="t", template_set="x", category=category, mode="live", state=state, facts="{}",
            selection="{}", channels="[]", not_before_at=1, expires_at=NOW, author_id=1, editor_id=1, created_at=1, planned=1,
        )
    )  # fmt: skip
    return int(made.inserted_primary_key[0])


@pytest.mark.parametrize(("before", "after"), list(product(CampaignState, CampaignState)))
def test_a_campaign_moves_only_as_the_table_says(
    people: Installation, before: CampaignState, after: CampaignState
) -> None:
    with people.store.write() as conn:
        campaign = found(conn, campaign_in(conn, before))
        if after in CAMPAIGN_MOVES[before]:
            move(conn, campaign, after)
            assert found(conn, campaign.id).state is after
        else:
            with pytest.raises(Refused) as refused:
                move(conn, campaign, after)
            assert refused.value.code == "campaign-state"
            assert found(conn, campaign.id).state is before


def test_a_campaign_read_before_another_moved_it_is_not_moved(people: Installation) -> None:
    with people.store.write() as conn:
        seen = found(conn, campaign_in(conn, CampaignState.SUBMITTED))
        move(conn, seen, CampaignState.RETURNED)
        with pytest.raises(Refused) as refused:
            move(conn, seen, CampaignState.APPROVED)
        assert refused.value.code == "campaign-moved"
        assert found(conn, seen.id).state is CampaignState.RETURNED


def test_ended_campaigns_stay_ended() -> None:
    assert not CAMPAIGN_MOVES[CampaignState.CANCELLED]
    assert not CAMPAIGN_MOVES[CampaignState.EXPIRED]


@dataclass
class OneDelivery:
    """A campaign of one delivery whose outcome the test sets, under a lease that ran out."""

    inst: Installation
    campaign: int
    lease: int

    def outcome(self) -> Outcome:
        with self.inst.store.read() as conn:
            return Outcome(
                conn.execute(
                    text("SELECT outcome FROM delivery WHERE campaign_id = :c"), {"c": self.campaign}
                ).scalar_one()
            )


def one_delivery(inst: Installation, outcome: Outcome, category: str) -> OneDelivery:
    with inst.store.write() as conn:
        campaign = campaign_in(conn, CampaignState.RUNNING, category)
        key = bytes([campaign]) * 16
        recipient = conn.execute(
            insert(schema.recipient).values(
                channel="sms",
                address_sealed=b"-",
                address_key=key,
                place="220102001001",
                languages="zh-CN",
                created_at=1,
            )
        ).inserted_primary_key[0]
        conn.execute(
            insert(schema.suppression).values({"address_key": key, "class": "never", "since_at": 1, "source": "t"})
        )
        cut = conn.execute(
            insert(schema.cut).values(
                campaign_id=campaign, channel="sms", place="220102000000", premises_category="", languages="zh-CN"
            )
        ).inserted_primary_key[0]
        chunk = conn.execute(
            insert(schema.chunk).values(
                campaign_id=campaign,
                channel="sms",
                lane=category,
                first=1,
                last=1,
                due_at=1,
                expires_at=NOW,
                digest="d",
            )
        ).inserted_primary_key[0]
        row = delivering.ChunkRow(chunk, campaign, "sms", category, 1, 1, False, NOW)
        lease = _lease(conn, row)
        conn.execute(
            insert(schema.delivery).values(
                campaign_id=campaign, n=1, recipient_id=recipient, channel="sms", wording_id=1, cut_id=cut, parts=1, token="t" * 16,
                outcome=outcome, lease_id=lease, attempt=1,
            )
        )  # fmt: skip
        conn.execute(insert(schema.counter).values(campaign_id=campaign, cut_id=cut, word=outcome, shard=0, n=1))
    return OneDelivery(inst, campaign, lease)


def _lease(conn: Connection, row: delivering.ChunkRow) -> int:
    values = {"campaign_id": row.campaign_id, "chunk_id": row.id, "first": 1, "last": 1, "owner": "w", "until_at": 1}
    return int(conn.execute(insert(schema.lease).values(**values)).inserted_primary_key[0])


Writer = Callable[[Connection, OneDelivery], object]


def in_turn(work: Callable[[Turn, OneDelivery], object]) -> Writer:
    def write(conn: Connection, one: OneDelivery) -> None:
        with counting(conn, one.campaign) as turn:
            work(turn, one)

    return write


def labelled(outcome: Outcome) -> Writer:
    return in_turn(lambda turn, _: delivering.label(turn, (1, 1), outcome, "t"))


def resulted(outcome: Outcome) -> Writer:
    return in_turn(lambda turn, one: record_results(turn, Held(one.lease, "spool"), [Result(1, outcome)], NOW))


def received(word: Outcome) -> Writer:
    def write(conn: Connection, one: OneDelivery) -> None:
        receipts.store(conn, [receipts.Receipt("p", f"k{one.campaign}", one.campaign, 1, word, None, "{}")], NOW)

    return write


def accepted(turn: Turn, one: OneDelivery) -> None:
    rows = [delivering.Claimed(1, 1, None, "t", 1, 1, 1, 1, b"")]
    windows.look(turn, (2, 1), NOW, (Held(one.lease, "spool"), rows, []))


def claiming(*classes: str) -> Writer:
    def write(turn: Turn, one: OneDelivery) -> None:
        seen = windows.look(turn, (1, 1), NOW, None)
        row = delivering.ChunkRow(1, one.campaign, "sms", "notice", 1, 1, False, NOW)
        windows.claim(turn, windows.Wanted(row, (1, 1), "w", NOW, classes), NOW, seen.lease)

    return in_turn(write)


def judged(conn: Connection, one: OneDelivery) -> None:
    for lease in sweeping.leases_in_doubt(conn, NOW):
        sweeping.judge(conn, lease, NOW, 8)


WRITERS: dict[str, Writer] = {
    **{f"label {word}": labelled(word) for word in (Outcome.EXPIRED, Outcome.CANCELLED)},
    **{f"answer {word}": resulted(word) for word in OUTCOME_MOVES[Outcome.SENDING]},
    **{f"receipt {word}": received(word) for word in Outcome},
    "accepted": in_turn(accepted),
    "suppress": claiming("never"),
    "claim": claiming("promotion"),
    "sweep": judged,
}


@pytest.mark.parametrize("category", ["emergency", "notice"])
@pytest.mark.parametrize("before", list(Outcome))
def test_no_writer_makes_a_forbidden_outcome_move(people: Installation, before: Outcome, category: str) -> None:
    made: set[Outcome] = set()
    for name, write in WRITERS.items():
        one = one_delivery(people, before, category)
        with people.store.write() as conn:
            write(conn, one)
        fold(people)
        after = one.outcome()
        assert after is before or after in OUTCOME_MOVES[before], f"{name}: {before} became {after}"
        assert recount(people, one.campaign)["equal"], name
        if after is not before:
            made.add(after)
    assert bool(made) == bool(OUTCOME_MOVES[before])
