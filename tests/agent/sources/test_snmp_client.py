"""One contract for every SnmpClient: both libraries against a real snmpd in every version, and the replay of a recording where it applies."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from tests.agent.sources.conftest import ROWS, Responder, Snmpd, free_port
from tillwatch.agent.sources import SourceError
from tillwatch.agent.sources.snmp_client import FIRST_SIZE, REPETITIONS, SYS_UPTIME, SnmpClient, SnmpTarget, open_client
from tillwatch.agent.sources.snmp_gufo import GufoClient
from tillwatch.agent.sources.snmp_pysnmp import PysnmpClient
from tillwatch.agent.sources.snmp_values import Raw
from tillwatch.agent.sources.snmprec import Replay

Make = Callable[[SnmpTarget], SnmpClient]
CLIENTS: dict[str, Make] = {"gufo": GufoClient, "pysnmp": PysnmpClient}
FORMS: dict[str, dict[str, Any]] = {
    "v1": {"version": "1"},
    "v2c": {"version": "2c"},
    "v3-sha-aes": {"version": "3", "auth": "sha", "priv": "aes"},
    "v3-sha256-aes": {"version": "3", "auth": "sha256", "priv": "aes"},
    "v3-sha256-aes256": {"version": "3", "auth": "sha256", "priv": "aes256"},
}
TABLE = "1.3.6.1.4.1.99999.1.2"
CELLS: dict[str, Raw] = {f"{TABLE}.{n}": n * n for n in range(1, ROWS + 1)}
TYPES: dict[str, Raw] = {
    "1.3.6.1.2.1.33.1.1.1.0": b"Voltwerk",
    "1.3.6.1.2.1.33.1.1.2.0": b"\x00\xff\x80",
    "1.3.6.1.2.1.33.1.2.1.0": 2,
    "1.3.6.1.2.1.33.1.2.6.0": -213,
    "1.3.6.1.2.1.33.1.3.1.0": 4000000000,
    "1.3.6.1.2.1.33.1.6.1.0": 4294967295,
    "1.3.6.1.2.1.33.1.6.2.1.2.1": "1.3.6.1.2.1.33.1.6.3.2",
    "1.3.6.1.2.1.1.2.0": "1.3.6.1.4.1.99999.7",
    "1.3.6.1.2.1.4.20.1.1.127.0.0.1": "127.0.0.1",
}


@pytest.fixture(params=[*(f"{name} {form}" for name in CLIENTS for form in FORMS), "replay"])
async def client(request: pytest.FixtureRequest, snmpd: Snmpd) -> AsyncIterator[SnmpClient]:
    if request.param == "replay":
        made: SnmpClient = Replay({SYS_UPTIME: 1, **TYPES, **CELLS, "1.3.6.1.4.1.99999.1.20.1": 5})
    else:
        name, form = request.param.split()
        made = CLIENTS[name](snmpd.target(**FORMS[form]))
    yield made
    await made.close()
    await made.close()


async def test_values_come_with_their_types(client: SnmpClient) -> None:
    assert await client.get(list(TYPES)) == TYPES


async def test_what_the_device_does_not_have_is_absent(client: SnmpClient) -> None:
    absent = ["1.3.6.1.2.1.33.1.2.99.0", "1.3.6.1.4.1.99999.55.1.0"]
    assert await client.get([absent[0], "1.3.6.1.2.1.33.1.2.1.0", absent[1]]) == {"1.3.6.1.2.1.33.1.2.1.0": 2}
    assert await client.get(absent) == {}
    assert await client.get([]) == {}


async def test_a_long_get_is_split(client: SnmpClient) -> None:
    assert len(CELLS) > 2 * FIRST_SIZE
    assert await client.get([*CELLS, *CELLS]) == CELLS


async def test_a_walk_gives_all_beneath_and_no_more(client: SnmpClient) -> None:
    assert list((await client.walk(TABLE, 1000)).items()) == list(CELLS.items())
    assert await client.walk("1.3.6.1.4.1.99999.1.3", 1000) == {}
    assert await client.walk(f"{TABLE}.7", 1000) == {}


async def test_a_walk_stops_at_its_limit(client: SnmpClient) -> None:
    assert list(await client.walk(TABLE, 25)) == list(CELLS)[:25]
    assert await client.walk(TABLE, 1) == {f"{TABLE}.1": 1}


async def test_counter64_is_absent_or_whole(client: SnmpClient) -> None:
    """SNMPv1 has no 64 bits: there the profile's 32-bit column serves."""
    octets = await client.walk("1.3.6.1.2.1.31.1.1.1.6", 1)
    assert all(isinstance(value, int) and value >= 0 for value in octets.values())


@pytest.mark.parametrize("make", CLIENTS.values(), ids=CLIENTS)
async def test_a_dead_device_is_said_with_what_to_look_at(make: Make) -> None:
    client = make(SnmpTarget("127.0.0.1", free_port(), timeout=0.2))
    with pytest.raises(SourceError, match=r"127.0.0.1:\d+ \(SNMPv2c\): .*look at"):
        await client.get([SYS_UPTIME])
    with pytest.raises(SourceError, match="look at"):
        await client.walk("1.3.6.1.2.1.1", 10)
    await client.close()


@pytest.mark.parametrize("make", CLIENTS.values(), ids=CLIENTS)
async def test_a_wrong_community_is_silence_and_never_shown(make: Make, snmpd: Snmpd) -> None:
    client = make(snmpd.target(community="s3cret", timeout=0.2))
    with pytest.raises(SourceError, match=r"asked 2 times.*community") as caught:
        await client.get([SYS_UPTIME])
    assert "s3cret" not in str(caught.value)
    assert "s3cret" not in repr(snmpd.target(community="s3cret"))
    await client.close()


@pytest.mark.parametrize("make", CLIENTS.values(), ids=CLIENTS)
@pytest.mark.parametrize("wrong", [{"auth_key": "not-the-auth-key"}, {"user": "nobody"}])
async def test_a_refused_user_is_said(make: Make, snmpd: Snmpd, wrong: dict[str, str]) -> None:
    client = make(snmpd.target("3", timeout=0.5, **wrong))
    with pytest.raises(SourceError, match="refuses user"):
        await client.get([SYS_UPTIME])
    await client.close()


@pytest.mark.parametrize("make", CLIENTS.values(), ids=CLIENTS)
async def test_a_host_that_has_no_address_is_said(make: Make) -> None:
    client = make(SnmpTarget("no-such-host.invalid", timeout=0.2))
    with pytest.raises(SourceError, match=r"no-such-host.invalid:161 .*look at the host's name"):
        await client.get([SYS_UPTIME])
    await client.close()


@pytest.mark.parametrize("version", ["2c", "3"])
@pytest.mark.parametrize("make", CLIENTS.values(), ids=CLIENTS)
async def test_a_device_that_restarted_is_read_again(make: Make, snmpd: Snmpd, version: str) -> None:
    """An SNMPv3 engine counts its boots: keys and times of before are void. One poll may fail, the next must not."""
    client = make(snmpd.target(version, timeout=1.0))
    wanted = "1.3.6.1.2.1.33.1.2.1.0"
    assert await client.get([wanted]) == {wanted: 2}
    snmpd.stop()
    snmpd.start()
    try:
        assert await client.get([wanted]) == {wanted: 2}
    except SourceError:
        assert await client.get([wanted]) == {wanted: 2}
    await client.close()


@pytest.mark.parametrize("version", ["1", "2c"])
@pytest.mark.parametrize("make", CLIENTS.values(), ids=CLIENTS)
async def test_a_card_that_takes_few_variables_is_asked_for_fewer(
    make: Make, responder: Responder, version: str
) -> None:
    oids = [f"1.3.9.{n}.0" for n in range(40)]
    responder.values = {SYS_UPTIME: 1, **dict.fromkeys(oids, 7)}
    responder.most = 8
    client = make(SnmpTarget("127.0.0.1", responder.port, version, timeout=1.0))
    assert len(await client.get(oids)) == 40
    responder.counts.clear()
    assert len(await client.get(oids)) == 40
    assert max(responder.counts) <= responder.most  # it has learnt
    await client.close()


@pytest.mark.parametrize("version", ["1", "2c"])
@pytest.mark.parametrize("make", CLIENTS.values(), ids=CLIENTS)
async def test_what_a_device_takes_is_found_and_remembered(make: Make, responder: Responder, version: str) -> None:
    """Forty values are soon one request; a card's limit is found from both sides, to the last variable, and kept."""
    oids = [f"1.3.9.{n}.0" for n in range(40)]
    responder.values = {SYS_UPTIME: 1, **dict.fromkeys(oids, 7)}
    for most, requests in ((1000, [41]), (24, [24, 18]), (3, [3] * 20)):
        responder.most = most
        client = make(SnmpTarget("127.0.0.1", responder.port, version, timeout=1.0))
        for _ in range(10):
            assert len(await client.get(oids)) == 40
        responder.counts.clear()
        assert len(await client.get(oids)) == 40
        assert responder.counts == requests
        await client.close()


@pytest.mark.parametrize("make", CLIENTS.values(), ids=CLIENTS)
async def test_a_limit_that_is_gone_is_noticed(
    make: Make, responder: Responder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tillwatch.agent.sources.snmp_client.TRY_AGAIN", 30)
    oids = [f"1.3.9.{n}.0" for n in range(40)]
    responder.values = {SYS_UPTIME: 1, **dict.fromkeys(oids, 7)}
    responder.most = 9
    client = make(SnmpTarget("127.0.0.1", responder.port, timeout=1.0))
    await client.get(oids)
    responder.most = 1000
    for _ in range(10):
        await client.get(oids)
    responder.counts.clear()
    await client.get(oids)
    assert responder.counts == [41]
    await client.close()


@pytest.mark.parametrize("make", CLIENTS.values(), ids=CLIENTS)
async def test_a_card_that_is_silent_when_asked_too_much(make: Make, responder: Responder) -> None:
    """Its answer would not fit, or its fragments are lost on the way."""
    oids = [f"1.3.9.{n}.0" for n in range(40)]
    responder.values = {SYS_UPTIME: 1, **dict.fromkeys(oids, 7)}
    responder.most, responder.silent = 12, True
    client = make(SnmpTarget("127.0.0.1", responder.port, timeout=0.7, retries=0))
    assert (
        len(await client.get(oids[:3])) == 3
    )  # of a device that never answered anything, silence is not about the size
    for _ in range(3):
        assert len(await client.get(oids)) == 40
    responder.counts.clear()
    assert len(await client.get(oids)) == 40
    assert responder.counts == [12, 12, 12, 8]
    await client.close()


@pytest.mark.parametrize("make", CLIENTS.values(), ids=CLIENTS)
async def test_a_dead_device_is_not_asked_in_smaller_pieces(make: Make, responder: Responder) -> None:
    oids = [f"1.3.9.{n}.0" for n in range(40)]
    responder.values = {SYS_UPTIME: 1, **dict.fromkeys(oids, 7)}
    client = make(SnmpTarget("127.0.0.1", responder.port, timeout=0.7, retries=0))
    for asked in (1, 2):
        responder.most, responder.silent = 0, True
        responder.counts.clear()
        with pytest.raises(SourceError, match="no answer"):
            await client.get(oids)
        assert len(responder.counts) == asked  # once more with what it had taken before
        responder.most = 1000
        await client.get(oids[:20])
    await client.close()


@pytest.mark.parametrize("version", ["1", "2c"])
@pytest.mark.parametrize("make", CLIENTS.values(), ids=CLIENTS)
async def test_each_request_is_counted(make: Make, responder: Responder, version: str) -> None:
    oids = [f"1.3.9.{n}.0" for n in range(30)]
    responder.values = {SYS_UPTIME: 1, **dict.fromkeys(oids[1:], 7)}
    responder.most = 8
    client = make(SnmpTarget("127.0.0.1", responder.port, version, timeout=1.0))
    client.budget.begin()
    await client.get(oids)
    assert client.budget.requests == len(responder.counts)
    assert client.budget.varbinds == sum(responder.counts)
    await client.close()


@pytest.mark.parametrize("make", CLIENTS.values(), ids=CLIENTS)
async def test_a_walk_is_counted_by_what_it_brought(make: Make, snmpd: Snmpd) -> None:
    client = make(snmpd.target("2c"))
    client.budget.begin()
    assert await client.walk(TABLE, 1000) == CELLS
    assert client.budget.varbinds == ROWS
    assert ROWS / REPETITIONS <= client.budget.requests <= ROWS / REPETITIONS + 1
    await client.close()


@pytest.mark.parametrize("make", CLIENTS.values(), ids=CLIENTS)
async def test_one_missing_value_does_not_cost_a_v1_device_its_others(make: Make, responder: Responder) -> None:
    oids = [f"1.3.9.{n}.0" for n in range(20)]
    responder.values = {SYS_UPTIME: 1, **{oid: 7 for oid in oids if oid != "1.3.9.13.0"}}
    client = make(SnmpTarget("127.0.0.1", responder.port, "1", timeout=1.0))
    assert set(await client.get(oids)) == set(oids) - {"1.3.9.13.0"}
    await client.close()


@pytest.mark.parametrize("make", CLIENTS.values(), ids=CLIENTS)
async def test_a_late_answer_is_not_taken_for_the_next(make: Make, responder: Responder) -> None:
    responder.values = {SYS_UPTIME: 1, "1.3.9.1.0": 11, "1.3.9.2.0": 22}
    client = make(SnmpTarget("127.0.0.1", responder.port, timeout=0.3, retries=0))
    responder.mute = 1
    with pytest.raises(SourceError, match="no answer"):
        await client.get(["1.3.9.1.0"])
    assert await client.get(["1.3.9.2.0"]) == {"1.3.9.2.0": 22}
    await client.close()


@pytest.mark.parametrize("make", CLIENTS.values(), ids=CLIENTS)
async def test_a_lost_datagram_is_asked_again(make: Make, responder: Responder) -> None:
    responder.values = {SYS_UPTIME: 1, "1.3.9.1.0": 11}
    responder.mute = 1
    client = make(SnmpTarget("127.0.0.1", responder.port, timeout=0.3, retries=1))
    assert await client.get(["1.3.9.1.0"]) == {"1.3.9.1.0": 11}
    await client.close()


def test_the_fast_library_is_taken_where_it_is() -> None:
    assert isinstance(open_client(SnmpTarget("127.0.0.1")), GufoClient)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"host": ""}, "host is empty"),
        ({"port": 0}, "port 0 is not one"),
        ({"version": "2"}, "version '2' is not one of 1, 2c, 3"),
        ({"timeout": 0}, "timeout must be above 0"),
        ({"version": "3"}, "version 3 needs a user"),
        ({"version": "3", "user": "u", "auth": "sha256", "auth_key": "short"}, "auth_key must have at least 8"),
        ({"version": "3", "user": "u", "auth": "crc", "auth_key": "long enough"}, "auth must be one of"),
        ({"version": "3", "user": "u", "priv": "aes", "priv_key": "long enough"}, "priv needs auth"),
    ],
)
def test_a_target_that_cannot_be_is_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        SnmpTarget(**{"host": "127.0.0.1", **wrong})
