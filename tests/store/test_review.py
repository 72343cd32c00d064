"""What an approver is told of each wording comes from the planned deliveries; what an author is told from the audience."""

from broadcaster.compose.recipients import NewRecipient, add_recipients
from broadcaster.installation import Installation
from broadcaster.model import Selection
from broadcaster.store import places
from broadcaster.store import plan as stored_plan
from broadcaster.store import review as stored
from broadcaster.store.places import PlaceRow

VILLAGE = "220102001001"
# n, wording, slots, parts
PLANNED = [
    (1, 7, '["张三"]', 1),
    (2, 7, '["欧阳春华"]', 3),
    (3, 7, '["司马相如"]', 3),
    (4, 7, '["李四"]', 2),
    (5, 8, None, 1),
]


def test_shares_name_the_first_delivery_with_the_most_parts(inst: Installation) -> None:
    with inst.store.write() as conn:
        rows = [(n, n, "sms", None, wording, 1, slots, parts, f"t{n}") for n, wording, slots, parts in PLANNED]
        stored_plan.add_deliveries(conn, 4, rows)
        assert stored.shares(conn, 4) == {7: stored.Share(4, 9, 1, 3, 2), 8: stored.Share(1, 1, 1, 1, 5)}
        assert stored.own_values(conn, 4, 2) == ["欧阳春华"]
        assert stored.own_values(conn, 4, 5) == []
        assert stored.shares(conn, 5) == {}


def test_a_spread_counts_everybody_and_names_some_of_each_language(inst: Installation) -> None:
    with inst.store.write() as conn:
        places.put_places(conn, [PlaceRow("220000000000", "吉林省", 1, None), PlaceRow(VILLAGE, "华阳社区", 5, None)])
    languages = ["ko" if i % 10 == 0 else "zh-CN" for i in range(100)]
    add_recipients(
        inst,
        [NewRecipient("sms", f"tel:+861380000{i:04d}", VILLAGE, f"张{i}", tag) for i, tag in enumerate(languages)],
    )
    with inst.store.read() as conn:
        spread = stored_plan.spread(conn, Selection(places=("22",)), ["sms"])
        some = stored_plan.people(conn, sorted({one for *_, first, last in spread for one in (first, last)}))
    counted = {tag: sum(n for _, languages, n, _, _ in spread if languages == tag) for tag in ("zh-CN", "ko")}
    assert counted == {"zh-CN": 90, "ko": 10}
    assert {one.languages for one in some} == {"zh-CN", "ko"}
    assert len(some) > 20
