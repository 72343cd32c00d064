"""sms measure, billboard fit, audio spoken: a line in, a line out, in order, whatever the line holds."""

import json
from collections.abc import Callable
from typing import Any

import pytest

Call = Callable[..., Any]

NASTY = [
    '"ok"',
    "bad json",
    "",
    '"\\ud800"',
    '{"text": "hi"}',
    '{"x": 1}',
    "3",
    "null",
    "[" * 5000,
    '"\\u0000"',
    '"尾"',
]
DOORS = [
    ("sms", "measure"),
    ("billboard", "fit", "--size", "192x96"),
    ("audio", "spoken", "--lang", "zh-CN"),
]


def test_sms_measure_answers_the_four_figures(call: Call) -> None:
    texts = ["a" * 160, "a" * 161, "消" * 70, "消" * 71, "€" * 80, "😀" * 36]
    ended = call("sms", "measure", "--jsonl", stdin="\n".join(map(json.dumps, texts)))
    assert ended.code == 0
    assert ended.lines == [
        {"encoding": "gsm7", "units": 160, "parts": 1, "left": 0},
        {"encoding": "gsm7", "units": 161, "parts": 2, "left": 145},
        {"encoding": "ucs2", "units": 70, "parts": 1, "left": 0},
        {"encoding": "ucs2", "units": 71, "parts": 2, "left": 63},
        {"encoding": "gsm7", "units": 160, "parts": 1, "left": 0},
        {"encoding": "ucs2", "units": 72, "parts": 2, "left": 61},
    ]


def test_one_text_prints_one_object(call: Call) -> None:
    assert call("sms", "measure", "你好", "--json").json == {"encoding": "ucs2", "units": 2, "parts": 1, "left": 68}


@pytest.mark.parametrize("door", DOORS, ids=" ".join)
def test_no_line_is_lost_and_a_refused_one_says_why(call: Call, door: tuple[str, ...]) -> None:
    ended = call(*door, "--jsonl", stdin="\n".join(NASTY) + "\n", real=True)
    assert ended.code == 0, ended.err
    assert len(ended.lines) == len(NASTY)
    for line in ended.lines:
        assert isinstance(line, dict)
        if "error" in line:
            assert set(line["error"]) >= {"code", "message"}
    wrong = [at for at, line in enumerate(ended.lines) if "error" in line]
    assert {1, 2, 5, 6, 7, 8} <= set(wrong)
    assert 0 not in wrong or door[0] == "audio"
    assert 10 not in wrong


def test_lines_that_are_not_utf8_are_refused_one_by_one(call: Call) -> None:
    ended = call("sms", "measure", "--jsonl", stdin='"好"\n'.encode("gb18030") + b'"ok"\n')
    assert [sorted(line) for line in ended.lines] == [["error"], ["encoding", "left", "parts", "units"]]


def test_a_board_answers_pages_and_seconds(call: Call) -> None:
    ended = call("billboard", "fit", "--size", "128x32", "--jsonl", stdin='"火警电话 119"\n"两行字两行字两行字"\n')
    assert all(set(line) == {"pages", "seconds"} for line in ended.lines)
    assert ended.lines[0]["pages"] == [["火警电话 119"]]


def test_a_board_names_the_characters_it_cannot_show(call: Call) -> None:
    ended = call("billboard", "fit", "--size", "128x32", "--encoding", "gb2312", "--jsonl", stdin='"한글"\n')
    error = ended.lines[0]["error"]
    assert "한" in error["message"] or "한" in json.dumps(error["problems"], ensure_ascii=False)


@pytest.mark.parametrize(
    "flags",
    [
        ("--size", "big"),
        ("--size", "128x32", "--encoding", "koi8"),
        ("--size", "128x32", "--mode", "dance"),
        ("--size", "4x4"),
    ],
)
def test_a_board_that_there_is_not_is_refused_before_any_line(call: Call, flags: tuple[str, ...]) -> None:
    ended = call("billboard", "fit", *flags, "--jsonl", stdin='"x"\n')
    assert ended.code == 1
    assert ended.out == ""
    assert "--size" in ended.err


def test_speech_resolves_figures(call: Call) -> None:
    ended = call("audio", "spoken", "--lang", "zh-CN", "--jsonl", stdin='"火警119"\n')
    assert not any(c.isdigit() for c in ended.lines[0]["spoken"])
    assert "幺" in ended.lines[0]["spoken"]


def test_a_measuring_verb_without_text_is_wrong_usage(call: Call) -> None:
    ended = call("sms", "measure")
    assert ended.code == 2
    assert "--jsonl" in ended.err
