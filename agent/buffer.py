"""What was read and not sealed yet, in memory and bounded. Where the bound is reached it is thinned (thinning.py), and what goes is
counted for the next header.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from tillwatch.agent.model import device_of
from tillwatch.agent.thinning import Taken, thin
from tillwatch.agent.wire import MAX_DEVICES, MAX_READINGS, MAX_SPAN_MS

MAX_PENDING = 8_000
"""Readings that wait to be sealed: four full batches, some 1.5 MiB. Reached where the spool cannot be written for long."""
TARGET_BYTES = 24 * 1024
"""Of a sealed batch, estimated: 8 to 32 KiB is where a message costs little and a lost one is soon sent again."""
_NUMBER_COST = 12
_NAME_COST = 24
_SPAN_NS = (MAX_SPAN_MS - 1_000) * 1_000_000


class Buffer:
    """Readings in the order in which they were taken. counters: the catalogue's. on_ripe: called when a batch is full before its time; on_added: with whatever is added."""

    def __init__(self, counters: Collection[str] = ()) -> None:
        self._counters = counters
        self.on_ripe: Callable[[], None] = lambda: None
        self.on_added: Callable[[], None] = lambda: None
        self._items: list[Taken] = []
        self._cost = 0
        self.lost = 0
        """Readings thinned and not declared yet; the sealer takes it to the spool."""

    def __len__(self) -> int:
        return len(self._items)

    @property
    def ripe(self) -> bool:
        """Whether a batch is full."""
        return self._cost >= TARGET_BYTES or len(self._items) >= MAX_READINGS

    def add(self, items: Iterable[Taken]) -> None:
        for item in items:
            self._items.append(item)
            self._cost += _cost(item)
        self._bound()
        if self.ripe:
            self.on_ripe()
        self.on_added()

    def restore(self, items: list[Taken]) -> None:
        """Put back what could not be sealed: it is older than what is here."""
        self._items[:0] = items
        self._cost += sum(map(_cost, items))
        self._bound()

    def cut(self) -> list[Taken]:
        """Take out what goes into the next batch: as much from the front as the limits of a batch allow. Empty when nothing waits."""
        devices: set[str] = set()
        names: set[str] = set()
        cost = 0
        end = 0
        for item in self._items[:MAX_READINGS]:
            first = self._items[0].up
            devices.add(device_of(item.component))
            cost += _cost(item) + sum(_NAME_COST for name in (item.component, item.signal) if name not in names)
            names.update((item.component, item.signal))
            last = self._items[end - 1].up if end else first
            if end and (
                cost > TARGET_BYTES or len(devices) > MAX_DEVICES or item.up - first > _SPAN_NS or item.up < last
            ):
                break
            end += 1
        taken, self._items = self._items[:end], self._items[end:]
        self._cost -= sum(map(_cost, taken))
        return taken

    def _bound(self) -> None:
        if len(self._items) > MAX_PENDING:
            kept = thin(self._items, MAX_PENDING * 3 // 4, self._counters)
            self.lost += len(self._items) - len(kept)
            self._items = kept
            self._cost = sum(map(_cost, kept))


def _cost(item: Taken) -> int:
    return _NUMBER_COST + (len(item.value) if isinstance(item.value, str) else 0)
