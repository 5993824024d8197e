"""All pages of the console, in the groups in which people look for them. A page that somebody may not see does not stand in their navigation."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from tillwatch.collector.people.roles import Permission, Visitor


@dataclass(frozen=True, slots=True)
class Place:
    """One page. key: for the mark of the current one; label: of the catalogue; within: beginnings of the addresses of pages that belong under it."""

    key: str
    address: str
    label: str
    permission: Permission = Permission.SEE
    within: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Group:
    label: str
    places: tuple[Place, ...]


GROUPS = (
    Group("nav.watch", (
        Place("fleet", "/", "nav.fleet", within=("/terminal/",)),
        Place("wall", "/wall", "nav.wall"),
        Place("regions", "/regions", "nav.regions", within=("/regions/", "/branch/")),
        Place("heat", "/heat", "nav.heat"),
        Place("path", "/path", "nav.path"),
    )),
    Group("nav.work", (
        Place("inbox", "/inbox", "nav.inbox", within=("/incident/",)),
        Place("alarms", "/alarms", "nav.alarms"),
        Place("my", "/my", "nav.my", Permission.ACT, ("/repair/",)),
        Place("calendar", "/calendar", "nav.calendar"),
        Place("roster", "/roster", "nav.roster"),
    )),
    Group("nav.foresee", (
        Place("risk", "/at-risk", "nav.risk", within=("/findings/",)),
        Place("trends", "/trends", "nav.trends"),
        Place("supplies", "/supplies", "nav.supplies"),
    )),
    Group("nav.measure", (
        Place("figures", "/figures", "nav.figures", within=("/figures/",)),
    )),
    Group("nav.know", (
        Place("cards", "/cards", "nav.cards", within=("/cards/",)),
        Place("rules", "/rules", "nav.rules", within=("/rules/",)),
    )),
    Group("nav.system", (
        Place("monitoring", "/monitoring", "nav.monitoring"),
        Place("enrolment", "/enrolment", "nav.enrolment"),
        Place("rollout", "/rollout", "nav.rollout"),
        Place("deliveries", "/deliveries", "nav.deliveries"),
        Place("audit", "/audit", "nav.audit", Permission.AUDIT),
        Place("people", "/people", "nav.people", Permission.PEOPLE),
    )),
)  # fmt: skip


def shown(visitor: Visitor, there: Collection[str]) -> Iterator[Group]:
    """What this visitor may see; groups that are empty for them are left out. there: addresses of the pages that this console has."""
    for group in GROUPS:
        places = tuple(place for place in group.places if place.address in there and visitor.may(place.permission))
        if places:
            yield Group(group.label, places)


def current(path: str) -> str:
    """The key of the place at an address, or of the one under which it belongs; empty for none."""
    for group in GROUPS:
        for place in group.places:
            if path == place.address or path.startswith(place.within or ("\0",)):
                return place.key
    return ""
