"""Which deliveries of one channel the broker is told of: it is told once for all up to a number, as soon as everything up to there is settled."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable


class Tags:
    """Of one channel, whose deliveries are numbered in order."""

    def __init__(self) -> None:
        self._open: deque[int] = deque()
        self._settled: set[int] = set()

    def __len__(self) -> int:
        return len(self._open)

    def came(self, tag: int) -> None:
        self._open.append(tag)

    def settle(self, tags: Iterable[int]) -> int:
        """The number up to which all is settled now; 0 where that has not moved."""
        self._settled.update(tags)
        reached = 0
        while self._open and self._open[0] in self._settled:
            reached = self._open.popleft()
            self._settled.discard(reached)
        return reached
