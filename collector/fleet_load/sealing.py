"""The batches and life messages of simulated terminals, sealed with their own keys: each batch as of its own due time, whether it is sealed then or before
the run begins. A collector cannot tell, since times and uptimes are those of the plan.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from tillwatch.agent.model import MS, Batch, Clock
from tillwatch.agent.wire import FIRST_PREV, Life, Sealed, new_epoch, seal, seal_life
from tillwatch.collector.fleet_load.profiles import readings
from tillwatch.collector.fleet_load.terminals import Fleet

_GOLDEN = 0.6180339887498949
CLOCK = Clock("ntp", 5)


@dataclass(frozen=True, slots=True)
class Plan:
    """begin_ms: UTC ms of the run's beginning; every terminal seals a batch of `readings` readings each interval_ms, at a time of its own, until
    until_ms, 0: for ever. faults: share of terminals that show some now and then. run: what makes this run's epochs its own.
    """

    fleet: Fleet
    begin_ms: int
    interval_ms: int
    until_ms: int
    readings: int
    faults: float
    run: str

    def first_due(self, n: int) -> int:
        """Neighbours are far apart in time."""
        return self.begin_ms + int(n * _GOLDEN % 1.0 * self.interval_ms)

    def ends(self, due_ms: int) -> bool:
        return bool(self.until_ms) and due_ms >= self.until_ms

    def epoch(self, n: int) -> bytes:
        return new_epoch(self.begin_ms * MS, sha256(f"epoch\0{self.run}\0{n}".encode()).digest())


class Sealer:
    """Of the terminals `numbers`, which are given by their place among them."""

    def __init__(self, plan: Plan, numbers: Sequence[int]) -> None:
        self._plan = plan
        self._numbers = numbers
        self._keys = [plan.fleet.key(n) for n in numbers]
        self._seqs = [1] * len(numbers)
        self._tails = [FIRST_PREV] * len(numbers)
        self._lives = [0] * len(numbers)

    def batch(self, i: int, due_ms: int, span_ms: int) -> Sealed:
        """The next batch of a terminal, read over the span before due_ms."""
        plan, n, seq = self._plan, self._numbers[i], self._seqs[i]
        boot, booted_ms = plan.fleet.boot(n, plan.begin_ms)
        one = seal(
            self._keys[i],
            Batch(readings(n, due_ms, span_ms, plan.readings, plan.faults, first=seq == 1)),
            terminal=plan.fleet.name(n),
            epoch=plan.epoch(n),
            seq=seq,
            prev=self._tails[i],
            floor=1,
            sent=due_ms * MS,
            boot=boot,
            up=due_ms - booted_ms,
            clock=CLOCK,
        )
        self._seqs[i], self._tails[i] = seq + 1, one.digest
        return one

    def life(self, i: int, now_ms: int, floor: int, end: int, state: str = "online") -> bytes:
        """The next life message. floor, end: of the stream."""
        plan, n, key = self._plan, self._numbers[i], self._keys[i]
        boot, booted_ms = plan.fleet.boot(n, plan.begin_ms)
        self._lives[i] += 1
        name, up = plan.fleet.name(n), max(now_ms - booted_ms, 0)
        said = Life(name, key.key_id, plan.epoch(n), floor, end, 0, boot, up, now_ms * MS, self._lives[i], state)
        return seal_life(key, said)
