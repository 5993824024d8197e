"""What the page of one terminal asks of the store beyond its components and alarms: its file and notes, versions of its devices, one timeline of all that
happened to it, bands of states, and how terminals like it do. Read-only values; times are UTC ns, 0 for not known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from tillwatch.collector.detect.days_left import DaysLeft
from tillwatch.collector.predict.lives import Lives
from tillwatch.collector.terminal import asset
from tillwatch.collector.terminal.asset import Due, Note, SerialCheck
from tillwatch.collector.terminal.bands import Band

STATE, ALARM, INCIDENT, MAINTENANCE, CHANGE, PART, NOTE, RESTART = (
    "state", "alarm", "incident", "maintenance", "change", "part", "note", "restart",
)  # fmt: skip
KINDS = (STATE, ALARM, INCIDENT, MAINTENANCE, CHANGE, PART, NOTE, RESTART)
"""What a timeline has: the states of the terminal, alarms, incidents, maintenance windows, changes (of its file, identity, life cycle, devices, and of the
rules), parts that were changed, notes, and restarts of the machine or the collector.
"""
MAX_MOMENTS = 2_000
"""Of one kind in one answer, the latest: five a day for a year, and some 300 KB of JSON."""
MAX_NOTES = 200
"""Notes that the page lists, the latest."""
MAX_SIMILAR = 12
"""Terminals that are listed beside one: what fits beside it on a screen."""


@dataclass(frozen=True, slots=True)
class Moment:
    """Something on the timeline. until: where it lasted, 0 for an instant, and for what still lasts (`lasts`). what: its key within the kind, such as a state, a
    rule or an action; level: 1 to 3, 0 for none; ref: the incident, alarm, window or entry; by: who did it; text: words of a person or a device;
    values: the rest.
    """

    kind: str
    at: int
    until: int = 0
    lasts: bool = False
    what: str = ""
    component: str = ""
    level: int = 0
    ref: str = ""
    by: str = ""
    text: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Timeline:
    """In order of time. left_out: kind -> older ones that did not fit."""

    start: int
    end: int
    moments: tuple[Moment, ...]
    left_out: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class VersionView:
    """What a device says of itself in words: signal is of identity.*; since: when it first said so, 0 where that is older than what is kept; before: the word before
    that, empty where there was none; at: when it was last read.
    """

    component: str
    signal: str
    value: str
    since: int
    before: str
    at: int


@dataclass(frozen=True, slots=True)
class RepairView:
    """A verdict on an incident of the terminal. fault: the rule; part: what was changed."""

    at: int
    incident: str
    component: str
    fault: str
    verdict: str
    part: str


@dataclass(frozen=True, slots=True)
class DossierView:
    """The file of one terminal. version: of the asset, by which a change says over what it was made; serials: see asset.compare; dues: the nearest first."""

    asset: Mapping[str, Any]
    version: str
    serials: tuple[SerialCheck, ...]
    dues: tuple[Due, ...]
    notes: tuple[Note, ...]
    versions: tuple[VersionView, ...]
    repairs: tuple[RepairView, ...]
    enrolled_at: int


@dataclass(frozen=True, slots=True)
class ComponentBands:
    component: str
    bands: tuple[Band, ...]


@dataclass(frozen=True, slots=True)
class Strip:
    """The bands of the terminal's own state (`state` of records.STATES), and of each component, the worst first."""

    start: int
    end: int
    states: tuple[Band, ...]
    components: tuple[ComponentBands, ...]


@dataclass(frozen=True, slots=True)
class LifeView:
    """How much of its rated life a wear part has used. used, rated: in `unit`; rated 0: no figure is known; share: of the rated life; at_least: more may have been used; left:
    days, as a range; since: from when on it was counted; assumed: no document gives the figure; evidence: who says so; finding: what is foreseen of it.
    """

    life: str
    part: str
    title_en: str
    title_zh: str
    component: str
    signal: str
    source: str
    purpose: str
    unit: str
    used: float
    rated: float
    share: float | None
    at_least: bool
    left: DaysLeft | None
    since: int
    assumed: bool
    evidence: str
    celsius: float | None = None
    finding: str = ""


@dataclass(frozen=True, slots=True)
class SimilarView:
    """Another terminal. like: `model`, `branch` or `class`, the nearest; incidents: of the last 90 days; grade: of its risk, empty without one."""

    id: str
    branch: str
    model: str
    like: tuple[str, ...]
    condition: str
    state: str
    open_alarms: int
    incidents: int
    grade: str


@dataclass(frozen=True, slots=True)
class Similar:
    """Those nearest to it, the worst first. incidents: of the terminal itself; of_model: how many have its model (without it), usual: the median of their incidents;
    of_class, usual_of_class: the same of its class.
    """

    incidents: int
    model: str
    of_model: int
    usual: float | None
    of_class: int
    usual_of_class: float | None
    terminals: tuple[SimilarView, ...]


def EVERYWHERE(_branch: str, _region: str) -> bool:  # noqa: N802 - a constant that is called
    return True


class DossierReader(Protocol):
    """Every call sees one consistent state of the store. An unknown terminal raises KeyError with its name. now: UTC ns."""

    def dossier(self, terminal: str, now: int) -> DossierView: ...

    def asset(self, terminal: str) -> tuple[Mapping[str, Any], str]:
        """The device file, empty where there is none, and its version."""
        ...

    def amended(self, terminal: str, fields: Mapping[str, Any]) -> tuple[str, str]:
        """The version of the device file, and that which it will have once these fields are changed."""
        ...

    def assets(self) -> Mapping[str, Mapping[str, Any]]:
        """All that there are, by terminal."""
        ...

    def timeline(self, terminal: str, start: int, end: int, kinds: Sequence[str] = KINDS) -> Timeline: ...

    def strip(self, terminal: str, start: int, end: int) -> Strip: ...

    def lives(self, terminal: str, lives: Lives, now: int) -> Sequence[LifeView]:
        """Of each wear part that a life is rated for, or counted; the most used first."""
        ...

    def similar(self, terminal: str, now: int, covers: Callable[[str, str], bool] = EVERYWHERE) -> Similar:
        """covers: whether a (branch, region) is to be looked at."""
        ...


# What somebody is shown who may not see protected values whole.

SERIAL = "identity.serial"


def masked_dossier(view: DossierView) -> DossierView:
    return replace(
        view,
        asset=asset.masked(view.asset),
        serials=tuple(
            replace(each, listed=each.listed and asset.mask(each.listed), told=each.told and asset.mask(each.told))
            for each in view.serials
        ),
        versions=tuple(
            replace(each, value=asset.mask(each.value), before=each.before and asset.mask(each.before))
            if each.signal == SERIAL
            else each
            for each in view.versions
        ),
    )


def masked_timeline(view: Timeline) -> Timeline:
    return replace(
        view,
        moments=tuple(
            replace(each, values={name: asset.mask(value) for name, value in each.values.items()})
            if each.what == SERIAL
            else each
            for each in view.moments
        ),
    )
