"""A small fleet whose readings are drawn, and the calls that bring them to an engine: seasonal signals with noise of their own, none of them at fault
unless a test puts a fault in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tillwatch.agent.model import Quality, State
from tillwatch.agent.wire import Column
from tillwatch.collector.predict.engine import Engine
from tillwatch.collector.predict.finding import Finding, Grade, Record
from tillwatch.collector.predict.settings import DAY_NS

START = 19_700 * DAY_NS
"""A Friday, 0 o'clock UTC."""
HOUR_NS = 3600 * 10**9
SIGNALS = (
    ("host", "host.cpu.percent"),
    ("host", "host.memory.percent"),
    ("host/fan:1", "host.fan.speed"),
    ("ups", "ups.output.load"),
    ("ups", "ups.temperature"),
)

Fault = Callable[[float, NDArray[np.float64], NDArray[np.float64]], None]
"""(day, values to change, standard deviations), terminals x signals."""


def column(component: str, signal: str, at: int, value: float | str) -> Column:
    return Column(component, signal, [at // 10**6], [value], Quality.GOOD, State.NONE, not isinstance(value, str))


@dataclass
class Heard:
    findings: list[Finding] = field(default_factory=list)
    grades: list[Grade] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)

    def opened(self) -> dict[str, Finding]:
        """The first telling of each."""
        return {each.id: each for each in reversed(self.findings) if each.status == "open"}


@dataclass
class Fleet:
    terminals: int
    seed: int = 1
    every_s: int = 3600
    fault: Fault | None = None
    day: float = 0.0

    def __post_init__(self) -> None:
        self._rng = np.random.default_rng(self.seed)
        shape = self.terminals, len(SIGNALS)
        self.base = self._rng.uniform(20, 60, shape)
        self.swing = self._rng.uniform(0, 10, shape)
        self.noise = self._rng.uniform(0.3, 3, shape)

    @property
    def now(self) -> int:
        return START + round(self.day * 86_400) * 10**9

    def live(self, engine: Engine, days: float, heard: Heard | None = None) -> Heard:
        """All terminals send each `every_s`, and the engine advances a minute later."""
        heard = heard or Heard()
        for _ in range(round(days * 86_400 / self.every_s)):
            at = self.now
            hour = at // HOUR_NS % 24
            noise = self.noise * self._rng.standard_normal(self.base.shape)
            values = self.base + self.swing * np.sin(2 * np.pi * hour / 24) + noise
            if self.fault is not None:
                self.fault(self.day, values, self.noise)
            for terminal, row in enumerate(values.tolist()):
                columns = [column(*names, at, value) for names, value in zip(SIGNALS, row, strict=True)]
                engine.read(f"T{terminal}", columns, at + 10**9)
            said = engine.advance(at + 60 * 10**9)
            heard.findings += said.findings
            heard.grades += said.grades
            heard.records += said.records
            self.day = round(self.day * 86_400 + self.every_s) / 86_400
        return heard
