"""From the log of a period to the figures of every scope: each terminal, branch, region and vendor, and all of them together. Pure: the same log
and the same policy give the same figures, whenever they are computed.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from tillwatch.collector.duty.policy import Policy
from tillwatch.collector.figures.availability import COUNTS, History, Stretch, stretches
from tillwatch.collector.figures.course import course_of
from tillwatch.collector.figures.impact import FLAT, Profile
from tillwatch.collector.figures.intervals import Span
from tillwatch.collector.figures.kpi import Delivery, Judged, Kpi, judge, kpi
from tillwatch.collector.figures.load import Load, Shelf, Standing, Turn, load
from tillwatch.collector.figures.shares import Availability, Shares, measure, together
from tillwatch.collector.incident.incidents import Incident
from tillwatch.collector.records import Correction, IncidentEvent

Progress = Callable[[int, int], None]
"""Told how many terminals of how many are done."""
KINDS = ("fleet", "region", "branch", "class", "vendor", "terminal")
NOTHING = History()


class Scope(NamedTuple):
    """kind: of KINDS; name: empty for the fleet, and for the vendor of terminals of which none is known."""

    kind: str
    name: str = ""


FLEET = Scope("fleet")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a terminal belongs, as it is now."""

    terminal: str
    branch: str
    region: str
    terminal_class: str
    vendor: str = ""

    @property
    def scopes(self) -> tuple[Scope, ...]:
        return (
            FLEET,
            Scope("region", self.region),
            Scope("branch", self.branch),
            Scope("class", self.terminal_class),
            Scope("vendor", self.vendor),
            Scope("terminal", self.terminal),
        )


@dataclass(frozen=True, slots=True)
class Log:
    """All that the log has of a period. known: up to when it knows anything, UTC ns; places: of the terminals that count; histories: by terminal, with the
    state before the period; outages: of the collector itself; incidents: all since the beginning of the period, events: of those opened in
    it; turns: in order of time; episodes, shelves: that overlap it.
    """

    known: int
    places: Mapping[str, Place]
    histories: Mapping[str, History] = field(default_factory=dict)
    outages: Sequence[Span] = ()
    incidents: Sequence[Incident] = ()
    events: Mapping[str, Sequence[IncidentEvent]] = field(default_factory=dict)
    turns: Sequence[Turn] = ()
    episodes: Sequence[Standing] = ()
    shelves: Sequence[Shelf] = ()
    deliveries: Sequence[Delivery] = ()


@dataclass(frozen=True, slots=True)
class Figures:
    """What is said of one scope. over: its terminals whose interruption ratio (network, net) is above the limit of the policy."""

    scope: Scope
    availability: Availability
    kpi: Kpi
    load: Load
    over: int

    @property
    def mtbf(self) -> int | None:
        """ns: operating time by failures."""
        return self.kpi.mtbf(self.availability.parts["network"].shares.up)

    def plain(self) -> dict[str, Any]:
        return {
            "scope": {"kind": self.scope.kind, "name": self.scope.name},
            "availability": self.availability.plain(),
            "terminals_over_limit": self.over,
            "service": {**self.kpi.plain(), "mtbf_ns": self.mtbf},
            "alarm_load": self.load.plain(),
        }


@dataclass(frozen=True, slots=True)
class Settings:
    """What a report is asked with. weights: see impact.py; operators: people who watch at a time."""

    weights: Sequence[float] = FLAT
    operators: int = 1


USUAL = Settings()


@dataclass(frozen=True, slots=True)
class Computed:
    """The figures of a period with what lies behind them. end: of the period, or where the log ends; stretches: by terminal; judged: the incidents
    opened in the period; corrections: that overlap it, by entry.
    """

    start: int
    end: int
    known: int
    places: Mapping[str, Place]
    figures: Mapping[Scope, Figures]
    stretches: Mapping[str, Sequence[Stretch]]
    judged: Sequence[Judged]
    outages: Sequence[Span]
    corrections: Sequence[Correction]

    def of_kind(self, kind: str) -> list[Figures]:
        return [one for scope, one in sorted(self.figures.items()) if scope.kind == kind]

    @property
    def whole(self) -> Figures:
        return self.figures[FLEET]


def compute(
    log: Log,
    policy: Policy,
    start: int,
    end: int,
    settings: Settings = USUAL,
    progress: Progress = lambda _, __: None,
) -> Computed:
    """The figures of [start, end), as far as the log knows it."""
    end = max(start, min(end, log.known))
    cut: dict[str, list[Stretch]] = {}
    measured: dict[Scope, list[Availability]] = defaultdict(list)
    over: Counter[Scope] = Counter()
    for done, (name, place) in enumerate(sorted(log.places.items())):
        progress(done, len(log.places))
        cut[name] = them = _stretches(log, policy, place, start, end)
        calendar = policy.schedule(place.terminal_class, place.branch)
        one = measure(them, Profile(settings.weights, calendar.zone))
        ratio = one.parts["network"].shares.interruption_net
        for scope in place.scopes:
            measured[scope].append(one)
            over[scope] += ratio is not None and ratio > policy.interruption
    classes = {name: place.terminal_class for name, place in log.places.items()}
    courses = [course_of(each, log.events.get(each.corr_id, ()), log.known) for each in log.incidents]
    judged = [each for each in judge(courses, policy, classes, log.known) if start <= each.course.opened < end]
    sorted_out = _Sorted(log, judged)
    chatter = policy.incident.flap_enter, policy.incident.flap_within_ns
    found = {}
    for scope in {FLEET, *measured, *sorted_out.judged}:
        found[scope] = Figures(
            scope,
            together(measured[scope]),
            kpi(sorted_out.judged[scope], sorted_out.deliveries[scope], log.known),
            load(
                sorted_out.turns[scope],
                sorted_out.episodes[scope],
                sorted_out.shelves[scope],
                start,
                end,
                operators=settings.operators,
                chatter=chatter,
            ),
            over[scope],
        )
    said = (each for name in log.places for each in log.histories.get(name, NOTHING).corrections)
    corrections = sorted((each for each in said if each.since < end), key=lambda each: each.n)
    return Computed(start, end, log.known, log.places, found, cut, judged, log.outages, corrections)


def _stretches(log: Log, policy: Policy, place: Place, start: int, end: int) -> list[Stretch]:
    functions = policy.classes.of(place.terminal_class).functions.keys()
    history = replace(log.histories.get(place.terminal, NOTHING), functions=frozenset(functions))
    hours = policy.schedule(place.terminal_class, place.branch).spans(start, end)
    return stretches(history, hours, log.outages)


class _Sorted:
    """What happened, by scope. An incident of a whole branch or region counts there and above, not with each of its terminals."""

    def __init__(self, log: Log, judged: Iterable[Judged]) -> None:
        self._places = log.places
        self.judged: dict[Scope, list[Judged]] = defaultdict(list)
        self.deliveries: dict[Scope, list[Delivery]] = defaultdict(list)
        self.turns: dict[Scope, list[Turn]] = defaultdict(list)
        self.episodes: dict[Scope, list[Standing]] = defaultdict(list)
        self.shelves: dict[Scope, list[Shelf]] = defaultdict(list)
        for one in judged:
            incident = one.course.incident
            for scope in self._of(incident.terminal, incident.branch, incident.region):
                self.judged[scope].append(one)
        for message in log.deliveries:
            for scope in self._of(message.terminal, message.branch, message.region):
                self.deliveries[scope].append(message)
        for turn in log.turns:
            for scope in self._of(turn.terminal):
                self.turns[scope].append(turn)
        for episode in log.episodes:
            for scope in self._of(episode.terminal):
                self.episodes[scope].append(episode)
        for shelf in log.shelves:
            for scope in self._of(shelf.terminal):
                self.shelves[scope].append(shelf)

    def _of(self, terminal: str, branch: str = "", region: str = "") -> Iterable[Scope]:
        place = self._places.get(terminal)
        if place is not None:
            return place.scopes
        if terminal:
            return ()
        names = (("branch", branch), ("region", region))
        return FLEET, *(Scope(kind, name) for kind, name in names if name)


def daily(them: Iterable[Sequence[Stretch]], edges: Sequence[int]) -> list[Shares]:
    """The shares (network) of each of the steps between the edges, in UTC ns."""
    counted: list[Counter[str]] = [Counter() for _ in edges[1:]]
    for several in them:
        for one in several:
            step = max(0, bisect_right(edges, one.since) - 1)
            while step < len(counted) and edges[step] < one.until:
                counted[step][one.counts[0]] += min(one.until, edges[step + 1]) - max(one.since, edges[step])
                step += 1
    return [Shares(**{word: each[word] for word in COUNTS}) for each in counted]
