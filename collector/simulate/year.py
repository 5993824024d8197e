"""The run: one agenda in order of time, the fold's own timers between its steps, and people who answer what they are told."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import Any

from tillwatch.agent.model import State
from tillwatch.collector.alarm.rules import shipped_text
from tillwatch.collector.duty.policy import shipped_policy
from tillwatch.collector.fold import Fold
from tillwatch.collector.simulate import device_files
from tillwatch.collector.simulate.faults import draw
from tillwatch.collector.simulate.fleet import Bank, Unit, make_bank
from tillwatch.collector.simulate.foresight import OFF, ON, Foresight, Foretold
from tillwatch.collector.simulate.modes import OutMode, PartMode
from tillwatch.collector.simulate.omens import Omens
from tillwatch.collector.simulate.planned import Planned
from tillwatch.collector.simulate.post import Log, Post
from tillwatch.collector.simulate.site import RULES, site_policy
from tillwatch.collector.simulate.staff import Staff
from tillwatch.collector.simulate.stations import Station
from tillwatch.collector.simulate.times import DAY, HOUR, MINUTE, S
from tillwatch.collector.simulate.truth import Fault, Ledger
from tillwatch.collector.simulate.world import World
from tillwatch.collector.store.sqlite import Store
from tillwatch.device_profiles.catalogue import load_catalogue

START = int(datetime(2025, 1, 1, tzinfo=UTC).timestamp()) * S
QUEUED = 10 * MINUTE
"""Between two messages of a terminal while the collector is away: what it reads every minute waits at the broker, in fewer messages than in life."""

FORESEE = HOUR
"""Between two looks of the predictions: they run all the ticks that are due by then."""


@dataclass(slots=True)
class Agenda:
    """What is to happen, by time; of the same time in the order in which it was asked for."""

    heap: list[tuple[int, int, Callable[..., object], tuple[Any, ...]]] = field(default_factory=list)
    count: int = 0

    def later(self, at: int, step: Callable[..., object], *given: object) -> None:
        self.count += 1
        heapq.heappush(self.heap, (at, self.count, step, given))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was found (log) and what was so (ledger), of a bank from start to end, UTC ns. pace: how many times as often as in life something broke; foretold: what was predicted, where it was."""

    bank: Bank
    ledger: Ledger
    log: Log
    staff: Staff
    fold: Fold
    start: int
    end: int
    readings: int
    entries: int
    pace: float
    foretold: Foretold | None = None


def simulate(
    terminals: int,
    days: int,
    seed: int,
    *,
    pace: float = 1.0,
    predictions: str = OFF,
    store: Store | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> Outcome:
    """A bank of so many terminals for so many days. predictions: OFF, SHADOW or ON; progress: told of each day that is over."""
    signals = load_catalogue().signals
    fold, ledger, agenda = Fold({name: signal.unit for name, signal in signals.items()}), Ledger(), Agenda()
    judged = {
        name: {word: State[thought.upper()] for word, thought in signal.states}
        for name, signal in signals.items()
        if signal.states
    }
    bank, end = make_bank(terminals), START + days * DAY
    post = Post(fold, ledger, store, None if predictions == OFF else Foresight(bank.units, acts=predictions == ON))
    stations = {
        unit.name: Station(unit, START, judged, agenda.later, post, Random(f"{seed}/{unit.name}/station"))
        for unit in bank.units
    }
    post.change_rules(
        START, {"shipped": shipped_text(), "site": RULES, "policy": site_policy(), "shipped_policy": shipped_policy()}
    )
    world = World(bank, stations, fold.book.rules, fold.book.policy, ledger, agenda.later, Random(f"{seed}/world"))
    planned = Planned(world, post, Random(f"{seed}/planned"), pace)
    planned.begin(START)
    blows = draw(bank, START, end, seed, pace)
    omens = Omens(world, blows, seed, START, end)
    staff = Staff(world, post, omens, Random(f"{seed}/staff"), Random(f"{seed}/staff/rounds"))

    def ended(at: int, fault: Fault) -> None:
        planned.ended(at, fault)
        omens.ended(at, fault)

    post.told, world.ended = staff.told, ended
    for number, unit in enumerate(bank.units):
        agenda.later(START + number * S, _enrol, post, unit)
        agenda.later(START + MINUTE * 20 + number * S, stations[unit.name].begin)
        agenda.later(START + DAY + number * S, _day, agenda, stations[unit.name], number)
    for at, mode, whom in blows:
        agenda.later(at, *_blow(omens, world, post, mode, whom))
    if store is not None:
        for number, unit in enumerate(bank.units):
            agenda.later(START + 10 * MINUTE + number * S, device_files.write_down, post, unit, number)
    if post.foresight is not None:
        agenda.later(START + FORESEE, _foresee, agenda, post)
    day = START
    while True:
        at = min(agenda.heap[0][0], end) if agenda.heap else end
        due = fold.timers.next_due()
        if post.up and due is not None and due <= at:
            post.advance(due)
            continue
        if at >= end:
            break
        _, _, step, given = heapq.heappop(agenda.heap)
        step(at, *given)
        if at >= day + DAY:
            day += DAY
            progress((day - START) // DAY)
    post.advance(end)
    post.flush()
    return Outcome(
        bank,
        ledger,
        post.log,
        staff,
        fold,
        START,
        end,
        post.readings,
        post.journal.n,
        pace,
        post.foresight.foretold if post.foresight is not None else None,
    )


def _enrol(at: int, post: Post, unit: Unit) -> None:
    place = {"branch": unit.branch, "region": unit.region, "class": unit.kind, "public": bytes(32)}
    post.operate(at, {"action": "enrol", "actor": "simulation", "terminal": unit.name, **place})


def _day(at: int, agenda: Agenda, station: Station, number: int) -> None:
    (station.snapshot if at // DAY % 7 == number % 7 else station.day)(at)
    agenda.later(at + DAY, _day, agenda, station, number)


def _foresee(at: int, agenda: Agenda, post: Post) -> None:
    post.foresee(at)
    agenda.later(at + FORESEE, _foresee, agenda, post)


def _blow(omens: Omens, world: World, post: Post, mode: PartMode | OutMode, whom: Unit | str) -> tuple[Any, ...]:
    if isinstance(mode, PartMode):
        return omens.strike, whom, mode
    if mode.what == "collector":
        return _collector_away, world, post, mode
    return world.take_out, mode, whom


def _collector_away(at: int, world: World, post: Post, mode: OutMode) -> None:
    if not post.up or mode.lasts is None:
        return
    for station in world.stations.values():
        station.minutes(at, at - MINUTE)
    post.stop(at)
    back = at + round(mode.lasts.draw(world.rng) * S)
    for since in range(at, back, QUEUED):
        for station in world.stations.values():
            world.later(min(since + QUEUED, back - 1), station.minutes, since)
    world.later(back, _collector_back, world, post)


def _collector_back(at: int, world: World, post: Post) -> None:
    post.start(at)
    for number, station in enumerate(world.stations.values()):
        world.later(at + MINUTE + number * HOUR // 36_000, station.snapshot)
