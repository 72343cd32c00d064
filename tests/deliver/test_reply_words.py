"""Words of refusal, of confirmation and of alarm, and texts that only look like them."""

import pytest

from broadcaster.deliver.reply_words import CONFIRMATION, OPT_OUT, Kind, is_urgent, kind_of


@pytest.mark.parametrize(
    "text",
    [*sorted(OPT_OUT), "TD", "ｔｄ", " T ", "R。", "退订！", "【退订】", "退订，谢谢", "Stop.", "STOP\n", "수신거부", "수신거부 바랍니다", "T\u200b"],
)  # fmt: skip
def test_a_word_of_refusal_alone_is_an_opt_out(text: str) -> None:
    assert kind_of(text) is Kind.OPT_OUT


@pytest.mark.parametrize("text", [*sorted(CONFIRMATION), "１", "1.", "收到！", "收到。", "확인했습니다.", "OK!"])
def test_a_word_of_receipt_alone_is_a_confirmation(text: str) -> None:
    assert kind_of(text) is Kind.CONFIRMATION


@pytest.mark.parametrize(
    "text",
    ["", "  ", "12", "11", "不要退订", "怎么退订", "T恤着火", "1 人受伤", "收到了但是没有灭火器", "please stop the fire", "회신 R 이 무슨 뜻입니까", "再见"],
)  # fmt: skip
def test_whatever_else_is_said_is_read_by_a_person(text: str) -> None:
    assert kind_of(text) is Kind.OTHER


@pytest.mark.parametrize(
    "text",
    ["商场着火了", "三楼起火", "有浓烟", "有人被困", "불이야", "불났어요", "주방에 불", "연기가 납니다", "화재 발생", "FIRE at the mall", "smoke!", "ｆｉｒｅ", "please help"],
)  # fmt: skip
def test_words_of_fire_are_urgent(text: str) -> None:
    assert is_urgent(text)


@pytest.mark.parametrize(
    "text", ["불편합니다", "불참합니다", "불가능", "消防检查几点", "the firewall", "helpful", "谢谢"]
)
def test_harmless_words_are_not(text: str) -> None:
    assert not is_urgent(text)
