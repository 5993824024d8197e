"""What one group of entries changed, and the times that the columns of a batch share: what the parts of the fold hand each other."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tillwatch.agent.model import MS
from tillwatch.collector.alarm.alarms import Alarm, AlarmEvent
from tillwatch.collector.alarm.alarms import Key as AlarmKey
from tillwatch.collector.diagnosis.order import Order
from tillwatch.collector.incident.incidents import Incident
from tillwatch.collector.predict.finding import Finding, Grade, Record
from tillwatch.collector.records import Correction, IncidentEvent, LateSpan, StateChange
from tillwatch.collector.rollout.states import Bundle, Member, Rollout
from tillwatch.collector.terminal.asset import Note
from tillwatch.collector.tickets.message import TicketMessage
from tillwatch.collector.trust.expected import Expected, Grant, RefusedClaim

HOUR_MS = 3_600_000

Rollup = tuple[str, str, int, str, list[Any]]
"""(terminal, component, hour, signal, [n, sum, min, max, last, last_at]): to be merged, in this order."""


class Ticks(NamedTuple):
    """Times that columns share. at: corrected, UTC ms; hour: that of all of them, -1 if they lie in two; newest: UTC ns, at position;
    last: UTC ns of the last one.
    """

    at: list[int]
    hour: int
    newest: int
    position: int
    last: int


def ticks_of(at: list[int], correction: int) -> Ticks:
    if correction:
        at = [t + correction for t in at]
    first, last, newest = min(at), at[-1], max(at)
    hour = first // HOUR_MS
    position = len(at) - 1 if last == newest else at.index(newest)
    return Ticks(at, hour if hour == newest // HOUR_MS else -1, newest * MS, position, last * MS)


@dataclass(frozen=True, slots=True)
class Membership:
    """An alarm's part in an incident. role: see incidents.py; until: UTC ns, 0 while it lasts."""

    incident: str
    alarm: int
    rule: str
    terminal: str
    component: str
    role: str
    since: int
    until: int


@dataclass(slots=True)
class Dirty:
    """What one group of entries changed, for the store to keep in the same transaction. gaps: (UTC ns, UTC ns) that the journal's time went
    from one to the other at a start, or when the clock was set; outages: those of them in which the collector was away; backlogs: see late.py, packed;
    retries: (incident or empty for all, connector or empty) of messages that a person wants tried again now. findings, grades, hit_rates: by id, terminal,
    and (detector, kind of part); foretold: (position, part, findings left out) of what the predictions said last, see foretelling.py.
    assets: the device file of each terminal, packed (asset.py), None for one that was emptied.
    """

    terminals: set[str] = field(default_factory=set)
    keys: set[tuple[str, bytes]] = field(default_factory=set)
    streams: set[tuple[str, bytes]] = field(default_factory=set)
    components: set[tuple[str, str]] = field(default_factory=set)
    limits: set[AlarmKey] = field(default_factory=set)
    alarms: dict[int, Alarm] = field(default_factory=dict)
    events: list[AlarmEvent] = field(default_factory=list)
    incidents: dict[str, Incident] = field(default_factory=dict)
    rollups: list[Rollup] = field(default_factory=list)
    messages: list[TicketMessage] = field(default_factory=list)
    tickets: list[dict[str, Any]] = field(default_factory=list)
    retries: list[tuple[str, str]] = field(default_factory=list)
    gaps: list[tuple[int, int]] = field(default_factory=list)
    incident_events: list[IncidentEvent] = field(default_factory=list)
    memberships: dict[tuple[str, int], Membership] = field(default_factory=dict)
    states: list[StateChange] = field(default_factory=list)
    late: list[LateSpan] = field(default_factory=list)
    backlogs: dict[AlarmKey, bytes | None] = field(default_factory=dict)
    outages: list[tuple[int, int]] = field(default_factory=list)
    corrections: list[Correction] = field(default_factory=list)
    assets: dict[str, bytes | None] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)
    windows: dict[str, bytes | None] = field(default_factory=dict)
    findings: dict[str, Finding] = field(default_factory=dict)
    grades: dict[str, Grade | None] = field(default_factory=dict)
    hit_rates: dict[tuple[str, str], Record] = field(default_factory=dict)
    foretold: tuple[int, int, int] | None = None
    commands: dict[int, Order] = field(default_factory=dict)
    bundles: dict[int, Bundle] = field(default_factory=dict)
    rollouts: dict[int, Rollout] = field(default_factory=dict)
    members: dict[str, Member] = field(default_factory=dict)
    expected: dict[str, Expected | None] = field(default_factory=dict)
    grants: dict[str, Grant] = field(default_factory=dict)
    refused_claims: dict[str, RefusedClaim | None] = field(default_factory=dict)
    rules: bool = False
