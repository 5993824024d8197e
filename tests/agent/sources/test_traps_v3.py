"""What keeps the engine small; that it lets in the right messages only is in test_traps.py, with net-snmp's programs."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys

import pytest

from tillwatch.agent.sources import traps_v3 as module
from tillwatch.agent.sources.snmp_client import SnmpTarget
from tillwatch.agent.sources.trap_messages import MessageError
from tillwatch.agent.sources.traps_v3 import V3Receiver

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="net-snmp's programs")
TARGET = SnmpTarget(
    "*", version="3", user="watcher", auth="sha", auth_key="branch-auth-key", priv="aes", priv_key="branch-priv-key"
)
SENDER = ("127.0.0.1", 4711)


@pytest.fixture
def trap(tmp_path):
    """What snmptrap sends as a device with this engine id."""

    class Box(asyncio.DatagramProtocol):
        def __init__(self):
            self.got = asyncio.get_running_loop().create_future()

        def datagram_received(self, data, _):
            if not self.got.done():
                self.got.set_result(data)

    async def sent(engine):
        transport, box = await asyncio.get_running_loop().create_datagram_endpoint(Box, local_addr=("127.0.0.1", 0))
        where = f"127.0.0.1:{transport.get_extra_info('sockname')[1]}"
        try:
            await asyncio.to_thread(
                subprocess.run,
                [
                    "snmptrap",
                    "-v3",
                    "-e",
                    engine,
                    "-l",
                    "authPriv",
                    "-u",
                    "watcher",
                    "-a",
                    "SHA",
                    "-A",
                    "branch-auth-key",
                    "-x",
                    "AES",
                    "-X",
                    "branch-priv-key",
                    where,
                    "",
                    "1.3.6.1.2.1.33.2.1",
                ],
                env={**os.environ, "SNMPCONFPATH": str(tmp_path), "SNMP_PERSISTENT_DIR": str(tmp_path), "MIBS": ""},
                check=True,
            )
            return await asyncio.wait_for(box.got, 60)
        finally:
            transport.close()

    return sent


async def test_engine_ids_are_bounded(trap, monkeypatch):
    monkeypatch.setattr(module, "MAX_SENDERS", 2)
    receiver = V3Receiver(TARGET, lambda *_: None)
    engines = []
    for n in range(5):
        notice = receiver.receive(await trap(f"0x80001f88800000{n:04x}"), SENDER)
        assert notice is not None
        assert notice.trap == "1.3.6.1.2.1.33.2.1"
        engines.append(receiver._engine)
        assert len(receiver._known) <= 3
    assert len(set(map(id, engines))) == 2
    receiver.close()


async def test_a_message_that_was_changed_is_refused(trap):
    receiver = V3Receiver(TARGET, lambda *_: None)
    data = bytearray(await trap("0x80001f888000001111"))
    data[-1] ^= 1
    with pytest.raises(MessageError, match="not authentic"):
        receiver.receive(bytes(data), SENDER)
    receiver.close()


@pytest.mark.parametrize("data", [b"", b"\x30\x03\x02\x01\x03", b"\x30\x80" * 500])
def test_what_is_no_message_of_version_3_is_an_error(data):
    receiver = V3Receiver(TARGET, lambda *_: None)
    with pytest.raises(MessageError):
        receiver.receive(data, SENDER)
