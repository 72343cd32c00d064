"""The signature, the way out, and which provider carries the messages."""

from collections.abc import Callable
from pathlib import Path

import pytest

from channels.base import ChannelError, ChannelSettings, Message
from channels.sms import OPT_OUT, SignatureError, Sms, decorate, opt_out_tail


def test_the_signature_stands_once_at_the_front() -> None:
    assert decorate("请检查消防设施。", "吉林消防") == "【吉林消防】请检查消防设施。"
    assert decorate("【吉林消防】 请检查消防设施。", "【吉林消防】") == "【吉林消防】请检查消防设施。"


def test_a_title_in_brackets_is_no_signature() -> None:
    assert decorate("【火险红色预警】请勿用火", "吉林消防") == "【吉林消防】【火险红色预警】请勿用火"


@pytest.mark.parametrize(
    ("text", "signature", "code"),
    [
        ("请检查【吉林消防】", "吉林消防", "signature-twice"),
        ("【吉林消防】【吉林消防】请检查", "吉林消防", "signature-twice"),
        ("【吉林消防】", "吉林消防", "signature-only"),
        ("  ", "吉林消防", "signature-only"),
        ("请检查", " 【】", "signature-empty"),
    ],
)
def test_a_text_that_cannot_be_signed_is_refused(text: str, signature: str, code: str) -> None:
    with pytest.raises(SignatureError) as caught:
        decorate(text, signature, "")
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("text", "language", "end"),
    [
        ("欢迎参观。", "zh-CN", "参观。拒收请回复R"),
        ("欢迎参观", "zh-CN", "参观 拒收请回复R"),
        ("방문하세요.", "ko", "방문하세요. 수신거부는 R 회신"),
        ("Come and see.", "en", "Come and see. Reply R to stop"),
    ],
)
def test_a_promotion_names_the_way_out_once(text: str, language: str, end: str) -> None:
    tail = opt_out_tail("promotion", language)
    once = decorate(text, "消防", tail)
    assert once.startswith("【消防】")
    assert once.endswith(end)
    assert decorate(once, "消防", tail) == once


@pytest.mark.parametrize("category", ["emergency", "notice"])
def test_no_other_category_has_a_way_out(category: str) -> None:
    assert opt_out_tail(category, "zh-CN") == ""


def test_every_language_of_a_wording_names_the_way_out() -> None:
    assert opt_out_tail("promotion", "zh-CN+ko") == f"{OPT_OUT['zh-CN']} {OPT_OUT['ko']}"


def test_an_unknown_provider_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ChannelError, match=r"'pigeon'.*http, kannel, mas, spool, twilio"):
        Sms(ChannelSettings(provider="pigeon"))


def test_the_channel_hands_its_messages_to_the_provider(tmp_path: Path, messages: Callable[..., list[Message]]) -> None:
    channel = Sms(ChannelSettings(provider="spool", spool=str(tmp_path / "out.jsonl")))
    answers = channel.send(messages(3))
    channel.close()
    assert [a.word for a in answers] == ["accepted"] * 3
    assert (tmp_path / "out.jsonl").read_text().count("\n") == 3
