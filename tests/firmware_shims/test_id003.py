"""Every code of the list; the dialogues are in the transcript, the lookalikes in test_tap."""

from __future__ import annotations

import pytest

from tests.firmware_shims.test_ccnet import said
from tillwatch.firmware_shims import acceptors, id003
from tillwatch.firmware_shims.tap import is_request


def status(*body: int) -> dict[tuple[str, str], object]:
    return said(id003.SHIM, id003.STATUS, b"\xfc", *body)


@pytest.mark.parametrize(("code", "meaning"), id003.MEANINGS.items())
def test_each_code(code, meaning):
    found = status(code)
    assert found["", "acceptor.state"] == meaning.state
    assert found["", "acceptor.fault"] == meaning.fault
    assert found.get(("cashbox", "acceptor.cashbox"), "") == meaning.cashbox
    assert found["", "part.fitness"] == acceptors.fitness(meaning.fault)


@pytest.mark.parametrize(("code", "fault"), [*id003.FAILURES.items(), (0xC0, "failed")])
def test_each_failure(code, fault):
    assert status(id003.FAILURE, code)["", "acceptor.fault"] == fault


@pytest.mark.parametrize(("code", "reason"), [*id003.REASONS.items(), (0x7A, "unknown")])
def test_each_reason(code, reason):
    assert status(id003.REJECTING, code)["", "acceptor.reason"] == reason


def test_a_ticket_in_escrow_is_a_note_in_escrow_and_its_code_is_not_kept():
    found = status(0x13, 0x6F, *b"123456789012345678")
    assert found["", "acceptor.state"] == "escrow"
    assert not any("1234" in str(value) for value in found.values())


def test_what_is_only_an_order_asks_for_nothing():
    reset = bytes.fromhex("fc05402b15")
    assert [query for query in id003.SHIM.queries if is_request(query, reset)] == []
