"""The part of the fold that brings bundles to the fleet: what was published, which ring is under way, what each terminal is to run and what it says of that.
Rings pass, halt and are taken back here, by entries and by time, so that a replay decides the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from hashlib import sha256
from typing import Any

from tillwatch.agent.model import AGENT, MS, Value
from tillwatch.agent.wire import report_of, valid_name
from tillwatch.collector.book import Book
from tillwatch.collector.journal import Entry
from tillwatch.collector.rollout import states
from tillwatch.collector.rollout.rings import RingError, Tally, place
from tillwatch.collector.rollout.states import (
    BY_ITSELF,
    DONE,
    HALTED,
    LOOK_NS,
    RUNNING,
    SILENT_NS,
    WAITING,
    Bundle,
    Member,
    Rollout,
)
from tillwatch.collector.terminal.fleet import Fleet, Terminal
from tillwatch.collector.timers import Timers

MAX_REMEMBERED = 20
"""Rollouts that decide what a terminal that is new is to run; older ones are record."""
SOURCE = "monitor.source"
GONE = ("offline", "silent")


class Rolling:
    """bundles: number -> what is known of it, without the content. rollouts: the newest last. members: by terminal. waiting: terminals that are to be told."""

    def __init__(self, book: Book, fleet: Fleet, timers: Timers) -> None:
        self._book, self._fleet, self._timers = book, fleet, timers
        self.bundles: dict[int, Bundle] = {}
        self.rollouts: list[Rollout] = []
        self.members: dict[str, Member] = {}
        self.waiting: set[str] = set()
        self._tallies: dict[str, Tally] = {}
        """Of the rings of the rollout that runs."""

    @property
    def running(self) -> Rollout | None:
        return self.rollouts[-1] if self.rollouts and self.rollouts[-1].state == RUNNING else None

    def tally(self, ring: str) -> Tally:
        return self._tallies.get(ring, Tally())

    # What people do.

    def act(self, entry: Entry, facts: Mapping[str, Any]) -> None:
        by, why = str(facts.get("actor", "")), str(facts.get("reason", ""))[: states.MAX_REASON]
        match facts["action"]:
            case "bundle":
                self._publish(entry, facts)
            case "rollout":
                self._begin(entry, facts)
            case "rollout-halt" if self.running is not None and facts.get("rollout") == self.running.n:
                self._put(states.halt(self._counted(self.running), entry.at, by, why))
            case "rollout-return" if self.rollouts and facts.get("rollout") == self.rollouts[-1].n:
                self._give_back(entry.at, by, why)
            case "terminal-ring" if entry.terminal in self._fleet.terminals:
                self.fix(entry.terminal, str(facts.get("ring", "")))

    def fix(self, terminal: str, ring: str) -> None:
        """Its ring by a person or a list, from the next rollout on; empty leaves it to the shares again."""
        if not ring or valid_name(ring):
            member = self.members.get(terminal, Member(terminal))
            self._keep(replace(member, ring=ring or member.ring, fixed=bool(ring)))

    def _publish(self, entry: Entry, facts: Mapping[str, Any]) -> None:
        content = facts.get("content")
        digest = sha256(content).digest() if isinstance(content, bytes) else b""
        bundle = states.publish(entry.n, entry.at, facts, digest)
        if bundle is not None and all(bundle.name != other.name for other in self.bundles.values()):
            self._book.dirty.bundles[bundle.n] = bundle
            self.bundles[bundle.n] = replace(bundle, content=b"")

    def _begin(self, entry: Entry, facts: Mapping[str, Any]) -> None:
        if self.running is not None or (facts.get("bundle") not in self.bundles and facts.get("bundle") != 0):
            return
        try:
            rollout = states.begin(entry.n, entry.at, facts, self._last())
        except RingError:
            return
        self.rollouts = [*self.rollouts, rollout][-MAX_REMEMBERED:]
        self._tallies = {}
        self._put(rollout)
        self._tell_ring(rollout, entry.at)
        self._judge(entry.at)

    def _give_back(self, at: int, by: str, why: str) -> None:
        """Every terminal that this rollout told anything goes back to what was good on it before, under a number above all that were."""
        rollout = self.rollouts[-1]
        after = states.give_back(self._counted(rollout) if rollout.state == RUNNING else rollout, at, by, why)
        if after is None:
            return
        number = max(self._last() + 1, at // MS)
        self._put(after)
        for member in [each for each in self.members.values() if self._told_by(rollout, each)]:
            self._keep(replace(states.tell(member, member.ring, member.before, number, at), before=member.before))

    # What terminals say, and what is seen of them.

    def heard(self, terminal: str, component: str, values: Iterable[Value], at: int) -> None:
        """Their own word of what they run, of whatever age."""
        for value in values if component == AGENT else ():
            report = report_of(value)
            if report is None:
                continue
            before = self.members.get(terminal, Member(terminal))
            self._keep(states.hear(before, report, at), at)
            if not before.number and self.members[terminal].takes:
                self._join(terminal, at)
        self._judge(at)

    def source(self, terminal: str, device: str, *, failed: bool, at: int) -> None:
        """Whether a device can be read, while a rollout runs: one that failed before already is not the bundle's fault."""
        running, member = self.running, self.members.get(terminal)
        if running is None or member is None or not self._told_by(running, member) or device in member.failing:
            return
        if failed != (device in member.failed):
            kept = {*member.failed, device} if failed else {*member.failed} - {device}
            self._keep(replace(member, failed=tuple(sorted(kept))), at)
            self._judge(at)

    def due(self, number: str, at: int) -> None:
        """A look at who has gone silent, and at the end of a ring's time."""
        running = self.running
        if running is None or str(running.n) != number:
            return
        for member in [each for each in self.members.values() if self._told_by(running, each)]:
            terminal = self._fleet.terminals.get(member.terminal)
            spoke = terminal is not None and terminal.received >= member.told_at
            gone = terminal is not None and terminal.connection in GONE and at - terminal.received >= SILENT_NS
            since = (member.silent or at) if spoke and gone else 0
            if since != member.silent:
                self._keep(replace(member, silent=since), at)
        self._judge(at)
        self._arm(at)

    def restarted(self, at: int) -> None:
        """The collector was away."""
        if self.running is not None:
            self._put(states.begin_anew(self.running, at))

    # How it goes on.

    def _judge(self, at: int) -> None:
        while (running := self.running) is not None:
            after = states.judged(running, self.tally(running.rings[running.ring].name), at)
            if after is None:
                return
            self._put(after)
            if after.state == HALTED and after.gate.returns:
                self._give_back(at, BY_ITSELF, after.history[-1].why)
            elif after.state == RUNNING:
                self._tell_ring(after, at)

    def _tell_ring(self, rollout: Rollout, at: int) -> None:
        name = rollout.rings[rollout.ring].name
        for terminal in self._fleet.terminals.values():
            member = self.members.get(terminal.id, Member(terminal.id))
            if terminal.state == "revoked":
                continue
            if place(terminal.id, rollout.rings, member.ring if member.fixed else "") == name:
                self._tell(member, rollout, name, at)
        self._arm(at)

    def _tell(self, member: Member, rollout: Rollout, ring: str, at: int) -> None:
        failing = _failing(self._fleet.terminals.get(member.terminal))
        self._keep(states.tell(member, ring, rollout.bundle, rollout.number, at, failing))

    def _join(self, terminal: str, at: int) -> None:
        """One that was never told anything: what the newest rollout has for it that holds."""
        member = self.members[terminal]
        for rollout in reversed(self.rollouts):
            if rollout.state not in (RUNNING, DONE):
                continue
            ring = place(terminal, rollout.rings, member.ring if member.fixed else "")
            if ring in rollout.begun:
                self._tell(member, rollout, ring, at)
                return

    def _counted(self, rollout: Rollout) -> Rollout:
        """With the tally of the ring under way, which ends without a judgement."""
        name = rollout.rings[rollout.ring].name
        return replace(rollout, tallies={**rollout.tallies, name: self.tally(name)})

    def _told_by(self, rollout: Rollout, member: Member) -> bool:
        return member.number >= rollout.number and member.told_at >= rollout.at

    def _last(self) -> int:
        """The highest number that any terminal was told anything under."""
        return max(
            [*(each.number for each in self.members.values()), *(each.number for each in self.rollouts)], default=0
        )

    def _put(self, rollout: Rollout | None) -> None:
        """The newest one, after a step."""
        if rollout is not None:
            self.rollouts[-1] = rollout
            self._book.dirty.rollouts[rollout.n] = rollout
            if rollout.state != RUNNING:
                self._timers.cancel(_key(rollout))

    def _keep(self, member: Member, at: int = 0) -> None:
        """at: where it is the terminal's doing."""
        before = self.members.get(member.terminal)
        if before == member:
            return
        running = self.running
        for each, by in ((before, -1), (member, 1)):
            if running is not None and each is not None and self._told_by(running, each):
                self._tallies[each.ring] = states.counted(self.tally(each.ring), each, by)
        if at and running is not None and member.bad and self._told_by(running, member):
            self._put(states.lost(running, member, at))
        self.members[member.terminal] = member
        self._book.dirty.members[member.terminal] = member
        if member.state == WAITING and member.takes:
            self.waiting.add(member.terminal)
        else:
            self.waiting.discard(member.terminal)

    def _arm(self, at: int) -> None:
        """Whole looks from the ring's beginning on, whenever this is asked: the last one is the end of its time."""
        running = self.running
        if running is not None:
            looks = max((at - running.since) // LOOK_NS, 0) + 1
            self._timers.set(_key(running), running.since + looks * LOOK_NS)

    # What is kept.

    def load(self, bundles: Iterable[Bundle], rollouts: Iterable[Rollout], members: Iterable[Member]) -> None:
        self.bundles = {bundle.n: bundle for bundle in bundles}
        self.rollouts = list(rollouts)[-MAX_REMEMBERED:]
        for member in members:
            self.members[member.terminal] = member
            if member.state == WAITING and member.takes:
                self.waiting.add(member.terminal)
            if self.running is not None and self._told_by(self.running, member):
                self._tallies[member.ring] = states.counted(self.tally(member.ring), member, 1)

    def rearm(self, at: int) -> None:
        self._arm(at)


def _failing(terminal: Terminal | None) -> tuple[str, ...]:
    components = terminal.components.values() if terminal is not None else ()
    said = ((each.name, each.series.get(SOURCE)) for each in components)
    return tuple(sorted(name for name, series in said if series is not None and series.value == "failed"))


def _key(rollout: Rollout) -> tuple[str, str, str, str]:
    return ("rollout", "", "", str(rollout.n))
