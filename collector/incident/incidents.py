"""Incidents: what gets a ticket. One or more alarms with one cause, from the moment it is found to the word of the person who closes it. Pure:
an incident and what happened go in, the incident afterwards comes out. Which alarms belong together is decided in handling.py.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from hashlib import sha256
from typing import Any, NamedTuple

import msgpack

from tillwatch.collector.alarm.alarms import AUTOMATIC
from tillwatch.collector.alarm.drills import RULE as DRILL
from tillwatch.collector.alarm.rules import PREDICTED

SETTLING = "settling"
"""Found, and not told yet: it may turn out to be the symptom of something wider, or be over before anybody had to know."""
OPEN, ACKNOWLEDGED, IN_REPAIR = "open", "acknowledged", "in_repair"
RESTORED = "restored"
"""The telemetry says that it is over: the interruption's clock stands, a person has not confirmed it."""
RESOLVED, CLOSED = "resolved", "closed"
DROPPED = "dropped"
"""Over before it was told, or taken up by a wider one: it has no ticket."""
LIVING = (SETTLING, OPEN, ACKNOWLEDGED, IN_REPAIR, RESTORED)

TERMINAL, BRANCH, REGION, FLEET = "terminal", "branch", "region", "fleet"
"""Scopes."""
ROOT, CONSEQUENCE, SYMPTOM = "root", "consequence", "child"
"""Roles of an alarm in its incident: what is broken, what follows from it on the same device, what is explained by it elsewhere."""

PLANNED = "planned maintenance"
"""The reason for a hold that a maintenance window makes and ends."""
WELL = "working again"
"""The reason for the time between the end of a fault and its return: nobody could have repaired anything then."""

ASKED = 8
"""States that a ticket was asked for and has not shown: more than people wish for within the worst outage that is caught up in order. Of an older one the
ticket's own state is believed.
"""

MAX_REGROUPED = 100
"""Incidents that one has taken in, or is told apart from: people do that one by one, a loop gone wild ends here."""

VERDICTS = ("true_fault", "part_changed", "false_alarm", "no_fault_found", "drill")
"""What the person who resolves says of it."""


class Linked(NamedTuple):
    """Its ticket with one connector, as the fold knows it. state: the last one that was acted on, of TicketState; owner: likewise; updated_at: by the
    ticket system's clock, UTC ns; asked: states that it was asked for since and has not shown yet, oldest first: when they appear nobody else has
    done that; verdict: the last one that was taken for a label.
    """

    connector: str
    external_id: str
    state: str
    owner: str = ""
    updated_at: int = 0
    asked: tuple[str, ...] = ()
    verdict: tuple[str, str] = ("", "")


class Claim(NamedTuple):
    """A ticket was closed while the fault was still there. by: who closed it; source: the ticket; until: when it is opened again, UTC ns."""

    by: str
    source: str
    verdict: str
    part: str
    until: int


@dataclass(frozen=True, slots=True)
class Incident:
    """terminal, component: of what is broken; empty where the cause was concluded for a whole branch or region. fault: the rule. state: of the
    constants above; held: (from, until or 0, reason), a pause of the repair clock beside the state. occurred_at: by the readings' time; opened_at: when it was found;
    announced_at: when the ticket system was told; others likewise, all UTC ns, 0 for not yet. seq: deliveries enqueued so far. parent: the wider incident that
    explains it; again: the one of the same fault that was over shortly before, which goes on in its place once this has settled; cause: what led to that conclusion, in words. steps: escalation steps that were taken, unstaffed: those of them for which nobody was
    on duty; missed: the clocks whose target was missed. release_at: when what is left of its
    symptoms gets incidents of its own; tell_at: when its changes are told. tickets: one for each connector that has told of its own; asked: the states
    that tickets were asked for last; claim: that it is over, by a ticket, against the readings. alert: `source/fingerprint` of the
    alert of another system that it stands for. apart: incidents of which people said that they explain nothing of this one; took: those that people
    merged into it.
    """

    corr_id: str
    terminal: str
    branch: str
    level: int
    state: str
    opened_at: int
    restored_at: int
    seq: int
    region: str = ""
    scope: str = TERMINAL
    component: str = ""
    fault: str = ""
    episode: int = 1
    occurred_at: int = 0
    settle_until: int = 0
    announced_at: int = 0
    responded_at: int = 0
    repair_at: int = 0
    resolved_at: int = 0
    closed_at: int = 0
    owner: str = ""
    reopened: int = 0
    intermittent: bool = False
    drill: bool = False
    tamper: bool = False
    parent: str = ""
    again: str = ""
    cause: str = ""
    held: tuple[tuple[int, int, str], ...] = ()
    steps: tuple[str, ...] = ()
    unstaffed: tuple[str, ...] = ()
    reminded: int = 0
    missed: tuple[str, ...] = ()
    response_from: int = 0
    told_at: int = 0
    tell_at: int = 0
    release_at: int = 0
    verdict: str = ""
    part: str = ""
    tickets: tuple[Linked, ...] = ()
    asked: tuple[str, ...] = ()
    claim: Claim | None = None
    alert: str = ""
    apart: tuple[str, ...] = ()
    took: tuple[str, ...] = ()

    @property
    def living(self) -> bool:
        return self.state in LIVING

    @property
    def announced(self) -> bool:
        return self.announced_at > 0

    @property
    def pressing(self) -> bool:
        """Whether somebody is to be hurried: what is over by its readings, what is planned or foreseen, and the watchdog's own drill wait for nobody."""
        return (
            self.announced
            and self.living
            and self.state != RESTORED
            and self.on_hold != PLANNED
            and self.fault not in (DRILL, *PREDICTED)
        )

    @property
    def on_hold(self) -> str:
        """The reason, or empty."""
        return self.held[-1][2] if self.held and not self.held[-1][1] else ""

    def row(self) -> tuple[Any, ...]:
        """As it is kept: what is asked for by itself in columns, the rest packed."""
        body = {name: value for name in _BODY if (value := getattr(self, name)) or name not in _REGROUPED}
        return (
            self.corr_id, self.terminal, self.branch, self.level, self.state, self.opened_at, self.restored_at, self.seq,
            self.region, self.scope, self.announced_at, self.closed_at, int(self.drill), msgpack.packb(body),
        )  # fmt: skip

    @classmethod
    def of_row(cls, row: tuple[Any, ...]) -> Incident:
        body = msgpack.unpackb(row[13]) if row[13] else {}
        body["held"] = tuple((a, b, why) for a, b, why in body.get("held", ()))
        for name in ("steps", "unstaffed", "missed", "asked", "apart", "took"):
            body[name] = tuple(body.get(name, ()))
        body["tickets"] = tuple(
            Linked(name, ticket_id, state, owner, updated, tuple(asked), (verdict[0], verdict[1]))
            for name, ticket_id, state, owner, updated, asked, verdict in body.get("tickets", ())
        )
        body["claim"] = Claim(*body["claim"]) if body.get("claim") else None
        known = {name: value for name, value in body.items() if name in _BODY}
        names = [each.strip() for each in COLUMNS.split(",")][:-1]
        known |= dict(zip(names, row, strict=False))
        return cls(**{**known, "drill": bool(known["drill"])})


COLUMNS = "corr_id, terminal, branch, level, state, opened_at, restored_at, seq, region, scope, announced_at, closed_at, drill, body"
_REGROUPED = ("apart", "took")
"""Kept only where people regrouped: rows of files that are older than that are as they would be made today."""
_BODY = tuple(each.name for each in fields(Incident) if each.name not in COLUMNS.split(", "))


def correlation_id(branch: str, terminal: str, component: str, fault: str, episode: int) -> str:
    """At most 40 characters without spaces: it fits a Jira label, PagerDuty's dedup_key and ServiceNow's correlation_id. The episode is in
    it, since otherwise a fault that comes back would write into a closed ticket.
    """
    digest = sha256(f"v1|{branch}|{terminal}|{component}|{fault}".encode()).hexdigest()[:20]
    return f"HWM-{digest}-{episode}"


def announce(incident: Incident, at: int) -> Incident:
    """It is told: its clocks run from when it was found."""
    return replace(incident, state=OPEN, announced_at=at, settle_until=0, response_from=incident.opened_at)


def drop(incident: Incident, at: int, parent: str = "") -> Incident:
    """It was never told, and need not be."""
    return replace(incident, state=DROPPED, closed_at=at, settle_until=0, parent=parent)


def over_since(incident: Incident) -> int:
    """When it was last said to be over, by the telemetry or by people; 0 while it is not. That it is closed some time later says nothing new."""
    return max(incident.resolved_at, incident.restored_at) or incident.closed_at


def acknowledge(incident: Incident, by: str, at: int) -> Incident | None:
    """The first word of a person stops the response clock; later ones change the owner."""
    if not incident.living or incident.state == SETTLING:
        return None
    state = ACKNOWLEDGED if incident.state == OPEN else incident.state
    return replace(incident, state=state, owner=by, responded_at=incident.responded_at or at)


def worsen(incident: Incident, level: int, at: int) -> Incident:
    """Its level as its alarms have it now. Who took on the smaller fault has not taken on this one: the response clock begins anew."""
    if level >= incident.level or incident.state not in (ACKNOWLEDGED, IN_REPAIR):
        return replace(incident, level=level)
    again = tuple(step for step in incident.steps if not step.startswith("response"))
    return replace(incident, level=level, state=OPEN, responded_at=0, response_from=at, steps=again, reminded=0)


def begin_repair(incident: Incident, by: str, at: int) -> Incident | None:
    taken = acknowledge(incident, by, at)
    if taken is None or taken.state == RESTORED:
        return None
    return replace(taken, state=IN_REPAIR, repair_at=at)


def hold(incident: Incident, reason: str, at: int) -> Incident | None:
    """What was never told, or is over by its readings, waits for nothing."""
    if not incident.living or incident.on_hold or incident.state in (SETTLING, RESTORED):
        return None
    return replace(incident, held=(*incident.held, (at, 0, reason)))


def resume(incident: Incident, at: int) -> Incident | None:
    if not incident.on_hold:
        return None
    since, _, reason = incident.held[-1]
    return replace(incident, held=(*incident.held[:-1], (since, at, reason)))


def restore(incident: Incident, since: int, at: int) -> Incident:
    """The fault is over by its readings. Level 3 is resolved with that; of the others a person says so, and of tampering nobody else may."""
    resumed = resume(incident, at) or incident
    if incident.level >= AUTOMATIC and not incident.tamper:
        return replace(resumed, state=RESOLVED, restored_at=since, resolved_at=at, tell_at=0)
    return replace(resumed, state=RESTORED, restored_at=since, tell_at=0)


def reopen(incident: Incident, at: int) -> Incident:
    """The fault is back: of one that was over for the telemetry only it goes on where it stood, of one that people had settled it counts as
    reopened, and they are to respond anew. The time in between is on no clock.
    """
    settled = incident.state in (RESOLVED, CLOSED)
    state = ACKNOWLEDGED if incident.responded_at and not settled else OPEN
    ended = min(each for each in (incident.restored_at, incident.resolved_at, incident.closed_at, at) if each)
    well = max(ended, incident.held[-1][1] if incident.held else 0)
    held = (*incident.held, (well, at, WELL)) if well < at else incident.held
    back = replace(
        incident, state=state, restored_at=0, resolved_at=0, closed_at=0, verdict="", release_at=0, held=held,
        claim=None,
    )  # fmt: skip
    if not settled:
        return replace(back, response_from=min(incident.response_from + max(at - well, 0), at))
    again = tuple(step for step in incident.steps if not step.startswith("response"))
    return replace(
        back, reopened=incident.reopened + 1, responded_at=0, repair_at=0, response_from=at, steps=again, reminded=0
    )


def resolve(incident: Incident, verdict: str, part: str, at: int) -> Incident | None:
    """A person says that it is mended, and what it was."""
    if incident.state in (RESOLVED, CLOSED, DROPPED, SETTLING):
        return replace(incident, verdict=verdict, part=part) if incident.state == RESOLVED else None
    taken = resume(incident, at) or incident
    return replace(
        taken,
        state=RESOLVED,
        resolved_at=at,
        verdict=verdict,
        part=part,
        responded_at=taken.responded_at or at,
        tell_at=0,
        claim=None,
    )


def ask(incident: Incident, state: str, source: str) -> Incident:
    """Its tickets are to be in this state from now on, all but the one of the connector that said so."""
    tickets = tuple(
        each if each.connector == source else each._replace(asked=(*each.asked, state)[-ASKED:])
        for each in incident.tickets
    )
    return replace(incident, asked=(*incident.asked, state)[-ASKED:], tickets=tickets)


def ticket(incident: Incident, connector: str) -> Linked | None:
    return next((each for each in incident.tickets if each.connector == connector), None)


def link(incident: Incident, linked: Linked) -> Incident:
    """With its ticket of that connector as it is now."""
    others = [each for each in incident.tickets if each.connector != linked.connector]
    return replace(incident, tickets=tuple(sorted((*others, linked))))


def close(incident: Incident, at: int) -> Incident | None:
    return replace(incident, state=CLOSED, closed_at=at) if incident.state == RESOLVED else None


def split_off(incident: Incident, at: int) -> Incident:
    """A part of another one that is told by itself from now on. The repair is as late as the fault is old, whoever had it; nobody has responded to it as
    an incident of its own.
    """
    return replace(incident, state=OPEN, announced_at=at, settle_until=0, response_from=at)


def take_in(incident: Incident, other: Incident, level: int) -> Incident:
    """With another one that has the same cause, at the level of both together. The repair clock runs from the earlier beginning. So does that of the
    response, of those that are as grave as both are now: who took on a mild fault has not taken on a grave one.
    """
    grave = [each for each in (incident, other) if each.level <= level] or [incident, other]
    responded = min((each.responded_at for each in grave if each.responded_at), default=0)
    working = responded and IN_REPAIR in (incident.state, other.state)
    apart = {*incident.apart, *other.apart} - {incident.corr_id, other.corr_id}
    begun = incident.opened_at  # a pause of the other one counts as long as there was no other to work on
    paused = tuple((a, min(b or begun, begun), why) for a, b, why in other.held if a < begun)
    return replace(
        incident, level=level,
        state=(IN_REPAIR if working else ACKNOWLEDGED) if responded else OPEN,
        owner=incident.owner or (other.owner if responded else ""),
        opened_at=min(incident.opened_at, other.opened_at),
        occurred_at=min(incident.occurred_at or incident.opened_at, other.occurred_at or other.opened_at),
        response_from=min(each.response_from or each.opened_at for each in grave), responded_at=responded,
        repair_at=min((each for each in (incident.repair_at, other.repair_at) if each), default=0) if working else 0,
        steps=tuple(sorted({step for each in grave for step in each.steps})),
        unstaffed=tuple(sorted({step for each in grave for step in each.unstaffed})),
        missed=tuple(sorted({*incident.missed, *other.missed})), held=(*paused, *incident.held),
        intermittent=incident.intermittent or other.intermittent, apart=tuple(sorted(apart)),
        took=tuple(sorted({*incident.took, *other.took, other.corr_id})),
    )  # fmt: skip


def give_up(incident: Incident, into: str, at: int) -> Incident:
    """It is the same as another one, which goes on in its place."""
    ended = resume(incident, at) or incident
    return replace(ended, state=CLOSED, closed_at=at, parent=into, apart=(), tell_at=0, release_at=0, claim=None)
