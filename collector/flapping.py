"""When a condition comes and goes so often that telling of each turn would only make people stop reading. Pure, over the times of the turns:
raised and cleared alike (alarms.md 8; Nagios keeps 21 results for the same purpose).
"""

from __future__ import annotations

WITHIN_NS = 30 * 60 * 10**9
ENTER = 5
"""Turns within WITHIN_NS from which on it flaps."""
CALM_NS = 60 * 60 * 10**9
LEAVE = 1
"""Turns within CALM_NS down to which it has ended."""
KEPT = 21
"""Turns that are kept: more than ENTER within any window would be counted from."""

Turns = tuple[int, ...]
"""UTC ns, oldest first."""


def turned(turns: Turns, at: int) -> Turns:
    """One turn more; what no window reaches any more is gone."""
    return (*(each for each in turns if each > at - CALM_NS), at)[-KEPT:]


def begins(turns: Turns, at: int) -> bool:
    return sum(each > at - WITHIN_NS for each in turns) >= ENTER


def calm_at(turns: Turns) -> int:
    """When it will have ended if it does not turn again, UTC ns."""
    return turns[-1 - LEAVE] + CALM_NS if len(turns) > LEAVE else turns[-1] if turns else 0
