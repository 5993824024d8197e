"""All that is kept about one alarm or incident, and what is said of it: lines, each a message of the catalogue with what is filled into it, so
that the command line, the API and the pages say the same, each in its reader's language.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tillwatch.collector.alarm.alarms import Alarm, AlarmEvent
from tillwatch.collector.alarm.rules import Rules
from tillwatch.collector.changes import Membership
from tillwatch.collector.duty.policy import Policy
from tillwatch.collector.duty.windows import Window
from tillwatch.collector.incident.incidents import Incident
from tillwatch.collector.read import OutgoingView, TicketView
from tillwatch.collector.records import IncidentEvent
from tillwatch.collector.terminal.fleet import IN_SERVICE

Values = Mapping[str, int | float | str]


@dataclass(frozen=True, slots=True)
class Line:
    """One reason. key: of the catalogue of messages. Of the values those whose name ends in `_at` are UTC ns, in `_s` seconds, in `_key` other
    keys of the catalogue, in `_rule` ids of rules, whose text is said; the rest is said as it is.
    """

    topic: str
    key: str
    values: Values = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Why:
    """told: `told`, `waits` or `not_told`. head: the answer; lines: what it rests on, topic by topic."""

    told: str
    head: Line
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Case:
    """at: now, UTC ns; terminal_class, life_cycle: of the terminal that it is on; windows: by id, the policy's
    and those that people made. members: also those that have ended.
    """

    at: int
    rules: Rules = field(repr=False)
    policy: Policy = field(repr=False)
    alarm: Alarm | None = None
    alarm_events: Sequence[AlarmEvent] = ()
    terminal_class: str = ""
    life_cycle: str = IN_SERVICE
    incident: Incident | None = None
    events: Sequence[IncidentEvent] = ()
    members: Sequence[Membership] = ()
    parent: Incident | None = None
    windows: Mapping[str, Window] = field(default_factory=dict)
    ticket: TicketView = field(default_factory=TicketView)
    messages: Sequence[OutgoingView] = ()

    @property
    def role(self) -> str:
        """Of the alarm in the incident: now, while it lasts, or at last, once it is over; empty where it is not part of it."""
        own = [each for each in self.members if self.alarm is not None and each.alarm == self.alarm.id]
        return next(
            (each.role for each in own if not each.until or (self.alarm is not None and not self.alarm.open)), ""
        )
