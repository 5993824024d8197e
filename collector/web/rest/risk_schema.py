"""The shapes of what is foreseen in the REST API: terminals at risk, findings with their evidence, how often each detector was right, rounds of inspections."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field

from tillwatch.collector.predict import words
from tillwatch.collector.predict.finding import RULES, Finding, Grade, Record
from tillwatch.collector.predict.inspection import Due, Round
from tillwatch.collector.predict.record import LEAST_JUDGED, wilson
from tillwatch.collector.read import RiskView
from tillwatch.collector.web import life_words
from tillwatch.collector.web.predicting import HowFar, Learning
from tillwatch.collector.web.rest.schema import Page, iso
from tillwatch.device_profiles.catalogue import kept_catalogue

Key = tuple[str, str]
"""Detector and kind of part."""
Part = tuple[str, str, str]
"""(rule, terminal, component)."""


@dataclass(frozen=True, slots=True)
class Beside:
    """What a finding is shown with. records: as they stand now; incidents: of the alarms that are open; zones: branch -> IANA name of its time; branches:
    terminal -> branch.
    """

    language: str
    records: Mapping[Key, Record] = field(default_factory=dict)
    incidents: Mapping[Part, str] = field(default_factory=dict)
    zones: Mapping[str, str] = field(default_factory=dict)
    branches: Mapping[str, str] = field(default_factory=dict)

    def zone(self, terminal: str) -> str:
        return self.zones.get(self.branches.get(terminal, ""), "")


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, populate_by_name=True)


class HitRate(_Model):
    """How often one detector was right on parts of one kind, of what was judged since `since`."""

    detector: Annotated[str, Field(examples=["trend/disk"])]
    family: Annotated[str, Field(description="`wear`, `runout`, `trend`, `anomaly` or `failure`")]
    family_text: str
    kind: Annotated[str, Field(description="Of part", examples=["host/disk"])]
    hits: Annotated[int, Field(description="Came true, or a technician found the part at fault", examples=[14])]
    false: Annotated[int, Field(description="Did not come true, or he found nothing", examples=[3])]
    judged: Annotated[int, Field(description="hits + false", examples=[17])]
    prevented: Annotated[int, Field(description="Somebody acted before: counts neither way")]
    missed: Annotated[int, Field(description="Faults of such parts that it could have told of and did not")]
    precision: Annotated[
        float | None, Field(description="hits / judged; null: nothing was judged yet", examples=[0.82])
    ]
    least: Annotated[float, Field(description="Lower end of the 95 % interval of the true share (Wilson)")]
    most: Annotated[float, Field(description="Its upper end; below the floor the detector is demoted")]
    floor: Annotated[float, Field(description="The least share for its findings to raise anything", examples=[0.5])]
    least_judged: Annotated[int, Field(description="Findings judged before a record speaks", examples=[8])]
    since: Annotated[datetime | None, Field(description="When the oldest of them was judged")]
    demoted: Annotated[bool, Field(description="Below its floor: its findings stand on the trend page only")]
    demoted_at: Annotated[datetime | None, Field(description="When it was demoted")]
    open: Annotated[int, Field(description="Findings of it that are open now")] = 0
    text: Annotated[str, Field(description="The same in a sentence")]

    @classmethod
    def of(cls, record: Record, language: str, floor: float = 0.0, open_: int = 0, zone: str = "") -> HitRate:
        judged = record.hits + record.false
        least, most = wilson(record.hits, judged)
        family = record.detector.partition("/")[0]
        return cls(
            detector=record.detector, family=family, family_text=family_text(family, language), kind=record.kind, hits=record.hits, false=record.false,
            judged=judged, prevented=record.prevented, missed=record.missed, precision=record.precision, least=round(least, 4), most=round(most, 4),
            floor=floor, least_judged=LEAST_JUDGED, since=iso(record.since), demoted=record.demoted, demoted_at=iso(record.demoted_at), open=open_,
            text="; ".join(words.track(record, language, zone)),
        )  # fmt: skip


class Factor(_Model):
    """What speaks for a finding."""

    name: str
    text: Annotated[str, Field(description="The name in words")]
    value: int | float | str | bool | None
    unit: str
    weight: float


class FindingReading(_Model):
    component: str
    signal: str
    at: datetime | None
    value: int | float | str | bool | None
    unit: str


class Foreseen(_Model):
    """A finding: what is foreseen of one part, with its evidence."""

    id: Annotated[str, Field(examples=["9d1c0b7a54e2f318"])]
    terminal: Annotated[str, Field(examples=["ATM-0012"])]
    branch: str
    component: Annotated[str, Field(examples=["ups/battery"])]
    kind: Annotated[str, Field(description="Of part, which its detector's record is about")]
    signal: Annotated[str, Field(description="Empty: none in particular")]
    detector: Annotated[str, Field(examples=["wear/ups-battery"])]
    family: str
    family_text: str
    status: Annotated[str, Field(description="`open` or `over`")]
    word: Annotated[str, Field(description="`later`, `soon` (before the next visit) or `over`")]
    word_text: str
    begun: datetime | None
    at: Annotated[datetime | None, Field(description="When this was said last")]
    near: Annotated[datetime | None, Field(description="When it will happen at the earliest; null: no date is said")]
    likely: datetime | None
    far: datetime | None
    range: Annotated[str, Field(description="The three in a sentence, in the branch's time; empty without them")]
    probability: Annotated[float | None, Field(description="Of it within the horizon, where one is told")]
    reason: Annotated[str, Field(description="Why, in one sentence with its figures")]
    record: Annotated[HitRate, Field(description="Of this very detector on this kind of part, as it stands now")]
    demoted: bool
    ended: datetime | None
    outcome: Annotated[str, Field(description="`hit`, `false`, `prevented`, `unknown`; empty: not known yet")]
    outcome_text: str
    chart: Annotated[str, Field(description="Address of a small chart of it; empty: there is nothing to draw")]
    incident: Annotated[str, Field(description="Of its alarm while that is open; empty: none")]
    factors: Annotated[list[Factor], Field(description="What speaks for it, the strongest first")]

    @classmethod
    def of(cls, finding: Finding, beside: Beside) -> Foreseen:
        return cls(**_told(finding, beside))


class FindingDetail(Foreseen):
    """A finding with all of its evidence."""

    readings: list[FindingReading]
    record_then: Annotated[HitRate | None, Field(description="The detector's record when this was said last")]
    model: Annotated[str, Field(description="Digest of the table or model that judged", examples=["3f6c0d208b1e"])]
    prove: Annotated[list[str], Field(description="The commands that prove what the terminal reported")]

    @classmethod
    def of(cls, finding: Finding, beside: Beside) -> FindingDetail:
        zone = beside.zone(finding.terminal)
        return cls(
            **_told(finding, beside),
            readings=[
                FindingReading(component=part, signal=signal, at=iso(at), value=_plain(value), unit=unit_of(signal))
                for part, signal, at, value in finding.readings
            ],
            record_then=HitRate.of(finding.record, beside.language, zone=zone) if finding.record is not None else None,
            model=finding.model,
            prove=[_prove(finding.terminal, *reading) for reading in finding.readings[-1:]],
        )  # fmt: skip


class Reason(_Model):
    """What adds to the score of a terminal."""

    finding: Annotated[str, Field(description="The id of a finding; empty: a fact about the terminal")]
    text: str
    weight: Annotated[float, Field(description="Expected visits")]


class TerminalRisk(_Model):
    """How much a terminal is at risk, and why."""

    terminal: Annotated[str, Field(examples=["ATM-0012"])]
    branch: str
    region: str
    terminal_class: Annotated[str, Field(serialization_alias="class", examples=["atm"])]
    grade: Annotated[str, Field(description="`low`, `medium` or `high`")]
    grade_text: str
    score: Annotated[float, Field(description="Expected visits within the horizon")]
    since: Annotated[datetime | None, Field(description="When it got this grade")]
    at: datetime | None
    inspect_by: datetime | None
    effort_min: Annotated[int, Field(description="Minutes of work on site that are expected, without the way")]
    reasons: list[Reason]
    findings: Annotated[list[Foreseen], Field(description="Open ones that raise something, the nearest first")]

    @classmethod
    def of(cls, view: RiskView, beside: Beside) -> TerminalRisk:
        grade, language = view.grade, beside.language
        found = {each.id: each for each in view.findings}
        open_ = sorted((each for each in view.findings if not each.demoted), key=_nearest)
        return cls(
            terminal=view.terminal, branch=view.branch, region=view.region, terminal_class=view.terminal_class, **_graded(grade, language),
            reasons=[
                Reason(
                    finding=name if name in found else "",
                    text=words.reason(found[name], language, beside.zone(view.terminal)) if name in found else words.factor(name, language),
                    weight=weight,
                )
                for name, weight in grade.reasons
            ],
            findings=[Foreseen.of(each, beside) for each in open_],
        )  # fmt: skip


class RiskPage(Page[TerminalRisk]):
    """Terminals at risk, the greatest first. quiet: terminals of low risk of which nothing is foreseen, which are left out."""

    quiet: int


class Inspection(_Model):
    """One terminal of a round."""

    terminal: str
    grade: str
    grade_text: str
    score: float
    since: datetime | None
    at: datetime | None
    inspect_by: datetime | None
    effort_min: int
    overdue_s: Annotated[int, Field(description="How long it should have been looked at; 0: that is still to come")]
    worth: Annotated[float, Field(description="Expected visits that an hour of work there avoids")]

    @classmethod
    def of(cls, due: Due, language: str) -> Inspection:
        return cls(
            terminal=due.terminal, **_graded(due.grade, language), overdue_s=due.overdue_ns // 10**9, worth=due.worth
        )


class InspectionRound(_Model):
    """A branch with the terminals that are to be looked at there, the most worth first."""

    branch: str
    minutes: Annotated[int, Field(description="Of work, and of the way, once")]
    avoided: Annotated[float, Field(description="Expected visits that it avoids")]
    worth: Annotated[float, Field(description="The same for an hour")]
    due: list[Inspection]

    @classmethod
    def of(cls, round_: Round, language: str) -> InspectionRound:
        due = [Inspection.of(each, language) for each in round_.due]
        return cls(branch=round_.branch, minutes=round_.minutes, avoided=round_.avoided, worth=round_.worth, due=due)


class FamilyState(_Model):
    """How far the detectors of one family are."""

    family: str
    family_text: str
    state: Annotated[
        str, Field(description="`ready`, `learning`, or `by_rule` (a fixed rule while too few failures were seen)")
    ]
    since: Annotated[datetime | None, Field(description="Since when there is something to learn from")]
    until: Annotated[datetime | None, Field(description="When the first of them may speak")]


class PredictionState(_Model):
    """Whether the predictions run, and how far they are."""

    state: Annotated[
        str,
        Field(
            description="`well`, `behind` (they catch up), `stuck` (they do not move any more), `stopped`, `trouble`, `new` (nothing was read yet), `off`"
        ),
    ]
    stale: Annotated[bool, Field(description="What is shown of them may no longer be so")]
    entries: Annotated[int, Field(description="Of the log that are to be read yet")]
    at: Annotated[datetime | None, Field(description="The time of the log that they have come to")]
    lag_s: Annotated[int, Field(description="How far that is behind the last entry of the log")]
    series: Annotated[int, Field(description="That are followed")]
    trouble: str
    learning: list[FamilyState]

    @classmethod
    def of(cls, far: HowFar, learning: list[Learning], language: str) -> PredictionState:
        return cls(
            state=far.state, stale=far.stale, entries=far.entries, at=iso(far.at), lag_s=far.lag_ns // 10**9, series=far.series, trouble=far.trouble,
            learning=[
                FamilyState(
                    family=each.family, family_text=family_text(each.family, language), state=each.state, since=iso(each.since), until=iso(each.until)
                )
                for each in learning
            ],
        )  # fmt: skip


def family_text(family: str, language: str) -> str:
    known = words.catalogue()
    return words.phrase(f"family.{family}", language, {}) if f"family.{family}" in known else family


def unit_of(signal: str) -> str:
    """Empty for what is no signal of the catalogue."""
    known = kept_catalogue().signals.get(signal)
    return known.unit if known is not None else ""


def counts(finding: Finding) -> bool:
    """Whether it raises something; the others are on the trend page."""
    return not finding.demoted


def _told(finding: Finding, beside: Beside) -> dict[str, Any]:
    language, zone = beside.language, beside.zone(finding.terminal)
    near, likely, far = finding.due or (0, 0, 0)
    record = beside.records.get((finding.detector, finding.kind)) or finding.record
    return {
        "id": finding.id, "terminal": finding.terminal, "branch": beside.branches.get(finding.terminal, ""), "component": finding.component,
        "kind": finding.kind, "signal": finding.signal, "detector": finding.detector, "family": finding.family,
        "family_text": family_text(finding.family, language), "status": finding.status, "word": finding.word,
        "word_text": _phrase("word", finding.word, language), "begun": iso(finding.begun), "at": iso(finding.at), "near": iso(near), "likely": iso(likely),
        "far": iso(far), "range": words.when(finding, language, zone), "probability": finding.probability,
        "reason": words.reason(finding, language, zone),
        "record": HitRate.of(record or Record(finding.detector, finding.kind), language, zone=zone), "demoted": finding.demoted,
        "ended": iso(finding.ended), "outcome": finding.outcome, "outcome_text": _phrase("outcome", finding.outcome, language),
        "chart": f"/findings/{quote(finding.id, safe='')}.svg" if drawn(finding) is not None else "",
        "incident": beside.incidents.get((RULES[finding.family], finding.terminal, finding.component), ""),
        "factors": [
            _factor(finding, name, value, weight, language, zone) for name, value, weight in finding.factors
        ],
    }  # fmt: skip


def _factor(finding: Finding, name: str, value: Any, weight: float, language: str, zone: str) -> Factor:
    said = life_words.fact(finding, name, value, language, zone)
    text, shown, unit = said or (words.factor(name, language), _plain(value), unit_of(name))
    return Factor(name=name, text=text, value=shown, unit=unit, weight=weight)


def drawn(finding: Finding) -> tuple[str, str] | None:
    """(component, signal) that shows it: its own signal, else that of its first reading that is a number."""
    numbers = [(part, signal) for part, signal, _, value in finding.readings if isinstance(value, int | float)]
    return next((each for each in numbers if each[1] == finding.signal), numbers[0] if numbers else None)


def _phrase(section: str, key: str, language: str) -> str:
    """The key itself where it is of a later version."""
    return words.phrase(f"{section}.{key}", language, {}) if f"{section}.{key}" in words.catalogue() else key


def _graded(grade: Grade, language: str) -> dict[str, Any]:
    return {
        "grade": grade.grade, "grade_text": _phrase("grade", grade.grade, language), "score": grade.score, "since": iso(grade.since), "at": iso(grade.at),
        "inspect_by": iso(grade.inspect_by), "effort_min": grade.effort_min,
    }  # fmt: skip


def _nearest(finding: Finding) -> tuple[bool, int, str]:
    return finding.word != "soon", finding.due[1] if finding.due else finding.at, finding.id


def _prove(terminal: str, component: str, signal: str, at: int, _: Any) -> str:
    when = iso(at)
    return shlex.join(("prove", terminal, component, signal, when.isoformat() if when else ""))


def _plain(value: Any) -> int | float | str | bool | None:
    return value if isinstance(value, int | float | str | bool) or value is None else str(value)
