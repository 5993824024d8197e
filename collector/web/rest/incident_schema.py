"""The shapes of incidents in the REST API. Times are ISO 8601 with offset, null for not yet; lengths are in seconds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from tillwatch.collector.alarm.diagnosis import Card
from tillwatch.collector.incident import case
from tillwatch.collector.incident.incident_views import ClockView, IncidentFile, IncidentView, StepView, next_acts
from tillwatch.collector.web.lines import say
from tillwatch.collector.web.messages import Text
from tillwatch.collector.web.rest.delivery_schema import Delivery, Ticket
from tillwatch.collector.web.rest.risk_schema import Foreseen
from tillwatch.collector.web.rest.schema import Alarm, iso

RuleText = Callable[[str], str]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True)


class Line(_Model):
    """One reason, or one thing that happened. Who formats times himself fills `values` into the message `key`; `text` is all of it, in the collector's zone."""

    topic: Annotated[
        str, Field(description="`rule`, `place`, `mask`, `people`, `clock`, `ticket`, or empty", examples=["rule"])
    ]
    key: Annotated[str, Field(examples=["why.above"])]
    text: Annotated[str, Field(examples=["battery.charge was 12 %, below the limit of 20 %."])]
    values: Annotated[
        dict[str, int | float | str | None],
        Field(description="Those that end in `_at` are times, in `_s` seconds, in `_key` other messages"),
    ]

    @classmethod
    def of(cls, line: case.Line, text: Text, rule_text: RuleText) -> Line:
        values: dict[str, int | float | str | None] = {}
        for name, value in line.values.items():
            if name.endswith("_at") and isinstance(value, int):
                at = iso(value)
                values[name] = at.isoformat() if at is not None else None
            else:
                values[name] = rule_text(str(value)) if name.endswith("_rule") else value
        return cls(topic=line.topic, key=line.key, text=say(text, line, rule_text), values=values)


class Why(_Model):
    """Why somebody was told, or why not."""

    told: Annotated[str, Field(description="`told`, `waits` or `not_told`", examples=["told"])]
    head: Annotated[Line, Field(description="The answer")]
    lines: Annotated[list[Line], Field(description="What it rests on, topic by topic")]

    @classmethod
    def of(cls, why: case.Why, text: Text, rule_text: RuleText) -> Why:
        lines = [Line.of(line, text, rule_text) for line in why.lines]
        return cls(told=why.told, head=Line.of(why.head, text, rule_text), lines=lines)


class AlarmWhy(_Model):
    alarm: Alarm
    why: Why


class Clock(_Model):
    """A clock of the service level."""

    kind: Annotated[str, Field(description="`response` or `repair`", examples=["response"])]
    start: datetime | None
    due: Annotated[datetime | None, Field(description="When the target is missed; null while a hold puts that off")]
    stopped_at: datetime | None
    target_s: Annotated[float, Field(examples=[1800.0])]
    gross_s: Annotated[float, Field(description="Open time so far")]
    net_s: Annotated[float, Field(description="The same without the holds")]
    state: Annotated[
        str, Field(description="`running`, `closed` (outside its hours), `held` or `stopped`", examples=["running"])
    ]
    missed: bool

    @classmethod
    def of(cls, view: ClockView) -> Clock:
        return cls(
            kind=view.kind, start=iso(view.start), due=iso(view.due), stopped_at=iso(view.stopped_at), target_s=view.target_s, gross_s=view.gross_s,
            net_s=view.net_s, state=view.state, missed=view.missed,
        )  # fmt: skip


class Incident(_Model):
    """What gets a ticket: one or more alarms with one cause."""

    id: Annotated[str, Field(examples=["HWM-3f2a9c11d0e4b5a6978c-1"])]
    state: Annotated[
        str,
        Field(
            description="`settling` (not told yet), `open`, `acknowledged`, `in_repair`, `restored` (over by its readings), `resolved`, `closed`, or `dropped` (never told)",
            examples=["open"],
        ),
    ]
    level: Annotated[int, Field(description="1: core business stopped; 2: part of it; 3: secondary", ge=1, le=3)]
    scope: Annotated[str, Field(description="`terminal`, `branch`, `region` or `fleet`", examples=["terminal"])]
    fault: Annotated[str, Field(description="The rule of what is broken", examples=["ups.on-battery"])]
    text: Annotated[str, Field(examples=["The terminal runs on battery"])]
    cause: Annotated[
        str,
        Field(description="What led to the conclusion, for a branch or a region", examples=["12 of 40 within 90 s"]),
    ]
    region: str
    branch: str
    terminal: Annotated[str, Field(description="Empty for a branch or a region")]
    component: str
    occurred_at: Annotated[datetime | None, Field(description="When it began, by the readings' own time")]
    opened_at: Annotated[datetime | None, Field(description="When it was found")]
    settle_until: Annotated[
        datetime | None, Field(description="Until then it is not told: it may be part of something wider")
    ]
    announced_at: Annotated[datetime | None, Field(description="When the ticket system was told")]
    responded_at: datetime | None
    repair_at: datetime | None
    restored_at: Annotated[datetime | None, Field(description="When it was over, by the readings")]
    resolved_at: datetime | None
    closed_at: datetime | None
    owner: Annotated[str, Field(description="Who has taken it on; empty: nobody")]
    on_hold: Annotated[str, Field(description="The reason; empty: it is not on hold", examples=["parts"])]
    hold_text: Annotated[str, Field(description="The same in words", examples=["Parts are on order"])]
    parent: Annotated[str, Field(description="The wider incident that explains it")]
    reopened: int
    intermittent: bool
    tamper: Annotated[bool, Field(description="Only a person ends it")]
    drill: Annotated[bool, Field(description="Somebody injected the fault")]
    verdict: str
    part: str
    alarms: Annotated[int, Field(description="Open ones that belong to it")]
    terminals: Annotated[int, Field(description="Whom these concern")]
    clocks: list[Clock]
    ticket: Ticket
    seq: Annotated[int, Field(description="Grows with what its ticket is told; for If-Match", examples=[3])]

    @classmethod
    def of(cls, view: IncidentView) -> Incident:
        return cls(**_fields(view))


def _fields(view: IncidentView) -> dict[str, Any]:
    times = {
        name: iso(getattr(view, name))
        for name in Incident.model_fields
        if name.endswith("_at") or name == "settle_until"
    }
    plain = {name: getattr(view, name) for name in Incident.model_fields if name not in times}
    clocks = [Clock.of(clock) for clock in view.clocks]
    return {**plain, **times, "clocks": clocks, "ticket": Ticket.of(view.ticket)}


class Member(_Model):
    role: Annotated[
        str,
        Field(
            description="`root` (what is broken), `consequence` (follows from it on the same device) or `child` (explained by it)"
        ),
    ]
    since: datetime | None
    until: Annotated[datetime | None, Field(description="null: it belongs to it still")]
    alarm: Alarm


class Step(_Model):
    """One step of the escalation."""

    kind: Annotated[str, Field(description="Of which clock", examples=["response"])]
    role: Annotated[str, Field(examples=["duty engineer"])]
    channels: list[str]
    text: str
    due: Annotated[
        datetime | None, Field(description="When its turn comes; null: it was taken, or nothing comes of it any more")
    ]
    done: bool
    nobody: Annotated[bool, Field(description="There was nobody on duty for it")]

    @classmethod
    def of(cls, view: StepView) -> Step:
        return cls(
            kind=view.kind, role=view.role, channels=list(view.channels), text=view.text, due=iso(view.due), done=view.done, nobody=view.nobody,
        )  # fmt: skip


class Event(_Model):
    at: datetime | None
    kind: Annotated[str, Field(examples=["acknowledged"])]
    lines: list[Line]


class Told(_Model):
    label: str
    value: str
    component: str


class DiagnosisCard(_Model):
    """What to do at a glance. branch_checks: safe for staff of the branch; told: part numbers and the like, as the device said; missing: what it did not say."""

    means: str
    branch_checks: list[str]
    engineer_brings: list[str]
    told: list[Told]
    missing: list[str]

    @classmethod
    def of(cls, card: Card) -> DiagnosisCard:
        told = [Told(label=one.label, value=one.value, component=one.component) for one in card.told]
        return cls(
            means=card.means, branch_checks=list(card.branch_checks), engineer_brings=list(card.engineer_brings), told=told, missing=list(card.missing),
        )  # fmt: skip


class OnDuty(_Model):
    role: Annotated[str, Field(examples=["duty engineer"])]
    people: Annotated[list[str], Field(description="Empty: nobody", examples=[["Zhang Min"]])]


class IncidentDetail(Incident):
    """Everything about one incident."""

    rule_cause: str
    consequence: str
    action: str
    card: DiagnosisCard | None
    members: list[Member]
    more_members: Annotated[int, Field(description="Those that are not listed")]
    parts: Annotated[list[str], Field(description="Incidents that were told before this one explained them")]
    events: Annotated[list[Event], Field(description="Oldest first")]
    steps: list[Step]
    on_duty: Annotated[list[OnDuty], Field(description="Who has the roles of these steps now")]
    messages: Annotated[list[Delivery], Field(description="To the ticket system and to people, newest first")]
    acts: Annotated[
        list[str],
        Field(
            description="The commands of tillwatch-collector that would change something now",
            examples=[["acknowledge HWM-3f2a9c11d0e4b5a6978c-1"]],
        ),
    ]
    can: Annotated[
        list[str],
        Field(description="Acts that apply now and that the asker may do", examples=[["acknowledge", "note"]]),
    ] = []
    why: Why
    foretold: Annotated[list[Foreseen], Field(description="The findings that it tells of")]

    @classmethod
    def of_file(
        cls, file: IncidentFile, text: Text, rule_text: RuleText, card: Card | None, alarms: Sequence[Alarm],
        foretold: Sequence[Foreseen] = (), can: Sequence[str] = (),
    ) -> IncidentDetail:  # fmt: skip
        """alarms: those of its members, in the reader's language, as the rest is."""
        return cls(
            **_fields(file.view),
            rule_cause=card.cause if card is not None else file.rule_cause,
            consequence=card.consequence if card is not None else file.consequence,
            action=card.action if card is not None else file.action,
            card=DiagnosisCard.of(card) if card is not None and card.means else None,
            members=[
                Member(role=one.role, since=iso(one.since), until=iso(one.until), alarm=alarm)
                for one, alarm in zip(file.members, alarms, strict=True)
            ],
            more_members=file.more_members,
            parts=list(file.parts),
            events=[
                Event(at=iso(one.at), kind=one.kind, lines=[Line.of(line, text, rule_text) for line in one.lines])
                for one in file.events
            ],
            steps=[Step.of(one) for one in file.steps],
            on_duty=[OnDuty(role=role, people=list(people)) for role, people in file.on_duty],
            messages=[Delivery.of(one) for one in file.messages],
            acts=next_acts(file.view),
            why=Why.of(file.why, text, rule_text),
            foretold=list(foretold),
            can=list(can),
        )
