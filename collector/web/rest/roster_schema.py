"""The shapes of the duty roster and of the escalation in the REST API. People's numbers and addresses are masked."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from tillwatch.collector.contacts import masked
from tillwatch.collector.duty.coverage import Row, Stretch
from tillwatch.collector.duty.roster import Person
from tillwatch.collector.duty.targets import Step, Target
from tillwatch.collector.web.rest.schema import iso


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, populate_by_name=True)


class PersonShown(_Model):
    id: Annotated[str, Field(examples=["chen"])]
    name: Annotated[str, Field(examples=["Chen Jun"])]
    contact: Annotated[
        dict[str, str],
        Field(description="Channel -> number or address, masked", examples=[{"phone": "+86 139 **** 0103"}]),
    ]

    @classmethod
    def of(cls, person: Person) -> PersonShown:
        return cls(
            id=person.id, name=person.name, contact={name: masked(value) for name, value in person.contact.items()}
        )


class DutyStretch(_Model):
    since: Annotated[datetime | None, Field(alias="from")]
    until: Annotated[datetime | None, Field(alias="to")]
    people: Annotated[list[str], Field(description="Names; empty: nobody is on duty", examples=[["Chen Jun"]])]

    @classmethod
    def of(cls, each: Stretch) -> DutyStretch:
        return cls(since=iso(each.since), until=iso(each.until), people=[person.name for person in each.people])


class DutyRow(_Model):
    """One role in one place over the time that was asked for."""

    role: Annotated[str, Field(examples=["duty engineer"])]
    what: Annotated[str, Field(description="What the role is")]
    branch: Annotated[str, Field(description="Empty: not of a single branch")]
    region: str
    levels: Annotated[list[int], Field(description="At which a step of the escalation calls it; empty: none does")]
    now: Annotated[list[PersonShown], Field(description="Who has it now; empty: nobody")]
    stretches: list[DutyStretch]
    gaps: Annotated[int, Field(description="Stretches in which nobody has it")]
    gap_s: Annotated[float, Field(description="Their length together")]

    @classmethod
    def of(cls, row: Row, what: str, levels: tuple[int, ...], now: tuple[Person, ...]) -> DutyRow:
        return cls(
            role=row.role, what=what, branch=row.branch, region=row.region, levels=list(levels), now=[PersonShown.of(each) for each in now],
            stretches=[DutyStretch.of(each) for each in row.stretches], gaps=len(row.gaps), gap_s=sum(each.until - each.since for each in row.gaps) / 1e9,
        )  # fmt: skip


class LadderStep(_Model):
    kind: Annotated[str, Field(description="`response` or `repair`")]
    after_s: Annotated[float, Field(description="Of open time on that clock")]
    role: Annotated[str, Field(description="Empty: nobody is called; the miss counts")]
    channels: list[str]
    text: str

    @classmethod
    def of(cls, step: Step) -> LadderStep:
        return cls(
            kind=step.kind, after_s=step.after_ns / 1e9, role=step.role, channels=list(step.channels), text=step.text
        )


class Ladder(_Model):
    """What is promised at a level, and who is told on the way."""

    level: Annotated[int, Field(ge=1, le=3)]
    hours: Annotated[
        str,
        Field(description="In which its clocks run: a calendar, `always`, or `service` for the terminal's own hours"),
    ]
    response_s: float
    repair_s: float
    remind_s: Annotated[float, Field(description="Until somebody responds; 0: never")]
    undelivered_s: Annotated[
        float, Field(description="How long its ticket may wait before people are told otherwise; 0: no limit")
    ]
    steps: list[LadderStep]

    @classmethod
    def of(cls, target: Target) -> Ladder:
        return cls(
            level=target.level, hours=target.hours, response_s=target.response_ns / 1e9, repair_s=target.repair_ns / 1e9, remind_s=target.remind_ns / 1e9,
            undelivered_s=target.undelivered_ns / 1e9, steps=[LadderStep.of(step) for step in target.steps],
        )  # fmt: skip


class DutyRoster(_Model):
    """Who is on duty, and who is called by when. It stands in the site's policy file, and is changed there."""

    used: Annotated[bool, Field(description="False: there are no shifts, and calls name the role only")]
    zone: str
    since: Annotated[datetime | None, Field(alias="from")]
    until: Annotated[datetime | None, Field(alias="to")]
    rows: list[DutyRow]
    left_out: Annotated[int, Field(description="Places beyond what one answer lays out")]
    ladders: list[Ladder]
    unmanned: Annotated[
        list[str], Field(description="Roles that a step calls and nobody ever has", examples=[["director"]])
    ]
    source: Annotated[str, Field(description="Where it is changed", examples=["/etc/tillwatch/policy.toml"])]


class Way(_Model):
    """Through what a call goes out."""

    connector: Annotated[str, Field(description="NAME of [channels.NAME]", examples=["sms-gateway"])]
    channel: str
    contact: Annotated[str, Field(description="Masked")]


class ToldStep(LadderStep):
    """A step, with whom it would tell."""

    due: Annotated[datetime | None, Field(description="If the incident were found now")]
    people: Annotated[
        list[PersonShown], Field(description="Who has the role then; empty: nobody, and the next step comes at once")
    ]
    ways: Annotated[
        list[Way], Field(description="Empty: no row of the routes takes it, or nothing is known of the routes")
    ]


class Told(_Model):
    """Who would be told of an incident there, found now."""

    level: int
    branch: str
    region: str
    at: datetime | None
    open: Annotated[bool, Field(description="Whether the clocks run now")]
    runs_at: Annotated[datetime | None, Field(description="When they run next")]
    steps: list[ToldStep]
    ticket: Annotated[
        str, Field(description="The ticket system that would get it; empty: none, or nothing is known of the routes")
    ]
    why: Annotated[str, Field(description="By which row, in words")]
    routed: Annotated[bool, Field(description="Whether the console knows the table of routes")]
