"""The listener against net-snmp's own snmptrap and snmpinform."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
from dataclasses import replace

import pytest
from pyasn1.codec.ber import encoder
from pysnmp.proto import api

from tests.agent.counters import assert_catalogued
from tillwatch.agent.buffer import Buffer
from tillwatch.agent.hint import Hint
from tillwatch.agent.model import PollClass, Sample
from tillwatch.agent.sampler import Sampler
from tillwatch.agent.settings import Intervals
from tillwatch.agent.sources import SourceError
from tillwatch.agent.sources import traps as module
from tillwatch.agent.sources.snmp_client import SnmpTarget
from tillwatch.agent.sources.traps import BURST, MAX_USERS, REPEAT_S, Bucket, Sender, TrapSource

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="net-snmp's programs")
NORMAL = PollClass.NORMAL
ON_BATTERY = "1.3.6.1.2.1.33.2.1"
USER, AUTH_KEY, PRIV_KEY = "watcher", "branch-auth-key", "branch-priv-key"
V2C = SnmpTarget("127.0.0.1", community="branch-7")
V3 = SnmpTarget("127.0.0.1", version="3", user=USER, auth="sha256", auth_key=AUTH_KEY, priv="aes", priv_key=PRIV_KEY)
ENGINE = "0x80001f8880a1b2c3d4"
LOGGED_IN = ("-v3", "-l", "authPriv", "-u", USER, "-a", "SHA-256", "-x", "AES")
RIGHT = (*LOGGED_IN, "-A", AUTH_KEY, "-X", PRIV_KEY)
WRONG = (*LOGGED_IN, "-A", "another-auth-key", "-X", PRIV_KEY)


class Hints(Hint):
    """Counts."""

    def __init__(self):
        super().__init__()
        self.given = 0

    def give(self):
        self.given += 1


def listening(*targets, **more):
    hints = [Hints() for _ in targets]
    senders = [Sender(f"dev{n}", target, hint) for n, (target, hint) in enumerate(zip(targets, hints, strict=True))]
    return TrapSource("traps", senders, listen="127.0.0.1", port=0, **more), hints


@pytest.fixture
def environment(tmp_path):
    """Programs that read no configuration of the machine and keep their own engine's boots here."""
    return {**os.environ, "SNMPCONFPATH": str(tmp_path), "SNMP_PERSISTENT_DIR": str(tmp_path / "state"), "MIBS": ""}


async def send(environment, source, *arguments, program="snmptrap"):
    """Its exit status; snmpinform's is 0 only when it was answered."""
    head = [argument for argument in arguments if argument is not None]
    at = next(n for n, argument in enumerate(head) if argument == "@")
    command = [program, *head[:at], f"127.0.0.1:{source.port}", *head[at + 1 :]]
    process = await asyncio.create_subprocess_exec(
        *command, env=environment, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    _, said = await asyncio.wait_for(process.communicate(), 60)
    assert b"Unknown" not in said, said
    return process.returncode


async def taken(source, number):
    """The samples once so many messages were judged, taken or not."""
    async with asyncio.timeout(60):
        while sum(source._counts.values()) < number:
            await asyncio.sleep(0.01)
    return {(sample.component, sample.signal): sample.value for sample in await source.poll(NORMAL)}


async def test_traps_of_version_1_and_2c_are_hints_and_no_readings(environment):
    source, (hint,) = listening(V2C)
    try:
        assert {sample.value for sample in await source.poll(NORMAL)} == {0}
        await send(
            environment, source, "-v2c", "-c", "branch-7", "@", "", ON_BATTERY, "1.3.6.1.2.1.33.1.2.3.0", "i", "12"
        )
        said = await taken(source, 1)
        assert hint.given == 1
        assert said["traps", "trap.taken"] == said["traps/dev0", "trap.taken"] == 1
        assert said["traps/dev0", "trap.last"] == f"unrecognised {ON_BATTERY} 1.3.6.1.2.1.33.1.2.3.0=12"
        await send(environment, source, "-v1", "-c", "branch-7", "@", "1.3.6.1.4.1.318", "10.0.0.1", "6", "5", "")
        assert (await taken(source, 2))["traps/dev0", "trap.last"] == "unrecognised 1.3.6.1.4.1.318.0.5"
        await send(environment, source, "-v1", "-c", "branch-7", "@", "1.3.6.1.4.1.318", "10.0.0.1", "0", "0", "")
        assert (await taken(source, 3))["traps/dev0", "trap.last"] == "coldStart 1.3.6.1.6.3.1.1.5.1"
        assert hint.given == 3
        assert_catalogued(await source.poll(NORMAL))
    finally:
        await source.close()


async def test_an_inform_is_answered(environment):
    source, (hint,) = listening(V2C)
    try:
        await source.poll(NORMAL)
        inform = ("-v2c", "-c", "branch-7", "-t", "5", "-r", "0", "@", "", ON_BATTERY)
        assert await send(environment, source, *inform, program="snmpinform") == 0
        # Its answer was lost, it comes again: answered again, but no new hint.
        assert await send(environment, source, *inform, program="snmpinform") == 0
        assert (await taken(source, 2))["traps", "trap.taken"] == 2
        assert hint.given == 1
    finally:
        await source.close()


async def test_version_3_is_authenticated_and_informs_of_it_are_answered(environment):
    source, (hint,) = listening(V3)
    try:
        await source.poll(NORMAL)
        await send(environment, source, "-e", ENGINE, *RIGHT, "@", "", ON_BATTERY)
        assert (await taken(source, 1))["traps/dev0", "trap.last"] == f"unrecognised {ON_BATTERY}"
        linkdown = "1.3.6.1.6.3.1.1.5.3"
        assert (
            await send(environment, source, "-t", "5", "-r", "1", *RIGHT, "@", "", linkdown, program="snmpinform") == 0
        )
        assert (await taken(source, 2))["traps/dev0", "trap.last"] == f"linkDown {linkdown}"
        assert hint.given == 2
        await send(environment, source, "-e", ENGINE, *WRONG, "@", "", linkdown)
        await send(environment, source, "-e", ENGINE, "-v3", "-l", "noAuthNoPriv", "-u", USER, "@", "", linkdown)
        await send(environment, source, "-v2c", "-c", "public", "@", "", linkdown)
        said = await taken(source, 5)
        assert (said["traps", "trap.taken"], said["traps", "trap.refused"], hint.given) == (2, 3, 2)
    finally:
        await source.close()


async def test_what_cannot_be_believed_is_counted_and_told_on_the_transition(environment, caplog):
    caplog.set_level(logging.INFO)
    source, (hint,) = listening(V2C, community="for-traps")
    try:
        await source.poll(NORMAL)
        await send(environment, source, "-v2c", "-c", "for-traps", "@", "", ON_BATTERY)
        await taken(source, 1)
        assert not caplog.records
        for _ in range(2):
            await send(environment, source, "-v2c", "-c", "guessed", "@", "", ON_BATTERY)
        assert (await taken(source, 3))["traps", "trap.refused"] == 2
        await source.poll(NORMAL)
        assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
        assert "another community" in caplog.text
        assert "guessed" not in caplog.text
        assert hint.given == 1
    finally:
        await source.close()


async def test_unknown_addresses_are_not_decoded(environment, monkeypatch):
    source, (hint,) = listening(SnmpTarget("192.0.2.10"))
    monkeypatch.setattr(module, "read", lambda _: pytest.fail("decoded"))
    try:
        await source.poll(NORMAL)
        await send(environment, source, "-v2c", "-c", "public", "@", "", ON_BATTERY)
        assert (await taken(source, 1))["traps", "trap.refused"] == 1
        assert not hint.given
    finally:
        await source.close()


def trap(community=b"branch-7", oid=ON_BATTERY):
    proto = api.PROTOCOL_MODULES[1]
    pdu = proto.TrapPDU()
    proto.apiTrapPDU.set_defaults(pdu)
    proto.apiTrapPDU.set_varbinds(pdu, [("1.3.6.1.6.3.1.1.4.1.0", proto.ObjectIdentifier(oid))])
    message = proto.Message()
    proto.apiMessage.set_defaults(message)
    proto.apiMessage.set_community(message, community)
    proto.apiMessage.set_pdu(message, pdu)
    return bytes(encoder.encode(message))


async def test_a_flood_is_bounded_and_repetitions_are_one_hint():
    source, (hint,) = listening(V2C)
    await source._resolve()
    datagram, sender = trap(), ("127.0.0.1", 4711)
    for _ in range(10 * BURST):
        source.received(datagram, sender, 1_000.0)
    assert source._counts == {"taken": BURST, "limited": 9 * BURST}
    assert hint.given == 1
    source.received(datagram, sender, 1_000.0 + REPEAT_S + 1)
    assert hint.given == 2
    assert len(source._recent) == 1


async def test_one_that_floods_leaves_room_for_the_others():
    source, hints = listening(V2C, SnmpTarget("127.0.0.2", community="branch-7"))
    await source._resolve()
    for _ in range(1_000):
        source.received(trap(), ("127.0.0.1", 1), 0.0)
    source.received(trap(), ("127.0.0.2", 1), 0.0)
    assert [hint.given for hint in hints] == [1, 1]


def test_users_of_version_3_are_bounded():
    """Each carries an engine with it; devices that share one do not."""
    targets = [replace(V3, user=f"user{n}") for n in range(MAX_USERS)]
    assert listening(*targets, *targets)
    with pytest.raises(ValueError, match="9 SNMPv3 users"):
        listening(*targets, V3)


def test_bucket():
    bucket = Bucket(2, 0.5)
    assert [bucket.take(at) for at in (0, 0, 0, 1, 2, 2, 100, 100, 100)] == [
        True,
        True,
        False,
        False,
        True,
        False,
        True,
        True,
        False,
    ]


async def test_a_port_that_cannot_be_had_is_an_error_and_tried_again():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken_port:
        taken_port.bind(("127.0.0.1", 0))
        source = TrapSource("traps", [], listen="127.0.0.1", port=taken_port.getsockname()[1])
        with pytest.raises(SourceError, match="does another trap receiver have the port"):
            await source.poll(NORMAL)
    try:
        assert await source.poll(NORMAL)
    finally:
        await source.close()


class Device:
    name = "dev0"
    classes = frozenset({PollClass.NORMAL})

    def __init__(self):
        self.polls = 0
        self.polled = asyncio.Event()

    async def poll(self, _wanted):
        self.polls += 1
        self.polled.set()
        return [Sample("dev0", "ups.mains", "present")]

    async def close(self):
        pass


async def test_a_trap_leads_to_an_early_poll_of_its_device(environment):
    hint = Hint(spacing=0.1)
    hint.give()  # the first poll at once, instead of spread over 5 s
    source = TrapSource("traps", [Sender("dev0", V2C, hint)], listen="127.0.0.1", port=0)
    device, buffer = Device(), Buffer()
    sampler = Sampler(buffer, {"ups.mains"}, 60.0, {"dev0": hint})
    hourly = Intervals(3_600.0, 3_600.0, 3_600.0)
    await source.poll(NORMAL)
    watching = asyncio.create_task(sampler.run([(device, hourly), (source, hourly)]))
    try:
        await asyncio.wait_for(device.polled.wait(), 60)
        device.polled.clear()
        await send(environment, source, "-v2c", "-c", "branch-7", "@", "", ON_BATTERY)
        await asyncio.wait_for(device.polled.wait(), 60)
        assert device.polls == 2
    finally:
        watching.cancel()
        await asyncio.wait([watching])
