"""All pages of the console, in the groups in which people look for them. A page that somebody may not see does not stand in their navigation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tillwatch.collector.people.roles import Permission, Visitor


@dataclass(frozen=True, slots=True)
class Place:
    """One page. key: for the mark of the current one; label: of the catalogue."""

    key: str
    address: str
    label: str
    permission: Permission = Permission.SEE


@dataclass(frozen=True, slots=True)
class Group:
    label: str
    places: tuple[Place, ...]


GROUPS = (
    Group("nav.watch", (
        Place("fleet", "/", "fleet.title"),
        Place("inbox", "/inbox", "inbox.title"),
        Place("alarms", "/alarms", "alarms.title"),
    )),
    Group("nav.foresee", (
        Place("risk", "/at-risk", "risk.title"),
    )),
)  # fmt: skip


def shown(visitor: Visitor) -> Iterator[Group]:
    """What this visitor may see; groups that are empty for them are left out."""
    for group in GROUPS:
        places = tuple(place for place in group.places if visitor.may(place.permission))
        if places:
            yield Group(group.label, places)
