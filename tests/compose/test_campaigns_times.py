"""How long a campaign lives, and when promotions stay silent."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from broadcaster.compose.timing import HOUR_MS, life, release_at
from broadcaster.model import BadInput, Category, Refused
from broadcaster.settings import Settings

ZONE = ZoneInfo("Asia/Shanghai")
SETTINGS = Settings()


def at(hour: int, minute: int = 0, day: int = 15) -> int:
    return int(datetime(2027, 3, day, hour, minute, tzinfo=ZONE).timestamp() * 1000)


@pytest.mark.parametrize(("category", "hours"), [("emergency", 1), ("notice", 24), ("promotion", 72)])
def test_every_category_ends_by_itself(category: str, hours: int) -> None:
    assert life(Category(category), (None, None), None, at(9)) == (at(9), at(9) + hours * HOUR_MS)


def test_the_set_says_how_long_its_event_lasts() -> None:
    assert life(Category.NOTICE, (at(12), None), 168, at(9)) == (at(12), at(12) + 168 * HOUR_MS)


def test_a_set_for_a_season_may_live_as_long_as_it_declares() -> None:
    season = 24 * 60
    assert life(Category.NOTICE, (None, None), season, at(9))[1] == at(9) + season * HOUR_MS


@pytest.mark.parametrize(
    ("times", "code"),
    [
        ((None, at(8)), "expired"),
        ((None, at(9)), "expired"),
        ((at(12), at(11)), "expires-before-start"),
        ((at(12), at(12)), "expires-before-start"),
        ((None, at(9) + 25 * HOUR_MS), "expires-too-late"),
    ],
)
def test_an_end_that_makes_no_sense_is_refused(times: tuple[int | None, int | None], code: str) -> None:
    with pytest.raises(BadInput) as refused:
        life(Category.EMERGENCY, times, 1, at(9))
    assert refused.value.code == code


@pytest.mark.parametrize("category", [Category.EMERGENCY, Category.NOTICE])
def test_only_promotions_know_quiet_hours(category: Category) -> None:
    assert release_at(SETTINGS, category, (at(4, 45), at(6)), at(4, 45)) == at(4, 45)


@pytest.mark.parametrize(
    ("now", "due"),
    [
        (at(8), at(8)),
        (at(20, 59), at(20, 59)),
        (at(21), at(8, day=16)),
        (at(4, 45), at(8)),
        (at(23, 59), at(8, day=16)),
    ],
)
def test_a_promotion_waits_for_its_hours(now: int, due: int) -> None:
    assert release_at(SETTINGS, Category.PROMOTION, (now, at(12, day=17)), now) == due


def test_a_promotion_whose_time_ends_before_its_hours_is_refused() -> None:
    with pytest.raises(Refused) as refused:
        release_at(SETTINGS, Category.PROMOTION, (at(22), at(7, day=16)), at(22))
    assert refused.value.code == "quiet-hours"


def test_hours_that_pass_midnight_are_kept_too() -> None:
    night = Settings(promotion_from="20:00", promotion_until="02:00")
    assert release_at(night, Category.PROMOTION, (at(1), at(12, day=17)), at(1)) == at(1)
    assert release_at(night, Category.PROMOTION, (at(3), at(12, day=17)), at(3)) == at(20)


def test_hours_are_those_of_the_clock_on_the_day_it_changes() -> None:
    berlin = Settings(timezone="Europe/Berlin")
    zone = ZoneInfo("Europe/Berlin")
    evening = int(datetime(2027, 3, 27, 22, tzinfo=zone).timestamp() * 1000)
    morning = int(datetime(2027, 3, 28, 8, tzinfo=zone).timestamp() * 1000)
    assert morning - evening == 9 * HOUR_MS
    assert release_at(berlin, Category.PROMOTION, (evening, morning + HOUR_MS), evening) == morning
