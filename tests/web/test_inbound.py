"""The door for what phones answer: who may come in, and what becomes of it."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text
from twilio.request_validator import RequestValidator

from broadcaster.deliver import callbacks
from broadcaster.installation import Installation
from broadcaster.web.app import create_app

PUBLIC = "https://alerts.example.org"
ACCOUNT = "AC" + "0" * 32
TOKEN = "secret-of-the-account"
TWILIO = "/callbacks/sms/twilio/inbound"


@pytest.fixture
def doors(inst: Installation) -> Iterator[Any]:
    settings = inst.settings.model_copy(
        update={
            "public_url": PUBLIC,
            "kannel_user": "alert",
            "kannel_password": type(inst.settings.kannel_password)("pw"),
            "twilio_account": ACCOUNT,
            "twilio_token": type(inst.settings.twilio_token)(TOKEN),
            "twilio_sender": "+15005550006",
        }
    )
    used = Installation(settings, inst.store, inst.keys)
    with TestClient(create_app(used), base_url="http://127.0.0.1:8000") as client:
        yield SimpleNamespace(inst=used, client=client)


def _replies(inst: Installation) -> list[tuple[str, str, str]]:
    with inst.store.read() as conn:
        rows = conn.execute(text("SELECT provider, kind, text FROM reply ORDER BY id")).all()
        return [tuple(row) for row in rows]


def _kannel(inst: Installation, words: str, **more: str) -> str:
    told = {"from": "13900000001", "to": "12379", "text": words, "charset": "UTF-8", "coding": "2", "id": "m1", **more}
    return callbacks.inbound_path(inst.keys, "kannel") + "".join(f"&{k}={quote(v)}" for k, v in told.items())


def _twilio(form: dict[str, str]) -> dict[str, str]:
    return {"X-Twilio-Signature": RequestValidator(TOKEN).compute_signature(PUBLIC + TWILIO, form)}


def test_a_reply_over_kannel_is_kept_once_and_answered_with_nothing(doors: Any) -> None:
    for _ in range(2):
        answer = doors.client.get(_kannel(doors.inst, "退订"))
        assert (answer.status_code, answer.content) == (200, b"")
    assert _replies(doors.inst) == [("kannel", "opt-out", "退订")]


def test_a_reply_over_twilio_must_be_signed(doors: Any) -> None:
    form = {"MessageSid": "SM" + "1" * 32, "From": "+8613900000001", "Body": "三楼起火", "AccountSid": ACCOUNT, "To": "+15005550006"}  # fmt: skip
    assert doors.client.post(TWILIO, data=form).status_code == 403
    assert doors.client.post(TWILIO, data=form | {"Body": "x"}, headers=_twilio(form)).status_code == 403
    assert _replies(doors.inst) == []
    assert doors.client.post(TWILIO, data=form, headers=_twilio(form)).status_code == 204
    assert _replies(doors.inst) == [("twilio", "other", "三楼起火")]


@pytest.mark.parametrize("key", ["", "?key=", "?key=" + "0" * 32])
def test_without_our_key_there_is_no_door_for_a_provider_that_signs_nothing(doors: Any, key: str) -> None:
    answer = doors.client.get(f"/callbacks/sms/kannel/inbound{key}")
    assert answer.status_code == 404
    assert _replies(doors.inst) == []


def test_the_key_of_one_provider_opens_no_other_door(doors: Any) -> None:
    key = callbacks.signature(doors.inst.keys, "kannel", callbacks.INBOUND)
    assert doors.client.get(f"/callbacks/sms/mas/inbound?key={key}").status_code in {404, 503}
    assert doors.client.get(f"/callbacks/sms/http/inbound?key={key}").status_code in {404, 503}
    assert doors.client.get(f"/callbacks/sms/pigeon/inbound?key={key}").status_code == 404


def test_a_reply_that_cannot_be_read_is_answered_and_leaves_nothing(doors: Any) -> None:
    assert doors.client.get(_kannel(doors.inst, "x", charset="no-such-charset")).status_code == 200
    assert doors.client.get(callbacks.inbound_path(doors.inst.keys, "kannel")).status_code == 200
    assert _replies(doors.inst) == []
