"""The part of the fold that keeps alarms from being told: shelves that people put them on, and maintenance windows. Each has its end, and what
still lasts then is told.
"""

from __future__ import annotations

from dataclasses import replace

from tillwatch.collector.alarm import alarms
from tillwatch.collector.alarm.alarms import Alarm, Mask
from tillwatch.collector.alarm.alarms import Key as AlarmKey
from tillwatch.collector.book import Book
from tillwatch.collector.duty.windows import Window
from tillwatch.collector.incident.handling import Handling
from tillwatch.collector.terminal.fleet import Fleet
from tillwatch.collector.timers import Key as TimerKey
from tillwatch.collector.timers import Timers


class Masking:
    """made: the windows that people made, by id; those of the policy are beside them."""

    def __init__(self, book: Book, fleet: Fleet, timers: Timers, handling: Handling) -> None:
        self.made: dict[str, Window] = {}
        self.active: dict[str, Window] = {}
        self._book = book
        self._fleet = fleet
        self._timers = timers
        self._handling = handling

    # Shelves.

    def shelve(self, alarm: Alarm, until: int, by: str, reason: str, at: int) -> None:
        """Until then it is not told. Level 1 takes a second person: who asks has seen to that."""
        until = min(until, at + alarms.SHELF_NS)
        changed = alarms.masked(alarm, Mask(alarms.SHELVED, at, until, by=by, reason=reason))
        if until > at and changed is not None:
            self._book.put(*changed, at, {"kind": alarms.SHELVED, "until": until, "by": by, "reason": reason})
            self._timers.set(_shelf_timer(alarm.key), until)
            self._handling.mask_changed(changed[0], at)

    def unshelve(self, key: AlarmKey, by: str, at: int) -> None:
        self._timers.cancel(_shelf_timer(key))
        self._unmask(self._book.alarms[key], alarms.SHELVED, at, by)

    def shelf_due(self, key: AlarmKey, due: int) -> None:
        self._unmask(self._book.alarms[key], alarms.SHELVED, due, "")

    def _unmask(self, alarm: Alarm, kind: str, at: int, by: str) -> None:
        changed = alarms.unmasked(alarm, kind)
        if changed is None:
            return
        self._book.put(*changed, at, {"kind": kind, "by": by})
        if not changed[0].ack_until:
            self._timers.cancel(ack_timer(alarm.key))
        rule = self._book.rule(alarm.rule)
        if rule is not None:
            self._handling.rises(rule, changed[0], at)
        self._handling.mask_changed(self._book.alarms[alarm.key], at)

    # Maintenance windows.

    def windows(self) -> dict[str, Window]:
        return {each.id: each for each in self._book.policy.windows} | self.made

    def covered(self, alarm: Alarm, at: int) -> Alarm:
        """With the mask of the window that it is raised in, if there is one."""
        window = self.window_of(alarm.terminal, alarm.component)
        if window is None:
            return replace(alarm, masks=tuple(each for each in alarm.masks if each.kind != alarms.MAINTENANCE))
        mask = Mask(alarms.MAINTENANCE, at, ref=window.id, by=window.by, reason=window.reason)
        changed = alarms.masked(alarm, mask)
        return alarm if changed is None else changed[0]

    def window_of(self, terminal: str, component: str = "") -> Window | None:
        """The window that is open for it, the first by id."""
        place = self._fleet.terminals[terminal]
        for _, window in sorted(self.active.items()):
            if window.covers(terminal, place.branch, place.region, component):
                return window
        return None

    def make(self, window: Window, at: int) -> None:
        self.made[window.id] = window
        self._book.dirty.windows[window.id] = window.pack()
        self.window_due(window.id, at)

    def cancel(self, window_id: str, at: int) -> None:
        if self.made.pop(window_id, None) is not None:
            self._book.dirty.windows[window_id] = None
        self.window_due(window_id, at)

    def window_due(self, window_id: str, at: int) -> None:
        """It opens or closes, or was made or taken away."""
        window = self.windows().get(window_id)
        was = self.active.get(window_id)
        now = window if window is not None and window.active(at) else None
        following = window.next_change(at) if window is not None else None
        timer = ("window", window_id, "", "")
        if following is None:
            self._timers.cancel(timer)
            if window is not None and now is None and self.made.pop(window_id, None) is not None:
                self._book.dirty.windows[window_id] = None  # over for good: its entries are in the journal
        else:
            self._timers.set(timer, following)
        if was == now:
            return
        if now is None:
            del self.active[window_id]
        else:
            self.active[window_id] = now
        for terminal in sorted(self._fleet.terminals):
            place = self._fleet.terminals[terminal]
            if not any(each.touches(terminal, place.branch, place.region) for each in (was, now) if each is not None):
                continue
            self._book.touched.add(terminal)
            for key in sorted(self._book.of_terminal.get(terminal, ())):
                self._review(key, at)

    def _review(self, key: AlarmKey, at: int) -> None:
        """An alarm whose window has changed."""
        alarm = self._book.alarms[key]
        if not alarm.open and not alarm.mask(alarms.FLAPPING):
            return
        covered = self.covered(alarm, at)
        mask = covered.mask(alarms.MAINTENANCE)
        if mask is None:
            self._unmask(alarm, alarms.MAINTENANCE, at, "")
        elif alarm.mask(alarms.MAINTENANCE) is None or alarm.mask(alarms.MAINTENANCE).ref != mask.ref:  # type: ignore[union-attr]  # looked at just now
            self._book.put(
                covered, "masked", at, {"kind": mask.kind, "ref": mask.ref, "by": mask.by, "reason": mask.reason}
            )
            self._handling.mask_changed(covered, at)

    def load_windows(self, at: int) -> None:
        """What is open at this time, without telling anybody: it was so before."""
        self.active = {name: window for name, window in self.windows().items() if window.active(at)}

    def rearm(self, at: int) -> None:
        for name, window in self.windows().items():
            following = window.next_change(at)
            if following is not None:
                self._timers.set(("window", name, "", ""), following)
        for alarm in self._book.alarms.values():
            shelf = alarm.mask(alarms.SHELVED)
            if shelf is not None:
                self._timers.set(_shelf_timer(alarm.key), max(shelf.until, at))


def ack_timer(key: AlarmKey) -> TimerKey:
    """Of the end of an acknowledgement."""
    return "ack", key[1], key[2], key[0]


def _shelf_timer(key: AlarmKey) -> TimerKey:
    return "shelf", key[1], key[2], key[0]
