"""What a loudspeaker can say, and how long that takes."""

from collections.abc import Callable

import pytest

from channels.base import ChannelSettings, Message
from channels.loudspeaker import LONGEST_S, Loudspeaker


def test_what_is_said_is_measured_and_not_what_is_written() -> None:
    short = Loudspeaker.measure("火警119", "zh-CN")
    long = Loudspeaker.measure("火警13812345678", "zh-CN")
    assert short.seconds == pytest.approx(5 / 165 * 60, abs=0.05)  # 火警幺幺九
    assert long.seconds == pytest.approx(13 / 165 * 60, abs=0.05)
    assert (short.characters, short.problems) == (5, ())


def test_a_text_of_400_characters_is_let_through_and_one_of_401_is_not() -> None:
    assert Loudspeaker.measure("火" * 400, "zh-CN").problems == ()
    (problem,) = Loudspeaker.measure("火" * 401, "zh-CN").problems
    assert (problem.code, problem.detail) == ("too-long", "144.4")
    assert problem.message.endswith(f"{LONGEST_S:.0f} s at most: shorten it")


def test_two_languages_are_measured_together() -> None:
    chinese, korean = "林区严禁用火。", "산림에서 불을 쓰지 마세요."
    both = Loudspeaker.measure(f"{chinese}\n\n{korean}", "zh-CN+ko")
    apart = (Loudspeaker.measure(chinese, "zh-CN").seconds or 0) + (Loudspeaker.measure(korean, "ko").seconds or 0)
    assert both.seconds == pytest.approx(apart, abs=0.1)
    assert both.problems == ()
    assert Loudspeaker.measure(f"{chinese}\n\n{korean}", "").seconds == both.seconds
    assert Loudspeaker.measure(f"{chinese}\n\n{korean}", "4g-horn").seconds == both.seconds


def test_a_paragraph_in_a_language_that_is_not_asked_for_is_a_problem() -> None:
    (problem,) = Loudspeaker.measure("林区严禁用火。\n\n산불 조심", "zh-CN").problems
    assert problem.code == "spoken-characters"
    assert "산불" in problem.detail


@pytest.mark.parametrize(
    ("text", "code", "detail"),
    [
        ("", "empty", ""),
        (" \n", "empty", ""),
        ("请勿用火🔥", "spoken-characters", "🔥"),
        ("请看 https://a.cn/x", None, ""),
    ],
)
def test_what_cannot_be_said_is_named(text: str, code: str | None, detail: str) -> None:
    problems = Loudspeaker.measure(text, "zh-CN").problems
    assert [(p.code, p.detail) for p in problems] == ([(code, detail)] if code else [])


def test_nothing_is_pushed_to_a_speaker(messages: Callable[..., list[Message]]) -> None:
    answers = Loudspeaker(ChannelSettings()).send(messages(3))
    assert [a.word for a in answers] == ["config_error"] * 3
    assert Loudspeaker.pull
