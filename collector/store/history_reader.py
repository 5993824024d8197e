"""The history of one signal: out of the sealed batches of the log, and of long spans out of the hourly roll-ups."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from operator import attrgetter
from typing import Any

import msgpack

from tillwatch.agent.model import MS
from tillwatch.agent.wire import WireError, frame_of, split_frame, stored_column
from tillwatch.collector.changes import HOUR_MS
from tillwatch.collector.read import Point
from tillwatch.collector.store import bodies, rollups
from tillwatch.collector.store.db import Db
from tillwatch.collector.store.sqlite import merge
from tillwatch.collector.terminal.fleet import Component

log = logging.getLogger(__name__)

READINGS_SPAN_NS = 48 * 3600 * 10**9
"""Longer histories come from the roll-ups: two days of readings are what a chart can show."""
MAX_POINTS = 20_000
"""Readings in one answer; where there are more, the roll-ups answer."""
_SEGMENT = "SELECT bodies FROM segment WHERE terminal = ? AND kind = 3 AND t1 >= ? AND t0 <= ?"


def points(db: Db, terminal: str, component: str, signal: str, start: int, end: int) -> tuple[list[Point], str]:
    """What it was from start to end, UTC ns, in order, and of what each point is one: a `reading`, or an `hour` of them. Raises KeyError for what the
    component never told.
    """
    row = db.execute("SELECT state FROM component WHERE terminal = ? AND name = ?", (terminal, component)).fetchone()
    kept = Component.unpack(component, row[0]) if row else None
    if kept is None or signal not in kept.series:
        raise KeyError(f"{terminal} {component} {signal}")
    readings = _readings(db, terminal, component, signal, start, end) if end - start <= READINGS_SPAN_NS else None
    if readings is not None:
        return readings, "reading"
    return _hours(db, terminal, kept, signal, start, end), "hour"


def _readings(db: Db, terminal: str, component: str, signal: str, start: int, end: int) -> list[Point] | None:
    """Out of the sealed batches, or None if there are more than MAX_POINTS, or some were retired."""
    first, last = start // MS, end // MS
    span = (terminal, first, last)
    if db.execute(f"{_SEGMENT} AND retired_n IS NOT NULL LIMIT 1", span).fetchone():
        return None
    points: list[Point] = []
    for body, correction in _bodies(db, span, component, signal):
        try:
            column = stored_column(body, component, signal)
        except WireError as error:
            log.error("terminal %s: a batch of the log cannot be read and is left out: %s", terminal, error)
            continue
        if column is None:
            continue
        numeric = column.numeric
        for at, value in zip(column.at, column.values, strict=True):
            if first <= at + correction <= last:
                number = float(value) if numeric or isinstance(value, int | float) else None  # type: ignore[arg-type]  # numeric says so
                points.append(Point((at + correction) * MS, value, number, number, 1))
        if len(points) > MAX_POINTS:
            return None
    return sorted(points, key=attrgetter("at"))


def _bodies(
    db: Db, span: tuple[str, int, int], component: str, signal: str
) -> Iterator[tuple[bytes | dict[str, Any], int]]:
    """Body and correction of each batch that may hold the signal and whose corrected reading times touch a span (terminal, first and last
    UTC ms).
    """
    for (blob,) in db.execute(f"{_SEGMENT} AND retired_n IS NULL ORDER BY t1, id", span):
        try:
            yield from bodies.slices(blob, component, signal)
        except bodies.BodiesError as error:
            log.error("terminal %s: a segment of the log is left out, it %s", span[0], error)
    for facts, payload in db.execute(
        "SELECT facts, payload FROM journal WHERE terminal = ? AND kind = 3 AND payload IS NOT NULL AND t1 >= ? AND t0 <= ? ORDER BY n",
        span,
    ):
        yield split_frame(frame_of(payload))[1], int(msgpack.unpackb(facts).get("correction_ms", 0))


def _hours(db: Db, terminal: str, kept: Component, signal: str, start: int, end: int) -> list[Point]:
    key = msgpack.packb(signal)
    rows = [
        (hour, rollups.member(packed, key, signal))
        for hour, packed in db.execute(
            "SELECT hour, signals FROM rollup WHERE terminal = ? AND component = ? AND hour BETWEEN ? AND ? ORDER BY hour",
            (terminal, kept.name, start // MS // HOUR_MS, end // MS // HOUR_MS),
        )
    ]
    series = kept.series[signal]
    if start // MS // HOUR_MS <= series.hour <= end // MS // HOUR_MS:
        # The open hour may have been left and come back to, by a clock that was set back.
        kept_of = next((row for hour, row in rows if hour == series.hour), None)
        rows = [row for row in rows if row[0] != series.hour] + [(series.hour, merge(kept_of, series.rollup()))]
    points = []
    for hour, row in rows:
        if row is not None:
            n, total, least, most, value, _ = row
            mean = total / n if n else value
            if isinstance(mean, float) and not math.isfinite(mean):
                mean = None  # the sum of an hour outgrew a float; its extremes are still true
            points.append(Point(hour * HOUR_MS * MS, mean, least, most, n or 1))
    return points
