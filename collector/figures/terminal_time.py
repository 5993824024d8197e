"""The time of one terminal in a period, out of the log as it stands now: all its stretches, what readings decided each, and what every correction of it changes."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

from tillwatch.collector.figures.availability import Stretch
from tillwatch.collector.figures.correcting import Effect, effects
from tillwatch.collector.figures.intervals import Span
from tillwatch.collector.figures.rollup import NOTHING, Place, Scope, compute
from tillwatch.collector.figures.rows import head, read_policy, read_time
from tillwatch.collector.store.db import Where
from tillwatch.collector.store.reading import reading


@dataclass(frozen=True, slots=True)
class TerminalTime:
    """start, end, known: as in Computed; log: the journal's last entry; figures: as the report has them; effects: of the corrections that overlap the
    period, in the order in which they were made; outages: of the collector itself.
    """

    place: Place
    start: int
    end: int
    known: int
    log: int
    interruption: float
    stretches: Sequence[Stretch]
    figures: dict[str, Any]
    effects: Sequence[Effect]
    outages: Sequence[Span]


def read_terminal(where: Where, terminal: str, start: int, end: int) -> TerminalTime:
    """Blocks for some ms. Raises StoreError, sqlite3.Error, and KeyError for a terminal that there is none of."""
    scope = Scope("terminal", terminal)
    with closing(reading(where)) as db:
        policy, last = read_policy(db), head(db)
        log = read_time(db, terminal, start, end)
    place = log.places[terminal]
    it = compute(log, policy, start, end)
    functions = frozenset(policy.classes.of(place.terminal_class).functions.keys())
    history = replace(log.histories.get(terminal, NOTHING), functions=functions)
    hours = list(policy.schedule(place.terminal_class, place.branch).spans(it.start, it.end))
    return TerminalTime(
        place, it.start, it.end, it.known, last, policy.interruption, it.stretches[terminal], it.figures[scope].plain(),
        effects(history, hours, it.outages), it.outages,
    )  # fmt: skip
