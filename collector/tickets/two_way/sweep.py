"""Closing what is there twice: several living tickets with the key of one incident, of which one is its ticket. They come from a crash together with
a search that lagged behind, or from people who copied a ticket.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from tillwatch.collector.tickets.desk import close_duplicate
from tillwatch.collector.tickets.message import TicketState
from tillwatch.collector.tickets.port import (
    BarredError,
    GoneError,
    NotAppliedError,
    RejectedError,
    TicketPort,
    UnclearError,
)


@dataclass(frozen=True, slots=True)
class Swept:
    """kept: the ticket of the incident; closed: the ids of those that were closed in its favour; problem: why others were not."""

    incident: str
    kept: str
    closed: tuple[str, ...] = ()
    problem: str = ""


async def _settled(incident: str, ticket: str) -> bool:  # noqa: ARG001 - an answer to any
    return True


async def sweep(
    port: TicketPort,
    links: Iterable[tuple[str, str]],
    *,
    is_linked: Callable[[str, str], Awaitable[bool]] = _settled,
) -> list[Swept]:
    """Close the doubles of (incident, its ticket); what came of it where there were any. Does not raise: a system that is away ends it, with a problem.

    is_linked: asked between finding and closing, whether that still is the incident's ticket and no delivery is under way, which may be making another one.
    """
    done = []
    for incident, ticket in links:
        if not ticket:
            continue
        closed: list[str] = []
        try:
            spare = await _spare(port, incident, ticket)
            if spare and await is_linked(incident, ticket):
                for each in spare:
                    await close_duplicate(port, each, ticket)
                    closed.append(each)
        except (RejectedError, GoneError) as error:
            done.append(Swept(incident, ticket, tuple(closed), str(error)))
        except (NotAppliedError, UnclearError, BarredError) as error:
            done.append(Swept(incident, ticket, tuple(closed), str(error)))
            break
        else:
            if closed:
                done.append(Swept(incident, ticket, tuple(closed)))
    return done


async def _spare(port: TicketPort, incident: str, ticket: str) -> list[str]:
    """Ids of the living tickets of that key beside its own. None while people have put another one in its place, which sync.py follows."""
    living = [each for each in await port.find(incident) if each.state is None or not each.state.over]
    spare = [each for each in living if each.id != ticket]
    if not spare:
        return []
    try:
        own = await port.read(ticket)
    except GoneError:
        return []
    if own.merged_into or own.id != ticket or own.state is TicketState.DUPLICATE:
        return []
    return [each.id for each in spare if not each.merged_into]
