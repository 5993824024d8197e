"""What a row of the table asks of an incident, of the clock and of the roster, and in words what does not fit. Pure: time, policy and contracts
are handed in.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from fnmatch import fnmatchcase
from zoneinfo import ZoneInfo

from tillwatch.collector.duty.calendars import SECOND_NS, WEEKDAYS, Calendar, local_day
from tillwatch.collector.duty.policy import Policy
from tillwatch.collector.duty.targets import SERVICE
from tillwatch.collector.tickets.message import TicketMessage

GLOBS = ("component", "rule", "branch", "region", "terminal", "class", "scope")
"""What of an incident is matched by patterns as of file names."""
COVERED = ("class", "component", "rule", "terminal", "branch", "region")
"""What a vendor contract is limited by."""

Globs = tuple[tuple[str, tuple[str, ...]], ...]
"""(what, patterns): each `what` must fit one of its patterns."""


@dataclass(frozen=True, slots=True)
class RouteFacts:
    """What of an incident decides where it goes. terminal, component, terminal_class: empty where it is about a whole branch or more; scope:
    `terminal`, `branch`, `region` or `fleet`.
    """

    level: int
    component: str = ""
    rule: str = ""
    branch: str = ""
    region: str = ""
    terminal: str = ""
    terminal_class: str = ""
    scope: str = "terminal"

    @classmethod
    def of_message(cls, message: TicketMessage) -> RouteFacts:
        return cls(
            message.level, message.component, message.fault, message.branch, message.region, message.terminal, message.terminal_class,
            message.scope,
        )  # fmt: skip

    def of(self, what: str) -> str:
        """One of GLOBS."""
        said: str = getattr(self, "terminal_class" if what == "class" else what)
        return said


@dataclass(frozen=True, slots=True)
class Contract:
    """A vendor's contract. covers: it covers what fits one of these, everything where there is none; first, last: ordinals of the days on which it
    begins and ends by the clocks of the branch, 0 for neither; hotline: for the ticket, in the vendor's words.
    """

    name: str
    vendor: str
    number: str = ""
    hotline: str = ""
    covers: tuple[Globs, ...] = ()
    first: int = 0
    last: int = 0

    @property
    def line(self) -> str:
        """For the ticket: who comes, by which contract, and how they are called."""
        number = f", contract {self.number}" if self.number else ""
        return f"{self.vendor}{number}{f': {self.hotline}' if self.hotline else ''}"

    def miss(self, facts: RouteFacts, day: int) -> str:
        """Why it does not cover this on that day (proleptic ordinal), in words; empty where it does."""
        if why := _outside(day, self.first, self.last):
            return f"contract {quoted(self.name)} {why}"
        misses = [_misfit(globs, facts) for globs in self.covers]
        if not misses or not all(misses):
            return ""
        return f"contract {quoted(self.name)} does not cover it: {misses[0]}"


@dataclass(frozen=True, slots=True)
class Match:
    """What a row asks for; all of it must be so, and of a tuple one of its members. hours, not_hours: names of calendars, or `service` for the
    terminal's own hours; first, last: ordinals of days, 0 for no bound; on_duty: roles of which somebody has one; nobody_on: roles that nobody has.
    """

    levels: tuple[int, ...] = ()
    globs: Globs = ()
    contracts: tuple[str, ...] = ()
    first: int = 0
    last: int = 0
    hours: str = ""
    not_hours: str = ""
    on_duty: tuple[str, ...] = ()
    nobody_on: tuple[str, ...] = ()

    @property
    def always(self) -> bool:
        """It asks for nothing."""
        return self == ANYTHING

    def miss(self, facts: RouteFacts, at: int, policy: Policy, contracts: Mapping[str, Contract]) -> str:
        """The first thing that is not so at UTC ns `at`, in words; empty where the row matches."""
        if self.levels and facts.level not in self.levels:
            return f"level is {facts.level}, not {_either(map(str, self.levels))}"
        if why := _misfit(self.globs, facts):
            return why
        if self.contracts or self.first or self.last:
            day = local_day(ZoneInfo(_zone(policy, facts)), at)
            if why := self._no_contract(facts, day, contracts):
                return why
            if why := _outside(day, self.first, self.last):
                return f"the row {why}"
        return self._not_the_time(facts, at, policy) or self._other_duty(facts, at, policy)

    def _no_contract(self, facts: RouteFacts, day: int, contracts: Mapping[str, Contract]) -> str:
        if not self.contracts:
            return ""
        asked = [each for name, each in contracts.items() if any(fnmatchcase(name, glob) for glob in self.contracts)]
        misses = [each.miss(facts, day) for each in asked]
        if misses and not all(misses):
            return ""
        return "; ".join(misses) or f"there is no contract {_either(map(quoted, self.contracts))}"

    def _not_the_time(self, facts: RouteFacts, at: int, policy: Policy) -> str:
        for name, within in ((self.hours, True), (self.not_hours, False)):
            if not name:
                continue
            calendar = calendar_of(policy, name, facts)
            if calendar is None:
                return f"the policy has no calendar {quoted(name)}"
            if calendar.is_open(at) != within:
                return (
                    f"it is {_clock(at, calendar.zone)}, {'outside' if within else 'within'} the hours {quoted(name)}"
                )
        return ""

    def _other_duty(self, facts: RouteFacts, at: int, policy: Policy) -> str:
        def having(role: str) -> tuple[str, ...]:
            return tuple(each.name for each in policy.roster.on_duty(role, at, facts.branch, facts.region))

        if self.on_duty and not any(having(role) for role in self.on_duty):
            return f"nobody has the role {_either(map(quoted, self.on_duty))} then"
        for role in self.nobody_on:
            if people := having(role):
                who = ", ".join(people) if policy.roster.shifts else "without a roster somebody always"
                return f"{who} has the role {quoted(role)} then"
        return ""

    def takes_all_of(self, other: Match) -> bool:
        """Whether it surely matches whatever the other one does. False: perhaps not."""
        levels = not self.levels or bool(other.levels and set(other.levels) <= set(self.levels))
        theirs = dict(other.globs)
        globs = all(_within(theirs.get(what, ("*",)), patterns) for what, patterns in self.globs)
        contracts = not self.contracts or bool(other.contracts and _within(other.contracts, self.contracts))
        days = self.first <= other.first and (not self.last or 0 < other.last <= self.last)
        hours = self.hours in ("", other.hours) and self.not_hours in ("", other.not_hours)
        duty = not self.on_duty or bool(other.on_duty and set(other.on_duty) <= set(self.on_duty))
        return (
            levels and globs and contracts and days and hours and duty and set(self.nobody_on) <= set(other.nobody_on)
        )


ANYTHING = Match()


def calendar_of(policy: Policy, name: str, facts: RouteFacts) -> Calendar | None:
    """The calendar of this name where the incident is; None where the policy has none."""
    if name == SERVICE:
        return policy.schedule(facts.terminal_class, facts.branch)
    return policy.hours(name, facts.branch) if name in policy.calendars else None


def contracts_of(contracts: Mapping[str, Contract], facts: RouteFacts, at: int, policy: Policy) -> tuple[Contract, ...]:
    """Those that cover the incident at UTC ns `at`."""
    if not contracts:
        return ()
    day = local_day(ZoneInfo(_zone(policy, facts)), at)
    return tuple(each for each in contracts.values() if not each.miss(facts, day))


def quoted(text: str) -> str:
    return f'"{text}"'


def _zone(policy: Policy, facts: RouteFacts) -> str:
    return policy.branch(facts.branch).zone or policy.zone


def _either(words: Iterable[str]) -> str:
    return " or ".join(words)


def _misfit(globs: Globs, facts: RouteFacts) -> str:
    for what, patterns in globs:
        value = facts.of(what)
        if not any(fnmatchcase(value, pattern) for pattern in patterns):
            said = f"{what} is {quoted(value)}" if value else f"it has no {what}"
            return f"{said}, not {_either(map(quoted, patterns))}"
    return ""


def _outside(day: int, first: int, last: int) -> str:
    if first and day < first:
        return f"begins on {date.fromordinal(first)}"
    if last and day > last:
        return f"ended on {date.fromordinal(last)}"
    return ""


def _clock(at: int, zone: str) -> str:
    local = datetime.fromtimestamp(at // SECOND_NS, UTC).astimezone(ZoneInfo(zone))
    return f"{WEEKDAYS[local.weekday()].capitalize()} {local:%H:%M} ({zone})"


def _within(narrow: tuple[str, ...], wide: tuple[str, ...]) -> bool:
    return all(any(_inside(one, other) for other in wide) for one in narrow)


def _inside(narrow: str, wide: str) -> bool:
    """Whether all that fits the pattern `narrow` surely fits `wide`. Where `wide` has no wildcard but `*`, the text of `narrow` itself is matched:
    its own wildcards then lie within what a `*` of `wide` takes, whatever they stand for.
    """
    if wide in (narrow, "*"):
        return True
    return not set("?[") & set(wide) and "[" not in narrow and fnmatchcase(narrow, wide)
