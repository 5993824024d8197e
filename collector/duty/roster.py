"""Who is on duty: people, the roles that they take, and their shifts. Pure; of a person it holds a name and how to reach them, no secrets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tillwatch.collector.duty.calendars import ALL_DAY, Calendar, read_hours
from tillwatch.collector.duty.tables import Table
from tillwatch.collector.duty.windows import EVERYWHERE, PLACES, covers, read_bounds, read_days

CHANNELS = ("phone", "sms", "mail")
"""How people are told. Which program calls, sends and mails is a matter of the connectors."""


@dataclass(frozen=True, slots=True)
class Person:
    """contact: channel (of CHANNELS) -> number or address."""

    id: str
    name: str
    contact: Mapping[str, str] = field(default_factory=dict)

    def reach(self, channels: tuple[str, ...]) -> tuple[str, ...]:
        """Those of the channels on which he can be reached, or else all on which he can."""
        return tuple(each for each in channels if each in self.contact) or tuple(self.contact) or channels


@dataclass(frozen=True, slots=True)
class Shift:
    """people take role by these hours, in the scopes (`all`, `region:NAME`, `branch:NAME`), from since to until in UTC ns where until is set.
    dated: it was planned for certain days and goes before what is planned for every week.
    """

    role: str
    people: tuple[Person, ...]
    hours: Calendar
    scopes: tuple[str, ...] = (EVERYWHERE,)
    since: int = 0
    until: int = 0
    dated: bool = False

    def on(self, at: int) -> bool:
        return (not self.until or self.since <= at < self.until) and self.hours.is_open(at)

    def nearness(self, branch: str, region: str) -> int:
        """3 where it names the branch, 2 where it names the region, 1 where it is for everywhere, 0 where it is for others."""
        kinds = (scope.partition(":")[0] for scope in self.scopes if covers(scope, "", branch, region))
        return max(({"branch": 3, "region": 2, EVERYWHERE: 1}[kind] for kind in kinds), default=0)


@dataclass(frozen=True, slots=True)
class Roster:
    """All people and shifts. roles: role -> what it is."""

    people: Mapping[str, Person] = field(default_factory=dict)
    shifts: tuple[Shift, ...] = ()
    roles: Mapping[str, str] = field(default_factory=dict)

    def on_duty(self, role: str, at: int, branch: str, region: str) -> tuple[Person, ...]:
        """Who has this role at UTC ns `at`; empty: nobody. Shifts of the branch go before those of its region, and these before those for
        everywhere; among equally near ones, those for certain days before the weekly ones. All who are left are on duty together.

        Where there is no shift at all the roster is not in use: the role stands for whoever has it, and how to reach him is not known here.
        """
        if not self.shifts:
            return (Person(role, role),)
        on = [
            ((near, shift.dated), shift)
            for shift in self.shifts
            if shift.role == role and (near := shift.nearness(branch, region)) and shift.on(at)
        ]
        best = max((rank for rank, _ in on), default=None)
        people = (person for rank, shift in on if rank == best for person in shift.people)
        return tuple({person.id: person for person in people}.values())


def read_roster(policy: Table, zone: str) -> Roster:
    """Of the tables [role], [person.NAME] and [[shift]]."""
    told = policy.table("role")
    roles = {name: told.text(name) for name in told.names()}
    people = {}
    named = policy.table("person")
    for name in named.names():
        row = named.table(name)
        full = row.text("name")
        contact = {channel: row.text(channel) for channel in CHANNELS if channel in row}
        for channel in CHANNELS:
            row.text(channel, "")
        row.done()
        if not contact:
            raise row.error("phone", f"nobody can be reached without one of {', '.join(CHANNELS)}")
        people[name] = Person(name, full, contact)
    shifts = tuple(_shift(row, people, roles, zone) for row in policy.tables("shift"))
    return Roster(people, shifts, roles)


def _shift(row: Table, people: Mapping[str, Person], roles: Mapping[str, str], zone: str) -> Shift:
    role = row.one_of("role", tuple(roles))
    names = row.texts("people")
    for name in names:
        if name not in people:
            raise row.error("people", f"there is no [person.{name}]; write that table, or correct the name")
    if not names:
        raise row.error("people", "name at least one person")
    zone = row.zone("time_zone", zone)
    scopes = row.texts("scope", (EVERYWHERE,))
    for scope in scopes:
        kind, _, place = scope.partition(":")
        if scope != EVERYWHERE and not (kind in PLACES and place.strip()):
            raise row.error("scope", 'write "all", "region:NAME", "branch:NAME", or a list of them')
    dated = "from" in row or "to" in row
    since = until = first = last = 0
    if "hours" in row:
        first, last = read_days(row)
    else:
        since, until = read_bounds(row, zone)
    hours = row.raw("hours")
    week = read_hours(hours, row, "hours") if hours is not None else (ALL_DAY,) * 7
    row.done()
    return Shift(role, tuple(people[name] for name in names), Calendar(role, zone, week, {}, first, last), scopes, since, until, dated)  # fmt: skip
