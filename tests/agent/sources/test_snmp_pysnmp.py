"""What pysnmp needs beside the contract that test_snmp_client.py holds both libraries to."""

import pytest

from tillwatch.agent.sources import snmp_pysnmp
from tillwatch.agent.sources.snmp_client import SYS_UPTIME
from tillwatch.agent.sources.snmp_pysnmp import PysnmpClient, local_address


@pytest.mark.parametrize(
    ("host", "platform", "bound"),
    [
        ("192.0.2.1", "win32", ("0.0.0.0", 0)),
        ("ups.branch.example", "win32", ("0.0.0.0", 0)),
        ("2001:db8::1", "win32", ("::", 0)),
        ("192.0.2.1", "linux", None),
    ],
)
def test_the_socket_is_bound_before_it_is_read_where_it_must_be(host, platform, bound):
    """https://github.com/python/cpython/issues/119711: Windows' loop reads once from a socket that is not bound, and never again."""
    assert local_address(host, platform) == bound


async def test_a_bound_socket_is_answered(snmpd, monkeypatch):
    monkeypatch.setattr(snmp_pysnmp, "local_address", lambda host, _: local_address(host, "win32"))
    client = PysnmpClient(snmpd.target(version="2c"))
    try:
        assert SYS_UPTIME in await client.get([SYS_UPTIME])
        assert client._transport.iface == ("0.0.0.0", 0)
    finally:
        await client.close()
