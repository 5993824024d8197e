"""The store as one visitor may see it: only their part of the fleet, with serial numbers and addresses masked (people/masking.py). What is outside of it is not there (KeyError), so no answer tells that it
exists. Every question of the console passes here, and one that has no form here cannot be asked.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol, TypeVar

from tillwatch.collector.incident.case import Why
from tillwatch.collector.incident.incident_views import ConsoleReader, IncidentFile, IncidentView, InForce
from tillwatch.collector.people import masking
from tillwatch.collector.people.roles import Scope, Visitor
from tillwatch.collector.predict.finding import Finding, Grade, Record
from tillwatch.collector.predict.supplies import Stored
from tillwatch.collector.read import (
    AlarmView,
    ComponentView,
    Health,
    History,
    IdentityView,
    Mark,
    OutgoingView,
    RiskView,
    StoredReadings,
    TerminalView,
    Touched,
    WaitingView,
)
from tillwatch.collector.records import Correction
from tillwatch.collector.terminal.asset import MASK
from tillwatch.collector.web.scope.scoped_diagnosis import ScopedDiagnosis
from tillwatch.collector.web.scope.scoped_dossier import ScopedDossiers
from tillwatch.collector.web.scope.scoped_enrolment import ScopedEnrolment
from tillwatch.collector.web.scope.scoped_oversight import ScopedOversight
from tillwatch.collector.web.scope.scoped_rollout import ScopedRollouts

MOST_WAITING = 5_000
"""Messages among which those of one part of the fleet are looked for; more wait only where a desk has been down for long."""
MORE = 4
"""Times as many are read where too few of them are within."""
FEW = 20
"""Places looked up one by one; for more the whole map is read."""


class _OfTerminal(Protocol):
    """What belongs to one terminal."""

    @property
    def terminal(self) -> str: ...


_T = TypeVar("_T", bound=_OfTerminal)


class ScopedReader(ScopedDossiers, ScopedOversight, ScopedDiagnosis, ScopedEnrolment, ScopedRollouts):
    """A ConsoleReader. Limits of lists are kept: more is read where some of it is left out."""

    def __init__(self, whole: ConsoleReader, visitor: Visitor) -> None:
        self._whole = whole
        self._visitor = visitor

    @property
    def _scope(self) -> Scope:
        return self._visitor.scope

    def _check(self, terminal: str) -> None:
        if not self._scope.whole:
            branch, region = self._whole.places({terminal}).get(terminal, ("", ""))
            if not self._scope.covers(branch, region):
                raise KeyError(terminal)

    def _within(self, found: Iterable[_T]) -> list[_T]:
        listed = list(found)
        if self._scope.whole:
            return listed
        names = {each.terminal for each in listed}
        places = self._whole.places(names if len(names) <= FEW else None)
        return [each for each in listed if self._scope.covers(*places.get(each.terminal, ("", "")))]

    def _enough(self, ask: Callable[[int], Sequence[_T]], limit: int) -> list[_T]:
        """As many as are asked for of what is within, though others stand before them."""
        asked = limit
        while True:
            found = ask(asked)
            own = self._within(found)
            if self._scope.whole or len(own) >= limit or len(found) < asked:
                return own[:limit]
            asked *= MORE

    # The fleet.

    def terminals(self) -> Sequence[TerminalView]:
        return [view for view in self._whole.terminals() if self._scope.covers(view.branch, view.region)]

    def terminals_of(self, only: Collection[str]) -> Sequence[TerminalView]:
        return [view for view in self._whole.terminals_of(only) if self._scope.covers(view.branch, view.region)]

    def touched(self, since: Mark | None) -> Touched:
        found = self._whole.touched(since)
        if self._scope.whole or found.terminals is None:
            return found
        return found._replace(terminals=frozenset(self.places(set(found.terminals))))

    def terminal(self, terminal: str) -> TerminalView:
        view = self._whole.terminal(terminal)
        if not self._scope.covers(view.branch, view.region):
            raise KeyError(terminal)
        return view

    def places(self, only: set[str] | None = None) -> Mapping[str, tuple[str, str]]:
        return {name: place for name, place in self._whole.places(only).items() if self._scope.covers(*place)}

    def components(self, terminal: str) -> Sequence[ComponentView]:
        self._check(terminal)
        found = self._whole.components(terminal)
        shown = masking.names(view.name for view in found)
        return [masking.component_shown(view, shown[view.name]) for view in found]

    def _real(self, terminal: str, component: str) -> str:
        """The name of a component that may have been shown masked."""
        if MASK not in component:
            return component
        shown = masking.names(view.name for view in self._whole.components(terminal))
        return next((name for name, said in shown.items() if said == component), component)

    def identity(self, terminal: str) -> IdentityView:
        self._check(terminal)
        view = self._whole.identity(terminal)
        return replace(view, two_machines=masking.hidden(view.two_machines))

    def history(self, terminal: str, component: str, signal: str, start: int, end: int) -> History:
        self._check(terminal)
        found = self._whole.history(terminal, self._real(terminal, component), signal, start, end)
        points = tuple(
            replace(each, value=masking.shown(signal, each.value)) if isinstance(each.value, str) else each
            for each in found.points
        )
        return replace(found, component=component, points=points)

    def readings(self, terminal: str, component: str, signal: str, at: int, count: int) -> StoredReadings:
        self._check(terminal)
        found = self._whole.readings(terminal, self._real(terminal, component), signal, at, count)
        shown = tuple(
            replace(each, value=masking.shown(signal, each.value)) if isinstance(each.value, str) else each
            for each in found.readings
        )
        return replace(found, readings=shown)

    def supplies(self, signals: Collection[str]) -> Sequence[Stored]:
        return [each for each in self._whole.supplies(signals) if self._scope.covers(each.branch, each.region)]

    def corrections(self, terminal: str | None = None) -> Sequence[Correction]:
        if terminal is not None:
            self._check(terminal)
        return self._within(self._whole.corrections(terminal))

    # Alarms and incidents.

    def alarms(self, *, terminal: str | None = None, open_only: bool = True, limit: int = 500) -> Sequence[AlarmView]:
        if terminal is not None:
            self._check(terminal)
        found = self._enough(lambda n: self._whole.alarms(terminal=terminal, open_only=open_only, limit=n), limit)
        return [masking.alarm_shown(view) for view in found]

    def alarm(self, alarm: int) -> AlarmView:
        view = self._whole.alarm(alarm)
        self._check(view.terminal)
        return masking.alarm_shown(view)

    def why(self, alarm: int, now: int) -> tuple[AlarmView, Why]:
        view, why = self._whole.why(alarm, now)
        self._check(view.terminal)
        return masking.alarm_shown(view), why

    def incidents(self, now: int, *, living: bool = True, limit: int = 500) -> tuple[list[IncidentView], int]:
        found, total = self._whole.incidents(now, living=living, limit=limit)
        if self._scope.whole:
            return [_shown(view) for view in found], total
        if total > len(found):
            found, total = self._whole.incidents(now, living=living, limit=total)
        own = [view for view in found if self._scope.covers(view.branch, view.region)]
        return [_shown(view) for view in own[:limit]], len(own)

    def incident(self, corr_id: str, now: int) -> IncidentFile:
        file = self._whole.incident(corr_id, now)
        if not self._scope.covers(file.view.branch, file.view.region):
            raise KeyError(corr_id)
        return replace(file, view=_shown(file.view))

    def find_incident(self, text: str) -> list[str]:
        found = self._whole.find_incident(text)
        if self._scope.whole:
            return found
        own = {view.id for view in self.incidents(0, living=False, limit=len(found))[0]} if found else set()
        return [each for each in found if each in own]

    def places_of(self, incidents: Collection[str]) -> Mapping[str, tuple[str, str]]:
        return {each: at for each, at in self._whole.places_of(incidents).items() if self._scope.covers(*at)}

    def asked(self, actor: str, request: str, since: int) -> str:
        return self._whole.asked(actor, request, since)

    def forgotten(self) -> frozenset[int]:
        """Numbers say nothing of what is outside: they are looked up among the alarms that are listed."""
        return self._whole.forgotten()

    def handled(self) -> int:
        return self._whole.handled()

    def in_force(self) -> InForce:
        return self._whole.in_force()

    # What is foreseen.

    def at_risk(self, *, branch: str | None = None, region: str | None = None, limit: int = 500) -> Sequence[RiskView]:
        return self._enough(lambda n: self._whole.at_risk(branch=branch, region=region, limit=n), limit)

    def findings(self, terminal: str | None = None, *, open_only: bool = True, limit: int = 500) -> Sequence[Finding]:
        if terminal is not None:
            self._check(terminal)
        return self._enough(lambda n: self._whole.findings(terminal, open_only=open_only, limit=n), limit)

    def finding(self, number: str) -> Finding:
        found = self._whole.finding(number)
        self._check(found.terminal)
        return found

    def records(self) -> Sequence[Record]:
        return self._whole.records()

    def grades(self) -> Sequence[Grade]:
        return self._within(self._whole.grades())

    def foretold(self) -> tuple[int, int]:
        return self._whole.foretold()

    def watched_since(self) -> int:
        return self._whole.watched_since()

    # The monitoring itself.

    def health(self) -> Health:
        return self._whole.health()

    def waiting(self) -> Sequence[WaitingView]:
        return self._whole.waiting()

    def undone(self) -> tuple[int, int]:
        return self._whole.undone()

    def outgoing(
        self, *, connector: str | None = None, limit: int = 500, offset: int = 0
    ) -> tuple[list[OutgoingView], int]:
        if self._scope.whole:
            return self._whole.outgoing(connector=connector, limit=limit, offset=offset)
        found, _ = self._whole.outgoing(connector=connector, limit=MOST_WAITING)
        places = self._whole.places_of({each.incident for each in found})
        own = [each for each in found if self._scope.covers(*places.get(each.incident, ("", "")))]
        return own[offset : offset + limit], len(own)

    def revision(self) -> int:
        return self._whole.revision()


def _shown(view: IncidentView) -> IncidentView:
    component, text = masking.hidden(view.component), masking.hidden(view.text)
    return view if (component, text) == (view.component, view.text) else replace(view, component=component, text=text)
