"""The shapes of rules, of what they did, and of trials in the REST API."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from tillwatch.collector.alarm.diagnosis import Card
from tillwatch.collector.alarm.rule_changes import Changes, Origin, fragment, limits_of
from tillwatch.collector.alarm.rules import Rule
from tillwatch.collector.oversight import Fix, IncidentRef, RuleCount, RuleRecord
from tillwatch.collector.web.rest.schema import iso
from tillwatch.collector.web.trials import Trial

MAX_STEPS = 3
"""Levels that a limit can have."""
MAX_WORDS = 20
MAX_SECONDS = 400 * 86_400
MAX_EPISODES_SHOWN = 2_000


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, populate_by_name=True)


class LimitStep(_Model):
    limit: Annotated[FiniteFloat, Field(examples=[90])]
    level: Annotated[int, Field(ge=1, le=3, examples=[3])]


class Fired(_Model):
    """What a rule did within the days that are looked at."""

    raised: Annotated[int, Field(description="Episodes, with those that came back", examples=[14])]
    terminals: int
    acknowledged: Annotated[int, Field(description="By a person")]
    incidents: Annotated[int, Field(description="That were told")]
    right: Annotated[int, Field(description="Verdicts of technicians that it was right")]
    wrong: int
    hit_share: Annotated[
        float | None, Field(description="right / (right + wrong); null: no verdict yet", examples=[0.71])
    ]
    told: Annotated[int, Field(description="Calls to people")]
    open: Annotated[int, Field(description="Alarms of it that last now")]
    last_at: datetime | None

    @classmethod
    def of(cls, count: RuleCount) -> Fired:
        share = count.hit_share
        return cls(
            raised=count.raised, terminals=count.terminals, acknowledged=count.acknowledged, incidents=count.incidents, right=count.right, wrong=count.wrong,
            hit_share=None if share is None else round(share, 4), told=count.told, open=count.open, last_at=iso(count.last_at),
        )  # fmt: skip


class RuleShort(_Model):
    """A rule in force."""

    id: Annotated[str, Field(examples=["disk.full"])]
    text: Annotated[str, Field(examples=["A disk is nearly full"])]
    party: Annotated[str, Field(description="Who answers for it", examples=["software"])]
    axis: Annotated[str, Field(description="`fitness`, `supply` or `security`")]
    levels: Annotated[
        list[int], Field(description="That its alarms can have, the gravest first; empty: the collector decides")
    ]
    origin: Annotated[str, Field(description="`shipped`, `changed` by the bank, or its `own`")]
    fired: Fired

    @classmethod
    def of(cls, rule: Rule, card: Card, origin: Origin, count: RuleCount) -> RuleShort:
        return cls(
            id=rule.id, text=card.text, party=rule.party, axis=rule.axis, levels=_levels(rule), origin=origin.kind, fired=Fired.of(count),
        )  # fmt: skip


def _levels(rule: Rule) -> list[int]:
    named = [level for level in (rule.limits.words or {}).values() if level]
    judged = [level for level in (rule.limits.judged or {}).values() if level]
    return sorted({level for _, _, level in limits_of(rule)} | set(named) | set(judged))


class RuleOff(_Model):
    """A rule that the bank does without."""

    id: str
    text: str
    why: Annotated[str, Field(examples=["watched by the landlord"])]


class RulePage(_Model):
    items: list[RuleShort]
    total: int
    limit: int
    offset: int
    days: Annotated[int, Field(description="Of what they did", examples=[30])]
    off: list[RuleOff]


class FixFound(_Model):
    """What technicians found on this fault, on this fleet."""

    verdict: Annotated[str, Field(examples=["part_changed"])]
    part: Annotated[str, Field(examples=["SSD 480 GB"])]
    count: int
    last_at: datetime | None
    last_incident: str

    @classmethod
    def of(cls, fix: Fix) -> FixFound:
        return cls(
            verdict=fix.verdict,
            part=fix.part,
            count=fix.count,
            last_at=iso(fix.last_at),
            last_incident=fix.last_incident,
        )


class IncidentShort(_Model):
    id: Annotated[str, Field(examples=["HWM-3f2a9c11d0e4b5a6978c-1"])]
    state: str
    level: int
    terminal: str
    branch: str
    opened_at: datetime | None

    @classmethod
    def of(cls, ref: IncidentRef) -> IncidentShort:
        return cls(
            id=ref.id,
            state=ref.state,
            level=ref.level,
            terminal=ref.terminal,
            branch=ref.branch,
            opened_at=iso(ref.opened_at),
        )


class RuleDetail(RuleShort):
    """One rule with its limits, and what it did."""

    signals: Annotated[list[str], Field(examples=[["host.disk.percent"]])]
    unit: Annotated[str, Field(description="Of the first signal", examples=["%"])]
    above: list[LimitStep]
    below: list[LimitStep]
    words: Annotated[dict[str, int], Field(description="State word -> level, 0: none")]
    deadband: float
    for_s: float
    hold_s: float
    latched: bool
    cause: str
    consequence: str
    action: str
    owner: str
    review: Annotated[str, Field(description="When its limits are to be looked at again", examples=["2027-06-30"])]
    changed: Annotated[list[str], Field(description="Keys that the bank has changed")]
    class_levels: Annotated[dict[str, int], Field(description="Terminal class -> level in place of its own")]
    tried: Annotated[bool, Field(description="Whether other limits of it can be tried over the past")]
    days: Annotated[list[int], Field(description="Episodes a day, oldest first")]
    worst: Annotated[dict[str, int], Field(description="Terminals with the most episodes")]
    roles: Annotated[dict[str, int], Field(description="Calls by role")]
    incidents: list[IncidentShort]
    fixes: list[FixFound]

    @classmethod
    def made(
        cls, rule: Rule, card: Card, origin: Origin, record: RuleRecord, unit: str, class_levels: dict[str, int]
    ) -> RuleDetail:
        limits = rule.limits
        short = RuleShort.of(rule, card, origin, record.count)
        return cls(
            **dict(short), signals=list(rule.signals), unit=unit, above=[LimitStep(limit=s.limit, level=s.level) for s in limits.above],
            below=[LimitStep(limit=s.limit, level=s.level) for s in limits.below], words=dict(limits.words or {}), deadband=limits.deadband,
            for_s=limits.for_ns / 1e9, hold_s=limits.hold_ns / 1e9, latched=rule.latched, cause=card.cause, consequence=card.consequence, action=card.action,
            owner=rule.owner, review=rule.review, changed=list(origin.keys), class_levels=class_levels, tried=bool(rule.signals), days=list(record.days),
            worst=dict(record.worst), roles=dict(record.told), incidents=[IncidentShort.of(each) for each in record.incidents],
            fixes=[FixFound.of(each) for each in record.fixes],
        )  # fmt: skip


class RuleChanges(_Model):
    """What is to be other than it is; what is left out stays."""

    above: Annotated[list[LimitStep] | None, Field(max_length=MAX_STEPS)] = None
    below: Annotated[list[LimitStep] | None, Field(max_length=MAX_STEPS)] = None
    words: Annotated[
        dict[Annotated[str, Field(min_length=1, max_length=60)], Annotated[int, Field(ge=0, le=3)]] | None,
        Field(max_length=MAX_WORDS),
    ] = None
    deadband: Annotated[FiniteFloat | None, Field(ge=0)] = None
    for_s: Annotated[FiniteFloat | None, Field(ge=0, le=MAX_SECONDS)] = None
    hold_s: Annotated[FiniteFloat | None, Field(ge=0, le=MAX_SECONDS)] = None

    def changes(self) -> Changes:
        def steps(given: list[LimitStep] | None) -> list[tuple[float, int]] | None:
            return None if given is None else [(step.limit, step.level) for step in given]

        return Changes(steps(self.above), steps(self.below), self.words, self.deadband, self.for_s, self.hold_s)


class BacktestAsked(_Model):
    rule: Annotated[str, Field(min_length=1, max_length=100, examples=["disk.full"])]
    since: Annotated[str, Field(alias="from", max_length=40, examples=["2026-10-01"])]
    until: Annotated[str, Field(alias="to", max_length=40, description="Empty: now")] = ""
    terminal: Annotated[str, Field(max_length=64, description="Only this one; empty: all that the asker may see")] = ""
    changes: RuleChanges = RuleChanges()


class Backtest(_Model):
    """A rule that is tried over the past. Nothing is switched on by it."""

    id: str
    rule: str
    state: Annotated[
        str,
        Field(description="`waiting`, `running`, `done`, `failed`, `cancelled` or `too_long`", examples=["running"]),
    ]
    share: Annotated[float, Field(ge=0, le=1, description="Of the way")]
    asked_at: datetime | None
    done_at: datetime | None
    since: Annotated[datetime | None, Field(alias="from")]
    until: Annotated[datetime | None, Field(alias="to")]
    terminal: str
    fragment: Annotated[
        str, Field(description="What to write into the bank's rules file; empty: nothing is other than it is")
    ]
    trouble: Annotated[str, Field(description="Why there is no report")]
    report: Annotated[
        dict[str, Any] | None,
        Field(
            description="What it would have raised (`tried`), what the one in force raised (`stood`), both against what happened; `by_terminal`"
        ),
    ]

    @classmethod
    def of(cls, trial: Trial, *, whole: bool) -> Backtest:
        asked = trial.asked
        return cls(
            id=trial.id, rule=asked.rule, state=trial.state, share=trial.share, asked_at=iso(trial.asked_at), done_at=iso(trial.done_at), since=iso(asked.since),
            until=iso(asked.until), terminal=asked.terminal, fragment=asked.text, trouble=trial.trouble, report=trial.report if whole else None,
        )  # fmt: skip


class TriedEpisode(_Model):
    """A row of the file of a trial."""

    table: Annotated[str, Field(description="`tried` or `in_force`")]
    terminal: str
    component: str
    begun: datetime | None
    ended: datetime | None
    level: int
    value: str
    outcome: Annotated[str, Field(description="`hit`, `false`, `prevented` or `unknown`")]
    lead_days: float | None

    @classmethod
    def all_of(cls, report: dict[str, Any]) -> list[TriedEpisode]:
        return [
            cls(
                table=name,
                terminal=each["terminal"],
                component=each["component"],
                begun=iso(each["begun"]),
                ended=iso(each["ended"]),
                level=each["level"],
                value="" if each["value"] is None else str(each["value"]),
                outcome=each["outcome"],
                lead_days=each["lead_days"],
            )
            for name, key in (("tried", "tried"), ("in_force", "stood"))
            for each in report[key]["list"]
        ]


def text_of(rule: str, changes: RuleChanges) -> str:
    """The TOML of a trial; empty where nothing is other."""
    made = changes.changes()
    return fragment(rule, made) if made.any else ""
