"""The part of the fold that tells of what comes and goes: once that it does, and once that it has ended, instead of each turn."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

from tillwatch.collector.alarm import alarms, flapping
from tillwatch.collector.alarm.alarms import Alarm, Mask
from tillwatch.collector.alarm.alarms import Key as AlarmKey
from tillwatch.collector.book import Book
from tillwatch.collector.incident import incidents
from tillwatch.collector.incident.following import Following
from tillwatch.collector.incident.incidents import CONSEQUENCE, ROOT, TERMINAL
from tillwatch.collector.terminal.fleet import Fleet
from tillwatch.collector.tickets.message import Op, say
from tillwatch.collector.timers import Timers


class SettleDown(Protocol):
    """After an alarm has left its incident: whether that is over."""

    def __call__(self, corr_id: str, last: Alarm, at: int) -> None: ...


class Restless:
    def __init__(self, book: Book, fleet: Fleet, timers: Timers, following: Following, settle_down: SettleDown) -> None:
        self._book = book
        self._fleet = fleet
        self._timers = timers
        self._following = following
        self._settle_down = settle_down

    def rearm(self, at: int) -> None:
        """From the alarms as they are kept."""
        for alarm in self._book.alarms.values():
            if alarm.mask(alarms.FLAPPING):
                calm = flapping.calm_at(alarm.turns, self._book.policy.incident)
                self._timers.set(("flap", alarm.terminal, alarm.component, alarm.rule), max(calm, at))

    def turned(self, alarm: Alarm, at: int) -> Alarm:
        """Count its turn, and say once that it flaps instead of telling of each."""
        if flapping.begins(alarm.turns, at, self._book.policy.incident) and not alarm.mask(alarms.FLAPPING):
            mask = Mask(alarms.FLAPPING, at, reason=f"{len(alarm.turns)} turns")
            changed = alarms.masked(alarm, mask)
            assert changed is not None
            self._book.put(*changed, at, {"kind": mask.kind, "reason": mask.reason})
            alarm = changed[0]
            self._say_intermittent(alarm, at)
        if alarm.mask(alarms.FLAPPING):
            self._timers.set(
                ("flap", alarm.terminal, alarm.component, alarm.rule),
                flapping.calm_at(alarm.turns, self._book.policy.incident),
            )
        return alarm

    def _say_intermittent(self, alarm: Alarm, at: int) -> None:
        """Once, in the place of its single turns."""
        incident = self._book.incidents.get(alarm.incident)
        verify = self._book.policy.incident.verify_ns
        if incident is None or not incident.announced or incident.scope != TERMINAL:
            return
        if incident.terminal != alarm.terminal:
            return  # a symptom of it, whose turns are not what it is about
        over = incidents.over_since(incident)
        if alarm.mask(alarms.CHILD) or (over and (not alarm.open or alarm.muted or at - over > verify)):
            return
        op = Op.UPDATE
        if over:
            op, back = Op.OPEN, incidents.reopen(incident, at)
            incident = self._book.put_incident(
                back, "reopened", at, alarm=alarm.id, settled=back.reopened > incident.reopened
            )
        self._book.put_incident(replace(incident, intermittent=True), "intermittent", at, alarm=alarm.id)
        if not alarm.muted:
            self._following.tell(alarm.incident, op, at, say("intermittent"))
        self._following.follow_up(alarm.incident, at)

    def due(self, key: AlarmKey, due: int) -> None:
        """It has been calm for long enough."""
        alarm = self._book.alarms[key]
        calm = flapping.calm_at(alarm.turns, self._book.policy.incident)
        if calm > due:
            self._timers.set(("flap", alarm.terminal, alarm.component, alarm.rule), calm)
            return
        quiet = self._book.policy.incident.flap_quiet_ns
        # Silence is not calm: it must have been watched for as long.
        calm = self._watched_from(alarm, due) + quiet
        if calm > due:
            self._timers.set(("flap", alarm.terminal, alarm.component, alarm.rule), calm)
            return
        changed = alarms.unmasked(alarm, alarms.FLAPPING)
        if changed is None:
            return
        self._book.put(*changed, due, {"kind": alarms.FLAPPING})
        alarm, incident = changed[0], self._book.incidents.get(alarm.incident)
        if incident is None:
            return
        own = self._book.of(incident.corr_id, ROOT, CONSEQUENCE)
        if incident.intermittent and not any(each.mask(alarms.FLAPPING) for each in own):
            self._book.put_incident(replace(incident, intermittent=False), "steady", due, alarm=alarm.id)
        if not alarm.open and alarm.key in self._book.members.get(alarm.incident, {}):
            self._book.leave(alarm, due)
            self._settle_down(alarm.incident, alarm, due)

    def _watched_from(self, alarm: Alarm, now: int) -> int:
        """Since when its readings come: now where they do not. Of whether a device can be read the terminal alone is the witness."""
        terminal, rule = self._fleet.terminals[alarm.terminal], self._book.rule(alarm.rule)
        if rule is None or not rule.signal:
            return 0
        part = terminal.components.get(alarm.component)
        hidden = part is not None and part.unknown and rule.signal != "monitor.source"
        return now if terminal.connection != "online" or hidden else terminal.up_received
