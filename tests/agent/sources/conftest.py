"""Real SNMP devices on loopback: net-snmp's own snmpd, and a small responder for what snmpd cannot be made to do."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from pyasn1.codec.ber import decoder, encoder
from pysnmp.proto import api

from tillwatch.agent.sources.snmp_client import SnmpTarget

USER, AUTH_KEY, PRIV_KEY = "watcher", "branch-auth-key", "branch-priv-key"
ROWS = 60
"""Rows of a table of the test's own: more than one GET and more than two GETBULKs hold."""


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Snmpd:
    """One snmpd with a port and a persistent directory of its own."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        rows = (f"override 1.3.6.1.4.1.99999.1.2.{n} integer {n * n}" for n in range(1, ROWS + 1))
        users = (
            f"createUser {USER}{auth}{priv} {auth_name} {AUTH_KEY} {priv_name} {PRIV_KEY}\nrouser {USER}{auth}{priv} authpriv"
            for auth, auth_name in (("sha", "SHA"), ("sha256", "SHA-256"))
            for priv, priv_name in (("aes", "AES"), ("aes256", "AES-256"))
        )
        (folder / "state").mkdir()  # its own snmpd.conf stands there: users and boots
        (folder / "snmpd.conf").write_text(
            "\n".join(
                [
                    f"agentaddress udp:127.0.0.1:{self.port}",
                    "rocommunity public 127.0.0.1",
                    "sysDescr Branch machine",
                    "sysObjectID 1.3.6.1.4.1.99999.7",
                    *users,
                    f"createUser {USER}sha256only SHA-256 {AUTH_KEY}",
                    f"rouser {USER}sha256only auth",
                    "override 1.3.6.1.2.1.33.1.1.1.0 octet_str Voltwerk",
                    "override 1.3.6.1.2.1.33.1.1.2.0 octet_str 0x00ff80",
                    "override 1.3.6.1.2.1.33.1.2.1.0 integer 2",
                    "override 1.3.6.1.2.1.33.1.2.4.0 integer 97",
                    "override 1.3.6.1.2.1.33.1.2.6.0 integer -213",
                    "override 1.3.6.1.2.1.33.1.6.1.0 uinteger 4294967295",
                    "override 1.3.6.1.2.1.33.1.3.1.0 counter 4000000000",
                    "override 1.3.6.1.2.1.33.1.6.2.1.2.1 object_id 1.3.6.1.2.1.33.1.6.3.2",
                    "override 1.3.6.1.2.1.33.1.3.3.1.3.1 integer 231",
                    "override 1.3.6.1.2.1.33.1.4.4.1.5.1 integer 81",
                    *rows,
                ]
            )
            + "\n"
        )

    def start(self) -> None:
        self._process = subprocess.Popen(
            [
                "/usr/sbin/snmpd",
                "-f",
                "-C",
                "-c",
                str(self.folder / "snmpd.conf"),
                "-Lf",
                str(self.folder / "log"),
                "-I",
                "-hrSWRunTable,hrSWInstalledTable",
            ],
            env={**os.environ, "SNMP_PERSISTENT_DIR": str(self.folder / "state"), "MIBS": ""},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        ask = [
            "snmpget",
            "-v2c",
            "-c",
            "public",
            "-t",
            "0.5",
            "-r",
            "40",
            "-On",
            f"127.0.0.1:{self.port}",
            "1.3.6.1.2.1.1.3.0",
        ]
        subprocess.run(ask, check=True, capture_output=True, env={**os.environ, "MIBS": ""})

    def stop(self) -> None:
        if self._process:
            self._process.terminate()
            self._process.wait(60)
            self._process = None

    def target(self, version: str = "2c", auth: str = "sha256", priv: str = "aes", **other: Any) -> SnmpTarget:
        if version == "3":
            other = {
                "user": USER + auth + priv,
                "auth": auth,
                "auth_key": AUTH_KEY,
                "priv": priv,
                "priv_key": PRIV_KEY,
                **other,
            }
        return SnmpTarget("127.0.0.1", self.port, version, **other)


@pytest.fixture(scope="module")
def snmpd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Snmpd]:
    for program, path in (("snmpd", "/usr/sbin"), ("snmpget", None)):
        assert shutil.which(program, path=path), f"{program} is missing: make packages"
    daemon = Snmpd(tmp_path_factory.mktemp("snmpd"))
    daemon.start()
    yield daemon
    daemon.stop()


class Responder(asyncio.DatagramProtocol):
    """An SNMP agent that answers GET out of `values`. most: more variables are tooBig, or where `silent` get no answer. mute: how many requests it leaves unanswered,
    and answers only after the next one came, as a device does that was asleep. counts: variables of each request."""

    def __init__(self) -> None:
        self.values: dict[str, int] = {}
        self.most = 1000
        self.silent = False
        self.mute = 0
        self.counts: list[int] = []
        self.port = 0
        self._late: list[tuple[bytes, Any]] = []
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self.port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, address: Any) -> None:
        answer = self._answer(data)
        if self.silent and self.counts[-1] > self.most:
            return
        if self.mute:
            self.mute -= 1
            self._late.append((answer, address))
            return
        for each in [*self._late, (answer, address)]:
            self._transport.sendto(*each)
        self._late.clear()

    def _answer(self, data: bytes) -> bytes:
        module = api.PROTOCOL_MODULES[api.decodeMessageVersion(data)]
        request, _ = decoder.decode(data, asn1Spec=module.Message())
        answer = module.apiMessage.get_response(request)
        asked = module.apiMessage.get_pdu(request)
        pdu = module.apiMessage.get_pdu(answer)
        oids = [str(oid) for oid, _ in module.apiPDU.get_varbinds(asked)]
        self.counts.append(len(oids))
        old = api.decodeMessageVersion(data) == api.SNMP_VERSION_1
        absent = (
            module.Null("")
            if old
            else module.apiPDU.get_error_status(pdu) or api.PROTOCOL_MODULES[api.SNMP_VERSION_2C].NoSuchInstance("")
        )
        found = [(oid, module.Integer(self.values[oid]) if oid in self.values else absent) for oid in oids]
        missing = [n for n, oid in enumerate(oids, 1) if oid not in self.values]
        if len(oids) > self.most:
            module.apiPDU.set_error_status(pdu, 1)
            found = []
        elif old and missing:
            found = [(oid, module.Null("")) for oid in oids]
            module.apiPDU.set_error_status(pdu, 2)
            module.apiPDU.set_error_index(pdu, missing[0])
        module.apiPDU.set_varbinds(pdu, found)
        return bytes(encoder.encode(answer))


@pytest.fixture
async def responder() -> AsyncIterator[Responder]:
    transport, protocol = await asyncio.get_running_loop().create_datagram_endpoint(
        Responder, local_addr=("127.0.0.1", 0)
    )
    yield protocol
    transport.close()
