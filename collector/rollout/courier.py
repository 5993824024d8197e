"""Tells terminals what they are to run: seals the bundle with the collector's key for the stream that each speaks in now, and sends it again while no word of
it comes. Who was away is told when it comes back, and only the newest: there is nothing else to tell.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from tillwatch.agent.model import MS
from tillwatch.agent.wire import Directive, SigningKey, seal_directive
from tillwatch.collector.intake import Intake
from tillwatch.collector.pipeline import Pipeline
from tillwatch.collector.rollout.states import Bundle, Member
from tillwatch.collector.terminal.fleet import Terminal

log = logging.getLogger(__name__)

LOOK_S = 1.0
AT_ONCE = 25
"""Bundles sent at one look: some 1.4 MB a second at most, a fiftieth of a line of 1 Gbit/s; 50,000 terminals take half an hour, and a ring lasts longer."""
AGAIN_S = 60.0
"""Until a terminal of which nothing was heard is told once more: it answers with its next batch. What is sent twice is taken once."""
KEPT = 2
"""Bundles whose content is in memory: the one that is brought out, and the one before it."""


@dataclass(slots=True)
class _Told:
    """The last telling of a terminal. birth: the connection."""

    number: int
    birth: tuple[bytes, int]
    at: float


class Courier:
    """content: of a bundle, by its number. clock: UTC ns, by which acks are timed."""

    def __init__(
        self,
        pipeline: Pipeline,
        intake: Intake,
        key: SigningKey,
        content: Callable[[int], Bundle],
        clock: Callable[[], int],
    ) -> None:
        self._pipeline, self._intake, self._key, self._content, self._clock = pipeline, intake, key, content, clock
        self._kept: dict[int, Bundle] = {}
        self._told: dict[str, _Told] = {}
        self._after = ""

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            if self._intake.connected:
                self.look(asyncio.get_running_loop().time())
            await asyncio.sleep(LOOK_S)

    def look(self, now: float) -> None:
        """In turn, so that nobody is kept waiting by those who are told again."""
        rolling = self._pipeline.fold.rolling
        waiting = sorted(rolling.waiting)
        self._told = {name: self._told[name] for name in waiting if name in self._told}
        turn = [name for name in waiting if name > self._after] + [name for name in waiting if name <= self._after]
        sent = 0
        for name in turn:
            terminal = self._pipeline.terminal(name)
            if terminal is None or terminal.connection != "online" or not terminal.epoch:
                continue
            if not self._is_due(terminal, member := rolling.members[name], now):
                continue
            self._send(terminal, member, now)
            self._after, sent = name, sent + 1
            if sent == AT_ONCE:
                return

    def _is_due(self, terminal: Terminal, member: Member, now: float) -> bool:
        told = self._told.get(terminal.id)
        birth = (terminal.epoch, terminal.life_n)
        return told is None or told.number != member.number or told.birth != birth or now - told.at >= AGAIN_S

    def _send(self, terminal: Terminal, member: Member, now: float) -> None:
        name, digest, content = "", b"", b""
        if member.bundle:
            bundle = self._bundle(member.bundle)
            name, digest, content = bundle.name, bundle.digest, bundle.content
        issued = self._clock() // MS * MS
        directive = Directive(terminal.id, member.number, terminal.epoch, issued, name, digest, content)
        self._intake.publish_directive(terminal.id, seal_directive(self._key, directive))
        self._told[terminal.id] = _Told(member.number, (terminal.epoch, terminal.life_n), now)
        log.debug("%s is told %d: %s", terminal.id, member.number, name or "its own configuration")

    def _bundle(self, number: int) -> Bundle:
        if number not in self._kept:
            while len(self._kept) >= KEPT:
                self._kept.pop(next(iter(self._kept)))
            self._kept[number] = self._content(number)
        return self._kept[number]
