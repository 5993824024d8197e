"""Over which other node something goes that the node of a connection has no queue for. Nodes that have missed each other keep tables of queues and bindings of their own,
also long after they are connected again: what one of them sends back as unroutable another one has a queue for. As a rule none has, since a terminal went
away as its batch was stored: that must cost little.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

MAX_WAITING = 1000
"""Messages for one node. The oldest goes: the next ack makes good the one before, and groups, commands and pieces of bundles are asked for again."""
MAX_WAITING_BYTES = 4 * 1024 * 1024
"""An ack has 200 bytes, the answer to a group of messages 40,000."""
AT_ONCE = 50
"""Messages on their way to one node at a time."""
PACE_S = 0.05
"""From one such lot to the next: 1,000 messages a second, which nodes bear beside all else, and more than the terminals of a node have due where each speaks
once a minute.
"""
KEPT_S = 60.0
"""An unused connection to another node, which costs it some 100 KB: as long as terminals take from one batch to the next."""
LEFT_ALONE_S = 10.0
"""A node that did not answer or went away, before it is asked again. What is for it meanwhile is dropped."""


class Letter(NamedTuple):
    kind: str
    exchange: str
    key: str
    body: bytes


class Detour:
    """What waits for one other node, and whether a connection to it is worth having. Times are any monotone seconds."""

    def __init__(self) -> None:
        self._waiting: deque[Letter] = deque()
        self._bytes = 0
        self._under_way = 0
        self._alone_until = float("-inf")
        self._used = float("-inf")

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, letter: Letter, now: float) -> int:
        """How many were dropped for it, or it itself."""
        if now < self._alone_until:
            return 1
        dropped = 0
        self._waiting.append(letter)
        self._bytes += len(letter.body)
        while len(self._waiting) > MAX_WAITING or self._bytes > MAX_WAITING_BYTES:
            self._bytes -= len(self._waiting.popleft().body)
            dropped += 1
        return dropped

    def take(self, now: float) -> list[Letter]:
        """The next ones, in the order in which they came."""
        taken = [self._waiting.popleft() for _ in range(min(AT_ONCE, len(self._waiting)))]
        self._bytes -= sum(len(letter.body) for letter in taken)
        self._under_way = len(taken)
        if taken:
            self._used = now
        return taken

    def answered(self) -> None:
        """The node has said of each that was taken last whether it has it."""
        self._under_way = 0

    def failed(self, now: float) -> int:
        """The node did not answer, or its connection was lost: how many were dropped, those under way to it among them."""
        dropped = len(self._waiting) + self._under_way
        self._waiting.clear()
        self._bytes = self._under_way = 0
        self._alone_until = now + LEFT_ALONE_S
        return dropped

    def spare_s(self, now: float) -> float:
        """For so long a connection over which all was sent is still kept; 0 where it is to be closed."""
        return max(self._used + KEPT_S - now, 0.0)
