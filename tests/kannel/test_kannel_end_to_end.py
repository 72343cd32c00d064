"""The product over the real Kannel, judged from outside. The long form, 5,000 messages: tests/kannel/end_to_end.py."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import end_to_end
import pytest
from arrived import Seen
from real_kannel import missing

Lie = Callable[[list[Seen]], list[Seen]]
LIES: dict[str, Lie] = {
    "L2": lambda seen: seen[1:],
    "L3": lambda seen: [*seen, seen[0]],
    "L4": lambda seen: [*seen, replace(seen[0], to="8613900000000")],
    "texts": lambda seen: [replace(seen[0], text="?????"), *seen[1:]],
    "receipts": lambda seen: seen[1:],
}


def test_counts_equal_the_list_of_the_sms_centre_also_where_bearerbox_died_and_the_judge_sees_each_lie() -> None:
    if lacks := missing():
        pytest.skip(lacks)
    broken: dict[str, bool] = {}

    def lied_to(this: Any, told: Any) -> None:
        for law, lie in LIES.items() if not this.kill else ():
            broken[law] = not end_to_end.judged(this, told, lie(this.seen()))["laws"][law]

    # Windows so small that the kill falls into the sending, whatever the machine.
    small = ["--messages", "300", "--window", "10", "--connections", "10"]
    found = end_to_end.run(end_to_end.parse([*small, "--kill", "none", "bearerbox"]), lied_to)
    assert found["ok"], found
    assert found["rounds"][0]["outcomes"] == {"delivered": 300}
    assert broken == dict.fromkeys(LIES, True)
