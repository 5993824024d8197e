"""What wakes the machine while nothing happens: the readings that are due, their sealing, and what keeps the connection alive. The loop's clock jumps to
the next timer as soon as all that can come has come, so that minutes pass in a second and every timer that fires is written down.
"""

from __future__ import annotations

import asyncio
import random
import selectors
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from tests.agent.conftest import Collector
from tillwatch.agent import service, uplink
from tillwatch.agent.clock import Reference
from tillwatch.agent.identity import SPOOL, Broker
from tillwatch.agent.prepared import Prepared
from tillwatch.agent.settings import Config, SpoolConfig, SystemConfig
from tillwatch.agent.sources import system
from tillwatch.agent.spool import Spool

MINUTES = 20
PATIENCE_S = 20.0
"""Real seconds for an answer of the broker, on a machine that is busy."""
LOOK_S = 0.01


class _Selector(selectors.DefaultSelector):
    """Waits for what is on its way, then lets the time jump."""

    loop: Hasty

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is not None and timeout <= 0:
            return super().select(timeout)
        until = time.monotonic() + PATIENCE_S
        while not (events := super().select(LOOK_S)):
            if timeout is not None and (self.loop.is_quiet() or time.monotonic() > until):
                self.loop.now += timeout
                break
        self.loop.by_socket += bool(events)
        return events


class Hasty(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.now = 1_000.0
        self.fired: Counter[str] = Counter()
        """Timers, by the task that set them."""
        self.by_socket = 0
        self.is_quiet: Callable[[], bool] = lambda: True
        selector = _Selector()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Any, *args: Any, context: Any = None) -> asyncio.TimerHandle:
        task = asyncio.current_task(self) if self.is_running() else None
        who = task.get_name() if task is not None else str(callback)
        if getattr(callback, "__name__", "") == "_keep_connection":
            who = "keepalive"
        return super().call_at(when, self._fire, who, callback, args, context=context)

    def _fire(self, who: str, callback: Any, args: Any) -> None:
        self.fired[who] += 1
        callback(*args)


@pytest.fixture(autouse=True)
def _processor_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are the machine's own, and ten seconds of the loop are no time for them."""
    monkeypatch.setattr(system, "MIN_CPU_SPAN_S", 0.0)


def run(terminal: Any, collector: Collector | None) -> Hasty:
    """The loop after MINUTES of its time, counted once the agent is at work."""
    loop = Hasty()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(_run(loop, terminal, collector))
    return loop


async def _run(loop: Hasty, terminal: Any, collector: Collector | None) -> None:
    config = Config(None, terminal.state_dir, system=SystemConfig(name="host"))
    spool = Spool(terminal.state_dir / SPOOL, terminal.who.terminal, terminal.who.key.public, SpoolConfig())
    link = uplink.Uplink(terminal.who, spool, Broker("127.0.0.1", terminal.port, tls=False), None)
    prepared = Prepared(config, frozenset(), frozenset(), verbose=False)
    agent = service._Agent(prepared, terminal.who, spool, link, {}, Reference())
    stop = asyncio.Event()
    if collector is not None:
        await collector.connect()

    def is_quiet() -> bool:
        reading = any(thread.name == "system" for thread in threading.enumerate())
        return not reading and (collector is None or link.drained.is_set())

    loop.is_quiet = is_quiet
    running = asyncio.create_task(agent.run(service.sources_of(config, _no_library, {}), stop))
    await asyncio.sleep(120.0)  # connected, and every class of readings has been read
    loop.fired.clear()
    loop.by_socket = 0
    await asyncio.sleep(MINUTES * 60.0)
    counted, by_socket = loop.fired.copy(), loop.by_socket
    stop.set()
    await running
    if collector is not None:
        assert len(collector.stored) >= MINUTES
        await collector.close()
    loop.fired, loop.by_socket = counted, by_socket


def _no_library(_: Config) -> Any:
    raise AssertionError("no device is configured")


def test_between_two_readings_only_the_keepalive_wakes_it(
    terminal: Any, broker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Spread over the fleet, and here time in which nothing is on its way although not all is acknowledged.
    monkeypatch.setattr(uplink, "FIRST_FLUSH", 0.0)
    monkeypatch.setattr(uplink, "BACKOFF_FIRST", 0.0)
    loop = run(terminal, Collector(terminal))
    del loop.fired[_own(loop)]
    assert loop.fired.keys() == {"source host", "sealer", "keepalive"}, loop.fired
    assert MINUTES * 6 - 1 <= loop.fired["source host"] <= MINUTES * 6 + 1
    assert MINUTES - 1 <= loop.fired["sealer"] <= MINUTES + 1
    assert loop.fired["keepalive"] <= 2 * (MINUTES * 2 + 1), (
        "of the agent and of the collector, which stands in this loop too"
    )
    # A batch goes out and comes in here, each is answered, and so is the answer; file systems and sensors come from a thread.
    assert loop.by_socket <= MINUTES * 10


def test_without_a_broker_it_tries_ever_less(terminal: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random, "uniform", lambda _, most: most)
    loop = run(terminal, None)
    del loop.fired[_own(loop)]
    assert loop.fired.keys() == {"source host", "sealer", "uplink"}, loop.fired
    assert loop.fired["uplink"] <= MINUTES * 60 / 300 + 3, (
        "300 s is the longest wait, and two of the way there are shorter"
    )


def _own(loop: Hasty) -> str:
    """The name of the task that counts."""
    return next(name for name in loop.fired if name.startswith("Task-"))
