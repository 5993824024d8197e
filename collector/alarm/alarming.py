"""The part of the fold that judges: readings and words against the rules of the table, what lasts long enough becomes an alarm. What becomes of
that stands in handling.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tillwatch.agent.model import MS, Quality
from tillwatch.agent.wire import Column
from tillwatch.collector.alarm import drills
from tillwatch.collector.alarm.alarms import Alarm, acknowledge, change, expire, lose_sight
from tillwatch.collector.alarm.alarms import Key as AlarmKey
from tillwatch.collector.alarm.masking import Masking, ack_timer
from tillwatch.collector.alarm.rules import PREDICTED, SILENT, Rule, parse_rules
from tillwatch.collector.book import Book
from tillwatch.collector.changes import Ticks
from tillwatch.collector.detect.limits import QUIET, Limits, LimitState, due_at, graver, level_of, settle, step
from tillwatch.collector.incident.handling import Handling
from tillwatch.collector.terminal.fleet import Component, Fleet, Series, Terminal
from tillwatch.collector.timers import Key as TimerKey
from tillwatch.collector.timers import Timers

BEHIND_NS = 90 * 10**9
"""From here on a reading comes from a backlog, whose end is still to come: agents read and send every minute at the latest."""


class Alarming:
    """limits: what each rule has seen of each component. units: signal -> unit, of the catalogue."""

    def __init__(
        self, book: Book, fleet: Fleet, timers: Timers, handling: Handling, masking: Masking, units: Mapping[str, str]
    ) -> None:
        self.limits: dict[AlarmKey, LimitState] = {}
        self._book = book
        self._fleet = fleet
        self._timers = timers
        self._handling = handling
        self._masking = masking
        self._units = units
        self._away = (0, 0)

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
        if state is QUIET and asks_nothing(limits, column, bounds):
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
            beside = asked_beside(rule, series, column.signal, state)
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
        since: int = 0,
    ) -> None:
        """One of the collector's own conditions, as a word that the rule of the table gives a level. evidence: kind -> text; a kind that
        an open alarm does not have yet is told, too. since: when it began, where that lies before `at`, UTC ns.
        """
        rule = self._book.rules.by_id.get(rule_id)
        if rule is None:
            return  # in a replay: the table of that day did not know this condition
        key = (rule_id, terminal.id, component)
        state = self.limits.get(key, QUIET)
        new = step(rule.limits, state, since or at, word, 0)
        alarm = self._book.alarms.get(key)
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
        self._book.dirty.limits.add(key)
        timer: TimerKey = ("limit", key[1], key[2], key[0])
        due = self._confirmed_at(rule, new)
        if due is None:
            self._timers.cancel(timer)
        else:
            self._timers.set(timer, max(due, now))
        alarm = self._book.alarms.get(key)
        if rule.latched and not new.level and alarm is not None and alarm.open and not alarm.acked_at:
            if old.level:
                self._set(alarm, "returned", now, alarm.detail)
            return  # it stays open until somebody has taken it on
        self._level(rule, key, new, now, evidence)

    def _confirmed_at(self, rule: Rule, state: LimitState) -> int | None:
        """When what is asked for is confirmed by the clock. What was to last until some time in which nobody could be heard waits a little longer:
        first of all comes what waited meanwhile. Who is missed was given the whole time anew (presence.py).
        """
        due, (since, until) = due_at(rule.limits, state), self._away
        waits = due is not None and rule.signal and state.since < until and until - since > BEHIND_NS
        return max(due, until + BEHIND_NS) if due is not None and waits else due

    def limit_due(self, key: AlarmKey, now: int) -> None:
        rule, state = self._book.rules.by_id.get(key[0]), self.limits.get(key)
        if rule is None or state is None:
            return
        terminal = self._fleet.terminals[key[1]]
        component = terminal.components.get(key[2])
        if rule.signal and (terminal.connection != "online" or component is None or component.unknown):
            return  # Silence confirms nothing; the next reading goes on from here.
        told = self._confirmed_at(rule, state)
        if (
            told is not None
            and component is not None
            and (behind := self._behind(rule, component))
            and told + behind > now
        ):
            # More of the same time is on its way, and says whether it lasted.
            self._timers.set(("limit", key[1], key[2], key[0]), told + behind)
            return
        self._judged(rule, key, state, settle(rule.limits, state, now), now)

    def _behind(self, rule: Rule, component: Component) -> int:
        """How late the latest reading came that the rule is about, in ns; 0 where it came as usual."""
        latest = max(
            (each for name in rule.signals if (each := component.series.get(name)) is not None),
            key=lambda each: each.at,
            default=None,
        )
        late = latest.received - latest.at if latest is not None else 0
        return late if late > BEHIND_NS else 0

    # Alarms and incidents.

    def _level(
        self, rule: Rule, key: AlarmKey, state: LimitState, at: int, evidence: Mapping[str, str] | None = None
    ) -> None:
        last = self._book.alarms.get(key)
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
            level=self._graded(rule, key[1], state.level),
            at=at,
            detail=detail,
            reopen_ns=self._book.rules.reopen_ns,
            new_id=self._book.count + 1,
        )
        if changed is not None:
            self._changed(rule, *changed, at)

    def _speaker(self, rule: Rule, key: AlarmKey, state: LimitState) -> tuple[str, Any, int]:
        """Signal, value and time of what decides: of several signals the gravest; where none asks for anything, the one that did."""
        component = self._fleet.terminals[key[1]].components.get(key[2])
        if component is None or (len(rule.signals) < 2 and state is not QUIET):
            return rule.signal, state.value, state.at
        last, latest = self._book.alarms.get(key), component.series
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

    def _graded(self, rule: Rule, terminal: str, level: int) -> int:
        """The level of the business effect: it may be another one for the terminal's class. Out of service by decision nothing has an effect."""
        known = self._fleet.terminals[terminal]
        if not level or not known.in_service:
            return 0
        if rule.id in PREDICTED:
            return level
        return self._book.policy.classes.of(known.terminal_class).level(rule.id, level)

    def _changed(self, rule: Rule, alarm: Alarm, kind: str, at: int) -> None:
        if kind == "raised":
            self._book.count = alarm.id
            terminal = self._fleet.terminals[alarm.terminal]
            alarm = replace(
                alarm, drill=drills.injected(terminal.terminal_class, alarm.rule) or bool(alarm.detail.get("drill"))
            )
            if alarm.drill:  # each is measured by itself, and never goes on with the incident of the one before
                alarm = replace(alarm, incident="")
        if kind in ("raised", "recurred"):
            # A window may have opened or closed while its condition was over.
            alarm = self._masking.covered(alarm, at)
        self._set(alarm, kind, at, alarm.detail)
        self._handling.heard(rule, alarm, kind, at)

    def _set(self, alarm: Alarm, kind: str, at: int, detail: dict[str, Any]) -> None:
        self._book.put(alarm, kind, at, detail)
        timer = ack_timer(alarm.key)
        if alarm.ack_until:
            self._timers.set(timer, alarm.ack_until)
        else:
            self._timers.cancel(timer)

    def find(self, terminal: str, number: int) -> Alarm | None:
        """The last episode of a condition, by its number."""
        keys = sorted(self._book.of_terminal.get(terminal, ()))
        return next((a for a in map(self._book.alarms.__getitem__, keys) if a.id == number), None)

    def acknowledge(self, alarm: Alarm, by: str, note: str, at: int) -> None:
        """Somebody takes an alarm on. One that ended meanwhile, and was seen, stays as it is."""
        acked = acknowledge(alarm, by, at)
        if acked is None:
            return
        self._set(*acked, at, {"by": by, "note": note})
        rule = self._book.rules.by_id.get(acked[0].rule)
        if rule is not None and rule.latched:
            self._level(rule, acked[0].key, self.limits.get(acked[0].key, QUIET), at)

    def ack_due(self, key: AlarmKey, due: int) -> None:
        """It was acknowledged long ago, and still lasts."""
        alarm = self._book.alarms[key]
        if self._handling.in_hand(alarm):
            acked = acknowledge(alarm, alarm.acked_by, due)
            assert acked is not None
            self._set(acked[0], "acknowledged", due, {"by": alarm.acked_by, "note": "its repair goes on"})
            return
        self._set(*expire(alarm), due, {"by": alarm.acked_by})

    def drill(self, terminal: str, facts: Mapping[str, Any], at: int) -> None:
        """A fault that somebody injects: an alarm beside the real ones, marked from here to the last ticket, of no effect on any figure."""
        rule = self._book.rule(str(facts["rule"]))
        if rule is None or terminal not in self._fleet.terminals:
            return
        key = (rule.id, terminal, "/".join(each for each in ("drill", str(facts.get("component", ""))) if each))
        minutes = int(facts.get("minutes", 0))
        level = int(facts.get("level", 3)) if minutes else 0
        until = at + minutes * 60 * 10**9
        detail = {
            "signal": "",
            "value": str(facts["actor"]),
            "unit": "",
            "at": at,
            "since": at,
            "drill": True,
            "until": until,
        }
        known = self._book.alarms.get(key)
        changed = change(known, key, level=level, at=at, detail=detail, reopen_ns=0, new_id=self._book.count + 1)
        if changed is not None:
            self._changed(rule, *changed, at)
        elif level and known is not None:
            self._changed(rule, replace(known, detail={**known.detail, "until": until}), "evidence", at)
        timer: TimerKey = ("drill", terminal, key[2], rule.id)
        if level:
            self._timers.set(timer, until)
        else:
            self._timers.cancel(timer)

    def drill_due(self, key: AlarmKey, due: int) -> None:
        rule, alarm = self._book.rule(key[0]), self._book.alarms[key]
        ended = change(alarm, key, level=0, at=due, detail={**alarm.detail, "since": due}, reopen_ns=0, new_id=0)
        if rule is not None and ended is not None:
            self._changed(rule, *ended, due)

    def judge_anew(self, terminal: str, at: int) -> None:
        """Every condition of the terminal, as it is: it has just gone into service, or out of it."""
        for key in sorted(self.limits):
            rule, state = self._book.rule(key[0]), self.limits[key]
            if key[1] == terminal and rule is not None:
                self._level(rule, key, state, at)

    def lose_sight_of(self, terminal: str, component: Component | None, at: int) -> None:
        """Alarms on what cannot be seen any more stay open as unknown. component None: the whole terminal."""
        for key in sorted(self._book.of_terminal.get(terminal, ())):
            alarm = self._book.alarms[key]
            rule = self._book.rules.by_id.get(key[0])
            if (
                rule is None
                or not rule.signal
                or alarm.detail.get("drill")  # nobody reads what was injected
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
                    self._book.dirty.components.add((terminal, seen.name))

    def regain(self, terminal: str, component: Component, at: int) -> None:
        """Data of this component has come again: its alarms are known to last, until their rules say otherwise."""
        component.unknown, component.blind = "", False
        for key in sorted(self._book.of_terminal.get(terminal, ())):
            alarm, rule = self._book.alarms[key], self._book.rules.by_id.get(key[0])
            if key[2] == component.name and alarm.condition == "unknown" and rule is not None:
                self._changed(rule, replace(alarm, condition="active"), "known", at)

    def change_rules(self, site: str, shipped: str, at: int) -> None:
        """Judge by another table from now on. Raises RulesError."""
        self._book.rules = parse_rules(site, shipped=shipped, replay=True)
        self._book.dirty.rules = True
        for key in sorted(set(self.limits) | {k for k, a in self._book.alarms.items() if a.open}):
            rule = self._book.rules.by_id.get(key[0])
            if rule is None or (
                key not in self.limits and not rule.latched
            ):  # over, and no longer kept for somebody to look at
                self._retire(key, at)

    def _retire(self, key: AlarmKey, at: int) -> None:
        """The rule is gone from the table: nothing can clear its alarm any more, so it ends here and says so in its events."""
        self.limits.pop(key, None)
        self._book.dirty.limits.add(key)
        alarm = self._book.alarms.get(key)
        if alarm is not None and alarm.open:
            closed = replace(expire(alarm)[0], condition="normal", cleared_at=at)
            self._set(closed, "cleared", at, {**alarm.detail, "signal": "rule retired"})
            self._handling.falls(closed, at)

    def restarted(self, terminal: str, at: int) -> None:
        """The collector was down: a silence that was about to be an alarm has to last anew."""
        pending = self.limits.get((SILENT, terminal, ""))
        if pending is not None and pending.wanted != pending.level:
            self.limits[SILENT, terminal, ""] = replace(pending, since=at)
            self._book.dirty.limits.add((SILENT, terminal, ""))

    def rearm(self, advanced_to: int, *, away: tuple[int, int] = (0, 0), anew: bool = False) -> None:
        """Set the timers of what is pending, from the state alone. away: since when and until when the collector last was; anew: by rules that have
        changed.
        """
        self._away = away
        for (rule_id, terminal, component), state in self.limits.items():
            rule = self._book.rules.by_id.get(rule_id)
            due = self._confirmed_at(rule, state) if rule is not None else None
            if rule is None or due is None:
                continue
            if due <= advanced_to and rule.signal and not anew:
                # It was looked at then, and nothing was seen: the next reading goes on from there, and no restart does.
                part = self._fleet.terminals[terminal].components.get(component)
                due += self._behind(rule, part) if part is not None else 0
                if due <= advanced_to:
                    continue
            self._timers.set(("limit", terminal, component, rule_id), max(due, advanced_to))
        for alarm in self._book.alarms.values():
            if alarm.drill and alarm.open and "until" in alarm.detail:
                self._timers.set(
                    ("drill", alarm.terminal, alarm.component, alarm.rule), max(alarm.detail["until"], advanced_to)
                )
            if alarm.ack_until:
                self._timers.set(ack_timer(alarm.key), max(alarm.ack_until, advanced_to))


def asks_nothing(limits: Limits, column: Column, bounds: tuple[float, float] | None) -> bool:
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


def asked_beside(rule: Rule, series: Mapping[str, Series], signal: str, state: LimitState) -> int:
    """The level that the latest readings of the rule's other signals ask for. One that cannot be read asks for what is so."""
    asked = 0
    for other in rule.signals:
        if other != signal and (latest := series.get(other)) is not None:
            unread = latest.quality == Quality.ERROR or latest.value is None
            asked = graver(
                asked, state.level if unread else level_of(rule.limits, state.level, latest.value, latest.state)
            )
    return asked
