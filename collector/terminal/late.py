"""The part of the fold that reads what came too late: a backlog after an outage of the line, the broker or the collector. It repairs the record, as rows
of LateSpan, and raises nothing. Readings are judged by the same rules as live ones, on states of their own that begin from what was known before
the gap.

A row is a stretch of time that readings cover, in which one thing is so: no fault of level 1 or 2, or the same ones. Rows of one backlog do not overlap,
and are never rewritten. Not covered is a hole between readings, and the time in which a device that a function needs could not be read.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import msgpack

from tillwatch.agent.model import AGENT, MS, Quality, device_of
from tillwatch.agent.wire import Column
from tillwatch.collector.alarm.alarming import asked_beside, asks_nothing
from tillwatch.collector.alarm.alarms import Key as AlarmKey
from tillwatch.collector.alarm.rules import Rule, Rules
from tillwatch.collector.book import Book
from tillwatch.collector.changes import Ticks
from tillwatch.collector.detect.limits import QUIET, Limits, LimitState, settle, step
from tillwatch.collector.duty.policy import Policy, TerminalClass
from tillwatch.collector.records import UNMONITORED, LateSpan
from tillwatch.collector.terminal.condition import (
    OUT_OF_SERVICE,
    SUPERVISOR,
    SUPERVISOR_RULE,
    OpenAlarm,
    TerminalInView,
    Unseen,
    gravest,
    needs,
    roll_up,
)
from tillwatch.collector.terminal.fleet import Fleet, Terminal
from tillwatch.collector.timers import Key as TimerKey
from tillwatch.collector.timers import Timers

PREFIX = "late\x1f"
"""Before the rule in the name of a detector: no id of a rule has a control character, and alone it is the backlog's own row."""
GRAVE = 2
"""The mildest level that is told: what is milder takes no function away."""
HOLE_INTERVALS = 3
"""Readings further apart than this many of the agent's intervals leave a hole: one that is lost, and one that is slow, leave none."""
OVER_NS = 30 * 60 * 10**9
"""After the last late batch what it told is written down, also where nothing live follows: twice the age from which a batch is late."""
MAX_SPANS = 64
"""Stretches of one batch, and those of a terminal that wait to be told. An agent's batches hold one. Of a batch with more the rest counts as not covered;
of more that wait, what was still undecided counts as it is."""
MAX_FAULTS = 64
"""Faults of a terminal that are over and wait to be told. Further ones count as one with the one before of the same rule and component: down, not up."""

_SOURCE = "monitor.source"
_UNSEEN = ""
"""In the place of a rule: the device cannot be read."""
_UNREADABLE = Limits(words={"failed": 3})
_ENDLESS = 2**63 - 1

Key = tuple[str, str]
"""(rule, component)."""


@dataclass(frozen=True, slots=True)
class _Judged:
    """state: of the rule; begun: UTC ns since when its confirmed level holds, 0 where that was before the gap."""

    state: LimitState
    begun: int = 0


@dataclass(frozen=True, slots=True)
class _Fault:
    """One that held its level from since to until, UTC ns."""

    rule: str
    component: str
    level: int
    since: int
    until: int = _ENDLESS


@dataclass(slots=True)
class Backlog:
    """Of one terminal, from its first late batch until a live one whose readings are later than `received`, when the last late one came. spans: covered,
    in the order in which they were read, the last one still grows; faults: those that are over; both as far as they are not told yet. UTC ns.
    """

    received: int = 0
    spans: list[tuple[int, int]] = field(default_factory=list)
    faults: list[_Fault] = field(default_factory=list)
    judged: dict[Key, _Judged] = field(default_factory=dict)
    known_to: int = 0
    """Between two readings time alone decides, up to here: over a hole nothing is confirmed."""
    over: bool = False
    moved: bool = False

    def pack(self) -> bytes:
        faults = [[f.rule, f.component, f.level, f.since, f.until] for f in self.faults]
        packed: bytes = msgpack.packb([self.received, self.spans, faults])
        return packed


class Late:
    """of: the backlogs that are being read, by terminal."""

    def __init__(self, book: Book, fleet: Fleet, timers: Timers, limits: Mapping[AlarmKey, LimitState]) -> None:
        self.of: dict[str, Backlog] = {}
        self._book = book
        self._fleet = fleet
        self._timers = timers
        self._live = limits
        self._table: tuple[Rules, Policy, dict[str, dict[str, tuple[Rule, ...]]]] = book.rules, book.policy, {}

    # What the store keeps.

    def load(self, detector: str, terminal: str, component: str, packed: bytes) -> None:
        """One row of the table of detectors whose name begins with PREFIX."""
        backlog = self.of.setdefault(terminal, Backlog())
        rule = detector.removeprefix(PREFIX)
        if component:
            *state, begun = msgpack.unpackb(packed)
            backlog.judged[rule, component] = _Judged(LimitState(*state), begun)
            return
        backlog.received, spans, faults = msgpack.unpackb(packed)
        backlog.spans = [(since, until) for since, until in spans]
        backlog.faults = [_Fault(*each) for each in faults]

    def rearm(self, at: int) -> None:
        for name, backlog in self.of.items():
            if backlog.spans:
                self._timers.set(_timer(name), max(backlog.received + OVER_NS, at))

    def _keep(self, terminal: str, backlog: Backlog, key: Key, judged: _Judged) -> None:
        row = PREFIX + key[0], terminal, key[1]
        state = judged.state
        if state.level or state.wanted:
            backlog.judged[key] = judged
            told = [state.level, state.wanted, state.since, state.at, state.value, judged.begun]
            self._book.dirty.backlogs[row] = msgpack.packb(told)
        elif backlog.judged.pop(key, None) is not None:
            self._book.dirty.backlogs[row] = None

    # Batches. For each: heard, judge for its columns, read.

    def heard(self, terminal: Terminal, ticks: Collection[Ticks], at: int, *, historical: bool) -> Backlog | None:
        """A late batch has come, or a live one to a terminal whose backlog is not over: what it covers. None where it is of the backlog no more."""
        backlog = self.of.get(terminal.id)
        first = min(min(tick.at) for tick in ticks) * MS
        if backlog is None:
            backlog = self.of[terminal.id] = self._begun(terminal)
        elif not historical and first >= backlog.received:
            since, until = backlog.spans[-1] if backlog.spans else (first, first)
            if until < backlog.received and first - until <= self._hole(terminal):
                backlog.spans[-1] = since, backlog.received
            self._over(terminal, backlog, at)
            return None
        if historical:
            backlog.received = at
        last = max(tick.newest for tick in ticks)
        backlog.over = not historical and last >= backlog.received
        self._cover(terminal, backlog, ticks, first, last)
        if backlog.spans and self._timers.due(_timer(terminal.id)) is None:
            self._timers.set(_timer(terminal.id), backlog.received + OVER_NS)
        return backlog

    def judge(
        self,
        backlog: Backlog,
        terminal: Terminal,
        column: Column,
        tick: Ticks,
        bounds: tuple[float, float] | None,
    ) -> None:
        """bounds: least and most of the column, where that is known. The latest values of the terminal know this column already."""
        if column.signal == _SOURCE:
            key = _UNSEEN, device_of(column.component)
            if key in backlog.judged or not asks_nothing(_UNREADABLE, column, bounds):
                self._judge(backlog, terminal, key, _UNREADABLE, column, tick, 0)
        rules = self._rules(terminal.terminal_class).get(column.signal, ())
        if rules and bounds is None and column.numeric and column.odd is None:
            values: list[Any] = column.values
            bounds = min(values), max(values)
        for rule in rules:
            if rule.component is not None and not rule.component.match(column.component):
                continue
            key = rule.id, column.component
            known, limits = backlog.judged.get(key), rule.limits
            if known is None and asks_nothing(limits, column, bounds):
                continue
            series = terminal.components[column.component].series
            others = 0
            if rule.unless and any(each in series for each in rule.unless):
                if known is None:
                    continue
                limits = Limits(for_ns=limits.for_ns, hold_ns=limits.hold_ns)
            elif len(rule.signals) > 1 and known is not None:
                others = asked_beside(rule, series, column.signal, known.state)
            self._judge(backlog, terminal, key, limits, column, tick, others)

    def read(self, terminal: Terminal, backlog: Backlog, at: int) -> None:
        """The batch is read: what is decided now is told."""
        if backlog.over:
            self._over(terminal, backlog, at)
            return
        if backlog.moved:
            self._tell(terminal, backlog, at)
        self._book.dirty.backlogs[PREFIX, terminal.id, ""] = backlog.pack()

    def due(self, name: str, due: int) -> None:
        """Nothing late has come for a while. What the rules know stays: the line may have been cut again."""
        backlog = self.of.get(name)
        if backlog is None:
            return
        if backlog.received + OVER_NS > due:
            self._timers.set(_timer(name), backlog.received + OVER_NS)
            return
        self._tell(self._fleet.terminals[name], backlog, due, whole=True)
        self._book.dirty.backlogs[PREFIX, name, ""] = backlog.pack()

    def _over(self, terminal: Terminal, backlog: Backlog, at: int) -> None:
        self._tell(terminal, backlog, at, whole=True)
        for rule, component in backlog.judged:
            self._book.dirty.backlogs[PREFIX + rule, terminal.id, component] = None
        self._book.dirty.backlogs[PREFIX, terminal.id, ""] = None
        self._timers.cancel(_timer(terminal.id))
        del self.of[terminal.id]

    def _begun(self, terminal: Terminal) -> Backlog:
        """With what the live rules know. The time until the first reading belongs to it as well, if that is not long after the last one before."""
        backlog = Backlog()
        rules = self._rules(terminal.terminal_class)
        for name, part in sorted(terminal.components.items()):
            for rule in {rule.id: rule for signal in part.series for rule in rules.get(signal, ())}.values():
                state = self._live.get((rule.id, terminal.id, name))
                if state is not None:
                    self._keep(terminal.id, backlog, (rule.id, name), _Judged(state))
            if part.unknown == "unreadable":
                self._keep(terminal.id, backlog, (_UNSEEN, device_of(name)), _Judged(LimitState(3, 3)))
        agent = terminal.components.get(AGENT)
        newest = max((series.at for series in agent.series.values()), default=0) if agent is not None else 0
        if newest > 0:
            backlog.spans.append((newest, newest))
        return backlog

    def _cover(self, terminal: Terminal, backlog: Backlog, ticks: Iterable[Ticks], first: int, last: int) -> None:
        hole = self._hole(terminal)
        low, high = terminal.enrolled_at, backlog.received
        found = [(max(first, low), min(last, high))]
        if last - first > hole:
            times = sorted({t * MS for tick in ticks for t in tick.at if low <= t * MS <= high})
            ends = [i for i, (a, b) in enumerate(pairwise(times)) if b - a > hole]
            found = (
                [(times[i], times[j]) for i, j in zip((0, *(i + 1 for i in ends)), (*ends, -1), strict=True)]
                if times
                else []
            )
        spans = backlog.spans
        before = spans[-1][1] if spans else 0
        for since, until in found[:MAX_SPANS]:
            if since > until:
                continue
            if spans and spans[-1][0] - hole <= until and since <= spans[-1][1] + hole:
                spans[-1] = spans[-1][0], max(spans[-1][1], until)
            else:
                spans.append((since, until))
                backlog.moved = backlog.moved or len(spans) > 1
        joined = len(found) == 1 and before and found[0][0] <= before + hole
        backlog.known_to = max(before, found[0][1]) if joined else before

    def _hole(self, terminal: Terminal) -> int:
        agent = terminal.components.get(AGENT)
        said = agent.interval_s if agent is not None and agent.interval_s else self._book.rules.default_interval_s
        return round(said * HOLE_INTERVALS * 1e9)

    def _judge(
        self, backlog: Backlog, terminal: Terminal, key: Key, limits: Limits, column: Column, tick: Ticks, others: int
    ) -> None:
        known = judged = backlog.judged.get(key) or _Judged(QUIET)
        usual, odd = (column.quality, column.state), column.odd or {}
        for i, (t, value) in enumerate(zip(tick.at, column.values, strict=True)):
            quality, state = odd.get(i, usual)
            at = t * MS
            if at > backlog.received or value is None or (quality is Quality.ERROR and column.signal != _SOURCE):
                continue
            # A live state is confirmed by its timer before the next reading comes; here the readings bring the time.
            if judged.state.wanted != judged.state.level:
                judged = self._moved(
                    backlog,
                    key,
                    judged,
                    self._lasted(terminal, backlog, limits, judged.state, min(at, backlog.known_to)),
                )
            new = step(limits, judged.state, at, value, int(state), beside=others)
            if new is not judged.state:
                judged = self._moved(backlog, key, judged, new)
        if judged != known:
            self._keep(terminal.id, backlog, key, judged)

    def _lasted(
        self, terminal: Terminal, backlog: Backlog, limits: Limits, state: LimitState, until: int
    ) -> LimitState:
        """What time alone confirms: of what began in the stretch that grows, or so shortly before it that no hole lies between."""
        if not backlog.spans or state.since < backlog.spans[-1][0] - self._hole(terminal):
            return state
        return settle(limits, state, until)

    def _moved(self, backlog: Backlog, key: Key, old: _Judged, new: LimitState) -> _Judged:
        if new.level == old.state.level:
            return replace(old, state=new)
        if old.state.level:
            self._ended(backlog, _Fault(*key, old.state.level, old.begun, new.since))
        backlog.moved = True
        return _Judged(new, new.since if new.level else 0)

    def _ended(self, backlog: Backlog, fault: _Fault) -> None:
        faults = backlog.faults
        if len(faults) >= MAX_FAULTS:
            alike = [i for i, f in enumerate(faults) if (f.rule, f.component) == (fault.rule, fault.component)]
            if alike:
                last = faults[alike[-1]]
                level, until = min(last.level, fault.level), max(last.until, fault.until)
                faults[alike[-1]] = replace(last, level=level, until=until)
                return
        faults.append(fault)

    # What is told of it.

    def _tell(self, terminal: Terminal, backlog: Backlog, at: int, *, whole: bool = False) -> None:
        """Append the rows of what is decided; what may still change stays. whole: nothing more is expected."""
        backlog.moved = False
        if not backlog.spans:
            return
        newest = backlog.spans[-1][1]
        undecided = newest
        for key, judged in sorted(backlog.judged.items()):
            limits = self._limits(key[0])
            settled = None
            if limits is not None:
                lasted = self._lasted(terminal, backlog, limits, judged.state, newest)
                settled = self._moved(backlog, key, judged, lasted)
            if settled is None or settled != judged:
                self._keep(terminal.id, backlog, key, settled or _Judged(QUIET))
            if settled is not None and settled.state.wanted != settled.state.level:
                undecided = min(undecided, settled.state.since)
        whole = whole or len(backlog.spans) > MAX_SPANS
        until = newest if whole else undecided
        kept: list[tuple[int, int]] = []
        for span in backlog.spans:
            rows = self._rows(terminal, backlog, span[0], min(span[1], until), at) if span[0] < until else []
            if not whole and (span[1] >= until or span is backlog.spans[-1]):
                begins = rows.pop()[0] if rows else span[0]
                kept.append((begins, span[1]))
            self._book.dirty.late += [row for _, row in rows if row is not None]
        backlog.spans = kept or [(newest, newest)]
        backlog.faults = [f for f in backlog.faults if any(f.until > since for since, _ in backlog.spans)]
        backlog.moved = False

    def _rows(
        self, terminal: Terminal, backlog: Backlog, since: int, until: int, at: int
    ) -> list[tuple[int, LateSpan | None]]:
        """The stretch in parts in which one thing is so: when each begins, and its row, None where it cannot be seen."""
        lasting = [_Fault(*key, j.state.level, j.begun) for key, j in sorted(backlog.judged.items()) if j.state.level]
        faults = [f for f in (*backlog.faults, *lasting) if f.since < until and f.until > since and f.since < f.until]
        kept = self._book.policy.classes.of(terminal.terminal_class)
        edges = sorted({since, until, *(e for f in faults for e in (f.since, f.until) if since < e < until)})
        parts: list[tuple[int, LateSpan | None]] = []
        for a, b in pairwise(edges):
            here = [f for f in faults if f.since <= a and f.until >= b]
            row = self._row(terminal, kept, here, a, b, at)
            last = parts[-1][1] if parts else None
            if row is not None and last is not None and replace(row, since=last.since) == replace(last, until=b):
                parts[-1] = (parts[-1][0], replace(last, until=b))
            elif not parts or row is not None or last is not None:
                parts.append((a, row))
        return parts

    def _row(
        self, terminal: Terminal, kept: TerminalClass, faults: list[_Fault], since: int, until: int, at: int
    ) -> LateSpan | None:
        alarms, unseen, mode = [], [], ""
        for fault in faults:
            rule = self._book.rule(fault.rule)
            if fault.rule == _UNSEEN:
                if functions := self._needed(terminal, kept, fault.component):
                    unseen.append(Unseen(fault.component, "unreadable", fault.since, functions))
            elif rule is not None and 0 < (level := kept.level(rule.id, fault.level)) <= GRAVE:
                begun = fault.since or since
                alarms.append(OpenAlarm(rule.id, rule.axis, rule.party, level, "active", begun, fault.component))
                mode = SUPERVISOR if rule.id == SUPERVISOR_RULE else mode
        view = TerminalInView(
            terminal.id, since, kept, mode=mode, mode_since=since, alarms=tuple(alarms), unseen=tuple(unseen)
        )
        found = roll_up(view, supervisor_limit_ns=self._book.policy.incident.supervisor_limit_ns).change
        if found.state == UNMONITORED:
            return None
        # What stops the terminal leaves no function, also where the rule names none.
        lost = tuple(sorted(kept.functions)) if found.state in (OUT_OF_SERVICE, SUPERVISOR) else found.lost
        level = found.level or min((each.level for each in alarms if each.rule == found.reason), default=0)
        return LateSpan(terminal.id, since, until, at, found.reason, found.party, lost, level)

    def _needed(self, terminal: Terminal, kept: TerminalClass, device: str) -> tuple[str, ...]:
        rules = self._book.rules.by_signal
        parts = terminal.of_device(device)
        return tuple(sorted({name for part in parts for name in needs(part.name, part.series, rules, kept)}))

    def _limits(self, rule: str) -> Limits | None:
        """None where the rule is gone from the table."""
        known = self._book.rule(rule)
        return _UNREADABLE if rule == _UNSEEN else known.limits if known is not None else None

    def _rules(self, terminal_class: str) -> Mapping[str, tuple[Rule, ...]]:
        """By signal, those whose alarms may be of level 1 or 2 on a terminal of this class."""
        rules, policy, found = self._table
        if rules is not self._book.rules or policy is not self._book.policy:
            found = {}
            self._table = self._book.rules, self._book.policy, found
        if terminal_class not in found:
            kept = self._book.policy.classes.of(terminal_class)
            found[terminal_class] = {
                signal: grave
                for signal, each in self._book.rules.by_signal.items()
                if (grave := tuple(r for r in each if 0 < kept.level(r.id, gravest(r.limits)) <= GRAVE))
            }
        return found[terminal_class]


def _timer(terminal: str) -> TimerKey:
    return "late", terminal, "", ""
