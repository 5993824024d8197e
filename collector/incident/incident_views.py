"""What the console, the REST API and the command line show of alarms and incidents, beyond what read.py has. Read-only values.

Times are UTC nanoseconds, 0 for not yet; lengths are in seconds.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

from tillwatch.collector.alarm.rules import Rules
from tillwatch.collector.diagnosis.reading import DiagnosisReader
from tillwatch.collector.duty.policy import Policy
from tillwatch.collector.incident.applies import Part
from tillwatch.collector.incident.case import Line, Why
from tillwatch.collector.oversight import OversightReader
from tillwatch.collector.read import AlarmView, FleetReader, OutgoingView, RiskReader, TicketView
from tillwatch.collector.rollout.reading import RolloutReader
from tillwatch.collector.terminal.dossier import DossierReader
from tillwatch.collector.trust.reading import EnrolmentReader


@dataclass(frozen=True, slots=True)
class ClockView:
    """One clock of an incident. kind: `response` or `repair`; due: when its target is missed, 0 while a hold puts that off; gross_s, net_s: open
    time so far, net without the holds; state: `running`, `closed` (outside the hours in which it runs), `held`, `stopped`; missed: also where it was stopped too late.
    """

    kind: str
    start: int
    target_s: float
    due: int
    gross_s: float
    net_s: float
    stopped_at: int
    state: str
    missed: bool


@dataclass(frozen=True, slots=True)
class StepView:
    """One step of the escalation. due: when its turn comes, 0 where nobody knows or nothing comes of it any more; done: it was taken; nobody: there was nobody on duty for it."""

    kind: str
    role: str
    channels: tuple[str, ...]
    text: str
    due: int
    done: bool
    nobody: bool


@dataclass(frozen=True, slots=True)
class MemberView:
    """An alarm of an incident. role: `root`, `consequence` or `child`; until: 0 while it belongs to it."""

    role: str
    since: int
    until: int
    alarm: AlarmView


@dataclass(frozen=True, slots=True)
class IncidentView:
    """One incident as a list shows it. text: what is broken; cause: what led to a conclusion, in words; alarms: the open ones that belong to it; terminals: whom they
    concern; on_hold: the reason, empty while nothing holds it, hold_text: in words; settle_until: when it is told, while it may still turn out to be part of something wider; seq: counts
    what its ticket was told, so that whoever looked before somebody else did something can be told so.
    """

    id: str
    state: str
    level: int
    scope: str
    fault: str
    text: str
    cause: str
    region: str
    branch: str
    terminal: str
    component: str
    occurred_at: int
    opened_at: int
    settle_until: int
    announced_at: int
    responded_at: int
    repair_at: int
    restored_at: int
    resolved_at: int
    closed_at: int
    owner: str
    on_hold: str
    hold_text: str
    parent: str
    reopened: int
    intermittent: bool
    tamper: bool
    drill: bool
    verdict: str
    part: str
    alarms: int
    terminals: int
    clocks: tuple[ClockView, ...]
    ticket: TicketView
    seq: int = 0


@dataclass(frozen=True, slots=True)
class EventView:
    """One thing that happened to it. lines: what it was, in words of the catalogue."""

    at: int
    kind: str
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class IncidentFile:
    """Everything about one incident. cause, consequence, action: of the rule; parts: incidents that were told before this one explained them;
    more_members: those that are not listed; steps: of the escalation at its level; messages: to the ticket system and to people, newest first; on_duty: of the
    roles of these steps, who has them now; nobody where no one has.
    """

    view: IncidentView
    rule_cause: str
    consequence: str
    action: str
    members: tuple[MemberView, ...]
    more_members: int
    parts: tuple[str, ...]
    events: tuple[EventView, ...]
    steps: tuple[StepView, ...]
    messages: tuple[OutgoingView, ...]
    why: Why
    on_duty: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def parts_now(self) -> list[Part]:
        """Its alarms that belong to it now."""
        return [Part(each.alarm.id, each.role, each.alarm.rule) for each in self.members if not each.until]


def news(before: IncidentFile, after: IncidentFile) -> tuple[EventView, ...]:
    """What has happened to it since. The journal gives every act a time of its own."""
    last = max((each.at for each in before.events), default=0)
    return tuple(each for each in after.events if each.at > last)


def next_acts(view: IncidentView) -> list[str]:
    """The commands that would change something now."""
    name, acts = view.id, []
    if view.state in ("open", "acknowledged", "in_repair", "restored"):
        if not view.owner:
            acts.append(f"acknowledge {name}")
        if view.state in ("open", "acknowledged"):
            acts.append(f"repair {name}")
        acts.append(f"resume {name}" if view.on_hold else f"hold {name} --reason parts")
        acts.append(f"resolve {name} --verdict {'drill' if view.drill else 'true_fault'}")
    elif view.state == "resolved":
        acts.append(f"close {name}")
    return acts


@dataclass(frozen=True, slots=True)
class Addressed:
    """What the way of an incident's messages depends on beside the incident itself. told: (role, person, channel) of its last call, at called_at, UTC ns
    and 0 where nobody was called; connector: that has its ticket or is to make it, empty while none is.
    """

    terminal_class: str = ""
    told: tuple[tuple[str, str, str], ...] = ()
    called_at: int = 0
    connector: str = ""


@dataclass(frozen=True, slots=True)
class InForce:
    """What the collector goes by now."""

    rules: Rules
    policy: Policy


class IncidentReader(Protocol):
    """As FleetReader, of which it is part: every call sees one consistent state of the store. now: UTC ns, by which clocks are read. What is
    not known raises KeyError with its name.
    """

    def incidents(self, now: int, *, living: bool = True, limit: int = 500) -> tuple[list[IncidentView], int]:
        """Level 1 first, the newest first within a level; and how many there are. living: only those that are not settled."""
        ...

    def incident(self, corr_id: str, now: int) -> IncidentFile: ...

    def alarm(self, alarm: int) -> AlarmView: ...

    def find_incident(self, text: str) -> list[str]:
        """The ids that begin with this text, or have it behind their `HWM-`; the newest first."""
        ...

    def places_of(self, incidents: Collection[str]) -> Mapping[str, tuple[str, str]]:
        """Incident -> (branch, region); without those that are not there."""
        ...

    def asked(self, actor: str, request: str, since: int) -> str:
        """What became of the act of this person with this key, which was asked for at the earliest at this time, UTC ns: `waits` for the collector, `done`, or
        empty: there is none.
        """
        ...

    def forgotten(self) -> frozenset[int]:
        """Open alarms that somebody had taken on for longer than that counts: nobody has them any more."""
        ...

    def handled(self) -> int:
        """A number that changes whenever something happens to an incident: cheap, for live pages."""
        ...

    def in_force(self) -> InForce: ...

    def why(self, alarm: int, now: int) -> tuple[AlarmView, Why]:
        """Why somebody was told of an alarm, or why not."""
        ...


class ConsoleReader(
    FleetReader,
    IncidentReader,
    RiskReader,
    DossierReader,
    OversightReader,
    DiagnosisReader,
    EnrolmentReader,
    RolloutReader,
    Protocol,
):
    """All that the console may ask of the store. The contract is that of its parts."""
