"""The rows of the log of states and incidents: what the fold appends and every figure is computed from. Append-only; a correction is a row
of its own beside what it corrects. Times are UTC ns.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

UP = ("in_service", "supply_low", "degraded")
"""States in which a terminal serves somebody."""
DOWN = ("out_of_service", "supervisor")
OFFLINE = "offline"
"""Up, down or unmonitored by its cause: see CAUSES."""
UNMONITORED = "unmonitored"
"""The terminal speaks, but a part that a function needs cannot be seen."""
PLANNED = "maintenance"
LIFE_CYCLE = ("not_commissioned", "spare", "repair", "retired")
"""Not in service by decision: no scheduled time, no alarms."""
STATES = (*UP, *DOWN, OFFLINE, UNMONITORED, PLANNED, *LIFE_CYCLE)

CAUSES = {
    "power": "down",
    "network": "down",
    "terminal": "down",
    "agent": "unmonitored",
    "monitoring": "unmonitored",
    "unknown": "unmonitored",
}
"""Why a terminal is offline, and what that time counts as. monitoring: the collector, its broker or its own line lost everybody at once."""


COUNTS_AS = ("up", "down", "planned", "unmonitored", "excluded")
"""What a correction may say of a stretch of time; excluded: out of the schedule."""


@dataclass(frozen=True, slots=True)
class StateChange:
    """A terminal's state from `since` on (the readings' time, which may lie before `at`, the journal's time at which it was known).

    state: of STATES; reason: rule id of the alarm that decided, or empty; party: of rules.PARTIES; cause: of CAUSES where the state is
    offline; lost: functions of its class that do not work; level: 1 to 3, 0 for none; readings: (component, signal, UTC ns) of what decided.
    kind: `state`, or `cause`: what was found out later about the offline time that began at `since`. why: of an offline one the evidence, in words.
    """

    terminal: str
    since: int
    at: int
    state: str
    reason: str = ""
    party: str = ""
    cause: str = ""
    lost: tuple[str, ...] = ()
    level: int = 0
    readings: tuple[tuple[str, str, int], ...] = ()
    kind: str = "state"
    why: str = ""


@dataclass(frozen=True, slots=True)
class IncidentEvent:
    """kind: `opened`, `joined`, `left`, `level`, `root`, `announced`, `note`, `notified`, `escalated`, `acknowledged`, `assigned`, `in_repair`, `held`,
    `resumed`, `restored`, `reopened`, `resolved`, `closed`, `verdict`, `absorbed`, `intermittent`, `steady`, `target_missed`, `split`, `merged`, `took_in`.
    detail: what belongs to it, such as by, alarm, role, step, reason, due, verdict.
    """

    incident: str
    kind: str
    at: int
    detail: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LateSpan:
    """Readings of a time in which the terminal was not heard, which came later: from since to until it was seen. reason: rule id of a
    level 1 or 2 fault that they show, empty where they show none; lost: functions that did not work.
    """

    terminal: str
    since: int
    until: int
    at: int
    reason: str = ""
    party: str = ""
    lost: tuple[str, ...] = ()
    level: int = 0


@dataclass(frozen=True, slots=True)
class Correction:
    """What a person says of a stretch of a terminal's time. n: its entry in the journal, which carries the signature; counts_as: of COUNTS_AS.
    Of two that overlap the later entry counts.
    """

    n: int
    terminal: str
    since: int
    until: int
    counts_as: str
    reason: str
    party: str
    by: str
    at: int
