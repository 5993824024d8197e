"""What the REST API says of the fleet from above. Shares are 0 to 1; times are ISO 8601 with offset, null for never."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field

from tillwatch.collector.read import ComponentView
from tillwatch.collector.terminal.component_groups import group_of
from tillwatch.collector.web.overview import Hit, RollUp
from tillwatch.collector.web.schema import iso


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True)


class Found(_Model):
    """Something that a search found, with the page that shows it."""

    kind: Annotated[str, Field(description="`terminal`, `branch`, `region` or `incident`", examples=["terminal"])]
    id: Annotated[str, Field(examples=["ATM-0012"])]
    title: Annotated[str, Field(examples=["ATM-0012"])]
    detail: Annotated[str, Field(description="Where or what it is", examples=["Harbour Road · South"])]
    condition: Annotated[
        str, Field(description="`ok`, `warn`, `crit` or `unknown`; empty for an incident", examples=["crit"])
    ]
    level: Annotated[int, Field(description="1 to 3, 0 for none", ge=0, le=3, examples=[1])]
    address: Annotated[str, Field(description="Of its page in the console", examples=["/terminal/ATM-0012"])]

    @classmethod
    def of(cls, hit: Hit) -> Found:
        place = {"terminal": "terminal", "branch": "branch", "region": "regions", "incident": "incident"}[hit.kind]
        return cls(
            kind=hit.kind, id=hit.id, title=hit.title, detail=hit.detail, condition=hit.condition, level=hit.level,
            address=f"/{place}/{quote(hit.id, safe='')}",
        )  # fmt: skip


class SearchResult(_Model):
    """The best of each kind."""

    items: list[Found]


class PlaceRollUp(_Model):
    """A region, a branch, or the fleet as one."""

    name: Annotated[str, Field(description="Empty for the whole fleet", examples=["Harbour Road"])]
    region: Annotated[str, Field(description="Of a branch, where most of its terminals are", examples=["South"])]
    terminals: Annotated[int, Field(examples=[50])]
    branches: Annotated[int, Field(examples=[1])]
    conditions: Annotated[dict[str, int], Field(examples=[{"crit": 1, "unknown": 0, "warn": 2, "ok": 47}])]
    states: Annotated[
        dict[str, int],
        Field(description="Terminals by state; under the empty name those that were never rolled up", examples=[{"in_service": 48, "degraded": 2}]),
    ]  # fmt: skip
    counts: Annotated[
        dict[str, int],
        Field(description="What they count as now; `excluded`: out of use, or outside their hours of service", examples=[{"up": 48, "down": 1, "unmonitored": 1, "planned": 0, "excluded": 0}]),
    ]  # fmt: skip
    levels: Annotated[
        list[int], Field(description="Terminals whose worst alarm is of level 1, 2, 3", examples=[[1, 0, 2]])
    ]
    open_alarms: Annotated[int, Field(examples=[4])]
    silent: Annotated[int, Field(description="Should be heard and are not", examples=[1])]
    offline: Annotated[int, Field(description="Not connected, the silent ones among them", examples=[2])]
    available_least: Annotated[
        float | None,
        Field(description="Of those that are to serve now: as if what is not monitored were down", examples=[0.96]),
    ]
    available_most: Annotated[float | None, Field(description="As if what is not monitored were up", examples=[0.98])]
    newest: Annotated[datetime | None, Field(description="When anything came last")]
    oldest: Annotated[datetime | None, Field(description="The last word of the terminal in use that is silent longest")]
    worst: Annotated[str, Field(description="The terminal to look at first", examples=["ATM-0012"])]

    @classmethod
    def of(cls, one: RollUp) -> PlaceRollUp:
        return cls(
            name=one.name, region=one.region, terminals=one.terminals, branches=one.branches, conditions=dict(one.conditions), states=dict(one.states),
            counts=dict(one.counts), levels=list(one.levels), open_alarms=one.alarms, silent=one.silent, offline=one.offline,
            available_least=one.least, available_most=one.most, newest=iso(one.newest), oldest=iso(one.oldest), worst=one.worst,
        )  # fmt: skip


class TerminalPart(_Model):
    """A component of a terminal, sorted into the column of the fleet grid that shows it."""

    group: Annotated[str, Field(description="One of the columns of the fleet grid", examples=["cash"])]
    component: Annotated[str, Field(examples=["atm/CashDispenser unit:1"])]
    condition: Annotated[str, Field(description="`ok`, `warn`, `crit` or `unknown`", examples=["crit"])]
    reason: Annotated[
        str, Field(description="Why it is `unknown`, or what is wrong", examples=["The cash dispenser is jammed"])
    ]
    last_at: Annotated[datetime | None, Field(description="The newest reading of any of its signals")]

    @classmethod
    def of(cls, view: ComponentView) -> TerminalPart:
        return cls(
            group=group_of(view.name, [signal.signal for signal in view.signals]), component=view.name, condition=view.condition, reason=view.reason,
            last_at=iso(view.last_at),
        )  # fmt: skip
