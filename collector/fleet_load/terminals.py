"""Who the simulated terminals are: names, places and keys, all made from a seed, so that a fleet that was enrolled once can come again from any machine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise

from tillwatch.agent.wire import SigningKey
from tillwatch.collector.fleet_load.profiles import CLASSES, kind_of
from tillwatch.collector.trust.registry import Enrolment

PREFIX = "load-"
"""Of every simulated terminal's id: nobody takes one for a machine, and no machine is called so."""
MAX_TERMINALS = 1_000_000
BRANCHES = 100
"""Of one region."""
_LEAST_UP_S, _MORE_UP_S = 86_400, 30 * 86_400
"""Since when they have been up as a run begins: a day to a month."""


@dataclass(frozen=True, slots=True)
class Fleet:
    """seed: another one gives other keys under the same names."""

    count: int
    seed: str

    def name(self, n: int) -> str:
        return f"{PREFIX}{n:06d}"

    def key(self, n: int) -> SigningKey:
        return SigningKey(sha256(f"tillwatch simulated fleet\0{self.seed}\0{n}".encode()).digest())

    def boot(self, n: int, begun_ms: int) -> tuple[bytes, int]:
        """Boot id, and UTC ms of that start of the machine, as of a run that begins at begun_ms."""
        drawn = sha256(f"boot\0{self.seed}\0{n}\0{begun_ms}".encode()).digest()
        up_s = _LEAST_UP_S + int.from_bytes(drawn[8:12], "big") % _MORE_UP_S
        return drawn[:8], begun_ms - up_s * 1000

    def place(self, n: int) -> Enrolment:
        branch = n // len(CLASSES)
        return Enrolment(self.name(n), f"Branch {branch:05d}", f"Region {branch // BRANCHES:03d}", kind_of(n))

    def places(self) -> Iterator[Enrolment]:
        return map(self.place, range(self.count))


def number(name: str) -> int:
    """Of a simulated terminal; -1 of any other."""
    digits = name.removeprefix(PREFIX)
    return int(digits) if digits != name and digits.isdecimal() and len(digits) >= 6 else -1


def share(count: int, parts: int) -> list[range]:
    """The terminals of each of the processes: whole branches where there are enough, so that none is torn apart by one that ends."""
    edges = [count * part // parts for part in range(parts + 1)]
    if count >= len(CLASSES) * parts:
        edges = [*(edge // len(CLASSES) * len(CLASSES) for edge in edges[:-1]), count]
    return [range(first, last) for first, last in pairwise(edges)]
