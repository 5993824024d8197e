"""Why was somebody told, why not: the answer to that for every alarm and incident, out of what is kept and nothing else. Pure; the time by which
deadlines are read is part of the case.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from tillwatch.collector.alarm import alarms
from tillwatch.collector.alarm.alarms import Alarm, AlarmEvent, Mask
from tillwatch.collector.alarm.rules import Rule
from tillwatch.collector.duty.clocks import NEVER, next_step
from tillwatch.collector.duty.policy import Policy
from tillwatch.collector.incident import incidents
from tillwatch.collector.incident.case import Case, Line, Values, Why
from tillwatch.collector.incident.incidents import CONSEQUENCE, DROPPED, ROOT, SETTLING, SYMPTOM, TERMINAL, Incident
from tillwatch.collector.incident.service_clocks import clocks_of, escalation_of, hours_of, on_duty_for, target_of
from tillwatch.collector.terminal.fleet import IN_SERVICE
from tillwatch.collector.tickets.message import Op

RULE, PLACE, MASK, PEOPLE, CLOCK, TICKET = "rule", "place", "mask", "people", "clock", "ticket"
"""What a line is about, in the order in which they are said."""
TOLD, WAITS, NOT_TOLD = "told", "waits", "not_told"

NS = 10**9
MAX_CALLS = 20
"""Calls of the escalation that are named, the latest: an incident that nobody takes on reminds every five minutes."""
MAX_MASKED = 5
"""Times at which it was masked before that are named, the latest."""


def explain(case: Case) -> Why:
    """Of the alarm that the case is about."""
    told, head = _head_of_alarm(case)
    # What came of an incident that it was part of before says nothing about now.
    topics = (_people, _clock, _ticket) if case.role else ()
    return Why(told, head, tuple(line for topic in (_rule, _place, _mask, *topics) for line in topic(case)))


def explain_incident(case: Case) -> Why:
    """Of the incident. Its alarm, if the case has one, is the one that it is about: it gives what decided."""
    told, head = _head_of_incident(case)
    lines = (*_decided(case), *_extent(case), *_people(case), *_clock(case), *_ticket(case))
    return Why(told, head, lines)


# The answer.


def _head_of_alarm(case: Case) -> tuple[str, Line]:
    alarm, incident = case.alarm, case.incident
    assert alarm is not None
    if (mask := alarm.mask(alarms.SHELVED)) is not None and not _announced(case):
        return NOT_TOLD, Line("", "why.no_shelved", {"by": mask.by, "until_at": mask.until, "reason": mask.reason})
    if (mask := alarm.mask(alarms.MAINTENANCE)) is not None and not _announced(case):
        return NOT_TOLD, Line("", "why.no_maintenance", {"window": mask.ref, "reason": mask.reason})
    if incident is None or not case.role:
        return NOT_TOLD, Line("", "why.no_incident")
    if case.role == SYMPTOM:
        key = "why.with_cause" if incident.announced else "why.with_cause_waits"
        values = {"incident": incident.corr_id, "text_rule": incident.fault}
        return NOT_TOLD if incident.announced else WAITS, Line("", key, values)
    return _head_of_incident(case)


def _announced(case: Case) -> bool:
    return case.incident is not None and case.incident.announced and case.role in (ROOT, CONSEQUENCE)


def _head_of_incident(case: Case) -> tuple[str, Line]:
    incident = case.incident
    assert incident is not None
    named = {"incident": incident.corr_id}
    if incident.announced:
        return TOLD, Line("", "why.yes", {**named, "announced_at": incident.announced_at})
    if incident.state == SETTLING:
        return WAITS, Line("", "why.not_yet", {**named, "until_at": incident.settle_until})
    if incident.state == DROPPED and incident.parent:
        return NOT_TOLD, Line("", "why.taken_up", {**named, "parent": incident.parent})
    return NOT_TOLD, Line("", "why.never", named)


# Which rule, and what decided.


def _rule(case: Case) -> Iterator[Line]:
    yield from _decided(case)
    alarm = case.alarm
    rule = case.rules.by_id.get(alarm.rule) if alarm is not None else None
    if alarm is not None and rule is not None:
        if alarm.episode > 1:
            yield Line(RULE, "why.episode", {"episode": alarm.episode})
        yield from _condition(rule, alarm)


def _decided(case: Case) -> Iterator[Line]:
    alarm = case.alarm
    if alarm is None:
        return
    rule = case.rules.by_id.get(alarm.rule)
    if alarm.drill and "until" in alarm.detail:
        yield Line(
            RULE, "why.drill", {"by": str(alarm.detail.get("value", "")), "until_at": int(alarm.detail["until"])}
        )
    yield Line(RULE, "why.rule", {"rule": alarm.rule, "text_rule": alarm.rule})
    if rule is None:
        yield Line(RULE, "why.rule_gone")
        return
    deciding = _deciding(case)
    detail = deciding.detail if deciding is not None else alarm.detail
    level = deciding.level if deciding is not None else alarm.level
    if not alarm.drill or detail.get("signal"):
        yield _limit(rule, detail)
    if detail.get("signal") and detail.get("at"):
        yield Line(RULE, "why.read", {"read_at": int(detail["at"])})
    if (graded := case.policy.classes.of(case.terminal_class).levels.get(alarm.rule)) is not None:
        yield Line(RULE, "why.class_level", {"class": case.terminal_class, "level": graded})
    else:
        yield Line(RULE, "why.level", {"level": level})
    since = int(detail.get("since") or alarm.raised_at)
    begun = next(
        (each.at for each in reversed(case.alarm_events) if each.kind in ("raised", "recurred")), alarm.raised_at
    )
    yield Line(RULE, "why.since", {"since_at": since, "raised_at": begun})
    if rule.limits.for_ns and not alarm.drill:
        yield Line(RULE, "why.lasted", {"for_s": rule.limits.for_ns / NS})


def _deciding(case: Case) -> AlarmEvent | None:
    """The last change that made it what it is, or was before it ended."""
    kinds = ("raised", "recurred", "level", "evidence")
    return next((each for each in reversed(case.alarm_events) if each.kind in kinds), None)


def _limit(rule: Rule, detail: Mapping[str, object]) -> Line:
    """What of the rule the value has met, with the value."""
    value, limits = detail.get("value"), rule.limits
    said: dict[str, int | float | str] = {
        "signal": str(detail.get("signal") or ""),
        "value": value if isinstance(value, int | float | str) else "",
        "unit": str(detail.get("unit") or ""),
    }
    if not rule.signals:
        return Line(RULE, "why.found" if said["value"] else "why.found_itself", said)
    if isinstance(value, str) and value in (limits.words or {}):
        return Line(RULE, "why.word", said)
    if isinstance(value, int | float):
        for key, steps, beyond in (
            ("why.above", limits.above, [step for step in limits.above if value > step.limit]),
            ("why.below", limits.below, [step for step in limits.below if value < step.limit]),
        ):
            if beyond:
                return Line(RULE, key, {**said, "limit": beyond[-1].limit})
            if steps and limits.judged is None:
                return Line(RULE, "why.not_back", {**said, "limit": steps[0].limit, "deadband": limits.deadband})
    return Line(RULE, "why.judged", said)


def _condition(rule: Rule, alarm: Alarm) -> Iterator[Line]:
    if alarm.condition == "unknown":
        yield Line(RULE, "why.blind")
    if alarm.open:
        if rule.limits.hold_ns and not alarm.drill:
            yield Line(RULE, "why.clears", {"hold_s": rule.limits.hold_ns / NS})
        if rule.latched:
            yield Line(RULE, "why.latched")
        return
    yield Line(RULE, "why.over", {"cleared_at": alarm.cleared_at})
    if alarm.returned:
        yield Line(RULE, "why.returned")


# Which incident, and why that one.


def _place(case: Case) -> Iterator[Line]:
    alarm, incident = case.alarm, case.incident
    if alarm is None:
        return
    if incident is None:
        yield Line(PLACE, "why.no_place")
        return
    named = {"incident": incident.corr_id, "text_rule": incident.fault}
    root = next((each for each in case.members if each.role == ROOT and each.alarm != alarm.id), None)
    match case.role:
        case incidents.ROOT:
            yield Line(PLACE, "why.root", named)
        case incidents.CONSEQUENCE if root is not None:
            yield Line(PLACE, "why.follows", {**named, "text_rule": root.rule, "component": root.component})
        case incidents.CONSEQUENCE:
            yield Line(PLACE, "why.belongs", named)
        case incidents.SYMPTOM if incident.scope == TERMINAL:
            explains = fault.explains if (fault := case.rules.by_id.get(incident.fault)) is not None else ""
            key = _EXPLAINED.get(explains, "why.explained")
            yield Line(PLACE, key, {**named, "terminal": incident.terminal, "component": incident.component})
        case incidents.SYMPTOM:
            yield Line(
                PLACE, "why.common", {**named, "cause": incident.cause, "place": incident.branch or incident.region}
            )
        case _:
            yield Line(PLACE, "why.was_part", named)
    yield from _history(case)


_EXPLAINED = {"power": "why.explained_power", "network": "why.explained_network", "host": "why.explained_host"}


def _history(case: Case) -> Iterator[Line]:
    incident = case.incident
    assert incident is not None
    if incident.parent:
        fault = case.parent.fault if case.parent is not None else ""
        merged = case.parent is not None and incident.corr_id in case.parent.took
        yield Line(PLACE, "why.merged" if merged else "why.parent", {"parent": incident.parent, "text_rule": fault})
    if incident.reopened:
        within = case.policy.incident.verify_ns / NS
        yield Line(PLACE, "why.reopened", {"times": incident.reopened, "within_s": within})


def _extent(case: Case) -> Iterator[Line]:
    """What an incident is about, and whom."""
    incident = case.incident
    assert incident is not None
    if incident.scope != TERMINAL:
        place = incident.branch or incident.region
        yield Line(PLACE, "why.concluded", {"text_rule": incident.fault, "cause": incident.cause, "place": place})
    living = [each for each in case.members if not each.until]
    count = {role: sum(each.role == role for each in living) for role in (ROOT, CONSEQUENCE, SYMPTOM)}
    terminals = len({each.terminal for each in living})
    yield Line(PLACE, "why.members", {"roots": count[ROOT], "consequences": count[CONSEQUENCE], "symptoms": count[SYMPTOM], "terminals": terminals})  # fmt: skip
    yield from _history(case)
    if incident.release_at and incident.release_at > case.at:
        yield Line(PLACE, "why.release", {"release_at": incident.release_at})


# What keeps it from being told.


def _mask(case: Case) -> Iterator[Line]:
    alarm = case.alarm
    if alarm is None:
        return
    if case.life_cycle != IN_SERVICE:
        yield Line(MASK, "why.life_cycle", {"state_key": f"state.{case.life_cycle}"})
    for mask in alarm.masks:
        yield from _masked(case, alarm, mask)
    ended = [(begun, end) for begun, end in _spans(case.alarm_events) if end][-MAX_MASKED:]
    for begun, end in ended:
        values: Values = {"mask_key": f"mask.{begun.detail.get('kind', '')}", "since_at": begun.at, "until_at": end}
        yield Line(MASK, "why.masked_before", values)


def _masked(case: Case, alarm: Alarm, mask: Mask) -> Iterator[Line]:
    match mask.kind:
        case alarms.SHELVED:
            values: Values = {"by": mask.by, "since_at": mask.since, "until_at": mask.until, "reason": mask.reason}
            yield Line(MASK, "why.shelved", values)
        case alarms.MAINTENANCE:
            yield Line(MASK, "why.maintenance", {"window": mask.ref, "reason": mask.reason, "by": mask.by or "-"})
            window = case.windows.get(mask.ref)
            if window is not None:
                until = window.next_change(case.at) if window.active(case.at) else None
                yield Line(MASK, "why.approved", {"by": window.approved_by or "-", "change": window.change_ref or "-"})
                if until is not None:
                    yield Line(MASK, "why.window_until", {"until_at": until})
        case alarms.CHILD:
            yield Line(MASK, "why.child", {"incident": mask.ref})
        case alarms.FLAPPING:
            quiet = case.policy.incident.flap_quiet_ns / NS
            yield Line(MASK, "why.flapping", {"turns": len(alarm.turns), "quiet_s": quiet})


def _spans(events: Sequence[AlarmEvent]) -> Iterator[tuple[AlarmEvent, int]]:
    """Each time at which it was masked, with its end; 0 while it lasts."""
    begun: dict[str, AlarmEvent] = {}
    for event in events:
        kind = str(event.detail.get("kind", ""))
        if event.kind == "masked":
            begun[kind] = event
        elif event.kind == "unmasked" and kind in begun:
            yield begun.pop(kind), event.at
    yield from ((each, 0) for each in begun.values())


# Who was told, and who has taken it on.


def _people(case: Case) -> Iterator[Line]:
    alarm, incident = case.alarm, case.incident
    if incident is not None:
        yield from _called(case, incident)
        if incident.responded_at:
            yield Line(PEOPLE, "why.responded", {"by": incident.owner, "responded_at": incident.responded_at})
    if alarm is not None and alarm.acked_at:
        yield Line(PEOPLE, "why.taken", {"by": alarm.acked_by, "acked_at": alarm.acked_at, "until_at": alarm.ack_until})


def _called(case: Case, incident: Incident) -> Iterator[Line]:
    if incident.announced:
        yield Line(PEOPLE, "why.announced", {"announced_at": incident.announced_at, "level": incident.level})
    calls = [each for each in case.events if each.kind in ("escalated", "reminded")]
    if len(calls) > MAX_CALLS:
        yield Line(PEOPLE, "why.more_calls", {"count": len(calls) - MAX_CALLS})
    people = case.policy.roster.people
    for each in calls[-MAX_CALLS:]:
        told = [(str(one[0]), ", ".join(map(str, one[1:]))) for one in each.detail.get("people", ())]
        names = "; ".join(f"{people[who].name if who in people else who} ({how})" for who, how in told)
        roles = ", ".join(map(str, each.detail.get("roles", ())))
        if names:
            key = "why.escalated" if roles else "why.reminded"
            yield Line(PEOPLE, key, {"told_at": each.at, "roles": roles, "people": names})
        elif roles:
            yield Line(PEOPLE, "why.queued", {"told_at": each.at, "roles": roles})
        if each.detail.get("nobody"):
            yield Line(PEOPLE, "why.nobody", {"told_at": each.at, "roles": ", ".join(map(str, each.detail["nobody"]))})
    if calls and not case.policy.roster.shifts:
        yield Line(PEOPLE, "why.no_roster")


# Until when, and what comes next.


def _clock(case: Case) -> Iterator[Line]:
    incident = case.incident
    if incident is None or not incident.announced:
        return
    hours, target = (
        hours_of(case.policy, incident, case.terminal_class),
        target_of(case.policy, incident.fault, incident.level),
    )
    clocks = clocks_of(case.policy, incident)
    for clock in clocks:
        due = clock.due(hours)
        values: dict[str, int | float | str] = {"clock_key": f"clock.{clock.kind}", "target_s": clock.target_ns / NS}
        if clock.stopped_at:
            key = "why.clock_missed_stopped" if clock.missed(hours, case.at) else "why.clock_met"
            values["stopped_at"] = clock.stopped_at
        elif due == NEVER:
            key, values["reason"] = "why.clock_held", hold_text(case.policy, incident.on_hold or incidents.PLANNED)
        else:
            key, values["due_at"] = "why.clock_missed" if due <= case.at else "why.clock_due", due
        yield Line(CLOCK, key, values)
    if not incident.living or incident.on_hold == incidents.PLANNED:
        return
    state, on_duty = escalation_of(incident), on_duty_for(case.policy, incident)
    found = (next_step(target, hours, state, clock, case.at, on_duty) for clock in clocks)
    coming = min(
        (each for each in found if each is not None and each[0] < NEVER), default=None, key=lambda each: each[0]
    )
    if coming is None:
        yield Line(CLOCK, "why.nothing_next")
    else:
        due, step = coming
        values = {"due_at": due, "role": step.role or "-", "channels": ", ".join(step.channels), "text": step.text}
        yield Line(CLOCK, "why.next" if step.channels else "why.next_silent", values)


def hold_text(policy: Policy, reason: str) -> str:
    """The words for a hold's reason; the reason itself where the policy does not know it any more."""
    return policy.hold_reasons.get(reason, reason)


# The ticket system.


def _ticket(case: Case) -> Iterator[Line]:
    if case.incident is None:
        return
    if case.ticket.id:
        yield Line(TICKET, "why.ticket", {"ticket": case.ticket.id, "state": case.ticket.state})
    messages = [each for each in case.messages if each.op != Op.NOTIFY]
    if not messages:
        if not case.ticket.id:
            yield Line(TICKET, "why.no_message")
        return
    last = max(messages, key=lambda each: each.seq)
    oldest = min(
        (each for each in messages if each.state not in ("done", "dead")), key=lambda each: each.seq, default=None
    )
    dead = [each for each in messages if each.state == "dead"]
    if oldest is not None:
        values: Values = {
            "since_at": oldest.created_at,
            "op_key": f"op.{oldest.op}",
            "attempts": oldest.attempts,
            "answer": oldest.answer or "-",
        }
        yield Line(TICKET, "why.waits", values)
    elif last.state == "done":
        yield Line(TICKET, "why.delivered", {"done_at": last.done_at, "op_key": f"op.{last.op}"})
    if dead:
        yield Line(TICKET, "why.dead", {"count": len(dead), "answer": dead[-1].answer or "-"})
