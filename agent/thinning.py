"""What goes first when there is no room for all: numbers that only count up, then measurements, which keep a coarser grid, and last what an
alarm may hang on: states, texts, and whatever is not well. Every reading that goes is counted by the caller.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import IntEnum

from tillwatch.agent.model import Quality, State, Value
from tillwatch.agent.transition import Condition

log = logging.getLogger(__name__)

COUNTERS_AT = 0.5
"""Of the spool's bound: from here on counters are thinned. Half of 30 days is left then for what a person would look for."""
GAUGES_AT = 0.75
RELEASE = 0.9
"""Thinning ends below this much of the mark that began it, so that it does not begin and end with every batch."""
COUNTER_EVERY_NS = 3_600 * 10**9
"""One value an hour: a counter's next value still tells all that was counted."""
GAUGE_EVERY_NS = 600 * 10**9
"""One value in ten minutes: what an hourly roll-up is made of."""


class Grade(IntEnum):
    """The order in which readings go."""

    COUNTER = 0
    GAUGE = 1
    ALARM = 2


@dataclass(slots=True)
class Taken:
    """A reading before it has a time of day. up: ns since boot."""

    component: str
    signal: str
    up: int
    value: Value
    quality: Quality
    state: State


def grade(item: Taken, counters: Collection[str]) -> Grade:
    """counters: the catalogue's counters. What the monitoring says of itself goes last too: other readings are understood by it."""
    healthy = item.quality is Quality.GOOD and item.state in (State.NONE, State.OK)
    if not healthy or not isinstance(item.value, int | float) or item.signal.startswith("monitor."):
        return Grade.ALARM
    return Grade.COUNTER if item.signal in counters else Grade.GAUGE


def thin(items: list[Taken], most: int, counters: Collection[str]) -> list[Taken]:
    """At most `most` of the items, in order. Of counters only the newest stays; then every second gauge goes, the newest first to stay; then
    the oldest gauges; then the oldest of all.
    """
    keep_next: dict[tuple[str, str], bool] = {}
    kept: list[Taken] = []
    surplus = len(items) - most
    for item in reversed(items):
        if grade(item, counters) is Grade.COUNTER and surplus > 0:
            key = item.component, item.signal
            if key in keep_next:
                surplus -= 1
                continue
            keep_next[key] = True
        kept.append(item)
    kept.reverse()
    if surplus > 0:
        kept = _every_second_gauge(kept, counters)
        surplus = len(kept) - most
    if surplus > 0:
        rest: list[Taken] = []
        for item in kept:
            if surplus > 0 and grade(item, counters) is not Grade.ALARM:
                surplus -= 1
            else:
                rest.append(item)
        kept = rest
    return kept[-most:]


def _every_second_gauge(items: list[Taken], counters: Collection[str]) -> list[Taken]:
    keep_next: dict[tuple[str, str], bool] = {}
    kept: list[Taken] = []
    for item in reversed(items):
        if grade(item, counters) is Grade.GAUGE:
            key = item.component, item.signal
            keep = keep_next.get(key, True)
            keep_next[key] = not keep
            if not keep:
                continue
        kept.append(item)
    kept.reverse()
    return kept


class Thinner:
    """Between buffer and spool: coarser, the fuller the spool is. counters: the catalogue's."""

    def __init__(self, counters: Collection[str]) -> None:
        self._counters = counters
        self._every: dict[Grade, int] = {}
        self._kept_at: dict[tuple[str, str], int] = {}
        self._filling = Condition(log, "the spool has room again: every reading is kept")

    @property
    def active(self) -> bool:
        return bool(self._every)

    def keep(self, items: Iterable[Taken], fill: float) -> list[Taken]:
        """What is to be sealed of these. fill: of the spool, 0 to 1."""
        self._judge(fill)
        return [item for item in items if self._keeps(item)] if self._every else list(items)

    def _judge(self, fill: float) -> None:
        marks = {Grade.COUNTER: (COUNTERS_AT, COUNTER_EVERY_NS), Grade.GAUGE: (GAUGES_AT, GAUGE_EVERY_NS)}
        self._every = {
            which: every
            for which, (mark, every) in marks.items()
            if fill >= (mark * RELEASE if which in self._every else mark)
        }
        if self._every:
            self._filling.begins(
                f"the spool is {fill:.0%} full: counters are thinned first, then measurements; it is declared"
            )
        else:
            self._kept_at.clear()
            self._filling.ends()

    def _keeps(self, item: Taken) -> bool:
        every = self._every.get(grade(item, self._counters))
        if every is None:
            return True
        key = item.component, item.signal
        last = self._kept_at.get(key)
        if last is not None and item.up - last < every:
            return False
        self._kept_at[key] = item.up
        return True
