"""The part of the fold that judges: readings and words against the rules of the table, what lasts long enough becomes an alarm, an alarm an
incident, an incident a message to the ticket system.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tillwatch.agent.model import MS, Quality
from tillwatch.agent.wire import Column
from tillwatch.collector import drills
from tillwatch.collector.alarms import Alarm, AlarmEvent, acknowledge, change, expire, lose_sight
from tillwatch.collector.alarms import Key as AlarmKey
from tillwatch.collector.changes import Dirty, Ticks
from tillwatch.collector.detect.limits import QUIET, Limits, LimitState, due_at, graver, level_of, settle, step
from tillwatch.collector.fleet import Component, Fleet, Series, Terminal
from tillwatch.collector.incidents import Incident, correlation_id, follow
from tillwatch.collector.rules import SILENT, Rule, Rules, parse_rules
from tillwatch.collector.tickets.port import Evidence, Op, TicketMessage
from tillwatch.collector.timers import Key as TimerKey
from tillwatch.collector.timers import Timers


class Alarming:
    """limits: what each rule has seen of each component; alarms: the last episode of each condition; incidents: theirs.

    units: signal -> unit, of the catalogue; page: address of the console.
    """

    def __init__(self, fleet: Fleet, timers: Timers, units: Mapping[str, str], page: str) -> None:
        self.rules: Rules = parse_rules()
        self.limits: dict[AlarmKey, LimitState] = {}
        self.alarms: dict[AlarmKey, Alarm] = {}
        self.of_terminal: dict[str, set[AlarmKey]] = {}
        self.incidents: dict[str, Incident] = {}
        self.count = 0
        self.dirty = Dirty()
        self._fleet = fleet
        self._timers = timers
        self._units = units
        self._page = page

    def judge_column(
        self,
        rule: Rule,
        terminal: Terminal,
        column: Column,
        tick: Ticks,
        bounds: tuple[float, float] | None,
        received: int,
        ahead: int,
    ) -> None:
        """ahead: UTC ns; what is from later than this waits for its time elsewhere, and judges nothing."""
        if rule.component is not None and not rule.component.match(column.component):
            return
        key = (rule.id, terminal.id, column.component)
        limits, state = rule.limits, self.limits.get(key, QUIET)
        if state is QUIET and _asks_nothing(limits, column, bounds):
            return
        series = terminal.components[column.component].series
        beside = 0
        if rule.unless and any(each in series for each in rule.unless):
            if state is QUIET:
                return
            limits = Limits(
                for_ns=limits.for_ns, hold_ns=limits.hold_ns
            )  # they came later than what it has seen: it asks for nothing any more
        elif len(rule.signals) > 1 and state is not QUIET:
            beside = _beside(rule, series, column.signal, state)
        new = state
        for i, (t, value) in enumerate(zip(tick.at, column.values, strict=True)):
            quality, judged = (column.odd or {}).get(i, (column.quality, column.state))
            if t * MS > ahead:
                continue
            if value is not None and (quality is not Quality.ERROR or column.signal == "monitor.source"):
                new = step(limits, new, t * MS, value, int(judged), beside=beside)
        self._judged(rule, key, state, new, received)

    def judge(
        self,
        rule_id: str,
        terminal: Terminal,
        component: str,
        word: str,
        at: int,
        evidence: Mapping[str, str] | None = None,
    ) -> None:
        """One of the collector's own conditions, as a word that the rule of the table gives a level. evidence: kind -> text; a kind that
        an open alarm does not have yet is told, too.
        """
        rule = self.rules.by_id.get(rule_id)
        if rule is None:
            return  # in a replay: the table of that day did not know this condition
        key = (rule_id, terminal.id, component)
        state = self.limits.get(key, QUIET)
        new = step(rule.limits, state, at, word, 0)
        alarm = self.alarms.get(key)
        known: dict[str, str] = alarm.detail.get("evidence", {}) if alarm is not None and alarm.open else {}
        if evidence and alarm is not None and new.level == alarm.level and alarm.open and set(evidence) - set(known):
            merged = {**evidence, **known}
            more = {**alarm.detail, "evidence": merged, "value": "; ".join(merged.values())}
            self._changed(rule, replace(alarm, detail=more), "evidence", at)
        self._judged(rule, key, state, new, at, {**(evidence or {}), **known})

    def _judged(
        self,
        rule: Rule,
        key: AlarmKey,
        old: LimitState,
        new: LimitState,
        now: int,
        evidence: Mapping[str, str] | None = None,
    ) -> None:
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
            self._timers.cancel(timer)
        else:
            self._timers.set(timer, max(due, now))
        alarm = self.alarms.get(key)
        if rule.latched and not new.level and alarm is not None and alarm.open and not alarm.acked_at:
            if old.level:
                self._set(alarm, "returned", now, alarm.detail)
            return  # it stays open until somebody has taken it on
        self._level(rule, key, new, now, evidence)

    def limit_due(self, key: AlarmKey, now: int) -> None:
        rule, state = self.rules.by_id.get(key[0]), self.limits.get(key)
        if rule is None or state is None:
            return
        terminal = self._fleet.terminals[key[1]]
        component = terminal.components.get(key[2])
        if rule.signal and (terminal.connection != "online" or component is None or component.unknown):
            return  # Silence confirms nothing; the next reading goes on from here.
        self._judged(rule, key, state, settle(rule.limits, state, now), now)

    # Alarms and incidents.

    def _level(
        self, rule: Rule, key: AlarmKey, state: LimitState, at: int, evidence: Mapping[str, str] | None = None
    ) -> None:
        last = self.alarms.get(key)
        signal, value, told = self._speaker(rule, key, state)
        detail: dict[str, Any] = {
            "signal": signal,
            "value": value,
            "unit": self._units.get(signal, ""),
            "at": told,
            "since": state.since,
        }
        if evidence:
            detail |= {"evidence": dict(evidence), "value": "; ".join(evidence.values())}
        changed = change(
            last,
            key,
            level=state.level,
            at=at,
            detail=detail,
            reopen_ns=self.rules.reopen_ns,
            new_id=self.count + 1,
        )
        if changed is not None:
            self._changed(rule, *changed, at)

    def _speaker(self, rule: Rule, key: AlarmKey, state: LimitState) -> tuple[str, Any, int]:
        """Signal, value and time of what decides: of several signals the gravest; where none asks for anything, the one that did."""
        component = self._fleet.terminals[key[1]].components.get(key[2])
        if component is None or (len(rule.signals) < 2 and state is not QUIET):
            return rule.signal, state.value, state.at
        last, latest = self.alarms.get(key), component.series
        known = [each for each in rule.signals if each in latest]
        levels = {each: level_of(rule.limits, state.level, latest[each].value, latest[each].state) for each in known}
        asking = [each for each in known if levels[each]]
        if asking:
            signal = min(asking, key=levels.__getitem__)
        elif last is not None and last.detail.get("signal") in latest:
            signal = last.detail["signal"]
        else:
            return rule.signal, state.value, state.at
        return signal, latest[signal].value, latest[signal].at

    def _changed(self, rule: Rule, alarm: Alarm, kind: str, at: int) -> None:
        terminal = self._fleet.terminals[alarm.terminal]
        if kind == "raised":
            self.count = alarm.id
            before = self.alarms.get(alarm.key)
            if before is not None:
                self.incidents.pop(before.incident, None)
            alarm = replace(
                alarm,
                incident=correlation_id(terminal.branch, alarm.terminal, alarm.component, alarm.rule, alarm.episode),
            )
        self._set(alarm, kind, at, alarm.detail)
        followed = follow(self.incidents.get(alarm.incident), alarm, kind, at, terminal.branch)
        if followed is None:
            return
        incident, op = followed
        self.incidents[incident.corr_id] = self.dirty.incidents[incident.corr_id] = incident
        self.dirty.messages.append(self._message(rule, alarm, incident, Op(op), terminal, at))

    def _set(self, alarm: Alarm, kind: str, at: int, detail: dict[str, Any]) -> None:
        self.alarms[alarm.key] = alarm
        self.of_terminal.setdefault(alarm.terminal, set()).add(alarm.key)
        self.dirty.alarms[alarm.id] = alarm
        self.dirty.terminals.add(alarm.terminal)
        self.dirty.events.append(AlarmEvent(alarm.id, kind, at, alarm.level, detail))
        timer = _ack_timer(alarm.key)
        if alarm.ack_until:
            self._timers.set(timer, alarm.ack_until)
        else:
            self._timers.cancel(timer)

    def acknowledge(self, terminal: str, number: int, by: str, note: str, at: int) -> None:
        """Somebody takes an alarm on. One that ended meanwhile stays as it is."""
        alarm = next(
            (a for a in map(self.alarms.get, sorted(self.of_terminal.get(terminal, ()))) if a and a.id == number), None
        )
        acked = acknowledge(alarm, by, at) if alarm is not None else None
        if acked is None:
            return
        self._set(*acked, at, {"by": by, "note": note})
        rule = self.rules.by_id.get(acked[0].rule)
        if rule is not None and rule.latched:
            self._level(rule, acked[0].key, self.limits.get(acked[0].key, QUIET), at)

    def ack_due(self, key: AlarmKey, due: int) -> None:
        """It was acknowledged long ago, and still lasts."""
        alarm = self.alarms[key]
        self._set(*expire(alarm), due, {"by": alarm.acked_by})

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
            evidence=_evidence(rule, detail),
            cause=rule.cause,
            consequence=rule.consequence,
            action=rule.action,
            address=f"{self._page}/terminal/{terminal.id}" if self._page else "",
            drill=drills.injected(terminal.terminal_class, rule.id),
        )

    def lose_sight_of(self, terminal: str, component: Component | None, at: int) -> None:
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
                seen = self._fleet.terminals[terminal].components.get(key[2])
                if seen is not None:
                    seen.blind = True
                    self.dirty.components.add((terminal, seen.name))

    def regain(self, terminal: str, component: Component, at: int) -> None:
        """Data of this component has come again: its alarms are known to last, until their rules say otherwise."""
        component.unknown, component.blind = "", False
        for key in sorted(self.of_terminal.get(terminal, ())):
            alarm, rule = self.alarms[key], self.rules.by_id.get(key[0])
            if key[2] == component.name and alarm.condition == "unknown" and rule is not None:
                self._changed(rule, replace(alarm, condition="active"), "known", at)

    def change_rules(self, site: str, shipped: str, at: int) -> None:
        """Judge by another table from now on. Raises RulesError."""
        self.rules = parse_rules(site, shipped=shipped, replay=True)
        self.dirty.rules = True
        for key in sorted(set(self.limits) | {k for k, a in self.alarms.items() if a.open}):
            rule = self.rules.by_id.get(key[0])
            if rule is None or (
                key not in self.limits and not rule.latched
            ):  # over, and no longer kept for somebody to look at
                self._retire(key, at)

    def _retire(self, key: AlarmKey, at: int) -> None:
        """The rule is gone from the table: nothing can clear its alarm any more, so it ends here and says so in its events."""
        self.limits.pop(key, None)
        self.dirty.limits.add(key)
        alarm = self.alarms.get(key)
        if alarm is not None and alarm.open:
            closed = replace(expire(alarm)[0], condition="normal", cleared_at=at)
            self._set(closed, "cleared", at, {**alarm.detail, "signal": "rule retired"})

    def restarted(self, terminal: str, at: int) -> None:
        """The collector was down: a silence that was about to be an alarm has to last anew."""
        pending = self.limits.get((SILENT, terminal, ""))
        if pending is not None and pending.wanted != pending.level:
            self.limits[SILENT, terminal, ""] = replace(pending, since=at)
            self.dirty.limits.add((SILENT, terminal, ""))

    def rearm(self, advanced_to: int) -> None:
        """Set the timers of what is pending, from the state alone."""
        for (rule_id, terminal, component), state in self.limits.items():
            rule = self.rules.by_id.get(rule_id)
            due = due_at(rule.limits, state) if rule is not None else None
            if due is not None:
                self._timers.set(("limit", terminal, component, rule_id), max(due, advanced_to))
        for alarm in self.alarms.values():
            if alarm.ack_until:
                self._timers.set(_ack_timer(alarm.key), max(alarm.ack_until, advanced_to))


def _asks_nothing(limits: Limits, column: Column, bounds: tuple[float, float] | None) -> bool:
    """The common case, seen without looking at each reading: all are well. False where it cannot be seen like this."""
    if column.odd is not None or (limits.judged is not None and limits.judged.get(int(column.state), 0)):
        return False
    if limits.words is not None and not column.numeric and not limits.words.keys().isdisjoint(map(str, column.values)):
        return False
    if not (limits.above or limits.below):
        return True
    if bounds is None:
        return False
    least, most = bounds
    return not (limits.above and most > limits.above[0].limit) and not (limits.below and least < limits.below[0].limit)


def _beside(rule: Rule, series: Mapping[str, Series], signal: str, state: LimitState) -> int:
    """The level that the latest readings of the rule's other signals ask for. One that cannot be read asks for what is so."""
    asked = 0
    for other in rule.signals:
        if other != signal and (latest := series.get(other)) is not None:
            unread = latest.quality == Quality.ERROR or latest.value is None
            asked = graver(
                asked, state.level if unread else level_of(rule.limits, state.level, latest.value, latest.state)
            )
    return asked


def _ack_timer(key: AlarmKey) -> TimerKey:
    return "ack", key[1], key[2], key[0]


def _evidence(rule: Rule, detail: Mapping[str, Any]) -> tuple[Evidence, ...]:
    if detail["signal"]:
        return (Evidence(detail["signal"], detail["value"], detail["unit"], detail["at"]),)
    return tuple(
        Evidence(f"{rule.id}.{kind}", text, "", detail["at"]) for kind, text in detail.get("evidence", {}).items()
    )
