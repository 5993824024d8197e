"""The predictions in the simulated year: the engine beside the fold, fed as the follower feeds it, and what it said. Nothing here judges."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from tillwatch.agent.wire import Opened
from tillwatch.collector.alarm.alarms import MAINTENANCE
from tillwatch.collector.alarm.rules import PREDICTED
from tillwatch.collector.book import Book
from tillwatch.collector.changes import Dirty
from tillwatch.collector.incident.incidents import CONSEQUENCE, ROOT
from tillwatch.collector.predict.engine import Engine, Said
from tillwatch.collector.predict.finding import CLOSED, Finding, Grade, Happened
from tillwatch.collector.predict.settings import Tables, parse_tables
from tillwatch.collector.simulate.fleet import Unit
from tillwatch.collector.simulate.site import ZONE

OFF, SHADOW, ON = "off", "shadow", "on"
"""No engine; it says what it sees and nobody is told; it opens tickets, and people go."""
TURNS = frozenset({"raised", "recurred", "cleared"})
SERVICE = "service"
"""`purpose` of a life that is an interval of service (predict/lives.toml)."""


@dataclass(slots=True)
class Told:
    """One finding over its life. first: as it was when it was first told with the right to a ticket; at: UTC ns of that; ended: 0 while it is open; service: it asks for
    work that is due, and does not say that anything fails.
    """

    first: Finding
    at: int
    ended: int = 0
    service: bool = False


@dataclass(slots=True)
class Foretold:
    """All that was said. told: by id, of findings that had the right to a ticket; demoted: how many never had it; grades: the last of each terminal."""

    tables: Tables
    told: dict[str, Told] = field(default_factory=dict)
    demoted: set[str] = field(default_factory=set)
    grades: dict[str, Grade] = field(default_factory=dict)
    limits: dict[str, int] = field(default_factory=dict)

    def add(self, said: Said, at: int) -> None:
        self.limits |= said.limits
        self.grades |= {grade.terminal: grade for grade in said.grades}
        for finding in said.findings:
            known = self.told.get(finding.id)
            if known is None and finding.status != CLOSED:
                if finding.demoted:
                    self.demoted.add(finding.id)
                else:
                    # Its evidence is in the journal where there is one; half a year of it would not fit in memory.
                    slim = replace(finding, readings=(), factors=(), values={})
                    self.told[finding.id] = Told(slim, at, service=finding.values.get("purpose") == SERVICE)
            elif known is not None:
                known.ended = (finding.ended or at) if finding.status == CLOSED else 0

    def due_service(self, terminal: str, component: str) -> bool:
        """Whether work is asked for there now."""
        return any(
            told.service and not told.ended and (told.first.terminal, told.first.component) == (terminal, component)
            for told in self.told.values()
        )


class Foresight:
    """acts: what it says opens tickets."""

    def __init__(self, units: Iterable[Unit], *, acts: bool) -> None:
        self.acts = acts
        tables = parse_tables()
        self.foretold = Foretold(tables)
        self._engine = Engine(tables)
        self._parts: dict[int, tuple[str, str, str]] = {}
        self._own: dict[str, dict[int, str]] = {}
        for unit in units:
            self._engine.place(unit.name, unit.branch, unit.region, unit.kind, ZONE)

    def read(self, opened: Opened, at: int, *, historical: bool) -> None:
        """An accepted batch."""
        self._engine.read(opened.header.terminal, opened.columns, at, historical=historical)

    def operated(self, at: int, action: str, terminal: str, value: str) -> None:
        if action == "life-cycle":
            self._engine.happened(Happened(at, "life_cycle", terminal, value=value))
        elif action == "enrol":
            self._engine.happened(Happened(at, "enrolled", terminal))

    def heard(self, dirty: Dirty, book: Book, since: tuple[int, int]) -> tuple[int, int]:
        """What the fold found since so many events of alarms and of incidents, as `predict/events.py` reads it from the store; how many there are now."""
        alarms, incidents = since
        events = dirty.events[alarms:]
        planned = {e.alarm for e in events if e.kind == "not told" and e.detail.get("because") == MAINTENANCE}
        for event in events:
            alarm = dirty.alarms[event.alarm]
            if event.kind not in TURNS or alarm.drill:
                continue
            self._parts[alarm.id] = alarm.terminal, alarm.component, alarm.rule
            if alarm.rule not in PREDICTED and event.alarm not in planned:
                what = "cleared" if event.kind == "cleared" else "raised"
                self._happened(book, event.at, what, alarm.id, level=event.level)
        for one in dirty.incident_events[incidents:]:
            if one.kind == "joined":
                self._own.setdefault(one.incident, {})[int(one.detail["alarm"])] = str(one.detail["role"])
            elif one.kind in {"verdict", "in_repair"}:
                value = str(one.detail.get("verdict", "")) if one.kind == "verdict" else ""
                for alarm_id, role in self._own.get(one.incident, {}).items():
                    if role in {ROOT, CONSEQUENCE}:
                        what = "verdict" if value else "maintained"
                        self._happened(book, one.at, what, alarm_id, value=value, incident=one.incident)
            elif one.kind == "closed":
                self._own.pop(one.incident, None)
        return len(dirty.events), len(dirty.incident_events)

    def _happened(self, book: Book, at: int, what: str, alarm: int, **more: Any) -> None:
        """Of an alarm that is not a drill."""
        if alarm in self._parts:
            terminal, component, name = self._parts[alarm]
            rule = book.rules.by_id.get(name)
            party = rule.party if rule is not None else ""
            self._engine.happened(Happened(at, what, terminal, component, name, party=party, **more))

    def advance(self, at: int) -> Said:
        said = self._engine.advance(at)
        self.foretold.add(said, at)
        return said
