"""What the agent speaks of: samples, readings and batches. Plain frozen values, no I/O; the collector shares this module."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum, StrEnum

Value = int | float | str | None

MS = 1_000_000
"""Nanoseconds in a millisecond. Times are UTC nanoseconds; the wire keeps whole milliseconds."""

AGENT = "agent"
"""The component that stands for the agent itself: its spool, its clock, its own life."""


class Quality(IntEnum):
    """How far a reading can be trusted."""

    GOOD = 0
    STALE = 1
    CLOCK_SUSPECT = 2
    ERROR = 3


class State(IntEnum):
    """What the device profile says of a value. NONE: the profile does not judge this signal."""

    NONE = 0
    OK = 1
    WARN = 2
    CRIT = 3
    UNKNOWN = 4


class PollClass(StrEnum):
    """How often a signal is worth asking for. The intervals are the operator's."""

    FAST = "fast"
    NORMAL = "normal"
    SLOW = "slow"


@dataclass(frozen=True, slots=True)
class Sample:
    """One signal as a source read it, before the sampler puts a time on it.

    component: `<device>` or `<device>/<part>`, where the device is the name of the source in the configuration.
    unit: that of the catalogue; empty for text and states. oid: where an SNMP value came from, else empty.
    """

    component: str
    signal: str
    value: Value
    state: State = State.NONE
    quality: Quality = Quality.GOOD
    label: str = ""
    unit: str = ""
    oid: str = ""


@dataclass(frozen=True, slots=True)
class Reading:
    """One signal of one component at one time. `at` is UTC ns on a whole millisecond; value None means "could not be read"."""

    component: str
    signal: str
    at: int
    value: Value
    quality: Quality = Quality.GOOD
    state: State = State.NONE

    def __post_init__(self) -> None:
        if isinstance(self.value, float) and not math.isfinite(self.value):
            msg = f"{self.component} {self.signal}: {self.value} is not a reading; send None with Quality.ERROR"
            raise ValueError(msg)


@dataclass(frozen=True, slots=True)
class Batch:
    """Readings that are sealed together. lost: readings thinned or dropped since the epoch began (declared, never silent)."""

    readings: tuple[Reading, ...]
    lost: int = 0


@dataclass(frozen=True, slots=True)
class Clock:
    """Where the terminal's clock comes from (`ntp`, `rtc`, `unsync`) and its estimated error in milliseconds."""

    src: str
    err_ms: int


def device_of(component: str) -> str:
    """The device that a component belongs to: the part of its name before the first slash."""
    return component.partition("/")[0]
