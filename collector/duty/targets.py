"""What is promised for incidents of each level, and whom to tell on the way: the values and how they are read. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from tillwatch.collector.duty.calendars import ALWAYS, HOUR_NS, MINUTE_NS
from tillwatch.collector.duty.roster import CHANNELS
from tillwatch.collector.duty.tables import Table

RESPONSE = "response"
"""Until a person has taken it on."""
REPAIR = "repair"
"""Until it works again."""
KINDS = (RESPONSE, REPAIR)
SERVICE = "service"
"""In place of a calendar's name: the service hours of the terminal itself."""


@dataclass(frozen=True, slots=True)
class Step:
    """After so much open time on its clock the role is told over the channels. Without channels nobody is told: the miss counts, or the
    incident stands in the role's queue.
    """

    kind: str
    after_ns: int
    role: str
    channels: tuple[str, ...] = ()
    text: str = ""


@dataclass(frozen=True, slots=True)
class Target:
    """What is promised for incidents of a level. hours: name of the calendar in which both clocks run, `service` for the terminal's own
    service hours; remind_ns: how often until somebody responds, 0 for never; undelivered_ns: how long its ticket may wait for the ticket
    system until the duty role is told otherwise, 0 for no limit.
    """

    level: int
    response_ns: int
    repair_ns: int
    steps: tuple[Step, ...] = ()
    remind_ns: int = 0
    hours: str = "always"
    undelivered_ns: int = 0

    _keyed: dict[str, list[tuple[str, Step]]] = field(default_factory=dict, init=False, repr=False, compare=False)

    def keyed(self, kind: str) -> list[tuple[str, Step]]:
        """The steps of a clock in order, each with what it is known by: which turn of its role it is. So nobody is told again what he was
        told when the level changes, or the policy, and with it the time after which his turn comes.
        """
        keyed = self._keyed.get(kind)
        if keyed is not None:
            return keyed
        turns: Counter[str] = Counter()
        keyed = self._keyed[kind] = []
        for step in sorted((each for each in self.steps if each.kind == kind), key=lambda each: each.after_ns):
            turns[step.role] += 1
            keyed.append((f"{kind}:{step.role}:{turns[step.role]}", step))
        return keyed


@dataclass(frozen=True, slots=True)
class Regulator:
    """When share of a region's terminals have been out of service for for_ns the outage must be reported: by the response clock of target at
    once, by its repair clock in writing.
    """

    share: float
    for_ns: int
    target: Target

    def concerns(self, down: int, terminals: int) -> bool:
        """Whether so many of a region's terminals in service are an outage of the region."""
        return down > 0 and down >= self.share * terminals


def read_target(level: int, row: Table, calendars: Collection[str], roles: Collection[str]) -> Target:
    response, repair = row.span("response", 30 * MINUTE_NS), row.span("repair", 4 * HOUR_NS)
    target = Target(
        level=level,
        response_ns=response,
        repair_ns=repair,
        steps=_steps(row, {RESPONSE: response, REPAIR: repair}, roles),
        remind_ns=row.span("remind", 0),
        hours=row.one_of("hours", (*calendars, SERVICE), ALWAYS),
        undelivered_ns=row.span("undelivered", 0),
    )
    if not response or not repair:
        raise row.error("repair" if response else "response", "a target is longer than nothing")
    if 0 < target.remind_ns < MINUTE_NS:
        raise row.error("remind", 'at least "1m": a phone that never stops ringing is switched off; "0s" for never')
    row.done()
    return target


def _steps(row: Table, limits: Mapping[str, int], roles: Collection[str]) -> tuple[Step, ...]:
    steps: list[Step] = []
    for each in row.tables("step"):
        kind = each.one_of("clock", KINDS)
        after = each.text("after")
        percent = after.removesuffix("%")
        if percent != after:
            if not percent.isdecimal() or int(percent) > 1000:
                raise each.error("after", 'write a share of the target such as "75%", or a time such as "10m"')
            after_ns = limits[kind] * int(percent) // 100
        else:
            after_ns = each.span("after")
        channels = each.texts("channels")
        if set(channels) - set(CHANNELS):
            raise each.error("channels", f"a channel is one of {', '.join(CHANNELS)}")
        role = each.one_of("role", (*roles, ""), "")
        if channels and not role:
            raise each.error("role", "who is to be told? Name a role, or leave the channels out")
        step = Step(kind, after_ns, role, channels, each.text("text", ""))
        each.done()
        if any((kind, after_ns, role) == (other.kind, other.after_ns, other.role) for other in steps):
            raise each.error("role", "it stands there twice at this time; write all channels in one step")
        steps.append(step)
    return tuple(sorted(steps, key=lambda step: (KINDS.index(step.kind), step.after_ns)))


def read_regulator(row: Table, roles: Collection[str]) -> Regulator:
    report, written = row.span("report", 30 * MINUTE_NS), row.span("written", 12 * HOUR_NS)
    steps = _steps(row, {RESPONSE: report, REPAIR: written}, roles)
    regulator = Regulator(row.share("share", 0.5), row.span("for", 30 * MINUTE_NS), Target(0, report, written, steps))
    row.done()
    return regulator
