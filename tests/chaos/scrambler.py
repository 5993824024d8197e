"""A broker at its worst: MQTT messages that come twice, come again long after, or change places. It ends TLS on both sides with the
credentials of the two ends, since the packets cannot be seen otherwise.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import ssl
from collections import deque
from collections.abc import Callable

_PUBLISH, _QOS, _DUP = 0x30, 0x06, 0x08
MAX_HELD = 3
"""Messages of one direction of one connection that wait to be overtaken."""
OLD = 20
"""Messages that may come again, of all connections."""


class Scrambler:
    """One direction of one link. `on` while it may do harm; what it holds goes on with the next packet after that."""

    def __init__(self, rng: random.Random) -> None:
        self.on = False
        self.harm = 0
        self._rng = rng
        self._old: deque[bytes] = deque(maxlen=OLD)

    def pass_on(self, packet: bytes, held: list[bytes]) -> list[bytes]:
        """What to send now. held: the messages of this connection that were kept back."""
        if packet[0] & 0xF0 != _PUBLISH:
            # A goodbye or a ping: what was published before it went out before it.
            out = [*held, packet]
            held.clear()
            return out
        if not self.on:
            out = [*held, packet]
            held.clear()
            self._old.append(packet)
            return out
        out = [packet]
        draw = self._rng.random()
        if draw < 0.3:
            out.append(_again(packet))
            self.harm += 1
        elif draw < 0.45 and self._old:
            out.append(_again(self._rng.choice(self._old)))
            self.harm += 1
        elif draw < 0.8 and len(held) < MAX_HELD:
            held.append(packet)
            self._old.append(packet)
            return []
        if held:
            self.harm += len(held)
            self._rng.shuffle(held)
            out += held
            held.clear()
        self._old.append(packet)
        return out


def _again(packet: bytes) -> bytes:
    """As whoever sends it again marks it; QoS 0 has no mark."""
    return bytes((packet[0] | (_DUP if packet[0] & _QOS else 0),)) + packet[1:]


async def read_packet(reader: asyncio.StreamReader) -> bytes:
    """The next MQTT packet, whole. Raises IncompleteReadError at the end."""
    head = bytearray(await reader.readexactly(2))
    while head[-1] & 0x80:
        head += await reader.readexactly(1)
    length = sum((byte & 0x7F) << 7 * place for place, byte in enumerate(head[1:]))
    return bytes(head) + await reader.readexactly(length)


class Relay:
    """Between a client and the broker on `upstream`. towards_broker: asked at each connection, since a client's credentials change. `port`
    is known after start().
    """

    def __init__(
        self, upstream: int, towards_client: ssl.SSLContext, towards_broker: Callable[[], ssl.SSLContext], seed: int
    ) -> None:
        self.port = 0
        rng = random.Random(seed)
        self.up, self.down = Scrambler(rng), Scrambler(rng)
        self._upstream, self._towards_client, self._towards_broker = upstream, towards_client, towards_broker
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._towards_client)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def scramble(self, *, on: bool) -> None:
        self.up.on = self.down.on = on

    @property
    def harm(self) -> int:
        """Messages repeated or swapped so far."""
        return self.up.harm + self.down.harm

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        up_writer: asyncio.StreamWriter | None = None
        try:
            with contextlib.suppress(OSError, ssl.SSLError):
                up_reader, up_writer = await asyncio.open_connection(
                    "127.0.0.1", self._upstream, ssl=self._towards_broker()
                )
                pipes = [
                    asyncio.create_task(_pipe(reader, up_writer, self.up)),
                    asyncio.create_task(_pipe(up_reader, writer, self.down)),
                ]
                try:
                    await asyncio.wait(pipes, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for pipe in pipes:
                        pipe.cancel()
                    await asyncio.gather(*pipes, return_exceptions=True)
        finally:
            self._tasks.discard(task)
            for end in (writer, up_writer):
                if end is not None:
                    end.transport.abort()


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, scrambler: Scrambler) -> None:
    held: list[bytes] = []
    with contextlib.suppress(OSError, asyncio.IncompleteReadError):
        while True:
            for packet in scrambler.pass_on(await read_packet(reader), held):
                writer.write(packet)
            await writer.drain()
