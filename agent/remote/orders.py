"""Takes the collector's commands, one after the other: proves, judges, writes down, carries out, tells. Nothing here can change a device: what is
done is a poll before its time, polls at a shorter interval for a while, a look at the agent itself, and a device's own report by what the
source asks anyway.

A command waits until the collector has answered on this connection: only then is the stream's epoch settled, and the collector's time known.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import assert_never

from tillwatch.agent.clock import Reference
from tillwatch.agent.identity import Identity
from tillwatch.agent.model import AGENT, Sample, State, device_of
from tillwatch.agent.remote.judging import Reason, Refused, judge
from tillwatch.agent.remote.report import NoReportError, self_report
from tillwatch.agent.remote.taken import Taken
from tillwatch.agent.sampler import Sampler
from tillwatch.agent.sources import SourceError
from tillwatch.agent.spool import Spool, SpoolFullError
from tillwatch.agent.wire import (
    ALLOWED,
    MAX_FACTOR,
    MAX_MINUTES,
    REJECTED,
    RESULT,
    Command,
    CommandKind,
    Outcome,
    Result,
    WireError,
    command_topic,
    open_command,
    pieces_of,
)
from tillwatch.agent.wire import PIECE as BUNDLE_PIECE

log = logging.getLogger(__name__)

MAX_WAITING = 4
"""Commands that wait for their turn. The collector sends the next one when it has heard of the one before; what it does not hear of it sends again."""
CARRY_S = 240.0
"""Seconds for one command: a poll has 150 of its own, and may wait for the spacing of hints and the poll before it."""
TOLD_EVERY_S = 60.0
"""Between two tellings that something came which is no command: whoever floods the topic makes no flood of readings."""
DEFAULT_FACTOR = 4
LEAST_SEAL_S = 5.0
"""Between two seals while somebody repairs and looks on."""


@dataclass(frozen=True, slots=True)
class Means:
    """What an order may set in motion. names: of the sources; tell: readings of the agent's own; settle: seals all that waits and returns
    whether it is in the spool; bundle: the compressed bundle, which raises RuntimeError.
    """

    sampler: Sampler
    names: Collection[str]
    tell: Callable[[list[Sample]], None]
    settle: Callable[[], Awaitable[bool]]
    bundle: Callable[[], Awaitable[bytes]]


class Orders:
    """One per agent that takes commands. `heard`, `ready` and `lost` are called by the uplink, from the loop's own thread."""

    def __init__(self, who: Identity, allow: Collection[str], spool: Spool, reference: Reference, means: Means) -> None:
        self.topic = command_topic(who.terminal)
        self._who, self._allow, self._spool, self._reference = who, frozenset(allow), spool, reference
        self._means = means
        self._taken = Taken(spool)
        self._waiting: dict[int, Command] = {}
        self._open = False
        self._woken = asyncio.Event()
        self._rejected = 0
        self._told_at = float("-inf")
        self._mark = 0
        """The highest number seen while it could not be written down."""
        self._factor, self._until = 1, float("-inf")
        self._resumed = False

    @property
    def raised(self) -> int:
        """Times as often as configured that the ordinary class is to be read now."""
        return self._factor if asyncio.get_running_loop().time() < self._until else 1

    def seal_interval(self, seconds: float) -> float:
        """What becomes of the seal interval while the sampling is raised: readings that nobody sees help nobody."""
        return seconds if self.raised == 1 else min(seconds, max(seconds / self.raised, LEAST_SEAL_S))

    def kinds(self) -> str:
        """As ALLOWED tells them."""
        return " ".join(kind for kind in CommandKind if kind in self._allow)

    def heard(self, payload: bytes) -> None:
        """A message on the topic of commands. What does not open is answered to nobody: it is not the collector's."""
        try:
            command = open_command(self._who.terminal, payload, self._who.ack_keys.get)
        except WireError as error:
            self._reject(str(error.reason), str(error))
            return
        if command.number not in self._waiting and len(self._waiting) >= MAX_WAITING:
            self._reject("too-many", f"more than {MAX_WAITING} commands wait")
            return
        self._waiting[command.number] = command
        self._woken.set()

    def ready(self) -> None:
        """The collector has answered on this connection."""
        if not self._open:
            self._open = True
            self._woken.set()

    def lost(self) -> None:
        """The connection is gone: what was not begun comes again, if it is still wanted."""
        self._open = False
        self._waiting.clear()

    def renew(self, who: Identity) -> None:
        """Another key of the same terminal; the pinned keys of the collector may have changed with it."""
        self._who = who

    async def run(self) -> None:
        """Until cancelled."""
        self._means.tell([Sample(AGENT, ALLOWED, self.kinds())])
        await self._own_up()
        while True:
            await self._woken.wait()
            self._woken.clear()
            self._resume()
            while self._open and self._waiting and (now := self._reference.theirs()) is not None:
                await self._one(self._waiting.pop(min(self._waiting)), now)

    async def _own_up(self) -> None:
        """What an agent before this one had begun is told, and never begun again."""
        try:
            for number in self._taken.unfinished():
                words = "the agent ended while it was carried out; it is not repeated"
                await self._told(Result(number, Outcome.INTERRUPTED, words=words))
        except SpoolFullError as error:
            log.warning("%s; what became of earlier commands is not known", error)

    def _resume(self) -> None:
        """A sampling that was raised before a restart goes on to its own end, which the collector's clock says, and no further."""
        now = self._reference.theirs()
        if self._resumed or not self._open or now is None:
            return
        self._resumed = True
        try:
            until, factor = self._taken.raised()
        except SpoolFullError:
            return
        left = (until - now) / 1e9
        if 0 < left <= MAX_MINUTES * 60:
            self._raise(min(factor, MAX_FACTOR), left)

    async def _one(self, command: Command, now: int) -> None:
        try:
            if self._taken.knows(command.number):
                self._reject("replayed", f"command {command.number} was taken before")
                return
            past = self._taken.past()
            refused = judge(
                command,
                now=now,
                epoch=self._spool.epoch,
                allow=self._allow,
                sources=self._means.names,
                past=past if past.mark >= self._mark else type(past)(self._mark, past.recent),
            )
            if refused is not None:
                if refused.reason is not Reason.STALE:
                    self._taken.refuse(command)
            else:
                minutes, factor = _raise_of(command)
                self._taken.take(command, now + minutes * 60 * 10**9 if minutes else 0, factor)
        except SpoolFullError as error:
            # What cannot be written down could be carried out twice.
            self._mark = max(self._mark, command.number)
            refused = Refused(Reason.SPOOL, str(error))
        if refused is not None:
            log.warning("command %d, %.32r: refused: %s", command.number, command.kind, refused.words)
            await self._told(Result(command.number, Outcome.REFUSED, refused.reason, refused.words), finish=False)
            return
        log.info("command %d: %s %s", command.number, command.kind, dict(command.arguments) or "")
        await self._told(await self._carried_out(command))

    async def _carried_out(self, command: Command) -> Result:
        try:
            async with asyncio.timeout(CARRY_S):
                return await self._do(command)
        except NoReportError as error:
            return Result(command.number, Outcome.REFUSED, Reason.NO_REPORT, str(error))
        except SourceError as error:
            return Result(command.number, Outcome.FAILED, "unread", str(error))
        except TimeoutError:
            return Result(command.number, Outcome.FAILED, "timeout", f"it did not end within {CARRY_S:.0f} s")
        except Exception as error:  # a fault in one command stops nothing else
            log.warning("command %d failed: %s: %s", command.number, type(error).__name__, error)
            return Result(command.number, Outcome.FAILED, "fault", f"{type(error).__name__}: {error}")

    async def _do(self, command: Command) -> Result:
        """The closed list."""
        kind = CommandKind(command.kind)
        device = device_of(str(command.arguments.get("component", "")))
        match kind:
            case CommandKind.POLL_NOW:
                found = await self._means.sampler.poll_now([device] if device else list(self._means.names))
                return _polled(command.number, found)
            case CommandKind.RAISE_SAMPLING:
                minutes, factor = _raise_of(command)
                self._raise(factor, minutes * 60.0)
                words = f"read {factor} times as often for {minutes} minutes"
                return Result(command.number, Outcome.DONE, words=words)
            case CommandKind.COLLECT_BUNDLE:
                bundle = await self._means.bundle()
                self._means.tell([Sample(AGENT, BUNDLE_PIECE, piece) for piece in pieces_of(command.number, bundle)])
                return Result(command.number, Outcome.DONE, words=f"{len(bundle)} bytes")
            case CommandKind.SELF_REPORT:
                return Result(
                    command.number, Outcome.DONE, words=_said(await self._means.sampler.read_by(device, self_report))
                )
        assert_never(kind)

    def _raise(self, factor: int, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        self._factor, self._until = factor, loop.time() + seconds
        self._means.tell([Sample(AGENT, "monitor.sampling", factor)])
        loop.call_later(seconds, self._lowered)
        self._means.sampler.hurry(self._means.names)

    def _lowered(self) -> None:
        if self.raised == 1:
            self._means.tell([Sample(AGENT, "monitor.sampling", 1)])

    async def _told(self, result: Result, *, finish: bool = True) -> None:
        """The result is in the spool before the command counts as finished: told at least once, carried out at most once."""
        self._means.tell([Sample(AGENT, RESULT, result.text())])
        if await self._means.settle() and finish:
            try:
                self._taken.finish(result.number, result.outcome)
            except SpoolFullError as error:
                log.warning("%s; command %d is told again after a restart", error, result.number)

    def _reject(self, why: str, text: str) -> None:
        """Something that is no command for this terminal, or none any more: counted, and told once in a while."""
        self._rejected += 1
        now = asyncio.get_running_loop().time()
        if now - self._told_at >= TOLD_EVERY_S:
            self._told_at = now
            log.warning("a message on the topic of commands was not taken (%s)", text)
            self._means.tell([Sample(AGENT, REJECTED, f"{self._rejected} {why}")])


def _raise_of(command: Command) -> tuple[int, int]:
    """Minutes and factor of a raised sampling; (0, 1) of all else."""
    if command.kind != CommandKind.RAISE_SAMPLING:
        return 0, 1
    return int(command.arguments.get("minutes", MAX_MINUTES)), int(command.arguments.get("factor", DEFAULT_FACTOR))


def _polled(number: int, found: Mapping[str, str]) -> Result:
    """found: why each source could not be read, empty where it could."""
    wrong = [f"{name}: {why}" for name, why in found.items() if why]
    words = f"{len(found) - len(wrong)} of {len(found)} devices read"
    if wrong:
        return Result(number, Outcome.FAILED, "unread", "; ".join([words, *wrong]))
    return Result(number, Outcome.DONE, words=words)


def _said(samples: Collection[Sample]) -> str:
    """What is not well first, then words, then measurements: a result has room for some fifteen of them, and all are readings beside it."""
    ranked = sorted(samples, key=lambda each: (each.state in (State.NONE, State.OK), not isinstance(each.value, str)))
    return "; ".join(
        f"{sample.component.partition('/')[2]} {sample.signal} {sample.value}".strip() for sample in ranked
    )
