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


class Kind(StrEnum):
    KILL = "kill -9, start again"
    TWICE = "kill -9, start again, kill -9 during that start, start again"
    PAUSE = "SIGSTOP, SIGCONT"
    PAUSE_KILL = "SIGSTOP, kill -9, start again"
    RESTART = "SIGTERM, start again"
    CUT = "its connection to the broker is reset, new ones are refused"
    STALL = "its connection to the broker stands still, nothing is lost"
    HALF_OPEN = "its connection is gone at the broker's end, and it is not told"
    BLACKOUT = "kill -9 of collector and broker, start both again"


PROCESS = (Kind.KILL, Kind.KILL, Kind.TWICE, Kind.PAUSE, Kind.PAUSE_KILL, Kind.RESTART)
LINK = (Kind.CUT, Kind.STALL, Kind.HALF_OPEN)


@dataclass(frozen=True, slots=True)
class Fault:
    """hold: seconds until what was stopped goes on. after: second delay, for those that strike twice."""

    kind: Kind
    target: str
    hold: float
    after: float

    @property
    def touches(self) -> frozenset[str]:
        """The parts that no second fault may strike meanwhile."""
        return frozenset((COLLECTOR, BROKER)) if self.kind is Kind.BLACKOUT else frozenset((self.target,))

    def __str__(self) -> str:
        return f"{self.target}: {self.kind} ({self.hold:.2f} s)"


@dataclass(frozen=True, slots=True)
class Step:
    """Faults that strike together. under_load: not before batches flow again; otherwise in the middle of the recovery from the last."""

    faults: tuple[Fault, ...]
    under_load: bool


def plan(seed: int, count: int, agents: Sequence[str]) -> list[Step]:
    """At least `count` faults, one of each kind among them and a kill -9 of an agent, of the collector and of the broker under load."""
    rng = random.Random(seed)
    faults = [
        _fault(rng, Kind.KILL, rng.choice(agents)),
        _fault(rng, Kind.KILL, COLLECTOR),
        _fault(rng, Kind.KILL, BROKER),
    ]
    steps = [Step((fault,), under_load=True) for fault in faults]
    faults = [_any_of(rng, kind, agents) for kind in Kind]
    while len(steps) + len(faults) < count:
        kinds = rng.choices((PROCESS, LINK, (Kind.BLACKOUT,)), (12, 6, 1))[0]
        faults.append(_any_of(rng, rng.choice(kinds), agents))
    rng.shuffle(faults)
    while faults:
        together = [faults.pop()]
        if faults and rng.random() < 0.25 and not faults[-1].touches & together[0].touches:
            together.append(faults.pop())
        steps.append(Step(tuple(together), under_load=rng.random() < 0.7))
    rng.shuffle(steps)
    return steps


def _any_of(rng: random.Random, kind: Kind, agents: Sequence[str]) -> Fault:
    if kind in LINK:
        return _fault(rng, kind, rng.choice((*agents, COLLECTOR)))
    # One agent more or less is one of many; the collector and the broker are everybody's.
    target = rng.choice((rng.choice(agents), COLLECTOR, BROKER))
    return _fault(rng, kind, target)


def _fault(rng: random.Random, kind: Kind, target: str) -> Fault:
    longest = LONG_S if rng.random() < 0.05 else LONGEST_S
    return Fault(kind, target, rng.uniform(0.02, longest), rng.uniform(0.05, 1.0))
