"""The task in the collector that brings back what people do in one ticket system.

Asking is the truth, and a call of the system (web/hooks.py) only a reason to ask at once. What comes up is compared with what was journaled last;
where it differs the ticket is read once more, between two looks at the outbox that found none of our own deliveries under way, so that what we did
ourselves is never told as what people did. The facts are journaled before the cursor moves: after a crash the same is found again. Tickets of living
incidents that never come up are read one by one, since a ticket that was deleted or merged comes up in no list of changes.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import Enum, auto

from tillwatch.collector.store.db import Db
from tillwatch.collector.tickets.delivery import SECOND
from tillwatch.collector.tickets.guarded import place_of
from tillwatch.collector.tickets.port import (
    BarredError,
    GoneError,
    NotAppliedError,
    Remote,
    TicketPort,
    UnclearError,
    Watched,
)
from tillwatch.collector.tickets.store_thread import StoreThread
from tillwatch.collector.tickets.two_way import tracked
from tillwatch.collector.tickets.two_way.changes import Facts, gone, seen, touched
from tillwatch.collector.tickets.two_way.sweep import sweep
from tillwatch.collector.tickets.two_way.tracked import Tracked

log = logging.getLogger(__name__)

READ_AT_ONCE = 100
"""Tickets read in one round because they came up. At 0.3 s each this is half a minute; what is left comes first in the next round."""

LOOKS = 2
"""Rounds in which a ticket with one and the same time of change is read: many systems tell whole seconds, and the second look is after their end."""

VERIFY_NS = 1800 * SECOND
"""After which a ticket of a living incident may be read though nothing was heard of it."""

VERIFY_ROUNDS = 25
"""In how many rounds all of them are read: none waits for more than an hour, with five rounds of it to spare."""

VERIFY_AT_ONCE = range(5, 201)
"""Tickets read one by one in a round, least and most: with more than 5,000 living incidents it takes longer than an hour to read them all."""

MANY_GONE = 5
"""Tickets that are not there, in a round in which none is: a right that was taken away looks like that, and not deletions."""

UNKEPT = 3
"""Failures of the journal after which a round gives up: it is not the fault of one ticket."""

SWEEP_FIRST_NS = 600 * SECOND
SWEEP_NS = 6 * 3600 * SECOND
"""Between looks for several tickets of one incident. Only a crash and an index that lags together make them."""
SWEEP_DAYS_NS = 3 * 86_400 * SECOND
"""Incidents that were opened since are looked at, too, when they are over."""
SWEEP_AT_ONCE = 5

OnChange = Callable[[Facts], Awaitable[None]]
"""Journals facts of a TICKET_CHANGE; returns when they are in the store. It may be called with the same facts again."""


@dataclass(frozen=True, slots=True)
class Rhythm:
    """Seconds. poll: between rounds; hinted: between rounds that were asked for; most: between attempts at a system that is away."""

    poll_s: float = 60.0
    hinted_s: float = 2.0
    most_s: float = 600.0


class _Look(Enum):
    THERE = auto()
    GONE = auto()
    UNREADABLE = auto()
    LATER = auto()
    """A delivery of ours was under way, or what was found could not be journaled."""


class _AwayError(Exception):
    """What a round ends with before its time."""

    def __init__(self, reason: str, after_s: float | None = None) -> None:
        super().__init__(reason)
        self.after_s = after_s


class Sync:
    """Watches the tickets of one system, until `run` is cancelled.

    connect: opens a connection of its own (outbox.connect); it is called on the thread of this task. sweeps: the same system as a port, where doubles are to
    be looked for. clock: UTC ns; jitter: from [0, 1).
    """

    def __init__(
        self,
        connect: Callable[[], Db],
        system: Watched,
        on_change: OnChange,
        *,
        sweeps: TicketPort | None = None,
        clock: Callable[[], int] = time.time_ns,
        rhythm: Rhythm | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._system = system
        self._name = system.name
        self._on_change = on_change
        self._sweeps = sweeps
        self._clock = clock
        self._rhythm = rhythm or Rhythm()
        self._jitter = jitter
        self._store = StoreThread(connect, f"ticket sync {self._name}")
        self._wanted = asyncio.Event()
        self._failures = 0
        self._down_since: int | None = None
        self._unfit: set[str] = set()
        self._strange: dict[str, str] = {}
        self._to_sweep: deque[tuple[str, str]] = deque()
        self._sweep_at = clock() + SWEEP_FIRST_NS
        self._looks: dict[str, tuple[int, int]] = {}
        self._unkept = 0
        self._said = ""

    @property
    def down_since(self) -> int | None:
        """Since when the system cannot be asked, UTC ns; None while it can."""
        return self._down_since

    @property
    def strange_keys(self) -> dict[str, str]:
        """Incident -> the key that its ticket shows, where that is another one or none."""
        return dict(self._strange)

    def hint(self) -> None:
        """Something changed there: ask soon. Called in the loop of `run`, any number of times."""
        self._wanted.set()

    async def run(self) -> None:
        """Ask until cancelled."""
        try:
            while True:
                self._wanted.clear()
                began = asyncio.get_running_loop().time()
                asked_s: float | None = None
                try:
                    await self.round()
                    self._failures = 0
                    self._well()
                except _AwayError as error:
                    asked_s = error.after_s
                    self._ill(str(error))
                except Exception as error:  # one round that fails ends no other
                    self._ill(f"a round failed: {place_of(error)}")
                await self._sleep(began, asked_s)
        finally:
            await self.close()

    async def close(self) -> None:
        """For who calls `round` without `run`."""
        await self._store.close()

    async def round(self) -> None:
        """Ask once. Raises for a system that is away, and for a journal that takes nothing; what was found until then is kept."""
        self._unkept = 0
        cursor = await self._store.surely(tracked.cursor, self._name)
        trouble = ""
        changed: list[Remote] = []
        onwards = cursor
        try:
            changed, onwards = await self._system.changed_since(cursor)
        except (NotAppliedError, BarredError, UnclearError) as error:
            raise _AwayError(str(error), getattr(error, "after_s", None)) from None
        except Exception as error:  # the tickets are read one by one all the same
            trouble = f"its changes cannot be asked for: {_reason(error)}"
        missing, there, left = await self._look_at_changed(changed)
        await self._store.surely(tracked.advance, self._name, onwards, self._clock(), left)
        await self._verify(missing, there)
        await self._sweep()
        if trouble:
            raise _AwayError(trouble)

    async def _look_at_changed(self, changed: list[Remote]) -> tuple[list[Tracked], int, list[str]]:
        """(not there any more, how many were there, incidents that are left for later)."""
        concerned = await self._store.surely(tracked.concerned, self._name, changed)
        # What differs first: people wait for it. The rest may have notes, which not every list of changes has.
        differing = [each for each, remote in concerned if touched(each, remote)]
        same = [
            (each, remote)
            for each, remote in concerned
            if not touched(each, remote)
            and (remote.updated_at != each.updated_at or self._looks.get(remote.id) != (remote.updated_at, LOOKS))
        ]
        wanted = [*differing, *(each for each, _ in same)]
        self._looks = self._counted([remote for _, remote in concerned])
        missing, there, left = [], 0, [each.incident for each in wanted[READ_AT_ONCE:]]
        for known in wanted[:READ_AT_ONCE]:
            look = await self._look(known)
            if look is _Look.GONE:
                missing.append(known)
                left.append(known.incident)
            elif look is _Look.LATER:
                left.append(known.incident)
            there += look is _Look.THERE
        return missing, there, left

    def _counted(self, remotes: list[Remote]) -> dict[str, tuple[int, int]]:
        """Ticket -> (its time of change, in how many rounds on end it came up with it, at most LOOKS)."""
        counted = {}
        for remote in remotes:
            at, looks = self._looks.get(remote.id, (remote.updated_at, 0))
            counted[remote.id] = (remote.updated_at, min(looks + 1, LOOKS) if at == remote.updated_at else 1)
        return counted

    async def _verify(self, missing: list[Tracked], there: int) -> None:
        """Read those that were not looked at for long. A ticket that is not there is believed to be gone when others are."""
        now = self._clock()
        living = await self._store.surely(tracked.living, self._name)
        limit = min(max(living // VERIFY_ROUNDS + 1, VERIFY_AT_ONCE.start), VERIFY_AT_ONCE.stop - 1)
        known_missing = {each.incident for each in missing}
        due = await self._store.surely(tracked.left_over, self._name, READ_AT_ONCE)
        due += await self._store.surely(tracked.unseen, self._name, now - VERIFY_NS, now, limit)
        for known in due:
            if known.incident in known_missing:
                continue
            look = await self._look(known)
            if look is _Look.GONE:
                missing.append(known)
            there += look is _Look.THERE
        if len(missing) >= MANY_GONE and not there:
            raise _AwayError(
                f"none of {len(missing)} tickets is there: look what its user may see; they are not taken as deleted"
            )
        for known in missing:
            if await self._journal([gone(self._name, known)]):
                log.warning(f"{known.incident}: its ticket {known.external_id} in {self._name} is not there any more")

    async def _look(self, known: Tracked) -> _Look:
        """Read one ticket, and journal what people did to it. Raises _AwayError."""
        incident = known.incident
        before = await self._store.surely(tracked.rest, self._name, incident)
        if before is None:
            return _Look.LATER
        # Read again inside the quiet: what was known before it may be what our delivery has changed since.
        fresh = await self._store.surely(tracked.of_incident, self._name, incident)
        if fresh is None:
            return _Look.LATER
        remote: Remote | None = None
        try:
            remote = await self._read(fresh.external_id)
        except GoneError:
            pass
        except (NotAppliedError, BarredError, UnclearError) as error:
            raise _AwayError(str(error), getattr(error, "after_s", None)) from None
        except Exception as error:  # one ticket that cannot be read stops no other
            if incident not in self._unfit:
                log.warning(f"{incident}: its ticket in {self._name} cannot be read: {_reason(error)}")
            self._unfit.add(incident)
            await self._store.surely(tracked.looked_at, self._name, incident, self._clock())
            return _Look.UNREADABLE
        if await self._store.surely(tracked.rest, self._name, incident) != before:
            return _Look.LATER
        self._unfit.discard(incident)
        if remote is None or (
            remote.id == fresh.external_id and await self._store.surely(tracked.taken_over, incident, remote.key)
        ):
            return _Look.GONE
        self._key(fresh, remote)
        facts = seen(self._name, fresh, remote)
        if not await self._journal(facts):
            return _Look.LATER
        if facts:
            await self._store.surely(tracked.looked_at, self._name, incident, self._clock())
        else:
            await self._store.surely(tracked.confirm, self._name, incident, remote, self._clock())
        return _Look.THERE

    async def _read(self, ticket: str) -> Remote:
        """As it is now, or the one that goes on in its place; itself where merges go in a circle."""
        passed = {ticket}
        own = remote = await self._system.read(ticket)
        while remote.merged_into:
            if remote.merged_into in passed:
                return replace(own, merged_into="")
            passed.add(remote.merged_into)
            remote = await self._system.read(remote.merged_into)
        return remote

    async def _journal(self, facts: list[Facts]) -> bool:
        for each in facts:
            try:
                await self._on_change(each)
            except Exception as error:  # one change that cannot be journaled stops no other
                log.error(
                    f"{each['incident']}: what people did to its ticket could not be journaled: {place_of(error)}"
                )
                self._unkept += 1
                if self._unkept >= UNKEPT:
                    raise _AwayError("the journal takes no changes of tickets") from None
                return False
        return True

    def _key(self, known: Tracked, remote: Remote) -> None:
        """Our own id of a ticket is for good; that people cannot find it by its key any more is worth a line."""
        if remote.key == known.incident or remote.id != known.external_id or known.adopted:
            self._strange.pop(known.incident, None)
        elif self._strange.get(known.incident) != remote.key:
            self._strange[known.incident] = remote.key
            log.warning(
                f"{known.incident}: its ticket {known.external_id} in {self._name} shows the key {remote.key!r}; write it back there"
            )

    async def _sweep(self) -> None:
        now = self._clock()
        if self._sweeps is None:
            return
        if now >= self._sweep_at:
            self._sweep_at = now + SWEEP_NS
            self._to_sweep.extend(
                each
                for each in await self._store.surely(tracked.lately, self._name, now - SWEEP_DAYS_NS)
                if each not in self._to_sweep
            )
        batch = [self._to_sweep.popleft() for _ in range(min(SWEEP_AT_ONCE, len(self._to_sweep)))]
        for each in await sweep(self._sweeps, batch, is_linked=self._is_linked) if batch else ():
            if each.closed:
                log.warning(
                    f"{each.incident}: closed in favour of ticket {each.kept} in {self._name}: {', '.join(each.closed)}"
                )
            if each.problem:
                log.warning(f"{each.incident}: doubles in {self._name} were not closed: {each.problem}")

    async def _is_linked(self, incident: str, ticket: str) -> bool:
        resting = await self._store.surely(tracked.rest, self._name, incident)
        known = await self._store.surely(tracked.of_incident, self._name, incident)
        return resting is not None and known is not None and known.external_id == ticket

    def _well(self) -> None:
        if self._down_since is not None:
            away_s = (self._clock() - self._down_since) / SECOND
            log.info(f"{self._name}: can be asked what people did again after {away_s:.0f} s")
        self._down_since, self._said = None, ""

    def _ill(self, reason: str) -> None:
        self._failures += 1
        self._down_since = self._down_since or self._clock()
        if reason != self._said:
            log.warning(f"{self._name}: {reason}; what people do there is learned later")
        self._said = reason

    async def _sleep(self, began: float, asked_s: float | None) -> None:
        """Until the next round. A hint brings it near, but no nearer than the rhythm has it: a flood of them asks no more often than that."""
        rhythm, loop = self._rhythm, asyncio.get_running_loop()
        if self._failures:
            wait = min(rhythm.most_s, rhythm.poll_s * 2 ** min(self._failures - 1, 16)) * (0.5 + self._jitter() / 2)
            soonest = min(wait, rhythm.poll_s)
        else:
            wait = rhythm.poll_s * (0.9 + self._jitter() / 5)
            soonest = min(wait, rhythm.hinted_s)
        if asked_s is not None:
            wait = soonest = max(wait, min(asked_s, rhythm.most_s))
        await asyncio.sleep(max(0.0, began + soonest - loop.time()))
        # Not wait_for: before Python 3.12 it swallows a cancellation that comes together with the event, and run() would not end.
        with suppress(TimeoutError):
            async with asyncio.timeout_at(began + wait):
                await self._wanted.wait()


def _reason(error: Exception) -> str:
    """The words of the errors of port.py, which hold no secret; of others the place."""
    return str(error) if type(error).__module__ == GoneError.__module__ else place_of(error)
