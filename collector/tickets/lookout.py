"""Which of the tickets that a list of changes names are read in one look: pure, one for each connection to a system that tells changes by time.

A look reaches back by an overlap, so most of what it is told was read before. What was is known by its time of change; how far the cursor goes is decided by
what was really read, so that neither a failure in the middle nor a mass change that takes several looks loses one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, TypeVar

READS = 100
"""Tickets read in one look. At three requests of 0.1 s each this is half a minute; the rest comes with the next looks, the oldest first."""

At = TypeVar("At", int, str)
"""A time of change in any form that can be ordered."""


class Lookout(Generic[At]):
    """coarse: times are whole seconds, so that a ticket may change again and show the same one."""

    def __init__(self, *, coarse: bool) -> None:
        self._coarse = coarse
        self._read: dict[str, At] = {}
        self._reading: dict[str, At] = {}

    def due(self, rows: Iterable[tuple[At, str]], cursor: At, ahead: At) -> tuple[list[str], At]:
        """(tickets to be read, the oldest change first; the next cursor). rows: time and id of what changed since the cursor less the overlap; ahead: where
        the cursor goes when that is all. Once they are read, call done(); until then nothing counts as read.
        """
        told = sorted(rows)
        newest = told[-1][0] if told else cursor
        due, self._reading = list[str](), {}
        for place, (at, ticket) in enumerate(told):
            if self._read.get(ticket) != at:
                if len(due) == READS:
                    # Without those of the newest second, too, a change of hundreds at once would be begun again and again.
                    self._reading |= {ticket: at for at, ticket in told[:place]}
                    return due, cursor
                due.append(ticket)
            if at < newest or not self._coarse:
                self._reading[ticket] = at
            cursor = max(cursor, at)
        return due, max(cursor, ahead)

    def done(self) -> None:
        self._read = self._reading
