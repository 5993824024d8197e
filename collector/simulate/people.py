"""The figures of service a second time: from what the staff of the simulation wrote down for itself and from the list of faults, by other means than
collector/figures. Of the collector's rows only the times of an incident are taken; what is made of them is not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from statistics import fmean

from tillwatch.collector.figures.rollup import Computed
from tillwatch.collector.simulate.fleet import ATM
from tillwatch.collector.simulate.judge import Verdict
from tillwatch.collector.simulate.reckon import ZONE_NS, scheduled
from tillwatch.collector.simulate.site import BUSINESS, HOLIDAYS, RESPONSE_MIN, WORKING
from tillwatch.collector.simulate.staff import Job
from tillwatch.collector.simulate.times import DAY, MINUTE, S
from tillwatch.collector.simulate.truth import Interval, length, within
from tillwatch.collector.simulate.year import Outcome

ALWAYS, SATURDAY = 1, 5
CLOSE = 0.01
"""Share by which a mean time from the fault list may differ: a fault is read after it began, and out of sight much later."""
_EPOCH = date(1970, 1, 1)
_HOLIDAYS = frozenset(map(date.fromisoformat, HOLIDAYS))
_WORKING = frozenset(map(date.fromisoformat, WORKING))


@dataclass(frozen=True, slots=True)
class Pair:
    """One figure as the collector has it, and as it was computed again. within: by which they may differ."""

    name: str
    found: float
    again: float
    within: float = 0.0

    @property
    def equal(self) -> bool:
        return abs(self.found - self.again) <= self.within


def compare(outcome: Outcome, verdict: Verdict, computed: Computed, start: int, end: int) -> list[Pair]:
    """Of the tickets that were opened from start to end."""
    kinds = {unit.name: unit.kind for unit in outcome.bank.units}
    rows = outcome.log.incidents

    def opened(job: Job) -> int:
        row = rows.get(job.incident)
        return row.opened_at if row is not None else job.opened[0]

    def over(job: Job) -> int:
        row = rows.get(job.incident)
        return (row.restored_at if row is not None else 0) or outcome.end

    jobs = [job for job in outcome.staff.jobs.values() if start <= opened(job) < end and not job.foreseen]
    real = [job for job in jobs if not job.drill]
    figures = computed.whole.kpi

    def hours(job: Job) -> Callable[[int, int], int]:
        kind = kinds.get(job.terminal, ATM)
        return lambda since, until: length(_open(job.gravest, kind, since, until))

    answered = [job.first - opened(job) for job in real if job.first]
    due = [_met(job, opened(job), over(job), hours(job)) for job in real]
    restored = _restored(outcome, verdict, real)
    pairs = [
        Pair("tickets", figures.incidents, len(real)),
        *(Pair(f"tickets of level {n}", figures.levels[n], sum(job.gravest == n for job in real)) for n in (1, 2, 3)),
        Pair("failures", figures.failures, sum(job.gravest <= 2 for job in real)),
        Pair("drills", figures.drills.n, len(jobs) - len(real)),
        Pair("answered", figures.acknowledge.n, len(answered)),
        Pair("mean time to answer, s", (figures.acknowledge.mean or 0) / S, fmean(answered or [0]) / S, 1e-6),
        Pair("answers in time", figures.response.part, sum(each is True for each in due)),
        Pair("answers due", figures.response.base, sum(each is not None for each in due)),
        Pair("reopened", figures.reopened.part, sum(bool(job.reopened) for job in real)),
        Pair("false alarms by verdict", figures.false_alarms.part, sum(job.verdict == "false_alarm" for job in real)),
        Pair("verdicts", figures.false_alarms.base, sum(bool(job.verdict) for job in real)),
    ]
    if restored:
        of_figures, of_faults = zip(*restored, strict=True)
        again = fmean(of_faults) / S
        pairs.append(Pair("mean time to restore, s", fmean(of_figures) / S, again, CLOSE * again))
    return pairs


def _met(job: Job, opened: int, over: int, open_for: Callable[[int, int], int]) -> bool | None:
    """Whether the first word came in time; None where nobody had to say any yet."""
    if job.first:
        return open_for(opened, job.first) <= RESPONSE_MIN * MINUTE
    return False if open_for(opened, over) > RESPONSE_MIN * MINUTE else None


def _open(level: int, kind: str, since: int, until: int) -> list[Interval]:
    """The hours in which the clocks of a ticket of this level run."""
    if level == ALWAYS:
        return [(since, until)]
    if level == 2:
        return scheduled(kind, since, until)
    first, last = ((at + ZONE_NS) // DAY for at in (since, until))
    midnights = (day * DAY - ZONE_NS for day in range(first, last + 1) if _worked(_EPOCH + timedelta(days=day)))
    return within(((m + BUSINESS[0] * MINUTE, m + BUSINESS[1] * MINUTE) for m in midnights), [(since, until)])


def _worked(day: date) -> bool:
    return day in _WORKING or (day.weekday() < SATURDAY and day not in _HOLIDAYS)


def _restored(outcome: Outcome, verdict: Verdict, jobs: Iterable[Job]) -> list[tuple[int, int]]:
    """(by the collector, by the fault list) of the tickets of one fault that was over in time: from its beginning to its end."""
    found = []
    for job in jobs:
        faults, row = verdict.of.get(job.incident, []), outcome.log.incidents.get(job.incident)
        if row is None:
            continue
        single = len(faults) == 1 and faults[0].end and not faults[0].again_of and len(job.opened) == 1
        if single and row.restored_at and faults[0].of == "terminal" and not row.tamper:
            found.append((row.restored_at - row.occurred_at, faults[0].end - faults[0].start))
    return found
