"""The site's table of routes: rows that choose the ticket system of an incident, rows that choose through what people are called, vendor
contracts, and who is told otherwise while a ticket is not delivered. TOML into frozen values; every error names file, line, table and mend.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from fnmatch import fnmatchcase

from tillwatch.collector.duty.roster import CHANNELS
from tillwatch.collector.incident.incidents import BRANCH, FLEET, REGION, TERMINAL
from tillwatch.collector.routing.matching import COVERED, GLOBS, Contract, Globs, Match
from tillwatch.collector.routing.sections import Lines, RouteError, Section

MAX_ROUTES = 1024 * 1024
"""Bytes of a table: a mistaken path (a disk, a log) must not be read into memory."""
LEVELS = (1, 2, 3)
SCOPES = (TERMINAL, BRANCH, REGION, FLEET)


@dataclass(frozen=True, slots=True)
class Route:
    """What it matches goes to this ticket system, a name of [tickets.NAME], into this queue; empty: the one configured there."""

    name: str
    match: Match
    ticket: str
    queue: str = ""


@dataclass(frozen=True, slots=True)
class Notify:
    """Who is to be told of what it matches, as one of these roles and over one of these channels (any, where empty), is told through these, names of
    [channels.NAME]. roles: patterns.
    """

    name: str
    match: Match
    roles: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    through: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Fallback:
    """While the ticket of an incident of these levels is not delivered, the first of these roles that somebody has is told: over the first of
    the channels that he has, through all of `through`.
    """

    levels: tuple[int, ...]
    roles: tuple[str, ...]
    channels: tuple[str, ...]
    through: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RouteTable:
    """tickets: the configured ticket systems in their order; the first takes what no row does. source: the file, empty for none."""

    tickets: tuple[str, ...] = ()
    routes: tuple[Route, ...] = ()
    notify: tuple[Notify, ...] = ()
    fallback: Fallback | None = None
    contracts: Mapping[str, Contract] = field(default_factory=dict)
    source: str = ""

    @property
    def catches_all(self) -> bool:
        """Whether some row takes whatever comes."""
        return any(each.match.always for each in self.routes)


def parse_routes(text: str, source: str, tickets: tuple[str, ...] = ()) -> RouteTable:
    """tickets: the names of the configured ticket systems, in their order. Raises RouteError."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        place = re.search(r"\(at line (\d+), column \d+\)", str(error))
        reason = re.sub(r" \(at .*\)$", "", str(error))
        raise RouteError(f"{source}{f', line {place[1]}' if place else ''}: not TOML: {reason}") from None
    top = Section("", data, Lines(text, source))
    contracts = {}
    rows = top.table("contract")
    for name in rows.names():
        contracts[name] = _contract(name, rows.table(name))
    table = RouteTable(
        tickets=tickets,
        routes=tuple(_route(row, contracts) for row in top.tables("route")),
        notify=tuple(_notify(row, contracts) for row in top.tables("notify")),
        fallback=_fallback(top.table("fallback")) if "fallback" in top else None,
        contracts=contracts,
        source=source,
    )
    top.raw("fallback")
    top.done()
    _once(top, "route", [each.name for each in table.routes])
    _once(top, "notify", [each.name for each in table.notify])
    return table


def _once(top: Section, kind: str, names: list[str]) -> None:
    for row, name in zip(top.tables(kind), names, strict=True):
        if names.index(name) != row.nth - 1:
            raise row.error("name", "another row has this name already; give each row a name of its own")


def _route(row: Section, contracts: Mapping[str, Contract]) -> Route:
    route = Route(row.text("name"), _match(row, contracts), row.text("ticket"), row.text("queue", ""))
    row.done()
    return route


def _notify(row: Section, contracts: Mapping[str, Contract]) -> Notify:
    notify = Notify(
        row.text("name", f"number {row.nth}"),
        _match(row, contracts),
        _listed(row, "role"),
        _channels(row, needed=False),
        _through(row),
    )
    row.done()
    return notify


def _fallback(row: Section) -> Fallback:
    fallback = Fallback(
        _levels(row, "levels") or (1, 2), _needed(row, "role"), _channels(row, needed=True), _through(row)
    )
    row.done()
    return fallback


def _through(row: Section) -> tuple[str, ...]:
    return _needed(row, "through", "name at least one [channels.NAME] of collector.toml")


def _channels(row: Section, *, needed: bool) -> tuple[str, ...]:
    found = _needed(row, "channel") if needed else _listed(row, "channel")
    for each in found:
        if each not in CHANNELS:
            raise row.error("channel", f"write one or more of {', '.join(CHANNELS)}")
    return found


def _needed(row: Section, key: str, mend: str = "write a text or a list of texts, in quotes") -> tuple[str, ...]:
    found = _listed(row, key)
    if not found:
        raise row.error(key, mend)
    return found


def _listed(row: Section, key: str) -> tuple[str, ...]:
    """One text or several; empty where the key is not there. An empty list would match nothing, and was meant otherwise."""
    found = row.texts(key)
    if key in row and not found:
        raise row.error(key, "an empty list matches nothing; name something, or take the line out")
    return found


def _levels(row: Section, key: str) -> tuple[int, ...]:
    value = row.raw(key)
    if value is None:
        return ()
    found = value if isinstance(value, list) else [value]
    if not found or any(type(each) is not int or each not in LEVELS for each in found):
        raise row.error(key, "write 1, 2 or 3, or a list of them such as [1, 2], without quotes")
    return tuple(dict.fromkeys(found))


def _globs(row: Section, known: tuple[str, ...]) -> Globs:
    found = tuple((what, patterns) for what in known if (patterns := _listed(row, what)))
    for what, patterns in found:
        for pattern in patterns if what == "scope" else ():
            if not any(fnmatchcase(scope, pattern) for scope in SCOPES):
                raise row.error("scope", f"{pattern!r} is no scope; write one or more of {', '.join(SCOPES)}")
    return found


def _days(row: Section) -> tuple[int, int]:
    """`from` and `to` as ordinals of the first and the last day, 0 where they are not said."""
    found = []
    for key in ("from", "to"):
        value = row.raw(key)
        if value is not None and (not isinstance(value, date) or isinstance(value, datetime)):
            raise row.error(key, "write a date such as 2026-10-01, without quotes and without a time of day")
        found.append(value.toordinal() if value else 0)
    if found[1] and found[1] < found[0]:
        raise row.error("to", "it must not lie before from")
    return found[0], found[1]


def _match(row: Section, contracts: Mapping[str, Contract]) -> Match:
    first, last = _days(row)
    match = Match(
        levels=_levels(row, "level"),
        globs=_globs(row, GLOBS),
        contracts=_listed(row, "contract"),
        first=first,
        last=last,
        hours=row.text("hours", ""),
        not_hours=row.text("not_hours", ""),
        on_duty=_listed(row, "on_duty"),
        nobody_on=_listed(row, "nobody_on"),
    )
    for glob in match.contracts:
        if not any(fnmatchcase(name, glob) for name in contracts):
            raise row.error("contract", f"there is no [contract.NAME] that fits {glob!r}; {_known(contracts)}")
    if match.hours and match.hours == match.not_hours:
        raise row.error("not_hours", "nothing is both within and outside the same hours; keep one of the two")
    if match.on_duty and set(match.on_duty) <= set(match.nobody_on):
        raise row.error("nobody_on", "nobody and somebody cannot have the same role; keep one of the two")
    return match


def _known(contracts: Mapping[str, Contract]) -> str:
    return f"known are {', '.join(contracts)}" if contracts else "write that table, or take the line out"


def _contract(name: str, row: Section) -> Contract:
    first, last = _days(row)
    covers = row.raw("covers", [])
    rows = (row.table("covers"),) if isinstance(covers, dict) else tuple(row.tables("covers"))
    contract = Contract(
        name,
        row.text("vendor"),
        row.text("number", ""),
        row.text("hotline", ""),
        tuple(map(_covered, rows)),
        first,
        last,
    )
    row.done()
    return contract


def _covered(row: Section) -> Globs:
    globs = _globs(row, COVERED)
    row.done()
    if not globs:
        raise row.whole(f"is empty; write one or more of {', '.join(COVERED)}, or take it out")
    return globs
