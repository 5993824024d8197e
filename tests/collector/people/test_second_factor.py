"""The second factor: codes of the app and recovery codes, each taken once."""

from __future__ import annotations

import base64

import pyotp
import pytest

from tillwatch.collector.people import second_factor
from tillwatch.collector.people.second_factor import NANO, SecondFactor, take

SECRET = base64.b32encode(b"12345678901234567890").decode()
"""Of the test vectors of RFC 6238, appendix B."""
NOW = 1_790_000_010 * NANO


@pytest.mark.parametrize(("at", "code"), [(59, "287082"), (1_111_111_109, "081804"), (20_000_000_000, "353130")])
def test_codes_are_those_of_the_standard(at, code):
    assert take(SecondFactor(SECRET), code, at * NANO).step == at // 30


def code_at(now: int) -> str:
    return pyotp.TOTP(SECRET).at(now // NANO)


def test_a_code_is_taken_once_and_none_before_it_afterwards():
    after = take(SecondFactor(SECRET), code_at(NOW), NOW)
    assert take(after, code_at(NOW), NOW) is None
    assert take(after, code_at(NOW - 30 * NANO), NOW) is None
    assert take(after, code_at(NOW + 30 * NANO), NOW) is not None


def test_a_clock_may_be_half_a_minute_off_and_no_more():
    for drift, taken in ((-60, False), (-30, True), (30, True), (60, False)):
        assert (take(SecondFactor(SECRET), code_at(NOW + drift * NANO), NOW) is not None) is taken


def test_recovery_codes_are_taken_once_however_they_are_typed():
    shown, kept = second_factor.new_codes()
    assert len(set(shown)) == second_factor.RECOVERY_CODES
    factor = SecondFactor(SECRET, codes=kept)
    after = take(factor, shown[3].lower().replace("-", " "), NOW)
    assert len(after.codes) == second_factor.RECOVERY_CODES - 1
    assert take(after, shown[3], NOW) is None
    assert take(after, shown[4], NOW) is not None
    assert all(code.encode() not in b"".join(kept) for code in shown)


@pytest.mark.parametrize("code", ["", "12345", "1234567", "abcdef", "١٢٣٤٥٦", "x" * 1000])
def test_anything_else_is_wrong(code):
    assert take(SecondFactor(SECRET), code, NOW) is None


def test_the_picture_is_drawn_and_holds_no_script():
    drawn = second_factor.picture(second_factor.address(SECRET, "li.wei", "tillwatch"))
    assert drawn.startswith("<svg")
    assert "script" not in drawn


def test_it_is_kept_as_it_was_and_its_secret_is_in_no_log():
    factor = SecondFactor(SECRET, 7, (b"x" * 32,))
    assert SecondFactor.of(factor.packed()) == factor
    assert SECRET not in repr(factor)
