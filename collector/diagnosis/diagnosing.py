"""The part of the fold that follows commands from the asking to the end. What a terminal says of one is a reading of its own component `agent`,
signed like all others; only that terminal's word counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tillwatch.agent.model import AGENT, Value
from tillwatch.agent.wire import result_of
from tillwatch.collector.book import Book
from tillwatch.collector.diagnosis import order as orders
from tillwatch.collector.diagnosis.order import EXPIRED, LATE_NS, OPEN, Order
from tillwatch.collector.journal import Entry
from tillwatch.collector.terminal.fleet import Fleet
from tillwatch.collector.timers import Key, Timers


class Diagnosing:
    """living: by terminal and number, the commands of which something may still come."""

    def __init__(self, book: Book, fleet: Fleet, timers: Timers) -> None:
        self._book, self._fleet, self._timers = book, fleet, timers
        self.living: dict[str, dict[int, Order]] = {}
        self._last = 0

    def act(self, entry: Entry, facts: Mapping[str, Any]) -> None:
        """Asked, or sent."""
        if entry.terminal not in self._fleet.terminals:
            return
        if facts["action"] == "command-sent":
            order = next((one for one in self.open(entry.terminal) if one.n == facts.get("n")), None)
            self._put(orders.sent(order, entry.at) if order is not None else None)
            return
        waiting = len(self.open(entry.terminal))
        self._put(orders.ask(entry.n, entry.at, entry.terminal, facts, self._last, waiting))

    def heard(self, terminal: str, component: str, values: list[Value], at: int) -> None:
        """The terminal's own word of one, of whatever age."""
        for value in values if component == AGENT else ():
            result = result_of(value)
            order = self.living.get(terminal, {}).get(result.number) if result is not None else None
            if result is not None and order is not None:
                self._put(orders.told(order, result, at))

    def due(self, terminal: str, number: str, at: int) -> None:
        order = self.living.get(terminal, {}).get(int(number))
        if order is not None:
            self._put(orders.expire(order, at))

    def open(self, terminal: str) -> list[Order]:
        """Those that are not settled, in the order in which they are carried out."""
        return sorted((one for one in self.living.get(terminal, {}).values() if one.state in OPEN), key=_number)

    def next(self) -> list[Order]:
        """The one command of each terminal that is its turn."""
        return [found[0] for terminal in self.living if (found := self.open(terminal))]

    def load(self, order: Order) -> None:
        self._last = max(self._last, order.number)
        self._keep(order)

    def rearm(self) -> None:
        for terminal in self.living:
            for order in self.open(terminal):
                self._timers.set(_key(order), orders.due_at(order))

    def _put(self, order: Order | None) -> None:
        if order is None:
            return
        self._last = max(self._last, order.number)
        self._book.dirty.commands[order.n] = order
        self._keep(order)
        if due := orders.due_at(order):
            self._timers.set(_key(order), due)
        else:
            self._timers.cancel(_key(order))
            self._forget(order.terminal, order.done_at)

    def _keep(self, order: Order) -> None:
        of = self.living.setdefault(order.terminal, {})
        if order.state in OPEN or (order.state == EXPIRED and order.sent_at):
            of[order.number] = order
        else:
            of.pop(order.number, None)
        if not of:
            del self.living[order.terminal]

    def _forget(self, terminal: str, at: int) -> None:
        """Expired ones of which no word would be taken any more."""
        of = self.living.get(terminal, {})
        for order in [one for one in of.values() if one.state == EXPIRED and one.expires_at + LATE_NS < at]:
            del of[order.number]
        if terminal in self.living and not of:
            del self.living[terminal]


def _number(order: Order) -> int:
    return order.number


def _key(order: Order) -> Key:
    return ("command", order.terminal, "", str(order.number))
