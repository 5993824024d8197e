"""Asked by net-snmp's own tools, which are what the responder must satisfy, and by messages that nobody should send."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st
from snmp_responder import (
    BadMessageError,
    SnmpResponder,
    counter,
    counter64,
    gauge,
    integer,
    object_id,
    parse_oid,
    text,
    ticks,
)

TREE = {
    "1.3.6.1.2.1.1.1.0": text("a device"),
    "1.3.6.1.2.1.1.2.0": object_id("1.3.6.1.4.1.8072.3.2.10"),
    "1.3.6.1.2.1.1.3.0": ticks(lambda: 4_200),
    "1.3.6.1.2.1.2.2.1.10.1": counter(lambda: 2**32 + 7),
    "1.3.6.1.2.1.2.2.1.10.2": counter(8),
    "1.3.6.1.2.1.2.2.1.10.10": counter(9),
    "1.3.6.1.2.1.25.3.5.1.2.1": text(b"\x40\x04"),
    "1.3.6.1.2.1.31.1.1.1.6.1": counter64(2**64 - 1),
    "1.3.6.1.2.1.33.1.2.7.0": integer(-3),
    "1.3.6.1.2.1.33.1.6.1.0": gauge(2**32 - 1),
    "1.3.6.1.2.1.33.1.6.2.1.2.1": object_id(lambda: None),
    "1.3.6.1.4.1.32473.9.0": text("x" * 200),
}
ALL_BUT_ABSENT = len(TREE) - 1


@pytest.fixture
async def responder(tmp_path):
    (tmp_path / "cert_indexes").mkdir()  # the tools make it at first use, and say so
    responder = SnmpResponder(0, "secret", TREE)
    responder.folder = str(tmp_path)
    await responder.start()
    yield responder
    responder.stop()


async def ask(responder, tool, *args, version="2c", community="secret"):
    path = shutil.which(tool)
    assert path, f"{tool} is not installed: apt-get install snmp"
    environment = os.environ | {"SNMP_PERSISTENT_DIR": responder.folder, "SNMPCONFPATH": responder.folder}
    process = await asyncio.create_subprocess_exec(
        path, f"-v{version}", "-c", community, "-t", "0.3", "-r", "0", "-On", "-m", "", f"127.0.0.1:{responder.port}", *args,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, env=environment,
    )  # fmt: skip
    out, _ = await process.communicate()
    return out.decode().strip()


@pytest.mark.parametrize("version", ["1", "2c"])
@pytest.mark.parametrize(
    ("oid", "answer"),
    [
        ("1.3.6.1.2.1.1.1.0", 'STRING: "a device"'),
        ("1.3.6.1.2.1.1.2.0", "OID: .1.3.6.1.4.1.8072.3.2.10"),
        ("1.3.6.1.2.1.1.3.0", "Timeticks: (4200) 0:00:42.00"),
        ("1.3.6.1.2.1.2.2.1.10.1", "Counter32: 7"),
        ("1.3.6.1.2.1.25.3.5.1.2.1", "Hex-STRING: 40 04"),
        ("1.3.6.1.2.1.33.1.2.7.0", "INTEGER: -3"),
        ("1.3.6.1.2.1.33.1.6.1.0", "Gauge32: 4294967295"),
        ("1.3.6.1.4.1.32473.9.0", f'STRING: "{"x" * 200}"'),
    ],
)
async def test_get(responder, version, oid, answer):
    assert await ask(responder, "snmpget", oid, version=version) == f".{oid} = {answer}"


async def test_wide_counters_are_for_v2_only(responder):
    oid = "1.3.6.1.2.1.31.1.1.1.6.1"
    assert await ask(responder, "snmpget", oid) == f".{oid} = Counter64: 18446744073709551615"
    assert "noSuchName" in await ask(responder, "snmpget", oid, version="1")
    assert f".{oid}" not in await ask(responder, "snmpwalk", "1.3.6.1.2.1", version="1")


@pytest.mark.parametrize(
    ("oid", "answer"),
    [
        ("1.3.6.1.2.1.2.2.1.10.3", "No Such Instance"),
        ("1.3.6.1.2.1.33.1.6.2.1.2.1", "No Such Instance"),
        ("1.3.6.1.2.1.99.1.0", "No Such Object"),
    ],
)
async def test_what_is_not_there(responder, oid, answer):
    assert answer in await ask(responder, "snmpget", oid)
    assert "noSuchName" in await ask(responder, "snmpget", oid, version="1")


@pytest.mark.parametrize(
    ("tool", "args"),
    [("snmpwalk", []), ("snmpbulkwalk", ["-Cr3"]), ("snmpbulkwalk", ["-Cr100"]), ("snmpbulkwalk", ["-Cr1"])],
)
async def test_walks_give_everything_once_in_order(responder, tool, args):
    lines = (await ask(responder, tool, *args, ".1.3.6.1")).splitlines()
    oids = [parse_oid(line.split(" = ")[0]) for line in lines if " = " in line and "No more" not in line]
    assert len(oids) == ALL_BUT_ABSENT
    assert oids == sorted(set(oids))


async def test_a_walk_goes_by_numbers(responder):
    lines = (await ask(responder, "snmpwalk", "1.3.6.1.2.1.2.2.1.10")).splitlines()
    assert [line.split(" = ")[0].rpartition(".")[2] for line in lines] == ["1", "2", "10"]


async def test_bulk_with_single_ones_before(responder):
    lines = (
        await ask(responder, "snmpbulkget", "-Cn1", "-Cr2", "1.3.6.1.2.1.1.1", "1.3.6.1.2.1.2.2.1.10")
    ).splitlines()
    assert [line.split(" = ")[0] for line in lines] == [
        ".1.3.6.1.2.1.1.1.0",
        ".1.3.6.1.2.1.2.2.1.10.1",
        ".1.3.6.1.2.1.2.2.1.10.2",
    ]


async def test_too_many_for_one_answer(responder):
    answer = await ask(responder, "snmpget", *["1.3.6.1.4.1.32473.9.0"] * 8)
    assert "tooBig" in answer


async def test_writing_is_refused(responder):
    assert "notWritable" in await ask(responder, "snmpset", "1.3.6.1.2.1.1.1.0", "s", "other")
    assert "readOnly" in await ask(responder, "snmpset", "1.3.6.1.2.1.1.1.0", "s", "other", version="1")
    assert "a device" in await ask(responder, "snmpget", "1.3.6.1.2.1.1.1.0")


async def test_a_wrong_community_gets_no_answer(responder):
    assert "Timeout" in await ask(responder, "snmpget", "1.3.6.1.2.1.1.1.0", community="public")


async def test_silent_and_back_on_the_same_port(responder):
    port = responder.port
    responder.stop()
    assert "Timeout" in await ask(responder, "snmpget", "1.3.6.1.2.1.1.1.0")
    await responder.start()
    assert responder.port == port
    assert "a device" in await ask(responder, "snmpget", "1.3.6.1.2.1.1.1.0")


REQUEST = bytes.fromhex(
    "3029020101 0406 736563726574 a01c 02047fffffff 020100 020100 300e 300c 06082b06010201010100 0500".replace(" ", "")
)


def test_the_request_of_these_tests_is_one():
    assert b"a device" in SnmpResponder(0, "secret", TREE).answer(REQUEST)


@given(st.binary(max_size=60))
def test_rubbish_is_a_bad_message_or_silence(data):
    responder = SnmpResponder(0, "secret", TREE)
    with contextlib.suppress(BadMessageError):
        assert responder.answer(data) is None


@given(st.integers(0, len(REQUEST) - 1), st.integers(1, 255))
def test_a_disturbed_request_hurts_nobody(at, mask):
    responder = SnmpResponder(0, "secret", TREE)
    with contextlib.suppress(BadMessageError):
        responder.answer(REQUEST[:at] + bytes([REQUEST[at] ^ mask]) + REQUEST[at + 1 :])


async def test_rubbish_on_the_port_stops_nothing(responder):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as rude:
        for data in (b"", b"0", b"0\x84\xff\xff\xff\xff", REQUEST[:-3]):
            rude.sendto(data, ("127.0.0.1", responder.port))
    assert "a device" in await ask(responder, "snmpget", "1.3.6.1.2.1.1.1.0")
