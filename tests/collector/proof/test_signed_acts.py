"""A signature covers every fact of an act that changes figures, whatever their order, and nothing else is signed."""

from __future__ import annotations

from typing import Any

import pytest

from tillwatch.agent.wire import SigningKey, VerifyKey
from tillwatch.collector.proof.signed_acts import holds, sealed

KEY = SigningKey(bytes(32))
PUBLIC = VerifyKey(KEY.public)
FACTS: dict[str, Any] = {
    "action": "correct",
    "terminal": "atm-1",
    "from": 1,
    "to": 2,
    "counts_as": "up",
    "actor": "chen",
}


def test_what_is_sealed_holds_in_any_order() -> None:
    signed = sealed(KEY, FACTS)
    assert holds(PUBLIC, signed)
    assert holds(PUBLIC, dict(reversed(signed.items())))
    assert "signature" not in FACTS


@pytest.mark.parametrize("name", sorted({*FACTS, "signature"} - {"action"}))
def test_no_fact_can_be_taken_away_or_changed(name: str) -> None:
    signed = sealed(KEY, FACTS)
    assert not holds(PUBLIC, {key: value for key, value in signed.items() if key != name})
    assert not holds(PUBLIC, {**signed, name: bytes(64)})


def test_nothing_can_be_added() -> None:
    assert not holds(PUBLIC, {**sealed(KEY, FACTS), "party": "cash"})


def test_other_acts_need_none() -> None:
    facts = {"action": "acknowledge", "alarm": 1}
    assert sealed(KEY, facts) == facts
    assert holds(PUBLIC, facts)
