"""Limits with hysteresis and duration: a value beyond a step for `for_ns` raises its level, a value back inside by the deadband for
`hold_ns` clears it. Between readings time alone decides: `settle` is called when the state's due time has come, and nothing said otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Step:
    """Beyond `limit` (above it, or below it where the rule looks downwards) the condition has `level` (1 is the gravest)."""

    limit: float
    level: int


@dataclass(frozen=True, slots=True)
class Limits:
    """What is compared. above, below: steps, mildest first; words: a state word -> level; judged: the judgement of who read it -> level, for
    all but the words that have a level of their own, which may be 0. Of a judgement and a step the graver counts.
    """

    above: Sequence[Step] = ()
    below: Sequence[Step] = ()
    words: Mapping[str, int] | None = None
    judged: Mapping[int, int] | None = None
    deadband: float = 0.0
    for_ns: int = 0
    hold_ns: int = 0


@dataclass(frozen=True, slots=True)
class LimitState:
    """level: the confirmed one, 0 for normal; wanted: what the latest value asks for; since: UTC ns since when it asks for that;
    value and at: the reading that asked last.
    """

    level: int = 0
    wanted: int = 0
    since: int = 0
    at: int = 0
    value: int | float | str = 0


QUIET = LimitState()


def graver(one: int, other: int) -> int:
    """The graver of two levels, of which 0 is normal."""
    return min(one, other) if one and other else one or other


def level_of(limits: Limits, level: int, value: float | str | None, judged: int) -> int:
    """The level that a value asks for. level: the confirmed one, whose own limit is eased by the deadband: the hysteresis."""
    if limits.words is not None and isinstance(value, str) and (named := limits.words.get(value)) is not None:
        return named
    said = limits.judged.get(judged, 0) if limits.judged is not None else 0
    if value is None or isinstance(value, str):
        return said
    asked = 0
    for step in limits.above:
        ease = limits.deadband if level and level <= step.level else 0.0
        if value > step.limit - ease:
            asked = step.level
    for step in limits.below:
        ease = limits.deadband if level and level <= step.level else 0.0
        if value < step.limit + ease:
            asked = step.level
    return graver(said, asked)


def step(limits: Limits, state: LimitState, at: int, value: float | str, judged: int, *, beside: int = 0) -> LimitState:
    """One reading, its corrected time in UTC ns. The time an abnormal value has lasted goes on when it asks for another level.

    beside: the level that the other signals of the same rule ask for.
    """
    asked = graver(level_of(limits, state.level, value, judged), beside)
    if asked == state.level:
        if asked == state.wanted:
            return state
        return replace(state, wanted=asked, since=at, at=at, value=value)
    lasting = state.wanted != state.level and (asked == state.wanted or (not state.level and asked and state.wanted))
    since = state.since if lasting else at
    return settle(limits, LimitState(state.level, asked, since, at, value), at)


def settle(limits: Limits, state: LimitState, now: int) -> LimitState:
    """Confirm what has been asked for long enough. now: UTC ns."""
    due = due_at(limits, state)
    if due is None or now < due:
        return state
    return replace(state, level=state.wanted)


def due_at(limits: Limits, state: LimitState) -> int | None:
    """When the level changes if nothing says otherwise, or None."""
    if state.wanted == state.level:
        return None
    return state.since + (limits.for_ns if state.wanted else limits.hold_ns)
