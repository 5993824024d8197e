"""Times at which something becomes due, fired in due order. Pure: the caller brings the time. Equal times fire in the order of their keys,
so that a replay fires exactly as the live collector did.
"""

from __future__ import annotations

import heapq

Key = tuple[str, str, str, str]
"""(what, terminal, component, rule)."""


class Timers:
    def __init__(self) -> None:
        self._due: dict[Key, int] = {}
        self._heap: list[tuple[int, Key]] = []

    def set(self, key: Key, due: int) -> None:
        """Due at this UTC ns; a timer that is set again moves."""
        if self._due.get(key) != due:
            self._due[key] = due
            heapq.heappush(self._heap, (due, key))

    def cancel(self, key: Key) -> None:
        self._due.pop(key, None)

    def clear(self) -> None:
        self._due.clear()
        self._heap.clear()

    def due(self, key: Key) -> int | None:
        return self._due.get(key)

    def next_due(self) -> int | None:
        """The earliest due time, or None."""
        while self._heap and self._due.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def pop(self, until: int) -> tuple[int, Key] | None:
        """The next timer that is due by `until`, or None. It is gone from the table then."""
        due = self.next_due()
        if due is None or due > until:
            return None
        _, key = heapq.heappop(self._heap)
        del self._due[key]
        return due, key

    def __len__(self) -> int:
        return len(self._due)
