"""The same figures as tables for a spreadsheet: CSV with a byte-order mark, so that Chinese text opens as it should, times as ISO 8601 with offset, lengths as
exact decimal seconds. Text from people and devices that a spreadsheet would take for a formula is marked as text.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from tillwatch.collector.figures.availability import COUNTS, DEFINITIONS
from tillwatch.collector.figures.course import PHASES
from tillwatch.collector.figures.kpi import Judged
from tillwatch.collector.figures.rollup import KINDS, Computed, Figures
from tillwatch.collector.figures.shares import RATIOS

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
S = 10**9


def seconds(ns: int) -> str:
    """Exact, without trailing zeros."""
    whole, rest = divmod(abs(ns), S)
    text = f"{whole}.{rest:09d}".rstrip("0").rstrip(".")
    return f"-{text}" if ns < 0 else text


def moment(at: int, zone: ZoneInfo) -> str:
    """By the millisecond; empty for 0."""
    if not at:
        return ""
    exact = datetime.fromtimestamp(at // S, UTC) + timedelta(microseconds=at % S // 1000)
    return exact.astimezone(zone).isoformat(timespec="milliseconds")


def write(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(heads)
    for row in rows:
        writer.writerow([_safe(one) for one in row])
    return "\ufeff" + out.getvalue()


def _safe(value: Any) -> Any:
    if isinstance(value, str) and value.startswith(_FORMULA) and not _number(value):
        return f"'{value}"
    return "" if value is None else value


def _number(text: str) -> bool:
    return text.removeprefix("-").replace(".", "", 1).isdecimal()


def availability(it: Computed) -> str:
    """A line for each terminal."""
    heads = ["terminal", "branch", "region", "class", "maker", "scheduled_s"]
    for name in DEFINITIONS:
        heads += [f"{name}_{word}_s" for word in COUNTS] + [f"{name}_{ratio}" for ratio in RATIOS]
        heads += [f"{name}_interruptions", f"{name}_impact"]
    heads += ["by_late_readings_s", "by_corrections_s", "incidents"]

    def rows() -> Iterator[list[Any]]:
        for one in it.of_kind("terminal"):
            place = it.places[one.scope.name]
            parts = one.availability.parts
            row: list[Any] = [place.terminal, place.branch, place.region, place.terminal_class, place.vendor]
            row.append(seconds(parts["network"].shares.scheduled))
            for name in DEFINITIONS:
                shares = parts[name].shares
                row += [seconds(getattr(shares, word)) for word in COUNTS]
                row += [_share(getattr(shares, ratio)) for ratio in RATIOS]
                row += [parts[name].interruptions, _share(one.availability.impact(name))]
            yield [*row, seconds(one.availability.late), seconds(one.availability.corrected), one.kpi.incidents]

    return write(heads, rows())


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.9f}"


def incidents(it: Computed, zone: ZoneInfo) -> str:
    """A line for each incident opened in the period, drills and what nobody was told of among them, and marked."""
    heads = [
        "incident",
        "level",
        "scope",
        "region",
        "branch",
        "terminal",
        "component",
        "fault",
        "drill",
        "told",
        "state",
    ]
    heads += ["failed", "opened", "responded", "repair", "restored", "resolved", *(f"{phase}_s" for phase in PHASES)]
    heads += ["response_met", "restored_met_net", "restored_met_gross", "resolved_met_net", "resolved_met_gross"]
    heads += ["visits", "reopened", "verdict", "part", "cause", "explained_by"]
    return write(heads, (_incident(one, zone) for one in it.judged))


def _incident(one: Judged, zone: ZoneInfo) -> list[Any]:
    course, row, spent = one.course, one.course.incident, one.spent or {}
    marks = (course.failed, course.opened, course.responded, course.repair, course.restored, course.resolved)
    met = (one.response, one.restored[True], one.restored[False], one.resolved[True], one.resolved[False])
    return [
        row.corr_id, course.level, row.scope, row.region, row.branch, row.terminal, row.component, row.fault, int(row.drill), int(course.told),
        row.state, *(moment(at, zone) for at in marks), *(seconds(spent[phase]) if phase in spent else "" for phase in PHASES),
        *("" if verdict is None else int(verdict) for verdict in met),
        course.visits, row.reopened, course.verdict, row.part, row.cause, row.parent,
    ]  # fmt: skip


def kpi(it: Computed) -> str:
    """A line for each figure of each scope: its value, and for shares part, base and what could not be judged."""
    heads = ["scope", "name", "figure", "value", "unit", "part", "base", "not_judged"]
    return write(heads, (row for kind in KINDS for one in it.of_kind(kind) for row in _figures(one)))


def _figures(one: Figures) -> Iterator[list[Any]]:
    scope = [one.scope.kind, one.scope.name]
    yield [*scope, "terminals", one.availability.terminals, "", "", "", ""]
    yield [*scope, "terminals_over_limit", one.over, "", "", "", ""]
    for name in DEFINITIONS:
        shares = one.availability.parts[name].shares
        for word in COUNTS:
            part = getattr(shares, word)
            value = _share(part / shares.scheduled if shares.scheduled else None)
            yield [*scope, f"{name}.{word}", value, "share", seconds(part), seconds(shares.scheduled), ""]
        for ratio in RATIOS:
            yield [*scope, f"{name}.{ratio}", _share(getattr(shares, ratio)), "share", "", "", ""]
        yield [*scope, f"{name}.impact", _share(one.availability.impact(name)), "share", "", "", ""]
        yield [*scope, f"{name}.interruptions", one.availability.parts[name].interruptions, "", "", "", ""]
    for name, value in one.kpi.plain().items():
        yield from _kpi(scope, name, value)
    yield [*scope, "mtbf", "" if one.mtbf is None else seconds(one.mtbf), "s", "", one.kpi.failures, ""]
    rate = one.load.per_operator_hour
    yield [*scope, "alarms", one.load.alarms, "", "", "", ""]
    yield [*scope, "alarms.per_operator_hour", "" if rate is None else f"{rate:.6f}", "1/h", "", "", ""]
    yield [
        *scope,
        "alarms.floods",
        _share(one.load.floods.share),
        "share",
        one.load.floods.part,
        one.load.floods.base,
        "",
    ]


def _kpi(scope: list[str], name: str, value: Any) -> Iterator[list[Any]]:
    if not isinstance(value, dict):
        yield [*scope, name, value, "", "", "", ""]
    elif "share" in value:
        yield [*scope, name, _share(value["share"]), "share", value["part"], value["base"], value["open"]]
    elif "mean_ns" in value:
        mean = "" if value["mean_ns"] is None else seconds(value["mean_ns"])
        yield [*scope, name, mean, "s", seconds(value["total_ns"]), value["n"], ""]
    else:
        for key, inner in value.items():
            yield from _kpi(scope, f"{name}.{key}", inner)


def intervals(it: Computed, zone: ZoneInfo) -> str:
    """A line for each stretch that was not plainly up, and each that late readings or a person decided: what every figure is made of."""
    heads = [
        "terminal",
        "since",
        "until",
        "length_s",
        *DEFINITIONS,
        "state",
        "reason",
        "party",
        "cause",
        "lost",
        "source",
        "known_at",
        "entry",
        "by",
    ]

    def rows() -> Iterator[list[Any]]:
        for terminal, them in it.stretches.items():
            for one in them:
                if set(one.counts) == {"up"} and one.source in ("state", "cause"):
                    continue
                yield [
                    terminal, moment(one.since, zone), moment(one.until, zone), seconds(one.length), *one.counts, one.state, one.reason, one.party,
                    one.cause, " ".join(one.lost), one.source, moment(one.known_at, zone), one.entry or "", one.by, one.why,
                ]  # fmt: skip

    return write(heads, rows())
