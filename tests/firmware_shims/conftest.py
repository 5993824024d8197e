"""A port that replays a dialogue, and the reader of transcripts. The transcript's own grammar stands at its top."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

TRANSCRIPTS = Path(__file__).parents[1] / "transcripts"


@dataclasses.dataclass
class Exchange:
    request: bytes
    answer: bytes = b""


@dataclasses.dataclass
class Spoken:
    """One dialogue of a transcript: expected maps (part, signal) to (value, unit). What stands in quotes is a text."""

    title: str
    exchanges: list[Exchange] = dataclasses.field(default_factory=list)
    expected: dict[tuple[str, str], tuple[object, str]] = dataclasses.field(default_factory=dict)


def value_of(text: str) -> object:
    try:
        return float(text)
    except ValueError:
        return text


def read_transcript(name: str) -> Iterator[Spoken]:
    for block in (TRANSCRIPTS / f"{name}.txt").read_text(encoding="ascii").split("\n\n"):
        lines = block.strip().splitlines()
        spoken = Spoken(next((line[2:] for line in lines if line.startswith("# ")), ""))
        for line in lines:
            mark, _, rest = line.partition(" ")
            if mark == ">":
                spoken.exchanges.append(Exchange(bytes.fromhex(rest)))
            elif mark == "<":
                spoken.exchanges[-1].answer += bytes.fromhex(rest)
            elif mark == "=":
                part, signal, value, *unit = shlex.split(rest)
                said = value if f'"{value}"' in rest else value_of(value)
                spoken.expected["" if part == "-" else part, signal] = (said, unit[0] if unit else "")
            else:
                assert mark == "#", f"{name}.txt: {line!r} starts with none of > < = #"
        if spoken.exchanges:
            yield spoken


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
