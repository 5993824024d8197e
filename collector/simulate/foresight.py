"""The predictions in the simulated year: the engine beside the fold, fed as the follower feeds it, and what it said. Nothing here judges."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from tillwatch.agent.wire import Opened
from tillwatch.collector.alarm.rules import PREDICTED
from tillwatch.collector.book import Book
from tillwatch.collector.changes import Dirty
from tillwatch.collector.predict.engine import Engine, Said
from tillwatch.collector.predict.finding import CLOSED, Finding, Grade, Happened
from tillwatch.collector.predict.settings import Tables, parse_tables
from tillwatch.collector.simulate.fleet import Unit
from tillwatch.collector.simulate.site import ZONE

OFF, SHADOW, ON = "off", "shadow", "on"
"""No engine; it says what it sees and nobody is told; it opens tickets, and people go."""
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
        """What the fold found since so many events of alarms and of incidents; how many there are now."""
        alarms, incidents = since
        for event in dirty.events[alarms:]:
            if event.kind in {"raised", "recurred", "cleared"}:
                alarm = dirty.alarms[event.alarm]
                what = "cleared" if event.kind == "cleared" else "raised"
                if alarm.rule not in PREDICTED and not alarm.drill:
                    party = book.rules.by_id[alarm.rule].party if alarm.rule in book.rules.by_id else ""
                    self._engine.happened(Happened(
                        event.at, what, alarm.terminal, alarm.component, alarm.rule, level=event.level, party=party, incident=alarm.incident,
                    ))  # fmt: skip
        for one in dirty.incident_events[incidents:]:
            if one.kind in {"resolved", "verdict"} and (verdict := one.detail.get("verdict")):
                incident = dirty.incidents[one.incident]
                self._engine.happened(Happened(
                    one.at, "verdict", incident.terminal, incident.component, incident.fault, value=str(verdict), level=incident.level, incident=one.incident,
                ))  # fmt: skip
                if verdict in {"part_changed", "no_fault_found"} and incident.terminal:
                    self._engine.happened(Happened(one.at, "maintained", incident.terminal))
        return len(dirty.events), len(dirty.incident_events)

    def advance(self, at: int) -> Said:
        said = self._engine.advance(at)
        self.foretold.add(said, at)
        return said
