"""What terminals are called, and what an epoch is."""

from __future__ import annotations

import struct

import pytest

from tillwatch.agent.messages import MAX_TERMINAL, new_epoch, valid_terminal


@pytest.mark.parametrize(
    ("terminal", "valid"),
    [
        ("a", True),
        ("ATM-0417_b", True),
        ("-", True),
        ("a" * MAX_TERMINAL, True),
        ("a" * (MAX_TERMINAL + 1), False),
        ("", False),
        ("a.b", False),
        ("a/b", False),
        ("a+", False),
        ("#", False),
        ("a b", False),
        ("a\n", False),
        ("é", False),
        ("²", False),
    ],
)
def test_terminal_ids(terminal: str, valid: bool) -> None:
    assert valid_terminal(terminal) is valid


def test_an_epoch_is_its_time_and_chance() -> None:
    assert new_epoch(1_790_000_000_999_999_999, b"12345678") == struct.pack(">I", 1_790_000_000) + b"12345678"
