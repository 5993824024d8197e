"""The proof that polling is harmless: every datagram that leaves for a device is caught on the wire, taken apart by a reader of its own, and must be GET,
GETNEXT or GETBULK of an OID that the device's profile names, or of those by which a device is recognised. All shipped profiles, over their recordings.
"""

from __future__ import annotations

import asyncio
import dataclasses
import ipaddress
import os
import re
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.agent.sources.conftest import AUTH_KEY, USER, Snmpd
from tillwatch.agent.model import PollClass
from tillwatch.agent.sources.snmp import SnmpSource
from tillwatch.agent.sources.snmp_client import SnmpClient, SnmpTarget
from tillwatch.agent.sources.snmp_gufo import GufoClient
from tillwatch.agent.sources.snmp_pysnmp import PysnmpClient
from tillwatch.agent.sources.snmp_values import Raw
from tillwatch.agent.sources.snmprec import read_recording
from tillwatch.device_profiles.compiled import Library, compile_folder
from tillwatch.device_profiles.loader import load_yaml

GET, GET_NEXT, RESPONSE, SET, GET_BULK = 0xA0, 0xA1, 0xA2, 0xA3, 0xA5
HARMLESS = {GET, GET_NEXT, GET_BULK}
PROFILES = {profile.id: profile for profile in load_yaml()}
RECORDINGS = Path(__file__).parents[2] / "recordings"
RECOGNITION = ("1.3.6.1.2.1.1.1.0", "1.3.6.1.2.1.1.2.0", "1.3.6.1.2.1.1.3.0")
"""sysDescr, sysObjectID, sysUpTime; and what a `match` asks for being there."""
TURNS = 5
"""Of the loop before a device answers. It takes one datagram a turn: a second request that is under way is there by then."""
OID = re.compile(r"[012](\.\d+){5,}")


class Asked(NamedTuple):
    kind: int
    oids: tuple[str, ...]


def elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Tag and content of each element (X.690)."""
    at = 0
    while at < len(data):
        tag, length, at = data[at], data[at + 1], at + 2
        if length & 0x80:
            length, at = int.from_bytes(data[at : at + (length & 0x7F)], "big"), at + (length & 0x7F)
        assert at + length <= len(data)
        yield tag, data[at : at + length]
        at += length


def oid_of(content: bytes) -> str:
    numbers = [0]
    for octet in content:
        numbers[-1] = numbers[-1] << 7 | octet & 0x7F
        if not octet & 0x80:
            numbers.append(0)
    first = min(numbers[0] // 40, 2)
    return ".".join(map(str, (first, numbers[0] - 40 * first, *numbers[1:-1])))


def pdu_in(datagram: bytes) -> tuple[int, bytes]:
    """Of any version; SNMPv3 has to be unencrypted."""
    ((_, message),) = elements(datagram)
    (_, version), *rest = elements(message)
    if version == b"\x03":
        *_, (tag, scoped) = rest
        assert tag == 0x30, "encrypted"
        *_, pdu = elements(scoped)
        return pdu
    _community, pdu = rest
    return pdu


def asked_in(datagram: bytes) -> Asked:
    kind, body = pdu_in(datagram)
    *_, (_, bindings) = elements(body)
    pairs = [list(elements(binding)) for _, binding in elements(bindings)]
    assert kind not in HARMLESS or all(pair[1:] == [(0x05, b"")] for pair in pairs), "a question carries a value"
    return Asked(kind, tuple(oid_of(content) for (_, content), _ in pairs))


def encoded(tag: int, body: bytes) -> bytes:
    size = len(body).to_bytes(2, "big")
    return bytes((tag,)) + (size[1:] if len(body) < 0x80 else b"\x82" + size) + body


def encoded_oid(oid: str) -> bytes:
    first, second, *rest = map(int, oid.split("."))
    body = bytearray()
    for number in (first * 40 + second, *rest):
        septets = [number >> shift & 0x7F for shift in range(28, -1, -7)]
        while len(septets) > 1 and not septets[0]:
            del septets[0]
        body += bytes([*(septet | 0x80 for septet in septets[:-1]), septets[-1]])
    return encoded(0x06, bytes(body))


def encoded_value(raw: Raw) -> bytes:
    if isinstance(raw, bytes):
        return encoded(0x04, raw)
    if isinstance(raw, int):
        tag = 0x02 if -(2**31) <= raw < 2**31 else 0x46
        return encoded(tag, raw.to_bytes(raw.bit_length() // 8 + 1, "big", signed=True))
    try:
        return encoded(0x40, ipaddress.IPv4Address(raw).packed)
    except ValueError:
        return encoded_oid(raw) if OID.fullmatch(raw) else encoded(0x04, raw.encode())


def numbers(oid: str) -> tuple[int, ...]:
    return tuple(map(int, oid.split(".")))


class Recorded(asyncio.DatagramProtocol):
    """A device that answers out of its recording, and keeps what it was asked. busy: requests that it has and did not answer yet."""

    def __init__(self, raws: Mapping[str, Raw]) -> None:
        self.asked: list[Asked] = []
        self.most_at_once = 0
        self._busy = 0
        self._raws = raws
        self._order = sorted(raws, key=numbers)
        self._after = dict(zip(self._order, self._order[1:], strict=False))
        self._transport: Any = None
        self.port = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self.port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, address: Any) -> None:
        asked = asked_in(data)
        self.asked.append(asked)
        self._busy += 1
        self.most_at_once = max(self.most_at_once, self._busy)
        self._later(TURNS, data, asked, address)

    def _later(self, turns: int, data: bytes, asked: Asked, address: Any) -> None:
        if turns:
            asyncio.get_running_loop().call_soon(self._later, turns - 1, data, asked, address)
            return
        self._busy -= 1
        self._transport.sendto(self._answer(data, asked), address)

    def _answer(self, data: bytes, asked: Asked) -> bytes:
        ((_, message),) = elements(data)
        (_, version), (_, community), (_, pdu) = elements(message)
        (_, number), (_, _), (_, repetitions), _ = elements(pdu)
        found: list[tuple[str, bytes]] = []
        for start in asked.oids:
            oid = start
            if asked.kind == GET:
                found.append((oid, encoded_value(self._raws[oid]) if oid in self._raws else b"\x81\x00"))
                continue
            for _ in range(int.from_bytes(repetitions, "big") if asked.kind == GET_BULK else 1):
                following = self._next(oid)
                found.append((following or oid, encoded_value(self._raws[following]) if following else b"\x82\x00"))
                if not following:
                    break
                oid = following
        absent = next((n for n, (_, value) in enumerate(found, 1) if value[0] in (0x81, 0x82)), 0)
        status = 0
        if version == b"\0" and absent:
            found, status = [(oid, b"\x05\x00") for oid in asked.oids], 2
        bindings = b"".join(encoded(0x30, encoded_oid(oid) + value) for oid, value in found)
        head = encoded(2, number) + encoded(2, bytes([status])) + encoded(2, bytes([absent if status else 0]))
        body = encoded(RESPONSE, head + encoded(0x30, bindings))
        return encoded(0x30, encoded(2, version) + encoded(4, community) + body)

    def _next(self, oid: str) -> str | None:
        if oid in self._after:
            return self._after[oid]
        at = numbers(oid)
        return next((each for each in self._order if numbers(each) > at), None)


@asynccontextmanager
async def recorded(raws: Mapping[str, Raw]) -> AsyncIterator[Recorded]:
    loop = asyncio.get_running_loop()
    transport, device = await loop.create_datagram_endpoint(lambda: Recorded(raws), local_addr=("127.0.0.1", 0))
    yield device
    transport.close()


def oids_in(part: object) -> Iterator[str]:
    """Every OID that is written anywhere in a part of a profile, found without the code that polls it."""
    if isinstance(part, str):
        if OID.fullmatch(part):
            yield part
    elif dataclasses.is_dataclass(part):
        for field in dataclasses.fields(part):
            value = getattr(part, field.name)
            if field.name != "present" or value.endswith(".0"):
                yield from oids_in(value)
    elif isinstance(part, Mapping):
        for key, value in part.items():
            yield from oids_in(key)
            yield from oids_in(value)
    elif isinstance(part, tuple | list | frozenset | set):
        for each in part:
            yield from oids_in(each)


class Allowed(NamedTuple):
    """exactly: what recognises a device. beneath: the profiles' own scalars and columns."""

    exactly: set[str]
    beneath: set[str]

    def holds(self, oid: str) -> bool:
        parts = oid.split(".")
        return oid in self.exactly or any(".".join(parts[:n]) in self.beneath for n in range(1, len(parts) + 1))


def allowed_of(ids: tuple[str, ...]) -> Allowed:
    present = {oid for each in PROFILES.values() for rule in each.recognition.matches for oid in rule.present}
    # Whether a table is there at all (`present`) is seen in what was walked; only an instance is asked for.
    own = {oid for each in ids for part in (PROFILES[each].scalars, PROFILES[each].tables) for oid in oids_in(part)}
    return Allowed({*RECOGNITION, *present}, own)


def strangers(asked: list[Asked], allowed: Allowed) -> list[Asked]:
    """What is no harmless request, or asks for anything outside."""
    return [
        each for each in asked if each.kind not in HARMLESS or not each.oids or not all(map(allowed.holds, each.oids))
    ]


@pytest.fixture(scope="module")
def library() -> Library:
    return Library(compile_folder())


async def polled(client: SnmpClient, library: Library, profile: str = "") -> SnmpSource:
    source = SnmpSource("dev", client, library, profile)
    for wanted in (PollClass.FAST, PollClass.NORMAL, PollClass.SLOW, PollClass.FAST):
        await source.poll(wanted)
    await source.close()
    return source


@pytest.mark.parametrize("version", ["1", "2c"])
@pytest.mark.parametrize("profile", PROFILES)
async def test_only_what_the_profile_names_is_asked_and_one_at_a_time(
    profile: str, version: str, library: Library
) -> None:
    async with recorded(read_recording(RECORDINGS / f"{profile}.snmprec")) as device:
        source = await polled(GufoClient(SnmpTarget("127.0.0.1", device.port, version)), library)
    assert source.profiles[0] == profile
    assert strangers(device.asked, allowed_of(source.profiles)) == []
    assert device.most_at_once == 1
    kinds = {each.kind for each in device.asked}
    assert GET in kinds
    assert GET_BULK not in kinds or version == "2c"


@pytest.mark.parametrize("make", [GufoClient, PysnmpClient])
async def test_two_tables_that_name_one_device_ask_in_turn(make: Any, library: Library) -> None:
    async with recorded(read_recording(RECORDINGS / "apc.snmprec")) as device:
        clients = [make(SnmpTarget("127.0.0.1", device.port)) for _ in range(2)]
        await asyncio.gather(*(polled(client, library) for client in clients))
        assert clients[0].budget is clients[1].budget
    assert device.most_at_once == 1


async def test_the_other_library_asks_no_more(library: Library) -> None:
    async with recorded(read_recording(RECORDINGS / "apc.snmprec")) as device:
        source = await polled(PysnmpClient(SnmpTarget("127.0.0.1", device.port)), library)
    assert source.profiles[0] == "apc"
    assert strangers(device.asked, allowed_of(source.profiles)) == []
    assert device.most_at_once == 1


class Between(asyncio.DatagramProtocol):
    """Hands datagrams of one client on to a real agent and back, and keeps those that went out."""

    def __init__(self, port: int) -> None:
        self.agent = ("127.0.0.1", port)
        self.client: Any = None
        self.sent: list[bytes] = []
        self.transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, address: Any) -> None:
        if address == self.agent:
            self.transport.sendto(data, self.client)
        else:
            self.client = address
            self.sent.append(data)
            self.transport.sendto(data, self.agent)


@pytest.mark.parametrize("make", [GufoClient, PysnmpClient])
@pytest.mark.parametrize("version", ["1", "2c", "3"])
async def test_a_real_agent_is_asked_no_more_in_any_version(
    make: Any, version: str, snmpd: Snmpd, library: Library
) -> None:
    loop = asyncio.get_running_loop()
    transport, between = await loop.create_datagram_endpoint(lambda: Between(snmpd.port), local_addr=("127.0.0.1", 0))
    port = transport.get_extra_info("sockname")[1]
    form = {"user": f"{USER}sha256only", "auth": "sha256", "auth_key": AUTH_KEY} if version == "3" else {}
    source = await polled(make(SnmpTarget("127.0.0.1", port, version, **form)), library)
    transport.close()
    asked = [asked_in(datagram) for datagram in between.sent]
    if version == "3":  # discovery (RFC 3414, 4) is a GET of nothing
        asked = [each for each in asked if each != Asked(GET, ())]
    assert len(asked) > 5
    assert strangers(asked, allowed_of(source.profiles)) == []


def test_this_test_would_see_a_stranger() -> None:
    allowed = allowed_of(("rfc1628",))
    for kind, oid in (
        (SET, "1.3.6.1.2.1.33.1.2.1.0"),
        (GET, "1.3.6.1.2.1.33.1.8.2.0"),  # upsShutdownAfterDelay
        (GET_NEXT, "1.3.6.1.2.1.33"),
        (GET_BULK, "1.3.6.1"),
        (0xA6, "1.3.6.1.2.1.33.1.2.1.0"),
        (0xA7, "1.3.6.1.2.1.33.1.2.1.0"),
    ):
        assert strangers([Asked(kind, (oid,))], allowed) == [Asked(kind, (oid,))]
    assert strangers([Asked(GET, ())], allowed) == [Asked(GET, ())]
    assert strangers([Asked(GET, ("1.3.6.1.2.1.33.1.2.1.0",))], allowed) == []
    assert min(oid.count(".") for each in PROFILES for oid in allowed_of((each,)).beneath) >= 7


@pytest.mark.parametrize(
    ("command", "kind"),
    [("snmpset", SET), ("snmpget", GET), ("snmpgetnext", GET_NEXT), ("snmpbulkget", GET_BULK), ("snmpinform", 0xA6)],
)
def test_the_reader_reads_what_other_tools_send(command: str, kind: int) -> None:
    """Also the SET that must never be seen."""
    assert shutil.which(command), f"{command} is missing: make packages"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ear:
        ear.bind(("127.0.0.1", 0))
        ear.settimeout(30)
        said = {SET: ["i", "7"], 0xA6: []}.get(kind, [])
        what = ["0", "1.3.6.1.2.1.2.2.1.7.300"] if kind == 0xA6 else ["1.3.6.1.2.1.2.2.1.7.300"]
        call = [command, "-v2c", "-c", "public", "-t", "0.1", "-r", "0", f"127.0.0.1:{ear.getsockname()[1]}"]
        subprocess.run(
            [*call, *what, *said], env={**os.environ, "MIBS": ""}, capture_output=True, check=False, timeout=60
        )
        asked = asked_in(ear.recv(65_536)) if kind in HARMLESS | {SET} else Asked(pdu_in(ear.recv(65_536))[0], ())
    assert asked.kind == kind
    assert strangers([asked], Allowed(set(), {"1.3.6.1.2.1.2.2.1.7"})) == ([] if kind in HARMLESS else [asked])
    if kind in HARMLESS | {SET}:
        assert asked.oids == ("1.3.6.1.2.1.2.2.1.7.300",)
