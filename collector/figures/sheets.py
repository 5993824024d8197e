"""The same figures as tables for a spreadsheet: what a report writes as CSV files, and the console as CSV or XLSX."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tillwatch.collector.figures.availability import COUNTS, DEFINITIONS
from tillwatch.collector.figures.course import PHASES
from tillwatch.collector.figures.kpi import Judged
from tillwatch.collector.figures.rollup import KINDS, Computed, Figures
from tillwatch.collector.figures.shares import RATIOS
from tillwatch.collector.figures.table import Cell, Length, Moment, Share, Table


def availability(it: Computed) -> Table:
    """A line for each terminal."""
    heads = ["terminal", "branch", "region", "class", "maker", "scheduled_s"]
    for name in DEFINITIONS:
        heads += [f"{name}_{word}_s" for word in COUNTS] + [f"{name}_{ratio}" for ratio in RATIOS]
        heads += [f"{name}_interruptions", f"{name}_impact"]
    heads += ["by_late_readings_s", "by_corrections_s", "incidents"]

    def rows() -> Iterator[list[Cell]]:
        for one in it.of_kind("terminal"):
            place = it.places[one.scope.name]
            parts = one.availability.parts
            row: list[Cell] = [place.terminal, place.branch, place.region, place.terminal_class, place.vendor]
            row.append(Length(parts["network"].shares.scheduled))
            for name in DEFINITIONS:
                shares = parts[name].shares
                row += [Length(getattr(shares, word)) for word in COUNTS]
                row += [Share(getattr(shares, ratio)) for ratio in RATIOS]
                row += [parts[name].interruptions, Share(one.availability.impact(name))]
            yield [*row, Length(one.availability.late), Length(one.availability.corrected), one.kpi.incidents]

    return Table(heads, rows())


def incidents(it: Computed) -> Table:
    """A line for each incident opened in the period, drills and what nobody was told of among them, and marked."""
    heads = ["incident", "level", "scope", "region", "branch", "terminal", "component", "fault", "drill", "told", "state"]  # fmt: skip
    heads += ["failed", "opened", "responded", "repair", "restored", "resolved", *(f"{phase}_s" for phase in PHASES)]
    heads += ["response_met", "restored_met_net", "restored_met_gross", "resolved_met_net", "resolved_met_gross"]
    heads += ["visits", "reopened", "verdict", "part", "cause", "explained_by"]
    return Table(heads, (_incident(one) for one in it.judged))


def _incident(one: Judged) -> list[Cell]:
    course, row, spent = one.course, one.course.incident, one.spent or {}
    marks = (course.failed, course.opened, course.responded, course.repair, course.restored, course.resolved)
    met = (one.response, one.restored[True], one.restored[False], one.resolved[True], one.resolved[False])
    return [
        row.corr_id, course.level, row.scope, row.region, row.branch, row.terminal, row.component, row.fault, bool(row.drill), course.told,
        row.state, *map(Moment, marks), *(Length(spent.get(phase)) for phase in PHASES), *met,
        course.visits, row.reopened, course.verdict, row.part, row.cause, row.parent,
    ]  # fmt: skip


def kpi(it: Computed) -> Table:
    """A line for each figure of each scope: its value, and for shares part, base and what could not be judged."""
    heads = ["scope", "name", "figure", "value", "unit", "part", "base", "not_judged"]
    return Table(heads, (row for kind in KINDS for one in it.of_kind(kind) for row in _figures(one)))


def _figures(one: Figures) -> Iterator[list[Cell]]:
    scope: list[Cell] = [one.scope.kind, one.scope.name]
    yield [*scope, "terminals", one.availability.terminals, "", "", "", ""]
    yield [*scope, "terminals_over_limit", one.over, "", "", "", ""]
    for name in DEFINITIONS:
        shares = one.availability.parts[name].shares
        for word in COUNTS:
            part = getattr(shares, word)
            value = Share(part / shares.scheduled if shares.scheduled else None)
            yield [*scope, f"{name}.{word}", value, "share", Length(part), Length(shares.scheduled), ""]
        for ratio in RATIOS:
            yield [*scope, f"{name}.{ratio}", Share(getattr(shares, ratio)), "share", "", "", ""]
        yield [*scope, f"{name}.impact", Share(one.availability.impact(name)), "share", "", "", ""]
        yield [*scope, f"{name}.interruptions", one.availability.parts[name].interruptions, "", "", "", ""]
    for name, value in one.kpi.plain().items():
        yield from _kpi(scope, name, value)
    yield [*scope, "mtbf", Length(one.mtbf), "s", "", one.kpi.failures, ""]
    floods, rate = one.load.floods, one.load.per_operator_hour
    yield [*scope, "alarms", one.load.alarms, "", "", "", ""]
    yield [*scope, "alarms.per_operator_hour", None if rate is None else round(rate, 6), "1/h", "", "", ""]
    quiet = one.load.without_action
    yield [*scope, "alarms.without_action", Share(quiet.share), "share", quiet.part, quiet.base, quiet.open]
    yield [*scope, "alarms.floods", Share(floods.share), "share", floods.part, floods.base, ""]


def _kpi(scope: list[Cell], name: str, value: Any) -> Iterator[list[Cell]]:
    if not isinstance(value, dict):
        yield [*scope, name, value, "", "", "", ""]
    elif "share" in value:
        yield [*scope, name, Share(value["share"]), "share", value["part"], value["base"], value["open"]]
    elif "mean_ns" in value:
        yield [*scope, name, Length(value["mean_ns"]), "s", Length(value["total_ns"]), value["n"], ""]
    else:
        for key, inner in value.items():
            yield from _kpi(scope, f"{name}.{key}", inner)


def intervals(it: Computed) -> Table:
    """A line for each stretch that was not plainly up, and each that late readings or a person decided: what every figure is made of."""
    heads = ["terminal", "since", "until", "length_s", *DEFINITIONS, "state", "reason", "party", "cause", "lost", "source", "known_at", "entry", "by", "why"]  # fmt: skip

    def rows() -> Iterator[list[Cell]]:
        for terminal, them in it.stretches.items():
            for one in them:
                if set(one.counts) == {"up"} and one.source in ("state", "cause"):
                    continue
                yield [
                    terminal, Moment(one.since), Moment(one.until), Length(one.length), *one.counts, one.state, one.reason, one.party,
                    one.cause, " ".join(one.lost), one.source, Moment(one.known_at), one.entry or "", one.by, one.why,
                ]  # fmt: skip

    return Table(heads, rows())
