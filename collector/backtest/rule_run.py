"""A rule over the past, by the collector's own fold: the log is folded again, from a little before the time that is asked for, by the tables in force with the
trial's rules laid over them. What people did to the alarms of then is not repeated: these are other alarms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgpack

from tillwatch.agent.model import Clock
from tillwatch.agent.wire import FIRST_PREV, Column, Header, Life, Opened, WireError, open_batch_frame, open_life_frame
from tillwatch.collector.alarm.rules import Rules, RulesError, parse_rules
from tillwatch.collector.backtest.judging import MAX_EPISODES, Episode
from tillwatch.collector.changes import Dirty
from tillwatch.collector.duty.policy import Policy
from tillwatch.collector.fold import Fold
from tillwatch.collector.incident.incidents import SETTLING
from tillwatch.collector.journal import Entry, Kind
from tillwatch.collector.learn.panel import DAY_NS
from tillwatch.collector.predict.feed import Keys
from tillwatch.collector.predict.past import Past, Progress, Told
from tillwatch.collector.store.db import Db
from tillwatch.collector.store.log import Fault as LogFault
from tillwatch.collector.store.log import Logged
from tillwatch.device_profiles.catalogue import kept_catalogue

WARM_NS = 2 * DAY_NS
"""Before the time that is asked for: what has its daily reading has been read by then, and what lasts is raised before it counts."""
ACTS = frozenset({"enrol", "revoke", "life-cycle", "window", "window-cancel"})
"""Of people, that are repeated: they are about terminals and time, not about alarms."""
GROUP = 500
_CLOCK = Clock("ntp", 0)
"""Of hours in the place of a batch: their times were corrected when they were kept."""


class TrialError(Exception):
    """The trial cannot be run. The text says why."""


def trial(in_force: Rules, text: str, rule: str) -> Rules:
    """text: TOML of the rules to try, empty for the ones in force. Raises TrialError."""
    site = f"{in_force.text}\n{text}" if text.strip() else in_force.text
    try:
        rules = parse_rules(site, shipped=in_force.shipped, replay=not text.strip())
    except RulesError as error:
        raise TrialError(f"the rules to try, laid over those in force: {error}") from None
    if rule not in rules.by_id:
        raise TrialError(f"no rule {rule!r} is in the table; name one of it, or give a table that has it with --rules")
    return rules


@dataclass(slots=True)
class Raised:
    """tickets: branch -> incidents of this rule that people would have been told of; watched: (terminal, component) that tell its signals."""

    episodes: list[Episode] = field(default_factory=list)
    tickets: dict[str, int] = field(default_factory=dict)
    watched: set[tuple[str, str]] = field(default_factory=set)
    terminals: set[str] = field(default_factory=set)
    left_out: int = 0
    told: Told = field(default_factory=Told)


class _Listening:
    """Episodes of one rule out of what the fold tells: one an alarm, as in the store, also where it was cleared and came back within `reopen`."""

    def __init__(self, rule: str, since: int, until: int) -> None:
        self._rule, self._since, self._until = rule, since, until
        self._of: dict[int, Episode] = {}
        self._opened: set[str] = set()
        self.raised = Raised()

    def hear(self, dirty: Dirty) -> None:
        for event in dirty.events:
            alarm = dirty.alarms[event.alarm]
            if alarm.rule != self._rule or alarm.drill:
                continue
            known = self._of.get(alarm.id)
            if event.kind == "raised":
                self._begin(alarm.id, Episode(
                    self._rule, alarm.terminal, alarm.component, event.at, 0, event.level, event.detail.get("value")
                ))  # fmt: skip
            elif event.kind in {"recurred", "level"} and known is not None and event.level:
                self._of[alarm.id] = replace(known, level=min(known.level, event.level), ended=0)
            elif event.kind == "cleared" and known is not None:
                self._of[alarm.id] = replace(known, ended=event.at)
        for incident in dirty.incidents.values():
            told = incident.fault == self._rule and incident.announced_at and incident.state != SETTLING
            if told and incident.corr_id not in self._opened and self._since <= incident.opened_at < self._until:
                self._opened.add(incident.corr_id)
                self.raised.tickets[incident.branch] = self.raised.tickets.get(incident.branch, 0) + 1

    def end(self) -> Raised:
        self.raised.episodes = sorted(self._of.values(), key=lambda each: (each.begun, each.terminal, each.component))
        return self.raised

    def _begin(self, alarm: int, episode: Episode) -> None:
        if not self._since <= episode.begun < self._until:
            return
        if len(self._of) >= MAX_EPISODES:
            self.raised.left_out += 1
        else:
            self._of[alarm] = episode


def run(
    db: Db,
    rules: Rules,
    policy: Policy,
    rule: str,
    since: int,
    until: int,
    terminal: str = "",
    progress: Progress = lambda _at, _share: None,
    only: frozenset[str] | None = None,
) -> Raised:
    """db: in one consistent state. rules: see trial(). since, until: UTC ns; terminal: only this one; only: only these, None for all."""
    fold = Fold({name: signal.unit for name, signal in kept_catalogue().signals.items()})
    listening, keys = _Listening(rule, since, until), Keys(db)
    past = Past(db, since=since - WARM_NS)
    signals, waiting = frozenset(rules.by_id[rule].signals), 0
    tables = {"shipped": rules.shipped, "site": rules.text, "shipped_policy": policy.shipped, "policy": policy.text}
    begun = False
    for logged, columns in past.walk(until, progress):
        if not begun:
            fold.apply(_entry(logged.entry, Kind.RULES_CHANGED, tables))
            begun = True
        taken = _content(logged, columns, keys, past)
        name = logged.entry.terminal
        if taken is None or (name and ((terminal and name != terminal) or (only is not None and name not in only))):
            continue
        entry, content = taken
        if entry.kind is not Kind.OPERATOR and entry.terminal and entry.terminal not in fold.fleet.terminals:
            continue
        if entry.kind in {Kind.BATCH, Kind.LIFE, Kind.REFUSED, Kind.FORK} and entry.at < since - WARM_NS:
            continue
        fold.apply(entry, content)
        if isinstance(content, Opened):
            listening.raised.terminals.add(entry.terminal)
            listening.raised.watched.update(
                (entry.terminal, c.component) for c in content.columns if c.signal in signals
            )
        waiting += 1
        if waiting >= GROUP:
            listening.hear(fold.take_dirty())
            waiting = 0
    fold.advance(until)
    listening.hear(fold.take_dirty())
    found = listening.end()
    found.told = past.told
    return found


def _entry(entry: Entry, kind: Kind, facts: dict[str, Any]) -> Entry:
    return replace(entry, kind=kind, facts=msgpack.packb(facts), terminal="", payload=None)


def _content(
    logged: Logged, columns: Sequence[Column], keys: Keys, past: Past
) -> tuple[Entry, Opened | Life | None] | None:
    """The entry as it is folded again, and its content; None where it is not."""
    entry = logged.entry
    match entry.kind:
        case Kind.BATCH | Kind.LIFE if logged.frame is not None:
            try:
                opened = open_batch_frame if entry.kind is Kind.BATCH else open_life_frame
                return entry, opened(entry.terminal, logged.frame, keys)
            except WireError as error:
                past.fault(LogFault("damage", entry.n, entry.n, f"it cannot be opened: {error}"))
                return None
        case Kind.BATCH if columns:
            return _of_hours(entry, columns)
        case Kind.BATCH | Kind.LIFE | Kind.REFUSED | Kind.FORK | Kind.STARTED | Kind.STOPPED:
            return entry, None
        case Kind.OPERATOR if entry.facts_map().get("action") in ACTS:
            return entry, None
    return None


def _of_hours(entry: Entry, columns: Sequence[Column]) -> tuple[Entry, Opened]:
    """A batch whose frame is not there, with the hours in its place. They are judged as what comes live."""
    facts = entry.facts_map()
    live = {name: value for name, value in facts.items() if name not in {"historical", "correction_ms"}}
    header = Header(
        entry.terminal, b"", facts.get("epoch", b""), int(facts.get("seq", 0)), FIRST_PREV, 0, entry.at, b"", 0, _CLOCK, 0,
        sum(len(each.values) for each in columns),
    )  # fmt: skip
    return replace(entry, facts=msgpack.packb(live)), Opened(header, FIRST_PREV, list(columns))
