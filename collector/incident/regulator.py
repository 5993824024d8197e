"""The regulator's clock: when so great a share of a region's terminals serves nobody for so long the outage must be reported, and one incident
of the region carries the clocks of that report and the list of terminals behind it. Off unless the policy has [regulator]. All due times follow
from the terminals' states: a restart skips nothing and doubles nothing.

Counted are the terminals in service whose service hours are open at that time; down are those out of service and those offline by a cause
that counts as down. What is only not seen is no outage that anybody could report.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right, insort
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TypeGuard

from tillwatch.collector.alarm.drills import WATCHDOG
from tillwatch.collector.alarm.rules import REGULATOR
from tillwatch.collector.book import Book
from tillwatch.collector.duty.calendars import ALWAYS, Calendar
from tillwatch.collector.duty.clocks import NEVER
from tillwatch.collector.duty.policy import Regulator
from tillwatch.collector.incident import incidents
from tillwatch.collector.incident.following import Following
from tillwatch.collector.incident.incidents import REGION, RESTORED, SETTLING, Incident, correlation_id
from tillwatch.collector.incident.telling import Stricken
from tillwatch.collector.records import CAUSES, LIFE_CYCLE, OFFLINE, StateChange
from tillwatch.collector.terminal.condition import OUT_OF_SERVICE
from tillwatch.collector.terminal.fleet import Fleet, Terminal
from tillwatch.collector.tickets.message import Op, say
from tillwatch.collector.timers import Timers

MAX_LISTED = 1000
"""Terminals that the history names when the outage begins, those that were down first; how many more there are is counted."""
_FORTNIGHT_NS = 14 * 86_400 * 10**9
"""Hours that have been open for longer than this might as well have been open always."""

Hours = tuple[str, str]
"""(calendar, time zone): terminals of a region with the same service hours are counted together."""


@dataclass(slots=True)
class _Group:
    """Terminals of one region with the same hours. down: (since, name), oldest first. The rest: the stretch of time that was asked about last, whether
    the hours are open in it, and since when.
    """

    calendar: Calendar
    scheduled: int = 0
    down: list[tuple[int, str]] = field(default_factory=list)
    _from: int = 0
    _until: int = 0
    _open: bool = False
    _opened: int = 0

    def is_open(self, at: int) -> bool:
        self._ask(at)
        return self._open

    def opened(self, at: int) -> int:
        """Since when they are open, UTC ns; 0 for longer than matters."""
        self._ask(at)
        return self._opened

    def until(self, at: int) -> int:
        """When they open or close next."""
        self._ask(at)
        return self._until

    def begun_by(self, at: int, now: int) -> int:
        """How many that are down now, in hours that are open now, were so by then."""
        return bisect_right(self.down, (at, chr(0x10FFFF))) if self.opened(now) <= at else 0

    def _ask(self, at: int) -> None:
        if self._from <= at < self._until:
            return
        self._from, self._until = at, NEVER
        self._open, self._opened = True, 0
        if self.calendar.name == ALWAYS:
            return
        self._until = self.calendar.next_change(at) or NEVER
        self._open = self.calendar.is_open(at)
        if self._open:
            since = at - _FORTNIGHT_NS
            opened = list(self.calendar.spans(since, at + 1))[-1][0]
            self._opened = opened if opened > since else 0


class Regulating:
    """states: of all terminals the last row of the log, as Standing keeps it."""

    def __init__(
        self,
        book: Book,
        fleet: Fleet,
        timers: Timers,
        following: Following,
        states: Mapping[str, StateChange],
    ) -> None:
        self._book = book
        self._fleet = fleet
        self._timers = timers
        self._following = following
        self._states = states
        self._regions: dict[str, dict[Hours, _Group]] = {}
        self._counted: dict[str, tuple[str, Hours, int]] = {}
        following.teller.stricken = self.stricken

    # What happens.

    def see(self, terminal: Terminal, state: StateChange, at: int) -> None:
        """A terminal's state, or its place, may have changed."""
        since = (terminal.down_since or state.since) if _down(state) else 0
        if since != terminal.down_since:
            terminal.down_since = since
            self._book.dirty.terminals.add(terminal.id)
        if self._book.policy.regulator is None:
            return
        before, after = self._counted.get(terminal.id), self._place(terminal, state)
        if before == after:
            return
        self._count(terminal.id, after)
        for region in dict.fromkeys(each[0] for each in (before, after) if each is not None):
            self._look(region, at)

    def due(self, region: str, at: int) -> None:
        """It has lasted long enough, or hours have opened or closed."""
        self._look(region, at)

    def changed(self, at: int) -> None:
        """The policy may have."""
        for (fault, region), corr_id in sorted(self._book.concluded.items()):
            incident = self._book.incidents.get(corr_id)
            if fault == REGULATOR and self._book.policy.regulator is None and _lasts(incident):
                self._end(incident, at)
            elif fault == REGULATOR:
                self._look(region, at)
        for region in sorted(self._regions):
            self._look(region, at)

    def rearm(self, at: int) -> None:
        """From what is kept."""
        self._regions.clear()
        self._counted.clear()
        if self._book.policy.regulator is None:
            return
        for name, state in self._states.items():
            if (terminal := self._fleet.terminals.get(name)) is not None:
                self._count(name, self._place(terminal, state))
        for region in sorted(self._regions):
            self._wait(region, at)

    def stricken(self, incident: Incident, at: int) -> tuple[Stricken, ...]:
        """Whom the outage concerns, since when and why, those that were down first at the front. Empty for other incidents."""
        if incident.fault != REGULATOR:
            return ()
        found = sorted(each for group in self._open(incident.region, at) for each in group.down)
        return tuple(Stricken(name, since, _why(self._states[name])) for since, name in found)

    # Counting.

    def _place(self, terminal: Terminal, state: StateChange) -> tuple[str, Hours, int] | None:
        """Where it counts, and since when it is down, 0 where it is not."""
        if state.state in LIFE_CYCLE or terminal.terminal_class == WATCHDOG:
            return None
        calendar = self._book.policy.schedule(terminal.terminal_class, terminal.branch)
        since = (terminal.down_since or state.since) if _down(state) else 0
        return terminal.region, (calendar.name, calendar.zone), since

    def _count(self, name: str, after: tuple[str, Hours, int] | None) -> None:
        before = self._counted.pop(name, None)
        if before is not None:
            region, hours, since = before
            group = self._regions[region][hours]
            group.scheduled -= 1
            if since:
                del group.down[bisect_left(group.down, (since, name))]
            if not group.scheduled:  # its hours concern nobody there any more
                del self._regions[region][hours]
        if after is not None:
            region, hours, since = self._counted[name] = after
            terminal = self._fleet.terminals[name]
            groups = self._regions.setdefault(region, {})
            if hours not in groups:
                groups[hours] = _Group(self._book.policy.schedule(terminal.terminal_class, terminal.branch))
            group = groups[hours]
            group.scheduled += 1
            if since:
                insort(group.down, (since, name))

    def _open(self, region: str, at: int) -> list[_Group]:
        return [each for each in self._regions.get(region, {}).values() if each.is_open(at)]

    def _reached(self, regulator: Regulator, region: str, at: int) -> bool:
        groups = self._open(region, at)
        return regulator.concerns(sum(len(each.down) for each in groups), sum(each.scheduled for each in groups))

    def _begun(self, regulator: Regulator, region: str, at: int) -> int | None:
        """Since when the share has been reached without a break, UTC ns; None where it is not."""
        if not self._reached(regulator, region, at):
            return None
        groups = self._open(region, at)
        enough = max(1, math.ceil(regulator.share * sum(each.scheduled for each in groups)))
        first = min(max(each.down[0][0], each.opened(at)) for each in groups if each.down)
        known = range(first, max(at, first) + 1)
        begun = bisect_left(known, enough, key=lambda by: sum(each.begun_by(by, at) for each in groups))
        return min(first + begun, at)

    # The incident.

    def _look(self, region: str, at: int) -> None:
        regulator = self._book.policy.regulator
        if regulator is None:
            return
        incident = self._incident(region)
        if _lasts(incident):
            if not self._reached(regulator, region, at):
                self._end(incident, at)
            else:
                self._book.put_incident(replace(incident, cause=self._cause(region, at)))
                self._following.tell_soon(incident.corr_id, at)
        else:
            begun = self._begun(regulator, region, at)
            if begun is not None and begun + regulator.for_ns <= at and not _settled(incident, begun):
                self._begin(region, begun, incident, at)
        self._wait(region, at)

    def _incident(self, region: str) -> Incident | None:
        return self._book.incidents.get(self._book.concluded.get((REGULATOR, region), ""))

    def _wait(self, region: str, at: int) -> None:
        """Until something of it is due by time alone."""
        dues = []
        regulator = self._book.policy.regulator
        groups = self._regions.get(region, {}).values()
        if regulator is not None and any(each.down for each in groups):
            dues = [until for each in groups if (until := each.until(at)) < NEVER]
            begun = self._begun(regulator, region, at) if not _lasts(self._incident(region)) else None
            if begun is not None and begun + regulator.for_ns > at:
                dues.append(begun + regulator.for_ns)
        if dues:
            self._timers.set(_timer(region), min(dues))
        else:
            self._timers.cancel(_timer(region))

    def _begin(self, region: str, begun: int, last: Incident | None, at: int) -> None:
        rule = self._book.rules.by_id.get(REGULATOR)
        if rule is None:
            return  # rules of before there was this one
        level, cause = min((rule.limits.words or {}).values(), default=1), self._cause(region, at)
        over = incidents.over_since(last) if last is not None else 0
        if last is not None and at - over <= self._book.policy.incident.verify_ns:
            back = replace(incidents.reopen(last, at), cause=cause, level=level)
            settled = back.reopened > last.reopened
            self._book.put_incident(back, "reopened", at, settled=settled, cause=cause, **self._evidence(back, at))
            self._following.tell(back.corr_id, Op.OPEN, at, say("share_again"))
            self._following.follow_up(back.corr_id, at)
            return
        episode = last.episode + 1 if last is not None else 1
        incident = Incident(
            correlation_id(region, "", "", REGULATOR, episode), "", "", level, SETTLING, at, 0, 0, region=region, scope=REGION,
            fault=REGULATOR, episode=episode, occurred_at=begun, settle_until=at, cause=cause,
        )  # fmt: skip
        before = self._book.conclude(incident)
        if before is not None:
            self._following.follow_up(before.corr_id, at)
        told = {"fault": REGULATOR, "level": level, "cause": cause, **self._evidence(incident, at)}
        self._book.put_incident(incident, "opened", at, **told)
        self._following.follow_up(incident.corr_id, at)

    def _end(self, incident: Incident, at: int) -> None:
        restored = incidents.restore(incident, at, at)
        self._book.put_incident(restored, "restored", at, since=at)
        self._following.tell(incident.corr_id, Op.RESOLVE, at)
        self._following.follow_up(incident.corr_id, at)

    def _cause(self, region: str, at: int) -> str:
        groups = self._open(region, at)
        down, scheduled = sum(len(each.down) for each in groups), sum(each.scheduled for each in groups)
        first = min(each.down[0][0] for each in groups if each.down)
        since = datetime.fromtimestamp(first // 10**9, UTC).isoformat()
        return f"{down} of {scheduled} terminals serve nobody, the first since {since}"

    def _evidence(self, incident: Incident, at: int) -> dict[str, object]:
        found = self.stricken(incident, at)
        listed = [[each.terminal, each.since, each.why] for each in found[:MAX_LISTED]]
        return {"terminals": listed, "left_out": len(found) - len(listed)}


def _down(state: StateChange) -> bool:
    """Whether it serves nobody, for all that is known."""
    return state.state == OUT_OF_SERVICE or (state.state == OFFLINE and CAUSES[state.cause] == "down")


def _why(state: StateChange) -> str:
    return f"{state.state} ({state.cause or state.reason})"


def _lasts(incident: Incident | None) -> TypeGuard[Incident]:
    return incident is not None and incident.living and incident.state != RESTORED


def _settled(incident: Incident | None, begun: int) -> bool:
    """Whether people have settled this very outage, which goes on: they know of it."""
    return incident is not None and not incident.living and not incident.restored_at and begun <= incident.resolved_at


def _timer(region: str) -> tuple[str, str, str, str]:
    return "regulator", region, "", ""
