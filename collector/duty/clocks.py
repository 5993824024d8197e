"""The clocks of service levels: until when somebody must have responded and the fault be repaired, and who is told in which order on the way.
All is a value: which steps were done stands in Escalation, and what is due follows from that and the time alone. However time is cut into
calls of `advance`, the same steps fire, each once; those that were missed meanwhile fire together. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from tillwatch.collector.duty.calendars import DAY_NS, Calendar
from tillwatch.collector.duty.roster import Person
from tillwatch.collector.duty.targets import REPAIR, RESPONSE, Step, Target

__all__ = [
    "NEVER",
    "REPAIR",
    "RESPONSE",
    "Call",
    "Clock",
    "DueStep",
    "Escalation",
    "OnDuty",
    "Spent",
    "Step",
    "Target",
    "advance",
    "anybody",
    "next_due",
    "next_step",
    "steps_due",
]

CLOSELY_NS = 24 * 3600 * 10**9
"""For which reminders come as often as the target says; then once a day: what nobody took on for a day, more calls do not mend."""
NEVER = 2**63 - 1
"""Due time of a clock that is held: nobody knows."""

OnDuty = Callable[[str, int], tuple[Person, ...]]
"""Who has a role at a UTC ns, in the place that the incident is about."""


def anybody(role: str, at: int) -> tuple[Person, ...]:  # noqa: ARG001 - an OnDuty
    """Where it does not matter who: every role has somebody."""
    return (Person(role, role),)


class Spent(NamedTuple):
    """Open ns since the start; net: without the holds."""

    gross: int
    net: int


@dataclass(frozen=True, slots=True)
class Clock:
    """One clock of an incident. held: when it stood still, as (since, until) in order, until 0 while it does; only a repair clock is held.
    stopped_at: when what it waits for happened, 0 while it has not.
    """

    kind: str
    start: int
    target_ns: int
    held: tuple[tuple[int, int], ...] = ()
    stopped_at: int = 0

    def hold(self, at: int) -> Clock:
        """As it is when work must wait. A response clock goes on: waiting for a part does not keep anybody from answering."""
        if self.kind != REPAIR or self.stopped_at or self.on_hold:
            return self
        return replace(self, held=(*self.held, (at, 0)))

    def resume(self, at: int) -> Clock:
        if not self.on_hold:
            return self
        return replace(self, held=(*self.held[:-1], (self.held[-1][0], at)))

    def stop(self, at: int) -> Clock:
        """The first stop counts."""
        return self if self.stopped_at else replace(self.resume(at), stopped_at=at)

    @property
    def on_hold(self) -> bool:
        return bool(self.held) and not self.held[-1][1]

    def due(self, calendar: Calendar) -> int:
        """When the target is missed, UTC ns; NEVER while a hold puts it off."""
        return self.after(calendar, self.target_ns)

    def missed(self, calendar: Calendar, at: int) -> bool:
        """Whether the target was missed by then, or was when the clock was stopped."""
        due = self.due(calendar)
        return (self.stopped_at or at) > due

    def after(self, calendar: Calendar, ns: int) -> int:
        """When `ns` of open time have passed on this clock; for none, when it is first open. NEVER while a hold puts it off."""
        at = self.start
        for since, until in self._holds():
            due = _add(calendar, at, ns)
            if due <= since:
                return due
            ns -= calendar.between(at, since)
            if not until:
                return NEVER
            at = max(at, until)
        return _add(calendar, at, ns)

    def spent(self, calendar: Calendar, at: int) -> Spent:
        """Up to `at`, or up to the stop."""
        end = min(at, self.stopped_at or at)
        gross = calendar.between(self.start, end)
        held = sum(calendar.between(since, min(until or end, end)) for since, until in self._holds())
        return Spent(gross, gross - held)

    def _holds(self) -> Iterator[tuple[int, int]]:
        if self.kind != REPAIR:
            return
        at = self.start
        for since, until in self.held:
            yield max(since, at), until
            at = max(at, until)


def _add(calendar: Calendar, at: int, ns: int) -> int:
    return calendar.add(at, ns) if ns > 0 else calendar.opens(at)


@dataclass(frozen=True, slots=True)
class Escalation:
    """What was done about an incident. done: keys of the steps that were fired; empty: of those, the ones for which nobody was on duty;
    reminded: how many times somebody was reminded, or should have been.
    """

    done: frozenset[str] = frozenset()
    empty: frozenset[str] = frozenset()
    reminded: int = 0


class DueStep(NamedTuple):
    """key: of Target.keyed; empty: nobody was on duty then, so that the next step is due at once."""

    due: int
    key: str
    step: Step
    empty: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """Who is to be told now. steps: those that became due, several where some were missed meanwhile; people: each with the channels, of all
    steps together; nobody: roles that were asked for and had nobody on duty, which is a fault of the monitoring itself; reminder: those who
    were told before are told again.
    """

    at: int
    steps: tuple[DueStep, ...]
    people: tuple[tuple[Person, tuple[str, ...]], ...]
    nobody: tuple[str, ...] = ()
    reminder: bool = False


def steps_due(
    target: Target, calendar: Calendar, done_steps: Escalation, clock: Clock, at: int, on_duty: OnDuty = anybody
) -> list[DueStep]:
    """The steps of this clock that are due by `at` and not done, in order. Nothing becomes due any more after the clock was stopped."""
    limit = min(at, clock.stopped_at or at)
    return [each for each in _schedule(target, calendar, done_steps, clock, limit, on_duty) if each.due <= limit]


def next_step(
    target: Target, calendar: Calendar, done_steps: Escalation, clock: Clock, at: int, on_duty: OnDuty = anybody
) -> tuple[int, Step] | None:
    """The next step of this clock and when it is due: `at` where it is overdue; None where there is none to come."""
    limit = min(NEVER - 1, clock.stopped_at or NEVER)
    steps = _schedule(target, calendar, done_steps, clock, at, on_duty)
    first = min((each for each in steps if each.due <= limit), key=lambda each: each.due, default=None)
    return None if first is None else (max(first.due, at), first.step)


def _schedule(
    target: Target, calendar: Calendar, state: Escalation, clock: Clock, limit: int, on_duty: OnDuty
) -> Iterator[DueStep]:
    """The steps of a clock that are not done, in order. After a role that had nobody on duty when its turn came the next that tells somebody
    is due at once. Of those that are due after `limit` only the first one comes.
    """
    hasten = NEVER
    for key, step in target.keyed(clock.kind):
        done = key in state.done
        if done and key not in state.empty:
            hasten = NEVER if step.channels else hasten
            continue
        due, empty = clock.after(calendar, step.after_ns), done
        if step.channels:
            due = min(due, hasten)
            empty = done or (due <= limit and not on_duty(step.role, due))
            hasten = due if empty else NEVER
        if done:
            continue
        yield DueStep(due, key, step, empty)
        if due > limit and hasten == NEVER:
            return  # those after it cannot be due before it


def advance(
    target: Target, calendar: Calendar, clocks: Sequence[Clock], state: Escalation, at: int, on_duty: OnDuty
) -> tuple[Escalation, Call | None]:
    """Everything that time alone has brought by `at`: the state behind it, and who is to be told, if anybody or anything is."""
    due = sorted(
        (each for clock in clocks for each in steps_due(target, calendar, state, clock, at, on_duty)),
        key=lambda each: each.due,
    )
    state = replace(
        state,
        done=state.done | {each.key for each in due},
        empty=state.empty | {each.key for each in due if each.empty},
    )
    reminded = max((_reminders(target, calendar, clock, at) for clock in clocks), default=0)
    reminder = reminded > state.reminded
    if not due and not reminder:
        return state, None
    told = [(each.step, each.due) for each in due]
    if reminder:
        state = replace(state, reminded=reminded)
        told += [(step, at) for key, step in target.keyed(RESPONSE) if key in state.done]
    nobody = tuple(dict.fromkeys(each.step.role for each in due if each.empty))
    return state, Call(at, tuple(due), _people(told, at, on_duty), nobody, reminder)


def _people(told: Iterable[tuple[Step, int]], at: int, on_duty: OnDuty) -> tuple[tuple[Person, tuple[str, ...]], ...]:
    """Who is on duty now; where nobody is who was when the step became due, since somebody must hear of it."""
    found: dict[str, tuple[Person, tuple[str, ...]]] = {}
    for step, due in told:
        if not step.channels:
            continue
        for person in on_duty(step.role, at) or on_duty(step.role, due):
            before = found.get(person.id, (person, ()))[1]
            found[person.id] = person, tuple(dict.fromkeys((*before, *person.reach(step.channels))))
    return tuple(found.values())


def _reminders(target: Target, calendar: Calendar, clock: Clock, at: int) -> int:
    """How many reminders fall due by `at`: one each remind_ns through the first day and one a day after it, those outside the hours at the
    next opening.
    """
    if clock.kind != RESPONSE or not target.remind_ns:
        return 0
    end = min(at, clock.stopped_at or at)
    last = end if calendar.is_open(end) else calendar.last_open(end) - 1
    passed = last - clock.start
    near = min(max(passed, 0), CLOSELY_NS) // target.remind_ns
    return near + max(passed - CLOSELY_NS, 0) // max(target.remind_ns, DAY_NS)


def _remind_at(target: Target, clock: Clock, n: int) -> int:
    """When the n-th reminder is due: the inverse of `_reminders`."""
    closely = CLOSELY_NS // target.remind_ns
    if n <= closely:
        return clock.start + n * target.remind_ns
    return clock.start + CLOSELY_NS + (n - closely) * max(target.remind_ns, DAY_NS)


def next_due(
    target: Target, calendar: Calendar, clocks: Sequence[Clock], state: Escalation, at: int, on_duty: OnDuty
) -> int | None:
    """When `advance` has something to do next, not before `at`; None where it has not any more."""
    found = []
    for clock in clocks:
        step = next_step(target, calendar, state, clock, at, on_duty)
        if step is not None:
            found.append(step[0])
        if clock.kind == RESPONSE and target.remind_ns:
            due = calendar.opens(max(_remind_at(target, clock, state.reminded + 1), at))
            if not clock.stopped_at or due <= clock.stopped_at:
                found.append(due)
    return min(found, default=None)
