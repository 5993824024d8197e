"""Devices that lie: tables without an end, texts without an end, noise. Each on loopback, in the process of the test."""

from __future__ import annotations

import asyncio
import contextlib
import random
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "packaging" / "demo"))

from snmp_responder import SnmpResponder, Value, integer, object_id, text, ticks

_UPS = "1.3.6.1.2.1.33.1"
PARTS = 10_000


def many_parts() -> SnmpResponder:
    """A UPS with ten thousand input lines, a name as long as a datagram takes, and a card number on its display."""
    tree: dict[str, Value] = {
        "1.3.6.1.2.1.1.1.0": text("x" * 1_200),
        "1.3.6.1.2.1.1.2.0": object_id(_UPS),
        "1.3.6.1.2.1.1.3.0": ticks(1),
        f"{_UPS}.1.2.0": text("model 4111 1111 1111 1111"),
        f"{_UPS}.2.1.0": integer(2),
        f"{_UPS}.2.4.0": integer(90),
        f"{_UPS}.3.2.0": integer(PARTS),
    }
    for row in range(1, PARTS + 1):
        tree[f"{_UPS}.3.3.1.2.{row}"] = integer(500)
        tree[f"{_UPS}.3.3.1.3.{row}"] = integer(230)
    return SnmpResponder(0, "public", tree)


class Noise(asyncio.DatagramProtocol):
    """Answers each datagram with some that mean nothing."""

    def __init__(self) -> None:
        self.random = random.Random(1)
        self.port = 0
        self._transport: asyncio.DatagramTransport | None = None

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, ("127.0.0.1", 0))
        self.port = self._transport.get_extra_info("sockname")[1]

    def datagram_received(self, _: bytes, sender: tuple[str, int]) -> None:
        assert self._transport is not None
        for _ in range(5):
            self._transport.sendto(self.random.randbytes(self.random.randint(1, 8_000)), sender)

    def stop(self) -> None:
        if self._transport is not None:
            self._transport.close()


class EndlessUpsd:
    """A upsd whose list of variables never ends; or, `lines` false, one line that never does."""

    def __init__(self, *, lines: bool) -> None:
        self.lines, self.port, self.asked = lines, 0, 0
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while request := await reader.readline():
                self.asked += 1
                writer.write(b"BEGIN " + request)
                for n in range(1_000_000):
                    writer.write(b'VAR ups battery.charge.%d "87"\n' % n if self.lines else b"x" * 4_096)
                    await writer.drain()
        writer.close()

    def stop(self) -> None:
        if self._server is not None:
            self._server.close()
