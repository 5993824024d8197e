"""The collector's own figures of the simulated year, computed from the rows of its log as a report computes them."""

from __future__ import annotations

from collections import defaultdict

from tillwatch.collector.alarm.rules import PREDICTED
from tillwatch.collector.figures.availability import History
from tillwatch.collector.figures.rollup import Computed, Log, Place, compute
from tillwatch.collector.records import Correction, IncidentEvent, LateSpan, StateChange
from tillwatch.collector.simulate.year import Outcome


def measure(outcome: Outcome, start: int, end: int) -> Computed:
    """Of the time from start to end, UTC ns, known up to the end of the run; what was only foreseen is in none of them."""
    changes: dict[str, list[StateChange]] = defaultdict(list)
    late: dict[str, list[LateSpan]] = defaultdict(list)
    corrections: dict[str, list[Correction]] = defaultdict(list)
    events: dict[str, list[IncidentEvent]] = defaultdict(list)
    log = outcome.log
    for change in log.states:
        changes[change.terminal].append(change)
    for span in log.late:
        late[span.terminal].append(span)
    for correction in log.corrections:
        corrections[correction.terminal].append(correction)
    for event in log.events:
        events[event.incident].append(event)
    names = [unit.name for unit in outcome.bank.units]
    kept = Log(
        outcome.end,
        {unit.name: Place(unit.name, unit.branch, unit.region, unit.kind) for unit in outcome.bank.units},
        {name: History(changes[name], late[name], corrections[name]) for name in names},
        outages=log.outages,
        incidents=[each for each in log.incidents.values() if each.opened_at >= start and each.fault not in PREDICTED],
        events=events,
    )
    return compute(kept, outcome.fold.book.policy, start, end)
