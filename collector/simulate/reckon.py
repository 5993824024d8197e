"""Availability a second time: out of the list of faults alone, by other means than collector/figures, of which it shares nothing but the words. What
it finds is the truth that the figures are measured by.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from tillwatch.collector.simulate.fleet import ATM, Unit
from tillwatch.collector.simulate.site import OPENING
from tillwatch.collector.simulate.times import DAY, MINUTE
from tillwatch.collector.simulate.truth import (
    AGENT,
    MONITORING,
    PART,
    Effect,
    Interval,
    closed,
    length,
    union,
    within,
    without,
)
from tillwatch.collector.simulate.year import Outcome

DEFINITIONS = ("network", "any", "full")
SHARES = ("up", "down", "planned", "unmonitored")
ZONE_NS = 8 * 3600 * 10**9
"""The bank's clocks are ahead of UTC by so much all the year."""
SUPERVISOR = "terminal.supervisor"

Times = dict[str, dict[str, int]]
"""Definition -> share -> ns."""


@dataclass(frozen=True, slots=True)
class Layers:
    """What is true of one terminal, each as spans. lost: function -> when it did not work."""

    away: list[Interval]
    unseen: list[Interval]
    closed_by_hand: list[Interval]
    lost: Mapping[str, list[Interval]]


def scheduled(kind: str, start: int, end: int) -> list[Interval]:
    """When a terminal of this class is to be in service."""
    if kind == ATM:
        return [(start, end)]
    first = (start + ZONE_NS) // DAY - 1
    days = range(first, (end + ZONE_NS) // DAY + 1)
    opening = [(day * DAY - ZONE_NS + OPENING[0] * MINUTE, day * DAY - ZONE_NS + OPENING[1] * MINUTE) for day in days]
    return within(opening, [(start, end)])


def reckon(outcome: Outcome, start: int, end: int) -> dict[str, Times]:
    """Terminal -> what its scheduled time from start to end was."""
    effects: dict[str, list[Effect]] = defaultdict(list)
    for fault in outcome.ledger.faults:
        for effect in fault.effects:
            effects[effect.terminal].append(effect)
    windows: dict[str, list[Interval]] = defaultdict(list)
    for branch, since, until in outcome.ledger.windows:
        windows[branch].append((since, until))
    corrected: dict[str, list[Interval]] = defaultdict(list)
    for terminal, since, until in outcome.ledger.corrected:
        corrected[terminal].append((since, until))
    return {
        unit.name: _times(
            _layers(unit, effects[unit.name], outcome),
            without(scheduled(unit.kind, start, end), closed(outcome.ledger.parked.get(unit.name, ()), outcome.end)),
            corrected[unit.name],
            windows[unit.branch],
        )
        for unit in outcome.bank.units
    }


def _layers(unit: Unit, effects: Iterable[Effect], outcome: Outcome) -> Layers:
    functions = outcome.fold.book.policy.classes.of(unit.kind).functions
    rules = outcome.fold.book.rules.by_id
    away: list[Interval] = []
    unseen: list[Interval] = []
    by_hand: list[Interval] = []
    lost: dict[str, list[Interval]] = {name: [] for name in functions}
    for effect in effects:
        spans = effect.spans(outcome.end)
        if effect.why == AGENT:
            unseen += spans
        elif effect.why not in {PART, MONITORING}:
            away += spans
        for rule, level in effect.told:
            if rule == SUPERVISOR:
                by_hand += spans
            if level <= 2 and rules[rule].axis != "security":
                for name, globs in functions.items():
                    if any(_takes(glob, rule, effect.component) for glob in globs):
                        lost[name] += spans
    return Layers(union(away), union(unseen), union(by_hand), {name: union(spans) for name, spans in lost.items()})


def _takes(glob: str, rule: str, component: str) -> bool:
    of_rule, _, of_component = glob.partition("@")
    return fnmatchcase(rule, of_rule) and (not of_component or fnmatchcase(component, of_component))


def _times(layers: Layers, base: list[Interval], corrected: list[Interval], windows: list[Interval]) -> Times:
    served = within(corrected, base)
    rest = without(base, served)
    planned = within(windows, rest)
    rest = without(rest, planned)
    unseen = within(layers.unseen, rest)
    rest = without(rest, unseen)
    down = union([*layers.away, *layers.closed_by_hand])
    some = union(span for spans in layers.lost.values() for span in spans)
    every = some
    for spans in layers.lost.values():
        every = within(every, spans)
    of = {"network": union([*down, *every]), "any": union([*down, *every]), "full": union([*down, *some])}
    return {
        name: {
            "up": length(served) + length(without(rest, gone)),
            "down": length(within(rest, gone)),
            "planned": length(planned),
            "unmonitored": length(unseen),
        }
        for name, gone in of.items()
    }


def summed(times: Iterable[Times]) -> Times:
    """Of many terminals."""
    total = {name: dict.fromkeys(SHARES, 0) for name in DEFINITIONS}
    for one in times:
        for name in DEFINITIONS:
            for share in SHARES:
                total[name][share] += one[name][share]
    return total
