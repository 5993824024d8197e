"""Orders in the agent: the collector's time decides and no clock of this machine, nothing waits over a lost connection, and a device's report is read."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.agent.conftest import Terminal, until
from tests.agent.sources.test_serial import Ups
from tillwatch.agent import clock
from tillwatch.agent.buffer import Buffer
from tillwatch.agent.hint import Hint
from tillwatch.agent.model import MS, PollClass, Sample
from tillwatch.agent.remote.orders import MAX_WAITING, Means, Orders
from tillwatch.agent.sampler import Sampler
from tillwatch.agent.settings import Intervals, SpoolConfig
from tillwatch.agent.sources.serial import SerialSource
from tillwatch.agent.spool import Spool, SpoolFullError
from tillwatch.agent.wire import Command, CommandKind, Outcome, Result, result_of, seal_command

SIGNALS = {"ups.test.result", "ups.fault", "ups.mains", "ups.battery.status", "host.uptime", "ups.battery.voltage"}


class Box:
    """A device that is read, and may have something to say of itself."""

    classes = frozenset({PollClass.FAST})

    def __init__(self, *signals: str) -> None:
        self.name, self._signals, self.polls = "box", signals, 0

    async def poll(self, _: PollClass) -> list[Sample]:
        self.polls += 1
        return [Sample("box", signal, "pass") for signal in self._signals]

    async def close(self) -> None:
        """Nothing is open."""


class Desk:
    """The agent round the orders, without its uplink."""

    def __init__(self, folder: Path, source: Any) -> None:
        self.terminal = Terminal(folder, 9)
        self.spool = Spool(folder / "spool.db", self.terminal.who.terminal, self.terminal.who.key.public, SpoolConfig())
        self.reference = clock.Reference()
        self.told: list[Sample] = []
        self.source = source
        self.sampler = Sampler(Buffer(), SIGNALS, 60.0, {source.name: Hint(0.0)})
        self.settles = True
        means = Means(self.sampler, [source.name], self.told.extend, self._settle, self._bundle)
        self.orders = Orders(self.terminal.who, tuple(CommandKind), self.spool, self.reference, means)
        self.number = 100

    async def _settle(self) -> bool:
        return self.settles

    async def _bundle(self) -> bytes:
        raise RuntimeError("no disk")

    def payload(self, kind: str, arguments: dict[str, Any] | None = None, **changes: Any) -> bytes:
        self.number += 1
        now = time.time_ns() // MS * MS
        members = {
            "terminal": "atm-1",
            "number": self.number,
            "kind": kind,
            "issued": now,
            "expires": now + 600 * 10**9,
        }
        made = Command(**{**members, "epoch": self.spool.epoch, "arguments": arguments or {}, **changes})
        return seal_command(self.terminal.collector_key, made)

    def connect(self, theirs: int | None = None) -> None:
        """An ack has come on a new connection. theirs: the collector's time, this machine's unless it is told otherwise."""
        self.reference.connected()
        self.reference.heard(theirs or time.time_ns())
        self.orders.ready()

    @property
    def results(self) -> list[Result]:
        found = (result_of(sample.value) for sample in self.told if sample.signal == "monitor.command")
        return [result for result in found if result is not None]

    async def result(self) -> Result:
        await until(lambda: self.results)
        return self.results[-1]


@contextlib.asynccontextmanager
async def desk(folder: Path, source: Any) -> AsyncIterator[Desk]:
    made = Desk(folder, source)
    tasks = [
        asyncio.create_task(made.orders.run()),
        asyncio.create_task(made.sampler.run([(source, Intervals(fast=3600.0, normal=3600.0, slow=3600.0))])),
    ]
    try:
        yield made
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        made.spool.close()


async def test_it_waits_until_the_collector_has_answered_here(tmp_path: Path) -> None:
    async with desk(tmp_path, Box()) as at:
        at.orders.heard(at.payload("poll-now"))
        for _ in range(20):
            await asyncio.sleep(0)
        assert at.results == []
        at.connect()
        assert (await at.result()).outcome is Outcome.DONE


async def test_what_was_not_begun_is_forgotten_with_the_connection(tmp_path: Path) -> None:
    async with desk(tmp_path, Box()) as at:
        at.orders.heard(at.payload("poll-now"))
        at.orders.lost()
        at.connect()
        at.orders.heard(at.payload("collect-bundle"))
        told = await at.result()
        assert (told.number, told.outcome, told.reason) == (102, Outcome.FAILED, "fault")
        assert len(at.results) == 1


@pytest.mark.parametrize("wrong_s", [-10 * 365 * 86_400, 10 * 365 * 86_400])
async def test_a_wrong_clock_of_this_machine_neither_kills_nor_revives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong_s: int
) -> None:
    theirs = time.time_ns()
    async with desk(tmp_path, Box()) as at:
        good = at.payload("poll-now")
        old = at.payload("poll-now", issued=theirs - 900 * 10**9, expires=theirs - 10**9)
        real = time.time_ns
        monkeypatch.setattr(time, "time_ns", lambda: real() + wrong_s * 10**9)
        at.connect(theirs)
        at.orders.heard(good)
        assert (await at.result()).outcome is Outcome.DONE
        at.orders.heard(old)
        await until(lambda: len(at.results) == 2)
        assert at.results[-1].reason == "expired"


async def test_an_old_ack_that_is_sent_again_revives_nothing(tmp_path: Path) -> None:
    now = time.time_ns()
    async with desk(tmp_path, Box()) as at:
        at.connect(now)
        at.reference.heard(now - 3_000 * 10**9)
        at.orders.heard(at.payload("poll-now", issued=now - 2_900 * 10**9, expires=now - 2_300 * 10**9))
        assert (await at.result()).reason == "expired"


async def test_what_cannot_be_written_down_is_not_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    box = Box()
    async with desk(tmp_path, box) as at:
        await until(lambda: box.polls == 1)
        at.connect()
        payload = at.payload("poll-now")

        def full(*_: object) -> None:
            raise SpoolFullError("no space")

        monkeypatch.setattr(at.orders._taken, "take", full)
        at.orders.heard(payload)
        assert (await at.result()).reason == "spool"
        monkeypatch.undo()
        at.orders.heard(payload)
        await until(lambda: len(at.results) == 2)
        assert (at.results[-1].reason, box.polls) == ("stale", 1)


async def test_a_result_that_was_not_stored_is_told_after_a_restart(tmp_path: Path) -> None:
    async with desk(tmp_path, Box()) as at:
        at.settles = False
        at.connect()
        at.orders.heard(at.payload("poll-now"))
        assert (await at.result()).outcome is Outcome.DONE
        assert at.orders._taken.unfinished() == [101]


async def test_a_flood_is_bounded_and_told_once(tmp_path: Path) -> None:
    async with desk(tmp_path, Box()) as at:
        for _ in range(MAX_WAITING + 20):
            at.orders.heard(at.payload("poll-now"))
        for _ in range(50):
            at.orders.heard(b"junk")
        assert len(at.orders._waiting) == MAX_WAITING
        rejected = [sample.value for sample in at.told if sample.signal == "monitor.command.rejected"]
        assert rejected == ["1 too-many"]


async def test_a_report_is_what_a_device_says_of_itself(tmp_path: Path) -> None:
    async with desk(tmp_path, Box("ups.test.result", "host.uptime")) as at:
        at.connect()
        at.orders.heard(at.payload("self-report", {"component": "box"}))
        told = await at.result()
        assert (told.outcome, told.words) == (Outcome.DONE, "ups.test.result pass")


async def test_a_device_without_one_is_refused_with_that_reason(tmp_path: Path) -> None:
    async with desk(tmp_path, Box("host.uptime")) as at:
        at.connect()
        at.orders.heard(at.payload("self-report", {"component": "box"}))
        told = await at.result()
        assert (told.outcome, told.reason) == (Outcome.REFUSED, "no-report")


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals")
async def test_a_serial_device_is_asked_only_what_its_shim_lists(tmp_path: Path) -> None:
    far = Ups()
    try:
        async with desk(tmp_path, SerialSource("ups", far.path, "megatec_q1")) as at:
            await until(lambda: b"Q1\r" in far.asked)
            at.connect()
            at.orders.heard(at.payload("self-report", {"component": "ups"}))
            told = await at.result()
            assert told.outcome is Outcome.DONE
            assert "; ups.test.result none" in told.words
            assert set(far.asked) <= {b"Q1\r", b"F\r", b"I\r"}, "T, which would test the battery, never"
    finally:
        far.unplug()
