"""Which faults come, drawn from a seed alone: the same seed gives the same plan on every machine."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

COLLECTOR, BROKER = "collector", "broker"
LONGEST_S = 1.5
"""Of a usual fault."""
LONG_S = 6.0
"""Of one in twenty: a window of eight batches is full by then, and a connecting agent has begun to back off."""
_HOUR_S, _YEAR_S = 3_600, 31_557_600
OFF_S = (90, 2 * _HOUR_S, 400 * 86_400, 30 * _YEAR_S)
"""By how much a clock is set wrong, at most. The least is what the collector calls suspect; a mistaken time zone; beyond every certificate
and every retention; an empty battery.
"""


class Kind(StrEnum):
    KILL = "kill -9, start again"
    TWICE = "kill -9, start again, kill -9 during that start, start again"
    PAUSE = "SIGSTOP, SIGCONT"
    PAUSE_KILL = "SIGSTOP, kill -9, start again"
    RESTART = "SIGTERM, start again"
    CUT = "its connection to the broker is reset, new ones are refused"
    STALL = "its connection to the broker stands still, nothing is lost"
    HALF_OPEN = "its connection is gone at the broker's end, and it is not told for a while"
    DEAD = "its connection is dead, and neither end is told before its keep-alive notices"
    SCRAMBLE = "its messages and those to it are repeated and change places"
    FULL = "its disk is full"
    FULL_KILL = "its disk is full, kill -9, start again, there is room again"
    CLOCK = "its clock is set wrong, and right again"
    CLOCK_KILL = "its clock is set wrong, kill -9, start again, the clock is right again"
    BLACKOUT = "kill -9 of collector and broker, start both again"


PROCESS = (Kind.KILL, Kind.KILL, Kind.TWICE, Kind.PAUSE, Kind.PAUSE_KILL, Kind.RESTART)
"""A broker that is killed forgets all: its configuration keeps nothing on disk."""
LINK = (Kind.CUT, Kind.STALL, Kind.HALF_OPEN, Kind.DEAD, Kind.SCRAMBLE, Kind.SCRAMBLE)
DISK = (Kind.FULL, Kind.FULL_KILL)
CLOCK = (Kind.CLOCK, Kind.CLOCK_KILL)
BOTH = (Kind.BLACKOUT,)
_WEIGHTS = {PROCESS: 12, LINK: 8, DISK: 4, CLOCK: 4, BOTH: 1}


@dataclass(frozen=True, slots=True)
class Line:
    """What there is to strike. embedded: the broker lives and dies with the collector. disks: parts have file systems that can be filled."""

    agents: Sequence[str]
    embedded: bool = False
    disks: bool = True

    def kinds(self) -> list[Kind]:
        return [kind for kind in Kind if (kind not in BOTH or not self.embedded) and (kind not in DISK or self.disks)]

    def targets(self, kind: Kind) -> list[Sequence[str]]:
        """Groups of equal weight: one agent more or less is one of many, the collector and the broker are everybody's."""
        if kind in BOTH:
            return [[COLLECTOR]]
        if kind in LINK:
            return [self.agents] if self.embedded else [(*self.agents, COLLECTOR)]
        if kind in DISK or kind in CLOCK or self.embedded:
            return [self.agents, [COLLECTOR]]
        return [self.agents, [COLLECTOR], [BROKER]]


@dataclass(frozen=True, slots=True)
class Fault:
    """hold: seconds until what was stopped goes on. after: second delay, for those that strike twice. off: seconds that a clock is set by."""

    kind: Kind
    target: str
    hold: float
    after: float
    off: int

    @property
    def touches(self) -> frozenset[str]:
        """The parts that no second fault may strike meanwhile."""
        return frozenset((COLLECTOR, BROKER)) if self.kind is Kind.BLACKOUT else frozenset((self.target,))

    def __str__(self) -> str:
        by = f", by {self.off:+d} s" if self.kind in CLOCK else ""
        return f"{self.target}: {self.kind} ({self.hold:.2f} s{by})"


@dataclass(frozen=True, slots=True)
class Step:
    """Faults that strike together. under_load: not before batches flow again; otherwise in the middle of the recovery from the last."""

    faults: tuple[Fault, ...]
    under_load: bool


def plan(seed: int, count: int, line: Line) -> list[Step]:
    """At least `count` faults, one of each kind among them and a kill -9 of an agent and of everything else under load."""
    rng = random.Random(seed)
    faults = [_fault(rng, Kind.KILL, rng.choice(group)) for group in line.targets(Kind.KILL)]
    steps = [Step((fault,), under_load=True) for fault in faults]
    kinds = line.kinds()
    faults = [_any_of(rng, kind, line) for kind in kinds]
    weights = {group: weight for group, weight in _WEIGHTS.items() if set(group) <= set(kinds)}
    while len(steps) + len(faults) < count:
        (group,) = rng.choices(list(weights), list(weights.values()))
        faults.append(_any_of(rng, rng.choice(group), line))
    rng.shuffle(faults)
    while faults:
        together = [faults.pop()]
        if faults and rng.random() < 0.25 and not faults[-1].touches & together[0].touches:
            together.append(faults.pop())
        steps.append(Step(tuple(together), under_load=rng.random() < 0.7))
    rng.shuffle(steps)
    return steps


def _any_of(rng: random.Random, kind: Kind, line: Line) -> Fault:
    return _fault(rng, kind, rng.choice(rng.choice(line.targets(kind))))


def _fault(rng: random.Random, kind: Kind, target: str) -> Fault:
    longest = LONG_S if rng.random() < 0.05 else LONGEST_S
    off = rng.choice((-1, 1)) * rng.randint(90, rng.choice(OFF_S))
    return Fault(kind, target, rng.uniform(0.02, longest), rng.uniform(0.05, 1.0), off)
