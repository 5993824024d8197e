"""What one terminal may take of the intake, decided on the name in its topic before a byte is inflated or proven: a share of the queue, a
number of messages over time, and a few that prove to be nothing. Whoever takes more loses its own messages and nobody else's.
"""

from __future__ import annotations

import logging
import time
from collections import Counter, deque
from collections.abc import Callable
from enum import StrEnum

from tillwatch.collector.intake import Message
from tillwatch.collector.sequence import WINDOW

log = logging.getLogger(__name__)

SHARE = 3 * WINDOW
"""Messages of one terminal that may wait. An honest one has a window in flight, and after a reconnect the same window once more; the third
is for its life messages.
"""
FREE_PART = 8
"""Nobody's wait takes more than this part of what is still free: as the queue fills all shares shrink, and a newcomer finds room."""
RATE = 10.0
"""Batches a second in the long run: sealing is limited to 600 a minute (delivery.md 6.9)."""
BURST = 3600 * RATE
"""An outage of an hour at that limit, or of 25 days at one batch a minute, comes as fast as the window lets it."""
UNIT = 8 * 1024
"""Bytes that count as one batch: the least that batches aim at. Without it a terminal could fill 100 GB of disk a day."""
LIFE_COST = 10.0
"""A life message counts as ten batches: one a second is more than a terminal has to say of itself, and each is kept."""
REFUSALS = 60
"""Messages of one terminal that may turn out to be nothing before it is not listened to: a real one has none. Forgotten at one a second."""
MUTE_S = 60.0
"""For so long it is not listened to. 60 signatures a minute cost 3 ms."""
FORGETS_FROM = 20_000
"""Terminals with an allowance of their own, from which on those are forgotten whose allowance is whole: they begin with the same again. Some 10 MiB. Of a larger fleet,
with a batch a minute from each, a few are left; and where nobody's is whole, as after an outage, the enrolled ones are the bound.
"""
STRANGERS = ""
"""All who are not enrolled share one allowance, so that inventing names gains nothing."""


class Dropped(StrEnum):
    """Why a message was not even looked at. Counted by this word, beside the reasons of the wire."""

    FLOOD = "flood"
    """More than its share of the queue, or of the time."""
    MUTED = "muted"
    """After too many that were refused."""
    FULL = "queue_full"
    """The intake as a whole was full; nobody's fault but the store's."""


class _Lane:
    __slots__ = ("at", "bytes", "muted", "name", "refused", "tokens", "waiting")

    def __init__(self, name: str, now: float) -> None:
        self.name = name
        self.waiting: deque[Message] = deque()
        self.bytes = 0
        self.tokens = BURST
        self.at = now
        self.refused = (0.0, now)
        self.muted = 0.0

    def whole(self, now: float) -> bool:
        """Whether a new one would be the same."""
        level, at = self.refused
        calm = self.muted <= now and level <= now - at
        return calm and not self.waiting and self.tokens + (now - self.at) * RATE >= BURST


class FairQueue:
    """Bounded in messages and bytes; takes in turn from everybody who waits, and keeps the order of each.

    knows: whether a terminal is enrolled; now: monotonic seconds.
    """

    def __init__(
        self,
        most: int,
        most_bytes: int,
        knows: Callable[[str], bool] = lambda _: True,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.knows = knows
        self._most, self._most_bytes = most, most_bytes
        self._now = now
        self._lanes: dict[str, _Lane] = {}
        self._room = FORGETS_FROM
        self._turns: deque[_Lane] = deque()
        self._troubled: dict[str, _Lane] = {}
        self._dropped: Counter[tuple[str, Dropped]] = Counter()
        self.count = 0
        self.bytes = 0

    def put(self, message: Message, terminal: str, *, life: bool) -> Dropped | None:
        """Take it in, or say why not."""
        lane = self._lane(terminal)
        why = self._obstacle(lane, len(message.payload), life=life)
        if why is not None:
            self._dropped[lane.name, why] += 1
            return why
        if not lane.waiting:
            self._turns.append(lane)
        lane.waiting.append(message)
        lane.bytes += len(message.payload)
        self.bytes += len(message.payload)
        self.count += 1
        return None

    def take(self, most: int) -> list[Message]:
        """At most so many, one of each terminal and then the next of each."""
        turns = self._turns
        taken: list[Message] = []
        while turns and len(taken) < most:
            lane = turns.popleft()
            message = lane.waiting.popleft()
            lane.bytes -= len(message.payload)
            self.bytes -= len(message.payload)
            taken.append(message)
            if lane.waiting:
                turns.append(lane)
        self.count -= len(taken)
        return taken

    def refused(self, terminal: str) -> None:
        """A message of this terminal was looked at and is nothing."""
        lane, now = self._lane(terminal), self._now()
        level, at = lane.refused
        level = max(0.0, level - (now - at)) + 1
        lane.refused = (level, now)
        if level > REFUSALS - 1:
            lane.muted, lane.refused = now + MUTE_S, (0.0, now)
            if lane.name not in self._troubled:
                log.warning(
                    "%s: %d messages that prove to be nothing; it is heard for a moment each minute until they end",
                    _called(lane.name),
                    REFUSALS,
                )
            self._troubled[lane.name] = lane

    def take_dropped(self) -> Counter[tuple[str, Dropped]]:
        """(terminal, why) of what was dropped since the last call. Also notices who has become quiet."""
        for lane in [lane for lane in self._troubled.values() if self._now() > lane.muted + MUTE_S]:
            del self._troubled[lane.name]
            log.warning("%s: heard as everybody else again", _called(lane.name))
        dropped, self._dropped = self._dropped, Counter()
        return dropped

    def _lane(self, terminal: str) -> _Lane:
        lane = self._lanes.get(terminal)
        if lane is None:
            if not self.knows(terminal):
                terminal = STRANGERS
            lane = self._lanes.get(terminal)
            if lane is None:
                if len(self._lanes) >= self._room:
                    self._forget()
                lane = self._lanes[terminal] = _Lane(terminal, self._now())
        return lane

    def _forget(self) -> None:
        now = self._now()
        self._lanes = {name: lane for name, lane in self._lanes.items() if not lane.whole(now)}
        # Twice what is left: going through all of them is a small part of the work of as many newcomers.
        self._room = max(FORGETS_FROM, 2 * len(self._lanes))

    def _obstacle(self, lane: _Lane, size: int, *, life: bool) -> Dropped | None:
        now = self._now()
        if lane.muted > now:
            return Dropped.MUTED
        free, free_bytes = self._most - self.count, self._most_bytes - self.bytes
        if free < 1 or size > free_bytes:
            return Dropped.FULL
        waiting, held = len(lane.waiting), lane.bytes + size
        if waiting and (waiting >= min(SHARE, free / FREE_PART) or held > free_bytes / FREE_PART):
            large = waiting >= SHARE or held > self._most_bytes / FREE_PART / 2
            return Dropped.FLOOD if large else Dropped.FULL
        cost = (LIFE_COST if life else 1.0) + size // UNIT
        tokens = min(BURST, lane.tokens + (now - lane.at) * RATE)
        lane.at, lane.tokens = now, tokens
        if tokens < cost:
            return Dropped.FLOOD
        lane.tokens = tokens - cost
        return None


def _called(name: str) -> str:
    return f"terminal {name}" if name != STRANGERS else "terminals that are not enrolled"
