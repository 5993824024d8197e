"""When a condition comes and goes so often that telling of each turn would only make people stop reading. Pure, over the times of the turns:
raised and cleared alike (alarms.md 8; Nagios keeps 21 results for the same purpose).
"""

from __future__ import annotations

from tillwatch.collector.duty.policy import IncidentSettings

KEPT = 21
"""Turns that are kept: more than any site would ask for, and no more than fit beside an alarm."""

Turns = tuple[int, ...]
"""UTC ns, oldest first."""


def turned(turns: Turns, at: int) -> Turns:
    """One turn more."""
    return (*turns, at)[-KEPT:]


def begins(turns: Turns, at: int, settings: IncidentSettings) -> bool:
    return sum(each > at - settings.flap_within_ns for each in turns) >= settings.flap_enter


def calm_at(turns: Turns, settings: IncidentSettings) -> int:
    """When it will have ended if it does not turn again, UTC ns."""
    leave = settings.flap_leave
    return turns[-1 - leave] + settings.flap_quiet_ns if len(turns) > leave else 0
