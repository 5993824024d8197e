"""The shapes of a terminal's file in the REST API: the device file, its timeline, bands of states, rated lives and terminals like it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model

from tillwatch.collector.detect.days_left import DaysLeft
from tillwatch.collector.read import IdentityView
from tillwatch.collector.terminal import asset
from tillwatch.collector.terminal.asset import DATE, DAYS, FIELDS, MAX_NOTE, MAX_TEXT, SERIALS, Due, Note, SerialCheck
from tillwatch.collector.terminal.bands import Band
from tillwatch.collector.terminal.dossier import (
    ALARM,
    INCIDENT,
    PART,
    STATE,
    DossierView,
    LifeView,
    Moment,
    RepairView,
    Similar,
    Strip,
    Timeline,
    VersionView,
)
from tillwatch.collector.terminal.fleet import IN_SERVICE
from tillwatch.collector.tickets.outages import evidence
from tillwatch.collector.web import life_words
from tillwatch.collector.web.rest.schema import iso

OfRule = Callable[[str], str]
"""Rule id -> its words in the reader's language."""
MAX_REASON = 200
_BY_RULE = frozenset({ALARM, INCIDENT, PART})
_ASSET_EXAMPLE: dict[str, Any] = {
    "asset_no": "B-2024-0417", "maker": "Acme", "model": "C4060", "serial": "CN-77-0417", "serials": {"atm/CardReader": "CR-100234"},
    "address": "12 Harbour Road", "place": "lobby, left", "custody": "Branch operations", "installed": "2024-03-01", "bought": "2024-01-15",
    "supplier": "Acme Services", "order_no": "PO-8812", "warranty_until": "2027-01-14", "contract": "C-2024-11", "service_interval_days": 180,
    "last_service": "2026-06-02", "inspection_interval_days": 30, "last_inspection": "2026-11-02",
}  # fmt: skip


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, populate_by_name=True)


def _shape(field: asset.Field) -> tuple[Any, Any]:
    """Bounds alone: what a value must be like besides is checked where the command line checks it, too."""
    kinds: Mapping[str, Any] = {
        DAYS: Annotated[int, Field(ge=1, le=field.limit)],
        DATE: Annotated[str, Field(max_length=10, json_schema_extra={"format": "date"})],
        SERIALS: Annotated[
            dict[Annotated[str, Field(max_length=MAX_TEXT)], Annotated[str, Field(max_length=MAX_TEXT)]],
            Field(max_length=field.limit),
        ],
    }
    kind = kinds.get(field.kind, Annotated[str, Field(max_length=field.limit)])
    return kind | None, Field(default=None, examples=[_ASSET_EXAMPLE.get(field.name, "")])


class _AssetChange(BaseModel):
    """The device file. In a change, fields that are not given stay as they are, and null empties one."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": _ASSET_EXAMPLE})


_SHAPES: dict[str, Any] = {name: _shape(field) for name, field in FIELDS.items()}
AssetFields = create_model("AssetFields", __base__=_AssetChange, __doc__=_AssetChange.__doc__, **_SHAPES)
"""Made from the one list of fields."""


class AssetRecord(_Model):
    """The device file of a terminal as it is now. Protected fields are masked."""

    fields: Annotated[dict[str, Any], Field(examples=[_ASSET_EXAMPLE])]
    version: Annotated[str, Field(description="The ETag for If-Match of a change", examples=["9f3a0c1d2e4b5a67"])]


class Serial(_Model):
    """A serial number as it is listed and as the device tells it."""

    component: str
    listed: str
    told: str
    state: Annotated[
        str,
        Field(
            description="`same`; `differs` (the device may have been substituted, PCI DSS 9.5.1); `unlisted`; `untold` (no device tells it)",
            examples=["differs"],
        ),
    ]
    at: datetime | None

    @classmethod
    def of(cls, check: SerialCheck) -> Serial:
        return cls(component=check.component, listed=check.listed, told=check.told, state=check.state, at=iso(check.at))


class Revealed(_Model):
    """Protected values of a terminal, whole. That somebody looked at them is record."""

    fields: Annotated[
        dict[str, Any], Field(description="Protected fields of the device file", examples=[{"serial": "CN-77-0417"}])
    ]
    serials: list[Serial]
    readings: Annotated[
        dict[str, str],
        Field(
            description="What its devices say, by `component signal`, and components whose names hold an address, by the name that is shown",
            examples=[{"router cell.imei": "356938035643809"}],
        ),
    ]

    @classmethod
    def of(cls, view: DossierView, readings: dict[str, str]) -> Revealed:
        fields = {name: value for name, value in view.asset.items() if FIELDS[name].protected}
        return cls(fields=fields, serials=[Serial.of(each) for each in view.serials], readings=readings)


class NoteText(BaseModel):
    """A note on a terminal."""

    model_config = ConfigDict(extra="forbid")
    text: Annotated[str, Field(min_length=1, max_length=MAX_NOTE, examples=["Key of the cabinet is with the porter"])]


class LifeCycleChange(BaseModel):
    """A terminal is taken out of service by decision, or put back."""

    model_config = ConfigDict(extra="forbid")
    state: Annotated[
        Literal["in_service", "not_commissioned", "spare", "repair", "retired"], Field(examples=[IN_SERVICE])
    ]
    reason: Annotated[str, Field(min_length=1, max_length=MAX_REASON, examples=["Sent to the workshop"])]


class LifeCycle(_Model):
    terminal: str
    life_cycle: str
    was: str


class NoteShown(_Model):
    n: Annotated[int, Field(description="Its entry in the journal")]
    at: datetime | None
    by: str
    text: str

    @classmethod
    def of(cls, note: Note) -> NoteShown:
        return cls(n=note.n, at=iso(note.at), by=note.by, text=note.text)


class DueShown(_Model):
    kind: Annotated[str, Field(description="`warranty`, `service` or `inspection`", examples=["inspection"])]
    on: date
    days: Annotated[int, Field(description="From today on; negative: it is over", examples=[-3])]
    last: Annotated[date | None, Field(description="Done last; null: never, or not written down")]

    @classmethod
    def of(cls, due: Due) -> DueShown:
        return cls(kind=due.kind, on=due.on, days=due.days, last=due.last)


class ServiceDue(DueShown):
    """Something that becomes due on a terminal."""

    terminal: Annotated[str, Field(examples=["ATM-0012"])]
    branch: Annotated[str, Field(examples=["Harbour Road"])]
    region: Annotated[str, Field(examples=["South"])]


class Version(_Model):
    """What a device says of itself."""

    component: str
    signal: Annotated[str, Field(examples=["identity.firmware"])]
    value: Annotated[str, Field(examples=["4.2.1"])]
    since: Annotated[datetime | None, Field(description="null: for longer than is kept")]
    before: str
    at: datetime | None

    @classmethod
    def of(cls, view: VersionView) -> Version:
        return cls(
            component=view.component, signal=view.signal, value=view.value, since=iso(view.since), before=view.before, at=iso(view.at),
        )  # fmt: skip


class Repair(_Model):
    """A verdict on an incident of the terminal."""

    at: datetime | None
    incident: str
    component: str
    fault: str
    text: Annotated[str, Field(description="Of the fault, in words")]
    verdict: Annotated[str, Field(examples=["part_changed"])]
    part: Annotated[str, Field(examples=["cutter"])]

    @classmethod
    def of(cls, view: RepairView, text: OfRule) -> Repair:
        return cls(
            at=iso(view.at), incident=view.incident, component=view.component, fault=view.fault, text=text(view.fault), verdict=view.verdict,
            part=view.part,
        )  # fmt: skip


class Key(_Model):
    """A signing key of the terminal."""

    id: str
    state: Annotated[str, Field(description="`pending`, `active`, `retiring` or `revoked`")]
    since: datetime | None
    last_seq: Annotated[int, Field(description="The last batch that a retiring one proves")]


class Identity(_Model):
    """Who may speak as the terminal, and who does."""

    state: Annotated[str, Field(description="`active` or `revoked`")]
    why: str
    keys: list[Key]
    certificate: Annotated[datetime | None, Field(description="Since when the one that is good is")]
    speakers: Annotated[list[str], Field(description="Boots of machines that spoke under this identity, newest last")]
    two_machines: Annotated[str, Field(description="Evidence that two machines speak; empty: none")]

    @classmethod
    def of(cls, view: IdentityView) -> Identity:
        return cls(
            state=view.state, why=view.why, certificate=iso(view.certificate), speakers=list(view.speakers), two_machines=view.two_machines,
            keys=[Key(id=key.id, state=key.state, since=iso(key.since), last_seq=key.last_seq) for key in view.keys],
        )  # fmt: skip


class Dossier(_Model):
    """The file of one terminal beyond its components, alarms and incidents. Protected values are masked."""

    terminal: str
    life_cycle: str
    enrolled_at: datetime | None
    asset: AssetRecord
    serials: list[Serial]
    dues: list[DueShown]
    notes: Annotated[list[NoteShown], Field(description="The newest first")]
    versions: list[Version]
    repairs: Annotated[list[Repair], Field(description="The newest first")]
    identity: Identity
    may: Annotated[list[str], Field(description="What whoever asks may do here", examples=[["act", "plan"]])]

    @classmethod
    def of(
        cls, terminal: str, view: DossierView, identity: IdentityView, life_cycle: str, text: OfRule, may: list[str]
    ) -> Dossier:
        return cls(
            terminal=terminal, life_cycle=life_cycle, enrolled_at=iso(view.enrolled_at),
            asset=AssetRecord(fields=dict(view.asset), version=view.version),
            serials=[Serial.of(each) for each in view.serials], dues=[DueShown.of(each) for each in view.dues],
            notes=[NoteShown.of(each) for each in view.notes], versions=[Version.of(each) for each in view.versions],
            repairs=[Repair.of(each, text) for each in view.repairs], identity=Identity.of(identity), may=may,
        )  # fmt: skip


class TimelineMoment(_Model):
    """Something that happened to the terminal, or of which it was part."""

    kind: Annotated[
        str,
        Field(
            description="`state`, `alarm`, `incident`, `maintenance`, `change`, `part`, `note` or `restart`",
            examples=["incident"],
        ),
    ]
    at: datetime | None
    until: Annotated[datetime | None, Field(description="null: an instant, or it lasts")]
    lasts: bool
    what: Annotated[str, Field(description="State, rule, act or signal", examples=["atm.jam"])]
    text: Annotated[str, Field(description="In words, of the rule, a person or a device")]
    component: str
    level: Annotated[int, Field(ge=0, le=3)]
    ref: Annotated[str, Field(description="Incident, alarm, window, or entry of the journal")]
    by: str
    values: dict[str, Any]

    @classmethod
    def of(cls, moment: Moment, text: OfRule, language: str) -> TimelineMoment:
        values = dict(moment.values)
        if values.get("reason"):
            values["reason_text"] = text(str(values["reason"]))
        said = text(moment.what) if moment.kind in _BY_RULE else moment.text
        if moment.kind == STATE:
            said = evidence(said, language)
        if moment.kind in _BY_RULE and moment.text:
            values["said"] = moment.text
        return cls(
            kind=moment.kind, at=iso(moment.at), until=iso(moment.until), lasts=moment.lasts, what=moment.what, text=said,
            component=moment.component, level=moment.level, ref=moment.ref, by=moment.by, values=values,
        )  # fmt: skip


class TimelineShown(_Model):
    """All that happened to a terminal, in order of time."""

    start: Annotated[datetime | None, Field(alias="from")]
    end: Annotated[datetime | None, Field(alias="to")]
    moments: list[TimelineMoment]
    left_out: Annotated[
        dict[str, int], Field(description="kind -> at least so many older ones did not fit; ask for less time")
    ]

    @classmethod
    def of(cls, view: Timeline, text: OfRule, language: str) -> TimelineShown:
        return cls(
            start=iso(view.start), end=iso(view.end), left_out=dict(view.left_out),
            moments=[TimelineMoment.of(each, text, language) for each in view.moments],
        )  # fmt: skip


class BandShown(_Model):
    since: datetime | None
    until: datetime | None
    state: Annotated[
        str,
        Field(
            description="Of a component `ok`, `warn`, `crit`, `unknown`, `out` (out of service by decision) or `new` (not heard yet); of the terminal its state",
            examples=["ok"],
        ),
    ]
    texts: list[str]

    @classmethod
    def of(cls, band: Band, text: OfRule = str) -> BandShown:
        return cls(
            since=iso(band.since), until=iso(band.until), state=band.state, texts=[text(each) for each in band.texts]
        )


class ComponentStrip(_Model):
    component: str
    bands: list[BandShown]


class StripShown(_Model):
    """How the terminal and each of its components were, without a hole: what was not seen is unknown."""

    start: Annotated[datetime | None, Field(alias="from")]
    end: Annotated[datetime | None, Field(alias="to")]
    states: list[BandShown]
    components: Annotated[list[ComponentStrip], Field(description="The worst first")]

    @classmethod
    def of(cls, view: Strip, text: OfRule) -> StripShown:
        return cls(
            start=iso(view.start), end=iso(view.end), states=[BandShown.of(each) for each in view.states],
            components=[
                ComponentStrip(component=each.component, bands=[BandShown.of(band, text) for band in each.bands])
                for each in view.components
            ],
        )  # fmt: skip


class DaysRange(_Model):
    """Days left: the range that shall hold nine of ten. null: beyond what can be foreseen."""

    low: float | None
    likely: float | None
    high: float | None

    @classmethod
    def of(cls, left: DaysLeft) -> DaysRange:
        low, likely, high = (
            round(each, 1) if math.isfinite(each) else None for each in (left.low, left.median, left.high)
        )
        return cls(low=low, likely=likely, high=high)


class Life(_Model):
    """How much of its rated life a wear part has used, and on whose word."""

    life: Annotated[str, Field(examples=["printer.cutter"])]
    title: Annotated[str, Field(examples=["paper cutter"])]
    component: str
    signal: Annotated[str, Field(description="What tells it", examples=["printer.cuts"])]
    source: Annotated[str, Field(description="`counter`, `hours`, `calendar` or `device_percent`")]
    purpose: Annotated[str, Field(description="`replace`, or `service`: the part stays")]
    unit: str
    unit_text: Annotated[str, Field(description="The unit in words", examples=["cuts"])]
    used: float
    rated: Annotated[float | None, Field(description="null: no figure is known")]
    share: Annotated[float | None, Field(description="Of the rated life", examples=[0.42])]
    at_least: Annotated[bool, Field(description="More may have been used before it was watched")]
    left: Annotated[DaysRange | None, Field(description="null: no figure, or too few days to say")]
    since: Annotated[datetime | None, Field(description="From when on it was counted")]
    assumed: Annotated[bool, Field(description="No document gives the figure")]
    evidence: Annotated[str, Field(description="Who gives the figure")]
    celsius: Annotated[float | None, Field(description="How warm it was of late; heat uses life up")]
    finding: Annotated[str, Field(description="What is foreseen of it; empty: nothing is")]

    @classmethod
    def of(cls, view: LifeView, language: str) -> Life:
        return cls(
            life=view.life, title=view.title_zh if language == "zh" else view.title_en, component=view.component, signal=view.signal,
            source=view.source, purpose=view.purpose, unit=view.unit, unit_text=life_words.unit(view.unit, language), used=view.used, rated=view.rated or None, share=view.share,
            at_least=view.at_least, left=DaysRange.of(view.left) if view.left is not None else None, since=iso(view.since),
            assumed=view.assumed, evidence=life_words.evidence(view.life, view.evidence, language), celsius=view.celsius, finding=view.finding,
        )  # fmt: skip


class SimilarTerminal(_Model):
    id: str
    branch: str
    model: str
    like: Annotated[list[str], Field(description="What it shares: `model`, `class`, `branch`")]
    condition: str
    state: str
    open_alarms: int
    incidents: Annotated[int, Field(description="Of the last 90 days")]
    grade: Annotated[str, Field(description="Of its risk; empty: none")]


class SimilarShown(_Model):
    """Terminals like one, and how it does beside them."""

    incidents: Annotated[int, Field(description="Of the terminal itself, in the last 90 days")]
    model: str
    of_model: Annotated[int, Field(description="Others of the same model")]
    usual: Annotated[float | None, Field(description="The median of their incidents")]
    of_class: int
    usual_of_class: float | None
    terminals: Annotated[list[SimilarTerminal], Field(description="The nearest first")]

    @classmethod
    def of(cls, view: Similar) -> SimilarShown:
        return cls(
            incidents=view.incidents, model=view.model, of_model=view.of_model, usual=view.usual, of_class=view.of_class,
            usual_of_class=view.usual_of_class,
            terminals=[
                SimilarTerminal(
                    id=each.id, branch=each.branch, model=each.model, like=list(each.like), condition=each.condition, state=each.state,
                    open_alarms=each.open_alarms, incidents=each.incidents, grade=each.grade,
                )
                for each in view.terminals
            ],
        )  # fmt: skip
