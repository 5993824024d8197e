"""What is open: alarms, the incidents that they belong to, and what of both has changed since it was last kept. The state that alarming.py and
handling.py share; how it changes stands there.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from tillwatch.collector.alarm.alarms import Alarm, AlarmEvent
from tillwatch.collector.alarm.alarms import Key as AlarmKey
from tillwatch.collector.alarm.rules import EXTERNAL, UNSTAFFED, Rule, Rules, parse_rules
from tillwatch.collector.changes import Dirty, Membership
from tillwatch.collector.duty.policy import Policy, parse_policy
from tillwatch.collector.incident.incidents import TERMINAL, Incident
from tillwatch.collector.incident.topology import Topology
from tillwatch.collector.records import IncidentEvent

Place = tuple[str, str]
"""(fault, branch or region, or the connector)."""


SEEN = ("acknowledged", "resolved", "closed")
"""What is said of an incident, and with it of its alarms that are over: somebody has seen them."""


@dataclass(slots=True)
class Book:
    """alarms: the last episode of each condition; incidents: those that live, and those that a fault that comes back would reopen; members: the
    open alarms of each; parts: those that a wider one explains, but were told before; concluded: the incident that was concluded last for each fault of a
    branch, a region or everybody; alerts: the last incident of each alert of another system; count: the last alarm's number; touched: terminals whose state may have changed; eased: of those, when what was bad
    ended by the readings' own time.
    """

    rules: Rules = field(default_factory=parse_rules)
    policy: Policy = field(default_factory=parse_policy)
    topology: Topology = field(default_factory=Topology)
    alarms: dict[AlarmKey, Alarm] = field(default_factory=dict)
    of_terminal: dict[str, set[AlarmKey]] = field(default_factory=dict)
    incidents: dict[str, Incident] = field(default_factory=dict)
    members: dict[str, dict[AlarmKey, Membership]] = field(default_factory=dict)
    parts: dict[str, set[str]] = field(default_factory=dict)
    concluded: dict[Place, str] = field(default_factory=dict)
    alerts: dict[str, str] = field(default_factory=dict)
    count: int = 0
    touched: set[str] = field(default_factory=set)
    eased: dict[str, int] = field(default_factory=dict)
    dirty: Dirty = field(default_factory=Dirty)

    def tables(self, shipped: str = "", site: str = "", policy: tuple[str, str] | None = None) -> dict[str, str]:
        """The texts that it judges by, or the ones that are to come, as a RulesChanged entry has them. policy: shipped, site's own; None: as it is."""
        if not shipped:
            shipped, site = self.rules.shipped, self.rules.text
        shipped_policy, site_policy = policy or (self.policy.shipped, self.policy.text)
        return {"shipped": shipped, "site": site, "shipped_policy": shipped_policy, "policy": site_policy}

    def rule(self, name: str) -> Rule | None:
        return self.rules.by_id.get(name)

    def put(self, alarm: Alarm, kind: str, at: int, detail: dict[str, object]) -> None:
        """Keep the alarm as it is now, and the event that made it so."""
        self.alarms[alarm.key] = alarm
        self.of_terminal.setdefault(alarm.terminal, set()).add(alarm.key)
        self.dirty.alarms[alarm.id] = alarm
        self.dirty.terminals.add(alarm.terminal)
        self.touched.add(alarm.terminal)
        if kind == "cleared":
            self.ease(alarm.terminal, alarm.since)
        self.dirty.events.append(AlarmEvent(alarm.id, kind, at, alarm.level, detail))

    def ease(self, terminal: str, at: int) -> None:
        """Something that made its state worse has ended."""
        self.touched.add(terminal)
        self.eased[terminal] = max(at, self.eased.get(terminal, 0))

    def unlist(self, alarm: Alarm) -> Alarm:
        """One that is over leaves the list."""
        gone = self.alarms[alarm.key] = self.dirty.alarms[alarm.id] = replace(alarm, returned=False)
        return gone

    def load(self, alarm: Alarm) -> None:
        self.alarms[alarm.key] = alarm
        self.of_terminal.setdefault(alarm.terminal, set()).add(alarm.key)
        self.count = max(self.count, alarm.id)

    def put_incident(self, incident: Incident, kind: str = "", at: int = 0, **detail: object) -> Incident:
        """The same of an incident; without a kind nothing that belongs into its history has changed."""
        self.incidents[incident.corr_id] = self.dirty.incidents[incident.corr_id] = incident
        self._index(incident)
        if kind in SEEN:
            for key in sorted(self.of_terminal.get(incident.terminal, ())):
                alarm = self.alarms[key]
                if alarm.returned and alarm.incident == incident.corr_id:
                    self.put(replace(alarm, returned=False), "acknowledged", at, {"with": incident.corr_id, **detail})
        if kind:
            self.dirty.incident_events.append(IncidentEvent(incident.corr_id, kind, at, detail))
        return incident

    def join(self, incident: str, alarm: Alarm, role: str, at: int) -> Alarm:
        """Make an alarm part of an incident; it leaves the one that it was part of."""
        known = self.members.get(incident, {}).get(alarm.key)
        if known is not None and known.role == role:
            return alarm
        if alarm.incident and alarm.incident != incident:
            self.leave(alarm, at)
        member = Membership(incident, alarm.id, alarm.rule, alarm.terminal, alarm.component, role, at, 0)
        self.members.setdefault(incident, {})[alarm.key] = member
        self.dirty.memberships[incident, alarm.id] = member
        self.dirty.incident_events.append(
            IncidentEvent(
                incident,
                "joined",
                at,
                {"alarm": alarm.id, "role": role, "terminal": alarm.terminal, "since": alarm.since},
            )
        )
        joined = replace(alarm, incident=incident)
        self.alarms[alarm.key] = self.dirty.alarms[alarm.id] = joined
        return joined

    def leave(self, alarm: Alarm, at: int) -> None:
        """It is over, or has gone to another incident."""
        member = self.members.get(alarm.incident, {}).pop(alarm.key, None)
        if member is not None:
            self.dirty.memberships[alarm.incident, alarm.id] = replace(member, until=at)
            self.dirty.incident_events.append(IncidentEvent(alarm.incident, "left", at, {"alarm": alarm.id}))

    def send_on(self, alarm: Alarm, incident: str) -> None:
        """One that is over goes to this incident when it comes back."""
        self.alarms[alarm.key] = self.dirty.alarms[alarm.id] = replace(alarm, incident=incident)

    def of(self, incident: str, *roles: str) -> list[Alarm]:
        """Its open alarms, of these roles or of all, gravest and oldest first."""
        members = self.members.get(incident, {})
        found = [self.alarms[key] for key, member in members.items() if not roles or member.role in roles]
        return sorted(found, key=lambda alarm: (alarm.level, alarm.id))

    def apart(self, alarm: Alarm, corr_id: str) -> bool:
        """Whether people said that the incident which the alarm is part of, or was last, has nothing to do with this one."""
        own = self.incidents.get(alarm.incident)
        return own is not None and corr_id in own.apart

    def load_incident(self, incident: Incident) -> None:
        self.incidents[incident.corr_id] = incident
        self._index(incident)

    def _index(self, incident: Incident) -> None:
        if incident.parent:
            self.parts.setdefault(incident.parent, set()).add(incident.corr_id)
        if incident.alert:
            last = self.incidents.get(self.alerts.get(incident.alert, ""))
            if last is None or last.opened_at <= incident.opened_at:
                self.alerts[incident.alert] = incident.corr_id

    def adopt(self, former: str, corr_id: str, at: int) -> None:
        """What was explained by one incident is explained by another one, which has taken that in."""
        for each in sorted(self.parts.pop(former, ())):
            if each in self.incidents:
                self.put_incident(replace(self.incidents[each], parent=corr_id), "note", at, parent=corr_id)

    def conclude(self, incident: Incident) -> Incident | None:
        """It is the last one of its place now, where it is of one; the one before, which nothing can reopen any more."""
        if not _counted(incident):
            return None
        place = _place(incident)
        before, self.concluded[place] = self.concluded.get(place, ""), incident.corr_id
        return self.incidents.get(before)

    def lasting(self, incident: Incident) -> bool:
        """Whether it is known for ever: the next one of its place counts its episodes on."""
        return _counted(incident) and self.concluded.get(_place(incident)) == incident.corr_id

    def forget(self, corr_id: str) -> None:
        """It is settled, and nothing can reopen it any more."""
        incident = self.incidents.pop(corr_id)
        self.members.pop(corr_id, None)
        self.parts.pop(corr_id, None)
        if incident.parent:
            self.parts.get(incident.parent, set()).discard(corr_id)
        if self.alerts.get(incident.alert) == corr_id:
            del self.alerts[incident.alert]


def _place(incident: Incident) -> Place:
    return incident.fault, incident.branch or incident.region or incident.component


def _counted(incident: Incident) -> bool:
    """Whether it was concluded for a branch, a region or everybody, and the next one counts on from it. A gap in the roster has its day,
    an alert of another system its moment.
    """
    return incident.scope != TERMINAL and incident.fault not in (UNSTAFFED, EXTERNAL)
