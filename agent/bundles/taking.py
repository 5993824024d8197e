"""Takes the collector's bundles while the agent runs: proves, keeps, has them checked in a process of their own, and asks for a start with them; watches over
one that is on probation, and undoes it. Nothing here can change a device, reach an address that the terminal's own file does not name, or start a program
of somebody else: what a bundle may say is a closed list (device_profiles/bundle.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import logging
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from tillwatch.agent import health
from tillwatch.agent.bundles import keeping, machine, probation
from tillwatch.agent.bundles.machine import Before, Kept, Memory
from tillwatch.agent.bundles.probation import Seen, judge
from tillwatch.agent.identity import Identity
from tillwatch.agent.model import AGENT, Sample
from tillwatch.agent.settings import Config
from tillwatch.agent.spool import Spool, SpoolFullError
from tillwatch.agent.wire import CONFIG, NOT_TAKEN, Directive, WireError, bundle_topic, open_directive

log = logging.getLogger(__name__)

QUIET_S = 30.0
"""Seconds that an agent runs before it takes a directive. Each taking ends with a start anew, so that this bounds them all: two a minute."""
LOOK_S = 1.0
"""Between two looks at a bundle on probation; at other times nothing looks."""
HUNG_S = 45
"""Seconds without a look after which a process on probation is ended: before the watchdog of the service manager (60 s), and where there is none."""
CHECK_S = 120.0
SETTLED_S = 3_600.0
"""Seconds after which a start counts as one that went well."""
AGAIN_S = 60.0
"""Seconds to the next try to write down what the disk did not take."""
TOLD_EVERY_S = 60.0
"""Between two tellings that something came which is no directive."""


@dataclass(frozen=True, slots=True)
class Means:
    """What this may set in motion. yields, troubles: of the sources; tell: readings of the agent's own; settle: seals all that waits and returns whether it
    is in the spool; restart: ends the agent in order, and starts it anew.
    """

    yields: Callable[[], dict[str, int]]
    troubles: Callable[[], dict[str, str]]
    tell: Callable[[list[Sample]], None]
    settle: Callable[[], Awaitable[bool]]
    restart: Callable[[], None]


class Taking:
    """One per agent that takes bundles. `heard`, `ready` and `lost` are called by the uplink, from the loop's own thread. running: digest of the bundle that
    this process was prepared with, empty for none.
    """

    def __init__(self, who: Identity, config: Config, spool: Spool, means: Means, running: bytes) -> None:
        self.topic = bundle_topic(who.terminal)
        self._who, self._config, self._spool, self._means = who, config, spool, means
        self._folder: Path = keeping.folder_of(config.state_dir)
        self._memory: Memory = keeping.load(self._folder)
        self._running = running
        self._waiting: Directive | None = None
        self._open = False
        self._woken = asyncio.Event()
        self._rejected = 0
        self._told_at = float("-inf")
        self._began = float("-inf")

    def heard(self, payload: bytes) -> None:
        """A message on the topic of bundles. Of several the newest counts; one that was taken is never taken again."""
        try:
            directive = open_directive(self._who.terminal, payload, self._who.ack_keys.get)
        except WireError as error:
            self._reject(str(error.reason), str(error))
            return
        newest = max(self._memory.mark, self._waiting.number if self._waiting is not None else 0)
        if directive.number > newest:
            self._waiting = directive
            self._woken.set()

    def ready(self) -> None:
        """The collector has answered on this connection: the stream's epoch is settled."""
        if not self._open:
            self._open = True
            self._woken.set()

    def lost(self) -> None:
        """The connection is gone: what was not begun comes again."""
        self._open, self._waiting = False, None

    def renew(self, who: Identity) -> None:
        """Another key of the same terminal; the pinned keys of the collector may have changed with it."""
        self._who = who

    def ends(self) -> None:
        """The agent ends in order."""
        faulthandler.cancel_dump_traceback_later()
        self._step(machine.settled(self._memory))

    async def run(self) -> None:
        """Until cancelled."""
        self._began = asyncio.get_running_loop().time()
        if self._memory.checked and (runs := self._memory.runs) is not None and runs.digest != self._running:
            self._step(machine.failed(self._memory, "this disk could not be written"))
        self._tell()
        if self._memory.checked and not await self._probation():
            await asyncio.Event().wait()  # the start anew; what runs until then needs its files
        keeping.tidy(self._folder, self._memory)
        settling = asyncio.get_running_loop().call_later(SETTLED_S, lambda: self._step(machine.settled(self._memory)))
        try:
            if self._memory.candidate is not None:
                await self._checked(self._memory.candidate)
            while True:
                await self._next()
        finally:
            settling.cancel()

    async def _next(self) -> None:
        loop = asyncio.get_running_loop()
        await self._woken.wait()
        self._woken.clear()
        if (wait := self._began + QUIET_S - loop.time()) > 0:
            await asyncio.sleep(wait)
        directive = self._waiting
        if directive is None or not self._open:
            return
        self._waiting = None
        if directive.epoch != self._spool.epoch:
            self._reject("epoch", "it was meant for another stream of this terminal")
        elif directive.number > self._memory.mark:
            await self._take(directive)

    async def _take(self, directive: Directive) -> None:
        kept = Kept(directive.number, directive.name, directive.digest) if directive.digest else None
        before = self._memory
        try:
            if kept is not None:
                keeping.keep(self._folder, directive.digest, directive.content)
            after = machine.take(before, kept, directive.number)
            keeping.save(self._folder, after)
        except OSError as error:
            # It comes again; what cannot be written down could not be undone.
            log.error("bundle %s: %s; it is not taken", directive.name or "none", error)
            return
        self._memory = after
        log.info("directive %d: run %s", directive.number, directive.name or "the own configuration alone")
        if after.candidate is not None:
            await self._checked(after.candidate)
        elif (after.runs.digest if after.runs is not None else b"") == self._running:
            self._tell()
        else:
            self._restart()

    async def _checked(self, candidate: Kept) -> None:
        wrong = await self._check(candidate)
        before = Before(self._means.yields(), health.resident())
        if not self._step(machine.checked(self._memory, wrong, before)):
            return
        if wrong:
            log.error("bundle %s: refused: %s", candidate.name, wrong)
            keeping.tidy(self._folder, self._memory)
            self._tell()
            await self._settled()
        else:
            self._restart()

    async def _check(self, candidate: Kept) -> str:
        """What is wrong with it, or nothing."""
        config = [str(self._config.path)] if self._config.path is not None else []
        named = [str(self._config.state_dir), candidate.digest.hex(), candidate.name]
        command = (sys.executable, "-P", "-m", "tillwatch.agent.bundles.check", *named, *config)
        pipe = asyncio.subprocess.PIPE
        child = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe)
        try:
            async with asyncio.timeout(CHECK_S):
                said, also = await child.communicate()
        except TimeoutError:
            return f"the check did not end within {CHECK_S:.0f} s"
        finally:
            if child.returncode is None:
                child.kill()
                await child.wait()
        if child.returncode == 0:
            return ""
        last = (said.decode(errors="replace").strip() or also.decode(errors="replace").strip()).splitlines()
        return last[-1] if last else f"the check ended with {child.returncode}"

    async def _probation(self) -> bool:
        """Until it is over; whether it goes on with this bundle. One that stops this very loop is stopped by another thread, which needs nothing of it."""
        loop, spool = asyncio.get_running_loop(), self._spool
        first, epoch = spool.next_seq, spool.epoch
        asked = False
        verdict: str | None = None
        try:
            while verdict is None:
                _end_if_hung()
                await asyncio.sleep(LOOK_S)
                other = spool.epoch != epoch
                seen = Seen(
                    loop.time() - self._began,
                    other or spool.next_seq > first,
                    other or spool.acked >= first,
                    self._means.yields(),
                    self._means.troubles(),
                    health.resident(),
                )
                verdict = judge(self._memory.before, seen)
                if not asked and seen.seconds >= probation.LEAST_S:
                    # The interval of sealing may be longer than a probation.
                    asked = await self._settled()
        finally:
            faulthandler.cancel_dump_traceback_later()
        candidate = self._memory.candidate
        assert candidate is not None
        if verdict:
            log.error("bundle %s: %s; what ran before runs again", candidate.name, verdict)
            after = machine.failed(self._memory, verdict)
            if not self._step(after):
                self._memory = after  # the next start finds it on probation for the second time, and undoes it then
            self._restart()
            return False
        # Good where that can be written only: else the next start gives it up.
        while not self._step(machine.passed(self._memory)):  # noqa: ASYNC110 - a disk tells nobody when it takes writes again
            await asyncio.sleep(AGAIN_S)
        log.info("bundle %s: good", candidate.name)
        self._tell()
        await self._settled()
        return True

    def _step(self, after: Memory) -> bool:
        """Whether it is lasting."""
        if after == self._memory:
            return True
        try:
            keeping.save(self._folder, after)
        except OSError as error:
            log.error("%s: %s", self._folder, error)
            return False
        self._memory = after
        return True

    def _restart(self) -> None:
        self._waiting = None
        self._means.restart()

    def _tell(self) -> None:
        self._means.tell([Sample(AGENT, CONFIG, self._memory.report().text())])

    async def _settled(self) -> bool:
        with contextlib.suppress(SpoolFullError):
            return await self._means.settle()
        return False

    def _reject(self, why: str, text: str) -> None:
        self._rejected += 1
        now = asyncio.get_running_loop().time()
        if now - self._told_at >= TOLD_EVERY_S:
            self._told_at = now
            log.warning("a message on the topic of bundles was not taken (%s)", text)
            self._means.tell([Sample(AGENT, NOT_TAKEN, f"{self._rejected} {why}")])


def _end_if_hung() -> None:
    """Within HUNG_S, unless called again before. A service of Windows has no place to write the reason to, and then its manager alone watches."""
    with contextlib.suppress(AttributeError, OSError, RuntimeError, ValueError):
        faulthandler.dump_traceback_later(HUNG_S, exit=True)
