"""Alarms and incidents out of the collector's file, as people are shown them: rows become the values of the fold again, and these the views. Each
function works within the caller's transaction, so that an answer is of one state.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import takewhile

import msgpack

from tillwatch.collector.alarm.alarms import Alarm, AlarmEvent
from tillwatch.collector.changes import Membership
from tillwatch.collector.duty.clocks import NEVER, Clock, next_step
from tillwatch.collector.duty.policy import Policy
from tillwatch.collector.duty.targets import REPAIR, RESPONSE
from tillwatch.collector.duty.windows import Window
from tillwatch.collector.incident.case import Case, Why
from tillwatch.collector.incident.history import lines_of
from tillwatch.collector.incident.incident_views import (
    Addressed,
    ClockView,
    EventView,
    IncidentFile,
    IncidentView,
    InForce,
    MemberView,
    StepView,
)
from tillwatch.collector.incident.incidents import COLUMNS, PLANNED, ROOT, Incident
from tillwatch.collector.incident.service_clocks import clocks_of, escalation_of, hours_of, on_duty_for, target_of
from tillwatch.collector.incident.why import explain, explain_incident, hold_text
from tillwatch.collector.journal import Kind
from tillwatch.collector.read import AlarmView, MaskView, OutgoingView, TicketView
from tillwatch.collector.records import IncidentEvent
from tillwatch.collector.store.db import Db
from tillwatch.collector.store.delivery_reader import outgoing
from tillwatch.collector.store.folded import ALARM, alarm_of
from tillwatch.collector.terminal.fleet import Terminal
from tillwatch.collector.tickets.outbox import ticket_of

NS = 10**9
MAX_MEMBERS = 500
"""Alarms of one incident that are listed: a region that is cut off has thousands, and nobody reads them one by one."""
MAX_EVENTS = 2_000
"""Events of one incident that are listed, the newest."""
MAX_MESSAGES = 200
"""Messages of one incident that are listed, the newest."""
LEAST_TO_FIND = 4
"""Characters of an id by which it is looked for: fewer fit many."""

MAX_LOOKED_BACK = 20_000
"""Acts among which one is looked for by its key: more than people do in the day in which its answer is known."""

_STATE = """
    coalesce(l.state, (SELECT state FROM outbox o WHERE o.incident = {of} AND o.op <> 'notify' ORDER BY seq DESC, id DESC LIMIT 1), '')"""
_TICKET = f"""
    coalesce(l.external_id, ''), coalesce(l.url, ''), {_STATE.format(of="i.corr_id")},
    coalesce(l.connector, (SELECT connector FROM outbox o WHERE o.incident = i.corr_id AND o.op <> 'notify' ORDER BY seq DESC, id DESC LIMIT 1), ''),
    coalesce(l.status, ''), coalesce(l.owner, ''), coalesce(l.updated_at, 0), coalesce(l.verified_at, 0), coalesce(l.verdict, ''), coalesce(l.part, '')"""  # noqa: S608 - constant columns
_PLACES = 10
"""Of a ticket."""

_ALARM = ", ".join(f"a.{each.strip()}" for each in ALARM.split(","))
_ALARMS = f"""
    SELECT {_ALARM}, t.branch, coalesce(l.external_id, ''), {_STATE.format(of="a.incident")}
    FROM alarm a JOIN terminal t ON t.id = a.terminal LEFT JOIN ticket_link l ON l.incident = a.incident"""  # noqa: S608 - constant columns
# Two indexes hold what is on the list, and none the years of alarms that are over.
_LISTED = (
    "a.id IN (SELECT id FROM alarm WHERE condition <> 'normal' UNION ALL SELECT id FROM alarm WHERE returned) AND "
)
_ASKED = "(:terminal IS NULL OR a.terminal = :terminal) ORDER BY a.level, a.id DESC LIMIT :limit"
_INCIDENT = ", ".join(f"i.{each.strip()}" for each in COLUMNS.split(","))
_INCIDENTS = f"""
    SELECT {_INCIDENT}, coalesce(t.class, ''), {_TICKET}
    FROM incident i LEFT JOIN terminal t ON t.id = i.terminal LEFT JOIN ticket_link l ON l.incident = i.corr_id"""  # noqa: S608 - constant columns
_LIVING = "i.state NOT IN ('closed', 'dropped') AND i.state <> 'resolved'"


def alarms(db: Db, book: InForce, *, terminal: str | None, open_only: bool, limit: int) -> Sequence[AlarmView]:
    query = f"{_ALARMS} WHERE {_LISTED if open_only else ''}{_ASKED}"
    return [_alarm_view(row, book) for row in db.execute(query, {"terminal": terminal, "limit": limit})]


def _alarm_view(row: tuple[object, ...], book: InForce) -> AlarmView:
    alarm, (branch, ticket, ticket_state) = alarm_of(row[:-3]), row[-3:]
    rule = book.rules.by_id.get(alarm.rule)
    return AlarmView(
        id=alarm.id, rule=alarm.rule, terminal=alarm.terminal, branch=str(branch), component=alarm.component, signal=alarm.detail["signal"],
        level=alarm.level, condition=alarm.condition, text=rule.text if rule else alarm.rule, value=alarm.detail["value"],
        unit=alarm.detail["unit"], cause=rule.cause if rule else "", consequence=rule.consequence if rule else "",
        action=rule.action if rule else "", raised_at=alarm.raised_at, cleared_at=alarm.cleared_at, incident=alarm.incident,
        ticket=str(ticket), ticket_state=str(ticket_state), acked_at=alarm.acked_at, acked_by=alarm.acked_by, ack_until=alarm.ack_until,
        isa_state=alarm.isa_state, masks=tuple(MaskView(m.kind, m.since, m.until, m.ref, m.by, m.reason) for m in alarm.masks),
        returned=alarm.returned, drill=alarm.drill,
    )  # fmt: skip


def incidents(db: Db, book: InForce, now: int, *, living: bool, limit: int) -> tuple[list[IncidentView], int]:
    where = f" WHERE {_LIVING}" if living else ""
    (total,) = db.execute(f"SELECT count(*) FROM incident i{where}").fetchone()  # noqa: S608 - a constant condition
    rows = db.execute(f"{_INCIDENTS}{where} ORDER BY i.level, i.opened_at DESC, i.corr_id LIMIT ?", (limit,)).fetchall()
    names = [row[0] for row in rows]
    counted = _counted(db, names)
    return [_incident_view(row, counted.get(row[0], (0, 0)), book, now) for row in rows], int(total)


def _counted(db: Db, names: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Open alarms and terminals of each incident."""
    return {
        name: db.execute(
            "SELECT count(*), count(DISTINCT terminal) FROM incident_alarm WHERE incident = ? AND until = 0", (name,)
        ).fetchone()
        for name in names
    }


def find(db: Db, text: str) -> list[str]:
    if len(text.removeprefix("HWM-")) < LEAST_TO_FIND:
        return []
    begin = text if text.startswith("HWM-") else f"HWM-{text}"
    rows = db.execute(
        "SELECT corr_id FROM incident WHERE corr_id >= ? AND corr_id < ? ORDER BY opened_at DESC, corr_id",
        (begin, begin + "\U0010ffff"),
    )
    return [row[0] for row in rows]


def _incident_view(row: tuple[object, ...], counted: tuple[int, int], book: InForce, now: int) -> IncidentView:
    incident, (terminal_class, *ticket) = Incident.of_row(row[: -_PLACES - 1]), row[-_PLACES - 1 :]
    rule = book.rules.by_id.get(incident.fault)
    return IncidentView(
        id=incident.corr_id, state=incident.state, level=incident.level, scope=incident.scope, fault=incident.fault,
        text=rule.text if rule else incident.fault, cause=incident.cause, region=incident.region, branch=incident.branch,
        terminal=incident.terminal, component=incident.component, occurred_at=incident.occurred_at or incident.opened_at,
        opened_at=incident.opened_at, settle_until=incident.settle_until, announced_at=incident.announced_at,
        responded_at=incident.responded_at, repair_at=incident.repair_at, restored_at=incident.restored_at,
        resolved_at=incident.resolved_at, closed_at=incident.closed_at, owner=incident.owner, on_hold=incident.on_hold, hold_text=hold_text(book.policy, incident.on_hold),
        parent=incident.parent, reopened=incident.reopened, intermittent=incident.intermittent, tamper=incident.tamper,
        drill=incident.drill, verdict=incident.verdict, part=incident.part, alarms=counted[0], terminals=counted[1],
        clocks=_clocks(incident, str(terminal_class), book.policy, now), ticket=TicketView(*ticket),  # type: ignore[arg-type]  # columns
        seq=incident.seq,
    )  # fmt: skip


def _clocks(incident: Incident, terminal_class: str, policy: Policy, now: int) -> tuple[ClockView, ...]:
    """None of one that was never told: nobody owes anything yet."""
    if not incident.announced:
        return ()
    hours = hours_of(policy, incident, terminal_class)

    def view(clock: Clock) -> ClockView:
        due, spent = clock.due(hours), clock.spent(hours, now)
        if clock.stopped_at:
            state = "stopped"
        elif clock.on_hold:
            state = "held"
        else:
            state = "running" if hours.is_open(now) else "closed"
        return ClockView(
            clock.kind, clock.start, clock.target_ns / NS, 0 if due == NEVER else due, spent.gross / NS, spent.net / NS, clock.stopped_at, state,
            clock.missed(hours, now),
        )  # fmt: skip

    response, repair = clocks_of(policy, incident)
    return view(response), view(repair)


def addressed(db: Db, book: InForce, corr_id: str) -> Addressed:
    """Whom the last call was for, as the message of that call has it."""
    place = db.execute(
        "SELECT t.class FROM incident i JOIN terminal t ON t.id = i.terminal WHERE i.corr_id = ?", (corr_id,)
    ).fetchone()
    call = db.execute(
        "SELECT at, body FROM incident_event WHERE incident = ? AND kind IN ('escalated', 'reminded') ORDER BY seq DESC LIMIT 1",
        (corr_id,),
    ).fetchone()
    at, detail = (call[0], msgpack.unpackb(call[1])) if call is not None else (0, {})
    people, roles = book.policy.roster.people, ", ".join(detail.get("roles", ()))
    told = tuple(
        (roles, people[who].name if who in people else who, channel)
        for who, *channels in detail.get("people", ())
        for channel in channels
    )
    return Addressed(place[0] if place else "", told, at if told else 0, ticket_of(db, corr_id))


def asked(db: Db, actor: str, request: str, since: int) -> str:
    def meant(packed: bytes) -> bool:
        facts = msgpack.unpackb(packed)
        return bool(facts.get("request") == request and facts.get("actor") == actor)

    if any(meant(facts) for (facts,) in db.execute("SELECT facts FROM operator_request")):
        return "waits"
    rows = db.execute(
        "SELECT facts, at FROM journal WHERE kind = ? AND payload IS NULL ORDER BY n DESC LIMIT ?",
        (Kind.OPERATOR, MAX_LOOKED_BACK),
    )
    # The journal's time never goes back; it may be ahead of that of whoever asked.
    return "done" if any(meant(facts) for facts, _ in takewhile(lambda row: row[1] >= since, rows)) else ""


def forgotten(db: Db) -> frozenset[int]:
    rows = db.execute(
        "SELECT a.id FROM alarm a WHERE a.condition <> 'normal' AND a.acked_at = 0 AND 'ack expired' ="
        " (SELECT kind FROM alarm_event e WHERE e.alarm = a.id AND kind IN ('raised', 'recurred', 'level', 'acknowledged', 'ack expired', 'unmasked')"
        " ORDER BY seq DESC LIMIT 1)"
    )
    return frozenset(number for (number,) in rows)


# One of them, whole.


def incident(db: Db, book: InForce, corr_id: str, now: int) -> IncidentFile:
    row = db.execute(f"{_INCIDENTS} WHERE i.corr_id = ?", (corr_id,)).fetchone()
    if row is None:
        raise KeyError(corr_id)
    members = _members(db, corr_id)
    about = next((each for each in members if each.role == ROOT), None)
    decided = _alarm(db, about.alarm) if about is not None else None
    case = _case(db, book, now, decided, Incident.of_row(row[:-4]), members)
    assert case.incident is not None
    view = _incident_view(row, _counted(db, [corr_id])[corr_id], book, now)
    rule = book.rules.by_id.get(case.incident.fault)
    return IncidentFile(
        view=view,
        rule_cause=rule.cause if rule else "",
        consequence=rule.consequence if rule else "",
        action=rule.action if rule else "",
        members=_member_views(db, book, members[:MAX_MEMBERS]),
        more_members=max(0, len(members) - MAX_MEMBERS),
        parts=_parts(db, case.incident, now),
        events=tuple(EventView(each.at, each.kind, lines_of(each, case)) for each in case.events),
        steps=_steps(case),
        messages=tuple(case.messages),
        why=explain_incident(case), on_duty=_on_duty(case),
    )  # fmt: skip


def _on_duty(case: Case) -> tuple[tuple[str, tuple[str, ...]], ...]:
    incident, policy = case.incident, case.policy
    assert incident is not None
    if not incident.announced or not incident.living:
        return ()
    target, ask = target_of(policy, incident.fault, incident.level), on_duty_for(policy, incident)
    roles = dict.fromkeys(step.role for kind in (RESPONSE, REPAIR) for _, step in target.keyed(kind) if step.role)
    return tuple((role, tuple(person.name for person in ask(role, case.at))) for role in roles)


def _parts(db: Db, wide: Incident, now: int) -> tuple[str, ...]:
    """What was told before this one explained it: each of them has a note that says so, from its time."""
    rows = db.execute(
        "SELECT incident, body FROM incident_event WHERE kind = 'note' AND at BETWEEN ? AND ? ORDER BY seq",
        (wide.opened_at, wide.closed_at or now),
    )
    return tuple(dict.fromkeys(name for name, body in rows if msgpack.unpackb(body).get("parent") == wide.corr_id))


def _members(db: Db, corr_id: str) -> list[Membership]:
    """Those that last first, and of these the causes."""
    rows = db.execute(
        "SELECT incident, alarm, rule, terminal, component, role, since, until FROM incident_alarm WHERE incident = ?"
        " ORDER BY until > 0, role <> 'root', role <> 'consequence', since, alarm",
        (corr_id,),
    )
    return [Membership(*row) for row in rows]


def _member_views(db: Db, book: InForce, members: Sequence[Membership]) -> tuple[MemberView, ...]:
    found = []
    for each in members:
        row = db.execute(f"{_ALARMS} WHERE a.id = ?", (each.alarm,)).fetchone()
        if row is not None:
            found.append(MemberView(each.role, each.since, each.until, _alarm_view(row, book)))
    return tuple(found)


def _alarm(db: Db, number: int) -> Alarm | None:
    row = db.execute(f"SELECT {_ALARM} FROM alarm a WHERE a.id = ?", (number,)).fetchone()  # noqa: S608 - constant columns
    return alarm_of(row) if row is not None else None


def _case(
    db: Db,
    book: InForce,
    now: int,
    alarm: Alarm | None,
    incident: Incident | None,
    members: Sequence[Membership],
) -> Case:
    place = db.execute(
        "SELECT class, status FROM terminal WHERE id = ?",
        (alarm.terminal if alarm is not None else incident.terminal if incident is not None else "",),
    ).fetchone()
    known = Terminal("", "", "", place[0] if place else "", 0)
    if place:
        known.unpack_status(place[1])
    corr_id = incident.corr_id if incident is not None else ""
    ticket = db.execute("SELECT external_id, url, state FROM ticket_link WHERE incident = ?", (corr_id,)).fetchone()
    return Case(
        at=now, rules=book.rules, policy=book.policy, alarm=alarm, alarm_events=_alarm_events(db, alarm),
        terminal_class=known.terminal_class, life_cycle=known.life_cycle, incident=incident, events=_events(db, corr_id),
        members=members, parent=_incident(db, incident.parent) if incident is not None and incident.parent else None,
        windows=windows(db, book.policy), ticket=TicketView(*ticket) if ticket else TicketView(), messages=_messages(db, corr_id),
    )  # fmt: skip


def _incident(db: Db, corr_id: str) -> Incident | None:
    row = db.execute(f"SELECT {COLUMNS} FROM incident WHERE corr_id = ?", (corr_id,)).fetchone()  # noqa: S608 - constant columns
    return Incident.of_row(row) if row is not None else None


def _alarm_events(db: Db, alarm: Alarm | None) -> tuple[AlarmEvent, ...]:
    rows = db.execute(
        "SELECT alarm, kind, at, level, detail FROM alarm_event WHERE alarm = ? ORDER BY seq DESC LIMIT ?",
        (alarm.id if alarm is not None else 0, MAX_EVENTS),
    ).fetchall()
    return tuple(AlarmEvent(row[0], row[1], row[2], row[3], msgpack.unpackb(row[4])) for row in reversed(rows))


def _events(db: Db, corr_id: str) -> tuple[IncidentEvent, ...]:
    rows = db.execute(
        "SELECT incident, kind, at, body FROM incident_event WHERE incident = ? ORDER BY seq DESC LIMIT ?",
        (corr_id, MAX_EVENTS),
    ).fetchall()
    return tuple(IncidentEvent(row[0], row[1], row[2], msgpack.unpackb(row[3])) for row in reversed(rows))


def _messages(db: Db, corr_id: str) -> tuple[OutgoingView, ...]:
    return tuple(reversed(outgoing(db, incident=corr_id)[-MAX_MESSAGES:])) if corr_id else ()


def windows(db: Db, policy: Policy) -> Mapping[str, Window]:
    """Of maintenance: the policy's, and those that people made."""
    made = {name: Window.unpack(body) for name, body in db.execute("SELECT id, body FROM maintenance ORDER BY id")}
    return {each.id: each for each in policy.windows} | made


def _steps(case: Case) -> tuple[StepView, ...]:
    """The escalation at the incident's level: which of its steps were taken, and when the others are."""
    incident = case.incident
    assert incident is not None
    if not incident.announced:
        return ()
    hours, target = (
        hours_of(case.policy, incident, case.terminal_class),
        target_of(case.policy, incident.fault, incident.level),
    )
    state, on_duty = escalation_of(incident), on_duty_for(case.policy, incident)
    going = incident.living and incident.on_hold != PLANNED
    views = []
    for clock in clocks_of(case.policy, incident):
        first = next_step(target, hours, state, clock, case.at, on_duty) if going else None
        for key, step in target.keyed(clock.kind):
            done, due = key in state.done, clock.after(hours, step.after_ns)
            if done or not going or due == NEVER or (clock.stopped_at and due > clock.stopped_at):
                due = 0
            elif first is not None and first[1] == step:
                due = first[0]  # sooner where nobody was on duty for the one before
            views.append(StepView(clock.kind, step.role, step.channels, step.text, due, done, key in state.empty))
    return tuple(views)


def alarm(db: Db, book: InForce, number: int) -> AlarmView:
    return _alarm_view(_alarm_row(db, number), book)


def _alarm_row(db: Db, number: int) -> tuple[object, ...]:
    row: tuple[object, ...] | None = db.execute(f"{_ALARMS} WHERE a.id = ?", (number,)).fetchone()
    if row is None:
        raise KeyError(str(number))
    return row


def why(db: Db, book: InForce, number: int, now: int) -> tuple[AlarmView, Why]:
    row = _alarm_row(db, number)
    about = alarm_of(row[:-3])
    members = _members(db, about.incident) if about.incident else []
    case = _case(db, book, now, about, _incident(db, about.incident) if about.incident else None, members)
    return _alarm_view(row, book), explain(case)


def places(db: Db, incidents: Collection[str]) -> dict[str, tuple[str, str]]:
    """Of these incidents: branch and region."""
    found: dict[str, tuple[str, str]] = {}
    for corr_id in incidents:
        row = db.execute("SELECT branch, region FROM incident WHERE corr_id = ?", (corr_id,)).fetchone()
        if row is not None:
            found[corr_id] = (row[0], row[1])
    return found
