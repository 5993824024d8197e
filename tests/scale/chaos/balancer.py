"""The load balancer in front of several nodes, as an installation has one: each new connection goes to the next node that answers, and those of a node that does
not answer any more are closed. With one node it is a way that can be shut.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import defaultdict
from collections.abc import Sequence
from itertools import count

CHUNK = 64 * 1024
LOOK_S = 2.0
"""Between two looks at a node, and for its answer. Two that fail are enough to do without it."""
MISSED = 2


class Balancer:
    """Runs in a thread of its own. port: 0 for a free one."""

    def __init__(self, host: str, port: int, nodes: Sequence[tuple[str, int]]) -> None:
        self.host, self.port, self._nodes = host, port, list(nodes)
        self._missed = dict.fromkeys(self._nodes, 0)
        self._open: defaultdict[tuple[str, int], set[asyncio.StreamWriter]] = defaultdict(set)
        self._turn = count()
        self._shut = False
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"balancer {port}", daemon=True)

    def start(self) -> None:
        self._thread.start()
        assert self._ready.wait(10)

    def close(self) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._over.set)
            self._thread.join(10)

    def shut(self, *, shut: bool = True) -> None:
        """Nobody gets through, and who is through is thrown out."""
        self._shut = shut
        if shut:
            self._loop.call_soon_threadsafe(lambda: [self._drop(node) for node in self._nodes])

    def _run(self) -> None:
        with contextlib.closing(self._loop):
            self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        self._over = asyncio.Event()
        server = await asyncio.start_server(self._take, self.host, self.port)
        self.port = server.sockets[0].getsockname()[1]
        looking = asyncio.create_task(self._look())
        self._ready.set()
        await self._over.wait()
        looking.cancel()
        server.close()
        for node in self._nodes:
            self._drop(node)
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _look(self) -> None:
        while True:
            await asyncio.gather(*(self._ask(node) for node in self._nodes), asyncio.sleep(LOOK_S))

    async def _ask(self, node: tuple[str, int]) -> None:
        try:
            async with asyncio.timeout(LOOK_S):
                _, writer = await asyncio.open_connection(*node)
        except OSError:
            self._missed[node] += 1
            if self._missed[node] == MISSED:
                self._drop(node)
        else:
            writer.transport.abort()
            self._missed[node] = 0

    def _drop(self, node: tuple[str, int]) -> None:
        for writer in list(self._open[node]):
            writer.transport.abort()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = [node for node in self._nodes if self._missed[node] < MISSED]
        if self._shut or not there:
            writer.transport.abort()
            return
        first = next(self._turn)
        for at in range(len(there)):
            node = there[(first + at) % len(there)]
            try:
                async with asyncio.timeout(LOOK_S):
                    from_node, to_node = await asyncio.open_connection(*node)
                break
            except OSError:
                continue
        else:
            writer.transport.abort()
            return
        both = {writer, to_node}
        self._open[node] |= both
        try:
            ways = (asyncio.create_task(_carry(reader, to_node)), asyncio.create_task(_carry(from_node, writer)))
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            self._open[node] -= both
            for each in both:
                each.transport.abort()


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()
