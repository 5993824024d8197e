"""People's numbers and addresses as they are shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillwatch.collector.contacts import masked, without


@pytest.mark.parametrize(
    ("contact", "shown"),
    [
        ("+86 139 1234 0101", "+86 139 **** 0101"),
        ("+8613912340101", "+86139****0101"),
        ("13912340101", "139****0101"),
        ("021-6278 1234", "021-**** 1234"),
        ("6021", "***1"),
        ("li.wei@bank.example", "l****@bank.example"),
        ("liwei", "l****"),
        ("", ""),
    ],
)
def test_enough_to_know_whose_it_is(contact: str, shown: str) -> None:
    assert masked(contact) == shown


@given(st.from_regex(r"\+?[0-9][0-9 -]{3,20}", fullmatch=True))
def test_of_no_number_more_than_the_last_four_and_what_is_before_four_others(number: str) -> None:
    shown = masked(number)
    assert len(shown) == len(number)
    digits = [(a, b) for a, b in zip(number, shown, strict=True) if a.isdigit()]
    hidden = [k for k, (_, b) in enumerate(digits) if b == "*"]
    assert hidden == list(range(hidden[0], hidden[0] + len(hidden)))
    assert len(hidden) >= min(4, len(digits) - len(digits) // 4)
    assert len(digits) - 1 - hidden[-1] <= 4


def test_an_answer_that_repeats_it() -> None:
    assert without("550 no such user li@bank.example", "li@bank.example") == "550 no such user l****@bank.example"
    assert without("201", "") == "201"
