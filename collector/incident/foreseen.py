"""The part of the fold that keeps what is foreseen apart from what is broken, and brings both together where they are one cause: while a fault is
open near what was foreseen, the prediction is explained by the fault's incident and has no ticket of its own. The fault's incident keeps its
own times: nobody was late for it in the days in which it was only to be expected.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Protocol

from tillwatch.collector.alarm.alarms import CHILD, Alarm
from tillwatch.collector.alarm.rules import PREDICTED, Rule, together
from tillwatch.collector.book import Book
from tillwatch.collector.incident.following import Following
from tillwatch.collector.incident.incidents import CONSEQUENCE, ROOT, SETTLING, TERMINAL, Incident
from tillwatch.collector.tickets.message import Op, say


class Explain(Protocol):
    """Make an alarm part of an incident that explains it. Called within the fold, at the time `at` (UTC ns)."""

    def __call__(self, incident: Incident, alarm: Alarm, at: int) -> None: ...


class End(Protocol):
    """An incident is over. since: by the readings' time. Called within the fold, at the time `at` (UTC ns)."""

    def __call__(self, incident: Incident, since: int, at: int) -> None: ...


class Foreseen:
    def __init__(self, book: Book, following: Following, explain: Explain, end: End) -> None:
        self._book = book
        self._following = following
        self._explain = explain
        self._end = end

    def explained(self, rule: Rule, alarm: Alarm, at: int, beside: str) -> bool:
        """A prediction rises: whether what it foresees is broken already. beside: not by this incident, which has ended."""
        if rule.id not in PREDICTED:
            return False
        for fault in self._near(alarm):
            incident = self._book.incidents.get(fault.incident)
            if fault.rule in rule.follows and together(rule.within, alarm.component, fault.component):
                if incident is None or incident.corr_id == beside or not self._stands(incident, fault):
                    continue
                self._take(incident, alarm, at)
                return True
        return False

    def came_true(self, rule: Rule, fault: Alarm, at: int) -> None:
        """A fault has its incident: what foresaw it near by belongs to that from now on."""
        incident = self._book.incidents.get(fault.incident)
        if rule.id in PREDICTED or incident is None or not self._stands(incident, fault):
            return
        for each in list(self._near(fault)):
            foresaw = self._book.rule(each.rule) if each.rule in PREDICTED else None
            if foresaw is None or each.mask(CHILD) is not None or each.muted is not None:
                continue
            if rule.id in foresaw.follows and together(foresaw.within, each.component, fault.component):
                self._take(incident, each, at)

    def _near(self, alarm: Alarm) -> Iterator[Alarm]:
        """The other open alarms of its terminal; a drill is near drills only."""
        for key in sorted(self._book.of_terminal.get(alarm.terminal, ())):
            other = self._book.alarms[key]
            if other.open and other.key != alarm.key and other.drill == alarm.drill:
                yield other

    def _stands(self, incident: Incident, fault: Alarm) -> bool:
        """Whether the fault is what its incident is about: what is itself explained elsewhere explains nothing."""
        own = fault in self._book.of(incident.corr_id, ROOT, CONSEQUENCE)
        return own and incident.living and incident.scope == TERMINAL

    def _take(self, incident: Incident, alarm: Alarm, at: int) -> None:
        """Its own incident, of which somebody was told, ends with it and says where it goes on; one that nobody knows of is dropped (handling.py)."""
        former = self._book.incidents.get(alarm.incident)
        if former is not None and former.corr_id != incident.corr_id and former.living and former.state != SETTLING:
            self._book.leave(alarm, at)
            if not self._book.of(former.corr_id, ROOT, CONSEQUENCE):
                after = self._book.put_incident(
                    replace(former, parent=incident.corr_id), "note", at, parent=incident.corr_id
                )
                titles = self._following.teller.titles(incident)
                says = say("explained_titled", incident=incident.corr_id, **titles)
                self._following.tell(after.corr_id, Op.UPDATE, at, says)
                self._end(self._book.incidents[after.corr_id], at, at)
        self._explain(incident, self._book.alarms[alarm.key], at)
