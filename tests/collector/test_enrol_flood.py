"""A roll-out in one morning: machines that claim their terminals as fast as they can, from many addresses' worth of connections at once."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import time
from collections import Counter
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from tests.collector.conftest import World
from tests.collector.sending import S
from tests.collector.watch.running import free_ports
from tillwatch.agent.enrolment.claim import claim_message
from tillwatch.agent.enrolment.enrol import tls_request
from tillwatch.agent.wire import SigningKey
from tillwatch.collector.store.sqlite import open_db
from tillwatch.collector.trust.authority import open_authority
from tillwatch.collector.trust.registry import JournalRegistrar, secret_digest
from tillwatch.collector.web.inward.enrol import EnrolListener, MqttAddress, enrol_app

MACHINES = 2_000
AT_ONCE = 200
"""More than the listener takes at a time: the rest is told to come again."""
SECRET = b"s" * 20


async def ask(port: int, tls: ssl.SSLContext, body: bytes) -> int:
    """The status of one claim, over a connection of its own."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
    try:
        writer.write(b"POST /api/v1/claim HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nConnection: close\r\n" + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)  # fmt: skip
        line = await reader.readline()
        await reader.read()
        return int(line.split()[1]) if line else 0
    finally:
        writer.close()


@pytest.mark.long
@pytest.mark.timeout(900)
async def test_two_thousand_machines_are_let_in_once_each(world: World, tmp_path: Path) -> None:
    await world.start()
    world.now = time.time_ns()
    rows = [[f"SN-{n:05}", f"t-{n:05}", f"branch-{n % 100}", "north", "atm", ""] for n in range(MACHINES)]
    for first in range(0, MACHINES, 500):
        await world.pipeline.operate({"action": "expect", "actor": "li", "rows": rows[first : first + 500], "image": "", "source": ""})  # fmt: skip
    await world.pipeline.operate({"action": "image-token", "actor": "li", "name": "k", "since": 0, "until": world.now + 86_400 * S, "count": MACHINES, "listed": False, "digest": b"", "source": "", "secret": secret_digest(SECRET)})  # fmt: skip
    own = open_authority(tmp_path / "keys")
    tokens = open_db(world.path)
    registrar = JournalRegistrar(
        tokens, world.pipeline.operate, find=world.pipeline.terminal, expecting=lambda: world.pipeline.fold.expecting, bind=own.bind
    )  # fmt: skip
    app = enrol_app(registrar, own, MqttAddress("", 8883, tls=True), ("127.0.0.1",))
    listener = EnrolListener(app, "127.0.0.1", free_ports(1)[0], own.server_file(("127.0.0.1",)))
    await listener.start()
    tls = ssl.create_default_context(cafile=str(own.ca_file))
    _, csr = tls_request("claim")
    pem, der = csr.public_bytes(serialization.Encoding.PEM).decode(), csr.public_bytes(serialization.Encoding.DER)
    turns, told, slowest = asyncio.Semaphore(AT_ONCE), Counter[int](), 0.0

    async def machine(n: int) -> None:
        nonlocal slowest
        key, serial = SigningKey(n.to_bytes(32, "big")), f"SN-{n:05}"
        body = json.dumps({
            "secret": SECRET.hex(), "serial": serial, "public_key": base64.b64encode(key.public).decode(), "csr": pem,
            "proof": base64.b64encode(key.sign(claim_message(SECRET, serial, der))).decode(),
        }).encode()  # fmt: skip
        begun = time.monotonic()
        async with turns:
            while True:
                try:
                    status = await ask(listener.port, tls, body)
                except OSError:
                    status = 0
                told[status] += 1
                if status == 200:
                    break
                await asyncio.sleep(0.5)
        slowest = max(slowest, time.monotonic() - begun)

    begun = time.monotonic()
    await asyncio.gather(*(machine(n) for n in range(MACHINES)))
    took = time.monotonic() - begun
    await listener.stop()
    tokens.close()
    fold = world.pipeline.fold
    assert told[200] == MACHINES
    assert told[403] == told[429] == told[400] == 0
    assert len(fold.fleet.terminals) == MACHINES
    assert fold.expecting.grants["k"].used == MACHINES
    assert {one.state for one in fold.expecting.expected.values()} == {"claimed"}
    assert fold.expecting.refused == {}
    print(f"{MACHINES} claims in {took:.1f} s, {MACHINES / took:.0f} a second; answers {dict(told)}; the slowest waited {slowest:.1f} s")  # fmt: skip
