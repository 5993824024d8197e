"""The people: they hear of incidents as tickets do, take them on, travel, mend, and say what it was. They do not know what the ledger knows until they
stand before it.
"""

from __future__ import annotations

from random import Random

from tillwatch.collector.simulate.modes import HOUR, MINUTE, Span
from tillwatch.collector.simulate.post import Post
from tillwatch.collector.simulate.stations import S, Later
from tillwatch.collector.simulate.truth import Fault
from tillwatch.collector.simulate.world import World
from tillwatch.collector.tickets.port import Op, TicketMessage

ANSWER = Span(MINUTE, 8 * MINUTE, 45 * MINUTE)
"""From the ticket to the first human word."""
WORK = {
    "field": Span(35 * MINUTE, 95 * MINUTE, 7 * HOUR),
    "desk": Span(8 * MINUTE, 30 * MINUTE, 3 * HOUR),
    "branch": Span(6 * MINUTE, 25 * MINUTE, 5 * HOUR),
}
"""From the first word to the repair, by who does it."""


class Staff:
    def __init__(self, world: World, post: Post, later: Later, rng: Random) -> None:
        self._world, self._post, self._later, self._rng = world, post, later, rng

    def told(self, at: int, message: TicketMessage) -> None:
        if message.op is not Op.OPEN:
            return
        fault = self._world.found(message.terminal, message.component, message.branch, message.region)
        answer = at + round(ANSWER.draw(self._rng) * S)
        if fault is not None and not fault.heard:
            fault.heard = True
            if not fault.heals:
                self._later(answer + round(WORK[fault.who].draw(self._rng) * S), self._world.mend, fault)


__all__ = ["Fault", "Staff"]
