"""Against a broker that the test plays: what a real one says no to depends on its access list."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tillwatch.collector.fleet_load.connection import Connection

CONNECT, CONNACK, SUBSCRIBE = 0x10, b"\x20\x02\x00\x00", 0x80


async def broker(granted: int, then: Callable[[asyncio.StreamWriter], Awaitable[None]]) -> asyncio.Server:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.read(2):
            body = await reader.readexactly(head[1])
            if head[0] & 0xF0 == CONNECT:
                writer.write(CONNACK)
            elif head[0] & 0xF0 == SUBSCRIBE:
                topics = body[2:].count(b"/ack")
                writer.write(bytes((0x90, 2 + topics)) + body[:2] + bytes([granted]) * topics)
                await then(writer)
        writer.close()

    return await asyncio.start_server(serve, "127.0.0.1", 0)


async def nothing(_: asyncio.StreamWriter) -> None: ...


def connection(server: asyncio.Server, said: list[str]) -> Connection:
    port = server.sockets[0].getsockname()[1]
    return Connection(
        "127.0.0.1", port, "load", ["tw/1/load-000000/ack", "tw/1/load-000001/ack"], tls=None, will=None,
        hear=lambda topic, _: said.append(topic), up=lambda: said.append("up"), down=lambda: said.append("down"),
    )  # fmt: skip


async def ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize(("granted", "denied"), [(0, False), (0x80, True)])
async def test_a_broker_that_lets_nobody_speak_for_others_is_understood(granted: int, denied: bool) -> None:
    said: list[str] = []
    async with await broker(granted, nothing) as server:
        one = connection(server, said)
        task = asyncio.create_task(one.run())
        async with asyncio.timeout(60):
            await one.begun.wait()
        assert (one.open, bool(one.denied)) == (not denied, denied)
        assert said == ([] if denied else ["up"])
        one.publish("tw/1/load-000000/life", b"goes nowhere where it is not open")
        await ended(task)


async def test_a_connection_that_is_cut_comes_back() -> None:
    said: list[str] = []

    async def cut(writer: asyncio.StreamWriter) -> None:
        if said.count("up") < 2:
            await writer.drain()
            writer.close()

    async with await broker(0, cut) as server:
        one = connection(server, said)
        task = asyncio.create_task(one.run())
        async with asyncio.timeout(60):
            while said.count("up") < 2:
                await asyncio.sleep(0.01)
        assert said[:3] == ["up", "down", "up"]
        await ended(task)
