"""What the readings of a batch make of a series: its latest value, and the sums of the hour that is open. The path that every reading takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tillwatch.agent.model import MS, Quality, Value
from tillwatch.agent.wire import Column
from tillwatch.collector.changes import HOUR_MS, Rollup, Ticks
from tillwatch.collector.terminal.fleet import Series

Name = tuple[str, str, str]
"""Of a series: terminal, component, signal."""


@dataclass(frozen=True, slots=True)
class Seen:
    """Of one batch. at: when it was received, UTC ns; ahead: what is from later than this is from the future; corrected: ms."""

    at: int
    ahead: int
    historical: bool
    corrected: int


def keep(
    rollups: list[Rollup], name: Name, column: Column, series: Series, tick: Ticks, seen: Seen
) -> tuple[float, float] | None:
    """Latest value and open hour. Hours that are over, and late ones, go to rollups in the order in which they came.

    Returns least and most of the column where it is numbers, good ones, of the open hour: the common case.
    """
    values: list[Any] = column.values
    bounds = None
    if tick.hour == series.hour and column.numeric and column.odd is None and series.at <= tick.newest <= seen.ahead:
        least, most = bounds = min(values), max(values)
        series.n += len(values)
        series.total += float(sum(values))
        if series.least is None or least < series.least:
            series.least = least
        if series.most is None or most > series.most:
            series.most = most
        series.last, series.last_at = values[-1], tick.last
    else:
        for t, value in zip(tick.at, values, strict=True):
            # Where it can be, one number for all series of the terminal: each batch compares it with that of every series.
            _count(rollups, name, series, t, t // HOUR_MS if tick.hour < 0 else tick.hour, value, seen)
    newest, position = tick.newest, tick.position
    if newest > seen.ahead:
        newest, position = max(((t * MS, i) for i, t in enumerate(tick.at) if t * MS <= seen.ahead), default=(-1, 0))
    # Order is by sequence: what a live batch brings is later than all before it, also where a clock was set back meanwhile.
    if newest >= series.at or (newest >= 0 and not seen.historical):
        quality, state = (
            column.odd.get(position, (column.quality, column.state)) if column.odd else (column.quality, column.state)
        )
        if seen.corrected and quality is Quality.GOOD:
            quality = Quality.CLOCK_SUSPECT
        series.at, series.value, series.received = newest, values[position], seen.at
        series.quality, series.state, series.corrected = int(quality), int(state), seen.corrected
    return bounds


def _count(rollups: list[Rollup], name: Name, series: Series, at_ms: int, hour: int, value: Value, seen: Seen) -> None:
    terminal, component, signal = name
    # An hour is opened by what is latest: never by the future, and backwards by a live batch only, whose clock was set back.
    if at_ms * MS <= seen.ahead and (hour > series.hour or (hour < series.hour and not seen.historical)):
        if series.hour >= 0:
            rollups.append((terminal, component, series.hour, signal, series.rollup()))
        series.open_hour(hour)
    number = float(value) if isinstance(value, int | float) else None
    if hour != series.hour:
        row = [int(number is not None), number or 0.0, number, number, value, at_ms * MS]
        rollups.append((terminal, component, hour, signal, row))
        return
    if number is not None:
        series.n += 1
        series.total += number
        series.least = number if series.least is None else min(series.least, number)
        series.most = number if series.most is None else max(series.most, number)
    series.last, series.last_at = value, at_ms * MS
