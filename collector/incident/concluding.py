"""Causes that nobody reports: many terminals of a branch that fall silent together have one line, several branches one region, nearly all of them
the monitoring itself. What is concluded is an incident without an alarm of its own; the alarms that led to it are its symptoms.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Protocol

from tillwatch.collector.alarm import alarms
from tillwatch.collector.alarm.alarms import Alarm
from tillwatch.collector.alarm.rules import BRANCH_UNREACHABLE, FLEET_UNREACHABLE, INFERRED, REGION_UNREACHABLE, Rule
from tillwatch.collector.book import Book, Place
from tillwatch.collector.duty.policy import IncidentSettings
from tillwatch.collector.incident import incidents
from tillwatch.collector.incident.following import Following
from tillwatch.collector.incident.incidents import (
    BRANCH,
    FLEET,
    REGION,
    RESTORED,
    SETTLING,
    SYMPTOM,
    TERMINAL,
    Incident,
)
from tillwatch.collector.terminal.fleet import Fleet
from tillwatch.collector.tickets.message import Op, say


class _Child(Protocol):
    """Makes an alarm a symptom of an incident."""

    def __call__(self, incident: Incident, alarm: Alarm, at: int) -> None: ...


class Concluding:
    """child: makes an alarm a symptom of an incident."""

    def __init__(self, book: Book, fleet: Fleet, following: Following, child: _Child) -> None:
        self._book = book
        self._fleet = fleet
        self._following = following
        self._child = child

    def explaining(self, rule: Rule, alarm: Alarm) -> Iterator[Incident]:
        """The open incidents that were concluded for its surroundings and would explain it, widest first."""
        terminal = self._fleet.terminals[alarm.terminal]
        places = [(FLEET_UNREACHABLE, ""), (REGION_UNREACHABLE, terminal.region)]
        places += [(fault, terminal.branch) for fault in INFERRED.values()]
        for place in places:
            incident, fault = self._book.incidents.get(self._book.concluded.get(place, "")), self._book.rule(place[0])
            if incident is None or fault is None or fault.explains not in rule.symptom_of:
                continue
            if incident.living and incident.state != RESTORED and not incident.parent:
                yield incident

    def common(self, rule: Rule, alarm: Alarm, at: int, beside: str) -> bool:
        """Whether by now there are enough alarms of its kind in its branch to conclude one cause; it is its symptom then."""
        if not rule.common:
            return False
        terminal = self._fleet.terminals[alarm.terminal]
        place = (INFERRED[rule.common], terminal.branch)
        last = self._book.concluded.get(place, "")
        if last and (last == beside or self._book.apart(alarm, last)):
            return False  # it was released from that very cause, or told apart: what is left is broken by itself
        alike = self._alike(rule, alarm, terminal.branch)
        window = self._book.policy.incident.infer_within_ns
        near = [each for each in alike if abs(each.since - alarm.since) <= window]
        size = self._size(rule, terminal.branch)
        if not _branch_lost(len(near), size, self._book.policy.incident):
            return False
        cause = f"{len(near)} of {size} within {window // 10**9} s"
        incident = self._conclude(place, BRANCH, terminal.branch, terminal.region, near, cause, at)
        if place[0] == BRANCH_UNREACHABLE:
            self._widen(incident, at)
        return True

    def _alike(self, rule: Rule, alarm: Alarm, branch: str) -> list[Alarm]:
        """The open alarms of its kind in the branch that nothing else explains, one of a terminal."""
        found: dict[str, Alarm] = {}
        for name in sorted(self._book.topology.terminals_of(branch)):
            for key in sorted(self._book.of_terminal.get(name, ())):
                other, relation = self._book.alarms[key], self._book.rule(key[0])
                if not other.open or relation is None or relation.common != rule.common:
                    continue
                if other.key == alarm.key or (other.muted is None and not other.mask(alarms.FLAPPING)):
                    found.setdefault(name, other)
        return list(found.values())

    def _size(self, rule: Rule, branch: str) -> int:
        """How many terminals of the branch could say so: all, or those with a device that tells one of the rule's signals."""
        names = [name for name in self._book.topology.terminals_of(branch) if self._fleet.terminals[name].in_service]
        if not rule.signals:
            return len(names)
        signals = set(rule.signals)
        parts = (self._fleet.terminals[name].components.values() for name in names)
        return sum(any(not signals.isdisjoint(part.series) for part in each) for each in parts)

    def _conclude(
        self, place: Place, scope: str, branch: str, region: str, children: list[Alarm], cause: str, at: int
    ) -> Incident:
        fault, rule = place[0], self._book.rules.by_id[place[0]]
        level = min((rule.limits.words or {}).values(), default=2)
        last = self._book.incidents.get(self._book.concluded.get(place, ""))
        since = min(each.since for each in children)
        settle = max((self._settle_until(each) for each in children), default=at)
        over = incidents.over_since(last) if last is not None else 0
        if last is not None and last.announced and at - over <= self._book.policy.incident.verify_ns:
            back = replace(incidents.reopen(last, at), cause=cause, level=level)
            incident = self._book.put_incident(back, "reopened", at, settled=back.reopened > last.reopened, cause=cause)
            self._following.tell(incident.corr_id, Op.OPEN, at, say("fault_back"))
        else:
            episode = last.episode + 1 if last is not None else 1
            incident = Incident(
                incidents.correlation_id(place[1], "", "", fault, episode), "", branch, level, SETTLING, at, 0, 0, region=region,
                scope=scope, fault=fault, episode=episode, occurred_at=since, settle_until=max(settle, at), cause=cause,
            )  # fmt: skip
            self._book.put_incident(incident, "opened", at, fault=fault, level=level, cause=cause)
            before = self._book.conclude(incident)
            if before is not None:
                self._following.follow_up(before.corr_id, at)
        for each in children:
            self._child(incident, each, at)
        self._following.follow_up(incident.corr_id, at)
        return self._book.incidents[incident.corr_id]

    def _settle_until(self, alarm: Alarm) -> int:
        incident = self._book.incidents.get(alarm.incident)
        return incident.settle_until if incident is not None and incident.state == SETTLING else 0

    def before_told(self, incident: Incident, at: int) -> None:
        """Once more: since it was concluded everybody else may have fallen silent, and each of them was explained by then."""
        rule = self._book.rule(incident.fault)
        if incident.fault in (BRANCH_UNREACHABLE, REGION_UNREACHABLE):
            self._widen(incident, at)
        elif incident.scope == TERMINAL and rule is not None and INFERRED.get(rule.common) == BRANCH_UNREACHABLE:
            window = self._book.policy.incident.infer_within_ns
            near = (each for each in self._unreachable() if abs(each.occurred_at - incident.occurred_at) <= window)
            if (concluded := next(near, None)) is not None:
                self._widen(concluded, at)

    def _widen(self, branch: Incident, at: int) -> None:
        """From branches to their region, and from there to everybody."""
        settings = self._book.policy.incident
        everybody = [t for t in self._fleet.terminals.values() if t.in_service and t.connection != "new"]
        lost = [t for t in everybody if t.connection != "online"]
        near = [
            each
            for each in self._unreachable()
            if abs(each.occurred_at - branch.occurred_at) <= settings.infer_within_ns
        ]
        branches = len({each.branch for each in lost})
        if near and _fleet_lost(len(lost), len(everybody), branches, settings):
            self._merge(
                (FLEET_UNREACHABLE, ""),
                FLEET,
                "",
                near,
                f"{len(lost)} of {len(everybody)} terminals of {branches} branches",
                at,
            )
            return
        near = [each for each in near if each.region == branch.region and each.scope == BRANCH]
        if _region_lost(len(near), settings):
            self._merge(
                (REGION_UNREACHABLE, branch.region),
                REGION,
                branch.region,
                near,
                f"{len(near)} branches within {settings.infer_within_ns // 10**9} s",
                at,
            )

    def _unreachable(self) -> list[Incident]:
        found = (
            self._book.incidents.get(corr)
            for (fault, _), corr in sorted(self._book.concluded.items())
            if fault in (BRANCH_UNREACHABLE, REGION_UNREACHABLE)
        )
        return [
            each for each in found if each is not None and each.living and each.state != RESTORED and not each.parent
        ]

    def _merge(self, place: Place, scope: str, region: str, parts: list[Incident], cause: str, at: int) -> None:
        told = [each for each in parts if each.announced]
        children = [alarm for each in parts if not each.announced for alarm in self._book.of(each.corr_id)]
        if not children:
            return
        children += self._strays(region, min(each.occurred_at for each in parts))
        wide = self._conclude(place, scope, "", region, children, cause, at)
        for each in parts:
            if each in told:
                self._book.put_incident(replace(each, parent=wide.corr_id), "note", at, parent=wide.corr_id)
                self._following.tell(each.corr_id, Op.UPDATE, at, say("explained", incident=wide.corr_id))

    def _strays(self, region: str, since: int) -> Iterator[Alarm]:
        """Who was lost at that time in branches of which too few are lost by now to conclude anything, and was not told yet."""
        for name, terminal in sorted(self._fleet.terminals.items()):
            for key in sorted(self._book.of_terminal.get(name, ())) if not region or terminal.region == region else ():
                alarm, rule = self._book.alarms[key], self._book.rule(key[0])
                incident = self._book.incidents.get(alarm.incident)
                if rule is None or INFERRED.get(rule.common) != BRANCH_UNREACHABLE or not alarm.open or alarm.muted:
                    continue
                near = abs(alarm.since - since) <= self._book.policy.incident.infer_within_ns
                if near and incident is not None and incident.state == SETTLING and incident.scope == TERMINAL:
                    yield alarm

    def lasts(self, incident: Incident) -> bool:
        """Whether what is left of its symptoms still bears the conclusion."""
        left = [*self._book.of(incident.corr_id, SYMPTOM), *self._linked(incident)]
        settings = self._book.policy.incident
        if incident.scope != BRANCH:
            return _region_lost(len({self._fleet.terminals[each.terminal].branch for each in left}), settings)
        alike = {
            each.terminal: rule
            for each in left
            if (rule := self._book.rule(each.rule)) is not None and INFERRED.get(rule.common) == incident.fault
        }
        rule = next(iter(alike.values()), None)
        return rule is not None and _branch_lost(len(alike), self._size(rule, incident.branch), settings)

    def _linked(self, incident: Incident) -> Iterator[Alarm]:
        """The alarms of incidents that were told before the cause was known, and belong to it."""
        for each in self._book.parts.get(incident.corr_id, ()):
            yield from self._book.of(each)


def _branch_lost(lost: int, size: int, settings: IncidentSettings) -> bool:
    """Enough for one cause: a share of the branch, and no fewer than a few; of a branch that has no more than two, all."""
    return lost >= min(max(settings.infer_least, math.ceil(settings.infer_share * size)), max(size, 2))


def _region_lost(branches: int, settings: IncidentSettings) -> bool:
    return branches >= settings.region_least


def _fleet_lost(lost: int, size: int, branches: int, settings: IncidentSettings) -> bool:
    """Nearly everybody, in more than one branch: it is not they."""
    return branches >= max(2, settings.region_least) and lost >= settings.fleet_share * size
