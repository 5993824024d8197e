"""Decides when each source is read and puts the time on what it gives. One task a source; a source that fails is told on the transition, its
device turns `failed`, and nothing else stops. Whatever a source gives is made fit for the wire here, or left out, told once and counted.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

from tillwatch.agent import clock
from tillwatch.agent.buffer import Buffer
from tillwatch.agent.card_numbers import without
from tillwatch.agent.columns import ColumnsError, check_name
from tillwatch.agent.hint import Hint
from tillwatch.agent.model import AGENT, MS, PollClass, Quality, Sample, State, Value
from tillwatch.agent.settings import Intervals
from tillwatch.agent.sources import Source, SourceError, Sparing
from tillwatch.agent.switches import Switches
from tillwatch.agent.text_door import TextDoor
from tillwatch.agent.thinning import Taken
from tillwatch.agent.transition import Condition
from tillwatch.agent.wire import LEAST_PACE, MAX_NAME, MAX_TEXT, USUAL_PACE

log = logging.getLogger(__name__)

POLL_TIMEOUT = 150.0
"""Seconds. A source bounds its own time (SNMP at 120 s); this is for one that does not."""
FIRST_SPREAD = 5.0
"""Seconds, at most, over which the first polls after the start are spread."""
TELL_INTERVALS = 86_400.0
"""Seconds after which an interval that has not changed is told again: whoever lost it learns it within a day."""
MAX_COMPONENTS = 2_000
"""Components of one terminal: bounds what a device with a runaway table can make of memory here and in the store."""
MAX_ODD = 200
"""Odd names that are told once each; later ones are counted only."""
UNMAPPED = "unmapped."
_FREE = (UNMAPPED, "experimental.")
_INT64, _UINT64 = -(2**63), 2**64 - 1


class Schedule:
    """When a source is due: each class at a fixed rate from a random start; polls that were missed are left out, not made up for."""

    def __init__(self, classes: Collection[PollClass], intervals: Intervals, now: float) -> None:
        self._every = {wanted: intervals.of(wanted) for wanted in PollClass if wanted in classes}
        self._normal, self._fast = intervals.normal, intervals.fast
        spread = min(FIRST_SPREAD, *self._every.values())
        start = now + random.uniform(0, spread)  # noqa: S311 - spreads load, hides nothing
        self._due = dict.fromkeys(self._every, start)

    def next(self) -> tuple[float, PollClass]:
        """The earliest due; of two, the one that is asked for more often."""
        return min((due, self._every[wanted], wanted) for wanted, due in self._due.items())[::2]

    def repace(self, pace: float, now: float) -> None:
        """pace: times its own interval at which NORMAL is read. Who waits less than before waits from now on; FAST and SLOW stay as they are.
        Below what the collector asks for by itself, as somebody who repairs wants it, it is never read faster than FAST is meant to be.
        """
        every = self._normal * pace
        least = LEAST_PACE / USUAL_PACE
        if pace < least:
            every = max(every, min(self._fast, self._normal * least))
        if PollClass.NORMAL in self._every and every != self._every[PollClass.NORMAL]:
            self._every[PollClass.NORMAL] = every
            self._due[PollClass.NORMAL] = min(self._due[PollClass.NORMAL], now + every)

    def every(self, wanted: PollClass) -> float:
        """Seconds between two polls of this class."""
        return self._every[wanted]

    def polled(self, wanted: PollClass, now: float) -> None:
        every = self._every[wanted]
        self._due[wanted] += every * max(1, math.ceil((now - self._due[wanted]) / every))

    def rest(self, now: float, until: float, *, failed: bool) -> None:
        """Nothing is due before `until`; only a poll that did not fail leaves due what was. Who asks for less is not overtaken for good so."""
        for wanted, due in self._due.items():
            if failed or due > now:
                self._due[wanted] = max(due, until)

    def hurry(self, now: float) -> None:
        """Something changed: everything is due now but the SLOW class, which holds what does not change of a sudden."""
        for wanted in self._due:
            if wanted is not PollClass.SLOW or len(self._due) == 1:
                self._due[wanted] = min(self._due[wanted], now)


@dataclass(slots=True)
class _Known:
    """What the collector was told of how often a component is read, and the pace at which that held."""

    pace: float
    interval: float
    told_at: float


How = Callable[[Source], Awaitable[list[Sample]]]
"""Another way to read a source than to poll it."""


@dataclass(slots=True)
class _Asked:
    """Somebody waits for a poll before its time. how: None for an ordinary one. answer: why it failed, or nothing, and what was read."""

    how: How | None
    answer: asyncio.Future[tuple[str, list[Sample]]]


class Sampler:
    """names: the catalogue's signals; another is sent as `unmapped.<name>` and told once. told_every: seconds between two tellings that
    a source is well, or still failed. hints: by the name of a source, what may ask to read it before its time. pace: times its own interval
    at which what is ordinary (PollClass.NORMAL) is read, as the collector wants it by the terminal's risk. door: what texts and names go through;
    switches: what may not be read; None: nothing is switched off.
    """

    def __init__(
        self,
        buffer: Buffer,
        names: Collection[str],
        told_every: float,
        hints: Mapping[str, Hint] | None = None,
        pace: Callable[[], float] = lambda: 1.0,
        *,
        door: TextDoor | None = None,
        switches: Switches | None = None,
    ) -> None:
        self.door, self.switches = door or TextDoor(), switches
        self._buffer, self._names, self._told_every = buffer, names, told_every
        self._pace = pace
        self._hints = hints or {}
        self._asked: dict[str, list[_Asked]] = {}
        self._watching: dict[str, _Watched] = {}
        self._known: dict[str, _Known] = {}
        self._odd: set[str] = set()

    async def run(self, sources: Iterable[tuple[Source, Intervals]]) -> None:
        """Until cancelled; then every source is closed."""
        async with asyncio.TaskGroup() as tasks:
            for source, intervals in sources:
                tasks.create_task(self._watch(source, intervals), name=f"source {source.name}")
            # An agent without sources still tells that it lives.
            await asyncio.Event().wait()

    def standing(self) -> dict[str, str]:
        """Why each source cannot be read now, empty where it can."""
        return {name: watched.trouble for name, watched in self._watching.items()}

    def yields(self) -> dict[str, int]:
        """How many values the last poll of each class gave together, of the sources that can be read now."""
        return {name: sum(watched.given.values()) for name, watched in self._watching.items() if watched.answers}

    def hurry(self, names: Collection[str]) -> None:
        """Read these sources before their time, as soon as their hints allow it."""
        for name in names:
            self._hints[name].give()

    async def poll_now(self, names: Collection[str]) -> dict[str, str]:
        """Read these sources before their time, each by the task that polls it anyway; why each that could not be read could not, else empty.
        They must have hints, which bound how often this is granted.
        """
        waiting = {name: self._ask(name, None) for name in names}
        self.hurry(names)
        return {name: (await asked)[0] for name, asked in waiting.items()}

    async def read_by(self, name: str, how: How) -> list[Sample]:
        """The same with another way to read one source. Raises what `how` raises."""
        asked = self._ask(name, how)
        self.hurry([name])
        return (await asked)[1]

    def _ask(self, name: str, how: How | None) -> asyncio.Future[tuple[str, list[Sample]]]:
        asked = _Asked(how, asyncio.get_running_loop().create_future())
        self._asked.setdefault(name, []).append(asked)
        return asked.answer

    async def _watch(self, source: Source, intervals: Intervals) -> None:
        loop = asyncio.get_running_loop()
        watched = _Watched(source, self, max(self._told_every, min(intervals.of(c) for c in source.classes)))
        self._watching[source.name] = watched
        schedule = Schedule(source.classes, intervals, loop.time())
        hint = self._hints.get(source.name)
        asked: list[_Asked] = []
        task = asyncio.current_task()
        assert task is not None
        try:
            # A poll may swallow the cancellation: wait_for does before Python 3.12, when the answer comes together with it.
            while not task.cancelling():
                schedule.repace(self._pace(), loop.time())
                due, wanted = schedule.next()
                if hint is None:
                    await asyncio.sleep(max(0.0, due - loop.time()))
                elif await hint.before(due):
                    asked += self._asked.pop(source.name, [])
                    schedule.repace(self._pace(), loop.time())
                    schedule.hurry(loop.time())
                    due, wanted = schedule.next()
                failed = await watched.poll(wanted, schedule.every(wanted))
                schedule.polled(wanted, now := loop.time())
                if (rest := watched.rest) > 0:
                    schedule.rest(now, now + rest, failed=failed)
                # Who asked is answered once everything that was due with it is read.
                if asked and schedule.next()[0] > loop.time():
                    await watched.answer(asked, schedule)
                    asked = []
        finally:
            try:
                await source.close()
            except Exception as error:  # a source that cannot be closed stops nothing
                log.warning("%s: could not be closed: %s", source.name, error)

    def take(self, samples: Iterable[Sample], up: int, interval: float, rest: float = 0.0, whole: str = "") -> None:
        """Buffer samples of one moment (ns since boot), and first the interval of every component that is new here or read at another rate.

        rest: seconds in which nothing will be read: of the components here, and of all of the source `whole`.
        """
        taken = [
            Taken(sample.component, signal, up, *_fit(sample, self.door), sample.state)
            for sample in samples
            if (signal := self._name(sample)) is not None
        ]
        now = asyncio.get_running_loop().time()
        resting = [name for name in self._known if whole and f"{name}/".startswith(f"{whole}/")] if rest else []
        told = [
            Taken(name, "monitor.interval", up, known.interval, Quality.GOOD, State.NONE)
            for name in dict.fromkeys((*(item.component for item in taken), *resting))
            if (known := self._interval(name, interval, rest, now)) is not None
        ]
        self._buffer.add(told + [item for item in taken if item.component in self._known])

    def _interval(self, component: str, interval: float, rest: float, now: float) -> _Known | None:
        """What is to be told, if anything. A component that several classes read has the shortest interval of them, while it does not rest for longer."""
        known, pace = self._known.get(component), self._pace()
        if known is None:
            if len(self._known) >= MAX_COMPONENTS:
                self._leave_out(component, f"more than {MAX_COMPONENTS} components; it is left out")
                return None
            known = self._known[component] = _Known(pace, max(interval, rest), now)
            return known
        # The agent itself has one interval only, which the collector may stretch.
        least = interval if component == AGENT or pace != known.pace else min(interval, known.interval)
        known.pace, shortest = pace, least if component == AGENT else max(rest, least)
        if shortest != known.interval or now - known.told_at >= TELL_INTERVALS:
            known.interval, known.told_at = shortest, now
            return known
        return None

    def _name(self, sample: Sample) -> str | None:
        """The signal's name on the wire; None for a sample that cannot be sent."""
        signal = sample.signal
        if signal not in self._names and not signal.startswith(_FREE):
            signal = (UNMAPPED + signal)[:MAX_NAME]
            self._tell_once(
                signal, f"{sample.component}: signal {sample.signal!r} is not in the catalogue; sent as {signal!r}"
            )
        try:
            check_name(sample.component, "component")
            check_name(signal, "signal")
            if sample.component not in self._known and not self.door.name_passes(sample.component):
                raise ColumnsError("a component with a card number in its name")
            if signal not in self._names and not self.door.name_passes(signal):
                raise ColumnsError("a signal with a card number in its name")
        except ColumnsError as error:
            self._leave_out(sample.component, f"{error}; it is left out")
            return None
        return signal

    def _leave_out(self, name: str, text: str) -> None:
        self._buffer.lost += 1
        self._tell_once(name, f"{without(name[:MAX_NAME])[0]}: {text}")

    def _tell_once(self, name: str, text: str) -> None:
        if name not in self._odd and len(self._odd) < MAX_ODD:
            self._odd.add(name)
            log.warning("%s", text)


class _Watched:
    """One source and whether it can be read."""

    def __init__(self, source: Source, sampler: Sampler, told_every: float) -> None:
        self._source, self._sampler, self._told_every = source, sampler, told_every
        self._failing: set[PollClass] = set()
        self.given: dict[PollClass, int] = {}
        """Values of the last poll of each class that was read."""
        self._trouble = Condition(log, f"{source.name}: can be read again")
        self._told_at = -math.inf
        self._parts_off: dict[str, str] = {}
        self._off = False

    @property
    def trouble(self) -> str:
        """Why it cannot be read now, empty where it can."""
        return self._trouble.text.removeprefix(f"{self._source.name}: ")

    @property
    def answers(self) -> bool:
        return bool(self.given) and not self._failing

    @property
    def rest(self) -> float:
        return self._source.rest if isinstance(self._source, Sparing) and not self._off else 0.0

    async def poll(self, wanted: PollClass, interval: float) -> bool:
        """Whether it failed."""
        name = self._source.name
        samples: list[Sample] = []
        reason = ""
        try:
            async with asyncio.timeout(POLL_TIMEOUT):
                await self._check_switch()
                samples = await self._source.poll(wanted)
        except SourceError as error:
            reason = str(error) or "no answer"
        except TimeoutError:
            reason = f"no answer in {POLL_TIMEOUT:.0f} s"
        except Exception as error:  # a fault in a source stops nothing else
            reason = f"{type(error).__name__}: {error}"
            if not self._trouble.text:
                log.exception("%s: a fault in the source", name)
        reason = without(reason)[0]  # what a device said may be in it
        up = clock.uptime_ns() // MS * MS
        if reason:
            self._failing.add(wanted)
            changed = self._trouble.begins(f"{name}: {reason}")
        else:
            self._failing.discard(wanted)
            self.given[wanted] = sum(sample.value is not None for sample in samples)
            changed = not self._failing and self._trouble.ends()
        now = asyncio.get_running_loop().time()
        before = self._parts_off
        samples, back = self._without_parts(samples)
        if changed or before != self._parts_off or now - self._told_at >= self._told_every:
            self._told_at = now
            told = [*self._state(changed=changed), *back, *_parts_told(self._parts_off)]
            self._sampler.take(told, up, self._told_every, self.rest)
        self._sampler.take(samples, up, interval, self.rest, "" if reason else name)
        return bool(reason)

    async def answer(self, asked: Iterable[_Asked], schedule: Schedule) -> None:
        for each in asked:
            if each.answer.done():
                continue
            if each.how is None:
                each.answer.set_result((self.trouble, []))
                continue
            try:
                async with asyncio.timeout(POLL_TIMEOUT):
                    await self._check_switch()
                    samples = await each.how(self._source)
            except Exception as error:  # it is whoever asked who is to know, and nothing else stops
                each.answer.set_exception(error)
                continue
            up = clock.uptime_ns() // MS * MS
            samples = [sample for sample in samples if sample.component not in self._parts_off]
            self._sampler.take(samples, up, max(map(schedule.every, self._source.classes)), self.rest)
            each.answer.set_result(("", samples))

    async def _check_switch(self) -> None:
        """Raises SourceError where it is switched off; then nothing of it stays open."""
        switches = self._sampler.switches
        why = switches.why_off(self._source.name) if switches is not None else ""
        self._off = bool(why)
        if why:
            await self._source.close()
            raise SourceError(why)

    def _without_parts(self, samples: list[Sample]) -> tuple[list[Sample], list[Sample]]:
        """The samples but for those of components that are switched off; what is to be told of components that no longer are."""
        switches, before = self._sampler.switches, self._parts_off
        self._parts_off = dict(switches.parts_off(self._source.name)) if switches is not None else {}
        back = [
            Sample(name, signal, value, state)
            for name in before.keys() - self._parts_off.keys()
            for signal, value, state in (("monitor.source", "ok", State.OK), ("monitor.reason", "", State.NONE))
        ]
        kept = [sample for sample in samples if sample.component not in self._parts_off]
        return kept, back

    def _state(self, *, changed: bool) -> list[Sample]:
        name = self._source.name
        if self._failing:
            return [
                Sample(name, "monitor.source", "failed", State.UNKNOWN, Quality.ERROR),
                Sample(name, "monitor.reason", self.trouble),
            ]
        told = [Sample(name, "monitor.source", "ok", State.OK)]
        return [*told, Sample(name, "monitor.reason", "")] if changed else told


def _parts_told(off: Mapping[str, str]) -> list[Sample]:
    return [
        sample
        for name, why in off.items()
        for sample in (
            Sample(name, "monitor.source", "failed", State.UNKNOWN, Quality.ERROR),
            Sample(name, "monitor.reason", why),
        )
    ]


def _fit(sample: Sample, door: TextDoor) -> tuple[Value, Quality]:
    """A value that the wire carries. What is no number is no reading; text has no card number in it and is cut at the wire's limit."""
    value = sample.value
    if isinstance(value, bool):
        value = int(value)
    if isinstance(value, str):
        encoded = door.text(sample.component, sample.signal, value).encode("utf-8", "replace")
        return encoded[:MAX_TEXT].decode("utf-8", "ignore"), sample.quality
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return None, Quality.ERROR
    if isinstance(value, int) and not _INT64 <= value <= _UINT64:
        return None, Quality.ERROR
    return value, sample.quality
