"""How one message is told to a ticket system so that it is told once: look before making again, read back after every write, follow what people did
to the ticket meanwhile. The steps are few and each may be the last one before a crash; what is sent again after any of them ends in the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from tillwatch.collector.tickets import text
from tillwatch.collector.tickets.message import Op, TicketMessage, TicketState
from tillwatch.collector.tickets.port import (
    Barred,
    BarredError,
    Done,
    Draft,
    GoneError,
    Leg,
    Link,
    NotAppliedError,
    Outcome,
    Problem,
    RejectedError,
    Remote,
    Retry,
    TicketPort,
    Uncertain,
    UnclearError,
)

OURS = "HWM-"
"""How the keys of incidents begin."""


class Desk:
    """A ticket system as a receiver. language: of what is written there; settle_s: 0 for what the system is known to need. contracts: lines on who
    must come for what a message tells of.
    """

    coalesces = True

    def __init__(self, port: TicketPort, *, language: str = "en", settle_s: float = 0.0) -> None:
        self.port = port
        self.contracts: Callable[[TicketMessage], Sequence[str]] = lambda _: ()
        self._language = language
        self._settle_s = settle_s

    @property
    def name(self) -> str:
        return self.port.name

    @property
    def settle_s(self) -> float:
        return self._settle_s or self.port.caps.settle_s

    async def preflight(self) -> list[Problem]:
        return await self.port.preflight()

    async def close(self) -> None:
        await self.port.close()

    async def deliver(self, message: TicketMessage, link: Link | None, *, doubtful: bool, leg: Leg) -> Outcome:
        told = message.in_language(self._language)
        telling = _Telling(self.port, told, self._language, leg, self.contracts(message))
        try:
            return await telling.tell(link or Link("", "", ""), doubtful=doubtful)
        except BarredError as error:
            # Let in again, the next attempt looks what was written before.
            return Uncertain(f"half told: {error}") if telling.wrote else Barred(str(error))
        except UnclearError as error:
            return Uncertain(str(error))
        except (NotAppliedError, RejectedError, GoneError) as error:
            if telling.wrote:
                # The next attempt looks what is there already: told twice it would not be once.
                return Uncertain(f"half told: {error}")
            if isinstance(error, NotAppliedError):
                return Retry(str(error), error.after_s)
            return Retry(str(error), refused=True)


class _Telling:
    """One attempt at one message. wrote: something was changed there."""

    def __init__(
        self, port: TicketPort, message: TicketMessage, language: str, leg: Leg, contracts: Sequence[str]
    ) -> None:
        self._contracts = contracts
        self._port = port
        self._message = message
        self._language = language
        self._leg = leg
        self._renewed = False
        self.wrote = False

    async def tell(self, link: Link, *, doubtful: bool) -> Outcome:
        ticket, also = link.external_id, ""
        if not ticket:
            found = await self._port.find(self._message.incident) if doubtful or self._message.op is not Op.OPEN else []
            if not found:
                return await self._made("")
            ticket, also = await self._adopt(found)
            if self._message.op is Op.OPEN:
                return self._done(await self._read(ticket), also)
        try:
            remote = await self._read(ticket)
        except GoneError:
            return await self._anew(f"ticket {ticket} was gone: made anew")
        if (
            remote.id == ticket
            and not link.adopted
            and remote.key != self._message.incident
            and remote.key.startswith(OURS)
        ):
            # A key that people edited is theirs. Redmine on SQLite gives the number of a deleted issue to the next one: this is another incident's ticket now.
            return await self._anew(f"ticket {ticket} belongs to {remote.key} now: made anew")
        wish = self._message.wish or (TicketState.OPEN if self._message.op is Op.OPEN else None)
        final = remote.state in self._port.caps.final
        if wish is TicketState.OPEN and remote.state is not None and remote.state.over:
            if final or not self._port.caps.reopens:
                return await self._anew(f"ticket {ticket} cannot be opened again: made anew")
        elif final:
            return self._done(remote, f"ticket {ticket} is {remote.status!r} and takes no more notes")
        if self._message.source != self._port.name:  # whose people said it know it
            await self._note(remote.id, doubtful=doubtful)
        if wish is not None and not _fulfilled(wish, remote.state):
            self.wrote = True
            await self._port.set_state(remote.id, wish, self._message.note or self._message.what)
        if self.wrote:
            remote = await self._read(remote.id)
            if wish is not None and not _fulfilled(wish, remote.state):
                raise RejectedError(f"ticket {remote.id} is still {remote.status!r}: {wish.value} was not taken")
        return replace(self._done(remote, also), merged=remote.id != ticket)

    async def _read(self, ticket: str) -> Remote:
        """As it is now, or the one that goes on in its place."""
        seen = {ticket}
        remote = await self._port.read(ticket)
        while remote.merged_into and remote.merged_into not in seen:
            seen.add(remote.merged_into)
            remote = await self._port.read(remote.merged_into)
        return remote

    async def _note(self, ticket: str, *, doubtful: bool) -> None:
        mark = text.mark(self._message)
        if doubtful and self._port.caps.has_notes and await self._port.has_note(ticket, mark):
            return
        await self._port.note(
            ticket, text.note(self._message, self._language, min(self._port.caps.max_body, text.MAX_BODY))
        )
        self.wrote = True
        if self._port.caps.has_notes and not await self._port.has_note(ticket, mark):
            raise RejectedError(f"the note at ticket {ticket} was taken and is not there")

    async def _made(self, also: str) -> Outcome:
        message, caps = self._message, self._port.caps
        made = await self._port.create(
            Draft(
                key=message.incident,
                title=_cut(text.title(message, self._language), caps.max_title),
                body=text.body(message, self._language, self._contracts, min(caps.max_body, text.MAX_BODY)),
                level=message.level,
                queue=self._leg.queue,
                terminal=message.terminal,
                branch=message.branch,
                component=message.component,
            )
        )
        self.wrote = True
        try:
            remote = await self._port.read(made.id)
        except GoneError:
            raise UnclearError(f"ticket {made.id} was made and is not there") from None
        if remote.key != message.incident:
            also = "; ".join((*filter(None, [also]), f"ticket {made.id} does not show its key: check the field"))
        wish = message.wish
        if wish is not None and not _fulfilled(wish, remote.state):
            await self._port.set_state(remote.id, wish, message.note or message.what)
            remote = await self._port.read(remote.id)
        return self._done(remote, also)

    async def _anew(self, why: str) -> Outcome:
        """In place of one that is lost. An earlier attempt may have made it already: then it is told there."""
        if self._renewed:
            raise NotAppliedError(f"{self._port.name} finds tickets that are not there")
        self._renewed = True
        living = [
            each for each in await self._port.find(self._message.incident) if each.state is None or not each.state.over
        ]
        if not living:
            return await self._made(why)
        outcome = await self.tell(Link(living[0].id, living[0].url, ""), doubtful=True)
        return replace(outcome, also=why) if isinstance(outcome, Done) else outcome

    async def _adopt(self, found: list[Remote]) -> tuple[str, str]:
        """Of several tickets with one key the oldest that lives is the ticket, and the others are closed as its duplicates."""
        living = [each for each in found if each.state is None or not each.state.over]
        kept = (living or found[-1:])[0]
        spare = [each for each in living if each.id != kept.id]
        for each in spare:
            await close_duplicate(self._port, each.id, kept.id)
            self.wrote = True
        return kept.id, f"{len(spare)} duplicates of ticket {kept.id} were closed" if spare else ""

    def _done(self, remote: Remote, also: str) -> Done:
        state = remote.state.value if remote.state else remote.status
        return Done(remote.id, remote.url, state, also, updated_at=remote.updated_at)


async def close_duplicate(port: TicketPort, spare: str, kept: str) -> None:
    """Close a ticket in favour of another one of the same key, and say so in it."""
    reason = f"Duplicate of {kept}"
    await port.note(spare, reason)
    await port.set_state(spare, TicketState.DUPLICATE, reason)


def _fulfilled(wish: TicketState, state: TicketState | None) -> bool:
    """People may be further than what is wished: what they closed need not be resolved, what they work on is open."""
    if state is None:
        return False
    if wish is TicketState.OPEN:
        return not state.over
    return state.over if wish.over else state is wish


def _cut(told: str, limit: int) -> str:
    return told if len(told) <= limit else told[: limit - 1] + "…"
