"""One text in several posts: nothing cut inside a character, nothing lost, cut where a reader pauses."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.social.posts import split

MARK = re.compile(r"（(\d+)/(\d+)）$")


def bare(posts: list[str]) -> list[str]:
    """Posts without their marks, which must count up."""
    if len(posts) == 1:
        return posts
    marks = [MARK.search(post) for post in posts]
    assert [(mark[1], mark[2]) for mark in marks if mark] == [
        (str(n), str(len(posts))) for n in range(1, len(posts) + 1)
    ]
    return [MARK.sub("", post, count=1) for post in posts]


@given(
    st.lists(
        st.sampled_from(["林区", "火。", "a", "Fire. ", "🔥", "👨‍👩‍👧", "\n", " ", "，", "산불 ", "é"]), max_size=120
    ).map("".join),
    st.integers(29, 200),
)
def test_every_post_fits_and_nothing_but_blanks_is_lost(text: str, octets: int) -> None:
    posts = split(text, octets)
    assert all(len(post.encode()) <= octets for post in posts)
    assert re.sub(r"\s", "", "".join(bare(posts))) == re.sub(r"\s", "", text)
    assert len(posts) == 1 or all(bare(posts))


@given(st.text("火🔥", min_size=1, max_size=600), st.integers(29, 100))
def test_a_text_without_a_pause_is_cut_between_characters(text: str, octets: int) -> None:
    assert "".join(bare(split(text, octets))) == text


def test_a_text_that_fits_has_no_mark() -> None:
    assert split("火" * 682, 2048) == ["火" * 682]
    assert len(split("火" * 683, 2048)) == 2


def test_the_cut_is_behind_a_sentence() -> None:
    text = "今日林区火险等级很高，严禁野外用火。" * 60
    posts = split(text, 2048)
    assert len(posts) == 2
    assert all(post.endswith("。") for post in bare(posts))


def test_a_line_end_is_a_better_cut_than_a_sentence() -> None:
    first, second = "请检查消防设施。" * 70, "请保持通道畅通。" * 40
    assert bare(split(f"{first}\n{second}", 2048)) == [first, second]


def test_a_family_is_not_torn() -> None:
    family = "👨‍👩‍👧"
    assert all(post.count("👨") == post.count("👧") for post in bare(split(family * 20, 64)))


def test_a_post_too_small_for_a_part_is_refused() -> None:
    with pytest.raises(ValueError, match="too few"):
        split("火" * 20, 20)
