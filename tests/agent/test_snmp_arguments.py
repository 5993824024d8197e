from __future__ import annotations

import pytest

from tillwatch.agent.snmp_arguments import split_address


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("ups1", ("ups1", 161)),
        ("10.0.0.5:1161", ("10.0.0.5", 1161)),
        ("[fe80::1]:1161", ("fe80::1", 1161)),
        ("[fe80::1]", ("fe80::1", 161)),
        ("fe80::1", ("fe80::1", 161)),
    ],
)
def test_addresses(address: str, expected: tuple[str, int]) -> None:
    assert split_address(address) == expected
