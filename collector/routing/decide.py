"""Where one change of an incident goes, and why: of the rows for tickets the first that matches, of those for calls every one. An incident is
never without a ticket system as long as one is configured, and its ticket stays with the one that it was opened in. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from itertools import product

from tillwatch.collector.duty.policy import Policy
from tillwatch.collector.duty.roster import Person, Roster
from tillwatch.collector.routing.matching import Contract, RouteFacts, contracts_of, quoted
from tillwatch.collector.routing.table import Notify, Route, RouteTable
from tillwatch.collector.tickets.message import TicketMessage
from tillwatch.collector.tickets.port import DRILLS, Leg

ROUTE, NOTIFY = "route", "notify"
"""Kinds of rows."""
JOINED = ", "
"""Between the roles of one call, as the message has them."""

Way = tuple[str, Leg]
"""The name of a connector, and where its message goes."""
Having = Callable[[str], tuple[Person, ...]]
"""Role -> who has it where the incident is."""


@dataclass(frozen=True, slots=True)
class Because:
    """What one row made of it. kind: ROUTE or NOTIFY; why: where it did not match the first thing that was not so, otherwise what came of it."""

    kind: str
    name: str
    matched: bool
    why: str


@dataclass(frozen=True, slots=True)
class Routed:
    """ticket: None only where no ticket system is configured. row: the route that decided; empty: none, the first ticket system took it. why: the
    ticket's way in words. contracts: that cover the incident now.
    """

    ticket: Way | None
    notify: tuple[Way, ...] = ()
    because: tuple[Because, ...] = ()
    row: str = ""
    why: str = ""
    contracts: tuple[Contract, ...] = ()


def decide(
    table: RouteTable, facts: RouteFacts, message: TicketMessage, at: int, policy: Policy, *, stays: str = ""
) -> Routed:
    """at: the time of the message, UTC ns; stays: the connector that has the incident's ticket already, empty as long as none has."""
    if message.drill:
        why = "a drill: it goes to the watchdog's receiver and nowhere else"
        rows = (*((ROUTE, each.name) for each in table.routes), *((NOTIFY, each.name) for each in table.notify))
        unasked = tuple(Because(kind, name, matched=False, why="rows are not asked of drills") for kind, name in rows)
        return Routed((DRILLS, Leg()), because=unasked, why=why)
    misses = [(each, each.match.miss(facts, at, policy, table.contracts)) for each in table.routes]
    first = next((route for route, miss in misses if not miss), None)
    because = [Because(ROUTE, route.name, not miss, miss or _came_of(route, first, stays)) for route, miss in misses]

    @cache
    def having(role: str) -> tuple[Person, ...]:
        return policy.roster.on_duty(role, at, facts.branch, facts.region)

    ways: list[Way] = []
    for notify in table.notify:
        miss = notify.match.miss(facts, at, policy, table.contracts)
        legs, why = ((), miss) if miss else _legs(notify, message, policy.roster, having)
        because.append(Because(NOTIFY, notify.name, bool(legs), why))
        ways += product(notify.through, legs)
    ticket, why = _ticket(table, [route for route, miss in misses if not miss], stays)
    return Routed(
        ticket,
        tuple(dict.fromkeys(ways)),
        tuple(because),
        first.name if first is not None else "",
        why,
        contracts_of(table.contracts, facts, at, policy),
    )


def _came_of(route: Route, first: Route | None, stays: str) -> str:
    if first is not None and route is not first:
        return f"comes after {quoted(first.name)}, which decides"
    if stays and route.ticket != stays:
        return f"would decide, but the ticket stays with {quoted(stays)}"
    return "decides"


def _ticket(table: RouteTable, matched: list[Route], stays: str) -> tuple[Way | None, str]:
    if stays:
        # A ticket that is gone is made anew, and then in the queue that its own system's rows say.
        queue = next((each.queue for each in matched if each.ticket == stays), "")
        gone = "" if stays in table.tickets else ", which is not configured any more"
        return (stays, Leg(queue=queue)), f"it was opened in {quoted(stays)} and stays there{gone}"
    if matched:
        return (matched[0].ticket, Leg(queue=matched[0].queue)), f"by the row {quoted(matched[0].name)}"
    if not table.tickets:
        return None, "no ticket system is configured; write [tickets.NAME] into collector.toml"
    taken = "no row takes it" if table.routes else "there are no rows"
    return (table.tickets[0], Leg()), f"{taken}: the first ticket system of collector.toml has it"


def _legs(notify: Notify, message: TicketMessage, roster: Roster, having: Having) -> tuple[tuple[Leg, ...], str]:
    """One for each person and channel, and who that is in words, or why it is nobody."""
    if not message.told:
        return (), "nobody is to be told of this change"
    legs: list[Leg] = []
    said: list[str] = []
    others: list[str] = []
    for told, name, channel in message.told:
        if notify.channels and channel not in notify.channels:
            others.append(f"{name} is told by {channel}, not {' or '.join(notify.channels)}")
            continue
        roles = tuple(each for each in told.split(JOINED) if each)
        people = _called(name, roles or tuple(roster.roles), roster, having)
        if notify.roles:
            own = _roles(roles, name, people, roster, having)
            if not any(fnmatchcase(role, glob) for role in own for glob in notify.roles):
                wanted = " or ".join(map(quoted, notify.roles))
                others.append(f"{name} is told as {JOINED.join(map(quoted, own)) or 'nobody'}, not {wanted}")
                continue
        legs += [Leg(channel=channel, contact=each.contact.get(channel, "")) for each in people] or [
            Leg(channel=channel)
        ]
        said.append(f"{name} by {channel}")
    return (tuple(legs), "; ".join(said)) if legs else ((), "; ".join(dict.fromkeys(others)))


def _called(name: str, roles: tuple[str, ...], roster: Roster, having: Having) -> tuple[Person, ...]:
    """The people whom a message means by this name. Several may have it: then those of them who have one of the roles, or else all of them, since one
    too many is better told than the one who is meant not at all.
    """
    named = tuple(each for each in roster.people.values() if name in (each.name, each.id))
    if len(named) < 2:
        return named
    there = {each.id for role in roles for each in having(role)}
    return tuple(each for each in named if each.id in there) or named


def _roles(
    called: tuple[str, ...], name: str, people: tuple[Person, ...], roster: Roster, having: Having
) -> tuple[str, ...]:
    """The roles as which somebody is told: of those of the call the ones that he has, and where he has none of them all of them. A reminder names
    no role: then those that he has. Without a roster the role is told by its own name.
    """
    if not roster.shifts and name in roster.roles:
        return (name,)
    ids = {each.id for each in people}
    own = tuple(role for role in called or tuple(roster.roles) if any(each.id in ids for each in having(role)))
    return own or called


def undelivered(
    table: RouteTable, facts: RouteFacts, at: int, policy: Policy, *, drill: bool = False
) -> tuple[tuple[Way, ...], str]:
    """Who is told otherwise while the ticket of such an incident is not delivered, and who or why nobody in words. How long it may wait is the
    policy's (`undelivered_ns` of its level).
    """
    fallback = table.fallback
    if drill or fallback is None:
        return (), "a drill calls nobody" if drill else "the table has no [fallback]"
    if facts.level not in fallback.levels:
        return (), f"level is {facts.level}; [fallback] is for {' and '.join(map(str, fallback.levels))}"
    for role in fallback.roles:
        if not policy.roster.shifts:
            legs = [(role, Leg(channel=fallback.channels[0]))]
        else:
            legs = list(_reached(policy.roster.on_duty(role, at, facts.branch, facts.region), fallback.channels))
        if legs:
            ways = dict.fromkeys((through, leg) for through in fallback.through for _, leg in legs)
            return tuple(ways), f"{role}: {'; '.join(f'{name} by {leg.channel}' for name, leg in legs)}"
    roles = " or ".join(map(quoted, fallback.roles))
    return (), f"nobody who has the role {roles} then can be reached by {' or '.join(fallback.channels)}"


def _reached(people: tuple[Person, ...], channels: tuple[str, ...]) -> Iterator[tuple[str, Leg]]:
    for person in people:
        channel = next((each for each in channels if each in person.contact), "")
        if channel:
            yield person.name, Leg(channel=channel, contact=person.contact[channel])
