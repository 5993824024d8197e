"""The site's policy: calendars, terminal classes, service levels, the roster, topology and maintenance windows. TOML, the site's own laid
over what ships; both texts go into the journal beside the rules, so that a replay judges by the policy of that day. Public holidays are
written into the text as dates before that (`resolve`): reading a policy depends on nothing but its text.
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any

from tillwatch.collector.alarm.rules import LINKS, PREDICTED
from tillwatch.collector.duty.calendars import ALWAYS, Calendar, always, read_calendar, read_date
from tillwatch.collector.duty.public_holidays import resolve
from tillwatch.collector.duty.roster import Roster, read_roster
from tillwatch.collector.duty.tables import PolicyError, Table
from tillwatch.collector.duty.targets import SERVICE, Regulator, Step, Target, read_regulator, read_target
from tillwatch.collector.duty.windows import Window, check_node, read_window

__all__ = [
    "Branch",
    "Classes",
    "IncidentSettings",
    "Link",
    "Policy",
    "PolicyError",
    "Regulator",
    "Step",
    "Target",
    "TerminalClass",
    "Window",
    "parse_policy",
    "resolve",
    "shipped_policy",
]

DEFAULT_CLASS = "default"
MINUTE = 60 * 10**9
HOUR = 60 * MINUTE
LEVELS = (1, 2, 3)
KEPT = 4
"""Policies that stay parsed, for whoever opens the store asks for the same: as shipped, as the site has it, as it stands in the journal."""


@dataclass(frozen=True, slots=True)
class TerminalClass:
    """service: calendar of its scheduled hours. levels: rule id -> level of its alarms on terminals of this class, in place of the rule's own.
    functions: what it does for customers -> the rules whose open alarm of level 1 or 2 takes that away, as patterns of rule ids,
    `RULE@COMPONENT` where it is so on some components only.
    """

    name: str
    service: str = ALWAYS
    levels: Mapping[str, int] = field(default_factory=dict)
    functions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def level(self, rule: str, level: int) -> int:
        return self.levels.get(rule, level)

    def lost(self, rule: str, component: str = "") -> tuple[str, ...]:
        """The functions that an open alarm of this rule on this component takes away."""
        return tuple(name for name, globs in self.functions.items() if any(_matches(g, rule, component) for g in globs))


def _matches(pattern: str, rule: str, component: str) -> bool:
    rules, _, components = pattern.partition("@")
    return fnmatchcase(rule, rules) and (not components or fnmatchcase(component, components))


class Classes(dict[str, TerminalClass]):
    """By name; `of` falls back to the default class."""

    def of(self, name: str) -> TerminalClass:
        return self.get(name) or self[DEFAULT_CLASS]


@dataclass(frozen=True, slots=True)
class Link:
    """What hangs on what. Nodes: "TERMINAL", "TERMINAL/device", "branch:NAME", "region:NAME"; kind: of rules.LINKS."""

    parent: str
    child: str
    kind: str


@dataclass(frozen=True, slots=True)
class Branch:
    """What is different in branches of this name (a pattern as of file names). calendars: name -> the calendar in its place."""

    pattern: str
    zone: str = ""
    calendars: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class IncidentSettings:
    """child_settle_ns: after a cause is over until what is still active beneath it is an incident of its own; verify_ns: within which a fault
    after the closing reopens it; infer_*: share and least number of a branch's terminals, lost within this time, that are one cause;
    region_least: branches; tell_every_ns: between two updates of a ticket; supervisor_limit_ns: how long a supervisor may stay in the
    terminal; ticket_grace_ns: how long a ticket may be closed while its fault is still there; fleet_share: lost together, it is the monitoring. flap_enter transitions in flap_within_ns make an alarm intermittent, at most
    flap_leave in flap_quiet_ns make it steady again. confirm_ns: what is over by its readings, and nobody has confirmed, is settled then.
    """

    child_settle_ns: int = 10 * MINUTE
    verify_ns: int = 4 * HOUR
    infer_share: float = 0.3
    infer_least: int = 3
    infer_within_ns: int = 90 * 10**9
    region_least: int = 3
    tell_every_ns: int = 5 * MINUTE
    supervisor_limit_ns: int = 30 * MINUTE
    fleet_share: float = 0.9
    flap_enter: int = 5
    flap_within_ns: int = 30 * MINUTE
    flap_leave: int = 1
    flap_quiet_ns: int = 60 * MINUTE
    confirm_ns: int = 7 * 24 * HOUR
    ticket_grace_ns: int = 15 * MINUTE


@dataclass(frozen=True, slots=True)
class Policy:
    """shipped, text: what was parsed, the shipped and the site's, as they stand in the journal. hold_reasons: word -> text; interruption: the
    share of the scheduled time that may be lost; notes: what is no error and yet to be looked at, for the person who runs the site.
    """

    text: str = field(repr=False)
    shipped: str = field(repr=False)
    zone: str
    calendars: Mapping[str, Calendar]
    classes: Classes
    targets: Mapping[int, Target]
    roster: Roster
    links: tuple[Link, ...]
    windows: tuple[Window, ...]
    incident: IncidentSettings
    branches: tuple[Branch, ...] = ()
    hold_reasons: Mapping[str, str] = field(default_factory=dict)
    regulator: Regulator | None = None
    interruption: float = 0.005
    notes: tuple[str, ...] = ()
    _placed: dict[tuple[str, str], Calendar] = field(default_factory=dict, init=False, repr=False, compare=False)
    _found: dict[str, Branch] = field(default_factory=dict, init=False, repr=False, compare=False)

    def calendar(self, level: int, terminal_class: str, branch: str) -> Calendar:
        """The hours in which the clocks of an incident of this level run, by the clocks of the branch."""
        hours = self.targets[level].hours
        return self.hours(self.classes.of(terminal_class).service if hours == SERVICE else hours, branch)

    def schedule(self, terminal_class: str, branch: str) -> Calendar:
        """The hours in which such a terminal is to be in service, by the clocks of the branch."""
        return self.hours(self.classes.of(terminal_class).service, branch)

    def hours(self, name: str, branch: str) -> Calendar:
        """The calendar of this name, one of `calendars`: as it is in the branch, and by its clocks."""
        here = self.branch(branch)
        key = here.calendars.get(name, name), here.zone or self.zone
        calendar = self._placed.get(key)
        if calendar is None:
            calendar = self._placed[key] = self.calendars[key[0]].in_zone(key[1])
        return calendar

    def branch(self, name: str) -> Branch:
        """The branch of this very name, else the first whose pattern fits."""
        found = self._found.get(name)
        if found is None:
            exact = [each for each in self.branches if each.pattern == name]
            fits = [each for each in self.branches if fnmatchcase(name, each.pattern)]
            found = self._found[name] = (*exact, *fits, Branch(name))[0]
        return found

    def strangers(self, rules: Collection[str]) -> list[str]:
        """What terminal classes say of rules that are not in force, or not any more."""
        told = []
        for each in self.classes.values():
            told += [
                f"[class.{each.name}.levels] {rule}: there is no such rule" for rule in each.levels if rule not in rules
            ]
            told += [
                f"[class.{each.name}.levels] {rule}: what is foreseen is level 3, whatever is written here"
                for rule in each.levels
                if rule in PREDICTED
            ]
            for function, globs in each.functions.items():
                idle = (glob for glob in globs if not any(fnmatchcase(rule, glob.partition("@")[0]) for rule in rules))
                told += [f"[class.{each.name}.functions] {function}: {glob!r} fits no rule" for glob in idle]
        return told


@cache
def shipped_policy() -> str:
    return (files("tillwatch.collector") / "policy.toml").read_text(encoding="utf-8")


def parse_policy(site: str = "", *, shipped: str | None = None, replay: bool = False) -> Policy:
    """The shipped policy with a site's own laid over it: tables are changed key by key, lists replaced as a whole. Raises PolicyError.

    replay: the text stands in the journal and may be of a version that knew more, or less, than this one.
    """
    return _parsed(site, shipped if shipped is not None else shipped_policy(), replay=replay)


@lru_cache(maxsize=KEPT)
def _parsed(site: str, shipped: str, *, replay: bool) -> Policy:
    merged = _laid_over(_toml(shipped, "shipped policy"), _toml(site, "site policy"))
    return _policy(Table("", merged, replay=replay), site, shipped)


def _toml(text: str, where: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise PolicyError(f"{where}: {error}") from None


def _laid_over(base: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in own.items():
        before = merged.get(key)
        both = isinstance(before, dict) and isinstance(value, dict) and key != "hours"
        merged[key] = _laid_over(before, value) if both else value  # type: ignore[arg-type] # both are tables
    return merged


def _policy(top: Table, site: str, shipped: str) -> Policy:
    notes: list[str] = []
    place = top.table("site")
    zone = place.zone("time_zone", "UTC")
    place.done()
    calendars = _calendars(top, zone, notes)
    classes = Classes({DEFAULT_CLASS: TerminalClass(DEFAULT_CLASS)})
    rows = top.table("class")
    for name in rows.names():
        classes[name] = _class(name, rows.table(name), calendars)
    roster = read_roster(top, zone)
    targets = {level: Target(level, 30 * MINUTE, 4 * HOUR) for level in LEVELS}
    rows = top.table("target")
    for name in rows.names():
        if name not in map(str, LEVELS):
            if top.replay:
                continue
            raise PolicyError(f"[target.{name}]: levels are 1, 2 and 3; write [target.1]")
        targets[int(name)] = read_target(int(name), rows.table(name), calendars, roster.roles)
    regulator = read_regulator(top.table("regulator"), roster.roles) if "regulator" in top else None
    top.raw("regulator")
    windows = tuple(read_window(row, zone) for row in top.tables("window"))
    twice = {each.id for each in windows if sum(other.id == each.id for other in windows) > 1}
    if twice:
        raise PolicyError(f"[[window]] id: {min(twice)!r} stands there twice; give each window an id of its own")
    policy = Policy(
        text=site,
        shipped=shipped,
        zone=zone,
        calendars=calendars,
        classes=classes,
        targets=targets,
        roster=roster,
        links=tuple(link for row in top.tables("link") for link in _links(row)),
        windows=windows,
        incident=_incident(top.table("incident")),
        branches=_branches(top.table("branch"), calendars),
        hold_reasons=_words(top.table("hold")),
        regulator=regulator,
        interruption=_interruption(top.table("figures")),
        notes=(*notes, *_unmanned(targets, roster)),
    )
    top.done()
    return policy


def _calendars(top: Table, zone: str, notes: list[str]) -> dict[str, Calendar]:
    holidays: dict[str, dict[int, bool]] = {}
    rows = top.table("holidays")
    for place in rows.names():
        row = rows.table(place)
        days = {read_date(day, row, "days"): False for day in row.texts("days")}
        holidays[place] = days | {read_date(day, row, "working_days"): True for day in row.texts("working_days")}
        row.done()
    calendars = {ALWAYS: always(zone)}
    rows = top.table("calendar")
    for name in rows.names():
        if name in (ALWAYS, SERVICE):
            raise PolicyError(f"[calendar.{name}]: {name} has a meaning of its own; choose another name")
        row = rows.table(name)
        calendars[name] = read_calendar(name, row, zone, holidays)
        notes += [
            f"[calendar.{name}] holidays: the days of {place} are not known; its weekly hours hold on them, too"
            for place in row.texts("holidays")
            if place not in holidays
        ]
    return calendars


def _known(table: Table, key: str, default: str, calendars: Mapping[str, Calendar], *also: str) -> str:
    return table.one_of(key, (*calendars, *also), default)


def _class(name: str, row: Table, calendars: Mapping[str, Calendar]) -> TerminalClass:
    service = _known(row, "service", ALWAYS, calendars)
    told, lost = row.table("levels"), row.table("functions")
    levels = {rule: told.number(rule, 0, 1, 3) for rule in told.names()}
    functions = {function: globs for function in lost.names() if (globs := lost.texts(function))}
    row.done()
    return TerminalClass(name, service, levels, functions)


def _links(row: Table) -> tuple[Link, ...]:
    parent, children = row.text("parent"), row.texts("child")
    kind = row.one_of("kind", LINKS)
    for key, nodes in (("parent", (parent,)), ("child", children)):
        for node in nodes:
            try:
                check_node(node)
            except ValueError as error:
                raise row.error(key, str(error)) from None
    if not children:
        raise row.error("child", "name what hangs on it")
    if parent in children:
        raise row.error("child", "nothing hangs on itself")
    row.done()
    return tuple(Link(parent, child, kind) for child in children)


def _branches(rows: Table, calendars: Mapping[str, Calendar]) -> tuple[Branch, ...]:
    found = []
    for pattern in rows.names():
        row = rows.table(pattern)
        instead = row.table("calendars")
        for name in instead.names():
            if name not in calendars:
                raise instead.error(name, f"there is no such calendar; known are {', '.join(calendars)}")
        found.append(
            Branch(
                pattern,
                row.zone("time_zone", "UTC") if "time_zone" in row else "",
                {name: _known(instead, name, "", calendars) for name in instead.names()},
            )
        )
        row.raw("time_zone")
        row.done()
    return tuple(found)


def _incident(row: Table) -> IncidentSettings:
    default = IncidentSettings()
    settings = IncidentSettings(
        child_settle_ns=row.span("child_settle", default.child_settle_ns),
        verify_ns=row.span("verify", default.verify_ns),
        infer_share=row.share("infer_share", default.infer_share),
        infer_least=row.number("infer_least", default.infer_least, 2),
        infer_within_ns=row.span("infer_within", default.infer_within_ns),
        region_least=row.number("region_least", default.region_least, 2),
        tell_every_ns=row.span("tell_every", default.tell_every_ns),
        supervisor_limit_ns=row.span("supervisor_limit", default.supervisor_limit_ns),
        fleet_share=row.share("fleet_share", default.fleet_share),
        flap_enter=row.number("flap_enter", default.flap_enter, 2),
        flap_within_ns=row.span("flap_within", default.flap_within_ns),
        flap_leave=row.number("flap_leave", default.flap_leave),
        flap_quiet_ns=row.span("flap_quiet", default.flap_quiet_ns),
        confirm_ns=row.span("confirm", default.confirm_ns),
        ticket_grace_ns=row.span("ticket_grace", default.ticket_grace_ns),
    )
    row.done()
    return settings


def _words(row: Table) -> dict[str, str]:
    return {word: row.text(word) for word in row.names()}


def _interruption(row: Table) -> float:
    share = row.share("interruption", 0.005)
    row.done()
    return share


def _unmanned(targets: Mapping[int, Target], roster: Roster) -> list[str]:
    if not roster.shifts:
        return ["[[shift]]: there is none; calls name the role, and nobody's number"]
    manned = {shift.role for shift in roster.shifts}
    called = dict.fromkeys(step.role for target in targets.values() for step in target.steps if step.channels)
    return [
        f"[[shift]]: nobody ever has the role {role!r}, which is to be told" for role in called if role not in manned
    ]
