"""When what breaks: the list of everything that will befall the bank in its year, drawn beforehand from the seed. Faults come as a Poisson process, more
often to the terminals that are worse than others.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from tillwatch.collector.simulate.fleet import Bank, Unit
from tillwatch.collector.simulate.modes import LEMON, OUT_MODES, PART_MODES, OutMode, PartMode
from tillwatch.collector.simulate.times import DAY

YEAR = 365 * DAY
Blow = tuple[int, PartMode | OutMode, Unit | str]
"""(UTC ns, what, whom): a part of a unit, or the name of whom an OutMode befalls, empty for all."""


def draw(bank: Bank, start: int, end: int, seed: int, pace: float) -> list[Blow]:
    """In order of time. pace: how many times as often as in life, so that a short run sees everything; 0: nothing breaks."""
    blows: list[Blow] = []
    for unit in bank.units:
        rng = Random(f"{seed}/{unit.name}")
        lemon = rng.triangular(LEMON[0], LEMON[2], LEMON[1]) * pace
        for mode in PART_MODES:
            if unit.kind in mode.kinds:
                blows += [(at, mode, unit) for at in _times(rng, mode.per_year * lemon, start, end)]
        for out in OUT_MODES:
            if out.of == "terminal" and unit.kind in out.kinds:
                blows += [(at, out, unit.name) for at in _times(rng, out.per_year * lemon, start, end)]
    places = {"branch": [b.name for b in bank.branches], "region": list(bank.regions), "centre": [""]}
    for out in OUT_MODES:
        for name in places.get(out.of, ()):
            rng = Random(f"{seed}/{out.name}/{name}")
            blows += [(at, out, name) for at in _times(rng, out.per_year * pace, start, end)]
    return sorted(blows, key=lambda blow: blow[0])


def _times(rng: Random, per_year: float, start: int, end: int) -> Iterator[int]:
    """None in the first hours: the terminals have only begun to speak. Of a pace of 0 none at all."""
    if not per_year:
        return
    at = start + DAY // 4
    while (at := at + round(rng.expovariate(per_year) * YEAR)) < end:
        yield at
