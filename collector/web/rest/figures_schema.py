"""The shapes of availability and service figures in the REST API. Lengths are in seconds, shares from 0 to 1, null where there is no base; times are
ISO 8601 with offset.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from tillwatch.collector.figures.shares import Shares
from tillwatch.collector.figures.wording import Wording
from tillwatch.collector.web.rest.schema import iso

S = 10**9
Counts = Literal["up", "down", "planned", "unmonitored"]
_MARKS = ("failed", "opened", "responded", "restored", "resolved")
Definition = Literal["network", "any", "full"]


def seconds(ns: float | None) -> float | None:
    return None if ns is None else ns / S


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, populate_by_name=True)


class FiguresPeriod(_Model):
    """to: where the log ends before asked_to, it ends there."""

    name: Annotated[str, Field(examples=["2026-10"])]
    since: Annotated[datetime | None, Field(alias="from")]
    to: datetime | None
    asked_to: datetime | None
    zone: Annotated[str, Field(description="By whose clocks days and months begin", examples=["Asia/Shanghai"])]


class FiguresScope(_Model):
    """A part of the fleet. A terminal has branch, region, class and maker; a branch its region."""

    kind: Annotated[str, Field(description="`fleet`, `region`, `branch`, `class`, `vendor` or `terminal`")]
    name: Annotated[str, Field(examples=["Harbour Road"])]
    branch: str = ""
    region: str = ""
    terminal_class: Annotated[str, Field(alias="class")] = ""
    vendor: str = ""


class Ratio(_Model):
    """part of base; open: what cannot be judged yet, or need not be."""

    share: Annotated[float | None, Field(examples=[0.943])]
    part: Annotated[int, Field(examples=[33])]
    base: Annotated[int, Field(examples=[35])]
    open: Annotated[int, Field(examples=[2])]


class Mean(_Model):
    mean_s: Annotated[float | None, Field(examples=[6480.0])]
    n: Annotated[int, Field(examples=[31])]
    longest_s: float | None

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Mean:
        return cls(mean_s=seconds(plain["mean_ns"]), n=plain["n"], longest_s=seconds(plain["longest_ns"]))


class Available(_Model):
    """By one definition of "available". The four shares add up to 1; planned windows are in neither availability."""

    scheduled_s: float
    up_s: float
    down_s: float
    planned_s: float
    unmonitored_s: float
    up: Annotated[float | None, Field(examples=[0.9912])]
    down: float | None
    planned: float | None
    unmonitored: float | None
    availability_best: Annotated[float | None, Field(description="(up + unmonitored) / (scheduled - planned)")]
    availability_worst: Annotated[float | None, Field(description="up / (scheduled - planned)")]
    interruption_net: Annotated[float | None, Field(description="down / scheduled")]
    interruption_gross: Annotated[float | None, Field(description="(down + planned) / scheduled")]
    operating_ratio: Annotated[float | None, Field(description="开机率: (scheduled - down) / scheduled")]
    interruptions: int
    impact: Annotated[float | None, Field(description="Expected transactions while it was down, of all expected ones")]

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Available:
        times = {f"{word}_s": plain[f"{word}_ns"] / S for word in ("scheduled", "up", "down", "planned", "unmonitored")}
        names = ("availability_best", "availability_worst", "interruption_net", "interruption_gross", "operating_ratio")
        return cls(
            **times, **plain["shares"], **{name: plain[name] for name in names}, interruptions=plain["interruptions"], impact=plain["impact"]
        )  # fmt: skip


class Service(_Model):
    """Of the incidents opened in the period that were told to people."""

    incidents: int
    levels: dict[str, int]
    not_told: int
    open: int
    failures: int
    response: Annotated[Ratio, Field(description="First word of a person within the target")]
    restored_net: Annotated[Ratio, Field(description="Restored within the target, without holds")]
    restored_gross: Ratio
    resolved_net: Ratio
    resolved_gross: Ratio
    acknowledge: Annotated[Mean, Field(description="From found to the first word of a person (MTTA)")]
    restore: Annotated[Mean, Field(description="From fault to restored (MTTR)")]
    phases: Annotated[
        dict[str, Mean], Field(description="`detect`, `respond`, `travel`, `repair`, and `verify` after it")
    ]
    mtbf_s: Annotated[float | None, Field(description="Time up (network) / incidents of level 1 and 2")]
    reopened: Ratio
    first_fix_7: Ratio
    first_fix_30: Ratio
    repeated: Ratio
    no_fault_found: Ratio
    false_alarms: Ratio
    duplicates: Ratio
    undelivered: Ratio
    drills: int

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Service:
        ratios = {
            name: Ratio(**value) for name, value in plain.items() if isinstance(value, dict) and set(value) == {"share", "part", "base", "open"}
        }  # fmt: skip
        return cls(
            incidents=plain["incidents"], levels=plain["levels"], not_told=plain["not_told"], open=plain["open"], failures=plain["failures"],
            acknowledge=Mean.of(plain["acknowledge"]), restore=Mean.of(plain["restore"]),
            phases={name: Mean.of(one) for name, one in plain["phases"].items()},
            mtbf_s=seconds(plain["mtbf_ns"]), drills=plain["drills"]["n"], **ratios,
        )  # fmt: skip


class Noisy(_Model):
    rule: str
    text: str
    terminal: str
    component: str
    n: int


class AlarmLoad(_Model):
    """After EEMUA 191 and ISA-18.2; masked alarms are counted apart, drills not at all."""

    alarms: int
    muted: int
    per_day: Annotated[float | None, Field(examples=[14.2])]
    per_operator_hour: float | None
    operators: int
    floods: Annotated[Ratio, Field(description="10-minute steps with 10 or more alarms for each operator")]
    without_action: Annotated[
        Ratio, Field(description="Alarms that nobody took on, of those that are over or taken on")
    ]
    peak_10_minutes: int
    peak_hour: int
    levels: dict[str, int]
    top_share: float | None
    top: Annotated[list[Noisy], Field(description="The ten noisiest sources")]
    chattering: int
    standing: int
    shelved: int

    @classmethod
    def of(cls, plain: Mapping[str, Any], titles: Mapping[str, str]) -> AlarmLoad:
        counted = {
            name: len(plain[name]) + plain["left_out"].get(name, 0) for name in ("chattering", "standing", "shelved")
        }
        plain_names = (
            "alarms",
            "muted",
            "per_operator_hour",
            "operators",
            "peak_10_minutes",
            "peak_hour",
            "levels",
            "top_share",
        )
        return cls(
            **{name: plain[name] for name in plain_names}, **counted, per_day=plain["alarms"] * 24 / plain["hours"] if plain["hours"] else None,
            floods=Ratio(**plain["floods"]), without_action=Ratio(**plain["without_action"]),
            top=[Noisy(**one, text=titles.get(one["rule"], one["rule"])) for one in plain["top"]],
        )  # fmt: skip


class Share(_Model):
    """A part of what is down, unmonitored or planned."""

    key: Annotated[str, Field(examples=["atm.jam"])]
    text: str
    length_s: float


class Figures(_Model):
    """All figures of one part of the fleet."""

    terminals: int
    terminals_over_limit: int
    definitions: dict[str, Available]
    down_by_reason: Annotated[list[Share], Field(description="By the definition `network`, the longest first")]
    down_by_party: list[Share]
    unmonitored_by_reason: list[Share]
    planned_by_reason: list[Share]
    by_late_readings_s: float
    by_corrections_s: float
    service: Service
    alarm_load: AlarmLoad

    @classmethod
    def of(cls, plain: Mapping[str, Any], words: Wording) -> Figures:
        """plain: as the report's JSON has it."""
        available = plain["availability"]
        network = available["definitions"]["network"]

        def shares(times: Mapping[str, int], family: str = "") -> list[Share]:
            return [
                Share(key=key, text=words.one(family, key) if family else words.reason(key), length_s=ns / S)
                for key, ns in times.items()
            ]

        return cls(
            terminals=available["terminals"], terminals_over_limit=plain["terminals_over_limit"],
            definitions={name: Available.of(one) for name, one in available["definitions"].items()},
            down_by_reason=shares(network["down_by_reason_ns"]), down_by_party=shares(network["down_by_party_ns"], "party"),
            unmonitored_by_reason=shares(available["unmonitored_by_reason_ns"]), planned_by_reason=shares(available["planned_by_reason_ns"]),
            by_late_readings_s=available["by_late_readings_ns"] / S, by_corrections_s=available["by_corrections_ns"] / S,
            service=Service.of(plain["service"]), alarm_load=AlarmLoad.of(plain["alarm_load"], words.titles),
        )  # fmt: skip


class FiguresAnswer(_Model):
    """Figures, or how far their computing is. state: `ready`; `computing`: there is nothing yet, ask again; renewing: newer ones are being made."""

    state: Literal["ready", "computing"]
    done: Annotated[int, Field(description="Of what is being computed, per cent", examples=[40])]
    renewing: bool
    period: FiguresPeriod
    scope: FiguresScope
    known: Annotated[datetime | None, Field(description="Up to when the log told anything when this was computed")]
    computed: Annotated[datetime | None, Field(description="When this was computed")]
    log: Annotated[int, Field(description="The journal's last entry then")]
    interruption_limit: float | None
    targets: Annotated[dict[str, tuple[float, float]], Field(description="By level: response and repair, seconds")]
    kinds: Annotated[dict[str, int], Field(description="How many there are of each kind of scope")]
    figures: Figures | None


class ScopeRow(_Model):
    """A row of a list of parts of the fleet."""

    scope: FiguresScope
    terminals: int
    terminals_over_limit: int
    scheduled_s: float
    up: float | None
    down: float | None
    planned: float | None
    unmonitored: float | None
    availability_best: float | None
    availability_worst: float | None
    any_down: float | None
    full_down: float | None
    impact: float | None
    incidents: int
    open: int
    restore_s: Annotated[float | None, Field(description="MTTR")]
    alarms: int
    over_limit: bool

    @classmethod
    def of(cls, row: Mapping[str, Any], limit: float) -> ScopeRow:
        scheduled = row["scheduled"]
        shares = Shares(row["up"], row["down"], row["planned"], row["unmonitored"])

        def share(ns: float) -> float | None:
            return ns / scheduled if scheduled else None

        return cls(
            scope=scope_of(row), terminals=row["terminals"], terminals_over_limit=row["over"], scheduled_s=scheduled / S,
            up=share(row["up"]), down=share(row["down"]), planned=share(row["planned"]), unmonitored=share(row["unmonitored"]),
            availability_best=shares.availability_best, availability_worst=shares.availability_worst, any_down=share(row["any_down"]),
            full_down=share(row["full_down"]), impact=row["impact"], incidents=row["incidents"], open=row["open"],
            restore_s=row["restore_total"] / row["restore_n"] / S if row["restore_n"] else None, alarms=row["alarms"],
            over_limit=bool(scheduled) and row["down"] / scheduled > limit,
        )  # fmt: skip


def scope_of(row: Mapping[str, Any]) -> FiguresScope:
    return FiguresScope(
        kind=row["kind"], name=row["name"], branch=row["branch"], region=row["region"], terminal_class=row["class"], vendor=row["vendor"],
    )  # fmt: skip


class Cause(_Model):
    """What was down by one cause, and who answers for it."""

    reason: Annotated[str, Field(examples=["atm.jam"])]
    text: str
    party: Annotated[str, Field(examples=["hardware"])]
    party_text: str
    length_s: float
    share: Annotated[float | None, Field(description="Of all that counts so")]
    stretches: int
    terminals: int


class Interval(_Model):
    """A stretch of scheduled time that is not plainly up, or that late readings or a person decided."""

    terminal: str
    branch: str
    region: str
    since: datetime | None
    until: datetime | None
    length_s: float
    network: Counts
    any: Counts
    full: Counts
    state: str
    reason: str
    text: str
    party: str
    party_text: str
    cause: str
    lost: str
    source: Annotated[str, Field(description="`state`, `cause`, `late`, `outage` or `correction`")]
    known_at: Annotated[datetime | None, Field(description="When the journal learnt what says so")]
    entry: Annotated[int, Field(description="Of a correction: its entry in the journal")]
    by: str
    why: str

    @classmethod
    def of(cls, row: Mapping[str, Any], words: Wording) -> Interval:
        same = {
            name: row[name]
            for name in (
                "terminal",
                "branch",
                "region",
                "network",
                "state",
                "reason",
                "party",
                "cause",
                "lost",
                "source",
                "entry",
                "by",
            )
        }
        times = {name: iso(row[name]) for name in ("since", "until", "known_at")}
        return cls.model_validate({
            **same, **times, "any": row["any_"], "full": row["full_"], "length_s": (row["until"] - row["since"]) / S,
            "text": words.reason(row["reason"]), "party_text": words.one("party", row["party"]),
            "why": words.why(row["why"], row["source"]),
        })  # fmt: skip


class JudgedIncident(_Model):
    """An incident of the period, with its part in the figures. Of shares: true, false, or null where it cannot be told."""

    id: str
    terminal: str
    component: str
    branch: str
    region: str
    level: int
    fault: str
    text: str
    state: str
    verdict: str
    failed: datetime | None
    opened: datetime | None
    responded: datetime | None
    restored: datetime | None
    resolved: datetime | None
    response: bool | None
    restored_net: bool | None
    restored_gross: bool | None
    resolved_net: bool | None
    resolved_gross: bool | None
    detect_s: float | None
    respond_s: float | None
    travel_s: float | None
    repair_s: float | None
    verify_s: float | None
    first_fix_7: bool | None
    first_fix_30: bool | None
    repeated: bool | None
    reopened: bool | None

    @classmethod
    def of(cls, row: Mapping[str, Any], words: Wording) -> JudgedIncident:
        said: dict[str, Any] = {}
        for name in cls.model_fields:
            if name.endswith("_s"):
                said[name] = seconds(row[name.removesuffix("_s")])
            elif name != "text":
                said[name] = iso(row[name]) if name in _MARKS else row[name]
        return cls.model_validate({**said, "text": words.rule(row["fault"])})


class RanOut(_Model):
    """What ran out or filled up, by rule."""

    rule: str
    text: str
    party: str
    party_text: str
    level: int
    episodes: int
    terminals: int
    length_s: Annotated[float, Field(description="How long it lasted within the period, all of them together")]
    down_s: Annotated[float, Field(description="Of the time down (network), what has this cause")]


class SupplyEpisode(_Model):
    terminal: str
    component: str
    branch: str
    region: str
    rule: str
    text: str
    level: int
    since: datetime | None
    until: Annotated[datetime | None, Field(description="null: it lasts")]


class TrendMonth(_Model):
    """state: `ready`, `computing`, `waiting`, or `none`: the log has nothing of it."""

    name: Annotated[str, Field(examples=["2026-10"])]
    state: str
    done: int
    row: ScopeRow | None
    response: Ratio | None
    restored_net: Ratio | None


class Trend(_Model):
    scope: FiguresScope
    interruption_limit: float | None
    months: Annotated[list[TrendMonth], Field(description="Oldest first")]


def period_of(name: str, start: int, asked: int, end: int | None, zone: str) -> FiguresPeriod:
    return FiguresPeriod(name=name, since=iso(start), to=iso(end if end is not None else asked), asked_to=iso(asked), zone=zone)  # fmt: skip
