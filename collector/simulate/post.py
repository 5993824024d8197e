"""From the stations to the fold: each message becomes an entry of a journal as the collector would write it, without a payload and without a
signature. While the collector is away messages wait at the broker and arrive together, later.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from tillwatch.agent.model import MS
from tillwatch.agent.wire import Life, Opened
from tillwatch.collector.alarm.alarms import Alarm
from tillwatch.collector.changes import Dirty, Membership
from tillwatch.collector.fold import Fold
from tillwatch.collector.incident.incidents import Incident
from tillwatch.collector.journal import Entry, Journal, Kind
from tillwatch.collector.records import Correction, IncidentEvent, LateSpan, StateChange
from tillwatch.collector.simulate.foresight import Foresight
from tillwatch.collector.simulate.stations import LATE
from tillwatch.collector.simulate.times import S
from tillwatch.collector.simulate.truth import Ledger
from tillwatch.collector.store.sqlite import Store
from tillwatch.collector.tickets.message import TicketMessage


@dataclass(slots=True)
class Log:
    """What the collector found, as its store would have it in the end. alarms: by number; incidents: by correlation id; members: by incident
    and alarm; the rest in the order in which it was appended.
    """

    alarms: dict[int, Alarm] = field(default_factory=dict)
    incidents: dict[str, Incident] = field(default_factory=dict)
    members: dict[tuple[str, int], Membership] = field(default_factory=dict)
    events: list[IncidentEvent] = field(default_factory=list)
    messages: list[TicketMessage] = field(default_factory=list)
    states: list[StateChange] = field(default_factory=list)
    late: list[LateSpan] = field(default_factory=list)
    corrections: list[Correction] = field(default_factory=list)
    outages: list[tuple[int, int]] = field(default_factory=list)

    def add(self, dirty: Dirty) -> None:
        self.alarms |= dirty.alarms
        self.incidents |= dirty.incidents
        self.members |= dirty.memberships
        self.events += dirty.incident_events
        self.messages += dirty.messages
        self.states += dirty.states
        self.late += dirty.late
        self.corrections += dirty.corrections
        self.outages += dirty.outages


GROUP = 2_000
"""Entries whose changes are taken out of the fold together: some MiB of roll-ups."""
SAID = 20
"""Findings of one entry, which has 64 KiB."""
_NO_DIGEST = bytes(32)


class Post:
    """told: called with each message to the ticket system, at the time when it was written. store: where all of it is kept, if it is. readings, entries: how many
    there were. foresight: the predictions that look on, if any.
    """

    def __init__(self, fold: Fold, ledger: Ledger, store: Store | None, foresight: Foresight | None = None) -> None:
        self.fold = fold
        self.journal = Journal()
        self.readings = 0
        self.told: Callable[[int, TicketMessage], None] = lambda _, __: None
        self.log = Log()
        self.foresight = foresight
        self._ledger, self._store = ledger, store
        self._up = True
        self._waiting: list[Opened | Life] = []
        self._kept: list[Entry] = []
        self._since = self._heard = 0
        self._seen = 0, 0

    def batch(self, at: int, opened: Opened) -> None:
        self.readings += opened.header.n
        if not self._up:
            self._waiting.append(opened)
            return
        header = opened.header
        facts: dict[str, Any] = {"epoch": header.epoch, "seq": header.seq}
        if at - header.sent > LATE:
            facts["historical"] = True
        ticks = {id(column.at): column.at for column in opened.columns}.values()
        span = min(map(min, ticks)), max(map(max, ticks))
        now = self._enter(Kind.BATCH, at, header.terminal, facts, opened, span)
        if self.foresight is not None:
            self.foresight.read(opened, now, historical="historical" in facts)

    def life(self, at: int, life: Life) -> None:
        if not self._up:
            self._waiting.append(life)
            return
        (self._ledger.online if life.state == "online" else self._ledger.offline)(life.terminal, at)
        self._enter(Kind.LIFE, at, life.terminal, {"state": life.state}, life)

    def operate(self, at: int, facts: dict[str, Any]) -> int:
        """What people do; when it stands in the journal. While the collector is away nobody can tell it anything."""
        terminal = str(facts.get("terminal", ""))
        now = self._enter(Kind.OPERATOR, at, terminal, facts)
        if self.foresight is not None:
            self.foresight.operated(now, str(facts["action"]), terminal, str(facts.get("state", "")))
        return now

    def foresee(self, at: int) -> None:
        """What the predictions make of all that was heard until now; into the journal where somebody is to act on it."""
        if self.foresight is None or not self._up:
            return
        said = self.foresight.advance(at)
        if not self.foresight.acts:
            return
        findings, grades = [each.facts() for each in said.findings], [each.facts() for each in said.grades]
        records, position = [asdict(each) for each in said.records], self.journal.n
        most = max(map(len, (findings, grades, records)))
        for part, first in enumerate(range(0, most, SAID)):
            some = slice(first, first + SAID)
            facts = {
                "findings": findings[some],
                "grades": grades[some],
                "records": records[some],
                "position": position,
                "part": part,
            }
            self._enter(Kind.FINDING, at, "", facts | {"actor": "predictions"})

    def change_rules(self, at: int, facts: dict[str, Any]) -> None:
        self._enter(Kind.RULES_CHANGED, at, "", facts)

    @property
    def up(self) -> bool:
        return self._up

    def stop(self, at: int) -> None:
        self._enter(Kind.STOPPED, at, "", {})
        self._up = False
        self._ledger.away.append([at, 0])

    def start(self, at: int) -> None:
        """It is there again, and what waited comes at once."""
        self._up = True
        self._ledger.away[-1][1] = at
        self._enter(Kind.STARTED, at, "", {"down_since": self.fold.advanced_to})
        waiting, self._waiting = self._waiting, []
        for number, message in enumerate(waiting, 1):
            then = at + 10 * S + number * MS
            if isinstance(message, Life):
                self.life(then, message)
            else:
                self.readings -= message.header.n
                self.batch(then, message)

    def advance(self, at: int) -> None:
        """What time alone brings, as the collector's tick does it."""
        self.fold.advance(at)
        self._hear(at)

    def _enter(
        self,
        kind: Kind,
        at: int,
        terminal: str,
        facts: dict[str, Any],
        content: Opened | Life | None = None,
        span: tuple[int, int] | None = None,
    ) -> int:
        now = max(at, self.fold.advanced_to, self.journal.at + 1)
        entry = self.journal.append(kind, now, terminal=terminal, facts=facts, payload_digest=_NO_DIGEST, span=span)
        self.fold.apply(entry, content)
        if self._store is not None:
            self._kept.append(entry)
        self._since += 1
        self._hear(now)
        if self._since >= GROUP:
            self.flush()
        return now

    def _hear(self, at: int) -> None:
        messages = self.fold.dirty.messages
        while self._heard < len(messages):
            self._heard += 1
            self.told(at, messages[self._heard - 1])
        if self.foresight is not None:
            self._seen = self.foresight.heard(self.fold.dirty, self.fold.book, self._seen)

    def flush(self) -> None:
        """Take what has changed out of the fold, into the store if there is one."""
        self._since = self._heard = 0
        self._seen = 0, 0
        if self._store is None:
            self.log.add(self.fold.take_dirty())
            return
        group = self._store.prepare(self.fold, self._kept)
        self._store.commit(group, deliver=False)
        self.log.add(group.dirty)
        self._kept.clear()
