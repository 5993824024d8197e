"""Routing as the store asks for it: one call for each message, inside the transaction of its incident. Pure, and quick: it reads nothing."""

from __future__ import annotations

from collections.abc import Callable

from tillwatch.collector.duty.policy import Policy
from tillwatch.collector.routing.decide import Way, decide, undelivered
from tillwatch.collector.routing.matching import Contract, RouteFacts, contracts_of
from tillwatch.collector.routing.table import RouteTable
from tillwatch.collector.tickets.message import TicketMessage
from tillwatch.collector.tickets.port import Destination, Leg

NOWHERE = ""
"""The connector of a ticket as long as no ticket system is configured: it waits until one is."""


class Router:
    """policy: the one in force, asked anew for each message. What a destination says is written into its row and holds for it, whatever table or
    policy come later; a change of the table takes effect at the next start, with a new router.
    """

    def __init__(self, table: RouteTable, policy: Callable[[], Policy]) -> None:
        self.table = table
        self._policy = policy

    def legs(self, message: TicketMessage, at: int, stays: str = "") -> tuple[Destination, ...]:
        """Where this message goes: always one ticket, and it comes first, then those who are to be told. at: its time, UTC ns; stays: the connector
        that has the incident's ticket or is to make it, empty as long as none is.
        """
        routed = decide(self.table, RouteFacts.of_message(message), message, at, self._policy(), stays=stays)
        ticket, leg = routed.ticket or (NOWHERE, Leg())
        return (Destination(ticket, leg), *_told(routed.notify))

    def undelivered(self, message: TicketMessage, at: int) -> tuple[Destination, ...]:
        """Who is told otherwise that the ticket of this message has waited for too long."""
        ways, _ = undelivered(self.table, RouteFacts.of_message(message), at, self._policy(), drill=message.drill)
        return _told(ways)

    def contracts(self, message: TicketMessage, at: int) -> tuple[Contract, ...]:
        """The vendors' contracts that cover it, for the text of its ticket."""
        return contracts_of(self.table.contracts, RouteFacts.of_message(message), at, self._policy())


def _told(ways: tuple[Way, ...]) -> tuple[Destination, ...]:
    return tuple(Destination(connector, leg, notify=True) for connector, leg in ways)
