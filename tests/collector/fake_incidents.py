"""Incidents for the fleet that is the same on every run: one for each alarm that has an incident, through the same words as real ones."""

from __future__ import annotations

from tillwatch.collector.alarm.alarms import Alarm, AlarmEvent
from tillwatch.collector.alarm.rules import parse_rules
from tillwatch.collector.changes import Membership
from tillwatch.collector.duty.policy import parse_policy
from tillwatch.collector.incident.case import Case
from tillwatch.collector.incident.history import lines_of
from tillwatch.collector.incident.incident_views import (
    ClockView,
    EventView,
    IncidentFile,
    IncidentView,
    InForce,
    MemberView,
    StepView,
)
from tillwatch.collector.incident.incidents import ROOT, Incident
from tillwatch.collector.incident.why import explain_incident
from tillwatch.collector.read import AlarmView, OutgoingView, TicketView
from tillwatch.collector.records import IncidentEvent

IN_FORCE = InForce(parse_rules(), parse_policy())
NANO = 1_000_000_000


def incident_of(alarm: AlarmView, now: int) -> IncidentView:
    settled = alarm.condition == "normal"
    clocks = tuple(
        ClockView(kind, alarm.raised_at, target, alarm.raised_at + int(target) * NANO, 600.0, 600.0, 0, "running", now > alarm.raised_at + int(target) * NANO)
        for kind, target in (("response", 1800.0), ("repair", 14_400.0))
    )  # fmt: skip
    return IncidentView(
        id=alarm.incident, state="closed" if settled else "open", level=alarm.level, scope="terminal", fault=alarm.rule, text=alarm.text, cause="",
        region="", branch=alarm.branch, terminal=alarm.terminal, component=alarm.component, occurred_at=alarm.raised_at, opened_at=alarm.raised_at,
        settle_until=0, announced_at=alarm.raised_at, responded_at=0, repair_at=0, restored_at=alarm.cleared_at, resolved_at=alarm.cleared_at,
        closed_at=alarm.cleared_at, owner=alarm.acked_by, on_hold="", hold_text="", parent="", reopened=0, intermittent=False, tamper=False, drill=False, verdict="",
        part="", alarms=int(not settled), terminals=1, clocks=() if settled else clocks, ticket=TicketView(alarm.ticket, "", alarm.ticket_state),
    )  # fmt: skip


def case_of(alarm: AlarmView, now: int) -> Case:
    detail = {
        "signal": alarm.signal,
        "value": alarm.value,
        "unit": alarm.unit,
        "at": alarm.raised_at,
        "since": alarm.raised_at,
    }
    one = Alarm(alarm.id, alarm.rule, alarm.terminal, alarm.component, 1, alarm.condition, alarm.level, alarm.raised_at, alarm.cleared_at, alarm.incident, detail)  # fmt: skip
    incident = Incident(alarm.incident, alarm.terminal, alarm.branch, alarm.level, "open", alarm.raised_at, 0, 1, announced_at=alarm.raised_at, response_from=alarm.raised_at, fault=alarm.rule)  # fmt: skip
    member = Membership(alarm.incident, alarm.id, alarm.rule, alarm.terminal, alarm.component, ROOT, alarm.raised_at, 0)
    events = (
        IncidentEvent(alarm.incident, "opened", alarm.raised_at, {}),
        IncidentEvent(
            alarm.incident, "joined", alarm.raised_at, {"alarm": alarm.id, "role": ROOT, "terminal": alarm.terminal}
        ),
        IncidentEvent(alarm.incident, "note", alarm.raised_at, {"by": "li.wei", "text": str(alarm.value)}),
    )
    return Case(
        now, *(IN_FORCE.rules, IN_FORCE.policy), one, [AlarmEvent(alarm.id, "raised", alarm.raised_at, alarm.level, detail)], "atm", incident=incident,
        events=events, members=[member], ticket=TicketView(alarm.ticket, "", alarm.ticket_state),
        messages=[OutgoingView(1, "desk", alarm.incident, "open", 1, alarm.level, "", "", "", alarm.raised_at, "done", 1, 0, alarm.raised_at + NANO, "201")],
    )  # fmt: skip


def file_of(alarm: AlarmView, now: int) -> IncidentFile:
    case = case_of(alarm, now)
    return IncidentFile(
        incident_of(alarm, now), alarm.cause, alarm.consequence, alarm.action, (MemberView(ROOT, alarm.raised_at, 0, alarm),), 0, (),
        tuple(EventView(event.at, event.kind, lines_of(event, case)) for event in case.events),
        (StepView("response", "duty engineer", ("phone", "sms"), "", 0, done=True, nobody=False), StepView("response", "backup engineer", ("phone",), "", now + 60 * NANO, done=False, nobody=False)),
        tuple(case.messages), explain_incident(case),
    )  # fmt: skip
