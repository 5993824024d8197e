"""A history made fit to be shown or handed out: bounded in points, with its extremes kept and its gaps left open. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from tillwatch.collector.read import History, Point

SECOND = 1_000_000_000
HOUR = 3600 * SECOND

GAP_FACTOR = 3.0
"""Two readings lost in a row are a hole worth showing; one late reading is jitter."""


def thin(history: History, limit: int) -> tuple[History, int]:
    """At most about `limit` points and how many points went into others. Numbers keep mean, least, most and n of each bucket; words keep each change.

    A missing value (None) stays a point of its own, so a hole is never averaged away.
    """
    points = history.points
    if len(points) <= limit:
        return history, 0
    if any(isinstance(point.value, str) for point in points):
        kept = [
            point for k, point in enumerate(points) if k in {0, len(points) - 1} or point.value != points[k - 1].value
        ]
        kept = kept[-limit:]  # the newest changes: what an engineer asks for first
        return replace(history, points=tuple(kept)), len(points) - len(kept)
    width = max(1, (points[-1].at - points[0].at) // max(1, limit // 2) + 1)
    out: list[Point] = []
    bucket: list[Point] = []
    slot = -1
    for point in points:
        here = (point.at - points[0].at) // width
        if bucket and (here != slot or point.value is None):
            out.append(_merge(bucket))
            bucket = []
        slot = here
        if point.value is None:
            if not out or out[-1].value is not None:
                out.append(point)
        else:
            bucket.append(point)
    if bucket:
        out.append(_merge(bucket))
    return replace(history, points=tuple(out)), len(points) - len(out)


def _merge(bucket: Sequence[Point]) -> Point:
    if len(bucket) == 1:
        return bucket[0]
    n = sum(max(point.n, 1) for point in bucket)
    total = sum(float(point.value) * max(point.n, 1) for point in bucket if isinstance(point.value, int | float))
    lows = [low for point in bucket if (low := _low(point)) is not None]
    highs = [high for point in bucket if (high := _high(point)) is not None]
    return Point(bucket[len(bucket) // 2].at, total / n, min(lows, default=None), max(highs, default=None), n)


def _low(point: Point) -> float | None:
    return (
        point.least if point.least is not None else float(point.value) if isinstance(point.value, int | float) else None
    )


def _high(point: Point) -> float | None:
    return (
        point.most if point.most is not None else float(point.value) if isinstance(point.value, int | float) else None
    )


def gap_after(history: History, interval_s: float) -> int:
    """The distance of two points, ns, past which the line is broken. The component's own interval decides; without one, the usual distance."""
    if history.resolution == "hour":
        usual = HOUR
    elif interval_s > 0:
        usual = int(interval_s * SECOND)
    else:
        usual = 0
    distances = [b.at - a.at for a, b in pairwise(history.points)]
    if distances:  # after thinning the buckets are wider than the interval
        usual = max(usual, int(statistics.median(distances)))
    return int(usual * (1.5 if history.resolution == "hour" else GAP_FACTOR))


def gaps(points: Sequence[Point], longest: int) -> list[tuple[int, int]]:
    """The holes, UTC ns: longer than `longest` between two values, or wherever a reading says that there was no value."""
    holes: list[tuple[int, int]] = []
    valued = [point.at for point in points if point.value is not None]
    missing = [point.at for point in points if point.value is None]
    k = 0
    for start, end in pairwise(valued):
        while k < len(missing) and missing[k] <= start:
            k += 1
        if end - start > longest or (k < len(missing) and missing[k] < end):
            holes.append((start, end))
    return holes
