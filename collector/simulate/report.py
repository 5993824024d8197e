"""What a simulated year shows: the bars with their figures, and beside them what no bar asks for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from tillwatch.collector.figures.rollup import Computed
from tillwatch.collector.predict.finding import ANOMALY, FAILURE, FALSE, HIT
from tillwatch.collector.predict.settings import Tables
from tillwatch.collector.simulate.hindsight import Hindsight, look_back, plain_rows
from tillwatch.collector.simulate.judge import EITHER, YES, Verdict, judge
from tillwatch.collector.simulate.measure import measure
from tillwatch.collector.simulate.people import Pair, compare
from tillwatch.collector.simulate.reckon import DEFINITIONS, SHARES, reckon, summed
from tillwatch.collector.simulate.times import DAY
from tillwatch.collector.simulate.year import Outcome

MONTH = 365 * DAY / 12
MOST_TICKETS = 1.05
MOST_FALSE = 0.02
MOST_ERROR = 0.01
"""Percentage points, where things break as often as in life: each fault has two edges that are seen some seconds off, so that at ten times the
pace it is ten times as much.
"""


@dataclass(frozen=True, slots=True)
class Bar:
    """asked, found: in words; met: whether it is; shown: what misses it, some of them."""

    name: str
    asked: str
    found: str
    met: bool
    shown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """bars: what must hold; facts: name -> figure; modes: what became of each kind of fault; foretold: what predictions, or alarms alone, made of it."""

    bars: tuple[Bar, ...]
    facts: dict[str, Any]
    modes: dict[str, dict[str, int]]
    foretold: Hindsight

    @property
    def met(self) -> bool:
        return all(bar.met for bar in self.bars)


def report(outcome: Outcome) -> Report:
    """Availability and service are those of all whole days but the first, in which the terminals only begin to speak."""
    verdict, start = judge(outcome), outcome.start + DAY
    computed = measure(outcome, start, outcome.end)
    bars: tuple[Bar, ...] = (
        _once(outcome, verdict),
        _tickets(verdict),
        _false(outcome, verdict),
        _availability(outcome, computed, start),
        _service(compare(outcome, verdict, computed, start, outcome.end)),
    )
    seen = look_back(outcome, verdict)
    if outcome.foretold is not None and not outcome.pace:
        bars += (_budget(outcome.foretold.tables, seen),)
    facts = _facts(outcome, verdict, computed) | _foreseen(outcome, seen)
    return Report(bars, facts, _modes(verdict), seen)


def _once(outcome: Outcome, verdict: Verdict) -> Bar:
    grave = [one for one in verdict.findings if one.fault.level in (1, 2) and one.expected != "no"]
    wrong = verdict.wrong(1, 2)
    shown = tuple(
        f"{one.fault.mode} at {one.fault.where or 'all branches'}, {_day(outcome, one.fault.start)}: {len(one.incidents)} incidents"
        for one in wrong
    )
    return Bar(
        "each fault of level 1 and 2 in exactly one incident",
        "all",
        f"{len(grave) - len(wrong)} of {len(grave)}",
        not wrong,
        shown,
    )


def _tickets(verdict: Verdict) -> Bar:
    told = [one for one in verdict.findings if one.incidents]
    each = sum(len(one.incidents) for one in told) / len(told) if told else 1.0
    return Bar("tickets per true cause", f"at most {MOST_TICKETS}", f"{each:.4f}", each <= MOST_TICKETS)


def _false(outcome: Outcome, verdict: Verdict) -> Bar:
    false = verdict.false
    share = len(false) / len(verdict.told) if verdict.told else 0.0
    shown = tuple(
        f"{one.fault} at {one.terminal or one.branch} {one.component}, {_day(outcome, one.opened_at)}" for one in false
    )
    asked, found = f"under {MOST_FALSE:.0%}", f"{share:.2%} ({len(false)} of {len(verdict.told)})"
    return Bar("false notifications", asked, found, share < MOST_FALSE, shown)


def _availability(outcome: Outcome, computed: Computed, start: int) -> Bar:
    truth = summed(reckon(outcome, start, outcome.end).values())
    errors = {}
    for name in DEFINITIONS:
        shares, total = computed.whole.availability.parts[name].shares, sum(truth[name].values())
        for share in SHARES:
            found = getattr(shares, share) / shares.scheduled if shares.scheduled else 0.0
            errors[f"{name}, {share}"] = 100 * (found - truth[name][share] / total if total else found)
    most = MOST_ERROR * max(1.0, outcome.pace)
    worst = max(errors, key=lambda each: abs(errors[each]))
    shown = tuple(f"{name}: {error:+.4f}" for name, error in errors.items() if abs(error) >= most)
    asked, found = f"within {most:g} percentage points", f"{errors[worst]:+.4f} ({worst})"
    return Bar("availability", asked, found, abs(errors[worst]) < most, shown)


def _service(pairs: Sequence[Pair]) -> Bar:
    shown = tuple(f"{pair.name}: {pair.found:g}, again {pair.again:g}" for pair in pairs if not pair.equal)
    found = f"{len(pairs) - len(shown)} of {len(pairs)}"
    return Bar("figures of service equal to those of the fault list", "all", found, not shown, shown)


def _budget(tables: Tables, seen: Hindsight) -> Bar:
    """Where nothing breaks, each finding that was judged is false; what was predicted of a supply that somebody filled first is not."""
    most = tables.anomaly_budget + tables.failure_budget
    found = seen.false_per_year()
    shown = tuple(f"{family}: {row[FALSE]}" for family, row in sorted(seen.families.items()) if row[FALSE])
    asked = f"at most {most:g} a terminal and year ({ANOMALY} {tables.anomaly_budget:g}, {FAILURE} {tables.failure_budget:g})"
    return Bar("false findings where nothing breaks", asked, f"{found:.3f}", found <= most, shown)


def _foreseen(outcome: Outcome, seen: Hindsight) -> dict[str, Any]:
    rows = seen.rows.values()
    faults = sum(row.faults for row in rows)
    facts: dict[str, Any] = {
        "faults of parts": faults,
        "of them announced by something": _share(sum(row.announced for row in rows), faults),
        "hours in which parts had failed": round(sum(row.hours for row in rows), 1),
        "hours of them at level 1 and 2": round(seen.grave_hours, 1),
    }
    if outcome.foretold is None:
        return facts
    hits = sum(row[HIT] for row in seen.families.values())
    false = sum(row[FALSE] for row in seen.families.values())
    leads = sorted(lead for row in rows for lead in row.leads)
    return facts | {
        "foretold": _share(sum(row.foretold for row in rows), faults),
        "foretold of what was announced": _share(sum(row.rightly for row in rows), sum(row.announced for row in rows)),
        "days from finding to fault, median": median(leads) if leads else 0.0,
        "findings": len(seen.outcomes),
        "findings demoted from the start": seen.demoted,
        "precision of findings": _share(hits, hits + false),
        "false findings per terminal and year": seen.false_per_year(),
        "faults prevented": sum(row.prevented for row in rows),
        "visits to what was predicted": sum(outcome.staff.visits.values()),
        "of them for nothing": outcome.staff.visits["nothing"],
    }


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _facts(outcome: Outcome, verdict: Verdict, computed: Computed) -> dict[str, Any]:
    certain = [one for one in verdict.findings if one.expected == YES]
    found = [one for one in certain if one.incidents]
    announced = {one.corr_id: one.announced_at for one in verdict.told}
    delays = [
        min(announced[each] for each in one.incidents) - one.fault.start for one in found if not one.fault.again_of
    ]
    months = len(outcome.bank.units) * (outcome.end - outcome.start) / MONTH
    return {
        "terminals": len(outcome.bank.units),
        "days": (outcome.end - outcome.start) // DAY,
        "readings": outcome.readings,
        "journal entries": outcome.entries,
        "faults": len(verdict.findings),
        "faults to be told": len(certain),
        "detected": len(found) / len(certain) if certain else 1.0,
        "seconds from fault to ticket, median": round(median(delays) / 1e9) if delays else 0,
        "faults that may be told or not": sum(one.expected == EITHER for one in verdict.findings),
        "tickets": len(verdict.told),
        "tickets of several faults": len(verdict.merged),
        "false notifications per terminal and month": len(verdict.false) / months,
        "available, network, at worst": computed.whole.availability.parts["network"].shares.availability_worst,
        "available, every function, at worst": computed.whole.availability.parts["full"].shares.availability_worst,
        "answered in time": computed.whole.kpi.response.share,
        "restored in time": computed.whole.kpi.restored_net.share,
    }


def _modes(verdict: Verdict) -> dict[str, dict[str, int]]:
    rows: dict[str, dict[str, int]] = defaultdict(
        lambda: dict.fromkeys(("faults", "to be told", "told", "told wrongly"), 0)
    )
    for one in verdict.findings:
        row = rows[one.fault.mode]
        row["faults"] += 1
        row["to be told"] += one.expected == YES
        row["told"] += bool(one.incidents)
        row["told wrongly"] += not one.once or (one.expected == "no" and bool(one.incidents))
    return dict(sorted(rows.items()))


def _day(outcome: Outcome, at: int) -> str:
    return f"day {(at - outcome.start) // DAY + 1}"


def plain(found: Report) -> dict[str, Any]:
    """For JSON."""
    bars: Sequence[dict[str, Any]] = [
        {"name": bar.name, "asked": bar.asked, "found": bar.found, "met": bar.met, "missed": list(bar.shown)}
        for bar in found.bars
    ]
    families = {family: dict(row) for family, row in sorted(found.foretold.families.items())}
    foretold = {"modes": plain_rows(found.foretold), "families": families}
    return {"met": found.met, "bars": bars, "facts": found.facts, "modes": found.modes, "predictions": foretold}
