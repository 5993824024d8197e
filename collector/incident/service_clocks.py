"""The clocks of an incident as the policy has them: what the fold follows and what people are shown is computed here, once. Pure."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import replace
from itertools import pairwise

from tillwatch.collector.alarm.rules import PREDICTED, REGULATOR
from tillwatch.collector.duty.calendars import Calendar
from tillwatch.collector.duty.clocks import Clock, Escalation, OnDuty
from tillwatch.collector.duty.policy import Policy
from tillwatch.collector.duty.targets import REPAIR, RESPONSE, Target
from tillwatch.collector.incident.incidents import WELL, Incident

MAX_HELD = 64
"""Pauses that an incident keeps, each by itself: more than people ever make. A fault that returns for months makes one each time."""


def target_of(policy: Policy, fault: str, level: int) -> Target:
    """What is promised for an incident of this fault and level: of an outage that must be reported the regulator's clocks."""
    return policy.regulator.target if fault == REGULATOR and policy.regulator is not None else policy.targets[level]


def clocks_of(policy: Policy, incident: Incident) -> tuple[Clock, Clock]:
    """Of the response and of the repair. Restored by its readings stops both: the customer is served again, and nobody is called for what is over.
    A report to the regulator is due all the same: only a person stops its clocks. What is foreseen is planned work: both are held from the first.
    """
    target = target_of(policy, incident.fault, incident.level)
    restored = incident.restored_at if incident.fault != REGULATOR else 0
    held = tuple((since, until) for since, until, _ in incident.held)
    began = incident.response_from or incident.opened_at
    if incident.fault in PREDICTED:
        answered, ended = incident.responded_at or restored, restored or incident.resolved_at
        return (
            Clock(RESPONSE, began, target.response_ns, ((began, answered),), answered),
            Clock(REPAIR, incident.opened_at, target.repair_ns, ((incident.opened_at, ended),), ended),
        )
    return (
        Clock(RESPONSE, began, target.response_ns, stopped_at=incident.responded_at or restored),
        Clock(REPAIR, incident.opened_at, target.repair_ns, held, restored or incident.resolved_at),
    )


def hours_of(policy: Policy, incident: Incident, terminal_class: str) -> Calendar:
    """In which both run."""
    if incident.fault == REGULATOR and policy.regulator is not None:
        return policy.calendars[policy.regulator.target.hours]
    return policy.calendar(incident.level, terminal_class, incident.branch)


def escalation_of(incident: Incident) -> Escalation:
    """What was done about it."""
    return Escalation(frozenset(incident.steps), frozenset(incident.unstaffed), incident.reminded)


def on_duty_for(policy: Policy, incident: Incident) -> OnDuty:
    """Who has a role, where the incident is."""
    return lambda role, at: policy.roster.on_duty(role, at, incident.branch, incident.region)


def bounded(incident: Incident, hours: Calendar) -> Incident:
    """With at most MAX_HELD pauses: of the times in which it was well the oldest two become one that ends with the second and is as long as both
    in open time. The clock shows the same from that end on; before it people were told already. Pauses that people made stay as they are.
    """
    held = list(incident.held)
    while len(held) > MAX_HELD:
        pairs = enumerate(pairwise(held))
        found = next((i for i, (a, b) in pairs if a[2] == b[2] == WELL and b[1]), None)
        if found is None:
            break
        (since, until, _), (again, end, _) = held[found : found + 2]
        length = hours.between(since, until)
        moved = range(since, again)
        begun = since + bisect_left(moved, -length, key=lambda at: -hours.between(at, again))
        held[found : found + 2] = [(begun, end, WELL)]
    return incident if len(held) == len(incident.held) else replace(incident, held=tuple(held))
