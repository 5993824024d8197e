"""From what a counter says to what was consumed. A counter is set back by service, wraps at 32 or 64 bits, lies once, or comes out of order; consumption
is never negative, nothing is counted twice, and what cannot be true is said and not counted. Two forms with the same rules: one counter a reading,
and many counters a day.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

WRAPS = (2**32, 2**64)
"""Counter32 and Counter64 of SMIv2 (RFC 2578, 7.1.6 and 7.1.10)."""
NEAR = 1 / 16
"""A counter in the last sixteenth before its wrap, and in the first one after it, wrapped. Anything further off is more likely set back."""
RESET = 0.5
"""What fell to less than half began anew. A young counter that lost its last hour in a power cut keeps more than that."""
LEARNED = 8
"""Increments until the highest plausible rate is known well enough to doubt what is beyond it."""
JUMP = 20.0
"""Times the highest rate seen that a counter may rise. The busiest day of a terminal is some five times a usual one."""
NO_JUMP = 0.01
"""A rise by less than this share of the counter is never doubted: a hundredth of a part's life tells nothing wrong."""
FORGETTING = 0.99
"""Of the highest rate, at each increment: after some hundred increments a burst counts for a third."""
CONFIRMING = 3
"""Readings in a row below the highest one, until the lower count is taken as the counter."""
GAP_NS = 3 * 86_400 * 10**9
"""Longer than a weekend: what was consumed meanwhile is known, not when."""


class Event(IntEnum):
    """What a reading was. COUNTED, RESET, WRAPPED, GAP and REBASED may carry an increment; the others carry none.

    BACKWARDS: lower than before, by too little for a reset. REBASED: it stayed lower; what it rose meanwhile is counted. JUMPED: too much to be true.
    SETTLED: the counter stayed where it had jumped to; the jump is not counted. LATE: not newer than the reading before. BAD: no count.
    """

    FIRST = 0
    COUNTED = 1
    GAP = 2
    RESET = 3
    WRAPPED = 4
    BACKWARDS = 5
    REBASED = 6
    JUMPED = 7
    SETTLED = 8
    LATE = 9
    BAD = 10


@dataclass(frozen=True, slots=True)
class CounterState:
    """at: UTC ns of the last reading; anchor: the count from which the next increment is taken, and its time; rate: highest plausible rate, counts a ns;
    learned: increments seen; low, below: the lowest of the `below` readings in a row beneath the anchor; doubted: a count that is too high, 0 for none.
    """

    at: int
    anchor: float
    anchored: int
    rate: float = 0.0
    learned: int = 0
    low: float = 0.0
    below: int = 0
    doubted: float = 0.0


def step(state: CounterState | None, at: int, value: float) -> tuple[CounterState | None, float, Event]:
    """One reading, its time in UTC ns. Returns the new state, what was consumed since the anchor, and what the reading was."""
    if not 0 <= value < WRAPS[-1]:
        return state, 0, Event.BAD
    if state is None:
        return CounterState(at, value, at), 0, Event.FIRST
    if at <= state.at:
        return state, 0, Event.LATE
    lasted = at - state.anchored
    rise = value - state.anchor
    if rise >= 0:
        if _plausible(state, rise, lasted):
            return _counted(state, at, value, rise, Event.GAP if lasted > GAP_NS else Event.COUNTED)
        if state.doubted and value >= state.doubted:
            return replace(state, at=at, anchor=value, anchored=at, low=0.0, below=0, doubted=0.0), 0, Event.SETTLED
        return replace(state, at=at, low=0.0, below=0, doubted=value), 0, Event.JUMPED
    for modulus in WRAPS:
        wrapped = value + modulus - state.anchor
        if (
            modulus * (1 - NEAR) <= state.anchor < modulus
            and value < modulus * NEAR
            and _plausible(state, wrapped, lasted)
        ):
            return _counted(state, at, value, wrapped, Event.WRAPPED)
    if value < state.anchor * RESET and _plausible(state, value, lasted):
        return _counted(state, at, value, value, Event.RESET)
    low = min(state.low, value) if state.below else value
    if state.below + 1 < CONFIRMING:
        return replace(state, at=at, low=low, below=state.below + 1, doubted=0.0), 0, Event.BACKWARDS
    return replace(state, at=at, anchor=value, anchored=at, low=0.0, below=0, doubted=0.0), value - low, Event.REBASED


def _plausible(state: CounterState, rise: float, lasted: int) -> bool:
    return state.learned < LEARNED or rise <= max(JUMP * state.rate * lasted, NO_JUMP * state.anchor)


def _counted(
    state: CounterState, at: int, value: float, increment: float, event: Event
) -> tuple[CounterState, float, Event]:
    rate, learned = state.rate, state.learned
    if increment > 0:
        rate = max(rate * FORGETTING, increment / (at - state.anchored))
        learned = min(learned + 1, LEARNED)
    return CounterState(at, value, at, rate, learned), increment, event


@dataclass(slots=True)
class Counters:
    """Many counters, one row each: the members of CounterState as float64 arrays, times in days (nan: not seen yet). `step_day` writes into it."""

    day: NDArray[np.float64]
    anchor: NDArray[np.float64]
    anchored: NDArray[np.float64]
    rate: NDArray[np.float64]
    learned: NDArray[np.int8]
    low: NDArray[np.float64]
    below: NDArray[np.int8]
    doubted: NDArray[np.float64]


GAP_DAYS = GAP_NS / (86_400 * 10**9)


def unseen(count: int) -> Counters:
    """State of so many counters before their first reading."""
    nothing, zero = np.full(count, np.nan), np.zeros(count)
    return Counters(
        nothing, nothing.copy(), nothing.copy(), zero, np.zeros(count, np.int8), zero.copy(), np.zeros(count, np.int8), zero.copy()
    )  # fmt: skip


def step_day(
    counters: Counters, day: float, values: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.int8]]:
    """One day of all counters, by the rules of `step`. values: the last count of the day, nan where none came. Returns increments (float64) and
    events (int8, BAD where none came). An increment over a gap is of all its days.
    """
    c = counters
    with np.errstate(invalid="ignore"):
        usable = (values >= 0) & (values < WRAPS[-1])
        fresh = usable & np.isnan(c.day)
        late = usable & (day <= c.day)
        lasted = day - c.anchored
        rise = values - c.anchor
        known = usable & ~fresh & ~late
        most = np.where(c.learned < LEARNED, np.inf, np.maximum(JUMP * c.rate * lasted, NO_JUMP * c.anchor))
        up = known & (rise >= 0)
        counted = up & (rise <= most)
        settled = up & ~counted & (c.doubted > 0) & (values >= c.doubted)
        jumped = up & ~counted & ~settled
        down = known & (rise < 0)
        wrapped, increment = np.zeros(len(values), bool), np.where(counted, rise, 0.0)
        for modulus in WRAPS:
            over = values + modulus - c.anchor
            near = (c.anchor >= modulus * (1 - NEAR)) & (c.anchor < modulus) & (values < modulus * NEAR)
            this = down & ~wrapped & near & (over <= most)
            wrapped |= this
            increment[this] = over[this]
        reset = down & ~wrapped & (values < c.anchor * RESET) & (values <= most)
        increment[reset] = values[reset]
        lower = down & ~wrapped & ~reset
        low = np.where(c.below > 0, np.minimum(c.low, values), values)
        rebased = lower & (c.below + 1 >= CONFIRMING)
        backwards = lower & ~rebased
    increment[rebased] = (values - low)[rebased]
    events = np.full(len(values), int(Event.BAD), np.int8)
    gap = counted & (lasted > GAP_DAYS)
    for event, where in (
        (Event.FIRST, fresh), (Event.LATE, late), (Event.COUNTED, counted), (Event.GAP, gap), (Event.SETTLED, settled), (Event.JUMPED, jumped),
        (Event.WRAPPED, wrapped), (Event.RESET, reset), (Event.REBASED, rebased), (Event.BACKWARDS, backwards),
    ):  # fmt: skip
        events[where] = int(event)
    accepted = counted | wrapped | reset
    rose = accepted & (increment > 0)
    c.rate[rose] = np.maximum(c.rate * FORGETTING, increment / np.where(rose, lasted, 1.0))[rose]
    c.learned[rose] = np.minimum(c.learned[rose] + 1, LEARNED)
    moved = accepted | settled | rebased | fresh
    c.anchor[moved] = values[moved]
    c.anchored[moved] = day
    c.below[moved | jumped] = 0
    c.below[backwards] += 1
    c.low[backwards] = low[backwards]
    c.doubted[moved | backwards] = 0.0
    c.doubted[jumped] = values[jumped]
    c.day[known | fresh] = day
    return increment, events


def consumption(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int8]]:
    """Of daily last counts (counters x days, nan where none came, oldest first): what was consumed each day (nan where it is not known) and the events.

    What was consumed over days without a reading is spread evenly over them, so that the day after them does not look like a busy one.
    """
    rows, days = values.shape
    counters = unseen(rows)
    used, events = np.full((rows, days), np.nan), np.empty((rows, days), np.int8)
    for day in range(days):
        before = counters.anchored.copy()
        increment, events[:, day] = step_day(counters, float(day), values[:, day])
        known = np.isin(events[:, day], _CARRYING)
        used[known, day] = increment[known]
        over_gap = known & (day - before > 1)
        for last in np.unique(before[over_gap]).astype(int):
            rows_of = np.flatnonzero(over_gap & (before == last))
            used[rows_of, last + 1 : day + 1] = (increment[rows_of] / (day - last))[:, None]
    return used, events


_CARRYING = np.array([Event.COUNTED, Event.GAP, Event.RESET, Event.WRAPPED, Event.REBASED], np.int8)
