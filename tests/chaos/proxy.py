"""A network that breaks on demand: a TCP proxy between one client and the broker."""

from __future__ import annotations

import asyncio
import contextlib

CHUNK = 64 * 1024


class _Pair:
    """The two halves of one connection."""

    def __init__(self, client: asyncio.StreamWriter, broker: asyncio.StreamWriter) -> None:
        self.client, self.broker = client, broker
        self.is_dead = False


class Proxy:
    """`port` is known after start(). Whatever was broken, heal() mends it."""

    def __init__(self, upstream: int) -> None:
        self.port = 0
        self._upstream = upstream
        self._server: asyncio.Server | None = None
        self._pairs: set[_Pair] = set()
        self._abandoned: list[asyncio.StreamWriter] = []
        self._refusing = False
        self._flowing = asyncio.Event()
        self._flowing.set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        self.cut()
        self.heal()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
        while self._pairs:
            await asyncio.sleep(0)

    def cut(self) -> None:
        """Reset every connection, and every new one."""
        self._refusing = True
        for pair in self._pairs:
            pair.client.transport.abort()
            pair.broker.transport.abort()

    def stall(self) -> None:
        """Carry nothing, in neither direction; what is under way arrives later."""
        self._flowing.clear()

    def half_open(self) -> None:
        """The broker sees the connections end; the client is not told, and nobody answers it. A new connection would work."""
        for pair in self._pairs:
            self._abandoned.append(pair.client)
            pair.broker.transport.abort()

    def dead(self) -> None:
        """Nothing comes through the connections any more, not even their end, and heal() does not change that. A new connection works."""
        for pair in self._pairs:
            pair.is_dead = True

    def heal(self) -> None:
        """The abandoned are told at last, as a router that forgot a connection tells whoever goes on using it."""
        self._refusing = False
        self._flowing.set()
        for client in self._abandoned:
            client.transport.abort()
        self._abandoned.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if self._refusing:
                return
            try:
                up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._upstream)
            except OSError:
                return
            pair = _Pair(writer, up_writer)
            self._pairs.add(pair)
            try:
                await self._carry(pair, reader, up_reader)
            finally:
                self._pairs.discard(pair)
                up_writer.transport.abort()
        finally:
            if writer not in self._abandoned:
                writer.transport.abort()

    async def _carry(self, pair: _Pair, from_client: asyncio.StreamReader, from_broker: asyncio.StreamReader) -> None:
        """Until either half ends."""
        if self._refusing:
            return
        pipes = [
            asyncio.create_task(self._pipe(pair, from_client, pair.broker)),
            asyncio.create_task(self._pipe(pair, from_broker, pair.client)),
        ]
        try:
            await asyncio.wait(pipes, return_when=asyncio.FIRST_COMPLETED)
            if pair.is_dead:
                await asyncio.wait(pipes)
        finally:
            for pipe in pipes:
                pipe.cancel()
            await asyncio.gather(*pipes, return_exceptions=True)

    async def _pipe(self, pair: _Pair, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(CHUNK):
                await self._flowing.wait()
                if pair.is_dead:
                    continue
                writer.write(data)
                await writer.drain()
