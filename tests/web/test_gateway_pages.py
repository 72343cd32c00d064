"""The pages of the SMS gateway: who sees what, what is asked before it is done, and what is written into the audit."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from broadcaster import audit
from broadcaster.deliver import link_test, replies
from broadcaster.installation import Installation
from broadcaster.model import Outcome
from broadcaster.store import providers
from broadcaster.store.clock import now_ms
from broadcaster.store.counters import counting
from broadcaster.store.driver import run
from broadcaster.web.console import gateway
from channels.base import Answer, AnswerWord, ChannelSettings, PhoneReply
from channels.sms import Sms

SignIn = Callable[[str], Any]


@pytest.fixture
def lost(town: Any, draft: int, calls: Callable[..., Any]) -> int:
    """A live campaign of which two SMS are in doubt."""
    calls("wang", "POST", f"/campaigns/{draft}/submit")
    with town.inst.store.write() as conn:
        now = now_ms(conn)
        run(
            conn, "UPDATE campaign SET state = 'running', approved_at = ?, started_at = ? WHERE id = ?", now, now, draft
        )
        with counting(conn, draft, "test") as turn:
            rows = run(
                conn,
                "UPDATE delivery SET outcome = 'unknown', provider = 'spool', reason = 'timeout', changed_at = ? "
                "WHERE campaign_id = ? AND n IN (SELECT n FROM delivery WHERE campaign_id = ? AND channel = 'sms' "
                "ORDER BY n LIMIT 2) RETURNING n, cut_id",
                *(now, draft, draft),
            ).all()
            for n, cut in rows:
                turn.tally.move(cut, Outcome.WAITING, Outcome.UNKNOWN)
                run(
                    conn,
                    "INSERT INTO attempt (campaign_id, n, attempt, at, answer, provider, reason) "
                    "VALUES (?, ?, 1, ?, 'uncertain', 'spool', 'timeout')",
                    *(draft, n, now),
                )
    return draft


def _unknown(inst: Installation, campaign: int) -> list[str | None]:
    with inst.store.read() as conn:
        rows = conn.execute(
            text("SELECT reason FROM delivery WHERE campaign_id = :c AND outcome = 'unknown'"), {"c": campaign}
        )
        return [row[0] for row in rows]


def _actions(inst: Installation) -> list[str]:
    return [each["action"] for each in audit.entries(inst, 50)]


def _settings(inst: Installation, **changed: Any) -> None:
    object.__setattr__(inst, "settings", inst.settings.model_copy(update=changed))


@pytest.mark.parametrize(
    ("login", "status"), [("jin", 200), ("zhao", 200), ("sun", 200), ("wang", 403), ("li", 403), ("nobody", 403)]
)
def test_who_may_see_it(signed_in: SignIn, login: str, status: int) -> None:
    browser = signed_in(login)
    page = browser.see("/gateway", status)
    assert ('href="/gateway"' in page) == (status == 200)


def test_without_a_provider_it_says_that_nobody_gets_anything(signed_in: SignIn) -> None:
    assert "no provider is connected" in signed_in("sun").see("/gateway?lang=en").lower()


def test_troubles_stand_first_with_what_to_do(signed_in: SignIn, town: Any) -> None:
    _settings(town.inst, sms_provider="kannel", kannel_user="u", kannel_password=SecretStr("p"))
    with town.inst.store.write() as conn:
        providers.mark(conn, ("kannel", "notice"), ("stopped", "auth", "<b>denied</b>"), now_ms(conn))
    page = signed_in("jin").see("/gateway?lang=en")
    assert "Kannel reaches nobody and is stopped" in page
    assert "go out by themselves once it works" in page
    assert "&lt;b&gt;denied&lt;/b&gt;" in page and "<b>denied" not in page
    assert page.index("reaches nobody") < page.index("As it stands")


def test_nothing_in_the_part_that_is_replaced_takes_the_focus(signed_in: SignIn, lost: int, town: Any) -> None:
    replies.take(town.inst, "kannel", PhoneReply("tel:+8617400000001", "什么时候检查？", "r1"))
    page = signed_in("sun").see("/gateway")
    part = page[page.index("data-refresh") : page.index('aria-labelledby="replies"')]
    assert re.findall(r"<(?:a|button|input|select|summary)\b|tabindex", part) == []
    assert "<button" in page


def test_sending_again_is_asked_first_on_a_page_that_says_how_many_get_it_twice(
    signed_in: SignIn, lost: int, town: Any
) -> None:
    approver = signed_in("li")
    assert 'href="/gateway/in-doubt"' in approver.see("/")
    assert f"/gateway/in-doubt/{lost}/send-again" in approver.see("/gateway/in-doubt")
    page = approver.see(f"/gateway/in-doubt/{lost}/send-again?lang=en")
    assert "up to 2" in page
    assert _unknown(town.inst, lost) == ["timeout", "timeout"]
    answer = approver.send(f"/gateway/in-doubt/{lost}/send-again")
    assert (answer.status_code, answer.headers["location"]) == (303, "/gateway/in-doubt")
    assert _unknown(town.inst, lost) == []
    assert _actions(town.inst)[0] == "doubt.send-again"
    assert "Nothing is in doubt any more" in approver.see(f"/gateway/in-doubt/{lost}/send-again")


def test_what_is_left_is_off_the_list(signed_in: SignIn, lost: int, town: Any) -> None:
    admin = signed_in("sun")
    admin.see("/gateway")
    assert admin.send(f"/gateway/in-doubt/{lost}/leave").status_code == 303
    assert _unknown(town.inst, lost) == ["left-in-doubt"] * 2
    assert "/send-again" not in admin.see("/gateway")


def test_of_a_cancelled_campaign_nothing_is_sent_again_and_the_page_says_why(
    signed_in: SignIn, lost: int, calls: Callable[..., Any]
) -> None:
    calls("sun", "POST", f"/campaigns/{lost}/cancel", json={"reason": "wrong"})
    approver = signed_in("li")
    approver.see("/gateway/in-doubt?lang=en")
    answer = approver.send(f"/gateway/in-doubt/{lost}/send-again")
    assert answer.status_code == 403
    assert "This campaign was cancelled or its time is over" in answer.text


def test_the_operator_sees_doubt_and_decides_nothing(signed_in: SignIn, lost: int, town: Any) -> None:
    operator = signed_in("jin")
    page = operator.see("/gateway?lang=en")
    assert "An approver decides" in page and "/send-again" not in page
    operator.see(f"/gateway/in-doubt/{lost}/send-again", 403)
    for act in ("send-again", "leave"):
        assert operator.send(f"/gateway/in-doubt/{lost}/{act}").status_code == 403
    assert _unknown(town.inst, lost) == ["timeout", "timeout"]


def test_the_urgent_reply_is_on_top_and_its_number_is_shown_by_a_form_that_is_audited(
    signed_in: SignIn, town: Any
) -> None:
    for n, said in enumerate(("<i>什么时候检查？</i>", "着火了", "TD")):
        replies.take(town.inst, "kannel", PhoneReply(f"tel:+861740000000{n + 1}", said, f"r{n}"))
    operator = signed_in("jin")
    page = operator.see("/gateway?lang=en")
    assert page.index("着火了") < page.index("&lt;i&gt;什么时候检查") and "<i>什么" not in page
    assert "May be a fire" in page and "17400000002" not in page
    fire = re.search(r'href="(/gateway/replies/\d+)">着火了', page)
    assert fire
    assert "17400000002" not in operator.see(fire[1])
    assert "reply.number" not in _actions(town.inst)
    shown = operator.send(f"{fire[1]}/number")
    assert "+8617400000002" in shown.text and shown.headers["cache-control"] == "no-store"
    assert _actions(town.inst)[0] == "reply.number"
    assert operator.send(f"{fire[1]}/seen").headers["location"] == "/gateway/replies"
    assert "着火了" not in operator.see("/gateway")
    assert "着火了" in operator.see("/gateway/replies?kind=other")
    assert "TD" in operator.see("/gateway/replies?kind=opt-out")


def test_a_manager_reads_replies_and_gets_no_number(signed_in: SignIn, town: Any) -> None:
    replies.take(town.inst, "kannel", PhoneReply("tel:+8617400000001", "着火了", "r1"))
    manager = signed_in("zhao")
    page = manager.see("/gateway/replies/1")
    assert "着火了" in page and "/number" not in page
    for act in ("number", "seen"):
        assert manager.send("/gateway/replies/1/" + act).status_code == 403
    signed_in("wang").see("/gateway/replies", 403)


def test_a_reply_of_another_place_is_none(signed_in: SignIn, town: Any) -> None:
    replies.take(town.inst, "kannel", PhoneReply("tel:+8617400000000", "불이야", "r1"))  # Yanji; jin works in Nanguan
    signed_in("jin").see("/gateway/replies/1", 404)
    assert "불이야" in signed_in("sun").see("/gateway/replies/1")


def test_a_link_test_tells_the_answer_and_looks_for_the_receipt_later(
    signed_in: SignIn, town: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway, "RECEIPT_WAIT_S", 0.0)
    _settings(
        town.inst,
        sms_provider="kannel",
        kannel_user="u",
        kannel_password=SecretStr("p"),
        public_url="http://127.0.0.1:8000",
    )
    carried: list[Any] = []

    class Carrier:
        receipt_status = 200

        def send(self, messages: Any) -> list[Answer]:
            carried.extend(messages)
            return [Answer(AnswerWord.ACCEPTED, ref="S1")]

        def read_receipts(self, callback: Any) -> Any:
            raise ValueError

        def close(self) -> None:
            pass

    def outlet(*_: Any) -> Sms:
        channel = Sms(ChannelSettings(provider="spool", spool="unused"))
        channel.settings, channel.provider = ChannelSettings(provider="kannel"), Carrier()
        return channel

    monkeypatch.setattr(link_test, "outlet", outlet)
    operator = signed_in("jin")
    operator.see("/gateway?lang=en")
    page = operator.send("/gateway/test", {"to": "174 0000 0001", "provider": "kannel"})
    assert page.status_code == 200 and "Kannel has taken it" in page.text and "No receipt yet" in page.text
    assert carried[0].to == "tel:+8617400000001"
    again = re.search(r'href="(/gateway/test/[^"]+)"', page.text)
    assert again and "No receipt yet" in operator.see(again[1])
    door = carried[0].callback.removeprefix("http://127.0.0.1:8000")
    assert operator.client.get(door, params={"type": "1", "ref": "S1", "answer": "", "at": "0"}).status_code == 200
    assert "delivered" in operator.see(again[1])
    assert "gateway.test" in _actions(town.inst)


def test_what_is_wrong_with_a_link_test_is_told_on_the_page(signed_in: SignIn, town: Any) -> None:
    operator = signed_in("jin")
    operator.see("/gateway?lang=en")
    assert operator.send("/gateway/test", {"to": "12"}).status_code == 422
    assert operator.send("/gateway/test", {"to": "17400000001", "provider": "mas"}).status_code == 422
    written = operator.send("/gateway/test", {"to": "17400000001"})
    assert "it went to nobody" in written.text
    assert (
        operator.client.post("/gateway/test", data={"to": "17400000001"}).status_code == 403
    )  # without the form's token
    manager = signed_in("zhao")
    assert 'action="/gateway/test"' not in manager.see("/gateway")
    assert manager.send("/gateway/test", {"to": "17400000001"}).status_code == 403
    _settings(town.inst, sms_provider="kannel", kannel_user="")
    assert "settings do not fit" in operator.send("/gateway/test", {"to": "17400000001"}).text
