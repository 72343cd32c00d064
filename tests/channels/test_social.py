"""Group robots: what a post takes, and what the platform's codes mean. HTTP 200 proves nothing."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from channels.base import Channel, ChannelError, ChannelSettings, Message
from channels.social import MOST_POSTS, Social

Messages = Callable[..., list[Message]]
KEY = "693a91f6-7aoc-4bc4-97a0-0ec2sifa5aaa"


@pytest.fixture
def robot(provider) -> Iterator[Channel]:
    made = Social(ChannelSettings(provider="wecom", url=provider.url))
    yield made
    made.close()


@pytest.fixture
def posts(messages: Messages) -> Messages:
    return lambda count=1, **changes: messages(count, **{"to": f"wecom:{KEY}", **changes})


def test_a_post_goes_to_the_robots_address(robot: Channel, provider, posts: Messages) -> None:
    provider.says(200, '{"errcode":0,"errmsg":"ok"}')
    (answer,) = robot.send(posts(1, text='林区"禁火"\n🔥'))
    assert (answer.word, answer.ref) == ("accepted", None)
    (asked,) = provider.asked
    assert asked.target == f"/cgi-bin/webhook/send?key={KEY}"
    assert asked.json == {"msgtype": "text", "text": {"content": '林区"禁火"\n🔥'}}


TABLE = [
    (200, '{"errcode":0,"errmsg":"ok"}', "accepted", ""),
    (200, '{"errcode":45009,"errmsg":"api freq out of limit"}', "retry", "rate"),
    (200, '{"errcode":40058,"errmsg":"exceed max length"}', "failed", "too-long"),
    (200, '{"errcode":93000,"errmsg":"invalid webhook url"}', "failed", "robot-unknown"),
    (200, '{"errcode":-1,"errmsg":"system busy"}', "uncertain", "wecom--1"),
    (200, '{"errcode":12345,"errmsg":"what?"}', "uncertain", "wecom-12345"),
    (200, '{"errcode":"0"}', "uncertain", "reply-unreadable"),
    (200, '{"errcode":false}', "uncertain", "reply-unreadable"),
    (200, "{}", "uncertain", "reply-unreadable"),
    (200, "<html>", "uncertain", "reply-unreadable"),
    (404, "", "config_error", "http-404"),
    (429, "", "retry", "http-429"),
    (503, "", "retry", "http-503"),
    (500, "", "uncertain", "http-500"),
]


@pytest.mark.parametrize("row", TABLE, ids=lambda row: str(row)[:50])
def test_every_code_has_one_meaning(robot: Channel, provider, posts: Messages, row: tuple[int, str, str, str]) -> None:
    status, body, word, reason = row
    provider.says(status, body)
    (answer,) = robot.send(posts())
    assert (answer.word, answer.reason) == (word, reason)
    assert len(provider.asked) == 1


def test_a_robot_that_posts_too_fast_waits_a_minute(robot: Channel, provider, posts: Messages) -> None:
    provider.says(200, '{"errcode":45009}')
    assert robot.send(posts())[0].after_s == 60


def test_an_unknown_word_is_kept_raw(robot: Channel, provider, posts: Messages) -> None:
    provider.says(200, '{"errcode":777,"errmsg":"new rule"}')
    assert robot.send(posts())[0].detail == '{"errcode":777,"errmsg":"new rule"}'


def test_a_dropped_reply_leaves_the_post_uncertain(robot: Channel, provider, posts: Messages) -> None:
    provider.plays = lambda asked: None
    assert [(a.word, a.reason) for a in robot.send(posts())] == [("uncertain", "connection-lost")]


def test_a_long_text_is_posted_in_order(robot: Channel, provider, posts: Messages) -> None:
    provider.says(200, '{"errcode":0}')
    text = "".join(f"第{n}条，请检查消防设施。" for n in range(120))
    assert [a.word for a in robot.send(posts(1, text=text))] == ["accepted"]
    sent = [asked.json["text"]["content"] for asked in provider.asked]
    assert [content[-5:] for content in sent] == [f"（{n}/{len(sent)}）" for n in range(1, len(sent) + 1)]
    assert "".join(content[:-5] for content in sent) == text
    assert all(len(content.encode()) <= 2048 for content in sent)
    assert Social.measure(text, "wecom").parts == len(sent) > 1


def test_a_text_posted_in_part_is_uncertain_not_a_retry(robot: Channel, provider, posts: Messages) -> None:
    provider.plays = lambda asked: provider.reply(
        200, json.dumps({"errcode": 0 if len(provider.asked) == 1 else 45009})
    )
    (answer,) = robot.send(posts(1, text="请检查消防设施。" * 120))
    assert (answer.word, answer.reason, answer.detail) == ("uncertain", "partly-posted", "1 of 2, then rate")


def test_a_first_part_that_is_refused_is_a_plain_retry(robot: Channel, provider, posts: Messages) -> None:
    provider.says(200, '{"errcode":45009}')
    (answer,) = robot.send(posts(1, text="请检查消防设施。" * 120))
    assert answer.word == "retry"
    assert len(provider.asked) == 1


@pytest.mark.parametrize("to", ["wecom:", "wecom:a b", "wecom:../x?y", "tel:+8613800000000", f"wecom:{'a' * 65}"])
def test_an_address_that_is_no_key_is_never_asked(robot: Channel, provider, posts: Messages, to: str) -> None:
    assert [(a.word, a.reason) for a in robot.send(posts(1, to=to))] == [("failed", "address")]
    assert provider.asked == []


def test_the_key_is_in_no_answer(robot: Channel, provider, posts: Messages) -> None:
    said = [f'{{"errcode":1,"errmsg":"bad key {KEY}"}}', f"<html>{KEY}", f'{{"errcode":93000,"errmsg":"{KEY}"}}']
    for body in said:
        provider.says(200, body)
        assert KEY not in repr(robot.send(posts()))
    provider.says(400, f'{{"reason":"{KEY}"}}')
    assert KEY not in repr(robot.send(posts()))
    robot.close()
    dead = Social(ChannelSettings(provider="wecom", url="http://127.0.0.1:1"))
    assert KEY not in repr(dead.send(posts()))
    dead.close()


def test_bytes_and_posts_are_measured() -> None:
    size = Social.measure("火" * 682)
    assert (size.octets, size.parts, size.characters, size.problems) == (2046, 1, 682, ())
    assert Social.measure("火" * 683, "wecom").parts == 2


@pytest.mark.parametrize(
    ("text", "format", "code"),
    [
        ("", "wecom", "empty"),
        (" \n", "", "empty"),
        ("火", "telex", "format"),
        ("\ud800", "wecom", "surrogate"),
        ("火" * 680 * (MOST_POSTS + 1), "wecom", "too-long"),
    ],
)
def test_what_is_refused_has_a_code(text: str, format: str, code: str) -> None:
    assert [problem.code for problem in Social.measure(text, format).problems] == [code]


def test_the_demo_writes_posts_into_the_spool(tmp_path: Path, posts: Messages) -> None:
    channel = Social(ChannelSettings(provider="spool", spool=str(tmp_path / "out.jsonl")))
    assert [a.word for a in channel.send(posts(2))] == ["accepted"] * 2
    channel.close()
    assert [json.loads(line)["to"] for line in (tmp_path / "out.jsonl").read_text().splitlines()] == [
        f"wecom:{KEY}"
    ] * 2


def test_an_unknown_provider_is_refused() -> None:
    with pytest.raises(ChannelError, match=r"'weibo'.*spool, wecom"):
        Social(ChannelSettings(provider="weibo"))
