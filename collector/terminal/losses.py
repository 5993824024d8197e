"""The part of the fold that says why a terminal is not heard: it collects the facts of each loss and asks causes.py, when the terminal is gone, when its
neighbours have had time to fall silent too, when it is back, and when what it kept meanwhile has come. A later answer corrects the former in the log.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import msgpack

from tillwatch.agent.model import AGENT
from tillwatch.agent.wire import Life
from tillwatch.collector.alarm.alarms import Alarm
from tillwatch.collector.alarm.rules import SILENT
from tillwatch.collector.book import Book
from tillwatch.collector.incident.handling import Handling
from tillwatch.collector.incident.inference import Crowd, Span, infer, infer_fleet
from tillwatch.collector.records import OFFLINE, StateChange
from tillwatch.collector.terminal import causes
from tillwatch.collector.terminal.causes import Cause, Facts, Notice, Return, Root, notice_of, offline_cause
from tillwatch.collector.terminal.condition import PARTY
from tillwatch.collector.terminal.fleet import Fleet, Terminal
from tillwatch.collector.terminal.power import CHARGE, POWER, Power, Reading, Told, power_told
from tillwatch.collector.timers import Timers

NEIGHBOURS_NS = 85 * 10**9
"""After the loss: those that share its cause have been missed by then, and nobody was told of it yet."""
BACKLOG_NS = 10 * 60 * 10**9
"""After the return, and again until the backlog has come: it takes minutes for hours."""
GIVE_UP_NS = 24 * 3600 * 10**9
"""A backlog that has not come within this time tells nothing any more."""
FLEET_EVERY_NS = 10 * 10**9
"""Between two looks at the whole fleet while it falls silent: each reads all of it."""


@dataclass(frozen=True, slots=True)
class Loss:
    """since: UTC ns from which the terminal counts as offline. gone: when that was noticed. cause: the last answer. newest: the latest reading from then
    that has come since the return, hole: the longest stretch without one; UTC ns. ask_at: when to ask again.
    """

    facts: Facts
    since: int
    gone: int
    cause: Cause
    newest: int = 0
    hole: int = 0
    ask_at: int = 0

    def pack(self) -> bytes:
        cause = [self.cause.cause, self.cause.evidence, self.cause.readings]
        rest = [self.facts.pack(), self.since, self.gone, cause, self.newest, self.hole, self.ask_at]
        packed: bytes = msgpack.packb(rest)
        return packed

    @classmethod
    def unpack(cls, packed: bytes) -> Loss:
        facts, since, gone, (cause, evidence, readings), *rest = msgpack.unpackb(packed, use_list=False)
        return cls(
            Facts.unpack(facts), since, gone, Cause(cause, evidence, tuple(Reading(*r) for r in readings)), *rest
        )


class Losses:
    """of: by terminal, from its loss until the last question is answered."""

    def __init__(self, book: Book, fleet: Fleet, timers: Timers, handling: Handling) -> None:
        self.of: dict[str, Loss] = {}
        self._book = book
        self._fleet = fleet
        self._timers = timers
        self._handling = handling
        self._crowd: tuple[int, Crowd | None] = (0, None)
        handling.reason = self._reason

    def load(self) -> None:
        """From the terminals as they are kept."""
        self.of = {t.id: Loss.unpack(t.loss) for t in self._fleet.terminals.values() if t.loss}
        self._crowd = (0, None)

    def rearm(self, at: int) -> None:
        for name, loss in self.of.items():
            if loss.ask_at:
                self._timers.set(_timer(name), max(loss.ask_at, at))

    # What happens to a terminal.

    def gone(self, terminal: Terminal, since: int, farewell: str, at: int) -> None:
        """since: from which it counts as lost, UTC ns."""
        since = since or at
        facts = Facts(terminal.received, farewell)
        self._keep(terminal, Loss(facts, since, at, Cause("unknown", ""), ask_at=at + NEIGHBOURS_NS))
        self._ask(terminal, at)

    def back(self, terminal: Terminal, life: Life | None, at: int) -> None:
        """It is heard again. life: by its own life message, before the terminal takes it in."""
        loss = self.of.get(terminal.id)
        if loss is None or loss.facts.back is not None:
            return
        agent = terminal.components.get(AGENT)
        interval = round((agent.interval_s if agent is not None else 0) * 1e9) or causes.MINUTE
        same = life is None or life.boot == terminal.boot
        up = life.up * 10**6 if life is not None else terminal.up_ms * 10**6 + at - terminal.up_received
        told = Return(at, up, same, terminal.up_ms * 10**6, terminal.up_received, interval_ns=interval)
        after = replace(loss, facts=replace(loss.facts, back=told), newest=loss.facts.heard_at, ask_at=at + BACKLOG_NS)
        self._keep(terminal, after)
        self._ask(terminal, at)

    def read(self, terminal: Terminal, first: int, last: int, *, lost: int) -> None:
        """Readings of this time have come. lost: how many the terminal has declared gone, more than before."""
        loss = self.of.get(terminal.id)
        if loss is None or loss.facts.back is None or last <= loss.newest:
            return
        hole = max(loss.hole, min(first, loss.facts.back.at) - loss.newest)
        facts = loss.facts
        if lost > 0 and not loss.facts.back.dropped:
            facts = replace(facts, back=replace(loss.facts.back, dropped=True))
        self._keep(terminal, replace(loss, facts=facts, newest=last, hole=hole))

    def due(self, name: str, at: int) -> None:
        """Neighbours, or the backlog, have had their time."""
        terminal, loss = self._fleet.terminals[name], self.of.get(name)
        if loss is None:
            return
        back = loss.facts.back
        if back is None:
            self._keep(terminal, replace(loss, ask_at=0))
            self._ask(terminal, at)
            return
        come = loss.newest >= back.at - 2 * back.interval_ns
        if not come and at - back.at < GIVE_UP_NS:
            self._keep(terminal, replace(loss, ask_at=at + BACKLOG_NS))
            return
        told = replace(back, hole_ns=loss.hole if come else None, restarted=self._restarted(terminal, back))
        ended = terminal.components[AGENT].series.get("agent.ended") if AGENT in terminal.components else None
        if ended is not None and ended.at >= loss.since:
            told = replace(told, ended=str(ended.value))
        self._keep(terminal, replace(loss, facts=replace(loss.facts, back=told)))
        self._ask(terminal, at)
        del self.of[name]
        terminal.loss = b""
        self._book.dirty.terminals.add(name)
        self._timers.cancel(_timer(name))

    # What is known of it.

    def _keep(self, terminal: Terminal, loss: Loss) -> None:
        self.of[terminal.id] = loss
        terminal.loss = loss.pack()
        self._book.dirty.terminals.add(terminal.id)
        if loss.ask_at:
            self._timers.set(_timer(terminal.id), loss.ask_at)
        else:
            self._timers.cancel(_timer(terminal.id))

    def _ask(self, terminal: Terminal, at: int) -> None:
        loss = self.of[terminal.id]
        facts = loss.facts
        if facts.back is None:
            lost, speaking = self._neighbours(terminal)
            facts = replace(
                facts, power=tuple(self._power(terminal)), roots=tuple(self._roots(terminal)), notices=tuple(self._notices(terminal)),
                branch=self._branch(terminal, lost, speaking), speaking=speaking, fleet=self._fleet_lost(terminal, at) or facts.fleet,
            )  # fmt: skip
        cause = offline_cause(facts)
        if cause == loss.cause and facts == loss.facts:
            return
        self._keep(terminal, replace(loss, facts=facts, cause=cause))
        if cause == loss.cause:
            return
        self._book.touched.add(terminal.id)
        if facts.back is not None:  # its state is another by now: what is found out of that time is a row of its own
            readings = tuple((each.component, each.signal, each.at) for each in cause.readings)
            self._book.dirty.states.append(
                StateChange(
                    terminal.id, loss.since, at, OFFLINE, SILENT, PARTY[cause.cause], cause.cause, (), 0, readings, "cause", cause.evidence
                )
            )  # fmt: skip
        self._handling.explain((SILENT, terminal.id, ""), cause.cause, cause.evidence, at)

    def _reason(self, alarm: Alarm) -> str:
        """What is known of it before its incident is: the ticket says so from the beginning."""
        loss = self.of.get(alarm.terminal) if alarm.rule == SILENT else None
        return loss.cause.evidence if loss is not None else ""

    def _neighbours(self, terminal: Terminal) -> tuple[dict[str, Span], int]:
        """Those of its branch that are lost, itself among them, and how many still speak."""
        spans, speaking = {}, 0
        for name in self._book.topology.terminals_of(terminal.branch):
            loss = self.of.get(name)
            if loss is not None and loss.facts.back is None and (loss.facts.farewell != "clean" or name == terminal.id):
                spans[name] = (loss.facts.heard_at, loss.gone)
            elif self._fleet.terminals[name].connection == "online":
                speaking += name != terminal.id
        return spans, speaking

    def _branch(self, terminal: Terminal, lost: Mapping[str, Span], speaking: int) -> Crowd | None:
        settings = self._book.policy.incident
        together = infer(
            terminal.id, lost, speaking, share=settings.infer_share, least=settings.infer_least, within_ns=settings.infer_within_ns
        )  # fmt: skip
        return together.crowd if together is not None else None

    def _fleet_lost(self, terminal: Terminal, at: int) -> Crowd | None:
        if self.of[terminal.id].facts.farewell == "clean":
            return None  # it went by itself, and is not among those that were lost
        settings, asked = self._book.policy.incident, self._crowd
        if asked[0] and at - asked[0] < FLEET_EVERY_NS:
            return asked[1]
        lost = [
            (name, loss) for name, loss in self.of.items() if loss.facts.back is None and loss.facts.farewell != "clean"
        ]
        others = sum(each.connection == "online" for each in self._fleet.terminals.values()) if lost else 0
        together = None
        if len(lost) >= settings.fleet_share * (len(lost) + others):
            spans = {name: (loss.facts.heard_at, loss.gone) for name, loss in lost}
            branches = {name: self._fleet.terminals[name].branch for name in spans}
            together = infer_fleet(
                terminal.id, spans, branches, others, share=settings.fleet_share, branches=settings.region_least,
                within_ns=settings.infer_within_ns,
            )  # fmt: skip
        self._crowd = (at, together.crowd if together is not None else None)
        return self._crowd[1]

    def _power(self, terminal: Terminal) -> Iterator[Power]:
        for name in dict.fromkeys((terminal.id, *self._book.topology.servers(terminal.branch))):
            told = (
                Told(part.name, signal, series.value, max(part.heard, series.at), self._since(name, part.name, signal))
                for part in self._fleet.terminals[name].components.values()
                for signal, series in part.series.items()
                if signal in POWER or signal in CHARGE
            )
            yield from power_told(name, told, own=name == terminal.id)

    def _since(self, terminal: str, component: str, signal: str) -> int:
        for rule in self._book.rules.by_signal.get(signal, ()):
            alarm = self._book.alarms.get((rule.id, terminal, component))
            if alarm is not None and alarm.open:
                return alarm.since
        return 0

    def _roots(self, terminal: Terminal) -> Iterator[Root]:
        for kind, node, text, since in self._handling.explanations(terminal.id):
            yield Root(kind, node, text, since)

    def _notices(self, terminal: Terminal) -> Iterator[Notice]:
        for name in dict.fromkeys((terminal.id, *self._book.topology.servers(terminal.branch))):
            for part in self._fleet.terminals[name].components.values():
                series = part.series.get("trap.last")
                notice = notice_of(name, part.name, series.value, series.at) if series is not None else None
                if notice is not None:
                    yield notice

    def _restarted(self, terminal: Terminal, back: Return) -> Crowd | None:
        """Those of its branch that started anew about when it did."""
        if back.same_boot:
            return None
        settings = self._book.policy.incident
        spans = {}
        for name in self._book.topology.terminals_of(terminal.branch):
            loss = self.of.get(name)
            told = back if name == terminal.id else loss.facts.back if loss is not None else None
            if told is not None and not told.same_boot:
                spans[name] = (told.at - told.up_ns, told.at - told.up_ns)
        others = len(self._book.topology.terminals_of(terminal.branch)) - len(spans)
        together = infer(
            terminal.id,
            spans,
            others,
            share=settings.infer_share,
            least=settings.infer_least,
            within_ns=causes.START_NS,
        )
        return together.crowd if together is not None else None


def _timer(terminal: str) -> tuple[str, str, str, str]:
    return "cause", terminal, "", ""
