"""The part of the fold that knows who speaks: no data is unknown, never health. A terminal is missed by the clock; a component is missed by what
its terminal goes on saying without it.
"""

from __future__ import annotations

from tillwatch.agent.model import AGENT
from tillwatch.collector.alarm.alarming import Alarming
from tillwatch.collector.alarm.rules import COMPONENT_SILENT, SILENT
from tillwatch.collector.book import Book
from tillwatch.collector.terminal.fleet import Component, Terminal
from tillwatch.collector.terminal.losses import Losses
from tillwatch.collector.timers import Key as TimerKey
from tillwatch.collector.timers import Timers

KEEP_ALIVE_NS = 90 * 10**9
"""Within which a broker notices that a connection is gone: one and a half of the agent's keep-alive of 60 s (MQTT 3.1.1, 3.1.2.10)."""
_FAR_NS = 365 * 86400 * 10**9


class Presence:
    def __init__(self, book: Book, alarming: Alarming, losses: Losses, timers: Timers) -> None:
        self._losses = losses
        self._book = book
        self._alarming = alarming
        self._timers = timers

    def _allowed(self, terminal: Terminal) -> int:
        agent = terminal.components.get(AGENT)
        interval = agent.interval_s if agent is not None and agent.interval_s else self._book.rules.default_interval_s
        return max(round(interval * self._book.rules.silent_after * 1e9), self._book.rules.silent_least_ns)

    def _allowed_component(self, component: Component) -> int:
        interval = component.interval_s or self._book.rules.default_interval_s
        return max(round(interval * self._book.rules.silent_after * 1e9), self._book.rules.silent_least_ns)

    def heard(self, terminal: Terminal, at: int) -> None:
        terminal.received = terminal.heard = at
        self._book.dirty.terminals.add(terminal.id)
        if terminal.connection != "online":
            self._losses.back(terminal, None, at)
            terminal.connection = "online"
            self._book.ease(terminal.id, at)
            self._alarming.judge(SILENT, terminal, "", "online", at)
            # Its components had no chance to speak meanwhile: their deadlines start anew.
            for component in terminal.components.values():
                self._start_anew(terminal, component, at)
            terminal.next_due = 0
        timer: TimerKey = ("silent", terminal.id, "", "")
        if self._timers.due(timer) is None:
            self._timers.set(timer, at + self._allowed(terminal))

    def silent_due(self, terminal: Terminal, due: int) -> None:
        """The timer is set once and looks when it fires: a batch that came meanwhile only moved the deadline."""
        deadline = terminal.heard + self._allowed(terminal)
        if deadline > due:
            self._timers.set(("silent", terminal.id, "", ""), deadline)
        elif terminal.connection == "online":
            self.gone(terminal, "silent", due)

    def gone(self, terminal: Terminal, connection: str, at: int, farewell: str = "") -> None:
        """farewell: of causes.farewell, empty where it fell silent without a word."""
        since = terminal.received
        if connection == "offline":
            since = at if farewell == "clean" else max(since, at - KEEP_ALIVE_NS)
        was_online = terminal.connection == "online"
        terminal.connection = connection
        self._book.touched.add(terminal.id)
        if was_online and connection != "revoked":
            self._losses.gone(terminal, since, farewell, at)
        self._book.dirty.terminals.add(terminal.id)
        self._alarming.lose_sight_of(terminal.id, None, at)
        # By its last word and not by when it was missed: those that were lost together were missed minutes apart.
        self._alarming.judge(SILENT, terminal, "", connection, at, since=since)

    def overdue(self, terminal: Terminal, at: int) -> None:
        """The terminal speaks: what it does not speak of any more is unknown."""
        terminal.next_due = at + _FAR_NS
        for _, component in sorted(terminal.components.items()):
            if not component.heard or component.unknown:
                continue
            deadline = component.heard + self._allowed_component(component)
            if deadline > at:
                terminal.next_due = min(terminal.next_due, deadline)
                continue
            self._hide(terminal, component, "silent", at)
            self._alarming.judge(COMPONENT_SILENT, terminal, component.name, "silent", at)

    def source(self, terminal: Terminal, device: str, *, failed: bool, at: int) -> None:
        """The agent says whether it can read a device, or one part; all that belongs to it is unknown while it cannot."""
        if failed:
            for component in terminal.of_device(device):
                if component.unknown != "unreadable":
                    self._hide(terminal, component, "unreadable", at)
            return
        own = terminal.components[device]
        if own.unknown == "unreadable" and not own.heard:
            own.unknown = ""
            self._book.ease(terminal.id, at)
        for component in terminal.of_device(device):
            self._start_anew(terminal, component, at)
        terminal.next_due = 0

    def _hide(self, terminal: Terminal, component: Component, reason: str, at: int) -> None:
        was_silent = component.unknown == "silent"
        component.unknown = reason
        self._book.touched.add(terminal.id)
        self._book.dirty.components.add((terminal.id, component.name))
        self._book.dirty.terminals.add(terminal.id)
        if was_silent:
            self._alarming.judge(COMPONENT_SILENT, terminal, component.name, "ok", at)
        self._alarming.lose_sight_of(terminal.id, component, at)

    def regained(self, terminal: Terminal, component: Component, at: int) -> None:
        """Data of a component that was unknown, or whose alarms could not be seen, has come again."""
        was_silent = component.unknown == "silent"
        self._book.ease(terminal.id, at)
        self._alarming.regain(terminal.id, component, at)
        if was_silent:
            self._alarming.judge(COMPONENT_SILENT, terminal, component.name, "ok", at)

    def restarted(self, terminal: Terminal, at: int) -> None:
        """While the collector was down nobody could be heard: deadlines start anew with it."""
        for component in terminal.components.values():
            if not component.unknown:
                self._start_anew(terminal, component, at)
        terminal.heard = at
        terminal.next_due = 0
        self._book.dirty.terminals.add(terminal.id)

    def rearm(self, terminal: Terminal) -> None:
        if terminal.connection == "online":
            self._timers.set(("silent", terminal.id, "", ""), terminal.heard + self._allowed(terminal))

    def _start_anew(self, terminal: Terminal, component: Component, at: int) -> None:
        if component.heard:
            component.heard = max(component.heard, at)
            self._book.dirty.components.add((terminal.id, component.name))
