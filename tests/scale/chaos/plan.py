"""Which faults come, drawn from a seed alone: the same seed gives the same plan on every machine."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

LEASE_S = 10.0
"""What a lease is good for: a holder that is stopped for longer finds another in its place."""


class Kind(StrEnum):
    HOLDER_KILLED = "the collector that folds: kill -9"
    HOLDER_STOPPED = "the collector that folds: SIGSTOP past its lease, SIGCONT"
    HOLDER_CUT = "the collector that folds: cut off from everybody"
    STANDBY_KILLED = "a collector that stands by: kill -9"
    STANDBY_STOPPED = "a collector that stands by: SIGSTOP, SIGCONT"
    OPENER_KILLED = "an opener: kill -9"
    NODE_KILLED = "a broker node: kill -9"
    NODE_STOPPED = "a broker node: SIGSTOP, SIGCONT"
    NODE_CUT = "a broker node: cut off, a minority"
    SERVER_KILLED = "PostgreSQL: kill -9"
    SERVER_RESTARTED = "PostgreSQL: restarted"
    SERVER_STOPPED = "PostgreSQL: SIGSTOP, SIGCONT"
    SERVER_CUT = "PostgreSQL: cut off"
    SINK_DOWN = "the sink: down"


SERVER = "PostgreSQL"
BRIEF_S = (1.0, 8.0)
LONG_S = (LEASE_S + 5.0, LEASE_S + 20.0)
"""Beyond the lease, the heartbeats and the time after which a node counts as gone."""
_LONG = frozenset({Kind.HOLDER_STOPPED, Kind.HOLDER_CUT, Kind.NODE_CUT, Kind.NODE_STOPPED})


@dataclass(frozen=True, slots=True)
class Fault:
    """number: which of several it strikes, of 0 to 2; hold_s: how long what was struck stays so."""

    kind: Kind
    number: int
    hold_s: float

    def __str__(self) -> str:
        return f"{self.kind} ({self.number}, {self.hold_s:.1f} s)"


@dataclass(frozen=True, slots=True)
class Step:
    """Faults that strike together; each of them strikes another part. flowing: not before batches are stored again; otherwise in the middle of the recovery."""

    faults: tuple[Fault, ...]
    flowing: bool


def plan(seed: int, count: int) -> list[Step]:
    """At least `count` faults, one of each kind among them."""
    rng = random.Random(seed)
    kinds = list(Kind)
    drawn = [*kinds, *rng.choices(kinds, k=max(count - len(kinds), 0))]
    rng.shuffle(drawn)
    faults = [_fault(rng, kind) for kind in drawn]
    steps = []
    while faults:
        together = [faults.pop()]
        if faults and rng.random() < 0.3 and not _same_part(together[0].kind, faults[-1].kind):
            together.append(faults.pop())
            # Whom another fault strikes, the one that folds or one that stands by, is asked of the server.
            together.sort(key=lambda fault: _part(fault.kind) == SERVER)
        steps.append(Step(tuple(together), flowing=rng.random() < 0.7))
    return steps


def _same_part(one: Kind, other: Kind) -> bool:
    return _part(one) == _part(other)


def _part(kind: Kind) -> str:
    """Collectors are one: which of them folds changes while one of them is struck."""
    for part in ("a broker node", SERVER, "the sink"):
        if kind.startswith(part):
            return part
    return "a collector"


def _fault(rng: random.Random, kind: Kind) -> Fault:
    shortest, longest = LONG_S if kind in _LONG else BRIEF_S
    return Fault(kind, rng.randrange(3), rng.uniform(shortest, longest))


def together(faults: Sequence[Fault]) -> str:
    return " + ".join(map(str, faults))
