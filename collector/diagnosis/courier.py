"""Brings commands to their terminals: seals each with the collector's key for the stream that the terminal speaks in now, journals that it is sent
before it is, and sends it again while no word of it comes. One command a terminal at a time, and only where somebody listens.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256

from tillwatch.agent.model import MS
from tillwatch.agent.wire import Command, SigningKey, seal_command
from tillwatch.collector.diagnosis.order import ASKED, Order
from tillwatch.collector.intake import Intake
from tillwatch.collector.pipeline import Pipeline
from tillwatch.collector.store.sqlite import StoreError

log = logging.getLogger(__name__)

LOOK_S = 0.5
"""Between two looks at what waits: somebody sits in front of it."""
AGAIN_S = 30.0
"""Until a command of which nothing was heard is sent once more, on the same connection. What is sent twice is taken once."""


@dataclass(slots=True)
class _Under:
    """A command on its way. payload: as sealed for `epoch`; sent: the loop's time; birth: the connection on which it was sent."""

    epoch: bytes
    payload: bytes
    sent: float = float("-inf")
    birth: tuple[bytes, int] = (b"", -1)


class Courier:
    """clock: UTC ns, by which acks are timed: terminals know no other time of the collector."""

    def __init__(self, pipeline: Pipeline, intake: Intake, key: SigningKey, clock: Callable[[], int]) -> None:
        self._pipeline, self._intake, self._key, self._clock = pipeline, intake, key, clock
        self._under: dict[int, _Under] = {}

    async def run(self) -> None:
        """Until cancelled. A store that does not write lets commands wait."""
        while True:
            waiting = self._pipeline.fold.diagnosing.next() if self._intake.connected else []
            self._under = {order.n: self._under[order.n] for order in waiting if order.n in self._under}
            for order in waiting:
                try:
                    await self._bring(order)
                except StoreError as error:
                    log.debug("command %d waits: %s", order.n, error)  # the next group meets the same store and says so
            await asyncio.sleep(LOOK_S)

    async def _bring(self, order: Order) -> None:
        terminal = self._pipeline.terminal(order.terminal)
        if terminal is None or terminal.connection != "online" or not terminal.epoch:
            return
        under = self._under.get(order.n)
        if under is None or under.epoch != terminal.epoch:
            under = self._under[order.n] = _Under(terminal.epoch, self._seal(order, terminal.epoch))
        now, birth = asyncio.get_running_loop().time(), (terminal.epoch, terminal.life_n)
        if birth == under.birth and now - under.sent < AGAIN_S:
            return
        if order.state == ASKED:
            # Record before it leaves: what was signed can be proved to have been signed.
            await self._pipeline.operate(
                {
                    "action": "command-sent",
                    "actor": "collector",
                    "terminal": order.terminal,
                    "n": order.n,
                    "sha256": sha256(under.payload).digest(),
                }
            )
            log.info("command %d (%s) goes to %s, asked by %s", order.n, order.kind, order.terminal, order.by)
        self._intake.publish_command(order.terminal, under.payload)
        under.sent, under.birth = now, birth

    def _seal(self, order: Order, epoch: bytes) -> bytes:
        """Issued now by the clock that acks tell; the journal's time may be ahead of it."""
        issued = self._clock() // MS * MS
        left = max(order.expires_at - self._pipeline.now(), 0) // MS * MS
        return seal_command(
            self._key,
            Command(order.terminal, order.number, order.kind, issued, issued + left, epoch, order.arguments),
        )
