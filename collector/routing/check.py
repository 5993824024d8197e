"""What is wrong with a table that can be read: names that nothing has, rows that never come to anything, calls that go nowhere. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from fnmatch import fnmatchcase

from tillwatch.collector.duty.policy import Policy
from tillwatch.collector.duty.targets import SERVICE
from tillwatch.collector.routing.matching import Globs, Match, quoted
from tillwatch.collector.routing.table import LEVELS, SCOPES, Route, RouteTable
from tillwatch.collector.tickets.port import DRILLS

FAIL, WARN, NOTE = "fail", "warn", "note"
"""The collector will not start with it; it is hardly meant so; it may be meant so."""

SHOWN = 12
"""Names that are offered in one line; the rest are counted."""


@dataclass(frozen=True, slots=True)
class Remark:
    """state: FAIL, WARN or NOTE; text: what is wrong and what to do."""

    state: str
    text: str


@dataclass(frozen=True, slots=True)
class Known:
    """What the rows may name. places: what of GLOBS -> the values that terminals have; without any terminal it says nothing. today: ordinal."""

    policy: Policy
    channels: Collection[str] = ()
    rules: Collection[str] = ()
    places: Mapping[str, Collection[str]] = field(default_factory=dict)
    today: int = 0


def examine(table: RouteTable, known: Known) -> Iterator[Remark]:
    """The gravest are not first: they come in the order of the table."""
    yield from _systems(table)
    rows = _rows(table)
    for where, match in rows:
        yield from _match(where, match, known)
    yield from _roles(table, known.policy)
    yield from _channels(table, known)
    for name, contract in table.contracts.items():
        where = f"[contract.{name}]"
        for globs in contract.covers:
            yield from _strangers(where, globs, known)
        if contract.last and contract.last < known.today:
            yield Remark(NOTE, f"{where}: it ended on {date.fromordinal(contract.last)}; renew it, or take it out")
    yield from _idle(table)


def _rows(table: RouteTable) -> list[tuple[str, Match]]:
    return [
        *((_route(each), each.match) for each in table.routes),
        *((f"[[notify]] {quoted(each.name)}", each.match) for each in table.notify),
    ]


def _route(route: Route) -> str:
    return f"[[route]] {quoted(route.name)}"


def _systems(table: RouteTable) -> Iterator[Remark]:
    if DRILLS in table.tickets:
        yield Remark(FAIL, f"[tickets.{DRILLS}] in collector.toml: this name is the watchdog's; give it another one")
    for route in table.routes:
        if route.ticket not in table.tickets:
            mend = _mend(route.ticket, table.tickets, "write it into collector.toml, or name one that is there")
            yield Remark(FAIL, f"{_route(route)} ticket: there is no [tickets.{route.ticket}]; {mend}")
    if not table.routes and len(table.tickets) > 1:
        text = (
            f"there are {len(table.tickets)} ticket systems ({', '.join(table.tickets)}) and no [[route]] says which one gets what; write a table with"
            f' a last row such as [[route]] name = "rest", ticket = "{table.tickets[0]}", and name its file with routes = "routes.toml" in [tickets]'
        )
        yield Remark(FAIL, text)
    elif table.routes and not table.catches_all and table.tickets:
        text = (
            f"no row takes whatever is left: that goes to {quoted(table.tickets[0])}, the first of collector.toml; end with"
            f' [[route]] name = "rest", ticket = "{table.tickets[0]}" and nothing else in it'
        )
        yield Remark(WARN, text)


def _match(where: str, match: Match, known: Known) -> Iterator[Remark]:
    yield from _strangers(where, match.globs, known)
    for key, name in (("hours", match.hours), ("not_hours", match.not_hours)):
        if name and name not in (*known.policy.calendars, SERVICE):
            mend = _mend(name, (*known.policy.calendars, SERVICE), "write it into the policy, or correct the name")
            yield Remark(FAIL, f"{where} {key}: there is no calendar {quoted(name)}; {mend}")
    for key, roles in (("on_duty", match.on_duty), ("nobody_on", match.nobody_on)):
        yield from _unknown_roles(f"{where} {key}", roles, known.policy)
    if match.last and match.last < known.today:
        yield Remark(NOTE, f"{where}: it ended on {date.fromordinal(match.last)}; take it out")


def _strangers(where: str, globs: Globs, known: Known) -> Iterator[Remark]:
    for what, patterns in globs:
        values = known.rules if what == "rule" else known.places.get(what, ())
        for pattern in patterns if values else ():
            if any(fnmatchcase(value, pattern) for value in values):
                continue
            if what == "rule":
                mend = _mend(pattern, values, "correct it, or take it out")
                yield Remark(WARN, f"{where} rule: {quoted(pattern)} fits no rule; {mend}")
            else:
                yield Remark(NOTE, f"{where} {what}: no terminal has one that fits {quoted(pattern)}")


def _roles(table: RouteTable, policy: Policy) -> Iterator[Remark]:
    for notify in table.notify:
        yield from _unknown_roles(f"[[notify]] {quoted(notify.name)} role", notify.roles, policy)
    if table.fallback is not None:
        yield from _unknown_roles("[fallback] role", table.fallback.roles, policy)
        there = {
            each.id: each
            for shift in policy.roster.shifts
            if shift.role in table.fallback.roles
            for each in shift.people
        }
        for person in there.values():
            if not set(table.fallback.channels) & set(person.contact):
                channels = " or ".join(table.fallback.channels)
                yield Remark(
                    WARN,
                    f"[fallback] channel: {person.name} cannot be reached by {channels}; write it into [person.{person.id}]",
                )


def _unknown_roles(where: str, roles: Iterable[str], policy: Policy) -> Iterator[Remark]:
    for role in roles:
        if not any(fnmatchcase(each, role) for each in policy.roster.roles):
            mend = _mend(role, policy.roster.roles, "write it into [role] of the policy, or correct the name")
            yield Remark(FAIL, f"{where}: there is no role {quoted(role)}; {mend}")


def _channels(table: RouteTable, known: Known) -> Iterator[Remark]:
    through = [(f"[[notify]] {quoted(each.name)}", each.through) for each in table.notify]
    if table.fallback is not None:
        through.append(("[fallback]", table.fallback.through))
    for where, names in through:
        for name in names:
            if name not in known.channels:
                mend = _mend(name, known.channels, "write it into collector.toml, or name one that is there")
                yield Remark(FAIL, f"{where} through: there is no [channels.{name}]; {mend}")
    if not known.channels:
        return
    for name in known.channels:
        if name in table.tickets:
            yield Remark(FAIL, f"[tickets.{name}] and [channels.{name}] have one name; give one of them another")
    called = dict.fromkeys(
        channel for target in known.policy.targets.values() for step in target.steps for channel in step.channels
    )
    lost = [each for each in called if not any(not n.channels or each in n.channels for n in table.notify)]
    if lost:
        text = f"no [[notify]] takes calls by {', '.join(lost)}, as steps of the policy have them: they stand in the ticket and reach nobody"
        yield Remark(WARN, text)


def _idle(table: RouteTable) -> Iterator[Remark]:
    """Rows and ticket systems that nothing ever comes to."""
    for place, route in enumerate(table.routes):
        before = _before(route.match, table.routes[:place])
        if before:
            names = ", ".join(quoted(each) for each in before)
            text = f"{_route(route)}: it never decides, since {names} above always {'does' if len(before) == 1 else 'do'}; move it up, or take it out"
            yield Remark(WARN, text)
    used = {each.ticket for each in table.routes}
    for name in table.tickets if table.routes else ():
        if name not in used and (table.catches_all or name != table.tickets[0]):
            yield Remark(NOTE, f"[tickets.{name}]: no row names it, so it gets nothing new")


def _before(match: Match, above: tuple[Route, ...]) -> tuple[str, ...]:
    """The rows above that together take all that this one matches; empty where something may be left to it. Looked at for each level and scope by
    itself, so that one row for level 1 and another for 2 and 3 are all levels.
    """
    scopes = next((patterns for what, patterns in match.globs if what == "scope"), ("*",))
    found: dict[str, None] = {}
    for level in match.levels or LEVELS:
        for scope in (each for each in SCOPES if any(fnmatchcase(each, pattern) for pattern in scopes)):
            others = tuple(each for each in match.globs if each[0] != "scope")
            part = replace(match, levels=(level,), globs=(*others, ("scope", (scope,))))
            taker = next((each.name for each in above if each.match.takes_all_of(part)), None)
            if taker is None:
                return ()
            found[taker] = None
    return tuple(found)


def _mend(name: str, known: Iterable[str], otherwise: str) -> str:
    there = list(known)
    near = difflib.get_close_matches(name, there, n=1)
    if near:
        return f"did you mean {quoted(near[0])}?"
    more = f" and {len(there) - SHOWN} more" if len(there) > SHOWN else ""
    return f"{otherwise} (known: {', '.join(there[:SHOWN])}{more})" if there else otherwise
