"""The fleet from above: counts and shares of regions and branches, what a terminal counts as now, the worst first, and what a search finds. Pure:
views of terminals and incidents go in; who may see which of them is decided before.

Times are UTC ns. What is not known is never counted as up.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from tillwatch.collector.incident.incident_views import IncidentView
from tillwatch.collector.read import TerminalView
from tillwatch.collector.records import CAUSES, DOWN, LIFE_CYCLE, OFFLINE, PLANNED, STATES, UP

CONDITIONS = ("crit", "unknown", "warn", "ok")
"""Worst first, as the store orders them: what is not known may be worse than what is known to be a warning."""
COUNTS = ("up", "down", "unmonitored", "planned", "excluded")
"""What a terminal is for the availability of now. excluded: out of the schedule, by its life cycle or outside its hours of service."""
NOT_ROLLED_UP = ""
"""In place of a state, of a terminal of which nothing was ever rolled up."""

Serving = Callable[[str, str], bool]
"""serving(class, branch): whether such a terminal is to be in service at this hour."""


def always(_: str, __: str) -> bool:
    return True


def state_of(view: TerminalView) -> str:
    """Of records.STATES, or NOT_ROLLED_UP."""
    return view.state.state if view.state is not None else NOT_ROLLED_UP


def counts_as(view: TerminalView, serving: Serving = always) -> str:
    """One of COUNTS. A terminal that serves customers outside its hours is out of the schedule all the same: the month counts it so, too."""
    state = state_of(view)
    if state in LIFE_CYCLE or view.life_cycle in LIFE_CYCLE or not serving(view.terminal_class, view.branch):
        return "excluded"
    if state == PLANNED:
        return "planned"
    if state in UP:
        return "up"
    if state in DOWN:
        return "down"
    if state == OFFLINE and view.state is not None:
        return CAUSES.get(view.state.cause, "unmonitored")
    return "unmonitored"


def condition_of(view: TerminalView) -> str:
    return view.condition if view.condition in CONDITIONS else "unknown"


def worst_first(view: TerminalView) -> tuple[int, int, str]:
    """The order of the fleet: level of the worst open alarm, then condition, then name."""
    return view.level or 4, CONDITIONS.index(condition_of(view)), view.id


@dataclass(frozen=True, slots=True)
class RollUp:
    """Some terminals together. region: of a branch, the one in which most of its terminals are; counts: by COUNTS; states: by records.STATES, and
    NOT_ROLLED_UP; levels: terminals by the level of their worst alarm, 1 to 3; alarms: open ones; silent: should be heard and are not, offline: are not
    connected, the silent ones among them; newest: when anything came last; oldest: the last word of the one of those in service that is silent longest;
    worst: the terminal that comes first.
    """

    name: str
    region: str
    terminals: int = 0
    conditions: Mapping[str, int] = field(default_factory=dict)
    states: Mapping[str, int] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    levels: tuple[int, int, int] = (0, 0, 0)
    alarms: int = 0
    silent: int = 0
    offline: int = 0
    newest: int = 0
    oldest: int = 0
    worst: str = ""
    branches: int = 0

    @property
    def expected(self) -> int:
        """Terminals that are to serve now."""
        return sum(self.counts.get(word, 0) for word in ("up", "down", "unmonitored"))

    @property
    def least(self) -> float | None:
        """Available at worst: as if what is not monitored were down. None where no terminal is to serve."""
        return self.counts.get("up", 0) / self.expected if self.expected else None

    @property
    def most(self) -> float | None:
        """Available at best: as if what is not monitored were up."""
        if not self.expected:
            return None
        return (self.counts.get("up", 0) + self.counts.get("unmonitored", 0)) / self.expected


def roll_up(terminals: Iterable[TerminalView], name: str = "", serving: Serving = always) -> RollUp:
    """All of them as one."""
    views = list(terminals)
    conditions = dict.fromkeys(CONDITIONS, 0) | Counter(map(condition_of, views))
    levels = Counter(min(max(view.level, 1), 3) for view in views if view.level)
    states: Counter[str] = Counter(map(state_of, views))
    regions = Counter(view.region for view in views)
    spoken = [view.last_received for view in views if view.last_received and view.life_cycle not in LIFE_CYCLE]
    return RollUp(
        name,
        min(regions, key=lambda region: (-regions[region], region), default=""),
        len(views),
        conditions,
        {state: states[state] for state in (*STATES, NOT_ROLLED_UP) if states[state]},
        dict.fromkeys(COUNTS, 0) | Counter(counts_as(view, serving) for view in views),
        (levels[1], levels[2], levels[3]),
        sum(view.open_alarms for view in views),
        sum(view.connection == "silent" for view in views),
        sum(view.connection in ("silent", "offline") for view in views),
        max(spoken, default=0),
        min(spoken, default=0),
        min(views, key=worst_first).id if views else "",
        len({view.branch for view in views}),
    )


def gravest_first(one: RollUp) -> tuple[int, int, int, int, int, str]:
    """The order of regions and branches: most that is down, then by alarms, then by what is not known."""
    return (
        -one.counts.get("down", 0), -one.levels[0], -one.levels[1], -one.conditions.get("crit", 0), -one.conditions.get("unknown", 0), one.name,
    )  # fmt: skip


def by_place(
    terminals: Iterable[TerminalView], place: Callable[[TerminalView], str], serving: Serving = always
) -> list[RollUp]:
    """One roll-up for each place, gravest first. place: gives the region, the branch, or what else they are put together by."""
    groups: dict[str, list[TerminalView]] = {}
    for view in terminals:
        groups.setdefault(place(view), []).append(view)
    return sorted((roll_up(views, name, serving) for name, views in groups.items()), key=gravest_first)


@dataclass(frozen=True, slots=True)
class Missed:
    """Targets of living incidents. breached: incidents with a clock that was missed and still runs, or stands held; next_due: when the next one is
    missed, 0 for none in sight.
    """

    living: int = 0
    breached: int = 0
    next_due: int = 0


def missed(incidents: Iterable[IncidentView], now: int) -> Missed:
    living = breached = 0
    due = []
    for view in incidents:
        if view.drill:
            continue
        living += 1
        running = [clock for clock in view.clocks if not clock.stopped_at]
        breached += any(clock.missed or 0 < clock.due <= now for clock in running)
        due += [clock.due for clock in running if clock.due > now]
    return Missed(living, breached, min(due, default=0))


@dataclass(frozen=True, slots=True)
class Hit:
    """What a search found. kind: `terminal`, `branch`, `region` or `incident`; title: what it is called; detail: where or what it is; condition: of
    CONDITIONS, empty where it has none; level: 0 for none.
    """

    kind: str
    id: str
    title: str
    detail: str
    condition: str = ""
    level: int = 0


HITS = 8
"""Of a kind, at most: a search is looked through at a glance; whoever needs more filters the grid."""


def find(
    text: str, terminals: Sequence[TerminalView], incidents: Sequence[IncidentView], limit: int = HITS
) -> list[Hit]:
    """What begins with the text first, then what has it somewhere; of each kind the first `limit`."""
    wanted = text.casefold().strip()
    if not wanted:
        return []
    hits: list[Hit] = []
    named = [(at, view) for view in terminals if (at := view.id.casefold().find(wanted)) >= 0]
    for _, view in sorted(named, key=lambda pair: (pair[0] > 0, worst_first(pair[1])))[:limit]:
        hits.append(Hit("terminal", view.id, view.id, f"{view.branch} · {view.region}", condition_of(view), view.level))
    for kind, place in (("branch", _branch), ("region", _region)):
        names: dict[str, list[TerminalView]] = {}
        for view in terminals:
            if wanted in place(view).casefold():
                names.setdefault(place(view), []).append(view)
        found = sorted(names, key=lambda name: (not name.casefold().startswith(wanted), name))[:limit]
        for name in found:
            worst = min(names[name], key=worst_first)
            detail = worst.region if kind == "branch" else ""
            hits.append(Hit(kind, name, name, detail, condition_of(worst), worst.level))
    told = [each for each in incidents if _in_incident(wanted, each)]
    hits += [
        Hit("incident", each.id, each.text, each.terminal or each.branch or each.region, "", each.level)
        for each in sorted(told, key=lambda one: (not _called(wanted, one), one.level, -one.opened_at))[:limit]
    ]
    return hits


def _branch(view: TerminalView) -> str:
    return view.branch


def _region(view: TerminalView) -> str:
    return view.region


def _called(wanted: str, view: IncidentView) -> bool:
    bare = wanted.removeprefix("hwm-")
    return view.id.casefold().removeprefix("hwm-").startswith(bare) or view.ticket.id.casefold() == wanted


def _in_incident(wanted: str, view: IncidentView) -> bool:
    if _called(wanted, view):
        return True
    return any(wanted in text.casefold() for text in (view.text, view.terminal, view.branch, view.ticket.id))
