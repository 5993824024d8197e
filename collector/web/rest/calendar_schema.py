"""The shapes of planned work in the REST API."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from tillwatch.collector.duty.planning import MAX_WORDS, Extent, Occurrence, state_of
from tillwatch.collector.duty.windows import Window
from tillwatch.collector.read import AlarmView
from tillwatch.collector.web.rest.schema import iso

MAX_SCOPE = 200
"""Characters of a scope: a terminal's name and a pattern of its components."""
MAX_TIME = 40
"""Characters of an ISO 8601 time."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, populate_by_name=True)


class PlannedWindow(_Model):
    """A maintenance window. Nobody is called for what it covers while it is open; that is watched all the same."""

    id: Annotated[str, Field(examples=["M-3fa2c1d0"])]
    scope: Annotated[
        str,
        Field(
            description="`all`, `region:NAME`, `branch:NAME`, a terminal, or `TERMINAL/COMPONENT` with * for anything",
            examples=["branch:Harbour Road"],
        ),
    ]
    state: Annotated[str, Field(description="`open`, `to come` or `over`", examples=["open"])]
    since: Annotated[datetime | None, Field(alias="from", description="Of the stretch that is open, or of the next")]
    until: Annotated[datetime | None, Field(alias="to")]
    weekly: Annotated[bool, Field(description="It comes back every week")]
    reason: Annotated[str, Field(examples=["New switch"])]
    by: Annotated[str, Field(description="Who set it up; empty: it stands in the policy", examples=["li.na"])]
    approved_by: Annotated[str, Field(examples=["chen.jun"])]
    change_ref: Annotated[str, Field(description="Of the change in the bank's own books", examples=["CHG-4711"])]
    made_in: Annotated[
        str,
        Field(
            description="`journal`: people made it, and may end it here; `policy`: it stands in the site's policy file",
            examples=["journal"],
        ),
    ]

    @classmethod
    def of(cls, window: Window, now: int, *, planned: bool) -> PlannedWindow:
        state, since, until = state_of(window, now)
        return cls(
            id=window.id, scope=window.scope, state=state, since=iso(since), until=iso(until), weekly=window.weekly is not None, reason=window.reason, by=window.by,
            approved_by=window.approved_by, change_ref=window.change_ref, made_in="policy" if planned else "journal",
        )  # fmt: skip


class Stretch(_Model):
    """One time at which a window is open."""

    window: Annotated[str, Field(description="Its id", examples=["M-3fa2c1d0"])]
    since: Annotated[datetime | None, Field(alias="from")]
    until: Annotated[datetime | None, Field(alias="to")]

    @classmethod
    def of(cls, each: Occurrence) -> Stretch:
        return cls(window=each.window.id, since=iso(each.since), until=iso(each.until))


class WindowPlan(_Model):
    """The windows of a time, and when each is open. zone: the site's, by whose clocks days begin."""

    windows: list[PlannedWindow]
    stretches: list[Stretch]
    left_out: Annotated[
        int, Field(description="Stretches beyond what one answer holds; ask for less time", examples=[0])
    ]
    zone: Annotated[str, Field(examples=["Asia/Shanghai"])]
    may_plan: Annotated[bool, Field(description="Whether the asker may make and end windows")]


class MaskedAlarm(_Model):
    """An open alarm that a window keeps from being told, or would."""

    id: int
    terminal: Annotated[str, Field(examples=["ATM-0417"])]
    component: str
    level: Annotated[int, Field(ge=1, le=3)]
    text: str
    since: datetime | None
    incident: str

    @classmethod
    def of(cls, view: AlarmView) -> MaskedAlarm:
        return cls(
            id=view.id, terminal=view.terminal, component=view.component, level=view.level, text=view.text, since=iso(view.raised_at), incident=view.incident,
        )  # fmt: skip


class Coverage(_Model):
    """Whom a scope covers, and what it keeps silent."""

    zone: Annotated[
        str, Field(description="By whose clocks times without an offset are meant", examples=["Asia/Shanghai"])
    ]
    count: Annotated[int, Field(description="Terminals", examples=[6])]
    share: Annotated[float, Field(description="Of the fleet", examples=[0.03])]
    large: Annotated[bool, Field(description="More than half of the fleet: nobody would be called for any of it")]
    terminals: Annotated[list[str], Field(description="The first of them, by name")]
    branches: Annotated[list[str], Field(description="The first of them, by name")]
    components: Annotated[list[str], Field(description="Of a scope that names some")]
    masks: Annotated[list[MaskedAlarm], Field(description="Open alarms, the gravest first")]
    mask_count: int
    overlaps: Annotated[list[PlannedWindow], Field(description="Other windows over the same terminals meanwhile")]

    @classmethod
    def of(
        cls,
        found: Extent,
        zone: str,
        branches: list[str],
        masks: list[AlarmView],
        overlaps: list[PlannedWindow],
        shown: int,
    ) -> Coverage:
        return cls(
            zone=zone, count=len(found.terminals), share=round(found.share, 4), large=found.large, terminals=list(found.terminals[:shown]), branches=branches[:shown],
            components=list(found.components[:shown]), masks=[MaskedAlarm.of(each) for each in masks[:shown]], mask_count=len(masks), overlaps=overlaps[:shown],
        )  # fmt: skip


class WindowAsked(_Model):
    """A window as it is to be. Times without an offset are by the clocks of the place."""

    scope: Annotated[str, Field(min_length=1, max_length=MAX_SCOPE, examples=["branch:Harbour Road"])]
    since: Annotated[
        str, Field(alias="from", max_length=MAX_TIME, description="ISO 8601, or `now`", examples=["2026-11-28T22:00"])
    ]
    until: Annotated[str, Field(alias="to", max_length=MAX_TIME, description="ISO 8601", examples=["2026-11-29T06:00"])]
    reason: Annotated[str, Field(max_length=MAX_WORDS, examples=["New switch"])]
    approved_by: Annotated[
        str, Field(max_length=MAX_WORDS, description="Somebody else who agreed", examples=["chen.jun"])
    ]
    change_ref: Annotated[
        str, Field(max_length=MAX_WORDS, description="Of the change in the bank's own books", examples=["CHG-4711"])
    ] = ""
    large: Annotated[bool, Field(description="Say true where more than half of the fleet is meant")] = False


class Night(_Model):
    """What the form for tonight begins with: times by the clocks of the place, as a form field takes them."""

    scope: Annotated[str, Field(examples=["branch:Harbour Road"])]
    zone: Annotated[str, Field(examples=["Asia/Shanghai"])]
    since: Annotated[str, Field(alias="from", examples=["2026-11-28T22:00"])]
    until: Annotated[str, Field(alias="to", examples=["2026-11-29T06:00"])]
    people: Annotated[list[str], Field(description="Of the roster: who may have agreed", examples=[["Chen Jun"]])]
