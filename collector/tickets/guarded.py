"""The border of a connector: whatever a ticket system answers, what comes out are the exceptions of port.py.

Each connector reads an answer as its system is known to write it. One in another form (null for a list, a text for a number, a key that is missing) fails
somewhere in the middle of that, and says nothing about the message that was to be told: so it is turned here, for all connectors, into the exception
that the contract of TicketPort has for it. Only the place is told, since the text of such an error may quote the answer.
"""

from __future__ import annotations

import functools
import traceback
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from tillwatch.collector.tickets.port import GoneError, Problem, RejectedError, UnclearError

UNREADABLE = (ArithmeticError, AttributeError, LookupError, OSError, TypeError, ValueError)
"""What reading an answer of another form ends in. OSError: a time beyond what the platform has."""

READS = ("find", "has_note", "read", "changed_since")
WRITES = ("create", "note", "set_state")
NO_TICKET = ("find", "create", "changed_since")
"""Asked without the id of a ticket: what is not there is something else, such as the address."""

Connector = TypeVar("Connector")


def guarded(connector: type[Connector]) -> type[Connector]:
    """Decorates a TicketPort or Watched: an answer that cannot be read is declined by a method that reads, and leaves open what one that writes has done."""
    for name in (*READS, *WRITES, "preflight"):
        if (method := vars(connector).get(name)) is not None:
            setattr(connector, name, _guarded(name, method))
    return connector


def place_of(error: BaseException) -> str:
    """The kind of an error and where it came from. Its text stays out of logs: it may quote an address with a token in it, or an answer."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{type(error).__name__} at {frames[-1].filename}:{frames[-1].lineno}" if frames else type(error).__name__


def _guarded(name: str, method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    @functools.wraps(method)
    async def inside(self: Any, *given: Any, **named: Any) -> Any:
        try:
            return await method(self, *given, **named)
        except GoneError as error:
            if name in NO_TICKET:
                raise RejectedError(str(error)) from None
            raise
        except UNREADABLE as error:
            said = f"{self.name} answered in a form that is not known ({place_of(error)})"
            if name == "preflight":
                return [Problem(said, "check that the address is this kind of system; if it is, report this line")]
            raise (UnclearError if name in WRITES else RejectedError)(said) from None

    return inside
