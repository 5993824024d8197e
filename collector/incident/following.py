"""The part of the fold that follows an incident until it is settled: when it is told, what is told together, whom it is escalated to, and when
nothing can come of it any more. All times are due times that follow from the incident as it is kept: a restart skips nothing and doubles
nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tillwatch.collector.alarm.alarms import SHELVED
from tillwatch.collector.alarm.rules import UNSTAFFED
from tillwatch.collector.book import Book
from tillwatch.collector.duty.calendars import Calendar
from tillwatch.collector.duty.clocks import NEVER, Call, advance, next_due
from tillwatch.collector.incident import incidents
from tillwatch.collector.incident.incidents import (
    ACKNOWLEDGED,
    CLOSED,
    CONSEQUENCE,
    DROPPED,
    FLEET,
    IN_REPAIR,
    RESOLVED,
    RESTORED,
    ROOT,
    SETTLING,
    Incident,
    correlation_id,
)
from tillwatch.collector.incident.service_clocks import (
    MAX_HELD,
    bounded,
    clocks_of,
    escalation_of,
    hours_of,
    on_duty_for,
    target_of,
)
from tillwatch.collector.incident.telling import Teller
from tillwatch.collector.terminal.fleet import Fleet
from tillwatch.collector.tickets.message import Op, Saying, Says, TicketState, say
from tillwatch.collector.timers import Timers

DAY_NS = 86_400 * 10**9
UNCONFIRMED = say("unconfirmed")
Told = tuple[tuple[str, str, str], ...]
"""(role, person, channel)."""


class Following:
    """release: lets go what an incident explained, once that is over for long enough. before_told: the last look at an incident that
    has settled, after which it may be part of another one. claimed: a look at an incident that a ticket says is over.
    """

    def __init__(self, book: Book, fleet: Fleet, timers: Timers, teller: Teller) -> None:
        self.teller = teller
        self._fleet = fleet
        self.release: Callable[[Incident, int], None] = lambda _, __: None
        self.before_told: Callable[[Incident, int], None] = lambda _, __: None
        self.claimed: Callable[[Incident, int], None] = lambda _, __: None
        self._book = book
        self._timers = timers

    def tell(
        self,
        corr_id: str,
        op: Op,
        at: int,
        says: Says = (),
        told: Told = (),
        *,
        wish: TicketState | None = None,
        source: str = "",
    ) -> None:
        """A message to the ticket system, if it knows of the incident at all. wish: of an update, None where the ticket stays as people have it; an
        opening and an end ask for what follows from the incident. source: the connector whose ticket said this.
        """
        incident = self._book.incidents[corr_id]
        if not incident.announced:
            return
        # Whoever is due to be told by now is told with it: one message where two would come at the same moment.
        if not told and (call := self._escalate(incident, at)) is not None:
            says, told = (*says, *call[0]), call[1]
            incident = self._book.incidents[corr_id]
        wish = wish or _wish(op, incident)
        if wish is not None:
            incident = incidents.ask(incident, wish, source)
        incident = self._book.put_incident(replace(incident, seq=incident.seq + 1, told_at=at, tell_at=0))
        self._book.dirty.messages.append(self.teller.message(incident, op, at, says, told, wish, source))

    def tell_soon(self, corr_id: str, at: int) -> None:
        """Who else is concerned changes by the second while a branch goes down: that is told together."""
        incident = self._book.incidents[corr_id]
        if incident.announced and incident.living and not incident.tell_at:
            due = max(at, incident.told_at + self._book.policy.incident.tell_every_ns)
            self._book.put_incident(replace(incident, tell_at=due))
            self.follow_up(corr_id, at)

    def follow_up(self, corr_id: str, at: int) -> None:
        """Do what is due of it by now, and set its timer."""
        self._act(corr_id, at)
        self.rearm(corr_id, at)

    def rearm(self, corr_id: str, at: int) -> None:
        incident = self._book.incidents.get(corr_id)
        due = self._next(incident, at) if incident is not None else None
        if due is None:
            self._timers.cancel(("incident", corr_id, "", ""))
        else:
            self._timers.set(("incident", corr_id, "", ""), max(due, at))

    def _next(self, incident: Incident, at: int) -> int | None:
        dues = [incident.tell_at, incident.release_at, self._escalates_at(incident, at)]
        settings = self._book.policy.incident
        if incident.claim is not None:
            dues.append(incident.claim.until)
        match incident.state:
            case incidents.SETTLING:
                dues.append(incident.settle_until)
            case incidents.RESTORED if not incident.tamper:
                dues.append(incident.restored_at + settings.confirm_ns)
            case incidents.RESOLVED:
                dues.append(incident.resolved_at + settings.verify_ns)
            case incidents.CLOSED | incidents.DROPPED if not self._book.lasting(incident):
                dues.append(incident.closed_at + settings.verify_ns)
        return min((due for due in dues if due), default=None)

    # Clocks.

    def _hours(self, incident: Incident) -> Calendar:
        """In which its clocks run."""
        known = self._fleet.terminals.get(incident.terminal)
        return hours_of(self._book.policy, incident, known.terminal_class if known is not None else "")

    def _presses(self, incident: Incident) -> bool:
        """Whether somebody is to be hurried. Not while all that is broken is shelved: the clocks go on, and what is due by the end is told then."""
        if not incident.pressing:
            return False
        own = self._book.of(incident.corr_id, ROOT, CONSEQUENCE)
        return not own or not all(each.mask(SHELVED) for each in own)

    def _escalates_at(self, incident: Incident, at: int) -> int:
        """When somebody is told next, or a target is missed; 0 for never."""
        if not self._presses(incident):
            return 0
        policy = self._book.policy
        target = target_of(policy, incident.fault, incident.level)
        hours, clocks = self._hours(incident), clocks_of(policy, incident)
        state, on_duty = escalation_of(incident), on_duty_for(policy, incident)
        dues = [next_due(target, hours, clocks, state, at, on_duty)]
        dues += [
            due
            for each in clocks
            if each.kind not in incident.missed and not each.stopped_at and (due := each.due(hours)) < NEVER
        ]
        return min((due for due in dues if due is not None), default=0)

    def _escalate(self, incident: Incident, at: int) -> tuple[Says, Told] | None:
        """Who is to be told by now, and why; None where nobody is."""
        if not self._presses(incident):
            return None
        policy = self._book.policy
        target = target_of(policy, incident.fault, incident.level)
        hours, clocks = self._hours(incident), clocks_of(policy, incident)
        late = tuple(
            each.kind
            for each in clocks
            if each.kind not in incident.missed and not each.stopped_at and each.due(hours) <= at
        )
        if late:
            incident = replace(incident, missed=(*incident.missed, *late))
            for kind in late:
                self._book.put_incident(incident, "target_missed", at, clock=kind)
        state, on_duty = escalation_of(incident), on_duty_for(policy, incident)
        after, call = advance(target, hours, clocks, state, at, on_duty)
        if call is None:
            return None
        incident = replace(
            incident, steps=tuple(sorted(after.done)), unstaffed=tuple(sorted(after.empty)), reminded=after.reminded
        )
        people = [[person.id, *channels] for person, channels in call.people]
        kind = "escalated" if call.steps else "reminded"
        roles = [each.step.role for each in call.steps]
        self._book.put_incident(incident, kind, at, roles=roles, people=people, nobody=list(call.nobody))
        for role in call.nobody if incident.fault != UNSTAFFED else ():
            self._unstaffed(role, incident, at)
        told = tuple(
            (", ".join(roles), person.name, channel) for person, channels in call.people for channel in channels
        )
        return (_calls(call), told) if told else None

    def _unstaffed(self, role: str, asked: Incident, at: int) -> None:
        """A gap in the roster is a fault of the monitoring itself: one incident for a role and a day."""
        rule, day = self._book.rules.by_id.get(UNSTAFFED), at // DAY_NS
        corr_id = correlation_id("", "", role, UNSTAFFED, day)
        if rule is None or corr_id in self._book.incidents:
            return
        level = min((rule.limits.words or {}).values(), default=2)
        gap = Incident(
            corr_id, "", "", level, SETTLING, at, 0, 0, scope=FLEET, component=role, fault=UNSTAFFED, episode=day, occurred_at=at,
            settle_until=at, cause=f"{role}, for {asked.corr_id}", drill=asked.drill,
        )  # fmt: skip
        self._book.put_incident(gap, "opened", at, fault=UNSTAFFED, level=level, role=role, asked=asked.corr_id)
        self.follow_up(corr_id, at)

    def _act(self, corr_id: str, at: int) -> None:
        settings = self._book.policy.incident
        incident = self._book.incidents[corr_id]
        if len(incident.held) > MAX_HELD:
            incident = self._book.put_incident(bounded(incident, self._hours(incident)))
        if incident.claim is not None:
            self.claimed(incident, at)
            incident = self._book.incidents[corr_id]
        if incident.state == SETTLING and incident.settle_until <= at:
            self.before_told(incident, at)
            incident = self._book.incidents[corr_id]
        if incident.state == SETTLING and incident.settle_until <= at:
            told = incidents.announce(incident, at)
            self._book.put_incident(told, "announced", at, level=told.level)
            self.tell(corr_id, Op.OPEN, at)
        elif (call := self._escalate(incident, at)) is not None:
            self.tell(corr_id, Op.UPDATE, at, *call)
        incident = self._book.incidents[corr_id]
        if 0 < incident.tell_at <= at:
            self.tell(corr_id, Op.UPDATE, at)
            incident = self._book.incidents[corr_id]
        if 0 < incident.release_at <= at:
            self.release(incident, at)  # follows it up itself, perhaps to where it is forgotten
            return
        if incident.state == RESTORED and not incident.tamper and incident.restored_at + settings.confirm_ns <= at:
            ended = replace(incident, state=RESOLVED, resolved_at=at)
            self._book.put_incident(ended, "resolved", at, by="policy", because="nobody confirmed it")
            self.tell(corr_id, Op.UPDATE, at, UNCONFIRMED, wish=TicketState.RESOLVED)
            incident = self._book.incidents[corr_id]
        if incident.state == RESOLVED and incident.resolved_at + settings.verify_ns <= at:
            ended = replace(incident, state=CLOSED, closed_at=at)
            incident = self._book.put_incident(ended, "closed", at, by="policy")
        if (
            incident.state in (CLOSED, DROPPED)
            and not self._book.lasting(incident)
            and incident.closed_at + settings.verify_ns <= at
        ):
            for alarm in self._book.of(corr_id):  # what flapped, rests and has not been seen since
                self._book.leave(alarm, at)
            self._book.forget(corr_id)


def _wish(op: Op, incident: Incident) -> TicketState | None:
    """Who had taken it on has it again when it is back; what the readings alone say to be over is for people to settle, level 3 aside."""
    match op:
        case Op.OPEN:
            return TicketState.WORKING if incident.state in (ACKNOWLEDGED, IN_REPAIR) else TicketState.OPEN
        case Op.RESOLVE if incident.state == RESOLVED:
            return TicketState.RESOLVED
    return None


def _calls(call: Call) -> Says:
    """Why somebody is told."""
    if not call.steps:
        return say("reminder")
    return tuple(
        Saying("text", {"text": each.step.text}) if each.step.text else Saying("told_role", {"role": each.step.role})
        for each in call.steps
    )
