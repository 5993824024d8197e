"""Every code of the maker's list; the dialogues are in the transcript."""

from __future__ import annotations

import pytest

from tillwatch.firmware_shims import acceptors, ccnet, id003
from tillwatch.firmware_shims.base import Query, Shim
from tillwatch.firmware_shims.checksums import CHECKSUMS
from tillwatch.firmware_shims.engine import decode


def said(shim: Shim, query: Query, lead: bytes, *body: int) -> dict[tuple[str, str], object]:
    frame = lead + bytes([len(lead) + len(body) + 3, *body])
    assert shim.check is not None
    frame += CHECKSUMS[shim.check.name][1](frame).to_bytes(2, "little")
    return {(each.part, each.signal): each.value for each in decode(shim, query, frame, {})}


def poll(*body: int) -> dict[tuple[str, str], object]:
    return said(ccnet.SHIM, ccnet.POLL, b"\x02\x03", *body)


@pytest.mark.parametrize(("code", "meaning"), ccnet.MEANINGS.items())
def test_each_code(code, meaning):
    found = poll(code)
    assert found["", "acceptor.state"] == meaning.state
    assert found["", "acceptor.fault"] == meaning.fault
    assert found.get(("cashbox", "acceptor.cashbox"), "") == meaning.cashbox
    assert found["", "part.fitness"] == acceptors.fitness(meaning.fault)


@pytest.mark.parametrize(("code", "fault"), ccnet.FAILURES.items())
def test_each_failure(code, fault):
    found = poll(ccnet.FAILURE, code)
    assert (found["", "acceptor.fault"], found["", "part.fitness"]) == (fault, "failed")


@pytest.mark.parametrize(("code", "reason"), [*ccnet.REASONS.items(), (0x6F, "unknown")])
def test_each_reason(code, reason):
    found = poll(ccnet.REJECTING, code)
    assert found["", "acceptor.reason"] == reason
    assert found["", "part.fitness"] == "ok"


@pytest.mark.parametrize("code", [0x16, 0x2F, 0x48, 0x8F])
def test_a_code_that_is_not_in_the_list_is_unknown(code):
    found = poll(code)
    assert {value for (part, _), value in found.items() if not part} == {"unknown"}


def test_of_two_shims_with_the_same_words_all_are_in_the_catalogue():
    for table in (ccnet.MEANINGS, id003.MEANINGS):
        for meaning in table.values():
            assert meaning.state in acceptors.STATES
            assert meaning.fault in acceptors.FAULTS
            assert meaning.cashbox in ("", *acceptors.BOXES)
    for failures in (ccnet.FAILURES, id003.FAILURES):
        assert set(failures.values()) <= set(acceptors.FAULTS)
    for reasons in (ccnet.REASONS, id003.REASONS):
        assert set(reasons.values()) <= set(acceptors.REASONS)
