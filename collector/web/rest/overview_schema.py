"""What the REST API says of the fleet from above. Shares are 0 to 1; times are ISO 8601 with offset, null for never."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field

from tillwatch.collector.read import AlarmView, ComponentView, TerminalView
from tillwatch.collector.terminal.component_groups import group_of
from tillwatch.collector.web.branch_week import Day
from tillwatch.collector.web.health_path import Path
from tillwatch.collector.web.overview import Hit, Missed, RollUp, condition_of, state_of
from tillwatch.collector.web.rest.schema import iso


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


class FleetNow(PlaceRollUp):
    """All terminals as one, with what is promised for their incidents."""

    incidents: Annotated[int, Field(description="Living ones, drills left out", examples=[31])]
    breached: Annotated[int, Field(description="Of these with a target that is missed", examples=[2])]
    next_due: Annotated[datetime | None, Field(description="When the next target is missed")]

    @classmethod
    def now(cls, one: RollUp, promised: Missed) -> FleetNow:
        return cls(
            **PlaceRollUp.of(one).model_dump(), incidents=promised.living, breached=promised.breached, next_due=iso(promised.next_due)
        )  # fmt: skip


class WorstTerminal(_Model):
    """A terminal to look at first, in one line."""

    id: Annotated[str, Field(examples=["ATM-0012"])]
    branch: Annotated[str, Field(examples=["Harbour Road"])]
    region: Annotated[str, Field(examples=["South"])]
    condition: Annotated[str, Field(examples=["crit"])]
    state: Annotated[str, Field(description="Empty before anything was rolled up", examples=["out_of_service"])]
    since: Annotated[datetime | None, Field(description="Of the state")]
    level: Annotated[int, Field(description="Of its worst open alarm, 0 for none", ge=0, le=3, examples=[1])]
    text: Annotated[str, Field(description="Of that alarm; empty for none", examples=["The cash dispenser is jammed"])]
    incident: Annotated[str, Field(description="That it belongs to; empty for none")]
    taken_by: Annotated[str, Field(description="Who has taken it on; empty: nobody", examples=["li.wei"])]
    last_received: datetime | None
    cells: Annotated[
        str,
        Field(
            description="A letter for each column of the fleet grid: o w c u, and - for none", examples=["oocooooo-o-"]
        ),
    ]

    @classmethod
    def of(cls, view: TerminalView, alarm: AlarmView | None, text: str) -> WorstTerminal:
        return cls(
            id=view.id, branch=view.branch, region=view.region, condition=condition_of(view), state=state_of(view),
            since=iso(view.state.since) if view.state is not None else None, level=view.level, text=text,
            incident=alarm.incident if alarm is not None else "", taken_by=alarm.acked_by if alarm is not None else "",
            last_received=iso(view.last_received), cells=view.cells.letters,
        )  # fmt: skip


class HopHealth(_Model):
    """One part of the way from the device to the collector."""

    hop: Annotated[str, Field(description="`device`, `lan`, `wan`, `broker` or `collector`", examples=["wan"])]
    share: Annotated[
        float | None,
        Field(
            description="Of those of which anything is known, how many pass it; null: nothing is known of any",
            examples=[0.995],
        ),
    ]
    health: Annotated[
        dict[str, int],
        Field(description="Terminals by `works`, `weak`, `guilty`, `unknown` (cannot be seen, for instance behind a broken hop) and `planned`", examples=[{"works": 9900, "guilty": 50, "unknown": 10}]),
    ]  # fmt: skip
    watched: Annotated[
        int,
        Field(
            description="Of how many a device tells how this hop is; of the others it is known by who speaks through it",
            examples=[900],
        ),
    ]
    why: Annotated[dict[str, int], Field(description="Reasons of what does not work", examples=[{"branch_gone": 50}])]
    examples: Annotated[list[str], Field(description="Terminals that it is guilty of, some of them")]


class PathHealth(_Model):
    """The way of the data of a part of the fleet. guilty: the hop that keeps most terminals away; empty: none does."""

    scope: Annotated[str, Field(description="`fleet`, or the kind of what was asked for", examples=["region"])]
    name: Annotated[str, Field(examples=["South"])]
    terminals: Annotated[int, Field(description="Those in use that were ever heard", examples=[9960])]
    unheard: Annotated[int, Field(description="Enrolled, and never heard", examples=[0])]
    guilty: Annotated[str, Field(examples=["wan"])]
    hops: list[HopHealth]

    @classmethod
    def of(cls, scope: str, name: str, path: Path) -> PathHealth:
        hops = [
            HopHealth(
                hop=hop.hop, share=hop.share, health=dict(hop.health), watched=hop.watched, why=dict(hop.why.most_common()), examples=hop.examples
            )
            for hop in path.hops
        ]  # fmt: skip
        return cls(
            scope=scope, name=name, terminals=path.terminals, unheard=path.unheard, guilty=path.guilty, hops=hops
        )


class HeatCells(_Model):
    """What the heat map needs beside the fleet's rows: a value a terminal, in the order of `terminals`."""

    terminals: list[str]
    model: Annotated[list[str], Field(description="Of its device file; empty: not written down")]
    score: Annotated[list[float | None], Field(description="Expected visits within the horizon; null: no grade")]
    grade: Annotated[list[str], Field(description="Empty: none")]


class BranchDay(_Model):
    """A day of a branch by the network definition; the day that goes on until now."""

    start: datetime | None
    end: datetime | None
    up: Annotated[
        float | None, Field(description="Share of the scheduled time; null: none was scheduled", examples=[0.991])
    ]
    down: float | None
    planned: float | None
    unmonitored: float | None

    @classmethod
    def of(cls, day: Day) -> BranchDay:
        whole = day.shares.scheduled
        shares = {
            name: getattr(day.shares, name) / whole if whole else None
            for name in ("up", "down", "planned", "unmonitored")
        }
        return cls(start=iso(day.start), end=iso(day.end), **shares)


class BranchWeek(_Model):
    """The last seven days, the oldest first. days is empty where this console has no store to compute from."""

    days: list[BranchDay]
    computed: datetime | None
    zone: Annotated[str, Field(description="By whose clocks a day begins", examples=["Asia/Shanghai"])]


class DutyPerson(_Model):
    """contact: channel -> number or address; only for who may act."""

    name: Annotated[str, Field(examples=["Li Wei"])]
    contact: Annotated[dict[str, str], Field(examples=[{"phone": "+86 10 5550 0101"}])]


class OnDuty(_Model):
    """Who has a role for a branch now. people is empty where nobody is on duty."""

    role: Annotated[str, Field(examples=["duty engineer"])]
    people: list[DutyPerson]


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
