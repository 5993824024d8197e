"""What people say, as the fold takes it: of alarms, incidents, maintenance windows, terminals and figures. What does not apply any more changes
nothing; whoever asks for it was told so, or learns it from what is shown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from tillwatch.collector.alarm.alarming import Alarming
from tillwatch.collector.alarm.alarms import Alarm
from tillwatch.collector.alarm.masking import Masking
from tillwatch.collector.alarm.rules import PREDICTED
from tillwatch.collector.book import Book
from tillwatch.collector.duty.windows import Window
from tillwatch.collector.incident import incidents
from tillwatch.collector.incident.following import Following
from tillwatch.collector.incident.incidents import ROOT, Incident
from tillwatch.collector.incident.regrouping import Regrouping
from tillwatch.collector.journal import Entry
from tillwatch.collector.records import LIFE_CYCLE, Correction
from tillwatch.collector.terminal.fleet import IN_SERVICE, Fleet
from tillwatch.collector.tickets.message import Op, Says, TicketState, say

ACTS = frozenset({
    "acknowledge", "shelve", "unshelve", "window", "window-cancel", "life-cycle", "hold", "resume", "assign", "in-repair", "resolve", "close",
    "note", "drill", "correct", "split", "merge",
})  # fmt: skip


class Operators:
    """answered: told that a person has settled an incident."""

    def __init__(
        self,
        book: Book,
        fleet: Fleet,
        alarming: Alarming,
        masking: Masking,
        following: Following,
        regrouping: Regrouping,
    ) -> None:
        self._book = book
        self._fleet = fleet
        self._alarming = alarming
        self._masking = masking
        self._following = following
        self._regrouping = regrouping
        self.answered: Callable[[Incident, int], None] = lambda _, __: None

    def act(self, entry: Entry, facts: Mapping[str, Any]) -> None:
        action = facts["action"]
        if action in ("shelve", "unshelve") or (action == "acknowledge" and "alarm" in facts):
            self._alarm(action, entry, facts)
        elif "incident" in facts and action in ACTS:
            self._incident(action, entry.at, facts)
        elif action == "ticket-retry":
            self._book.dirty.retries.append((str(facts.get("incident", "")), str(facts.get("connector", ""))))
        elif action == "window":
            self._masking.make(Window.of_facts(facts), entry.at)
        elif action == "window-cancel":
            self._masking.cancel(str(facts["id"]), entry.at)
        elif action == "life-cycle":
            self._life_cycle(entry, facts)
        elif action == "drill":
            self._alarming.drill(entry.terminal, facts, entry.at)
        elif action == "correct":
            self._correct(entry, facts)

    def _alarm(self, action: str, entry: Entry, facts: Mapping[str, Any]) -> None:
        alarm, by = self._alarming.find(entry.terminal, int(facts["alarm"])), str(facts["actor"])
        if alarm is None:
            return
        if action == "acknowledge":
            decides = self._decides(alarm)
            self._alarming.acknowledge(alarm, by, str(facts.get("note", "")), entry.at)
            incident = self._book.incidents.get(alarm.incident)
            if incident is not None and decides:
                self._change(
                    incident, incidents.acknowledge(incident, by, entry.at), "acknowledged", entry.at, by, facts
                )
        elif action == "shelve":
            self._masking.shelve(alarm, int(facts["until"]), by, str(facts["reason"]), entry.at)
        else:
            self._masking.unshelve(alarm.key, by, entry.at)

    def _decides(self, alarm: Alarm) -> bool:
        """Whether who takes the alarm on takes its incident on: it is what is broken, or was, before it was over."""
        incident = self._book.incidents.get(alarm.incident)
        if incident is None:
            return False
        roots = {each.key for each in self._book.of(incident.corr_id, ROOT)}
        return alarm.key in roots or alarm.key == (incident.fault, incident.terminal, incident.component)

    def _incident(self, action: str, at: int, facts: Mapping[str, Any]) -> None:
        incident, by = self._book.incidents.get(str(facts["incident"])), str(facts["actor"])
        if incident is None:
            return
        after: Incident | None = None
        match action:
            case "acknowledge" | "assign":
                after = incidents.acknowledge(incident, str(facts.get("to") or by), at)
                for alarm in self._book.of(incident.corr_id) if after is not None else ():
                    if not alarm.acked_at:
                        self._alarming.acknowledge(alarm, by, str(facts.get("note", "")), at)
            case "in-repair":
                after = incidents.begin_repair(incident, by, at)
            case "hold":
                after = incidents.hold(incident, str(facts["reason"]), at)
            case "resume":
                after = incidents.resume(incident, at)
            case "resolve":
                self._resolve(incident, by, at, facts)
                return
            case "split":
                numbers = [int(each) for each in facts["alarms"]]
                self._regrouping.split(incident, numbers, by, str(facts.get("note", "")), at)
                return
            case "merge":
                into = self._book.incidents.get(str(facts["into"]))
                if into is not None:
                    self._regrouping.merge(incident, into, by, str(facts.get("note", "")), at)
                return
            case "close":
                after = incidents.close(incident, at)
            case "note":
                after = incident
        self._change(incident, after, _KINDS[action], at, by, facts)

    def _change(
        self, incident: Incident, after: Incident | None, kind: str, at: int, by: str, facts: Mapping[str, Any]
    ) -> None:
        if after is None:
            return
        detail = {name: facts[name] for name in ("to", "reason", "note", "text") if facts.get(name)}
        self._book.put_incident(after, kind, at, by=by, **detail)
        wish = _WISHES.get(kind)
        if wish is TicketState.WORKING and after.on_hold:
            wish = None  # who takes it on does not end the hold
        self._following.tell(incident.corr_id, Op.UPDATE, at, _said(kind, by, detail), wish=wish)
        self._following.follow_up(incident.corr_id, at)

    def _resolve(self, incident: Incident, by: str, at: int, facts: Mapping[str, Any]) -> None:
        """A person says that it is mended. Where the readings say that it is not, it is open again at once, and says so."""
        verdict, part, note = (str(facts.get(name, "")) for name in ("verdict", "part", "note"))
        after = incidents.resolve(incident, verdict, part, at)
        if after is None:
            return
        self._book.put_incident(after, "resolved", at, by=by, verdict=verdict, part=part, note=note)
        if verdict:
            self._book.put_incident(after, "verdict", at, by=by, verdict=verdict, part=part)
        for alarm in self._book.of(incident.corr_id) if incident.tamper else ():
            # Who resolves it has looked: what only waited for that is over with it.
            self._alarming.acknowledge(alarm, by, note, at)
        # No reading says that what was foreseen is still to come: there the person's word is the last one.
        last = [each for each in self._book.of(incident.corr_id, ROOT) if each.open and each.rule not in PREDICTED]
        if last:
            back = replace(incidents.reopen(after, at), reopened=after.reopened + 1)
            self._book.put_incident(back, "reopened", at, because="the fault is still there", alarm=last[0].id)
            self._following.tell(incident.corr_id, Op.OPEN, at, say("resolved_but_there", by=by))
        else:
            self._following.tell(incident.corr_id, Op.RESOLVE, at, _said("resolved", by, {"note": note}))
        self._following.follow_up(incident.corr_id, at)
        self.answered(incident, at)

    def _life_cycle(self, entry: Entry, facts: Mapping[str, Any]) -> None:
        terminal = self._fleet.terminals.get(entry.terminal)
        state = str(facts["state"])
        if terminal is None or state not in (IN_SERVICE, *LIFE_CYCLE) or state == terminal.life_cycle:
            return
        terminal.life_cycle = state
        self._book.dirty.terminals.add(terminal.id)
        self._book.touched.add(terminal.id)
        self._alarming.judge_anew(terminal.id, entry.at)

    def _correct(self, entry: Entry, facts: Mapping[str, Any]) -> None:
        self._book.dirty.corrections.append(
            Correction(
                entry.n,
                entry.terminal,
                int(facts["from"]),
                int(facts["to"]),
                str(facts["counts_as"]),
                str(facts["reason"]),
                str(facts.get("party", "unknown")),
                str(facts["actor"]),
                entry.at,
            )
        )


_KINDS: Mapping[str, str] = {
    "acknowledge": "acknowledged", "assign": "assigned", "in-repair": "in_repair", "hold": "held", "resume": "resumed", "close": "closed",
    "note": "note",
}  # fmt: skip

_WISHES: Mapping[str, TicketState] = {
    "acknowledged": TicketState.WORKING, "assigned": TicketState.WORKING, "in_repair": TicketState.WORKING, "held": TicketState.ON_HOLD,
    "resumed": TicketState.WORKING, "closed": TicketState.CLOSED,
}  # fmt: skip
"""What a person's act asks of the ticket."""


def _said(kind: str, by: str, detail: Mapping[str, Any]) -> Says:
    return say(kind, by=by, words="; ".join(str(each) for each in detail.values() if each))
