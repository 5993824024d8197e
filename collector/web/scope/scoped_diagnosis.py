"""The part of the scoped reader that is about commands: those to terminals of the asker's own part of the fleet."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tillwatch.collector.diagnosis.order import Order, Reach
from tillwatch.collector.diagnosis.reading import Bundle
from tillwatch.collector.incident.incident_views import ConsoleReader


class ScopedDiagnosis:
    """Of ScopedReader."""

    _whole: ConsoleReader

    def _check(self, terminal: str) -> None:
        raise NotImplementedError

    def _enough(self, ask: Callable[[int], Sequence[Order]], limit: int) -> list[Order]:
        raise NotImplementedError

    def reach(self, terminal: str) -> Reach:
        self._check(terminal)
        return self._whole.reach(terminal)

    def orders(self, terminal: str | None = None, *, open_only: bool = False, limit: int = 500) -> Sequence[Order]:
        if terminal is not None:
            self._check(terminal)
        return self._enough(lambda n: self._whole.orders(terminal, open_only=open_only, limit=n), limit)

    def order(self, n: int) -> Order:
        found = self._whole.order(n)
        self._check_of(found)
        return found

    def bundle(self, n: int) -> Bundle:
        self._check_of(self._whole.order(n))
        return self._whole.bundle(n)

    def _check_of(self, order: Order) -> None:
        try:
            self._check(order.terminal)
        except KeyError:
            raise KeyError(str(order.n)) from None
