"""What people do on purpose: maintenance in windows that were announced, terminals taken out of service, drills, and corrections of the record."""

from __future__ import annotations

from random import Random
from typing import Any

from tillwatch.collector.simulate import modes
from tillwatch.collector.simulate.fleet import ATM, Branch, Unit
from tillwatch.collector.simulate.post import Post
from tillwatch.collector.simulate.times import DAY, HOUR, MINUTE
from tillwatch.collector.simulate.truth import AGENT, Fault
from tillwatch.collector.simulate.world import World

VISIT_EVERY = 30 * DAY
VISIT_AT = 14 * HOUR
"""UTC: 22 h by the clocks of the bank."""
VISIT = 2 * HOUR
PARKED_PER_YEAR = 0.06
"""Times that a terminal is sent to the workshop."""
PARKED_DAYS = (3, 15)
DRILLS_PER_YEAR = 0.1
DRILL_MIN = 20
CORRECTED = 0.3
"""Share of the times without an agent of which somebody finds out later that the terminal served all the while."""
RETRY = 5 * MINUTE


class Planned:
    def __init__(self, world: World, post: Post, rng: Random, pace: float) -> None:
        # Of a bank in which nothing breaks people do as much on purpose as in life.
        self._world, self._post, self._rng, self._pace = world, post, rng, pace or 1.0
        self._left = modes.LEFT_SHARE if pace else 0.0
        self._count = 0

    def begin(self, start: int) -> None:
        """Plan the year."""
        for branch in self._world.bank.branches:
            first = start + DAY + self._rng.randrange(round(VISIT_EVERY / self._pace / DAY) or 1) * DAY
            self._world.later(first + VISIT_AT - HOUR, self._announce, branch)
        for unit in self._world.bank.units:
            self._world.later(self._next(start, PARKED_PER_YEAR), self._park, unit)
            self._world.later(self._next(start, DRILLS_PER_YEAR), self._drill, unit)

    def _next(self, at: int, per_year: float) -> int:
        return at + DAY + round(self._rng.expovariate(per_year * self._pace) * 365 * DAY)

    def act(self, at: int, facts: dict[str, Any]) -> None:
        """While the collector is away they come back later."""
        if self._post.up:
            self._post.operate(at, facts)
        else:
            self._world.later(at + RETRY, self.act, facts)

    # Maintenance.

    def _announce(self, at: int, branch: Branch) -> None:
        self._world.later(at + max(round(VISIT_EVERY / self._pace), DAY) // DAY * DAY, self._announce, branch)
        if not self._post.up:
            return
        self._count += 1
        since, until = at + HOUR, at + HOUR + VISIT
        self._world.ledger.windows.append((branch.name, since, until))
        self._post.operate(at, {
            "action": "window", "actor": "planning", "id": f"visit-{self._count}", "scope": f"branch:{branch.name}", "from": since, "to": until,
            "reason": "Preventive maintenance", "approved_by": "qin", "change_ref": f"CHG-{self._count:05d}",
        })  # fmt: skip
        for unit in branch.units:
            if unit.kind != ATM:
                continue
            for mode in modes.WORKS:
                self._world.later(since + self._rng.randrange(5, 60) * MINUTE, self._world.break_part, unit, mode)
            if self._rng.random() < self._left:
                self._world.later(until - 20 * MINUTE, self._world.break_part, unit, modes.LEFT)

    # Out of service.

    def _park(self, at: int, unit: Unit) -> None:
        self._world.later(self._next(at + PARKED_DAYS[1] * DAY, PARKED_PER_YEAR), self._park, unit)
        if not (self._post.up and self._world.idle(unit)):
            return
        self._world.ledger.parked.setdefault(unit.name, []).append([at, 0])
        self._post.operate(at, {"action": "life-cycle", "actor": "planning", "terminal": unit.name, "state": "repair", "reason": "Sent to the workshop"})  # fmt: skip
        self._world.stations[unit.name].lose_power(at + MINUTE, -1)
        self._world.later(at + self._rng.randrange(*PARKED_DAYS) * DAY, self._unpark, unit)

    def _unpark(self, at: int, unit: Unit) -> None:
        self._world.later(self._world.stations[unit.name].get_power(at, -1) + MINUTE, self._serves, unit)

    def _serves(self, at: int, unit: Unit) -> None:
        if not (self._post.up and self._world.stations[unit.name].reachable):
            self._world.later(at + RETRY, self._serves, unit)
            return
        self._world.ledger.parked[unit.name][-1][1] = at
        self._post.operate(at, {"action": "life-cycle", "actor": "planning", "terminal": unit.name, "state": "in_service", "reason": "Back from the workshop"})  # fmt: skip

    # Drills and corrections.

    def _drill(self, at: int, unit: Unit) -> None:
        self._world.later(self._next(at, DRILLS_PER_YEAR), self._drill, unit)
        if self._post.up and self._world.stations[unit.name].reachable:
            self._post.operate(at, {
                "action": "drill", "actor": "qin", "terminal": unit.name, "component": "host", "rule": "host.program", "level": 2, "minutes": DRILL_MIN,
            })  # fmt: skip

    def ended(self, at: int, fault: Fault) -> None:
        """A fault is over: of some that left a terminal unseen somebody looks the truth up."""
        for effect in fault.effects:
            if effect.why == AGENT and self._rng.random() < CORRECTED:
                since, until = fault.start - 2 * MINUTE, at + 2 * MINUTE
                self._world.ledger.corrected.append((effect.terminal, since, until))
                self._world.later(at + DAY, self.act, {
                    "action": "correct", "actor": "qin", "terminal": effect.terminal, "from": since, "to": until, "counts_as": "up",
                    "reason": "The journal of the application shows service", "party": "software",
                })  # fmt: skip
