"""The part of the fold that keeps each terminal's one state and writes its changes into the log: after every entry, for those terminals of which
something has changed.
"""

from __future__ import annotations

from tillwatch.collector.alarm import alarms
from tillwatch.collector.alarm.masking import Masking
from tillwatch.collector.alarm.rules import PREDICTED
from tillwatch.collector.book import Book
from tillwatch.collector.duty.policy import TerminalClass
from tillwatch.collector.incident.regulator import Regulating
from tillwatch.collector.records import OFFLINE, StateChange
from tillwatch.collector.terminal.condition import OpenAlarm, TerminalInView, Unseen, differs, needs, roll_up
from tillwatch.collector.terminal.fleet import Fleet, Terminal
from tillwatch.collector.terminal.losses import Losses


class Standing:
    """states: the last row of the log of each terminal."""

    def __init__(
        self,
        book: Book,
        fleet: Fleet,
        masking: Masking,
        losses: Losses,
        regulating: Regulating,
        states: dict[str, StateChange],
    ) -> None:
        self.states = states
        self._regulating = regulating
        self._book = book
        self._fleet = fleet
        self._masking = masking
        self._losses = losses

    def look(self, at: int) -> None:
        """At everybody whose state may have changed."""
        if not self._book.touched:
            return
        for name in sorted(self._book.touched):
            terminal = self._fleet.terminals[name]
            previous = self.states.get(name)
            limit = self._book.policy.incident.supervisor_limit_ns
            change = roll_up(self._view(terminal, at), previous, supervisor_limit_ns=limit).change
            if differs(change, previous):
                self._put(change)
            self._regulating.see(terminal, self.states[name], at)
        self._book.touched.clear()
        self._book.eased.clear()

    def _put(self, change: StateChange) -> None:
        loss = self._losses.of.get(change.terminal)
        if change.state == OFFLINE and loss is not None:
            change = StateChange(
                change.terminal, change.since, change.at, change.state, change.reason, change.party, change.cause, change.lost,
                change.level, change.readings, change.kind, loss.cause.evidence,
            )  # fmt: skip
        self.states[change.terminal] = change
        self._book.dirty.states.append(change)

    def _view(self, terminal: Terminal, at: int) -> TerminalInView:
        kept = self._book.policy.classes.of(terminal.terminal_class)
        window = self._masking.window_of(terminal.id)
        loss = self._losses.of.get(terminal.id)
        offline = terminal.connection != "online"
        return TerminalInView(
            terminal.id,
            at,
            kept,
            life_cycle=terminal.life_cycle,
            window=window.id if window is not None else "",
            connection=terminal.connection,
            connection_since=loss.since if loss is not None and offline else 0,
            cause=loss.cause.cause if loss is not None and offline else "unknown",
            cause_readings=tuple((r.component, r.signal, r.at) for r in loss.cause.readings)
            if loss is not None
            else (),
            mode=terminal.mode,
            mode_since=terminal.mode_since,
            mode_component=terminal.mode_component,
            alarms=tuple(self._open(terminal)),
            unseen=() if offline else tuple(self._unseen(terminal, kept)),
            eased=self._book.eased.get(terminal.id, 0),
        )

    def _open(self, terminal: Terminal) -> list[OpenAlarm]:
        found = []
        for key in sorted(self._book.of_terminal.get(terminal.id, ())):
            alarm, rule = self._book.alarms[key], self._book.rule(key[0])
            if alarm.open and not alarm.drill and rule is not None and rule.id not in PREDICTED:
                window = alarm.mask(alarms.MAINTENANCE)
                found.append(
                    OpenAlarm(
                        alarm.rule, rule.axis, rule.party, alarm.level, alarm.condition, alarm.since, alarm.component,
                        str(alarm.detail.get("signal", "")), int(alarm.detail.get("at", 0)), window.ref if window is not None else "",
                    )
                )  # fmt: skip
        return found

    def _unseen(self, terminal: Terminal, kept: TerminalClass) -> list[Unseen]:
        found = []
        for name, part in sorted(terminal.components.items()):
            if part.unknown:
                wanted = needs(name, part.series, self._book.rules.by_signal, kept)
                if wanted:
                    found.append(Unseen(name, part.unknown, part.heard, wanted))
        return found
