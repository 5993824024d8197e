"""What a simulated year shows: the bars with their figures, and beside them what no bar asks for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from tillwatch.collector.simulate.judge import EITHER, YES, Verdict, judge
from tillwatch.collector.simulate.stations import DAY
from tillwatch.collector.simulate.year import Outcome

MONTH = 365 * DAY / 12
MOST_TICKETS = 1.05
MOST_FALSE = 0.02


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
    """bars: what must hold; facts: name -> figure; modes: what became of each kind of fault."""

    bars: tuple[Bar, ...]
    facts: dict[str, Any]
    modes: dict[str, dict[str, int]]

    @property
    def met(self) -> bool:
        return all(bar.met for bar in self.bars)


def report(outcome: Outcome) -> Report:
    verdict = judge(outcome)
    bars = (_once(outcome, verdict), _tickets(verdict), _false(outcome, verdict))
    return Report(bars, _facts(outcome, verdict), _modes(verdict))


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


def _facts(outcome: Outcome, verdict: Verdict) -> dict[str, Any]:
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
    return {"met": found.met, "bars": bars, "facts": found.facts, "modes": found.modes}
