"""Readings out of a file of comma separated values, to try a rule or a detector on what another system has kept. Columns: time and value, and if wanted terminal,
component and fault (0 or 1: whether it was really broken then). Times are ISO 8601, in order. Read line by line; what cannot be read is said with line and column.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from tillwatch.agent.model import MS, Quality, State
from tillwatch.agent.wire import Column
from tillwatch.collector.alarm.alarms import Alarm, change
from tillwatch.collector.alarm.rules import Rule
from tillwatch.collector.backtest.engine_run import Found, Heard, tickets
from tillwatch.collector.backtest.judging import MAX_EPISODES, Episode, Fault
from tillwatch.collector.backtest.rule_run import Raised
from tillwatch.collector.detect.limits import QUIET, LimitState, settle, step
from tillwatch.collector.predict.engine import Engine, Models
from tillwatch.collector.predict.finding import Happened
from tillwatch.collector.predict.past import judged
from tillwatch.collector.predict.settings import Tables

NEEDED, KNOWN = ("time", "value"), ("time", "terminal", "component", "value", "fault")
TERMINAL, COMPONENT = "sheet", "device"
"""Where the file does not say whose the readings are."""
MAX_SERIES = 10_000
"""Of one file: terminals and components."""
MAX_FAULTS = 100_000
FAULT_RULE = "sheet.fault"


class SheetError(Exception):
    """The file cannot be used. The text names file, line and column."""


@dataclass(frozen=True, slots=True)
class Row:
    """at: UTC ns; fault: None where the file has no such column."""

    line: int
    at: int
    terminal: str
    component: str
    value: float | str
    fault: bool | None


def rows(path: Path) -> Iterator[Row]:
    """In the order of the file. Raises SheetError."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield from _rows(path, csv.DictReader(file, restkey=""))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SheetError(f"{path}: {error}") from None


def _rows(path: Path, reader: csv.DictReader[str]) -> Iterator[Row]:
    names = reader.fieldnames or []
    if missing := [each for each in NEEDED if each not in names]:
        raise SheetError(f"{path}, line 1: no column {missing[0]!r}; the first line names them: {', '.join(KNOWN)}")
    if strange := [each for each in names if each not in KNOWN]:
        raise SheetError(f"{path}, line 1: unknown column {strange[0]!r}; known are {', '.join(KNOWN)}")
    for row in reader:
        line = reader.line_num
        if "" in row or None in row.values():
            raise SheetError(f"{path}, line {line}: has not as many columns as the first line")
        yield Row(
            line, _time(path, line, row["time"]), row.get("terminal", TERMINAL) or TERMINAL, row.get("component", COMPONENT) or COMPONENT,
            _value(path, line, row["value"]), _fault(path, line, row.get("fault")),
        )  # fmt: skip


def _time(path: Path, line: int, text: str) -> int:
    try:
        return round(datetime.fromisoformat(text.strip()).astimezone().timestamp() * 1000) * MS
    except (ValueError, OverflowError):
        raise SheetError(
            f"{path}, line {line}, column time: {text!r} is no time of ISO 8601, such as 2026-11-21T14:05:00"
        ) from None


def _value(path: Path, line: int, text: str) -> float | str:
    text = text.strip()
    try:
        number = float(text)
    except ValueError:
        if text:
            return text
        raise SheetError(f"{path}, line {line}, column value: is empty; leave the line out") from None
    if number != number or number in (float("inf"), float("-inf")):  # noqa: PLR0124 - nan is unlike itself
        raise SheetError(f"{path}, line {line}, column value: {text!r} is no reading; leave the line out")
    return number


def _fault(path: Path, line: int, text: str | None) -> bool | None:
    if text is None:
        return None
    if text.strip() not in {"0", "1"}:
        raise SheetError(f"{path}, line {line}, column fault: {text!r} is neither 0 nor 1")
    return text.strip() == "1"


@dataclass(slots=True)
class Sheet:
    """What a file told beside its readings. since, until: UTC ns; labelled: it says when there were faults."""

    since: int = 0
    until: int = 0
    lines: int = 0
    terminals: set[str] = field(default_factory=set)
    faults: list[Fault] = field(default_factory=list)
    labelled: bool = False
    _open: dict[tuple[str, str], int] = field(default_factory=dict)
    _last: dict[tuple[str, str], int] = field(default_factory=dict)

    def hear(self, path: Path, row: Row, *, ordered: bool) -> str:
        """What the label of a row begins (`raised`), ends (`cleared`), or nothing. ordered: all lines are to be in order of time, not those of a series only."""
        key = row.terminal, row.component
        before = self.until if ordered else self._last.get(key, row.at)
        if row.at < before:
            raise SheetError(
                f"{path}, line {row.line}, column time: earlier than the line before; sort the file by time"
            )
        if key not in self._last and len(self._last) >= MAX_SERIES:
            raise SheetError(f"{path}, line {row.line}: more than {MAX_SERIES} series; try it on fewer")
        self._last[key] = row.at
        self.since, self.until = self.since or row.at, max(self.until, row.at)
        self.lines += 1
        self.terminals.add(row.terminal)
        self.labelled = self.labelled or row.fault is not None
        if row.fault and key not in self._open:
            if len(self.faults) >= MAX_FAULTS:
                raise SheetError(
                    f"{path}, line {row.line}, column fault: more than {MAX_FAULTS} faults; is it a label?"
                )
            self._open[key] = len(self.faults)
            self.faults.append(Fault(row.terminal, row.component, FAULT_RULE, row.at))
            return "raised"
        if row.fault is False and key in self._open:
            number = self._open.pop(key)
            self.faults[number] = replace(self.faults[number], ended=row.at)
            return "cleared"
        return ""


def try_rule(path: Path, rule: Rule, signal: str, reopen_ns: int) -> tuple[Raised, Sheet]:
    """By the limits, durations and deadband of the rule, series by series. Raises SheetError."""
    if signal not in rule.signals:
        raise SheetError(
            f"--signal {signal or 'is missing'}: the rule {rule.id} compares {', '.join(rule.signals) or 'none'}"
        )
    sheet, found = Sheet(), Raised()
    series: dict[tuple[str, str], tuple[LimitState, Alarm | None]] = {}
    for row in rows(path):
        sheet.hear(path, row, ordered=False)
        key = row.terminal, row.component
        if rule.component is not None and row.component != COMPONENT and not rule.component.match(row.component):
            continue
        found.watched.add(key)
        state, alarm = series.get(key, (QUIET, None))
        due = settle(rule.limits, state, row.at)
        alarm = _changed(found, rule, key, alarm, due, row.at, reopen_ns)
        new = step(rule.limits, due, row.at, row.value, int(judged(signal, row.value)))
        series[key] = new, _changed(found, rule, key, alarm, new, row.at, reopen_ns)
    for alarm in (alarm for _, alarm in series.values() if alarm is not None and alarm.open):
        _keep(found, alarm, 0)
    found.episodes.sort(key=lambda each: (each.begun, each.terminal, each.component))
    found.terminals = set(sheet.terminals)
    return found, sheet


def _changed(
    found: Raised, rule: Rule, key: tuple[str, str], alarm: Alarm | None, state: LimitState, at: int, reopen_ns: int
) -> Alarm | None:
    changed = change(
        alarm, (rule.id, *key), level=state.level, at=at, detail={"value": state.value, "since": state.since}, reopen_ns=reopen_ns, new_id=1,
    )  # fmt: skip
    if changed is None:
        return alarm
    if changed[1] == "cleared" and alarm is not None:
        _keep(found, alarm, at)
    if changed[1] == "recurred":
        return replace(changed[0], raised_at=at)
    return changed[0]


def _keep(found: Raised, alarm: Alarm, ended: int) -> None:
    if len(found.episodes) >= MAX_EPISODES:
        found.left_out += 1
        return
    found.episodes.append(
        Episode(alarm.rule, alarm.terminal, alarm.component, alarm.raised_at, ended, alarm.level, alarm.detail["value"])
    )
    found.tickets[""] = found.tickets.get("", 0) + 1


def try_detector(path: Path, tables: Tables, models: Models, detector: str, signal: str) -> tuple[Found, Sheet]:
    """By the engine. Raises SheetError."""
    if signal not in tables.gauges | tables.counters | tables.words:
        raise SheetError(
            f"--signal {signal or 'is missing'}: no signal that the predictions look at; see the catalogue"
        )
    engine, sheet, found = Engine(tables, models), Sheet(), Found()
    heard = Heard(detector, 0, 2**63 - 1)
    for row in rows(path):
        turned = sheet.hear(path, row, ordered=True)
        if row.terminal not in found.terminals:
            found.terminals.add(row.terminal)
            engine.place(row.terminal, "", "", "")
            engine.happened(Happened(row.at, "enrolled", row.terminal))
        if turned:
            engine.happened(
                Happened(row.at, turned, row.terminal, row.component, FAULT_RULE, party="hardware", level=2)
            )
        heard.hear(engine.advance(row.at).findings)
        numeric = not isinstance(row.value, str)
        column = Column(row.component, signal, [row.at // MS], [row.value], Quality.GOOD, State.NONE, numeric)
        engine.read(row.terminal, [column], row.at)
    heard.hear(engine.advance(sheet.until).findings)
    found.episodes, found.left_out = heard.episodes(), heard.left_out
    found.tickets = tickets(found.episodes, {})
    return found, sheet
