"""What really happened: every fault with its time, its effects and its cause, written down while it is made, whatever the collector finds. Times are UTC
ns; an end of 0 is not there yet.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

Interval = tuple[int, int]
"""From, until; UTC ns."""

POWER, NETWORK, MACHINE, AGENT, MONITORING, PART = "power", "network", "terminal", "agent", "monitoring", "part"
"""Why a terminal was away, or PART: it was there and something of it did not work."""


Told = tuple[tuple[str, int], ...]
"""(rule, level): those that may tell of something, and how grave they find it on a terminal of this class."""


@dataclass(slots=True)
class Effect:
    """What a fault did to one part of one terminal (component empty: to the terminal, or to a place, as a whole). on: when it was so, oldest first."""

    terminal: str
    component: str
    told: Told
    why: str = PART
    on: list[list[int]] = field(default_factory=list)

    def begin(self, at: int) -> None:
        if not self.on or self.on[-1][1]:
            self.on.append([at, 0])

    def cease(self, at: int) -> None:
        if self.on and not self.on[-1][1]:
            self.on[-1][1] = at

    def spans(self, end: int) -> list[Interval]:
        return closed(self.on, end)

    @property
    def level(self) -> int:
        return min((level for _, level in self.told), default=0)


@dataclass(slots=True)
class Fault:
    """One cause. of: terminal, branch, region or centre; where: its name; again_of: the fault that was not mended well; who: mends it, if it does
    not heal; heard: the staff knows of it.
    """

    id: int
    mode: str
    of: str
    where: str
    branch: str
    region: str
    start: int
    end: int = 0
    again_of: int = 0
    effects: list[Effect] = field(default_factory=list)
    heals: bool = True
    who: str = "field"
    heard: bool = False

    def effect(self, terminal: str, component: str, told: Told, why: str = PART) -> Effect:
        """That of this part, a new one where there is none yet."""
        for each in self.effects:
            if (each.terminal, each.component, each.told, each.why) == (terminal, component, told, why):
                return each
        self.effects.append(Effect(terminal, component, told, why))
        return self.effects[-1]

    @property
    def level(self) -> int:
        """The gravest that its effects are; 0 where nobody may be told of any."""
        return min((effect.level for effect in self.effects if effect.level), default=0)


@dataclass(slots=True)
class Omen:
    """The beginning of a fault, which can be seen in `parts`, (component, signal), from begins on. strikes: when the fault comes if nobody mends it before;
    fault: its id, 0 while it has not come; ended: when it was over; prevented: somebody mended it in time. Of a fault that never came because its
    terminal was off, or had another fault there, neither.
    """

    mode: str
    terminal: str
    parts: tuple[tuple[str, str], ...]
    begins: int
    strikes: int
    fault: int = 0
    ended: int = 0
    prevented: bool = False


class Ledger:
    """All faults, what announced them, and what people did on purpose. filled: (terminal, component, signal of its level) -> when it was filled or emptied; seen: when the collector could see each terminal; away: when it stood still itself; windows: (branch,
    from, until) of planned work; parked: when a terminal was out of service by decision; corrected: (terminal, from, until) of which
    somebody found out that it was in service.
    """

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self.omens: list[Omen] = []
        self.filled: dict[tuple[str, str, str], list[int]] = {}
        self.seen: dict[str, list[list[int]]] = {}
        self.away: list[list[int]] = []
        self.windows: list[tuple[str, int, int]] = []
        self.parked: dict[str, list[list[int]]] = {}
        self.corrected: list[tuple[str, int, int]] = []

    def add(self, mode: str, of: str, where: str, branch: str, region: str, start: int, again_of: int = 0) -> Fault:
        fault = Fault(len(self.faults) + 1, mode, of, where, branch, region, start, again_of=again_of)
        self.faults.append(fault)
        return fault

    def online(self, terminal: str, at: int) -> None:
        spans = self.seen.setdefault(terminal, [])
        if not spans or spans[-1][1]:
            spans.append([at, 0])

    def offline(self, terminal: str, at: int) -> None:
        spans = self.seen.get(terminal)
        if spans and not spans[-1][1]:
            spans[-1][1] = at

    def visible(self, terminal: str, end: int) -> list[Interval]:
        """When the collector heard this terminal."""
        return without(closed(self.seen.get(terminal, ()), end), closed(self.away, end))


def closed(spans: Iterable[Sequence[int]], end: int) -> list[Interval]:
    """With the end of the year where one was not over."""
    return [(a, b or end) for a, b in spans]


def union(spans: Iterable[Interval]) -> list[Interval]:
    """Sorted and without overlaps."""
    merged: list[Interval] = []
    for a, b in sorted(spans):
        if b <= a:
            continue
        if merged and a <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(b, merged[-1][1])
        else:
            merged.append((a, b))
    return merged


def without(spans: Iterable[Interval], taken: Iterable[Interval]) -> list[Interval]:
    """What is left of spans."""
    left, holes = union(spans), union(taken)
    for x, y in holes:
        left = [part for a, b in left for part in ((a, min(b, x)), (max(a, y), b)) if part[1] > part[0]]
    return left


def within(spans: Iterable[Interval], frame: Iterable[Interval]) -> list[Interval]:
    """What both have in common."""
    frames = union(frame)
    return [(max(a, x), min(b, y)) for a, b in union(spans) for x, y in frames if max(a, x) < min(b, y)]


def length(spans: Iterable[Interval]) -> int:
    return sum(b - a for a, b in spans)
