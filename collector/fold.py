"""The fold: how each entry of the journal changes what the collector knows. Everything shown, raised or counted comes from here, and a replay
of the same entries gives the same state. Time enters only with an entry: timers that are due fire before it, in due order, at their due
time; a live tick only does this earlier. No I/O, no clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from tillwatch.agent.model import AGENT, MS, Quality, Value
from tillwatch.agent.wire import Column, Life, Opened, VerifyKey
from tillwatch.collector import sequence
from tillwatch.collector.alarms import Alarm, AlarmEvent, change, lose_sight
from tillwatch.collector.alarms import Key as AlarmKey
from tillwatch.collector.detect.limits import QUIET, LimitState, due_at, settle, step
from tillwatch.collector.fleet import Component, Fleet, Series, Terminal, TerminalKey
from tillwatch.collector.incidents import Incident, correlation_id, follow
from tillwatch.collector.journal import Entry, Kind
from tillwatch.collector.rules import COMPONENT_SILENT, FORK, SILENT, Rule, Rules, parse_rules
from tillwatch.collector.tickets.port import Evidence, Op, TicketMessage
from tillwatch.collector.timers import Key as TimerKey
from tillwatch.collector.timers import Timers

HOUR_MS = 3_600_000
AHEAD_NS = 600 * 10**9
"""A reading from further in the future than this never becomes the latest one (delivery.md 6.7)."""
HISTORICAL_MS = 15 * 60 * 1000
"""Older batches are history: they repair series and raise nothing (delivery.md 6.6)."""
SUSPECT_SKEW_MS = 60_000
"""From this skew on times are corrected by it, and both are kept."""

Rollup = tuple[str, str, int, str, list[Any]]
"""(terminal, component, hour, signal, [n, sum, min, max, last, last_at]): to be merged, in this order."""


_MONITOR = frozenset({"monitor.source", "monitor.reason", "monitor.interval"})
"""What the agent says of its own work: it does not show that the component lives."""


class _Ticks(NamedTuple):
    """Times that columns share. at: corrected, UTC ms; hour: that of all of them, -1 if they lie in two; newest: UTC ns, at position;
    last: UTC ns of the last one.
    """

    at: list[int]
    hour: int
    newest: int
    position: int
    last: int


def _ticks(at: list[int], correction: int) -> _Ticks:
    if correction:
        at = [t + correction for t in at]
    first, last, newest = min(at), at[-1], max(at)
    hour = first // HOUR_MS
    position = len(at) - 1 if last == newest else at.index(newest)
    return _Ticks(at, hour if hour == newest // HOUR_MS else -1, newest * MS, position, last * MS)


@dataclass(slots=True)
class Dirty:
    """What one group of entries changed, for the store to keep in the same transaction."""

    terminals: set[str] = field(default_factory=set)
    keys: set[tuple[str, bytes]] = field(default_factory=set)
    streams: set[tuple[str, bytes]] = field(default_factory=set)
    components: set[tuple[str, str]] = field(default_factory=set)
    limits: set[AlarmKey] = field(default_factory=set)
    alarms: dict[int, Alarm] = field(default_factory=dict)
    events: list[AlarmEvent] = field(default_factory=list)
    incidents: dict[str, Incident] = field(default_factory=dict)
    rollups: list[Rollup] = field(default_factory=list)
    messages: list[TicketMessage] = field(default_factory=list)
    tickets: list[dict[str, Any]] = field(default_factory=list)
    rules: bool = False


class Fold:
    """The state and its two movements, `advance` and `apply`. units: signal -> unit, of the catalogue; page: address of the console."""

    def __init__(self, units: Mapping[str, str], page: str = "") -> None:
        self.fleet = Fleet()
        self.rules: Rules = parse_rules()
        self.timers = Timers()
        self.limits: dict[AlarmKey, LimitState] = {}
        self.alarms: dict[AlarmKey, Alarm] = {}
        self.of_terminal: dict[str, set[AlarmKey]] = {}
        self.incidents: dict[str, Incident] = {}
        self.alarm_count = 0
        self.advanced_to = 0
        self.dirty = Dirty()
        self._units = units
        self._page = page

    def take_dirty(self) -> Dirty:
        dirty, self.dirty = self.dirty, Dirty()
        return dirty

    def advance(self, until: int) -> None:
        """Let everything happen that time alone brings, up to this UTC ns."""
        while (hit := self.timers.pop(until)) is not None:
            due, (what, terminal, component, rule) = hit
            if what == "silent":
                self._silent_due(self.fleet.terminals[terminal], due)
            else:
                self._limit_due((rule, terminal, component), due)
        self.advanced_to = max(self.advanced_to, until)

    def apply(self, entry: Entry, content: Opened | Life | None = None) -> None:
        """One entry. content: the opened message of BATCH and LIFE entries."""
        if entry.kind is Kind.STARTED:
            self._started(entry)
        self.advance(entry.at)
        match entry.kind:
            case Kind.BATCH:
                assert isinstance(content, Opened)
                self._batch(self.fleet.terminals[entry.terminal], entry, content)
            case Kind.LIFE:
                assert isinstance(content, Life)
                self._life(self.fleet.terminals[entry.terminal], entry.at, content)
            case Kind.REFUSED | Kind.FORK:
                self._unusable(self.fleet.terminals[entry.terminal], entry)
            case Kind.OPERATOR:
                self._operator(entry)
            case Kind.RULES_CHANGED:
                self._rules_changed(entry)
            case Kind.TICKET_CHANGE:
                self.dirty.tickets.append(entry.facts_map())
            case Kind.STARTED | Kind.STOPPED:
                pass

    # Batches: the path that every reading takes.

    def _batch(self, terminal: Terminal, entry: Entry, opened: Opened) -> None:
        header = opened.header
        facts = entry.facts_map()
        historical, correction = bool(facts.get("historical")), int(facts.get("correction_ms", 0))
        self._accepted(terminal, sequence.Stream(header.epoch, header.seq, opened.digest))
        if not historical:
            terminal.delays_ms.append((entry.at - header.sent) // MS)
        terminal.lost = max(terminal.lost, header.lost) if terminal.epoch == header.epoch else header.lost
        terminal.epoch = header.epoch
        self._heard(terminal, entry.at)
        sources: list[tuple[str, bool]] = []
        ticks: dict[int, _Ticks] = {}
        component = None
        for column in opened.columns:
            tick = ticks.get(id(column.at))
            if tick is None:
                tick = ticks[id(column.at)] = _ticks(column.at, correction)
            if component is None or component.name != column.component:
                component = self._component(terminal, column.component)
            series = component.series.get(column.signal)
            if series is None:
                series = component.series[column.signal] = Series()
            bounds = self._keep(terminal.id, component.name, column, series, tick, entry.at)
            if historical:
                continue
            if column.signal in _MONITOR:
                if column.signal == "monitor.interval" and isinstance(series.value, int | float):
                    component.interval_s, terminal.next_due = float(series.value), 0
                elif column.signal == "monitor.source":
                    sources.append((component.name, series.value == "failed"))
            elif column.numeric or any(v is not None for v in column.values):
                component.heard = entry.at
                if component.unknown or component.blind:
                    self._regain(terminal.id, component, entry.at)
            for rule in self.rules.by_signal.get(column.signal, ()):
                self._judge_column(rule, terminal, column, tick, bounds, entry.at)
        for name, failed in sources:
            self._source(terminal, name, failed=failed, at=entry.at)
        if not historical and entry.at >= terminal.next_due:
            self._overdue_components(terminal, entry.at)

    def _component(self, terminal: Terminal, name: str) -> Component:
        component = terminal.components.get(name)
        if component is None:
            component = terminal.components[name] = Component(name)
            terminal.next_due = 0
        self.dirty.components.add((terminal.id, name))
        return component

    def _keep(
        self, terminal: str, component: str, column: Column, series: Series, tick: _Ticks, received: int
    ) -> tuple[float, float] | None:
        """Latest value and open hour. Late hours go to the roll-ups, in the order in which they came.

        Returns least and most of the column where it is numbers, good ones, of the open hour: the common case.
        """
        values: list[Any] = column.values
        bounds = None
        if tick.hour == series.hour and column.numeric and column.odd is None and tick.newest >= series.at:
            least, most = bounds = min(values), max(values)
            series.n += len(values)
            series.total += sum(values)
            if series.least is None or least < series.least:
                series.least = least
            if series.most is None or most > series.most:
                series.most = most
            series.last, series.last_at = values[-1], tick.last
        else:
            for t, value in zip(tick.at, values, strict=True):
                self._count(terminal, component, column.signal, series, t, value)
        if series.at <= tick.newest <= received + AHEAD_NS:
            quality, state = (
                column.odd.get(tick.position, (column.quality, column.state))
                if column.odd
                else (column.quality, column.state)
            )
            series.at, series.value, series.received = tick.newest, values[tick.position], received
            series.quality, series.state = int(quality), int(state)
        return bounds

    def _count(self, terminal: str, component: str, signal: str, series: Series, at_ms: int, value: Value) -> None:
        hour = at_ms // HOUR_MS
        if hour > series.hour:
            if series.hour >= 0:
                self.dirty.rollups.append((terminal, component, series.hour, signal, series.rollup()))
            series.open_hour(hour)
        number = float(value) if isinstance(value, int | float) else None
        if hour < series.hour:
            row = [int(number is not None), number or 0.0, number, number, value, at_ms * MS]
            self.dirty.rollups.append((terminal, component, hour, signal, row))
            return
        if number is not None:
            series.n += 1
            series.total += number
            series.least = number if series.least is None else min(series.least, number)
            series.most = number if series.most is None else max(series.most, number)
        series.last, series.last_at = value, at_ms * MS

    def _judge_column(
        self,
        rule: Rule,
        terminal: Terminal,
        column: Column,
        tick: _Ticks,
        bounds: tuple[float, float] | None,
        received: int,
    ) -> None:
        key = (rule.id, terminal.id, column.component)
        limits, state = rule.limits, self.limits.get(key, QUIET)
        if state is QUIET and bounds is not None and limits.judged is None:
            least, most = bounds
            if not (limits.above and most > limits.above[0].limit) and not (
                limits.below and least < limits.below[0].limit
            ):
                return
        new = state
        for i, (t, value) in enumerate(zip(tick.at, column.values, strict=True)):
            quality, judged = (column.odd or {}).get(i, (column.quality, column.state))
            if value is not None and (quality is not Quality.ERROR or column.signal == "monitor.source"):
                new = step(limits, new, t * MS, value, int(judged))
        self._judged(rule, key, state, new, received)

    def _judge(self, rule_id: str, terminal: Terminal, component: str, word: str, at: int) -> None:
        """One of the collector's own conditions, as a word that the rule of the table gives a level."""
        rule = self.rules.by_id[rule_id]
        key = (rule_id, terminal.id, component)
        state = self.limits.get(key, QUIET)
        self._judged(rule, key, state, step(rule.limits, state, at, word, 0), at)

    def _judged(self, rule: Rule, key: AlarmKey, old: LimitState, new: LimitState, now: int) -> None:
        if new == old:
            return
        quiet = not new.level and not new.wanted
        if quiet:
            self.limits.pop(key, None)
        else:
            self.limits[key] = new
        self.dirty.limits.add(key)
        timer: TimerKey = ("limit", key[1], key[2], key[0])
        due = due_at(rule.limits, new)
        if due is None:
            self.timers.cancel(timer)
        else:
            self.timers.set(timer, max(due, now))
        self._level(rule, key, new, now)

    def _limit_due(self, key: AlarmKey, now: int) -> None:
        rule, state = self.rules.by_id.get(key[0]), self.limits.get(key)
        if rule is None or state is None:
            return
        terminal = self.fleet.terminals[key[1]]
        component = terminal.components.get(key[2])
        if rule.signal and (terminal.connection != "online" or component is None or component.unknown):
            return  # Silence confirms nothing; the next reading goes on from here.
        self._judged(rule, key, state, settle(rule.limits, state, now), now)

    # Alarms and incidents.

    def _level(self, rule: Rule, key: AlarmKey, state: LimitState, at: int) -> None:
        last = self.alarms.get(key)
        detail = {
            "signal": rule.signal,
            "value": state.value,
            "unit": self._units.get(rule.signal, ""),
            "at": state.at,
            "since": state.since,
        }
        changed = change(
            last,
            key,
            level=state.level,
            at=at,
            detail=detail,
            reopen_ns=self.rules.reopen_ns,
            new_id=self.alarm_count + 1,
        )
        if changed is not None:
            self._changed(rule, *changed, at)

    def _changed(self, rule: Rule, alarm: Alarm, kind: str, at: int) -> None:
        terminal = self.fleet.terminals[alarm.terminal]
        if kind == "raised":
            self.alarm_count = alarm.id
            before = self.alarms.get(alarm.key)
            if before is not None:
                self.incidents.pop(before.incident, None)
            alarm = replace(
                alarm,
                incident=correlation_id(terminal.branch, alarm.terminal, alarm.component, alarm.rule, alarm.episode),
            )
        self.alarms[alarm.key] = alarm
        self.of_terminal.setdefault(alarm.terminal, set()).add(alarm.key)
        self.dirty.alarms[alarm.id] = alarm
        self.dirty.terminals.add(alarm.terminal)
        self.dirty.events.append(AlarmEvent(alarm.id, kind, at, alarm.level, alarm.detail))
        followed = follow(self.incidents.get(alarm.incident), alarm, kind, at, terminal.branch)
        if followed is None:
            return
        incident, op = followed
        self.incidents[incident.corr_id] = self.dirty.incidents[incident.corr_id] = incident
        self.dirty.messages.append(self._message(rule, alarm, incident, Op(op), terminal, at))

    def _message(
        self, rule: Rule, alarm: Alarm, incident: Incident, op: Op, terminal: Terminal, at: int
    ) -> TicketMessage:
        detail = alarm.detail
        return TicketMessage(
            incident=incident.corr_id,
            op=op,
            seq=incident.seq,
            level=alarm.level,
            terminal=terminal.id,
            branch=terminal.branch,
            region=terminal.region,
            component=alarm.component,
            what=rule.text,
            at=at,
            since=int(detail.get("since") or alarm.raised_at),
            evidence=(Evidence(detail["signal"], detail["value"], detail["unit"], detail["at"]),)
            if detail["signal"]
            else (),
            cause=rule.cause,
            consequence=rule.consequence,
            action=rule.action,
            address=f"{self._page}/terminal/{terminal.id}" if self._page else "",
        )

    def _lose_sight(self, terminal: str, component: Component | None, at: int) -> None:
        """Alarms on what cannot be seen any more stay open as unknown. component None: the whole terminal."""
        for key in sorted(self.of_terminal.get(terminal, ())):
            alarm = self.alarms[key]
            rule = self.rules.by_id.get(key[0])
            if (
                rule is None
                or not rule.signal
                or rule.signal == "monitor.source"
                or (component is not None and key[2] != component.name)
            ):
                continue
            lost = lose_sight(alarm)
            if lost is not None:
                self._changed(rule, *lost, at)
                seen = self.fleet.terminals[terminal].components.get(key[2])
                if seen is not None:
                    seen.blind = True
                    self.dirty.components.add((terminal, seen.name))

    def _regain(self, terminal: str, component: Component, at: int) -> None:
        """Data of this component has come again."""
        was_silent = component.unknown == "silent"
        component.unknown, component.blind = "", False
        if was_silent:
            self._judge(COMPONENT_SILENT, self.fleet.terminals[terminal], component.name, "ok", at)
        for key in sorted(self.of_terminal.get(terminal, ())):
            alarm, rule = self.alarms[key], self.rules.by_id.get(key[0])
            if key[2] == component.name and alarm.condition == "unknown" and rule is not None:
                self._changed(rule, replace(alarm, condition="active"), "known", at)

    # Presence: no data is unknown, never health.

    def _allowed(self, terminal: Terminal) -> int:
        agent = terminal.components.get(AGENT)
        interval = agent.interval_s if agent is not None and agent.interval_s else self.rules.default_interval_s
        return max(round(interval * self.rules.silent_after * 1e9), self.rules.silent_least_ns)

    def _allowed_component(self, component: Component) -> int:
        interval = component.interval_s or self.rules.default_interval_s
        return max(round(interval * self.rules.silent_after * 1e9), self.rules.silent_least_ns)

    def _heard(self, terminal: Terminal, at: int) -> None:
        terminal.received = terminal.heard = at
        self.dirty.terminals.add(terminal.id)
        if terminal.connection != "online":
            terminal.connection = "online"
            self._judge(SILENT, terminal, "", "online", at)
            # Its components had no chance to speak meanwhile: their deadlines start anew.
            for component in terminal.components.values():
                if component.heard:
                    component.heard = max(component.heard, at)
            terminal.next_due = 0
        timer: TimerKey = ("silent", terminal.id, "", "")
        if self.timers.due(timer) is None:
            self.timers.set(timer, at + self._allowed(terminal))

    def _silent_due(self, terminal: Terminal, due: int) -> None:
        """The timer is set once and looks when it fires: a batch that came meanwhile only moved the deadline."""
        deadline = terminal.heard + self._allowed(terminal)
        if deadline > due:
            self.timers.set(("silent", terminal.id, "", ""), deadline)
        elif terminal.connection == "online":
            self._gone(terminal, "silent", due)

    def _gone(self, terminal: Terminal, connection: str, at: int) -> None:
        terminal.connection = connection
        self.dirty.terminals.add(terminal.id)
        self._lose_sight(terminal.id, None, at)
        self._judge(SILENT, terminal, "", connection, at)

    def _overdue_components(self, terminal: Terminal, at: int) -> None:
        """The terminal speaks: what it does not speak of any more is unknown."""
        terminal.next_due = at + 365 * 86400 * 10**9
        for _, component in sorted(terminal.components.items()):
            if not component.heard or component.unknown:
                continue
            deadline = component.heard + self._allowed_component(component)
            if deadline > at:
                terminal.next_due = min(terminal.next_due, deadline)
                continue
            self._hide(terminal, component, "silent", at)
            self._judge(COMPONENT_SILENT, terminal, component.name, "silent", at)

    def _source(self, terminal: Terminal, device: str, *, failed: bool, at: int) -> None:
        """The agent says whether it can read a device; all that belongs to it is unknown while it cannot."""
        if failed:
            for component in terminal.of_device(device):
                if component.unknown != "unreadable":
                    self._hide(terminal, component, "unreadable", at)
            return
        own = terminal.components[device]
        if own.unknown == "unreadable" and not own.heard:
            own.unknown = ""
        for component in terminal.of_device(device):
            component.heard = max(component.heard, at) if component.heard else 0
        terminal.next_due = 0

    def _hide(self, terminal: Terminal, component: Component, reason: str, at: int) -> None:
        was_silent = component.unknown == "silent"
        component.unknown = reason
        self.dirty.components.add((terminal.id, component.name))
        self.dirty.terminals.add(terminal.id)
        if was_silent:
            self._judge(COMPONENT_SILENT, terminal, component.name, "ok", at)
        self._lose_sight(terminal.id, component, at)

    # Streams, life, operators, rules, the collector itself.

    def _accepted(self, terminal: Terminal, stream: sequence.Stream) -> None:
        terminal.streams[stream.epoch] = stream
        self.dirty.streams.add((terminal.id, stream.epoch))
        self.fleet.remember(terminal.id, stream.epoch, stream.mark, stream.tail)

    def _life(self, terminal: Terminal, at: int, life: Life) -> None:
        decision = sequence.on_life(terminal.streams, life)
        if terminal.streams.get(life.epoch) != decision.stream:
            terminal.streams[life.epoch] = decision.stream
            self.dirty.streams.add((terminal.id, life.epoch))
        if decision.loss is not None:
            terminal.holes += decision.loss[1] - decision.loss[0] + 1
        self.dirty.terminals.add(terminal.id)
        same = terminal.epoch == life.epoch
        if life.state == "offline":
            # A will that arrives after a later birth speaks of a connection that is no more.
            if same and life.n >= terminal.life_n and terminal.connection == "online":
                self._gone(terminal, "offline", at)
            return
        terminal.lost = life.lost
        terminal.epoch, terminal.life_n = life.epoch, life.n
        terminal.boot, terminal.up_ms, terminal.up_received = life.boot, life.up, at
        self._heard(terminal, at)

    def _unusable(self, terminal: Terminal, entry: Entry) -> None:
        """A batch that is kept but not read: the stream goes on behind a refused one, and stands still at a fork."""
        facts = entry.facts_map()
        if entry.kind is Kind.REFUSED:
            self._accepted(terminal, sequence.Stream(facts["epoch"], facts["seq"], entry.payload_digest))
            self._heard(terminal, entry.at)
        else:
            self._judge(FORK, terminal, "", "fork", entry.at)

    def _operator(self, entry: Entry) -> None:
        facts = entry.facts_map()
        if facts["action"] == "enrol":
            known = self.fleet.terminals.get(entry.terminal)
            terminal = Terminal(entry.terminal, facts["branch"], facts["region"], facts["class"], entry.at)
            if known is not None:
                known.branch, known.region, known.terminal_class = (
                    terminal.branch,
                    terminal.region,
                    terminal.terminal_class,
                )
                terminal = known
            for key_id, key in terminal.keys.items():
                key.state = "revoked"
                self.dirty.keys.add((terminal.id, key_id))
            verify = VerifyKey(facts["public"])
            terminal.keys[verify.key_id] = TerminalKey(verify, "active", entry.at)
            self.fleet.terminals[terminal.id] = terminal
            self.dirty.keys.add((terminal.id, verify.key_id))
            self.dirty.terminals.add(terminal.id)

    def _rules_changed(self, entry: Entry) -> None:
        self.rules = parse_rules(entry.facts_map()["site"], shipped=entry.facts_map()["shipped"])
        self.dirty.rules = True
        for key in sorted(set(self.limits) | {k for k, a in self.alarms.items() if a.open}):
            if key[0] not in self.rules.by_id:
                self._retire(key, entry.at)
        self.rearm()

    def _retire(self, key: AlarmKey, at: int) -> None:
        """The rule is gone from the table: nothing can clear its alarm any more, so it ends here and says so in its events."""
        self.limits.pop(key, None)
        self.dirty.limits.add(key)
        alarm = self.alarms.get(key)
        if alarm is not None and alarm.open:
            closed = replace(alarm, condition="normal", cleared_at=at)
            self.alarms[key] = self.dirty.alarms[alarm.id] = closed
            self.dirty.events.append(
                AlarmEvent(alarm.id, "cleared", at, alarm.level, {**alarm.detail, "signal": "rule retired"})
            )

    def _started(self, entry: Entry) -> None:
        """While the collector was down nobody could be heard: deadlines of presence start anew with it."""
        self.advance(entry.facts_map()["down_since"])
        for terminal in self.fleet.terminals.values():
            for component in terminal.components.values():
                if component.heard and not component.unknown:
                    component.heard = entry.at
                    self.dirty.components.add((terminal.id, component.name))
            terminal.heard = entry.at
            terminal.next_due = 0
            self.dirty.terminals.add(terminal.id)
            pending = self.limits.get((SILENT, terminal.id, ""))
            if pending is not None and pending.wanted != pending.level:
                self.limits[SILENT, terminal.id, ""] = replace(pending, since=entry.at)
                self.dirty.limits.add((SILENT, terminal.id, ""))
        self.rearm()

    def rearm(self) -> None:
        """Set every timer from the state alone, as after loading it."""
        self.timers = Timers()
        for terminal in self.fleet.terminals.values():
            if terminal.connection == "online":
                self.timers.set(("silent", terminal.id, "", ""), terminal.heard + self._allowed(terminal))
        for (rule_id, terminal_id, component), state in self.limits.items():
            rule = self.rules.by_id.get(rule_id)
            due = due_at(rule.limits, state) if rule is not None else None
            if due is not None:
                self.timers.set(("limit", terminal_id, component, rule_id), max(due, self.advanced_to))
