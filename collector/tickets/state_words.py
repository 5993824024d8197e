"""The words of a ticket system for where a ticket stands: what each means, and which one a state is set as. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from tillwatch.collector.tickets.message import TicketState

INSTEAD: Mapping[TicketState, tuple[TicketState, ...]] = {
    TicketState.OPEN: (TicketState.WORKING,),
    TicketState.WORKING: (TicketState.OPEN,),
    TicketState.RESOLVED: (TicketState.CLOSED,),
    TicketState.CLOSED: (TicketState.RESOLVED, TicketState.REJECTED),
    TicketState.REJECTED: (TicketState.CLOSED, TicketState.RESOLVED),
    TicketState.DUPLICATE: (TicketState.CLOSED, TicketState.REJECTED, TicketState.RESOLVED),
}
"""What a state is set as where there is no word for it, the nearest first: over stays over."""


class StateWords:
    """known: the words that a system comes with; explained: those of the configuration, which go before them."""

    def __init__(self, known: Mapping[str, TicketState], explained: Mapping[str, str]) -> None:
        self._known = known
        self.explained = {word: TicketState(state) for word, state in explained.items()}

    def meaning(self, word: str) -> TicketState | None:
        return self.explained.get(word) or self._known.get(word)

    def of(self, target: TicketState) -> list[str]:
        """What may be set for a state, the nearest first. Where the configuration has words for one, they are the ones of this system."""
        words: list[str] = []
        for state in (target, *INSTEAD.get(target, ())):
            told = [word for word, meant in self.explained.items() if meant is state]
            words += told or [
                word for word, meant in self._known.items() if meant is state and word not in self.explained
            ]
        return words
