"""Opt-outs and never-contact."""

import pytest

from broadcaster import audit, suppression
from broadcaster.installation import Installation
from broadcaster.model import BadInput, Category
from broadcaster.store.schema import recipient

NUMBER = "tel:+8613844112119"


def test_an_opt_out_from_promotions_does_not_silence_an_emergency(inst: Installation) -> None:
    silenced = {
        class_: {category.value for category in Category if class_ in suppression.classes_for(category)}
        for class_ in suppression.CLASSES
    }
    assert silenced == {
        "promotion": {"promotion"},
        "notice": {"notice"},
        "never": {"promotion", "notice", "emergency"},
    }
    suppression.suppress(inst, "a", NUMBER, "promotion", "reply: TD")
    assert [suppression.is_suppressed(inst, NUMBER, category) for category in ("promotion", "notice", "emergency")] == [
        True,
        False,
        False,
    ]


def test_silencing_twice_keeps_the_first_date_and_one_audit_entry(inst: Installation) -> None:
    assert suppression.suppress(inst, "a", NUMBER, "never", "a call")
    assert not suppression.suppress(inst, "b", NUMBER, "never", "a letter")
    assert [row["source"] for row in suppression.suppressed(inst)] == ["a call"]
    assert audit.verify(inst)["entries"] == 1


def test_lifting_lets_the_address_hear_again(inst: Installation) -> None:
    suppression.suppress(inst, "a", NUMBER, "notice", "a call")
    suppression.suppress(inst, "a", NUMBER, "never", "a call")
    assert suppression.lift(inst, "a", NUMBER, "never", "asked for it")
    assert not suppression.lift(inst, "a", NUMBER, "never", "asked for it")
    assert suppression.is_suppressed(inst, NUMBER, "notice")
    assert not suppression.is_suppressed(inst, NUMBER, "emergency")


@pytest.mark.parametrize(
    ("address", "class_", "source", "code"),
    [
        ("13844112119", "never", "a call", "address-scheme"),
        ("tel:", "never", "a call", "address-scheme"),
        (NUMBER, "sometimes", "a call", "suppression-class"),
        (NUMBER, "never", " ", "suppression-source"),
    ],
)
def test_a_wrong_suppression_is_refused_with_a_code(
    inst: Installation, address: str, class_: str, source: str, code: str
) -> None:
    with pytest.raises(BadInput) as refused:
        suppression.suppress(inst, "a", address, class_, source)
    assert refused.value.code == code


def _phone(inst: Installation, address: str) -> None:
    with inst.store.write() as conn:
        conn.execute(
            recipient.insert().values(
                channel="sms",
                address_sealed=inst.keys.seal_address(address),
                address_key=inst.keys.address_key(address),
                place="220000000000",
                languages="zh-CN",
                created_at=0,
            )
        )


def test_no_number_is_shown_or_audited_in_clear(inst: Installation) -> None:
    _phone(inst, NUMBER)
    suppression.suppress(inst, "a", NUMBER, "never", "called from 13844112119")
    suppression.lift(inst, "a", NUMBER, "never", "wrote from 13844112119")
    suppression.suppress(inst, "a", NUMBER, "never", "called from 13844112119")
    shown = repr(suppression.suppressed(inst)) + repr(audit.entries(inst))
    assert "138****2119" in shown
    assert "4411" not in shown


def test_the_list_is_read_page_by_page(inst: Installation) -> None:
    for n in range(5):
        suppression.suppress(inst, "a", f"tel:+861384411{n:04}", "never", str(n))
    seen, after = [], ""
    while page := suppression.suppressed(inst, 2, after):
        seen += [row["source"] for row in page]
        after = page[-1]["after"]
    assert sorted(seen) == ["0", "1", "2", "3", "4"]
    with pytest.raises(BadInput):
        suppression.suppressed(inst, 2, "no hex")
