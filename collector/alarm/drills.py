"""What of the alarms is practice: faults that somebody injected carry a flag from the reading to the ticket, so that they reach no desk and count
in no figure. Pure names and one decision; the fold asks it, the watchdog speaks by it.
"""

from __future__ import annotations

WATCHDOG = "watchdog"
"""The class of the terminals that watchdogs are enrolled as."""
SIGNAL = "drill.fault"
NONE, FAULT = "none", "fault"
"""Its words in the catalogue."""
RULE = "monitoring.drill"
"""What it raises."""
DEVICE = "drill"


def injected(terminal_class: str, rule: str) -> bool:
    """Whether an alarm of this rule, on a terminal of this class, is a drill by itself. Both must hold: the silence of a watchdog is a fault of the
    monitoring that people must hear of, and an ATM that sends the signal is no watchdog.
    """
    return terminal_class == WATCHDOG and rule == RULE
