"""A port that replays a dialogue, and the transcripts to replay."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tillwatch.firmware_shims.transcript import Exchange, Spoken, parse

TRANSCRIPTS = Path(__file__).parents[1] / "transcripts"


def read_transcript(name: str) -> Iterator[Spoken]:
    return parse((TRANSCRIPTS / f"{name}.txt").read_text(encoding="ascii"), f"{name}.txt")


class ReplayPort:
    """Answers as a dialogue says, in pieces. `mangle(request, answer, nth)` may spoil the nth answer of this port."""

    def __init__(
        self,
        exchanges: list[Exchange],
        mangle: Callable[[bytes, bytes, int], bytes] = lambda _request, answer, _nth: answer,
        chunk: int = 1024,
    ) -> None:
        self.sent: list[bytes] = []
        self._answers: dict[bytes, list[bytes]] = {}
        for exchange in exchanges:
            self._answers.setdefault(exchange.request, []).append(exchange.answer)
        self._mangle = mangle
        self._chunk = chunk
        self._waiting = b""

    async def send(self, data: bytes) -> None:
        nth = len(self.sent)
        self.sent.append(data)
        answers = self._answers.get(data, [b""])
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        self._waiting += self._mangle(data, answer, nth)

    async def receive(self, timeout: float) -> bytes:
        assert timeout > 0
        data, self._waiting = self._waiting[: self._chunk], self._waiting[self._chunk :]
        return data

    async def discard(self) -> None:
        self._waiting = b""


@pytest.fixture
def replay_port() -> type[ReplayPort]:
    return ReplayPort


@pytest.fixture
def transcript() -> Callable[[str], Iterator[Spoken]]:
    return read_transcript


@pytest.fixture
def exchange() -> type[Exchange]:
    return Exchange


class PtyDevice:
    """What a ReplayPort says, on a pseudo-terminal. path: what to open."""

    def __init__(self, exchanges: list[Exchange], whitelist: frozenset[bytes]) -> None:
        import tty

        self._port = ReplayPort(exchanges)
        self._whitelist = whitelist
        self._received = b""
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        self.path = os.ttyname(self._slave)
        self._tasks: set[asyncio.Task[None]] = set()
        asyncio.get_running_loop().add_reader(self._master, self._receive)

    def _receive(self) -> None:
        self._received += os.read(self._master, 256)
        if self._received in self._whitelist:
            request, self._received = self._received, b""
            task = asyncio.get_running_loop().create_task(self._answer(request))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _answer(self, request: bytes) -> None:
        await self._port.send(request)
        os.write(self._master, await self._port.receive(1.0))

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._master)
        os.close(self._master)
        os.close(self._slave)


@pytest.fixture
def pty_device() -> type[PtyDevice]:
    return PtyDevice
