"""How a branch did on the last seven days, from the same log and by the same rules as the figures of a month: bounded by the branch, so that it is computed
where it is asked for, one at a time and beside the event loop, and kept for some minutes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

from tillwatch.collector.duty.calendars import instant
from tillwatch.collector.figures.rollup import Scope, compute
from tillwatch.collector.figures.rows import read_log, read_policy
from tillwatch.collector.figures.shares import Shares
from tillwatch.collector.store.db import Where
from tillwatch.collector.store.reading import reading

DAYS = 7
KEPT_NS = 10 * 60 * 10**9
"""For how long a week holds: of its seven days one goes on."""
MAX_KEPT = 256
"""Branches whose week is kept: those that are looked at now."""


@dataclass(frozen=True, slots=True)
class Day:
    """[start, end) in UTC ns, by the clocks of the policy's zone. shares: by the network definition, that the terminal does not say "out of service"."""

    start: int
    end: int
    shares: Shares


@dataclass(frozen=True, slots=True)
class Week:
    """computed_at: UTC ns."""

    days: tuple[Day, ...]
    computed_at: int


def week_of(where: Where, branch: str, now: int) -> Week:
    """Read and computed anew. Raises StoreError and sqlite3.Error."""
    with closing(reading(where)) as db:
        policy = read_policy(db)
        zone = ZoneInfo(policy.zone)
        today = datetime.fromtimestamp(now // 10**9, UTC).astimezone(zone).date().toordinal()
        edges = [instant(zone, day, 0) for day in range(today - DAYS + 1, today + 2)]
        scope = Scope("branch", branch)
        log = read_log(db, edges[0], now, [scope])
    days = []
    for start, end in pairwise(edges):
        computed = compute(log, policy, start, min(end, now))
        figures = computed.figures.get(scope)
        days.append(Day(start, end, figures.availability.parts["network"].shares if figures is not None else Shares()))
    return Week(tuple(days), now)


class Weeks:
    """Of the branches that are looked at. where: None where nothing can be computed."""

    def __init__(self, where: Where | None, now: Callable[[], int]) -> None:
        self._where = where
        self._now = now
        self._kept: dict[str, Week] = {}
        self._one = asyncio.Lock()

    async def of(self, branch: str) -> Week | None:
        """None without a store to compute from."""
        if self._where is None:
            return None
        async with self._one:
            kept = self._kept.get(branch)
            if kept is None or self._now() - kept.computed_at > KEPT_NS:
                kept = await asyncio.to_thread(week_of, self._where, branch, self._now())
                if len(self._kept) >= MAX_KEPT:
                    self._kept.clear()
                self._kept[branch] = kept
            return kept
