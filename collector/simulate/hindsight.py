"""Predictions against what was so: which faults were foretold, how long before, and which findings came to nothing. Judged from the list of faults alone; what the
engine thinks of itself (`predict/record.py`) plays no part.

A finding comes true when a fault that its part can announce begins between the hour when it was told and the far end of its dates, or of the horizon where it
says none, with the grace of the tables. It counts neither way when somebody filled or mended the part first, when it only asks for a service that is due, or when the year ended
before.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tillwatch.collector.predict.finding import FALSE, HIT, PREVENTED, RUNOUT, TREND, UNKNOWN, WEAR, Finding
from tillwatch.collector.simulate import modes
from tillwatch.collector.simulate.foresight import Foretold, Told
from tillwatch.collector.simulate.judge import Verdict
from tillwatch.collector.simulate.omens import touches
from tillwatch.collector.simulate.precursors import BY_MODE
from tillwatch.collector.simulate.times import DAY, HOUR, S
from tillwatch.collector.simulate.truth import Fault, Omen
from tillwatch.collector.simulate.year import Outcome

YEAR = 365 * DAY
STILL = DAY
"""A finding that was taken back longer before the fault than this did not foretell it."""
DATED = (WEAR, RUNOUT, TREND)
NOT_FAULTS = ("glitch-", "works-", "replenished")
"""What is over before anybody has to know, and what people do on purpose."""

_MODES = {mode.name: mode for mode in (*modes.PART_MODES, modes.LEFT) if not mode.name.startswith(NOT_FAULTS)}
Key = tuple[str, str]


def shown_by(mode: str) -> tuple[Key, ...]:
    """(component, signal) that a fault of this mode can be seen by, before or when it comes."""
    steps = ((step.component, step.signal) for step in _MODES[mode].steps)
    return (*(BY_MODE[mode].shown if mode in BY_MODE else ()), *steps)


def may_be(finding: Finding, mode: str) -> bool:
    """Whether a finding can be of this mode: by its very signal where that announces some mode, or where the finding says a date for it; else by its part."""
    key = finding.component, finding.signal
    if finding.family in DATED or any(key in each.shown for each in BY_MODE.values()):
        return key in shown_by(mode)
    return touches(shown_by(mode), finding.component)


@dataclass(slots=True)
class Row:
    """Of one mode. faults: that began in the time judged; announced: of them with something to see; foretold: before they began; rightly: those of them that were announced; leads: days, of those;
    prevented: mended before they came; findings: outcome -> how many may be of this mode; told: of the faults, by tickets of their alarms; before: those told before the
    fault was at its worst; delays: hours from that ticket to the worst, below 0 where it came after.
    """

    faults: int = 0
    announced: int = 0
    foretold: int = 0
    rightly: int = 0
    leads: list[float] = field(default_factory=list)
    prevented: int = 0
    findings: dict[str, int] = field(default_factory=lambda: dict.fromkeys((HIT, FALSE, PREVENTED, UNKNOWN), 0))
    told: int = 0
    before: int = 0
    delays: list[float] = field(default_factory=list)
    hours: float = 0.0


@dataclass(slots=True)
class Hindsight:
    """rows: by mode; outcomes: by finding; families: family -> outcome -> findings; years: terminal-years judged; demoted: findings that never had the right to a
    ticket; grave_hours: in which parts had failed at level 1 or 2.
    """

    rows: dict[str, Row]
    outcomes: dict[str, str]
    families: dict[str, dict[str, int]]
    years: float
    demoted: int
    grave_hours: float = 0.0

    def false_per_year(self, *families: str) -> float:
        """False findings a terminal and year; of all families where none is named."""
        return sum(row[FALSE] for name, row in self.families.items() if not families or name in families) / self.years


def look_back(outcome: Outcome, verdict: Verdict) -> Hindsight:
    """Of the whole time. Without predictions the rows say what the alarms alone told."""
    foretold = outcome.foretold
    found = _Judged(outcome, foretold)
    rows: dict[str, Row] = defaultdict(Row)
    announced = {omen.fault: omen for omen in outcome.ledger.omens if omen.fault and omen.begins < omen.strikes}
    tickets = {one.corr_id: one.announced_at for one in verdict.told}
    of = {one.fault.id: one for one in verdict.findings}
    for fault in outcome.ledger.faults:
        if fault.mode not in _MODES or fault.again_of:
            continue
        row = rows[fault.mode]
        row.faults += 1
        row.announced += fault.id in announced
        row.hours += ((fault.end or outcome.end) - fault.start) / HOUR
        first = found.before(fault)
        if first is not None:
            row.foretold += 1
            row.rightly += fault.id in announced
            row.leads.append((fault.start - first.at) / DAY)
        if of[fault.id].incidents:
            worst = fault.start + round(_MODES[fault.mode].steps[-1].after * S)
            row.told += 1
            row.delays.append((worst - min(tickets[each] for each in of[fault.id].incidents)) / HOUR)
            row.before += row.delays[-1] > 0
    for omen in outcome.ledger.omens:
        rows[omen.mode].prevented += omen.prevented
    families: dict[str, dict[str, int]] = defaultdict(lambda: dict.fromkeys((HIT, FALSE, PREVENTED, UNKNOWN), 0))
    outcomes = {}
    for name, told in (foretold.told if foretold is not None else {}).items():
        result = outcomes[name] = found.outcome(told)
        families[told.first.family][result] += 1
        for mode in _MODES:
            if mode in rows and may_be(told.first, mode):
                rows[mode].findings[result] += result != HIT or found.hit(told, mode)
    grave = sum(
        (f.end or outcome.end) - f.start for f in outcome.ledger.faults if f.mode in _MODES and f.level in (1, 2)
    )
    # What was told at the end is not judged any more, so that time is not counted either.
    waits = foretold.tables.horizon_ns + foretold.tables.grace_ns if foretold is not None else 0
    years = len(outcome.bank.units) * max(outcome.end - outcome.start - waits, DAY) / YEAR
    demoted = len(foretold.demoted - foretold.told.keys()) if foretold is not None else 0
    return Hindsight(dict(sorted(rows.items())), outcomes, dict(families), years, demoted, grave / HOUR)


class _Judged:
    """Findings and faults by terminal."""

    def __init__(self, outcome: Outcome, foretold: Foretold | None) -> None:
        self._end = outcome.end
        self._faults: dict[str, list[Fault]] = defaultdict(list)
        self._omens: dict[str, list[Omen]] = defaultdict(list)
        self._told: dict[str, list[Told]] = defaultdict(list)
        self._filled = outcome.ledger.filled
        for fault in outcome.ledger.faults:
            if fault.mode in _MODES:
                self._faults[fault.where].append(fault)
        for omen in outcome.ledger.omens:
            self._omens[omen.terminal].append(omen)
        self._horizon = self._grace = 0
        if foretold is not None:
            self._horizon, self._grace = foretold.tables.horizon_ns, foretold.tables.grace_ns
            for told in foretold.told.values():
                self._told[told.first.terminal].append(told)

    def _until(self, told: Told) -> int:
        due = told.first.due
        return (due[2] if due is not None else told.at + self._horizon) + self._grace

    def before(self, fault: Fault) -> Told | None:
        """The first finding that foretold it and was still so."""
        known = (
            told
            for told in self._told[fault.where]
            if not told.service
            and told.at < fault.start <= self._until(told)
            and (not told.ended or told.ended >= fault.start - STILL)
            and may_be(told.first, fault.mode)
        )
        return min(known, key=lambda told: told.at, default=None)

    def hit(self, told: Told, mode: str = "") -> bool:
        """Whether a fault came that it may be of, of this mode or of any."""
        return any(
            told.at < fault.start <= self._until(told) and may_be(told.first, fault.mode)
            for fault in self._faults[told.first.terminal]
            if not mode or fault.mode == mode
        )

    def outcome(self, told: Told) -> str:
        finding, until = told.first, self._until(told)
        if told.service:
            return PREVENTED
        if self.hit(told):
            return HIT
        for omen in self._omens[finding.terminal]:
            # Seen rightly: it was mended before it came, or came to a terminal that was off.
            if omen.ended and not omen.fault and omen.begins <= told.at < omen.ended and may_be(finding, omen.mode):
                return PREVENTED
        if _any_in(
            self._filled.get((finding.terminal, finding.component, finding.signal), ()), told.at, min(until, self._end)
        ):
            return PREVENTED
        return UNKNOWN if until > self._end else FALSE


def _any_in(times: Iterable[int], since: int, until: int) -> bool:
    return any(since < at <= until for at in times)


def spread(values: Sequence[float]) -> dict[str, float] | None:
    """The tenth, the half and the nine tenths of them, None of nothing."""
    if not values:
        return None
    ordered = sorted(values)
    return {
        name: round(ordered[min(len(ordered) - 1, int(q * len(ordered)))], 2)
        for name, q in (("p10", 0.1), ("median", 0.5), ("p90", 0.9))
    }


def plain_rows(found: Hindsight) -> dict[str, Any]:
    """For JSON: mode -> figures. recall_bound: share of the faults that anything announced; precision: of the findings that came true or did not."""
    rows = {}
    for mode, row in found.rows.items():
        judged = row.findings[HIT] + row.findings[FALSE]
        rows[mode] = {
            "faults": row.faults,
            "announced": row.announced,
            "recall_bound": _share(row.announced, row.faults),
            "foretold": row.foretold,
            "recall": _share(row.foretold, row.faults),
            "recall_of_announced": _share(row.rightly, row.announced),
            "lead_days": spread(row.leads),
            "findings": dict(row.findings),
            "precision": _share(row.findings[HIT], judged),
            "false_per_terminal_year": round(row.findings[FALSE] / found.years, 4),
            "prevented": row.prevented,
            "hours": round(row.hours, 1),
            "without": {
                "told": row.told,
                "before_the_worst": _share(row.before, row.faults),
                "lead_hours": spread(row.delays),
            },
        }
    return rows


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None
